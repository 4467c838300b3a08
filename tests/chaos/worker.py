"""The service as the suite runs it: `stream-ewma run` with classes that can be made to fail.

python -m tests.chaos.worker stream-ewma.yaml --events events.jsonl --failpoint K3:kill:2
"""

import argparse
import asyncio
import sys
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from stream_ewma.cli import main as command_line
from stream_ewma.cli import run as run_command
from stream_ewma.kafka.consumer import GroupConsumer, Partition
from stream_ewma.records.fetched import BatchRun
from stream_ewma.service import worker as worker_module
from stream_ewma.settings import load_settings

from . import wire
from .failpoints import Failpoint, Failpoints, Site


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


def transactional_classes(failpoints: Failpoints) -> Mapping[str, Any]:
    """Producer and changelog reader, with `K1`, `K7` and `K9`."""
    from stream_ewma.kafka.changelog import ChangelogReader, Take
    from stream_ewma.kafka.transactions import TransactionalProducer

    class Producer(TransactionalProducer):
        async def begin(self) -> None:
            await super().begin()
            await asyncio.sleep(failpoints.hit(Site.K1))

        async def commit(self, offsets: Mapping[Partition, int]) -> None:
            await super().commit(offsets)
            await asyncio.sleep(failpoints.hit(Site.K7))

    class Reader(ChangelogReader):
        async def read(self, topic: str, partition: int, take: Take) -> int:
            async def taken(runs: list[BatchRun]) -> None:
                await take(runs)
                await asyncio.sleep(failpoints.hit(Site.K9, f"{topic}-{partition}"))

            return await super().read(topic, partition, taken)

    return {"producer": Producer, "reader": Reader}


def main() -> int:
    """Run the service; answers its exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("config", type=Path)
    parser.add_argument("--events", type=Path, required=True)
    parser.add_argument("--failpoint", action="append", default=[], type=Failpoint.parse)
    given = parser.parse_args()

    settings = load_settings(given.config, env={})
    failpoints = Failpoints(given.failpoint, given.events)
    (topic,) = settings.input.topics
    changelog = f"{settings.application_id}-{topic}-changelog"
    wire.install(failpoints, output=settings.output_topic(topic), changelog=changelog)
    consumer = consumer_class(failpoints)
    try:
        from stream_ewma.service.opening import Parts
    except ImportError:
        worker_module.GroupConsumer = consumer
    else:
        parts = Parts(consumer=consumer, **transactional_classes(failpoints))
        run_command.run_service = partial(run_command.run_service, parts=parts)
    return command_line(["run", "--config", str(given.config)])


if __name__ == "__main__":
    sys.exit(main())
