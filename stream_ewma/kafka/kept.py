"""The kept state of partitions, read and written by an operator's commands."""

import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

from aiokafka.errors import KafkaError

from stream_ewma.engine.changelog import ChangelogError
from stream_ewma.engine.stored import LiveKeys, StoredPartition, StoredReader
from stream_ewma.errors import StateError
from stream_ewma.kafka.changelog import ChangelogReader
from stream_ewma.kafka.errors import explain
from stream_ewma.kafka.partition import Partition
from stream_ewma.kafka.transactions import TransactionalProducer
from stream_ewma.records.fetched import BatchRun
from stream_ewma.records.writer import EncodedBatch
from stream_ewma.settings import Settings

_Kind = TypeVar("_Kind", StoredReader, LiveKeys)

OnRead = Callable[[int], None]
"""Told how many records were read of a partition so far."""


def hash_seed() -> tuple[int, int]:
    """Two words for a key table."""
    return secrets.randbits(64), secrets.randbits(64)


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
        self._producer = TransactionalProducer(settings, f"{settings.application_id}-{partition}")

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
