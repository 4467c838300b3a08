"""Seconds without output when the owner of a partition goes, with and without a standby.

    python benchmarks/takeover.py

Two members and one partition with a million keys. Readings keep coming, a hundred a second, while
the owner is killed (SIGKILL: the group waits for the session timeout, 6 s here) or asked to stop
(SIGTERM: it hands over). Measured is the longest time between two outputs that a reader of
committed records sees; beside it, how much of that the survivor spent on the partition's state.
"""

import argparse
import itertools
import re
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Self

from confluent_kafka import Consumer, Producer, TopicPartition
from harness.broker import broker
from harness.outputs import reader
from harness.table import print_table

from tests.support.cluster import Cluster, Message, send
from tests.support.job import Job, readings
from tests.support.service import Service
from tests.support.waiting import wait_until

SESSION_MS = 6_000
_PAUSE_S = 0.01
_CALM_S = 1.0
_PATIENCE_S = 300.0


class Feed:
    """Readings, one after another, while the block runs; and when outputs were seen."""

    def __init__(self, job: Job, keys: int) -> None:
        self._job = job
        self._keys = keys
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=run) for run in (self._write, self._read)]
        self.seen: list[float] = []

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _write(self) -> None:
        producer: Producer = self._job.cluster.producer(linger_ms=0)
        number = 0
        while not self._ended.wait(_PAUSE_S):
            send(producer, self._job.topic, readings(1, keys=self._keys, first=number))
            number += 1

    def _read(self) -> None:
        consumer: Consumer = reader(self._job.cluster.bootstrap)
        place = TopicPartition(self._job.output, 0)
        place.offset = consumer.get_watermark_offsets(place, 30)[1]
        consumer.assign([place])
        while not self._ended.is_set():
            message = consumer.poll(0.05)
            if message is not None and message.error() is None:
                self.seen.append(time.monotonic())
        consumer.close()

    def wait_flowing(self, since: float) -> None:
        """Wait until outputs have come for a while after `since`."""
        wait_until(
            lambda: self.seen and self.seen[-1] > since + _CALM_S,
            timeout_s=_PATIENCE_S,
            what="no outputs",
        )

    def longest_gap(self, since: float) -> float:
        """Seconds between two outputs, at most, after `since`."""
        times = [since, *(at for at in self.seen if at > since)]
        return max(later - earlier for earlier, later in itertools.pairwise(times))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--bootstrap", help="use this broker instead of starting one")
    arguments = parser.parse_args()
    with broker(arguments.bootstrap) as bootstrap, tempfile.TemporaryDirectory() as name:
        table = []
        for standbys in (0, 1):
            job = start_job(Cluster(bootstrap), Path(name), arguments.keys, standbys)
            for kill in (True, False):
                rounds = [take_over(job, arguments.keys, kill) for _ in range(arguments.rounds)]
                gaps = sorted(gap for gap, _ in rounds)
                table.append(
                    (
                        f"{'SIGKILL' if kill else 'SIGTERM'}, state.standbys: {standbys}",
                        f"{statistics.median(gaps):.2f} s",
                        f"{gaps[0]:.2f}-{gaps[-1]:.2f} s",
                        f"{statistics.median(seconds for _, seconds in rounds):.1f} s",
                    )
                )
            job.close()
    print_table(
        (
            f"{arguments.keys:,} keys, session timeout {SESSION_MS / 1000:.0f} s",
            "longest time without output",
            f"least and most of {arguments.rounds}",
            "of it reading state",
        ),
        table,
    )


def start_job(cluster: Cluster, folder: Path, keys: int, standbys: int) -> Job:
    """One owner that knows every key, with nobody beside it yet."""
    job = Job(
        cluster,
        folder,
        settings={
            "kafka": {"session_timeout_ms": SESSION_MS, "heartbeat_interval_ms": 1_000},
            "delivery": {"commit_interval": "100ms"},
            "state": {"standbys": standbys},
        },
    )
    job.start()
    for first in range(0, keys, 100_000):
        some: list[Message] = readings(min(100_000, keys - first), keys=keys, first=first)
        job.produce(some)
    job.wait_committed({0: keys})
    return job


def take_over(job: Job, keys: int, kill: bool) -> tuple[float, float]:
    """The longest time without output, and what the state took of it.

    The owner is the service that was started last but one; what takes over is started here.
    """
    owner, other = job.services[-1], job.launch()
    wait_until(lambda: len(job.cluster.members(job.group)) == 2, timeout_s=_PATIENCE_S)
    if job.settings["state"]["standbys"]:
        wait_until(lambda: "a warm copy is kept" in other.log, timeout_s=_PATIENCE_S)
    with Feed(job, keys) as feed:
        feed.wait_flowing(time.monotonic())
        began = time.monotonic()
        if kill:
            owner.kill()
        else:
            owner.terminate()
        wait_until(lambda: reading_state(other) is not None, timeout_s=_PATIENCE_S)
        feed.wait_flowing(time.monotonic())
        return feed.longest_gap(began), reading_state(other) or 0.0


def reading_state(service: Service) -> float | None:
    """Seconds that it read state; None: it has not taken over yet."""
    found = re.search(r"(?:keys restored|rows read) in ([0-9.]+) s", service.log)
    return None if found is None else float(found[1])


if __name__ == "__main__":
    main()
