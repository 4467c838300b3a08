"""Seconds from the start of the service's process until it is ready to process.

    python benchmarks/start_up.py

First with an empty cache of compiled kernels, then from the cache. Asked: from cache, ready within
1.5 s.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

from harness.broker import broker
from harness.job import Job
from harness.load import create_topic
from harness.process import Contestant
from harness.service import DEAD_LETTER_TOPIC, service_command
from harness.table import print_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="starts from cache")
    parser.add_argument("--bootstrap", help="use this broker instead of starting one")
    arguments = parser.parse_args()
    with broker(arguments.bootstrap) as bootstrap, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = time.time_ns()
        create_topic(bootstrap, f"input-{run}")
        create_topic(bootstrap, f"output-{run}")
        create_topic(bootstrap, DEAD_LETTER_TOPIC, may_exist=True)
        starts = [
            start(Job(bootstrap, f"input-{run}", f"output-{run}", f"group-{run}-{turn}"), folder)
            for turn in range(arguments.rounds + 1)
        ]
    cold, *warm = starts
    print_table(
        ("start", "ready after", "CPU until ready"),
        (
            ("no compiled cache", f"{cold[0]:.2f} s", f"{cold[1]:.2f} s"),
            (
                f"from cache, median of {len(warm)}",
                f"{statistics.median(s[0] for s in warm):.2f} s",
                f"{statistics.median(s[1] for s in warm):.2f} s",
            ),
        ),
    )


def start(job: Job, folder: Path) -> tuple[float, float]:
    """Seconds of wall and of CPU time until the service says that it is ready."""
    env = os.environ | {"STREAM_EWMA_KERNEL_CACHE_DIR": str(folder / "kernels")}
    with Contestant(service_command(job, folder), cwd=folder, env=env) as contestant:
        contestant.wait_until_ready()
        contestant.stop()
        return contestant.start_up_s, contestant.start_up_cpu_s


if __name__ == "__main__":
    main()
