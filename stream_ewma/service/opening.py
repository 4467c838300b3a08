"""Taking a partition over: fence whoever had it, read its state back, find where to begin.

The order is what makes it safe. Once the producer is started, no transaction of another member can
end any more; only then is the changelog complete, and only then are the offsets final.
"""

import asyncio
import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from stream_ewma.engine.changelog import ChangelogError
from stream_ewma.engine.config import TaskConfig
from stream_ewma.engine.marker import Marker
from stream_ewma.engine.task import PartitionTask
from stream_ewma.errors import StateError
from stream_ewma.kafka.changelog import ChangelogReader
from stream_ewma.kafka.consumer import GroupConsumer, Partition
from stream_ewma.kafka.transactions import TransactionalProducer
from stream_ewma.records.fetched import BatchRun
from stream_ewma.service.counters import Counters
from stream_ewma.service.positions import (
    Known,
    TopicIdentity,
    first_start,
    start_with_state,
    start_without_state,
)
from stream_ewma.settings import Settings

_log = logging.getLogger(__name__)

_MOST_AT_ONCE = 16
_MOST_READERS = 4
_UNKNOWN = TopicIdentity(None, None)


@dataclass(frozen=True, slots=True)
class Parts:
    """The classes that the service is put together from."""

    consumer: type[GroupConsumer] = GroupConsumer
    producer: type[TransactionalProducer] = TransactionalProducer
    reader: type[ChangelogReader] = ChangelogReader
    task: type[PartitionTask] = PartitionTask


@dataclass(frozen=True, slots=True)
class Opened:
    """A partition that is ready to go on.

    Attributes:
        task: its state, positioned.
        producer: of its transactions, started; None: nothing is kept.
        kept: the position that the changelog holds; None: none yet.
        committed: the group's offset.
    """

    task: PartitionTask
    producer: TransactionalProducer | None
    kept: int | None
    committed: int | None


@dataclass(slots=True)
class Opening:
    """Opens partitions, several at once.

    Attributes:
        settings: everything.
        config: what the partitions' tasks have in common.
        parts: the classes to use.
        consumer: whom to ask for offsets.
        identities: the input topics as they were at the start.
        threads: where rows are read.
        hash_seed: of the key tables.
        counters: what is counted.
    """

    settings: Settings
    config: TaskConfig
    parts: Parts
    consumer: GroupConsumer
    identities: Mapping[str, TopicIdentity]
    threads: ThreadPoolExecutor
    hash_seed: tuple[int, int]
    counters: Counters
    _slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_MOST_AT_ONCE))
    _reading: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_MOST_READERS))
    _readers: list[ChangelogReader] = field(default_factory=list)

    def producer(self, partition: Partition) -> TransactionalProducer:
        """A producer of the partition's transactions, not started."""
        return self.parts.producer(self.settings, f"{self.settings.application_id}-{partition}")

    async def open(self, partition: Partition) -> Opened:
        """Take a partition over.

        Raises:
            StateError: its state does not fit the input, the group or the settings.
            FencedError: another member takes it over at the same time.
            KafkaError: the brokers do not answer, or refuse.
        """
        identity = self.identities.get(partition.topic, _UNKNOWN)
        task = self.parts.task(
            partition.topic,
            partition.number,
            0,
            self.config,
            self.hash_seed,
            topic_id=identity.topic_id,
            partitions=identity.partitions,
        )
        async with self._slots:
            if not self.settings.state.durable:
                return await self._begin(partition, task, None, None, identity)
            producer = self.producer(partition)
            try:
                await producer.start()
                marker = await self._restore(partition, task)
                return await self._begin(partition, task, producer, marker, identity)
            except BaseException:
                await producer.stop()
                raise

    async def stop(self) -> None:
        """Disconnect the readers."""
        while self._readers:
            await self._readers.pop().stop()

    async def _restore(self, partition: Partition, task: PartitionTask) -> Marker | None:
        """Read the partition's state back; answers where it stands."""
        loop = asyncio.get_running_loop()
        changelog = self.settings.changelog_topic(partition.topic)
        rows = 0

        async def take(runs: list[BatchRun]) -> None:
            nonlocal rows
            rows += await loop.run_in_executor(self.threads, task.restore, runs)

        began = loop.time()
        try:
            async with self._reading:
                reader = await self._reader()
                try:
                    await reader.read(changelog, partition.number, take)
                except BaseException:
                    await reader.stop()
                    raise
                self._readers.append(reader)
            restored = await loop.run_in_executor(self.threads, task.restored)
        except ChangelogError as error:
            raise StateError(f"{partition}: {changelog}: {error}") from error
        if rows:
            seconds = loop.time() - began
            _log.info("%s: %d keys restored in %.1f s", partition, restored.keys, seconds)
        if restored.converted or restored.restarted:
            _log.info(
                "%s: the settings have changed: %d keys converted, %d begin anew",
                partition,
                restored.converted,
                restored.restarted,
            )
        self.counters.restored += restored.keys
        return restored.marker

    async def _reader(self) -> ChangelogReader:
        if self._readers:
            return self._readers.pop()
        reader = self.parts.reader(self.settings)
        await reader.start()
        return reader

    async def _begin(
        self,
        partition: Partition,
        task: PartitionTask,
        producer: TransactionalProducer | None,
        marker: Marker | None,
        identity: TopicIdentity,
    ) -> Opened:
        committed = (await self.consumer.committed([partition]))[partition]
        first, end = (await self.consumer.bounds([partition]))[partition]
        known = Known(marker, committed, first, end, identity)
        choose = start_without_state if producer is None else start_with_state
        start = choose(partition, known, self.settings)
        if start.warning:
            _log.warning("%s: %s", partition, start.warning)
        if start.position is None:
            task.position = await first_start(self.consumer, self.settings, partition, known)
        else:
            task.position = start.position
        kept = None if marker is None else marker.next_offset
        return Opened(task, producer, kept, committed)
