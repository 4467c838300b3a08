"""The kept state of partitions, read and written by an operator's commands."""

import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TypeVar

from aiokafka.errors import KafkaError
from aiokafka.partitioner import murmur2

from stream_ewma.engine.changelog import ChangelogError
from stream_ewma.engine.stored import LiveKeys, StoredPartition, StoredReader
from stream_ewma.errors import StateError, TopicError
from stream_ewma.kafka.changelog import ChangelogReader
from stream_ewma.kafka.errors import explain
from stream_ewma.kafka.partition import Partition
from stream_ewma.kafka.topics import partition_counts, topic_ids
from stream_ewma.kafka.transactions import TransactionalProducer, transactional_id
from stream_ewma.records.fetched import BatchRun
from stream_ewma.records.writer import EncodedBatch
from stream_ewma.settings import Settings

_MOST_PATIENCE_MS = 900_000  # the brokers' transaction.max.timeout.ms, as it comes

_Kind = TypeVar("_Kind", StoredReader, LiveKeys)

OnRead = Callable[[int], None]
"""Told how many records were read of a partition so far."""


def hash_seed() -> tuple[int, int]:
    """Two words for a key table."""
    return secrets.randbits(64), secrets.randbits(64)


@dataclass(frozen=True, slots=True)
class Topic:
    """An input topic.

    Attributes:
        name: its name.
        topic_id: Kafka's own; None where the brokers know none.
        partitions: how many it has.
        kept: how many its changelog has.
    """

    name: str
    topic_id: str | None
    partitions: int
    kept: int

    @property
    def kept_partitions(self) -> list[Partition]:
        """The partitions whose state is kept."""
        return [Partition(self.name, number) for number in range(self.kept)]


async def topic_of(settings: Settings, name: str) -> Topic:
    """What is known of an input topic and its changelog.

    Raises:
        TopicError: one of them does not exist.
        BrokerUnavailableError: no broker answers.
        AccessDeniedError: the broker does not let this user see the topics.
    """
    changelog = settings.changelog_topic(name)
    counts = await partition_counts(settings, [name, changelog])
    partitions, kept = counts[name], counts[changelog]
    if partitions is None:
        raise TopicError(f"{name}: the topic does not exist; mend input.topics or --topic")
    if kept is None and settings.state.durable:
        raise TopicError(
            f"{changelog}: the topic that keeps the state of {name} does not exist: the service has"
            f" not run as {settings.application_id}, or run: stream-ewma topics create"
        )
    ids = await topic_ids(settings, [name])
    return Topic(name, ids[name], partitions, kept or 0)


def partition_of(key: bytes, partitions: int) -> int:
    """Where Java's default partitioner puts a key."""
    return int(murmur2(key) & 0x7FFFFFFF) % partitions


class KeptState:
    """Reads what is kept of partitions; made by `kept_state`.

    Args:
        settings: names, limits, security.
        reader: started.
        on_read: told the progress.
    """

    def __init__(self, settings: Settings, reader: ChangelogReader, on_read: OnRead) -> None:
        self._settings = settings
        self._reader = reader
        self._on_read = on_read

    async def read(
        self, partition: Partition, only: Sequence[bytes] | None = None
    ) -> StoredPartition | None:
        """What is kept of a partition, or of some of its keys; None where nothing is.

        Raises:
            StateError: it cannot be read.
            StreamEwmaError: no broker answers, or it refuses.
        """
        reader = await self._read(partition, StoredReader(hash_seed(), only))
        try:
            return reader.finish()
        except ChangelogError as error:
            raise self._explained(partition, error) from error

    async def live(self, partition: Partition) -> LiveKeys:
        """The keys of a partition's changelog, whether its records go together or not.

        Raises:
            StateError: a record cannot be read.
            StreamEwmaError: no broker answers, or it refuses.
        """
        return await self._read(partition, LiveKeys(hash_seed()))

    async def _read(self, partition: Partition, into: _Kind) -> _Kind:
        count = 0

        async def take(runs: list[BatchRun]) -> None:
            nonlocal count
            count += into.read(runs)
            self._on_read(count)

        changelog = self._settings.changelog_topic(partition.topic)
        try:
            await self._reader.read(changelog, partition.number, take)
        except ChangelogError as error:
            raise self._explained(partition, error) from error
        return into

    def _explained(self, partition: Partition, error: ChangelogError) -> StateError:
        changelog = self._settings.changelog_topic(partition.topic)
        return StateError(f"{changelog}: partition {partition.number}: {error}")


@asynccontextmanager
async def kept_state(settings: Settings, on_read: OnRead) -> AsyncIterator[KeptState]:
    """A reader of kept state while this lasts.

    Raises:
        StreamEwmaError: no broker answers, or it refuses.
    """
    reader = ChangelogReader(settings)
    try:
        await reader.start()
        yield KeptState(settings, reader, on_read)
    finally:
        await reader.stop()


class PartitionWriter:
    """One transaction on what is kept of a partition; nothing of it counts before `commit`.

    Starting it fences the service, should it hide from the group.

    Args:
        settings: names, limits, security.
        partition: the input partition.
    """

    def __init__(self, settings: Settings, partition: Partition) -> None:
        self._settings = settings
        self._partition = partition
        self._changelog = settings.changelog_topic(partition.topic)
        # All rows of a partition are one transaction, which may take its time.
        patient = settings.delivery.model_copy(update={"transaction_timeout": _MOST_PATIENCE_MS})
        self._producer = TransactionalProducer(
            settings.model_copy(update={"delivery": patient}),
            transactional_id(settings, partition),
        )

    async def start(self) -> None:
        """Fence, and begin.

        Raises:
            StreamEwmaError: no broker answers, or it refuses.
        """
        try:
            await self._producer.start()
            await self._producer.begin()
        except KafkaError as error:
            raise explain(error, self._settings) from error

    async def write(self, batches: Sequence[EncodedBatch]) -> None:
        """Write records of the changelog.

        Raises:
            StreamEwmaError: the broker refuses, or does not answer.
        """
        try:
            for batch in batches:
                await self._producer.send(batch, self._changelog, self._partition.number)
        except KafkaError as error:
            raise explain(error, self._settings) from error

    async def commit(self, offset: int | None) -> None:
        """Make all that was written count, and set the group's offset, if there is one to set.

        Raises:
            StreamEwmaError: the broker refuses, or does not answer.
        """
        try:
            await self._producer.commit({} if offset is None else {self._partition: offset})
        except KafkaError as error:
            raise explain(error, self._settings) from error

    async def stop(self) -> None:
        """Disconnect; what was not committed is given up."""
        if self._producer.in_transaction:
            with suppress(KafkaError, OSError):  # the brokers give it up themselves, after a while
                await self._producer.abort()
        await self._producer.stop()


@asynccontextmanager
async def writing(settings: Settings, partition: Partition) -> AsyncIterator[PartitionWriter]:
    """A writer that has begun, while this lasts."""
    writer = PartitionWriter(settings, partition)
    try:
        await writer.start()
        yield writer
    finally:
        await writer.stop()
