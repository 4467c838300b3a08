"""Break the service for some minutes and say what came of it.

    python -m tests.chaos.run --seed 1 --minutes 5
    python -m tests.chaos.run --seed 2 --minutes 60 --brokers 3 --report soak.json
    python -m tests.chaos.run --seed 3 --minutes 1 --fault kill --fault "K6 stop"

The same seed gives the same stream and the same faults in the same order.
"""

import argparse
import json
import signal
import sys
import tempfile
from pathlib import Path

from .campaign import ALL_FAULTS, Plan, run
from .configurations import CONFIGURATIONS
from .guards import GUARDS

EXIT_TERMINATED = 143  # 128 + SIGTERM; what was started is ended on the way out


def main() -> int:
    """Run; answers 0 for PASS, 1 for FAIL, 2 for INVALID."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--configuration", choices=CONFIGURATIONS, default="sorted")
    parser.add_argument(
        "--guarantee", choices=("exactly_once", "at_least_once"), default="exactly_once"
    )
    parser.add_argument("--members", type=int, default=3)
    parser.add_argument("--partitions", type=int, default=8)
    parser.add_argument("--keys", type=int, default=2_000)
    parser.add_argument("--rate", type=float, default=1_500.0)
    parser.add_argument("--brokers", type=int, choices=(1, 3), default=1)
    parser.add_argument("--standbys", type=int, choices=(0, 1), default=0)
    parser.add_argument("--pause-s", type=float, default=5.0)
    parser.add_argument("--spared", action="store_true", help="one member lives to the end")
    parser.add_argument("--fault", action="append", default=[], metavar="NAME")
    parser.add_argument("--without", choices=GUARDS, default="", help="a guard to do without")
    parser.add_argument("--list", action="store_true", help="name the faults")
    parser.add_argument("--report", type=Path, help="a file for the report, as JSON")
    parser.add_argument("--folder", type=Path, help="where logs and settings go")
    given = vars(parser.parse_args())
    if given.pop("list"):
        sys.stdout.write("".join(f"{fault.name}\n" for fault in ALL_FAULTS))
        return 0
    file, folder = given.pop("report"), given.pop("folder")
    folder = folder or Path(tempfile.mkdtemp(prefix="stream-ewma-chaos-"))
    folder.mkdir(parents=True, exist_ok=True)
    faults = tuple(given.pop("fault"))
    if given["without"]:
        guard = GUARDS[given["without"]]
        faults, given["guarantee"] = faults or guard.faults, guard.guarantee
        if not faults:
            tests = " ".join(f"tests/{test}" for test in guard.tests)
            parser.error(f"pytest --without {given['without']!r} {tests}")
        needed = [fault.brokers for fault in ALL_FAULTS if fault.name in faults]
        given["brokers"] = max([given["brokers"], *needed])
    plan = Plan(**given, faults=faults)
    sys.stderr.write(f"{plan}\nlogs: {folder}\n")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(EXIT_TERMINATED))
    report = run(plan, folder)
    document = report.document()
    if file:
        report.write(file)
    del document["struck"], document["samples"]
    sys.stdout.write(json.dumps(document, indent=1) + "\n")
    return {"PASS": 0, "FAIL": 1, "INVALID": 2}[report.verdict]


if __name__ == "__main__":
    sys.exit(main())
