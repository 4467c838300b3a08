"""How long a restart takes to read the state of many keys back, and what it costs.

    python benchmarks/restore.py
    python benchmarks/restore.py --keys 1000000 --rounds 3

A topic with one reading of each key is smoothed once; then the service is started again and again.
What a start takes beyond one without any state is the restore: from the start of the process until
it is ready, time, CPU time of the whole process, and resident memory. Rows are those of an
event-time mean with its variance: 6 words, 49 bytes, and the key.
"""

import argparse
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from confluent_kafka.admin import AdminClient
from harness.broker import broker
from harness.job import Job
from harness.load import Load, create_topic, fill
from harness.outputs import end_offsets, reader
from harness.process import Contestant, committed
from harness.service import DEAD_LETTER_TOPIC, service_command
from harness.table import print_table

HERE: Final = Path(__file__).parent
SMOOTHING: Final = {"half_life": "30s", "outputs": ["ewma", "variance"]}


@dataclass(frozen=True, slots=True)
class Start:
    """What one start took until the service was ready."""

    seconds: float
    cpu_s: float
    peak_bytes: int


def main() -> None:
    arguments = parse_arguments()
    with broker(arguments.bootstrap) as bootstrap, tempfile.TemporaryDirectory() as folder:
        create_topic(bootstrap, DEAD_LETTER_TOPIC, may_exist=True)
        start(prepared(bootstrap, 0), Path(folder))  # files are in the page cache from here on
        empty = prepared(bootstrap, 0)
        baseline = [start(empty, Path(folder)) for _ in range(arguments.rounds)]
        rows = []
        for keys in arguments.keys:
            job = prepared(bootstrap, keys)
            smooth_all(job, Path(folder))
            rows.append(row(keys, baseline, [start(job, Path(folder)) for _ in baseline]))
    print_table(
        ("keys", "restore, s", "CPU, s", "keys per CPU-second", "memory", "bytes a key"), rows
    )


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keys", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--bootstrap", help="use this broker instead of starting one")
    return parser.parse_args()


def prepared(bootstrap: str, keys: int) -> Job:
    """A job whose input has one reading of each of `keys` keys."""
    run = time.time_ns()
    job = Job(bootstrap, f"input-{run}", f"output-{run}", f"restore-{run}")
    create_topic(bootstrap, job.output_topic)
    fill(bootstrap, job.input_topic, Load(keys, keys, 10_000, every_key_first=True))
    return job


def smooth_all(job: Job, folder: Path) -> None:
    """Run the service until all is committed."""
    consumer = reader(job.bootstrap)
    admin = AdminClient({"bootstrap.servers": job.bootstrap, "log_level": 4})
    try:
        ends = end_offsets(consumer, job.input_topic)
    finally:
        consumer.close()
    with Contestant(service_command(job, folder, smoothing=SMOOTHING), cwd=HERE) as service:
        service.wait_until_ready()
        while committed(admin, job) != ends:
            service.check()
            time.sleep(0.1)
        service.stop()


def start(job: Job, folder: Path) -> Start:
    """Start the service and stop it as soon as it is ready."""
    with Contestant(service_command(job, folder, smoothing=SMOOTHING), cwd=HERE) as service:
        service.wait_until_ready()
        measured = Start(service.start_up_s, service.start_up_cpu_s, service.peak_bytes())
        service.stop()
    return measured


def row(keys: int, baseline: list[Start], starts: list[Start]) -> tuple[str, ...]:
    """One line of the table: what the starts took beyond those without state."""

    def beyond(attribute: str) -> float:
        return statistics.median(getattr(each, attribute) for each in starts) - statistics.median(
            getattr(each, attribute) for each in baseline
        )

    cpu_s, memory = beyond("cpu_s"), beyond("peak_bytes")
    return (
        f"{keys:,}",
        f"{beyond('seconds'):.2f}",
        f"{cpu_s:.2f}",
        f"{keys / cpu_s:,.0f}",
        f"{memory / 1e6:,.0f} MB",
        f"{memory / keys:.0f}",
    )


if __name__ == "__main__":
    main()
