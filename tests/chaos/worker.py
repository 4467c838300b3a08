"""The service as the suite runs it: `stream-ewma run` with classes that can be made to fail.

python -m tests.chaos.worker stream-ewma.yaml --events events.jsonl --failpoint K3:kill:2
"""

import argparse
import asyncio
import ctypes
import signal
import sys
import time
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from stream_ewma.cli import main as command_line
from stream_ewma.cli import run as run_command
from stream_ewma.kafka.changelog import ChangelogReader, Take
from stream_ewma.kafka.consumer import GroupConsumer
from stream_ewma.kafka.partition import Partition
from stream_ewma.kafka.transactions import TransactionalProducer
from stream_ewma.records.fetched import BatchRun
from stream_ewma.service.app import run_service
from stream_ewma.service.opening import Parts
from stream_ewma.settings import load_settings

from . import wire
from .failpoints import Failpoint, Failpoints, Site
from .guards import GUARDS

HOUR_S = 3600.0
PR_SET_PDEATHSIG = 1


def consumer_class(failpoints: Failpoints) -> type[GroupConsumer]:
    """The member of the group, with `K0`, `K10` and `K11`."""

    class Consumer(GroupConsumer):
        async def poll(
            self, partitions: Iterable[Partition], timeout_ms: int
        ) -> dict[Partition, list[BatchRun]]:
            answer = await super().poll(partitions, timeout_ms)
            if answer:
                await asyncio.sleep(failpoints.hit(Site.K0))
            return answer

        async def revoked(self) -> None:
            await asyncio.sleep(failpoints.hit(Site.K10))
            await super().revoked()

        async def stop(self) -> None:
            await asyncio.sleep(failpoints.hit(Site.K11))
            await super().stop()

    return Consumer


def producer_class(failpoints: Failpoints) -> type[TransactionalProducer]:
    """The producer of a partition's transactions, with `K1` and `K7`."""

    class Producer(TransactionalProducer):
        async def begin(self, also: Iterable[Partition] = ()) -> None:
            await super().begin(also)
            await asyncio.sleep(failpoints.hit(Site.K1))

        async def commit(self, offsets: Mapping[Partition, int]) -> None:
            await super().commit(offsets)
            await asyncio.sleep(failpoints.hit(Site.K7))

    return Producer


def reader_class(failpoints: Failpoints) -> type[ChangelogReader]:
    """The reader of changelogs, with `K9`."""

    class Reader(ChangelogReader):
        async def read(self, topic: str, partition: int, take: Take, **options: Any) -> int:
            async def taken(runs: list[BatchRun]) -> None:
                await take(runs)
                await asyncio.sleep(failpoints.hit(Site.K9, f"{topic}-{partition}"))

            return await super().read(topic, partition, taken, **options)

    return Reader


def end_with_parent() -> None:
    """Nothing is to be left behind when the suite itself is killed."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def watch_clock() -> None:
    """SIGUSR1 puts the wall clock of this process forward by an hour, and then back again."""
    real, shift_s = time.time, 0.0

    def shift(_number: int, _frame: object) -> None:
        nonlocal shift_s
        shift_s = 0.0 if shift_s else HOUR_S

    signal.signal(signal.SIGUSR1, shift)
    time.time = lambda: real() + shift_s


def main() -> int:
    """Run the service; answers its exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("config", type=Path)
    parser.add_argument("--events", type=Path, required=True)
    parser.add_argument("--failpoint", action="append", default=[], type=Failpoint.parse)
    parser.add_argument("--without", choices=GUARDS)
    given = parser.parse_args()
    end_with_parent()
    if given.without:
        GUARDS[given.without].remove()

    settings = load_settings(given.config, env={})
    failpoints = Failpoints(given.failpoint, given.events)
    (topic,) = settings.input.topics
    changelog = f"{settings.application_id}-{topic}-changelog"
    wire.install(failpoints, output=settings.output_topic(topic), changelog=changelog)
    parts = Parts(
        consumer=consumer_class(failpoints),
        producer=producer_class(failpoints),
        reader=reader_class(failpoints),
    )
    watch_clock()
    setattr(run_command, "run_service", partial(run_service, parts=parts))  # noqa: B010
    return command_line(["run", "--config", str(given.config)])


if __name__ == "__main__":
    sys.exit(main())
