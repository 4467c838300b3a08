"""What transactions cost, and how soon an output is visible, by busy partitions in one process.

    python benchmarks/commits.py
    python benchmarks/commits.py --partitions 32 --seconds 20

A steady stream reaches every partition several times a second, in batches as a producer that
lingers writes them; a reader takes the committed outputs and compares the clock with each record's
timestamp, which is when the broker had the input. The CPU share of the commits is what the process
uses beyond the same work with its state in memory alone.
"""

import argparse
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import numpy as np
from confluent_kafka import Consumer, Producer, TopicPartition
from harness.broker import broker
from harness.job import Job
from harness.load import create_topic
from harness.process import Contestant
from harness.service import (
    AT_LEAST_ONCE,
    DEAD_LETTER_TOPIC,
    EXACTLY_ONCE,
    IN_MEMORY,
    service_command,
)
from harness.table import print_table

HERE: Final = Path(__file__).parent
RATE: Final = 4_000
"""Records a second, over all partitions."""
SETTLING_S: Final = 10.0


def main() -> None:
    arguments = parse_arguments()
    rows = []
    with broker(arguments.bootstrap) as bootstrap, tempfile.TemporaryDirectory() as folder:
        create_topic(bootstrap, DEAD_LETTER_TOPIC, may_exist=True, partitions=200)
        for partitions in arguments.partitions:
            shares = {}
            for keeping in (IN_MEMORY, AT_LEAST_ONCE, EXACTLY_ONCE):
                share, latencies, commits = measure(
                    bootstrap, Path(folder), partitions, keeping, arguments.seconds
                )
                shares[keeping] = share
                rows.append(
                    (
                        str(partitions),
                        keeping,
                        f"{share:.1%}",
                        f"{share - shares[IN_MEMORY]:.1%}",
                        f"{partitions / commits * 1000:.0f} ms" if commits else "",
                        f"{np.percentile(latencies, 50):.0f} ms",
                        f"{np.percentile(latencies, 99):.0f} ms",
                    )
                )
                print(*rows[-1], sep=" | ", file=sys.stderr)
    print_table(
        (
            "partitions",
            "state and outputs",
            "of one core",
            "beyond state in memory",
            "between two commits of a partition",
            "visible after, p50",
            "p99",
        ),
        rows,
    )


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--partitions", type=int, nargs="+", default=[4, 32, 200])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--bootstrap", help="use this broker instead of starting one")
    return parser.parse_args()


def measure(
    bootstrap: str, folder: Path, partitions: int, keeping: str, seconds: float
) -> tuple[float, list[float], float]:
    """Share of a core, latencies in ms, and commits a second."""
    run = time.time_ns()
    job = Job(bootstrap, f"input-{run}", f"output-{run}", f"commits-{run}")
    create_topic(
        bootstrap,
        job.input_topic,
        partitions=partitions,
        message_timestamp_type="LogAppendTime",
    )
    create_topic(bootstrap, job.output_topic, partitions=partitions)
    command = service_command(job, folder, keeping, partitions=partitions)
    ended = threading.Event()
    latencies: list[float] = []
    with Contestant(command, cwd=HERE) as service, ThreadPoolExecutor(2) as threads:
        service.wait_until_ready()
        beside = [
            threads.submit(watch, job, partitions, ended, latencies),
            threads.submit(write, job, partitions, ended),
        ]
        try:
            time.sleep(SETTLING_S)
            cpu_s, began = service.cpu_s(), time.time()  # the clock of the broker's times, too
            latencies.clear()
            time.sleep(seconds)
            service.check()
            elapsed = time.time() - began
            share = (service.cpu_s() - cpu_s) / elapsed
        finally:
            ended.set()
        for each in beside:
            each.result()  # what did not write, or not watch, measured nothing
        commits = markers(job, partitions, began, began + elapsed) / elapsed
        service.stop()
    return share, list(latencies), commits


def write(job: Job, partitions: int, ended: threading.Event) -> None:
    """Write `RATE` records a second, in turn to each partition."""
    # One batch a partition, each a request: more of them a second would measure the broker alone.
    linger_ms = max(5, 2 * partitions)
    producer = Producer(
        {"bootstrap.servers": job.bootstrap, "linger.ms": linger_ms, "log_level": 4}
    )
    pause_s = 0.01
    number = 0
    due = time.monotonic()
    while not ended.is_set():
        for _ in range(int(RATE * pause_s)):
            key = number % (partitions * 50)
            producer.produce(
                job.input_topic,
                key=b"sensor-%d" % key,
                value=b"%d.5" % (number % 100),
                partition=key % partitions,
                timestamp=int(time.time() * 1000),
            )
            number += 1
        producer.poll(0)
        due += pause_s
        time.sleep(max(0.0, due - time.monotonic()))
    producer.flush()


def watch(job: Job, partitions: int, ended: threading.Event, latencies: list[float]) -> None:
    """Note how old each committed output is when it is seen."""
    consumer = Consumer(
        {
            "bootstrap.servers": job.bootstrap,
            "group.id": "benchmark-watcher",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "fetch.wait.max.ms": 100,
            "log_level": 4,
        }
    )
    consumer.assign([TopicPartition(job.output_topic, p, 0) for p in range(partitions)])
    while not ended.is_set():
        for message in consumer.consume(1000, timeout=0.05):
            if message.error() is None:
                latencies.append(time.time() * 1000 - message.timestamp()[1])  # noqa: PERF401
    consumer.close()


def markers(job: Job, partitions: int, began: float, ended: float) -> int:
    """Transactions between two moments: each leaves one marker, and one position.

    The changelog has the broker's times. It is read afterwards: a reader is work for the broker.
    """
    consumer = Consumer(
        {"bootstrap.servers": job.bootstrap, "group.id": "benchmark-markers", "log_level": 4}
    )
    topic = f"{job.group}-{job.input_topic}-changelog"
    if topic not in consumer.list_topics(timeout=10).topics:
        consumer.close()
        return 0
    consumer.assign([TopicPartition(topic, p, 0) for p in range(partitions)])
    count = silent = 0
    while silent < 6:  # nothing is written any more: all has been read
        messages = consumer.consume(10_000, timeout=0.5)
        silent = 0 if messages else silent + 1
        for message in messages:
            if message.error() is None:
                is_between = began <= message.timestamp()[1] / 1000 < ended
                count += is_between and message.key() == b"\x00position"
    consumer.close()
    return count


if __name__ == "__main__":
    main()
