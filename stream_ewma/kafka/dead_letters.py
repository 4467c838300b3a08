"""Reading the topic of dead letters, for an operator's commands: as far as it reaches now."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from stream_ewma.engine.dead_letters import DeadLetter, letters_of
from stream_ewma.errors import StateError, TopicError
from stream_ewma.kafka.changelog import ChangelogReader, PositionLostError
from stream_ewma.kafka.partition import Partition
from stream_ewma.kafka.topics import partition_counts
from stream_ewma.records.columns import RecordColumns
from stream_ewma.records.fetched import BatchRun
from stream_ewma.records.reader import decode
from stream_ewma.settings import Settings


@dataclass(frozen=True, slots=True)
class Found:
    """Some dead letters that follow one another in a partition.

    Attributes:
        partition: of the topic of dead letters.
        records: their keys and values.
        letters: one for each record.
        next_offset: the offset after them.
    """

    partition: Partition
    records: RecordColumns
    letters: list[DeadLetter]
    next_offset: int


Take = Callable[[Found], Awaitable[bool]]
"""What becomes of some letters; answers whether to read on."""


class _EnoughError(Exception):
    """Nothing more is wanted."""


class DeadLetters:
    """The committed records of the topic of dead letters; see `dead_letters`.

    Attributes:
        partitions: all of the topic's.
    """

    def __init__(self, reader: ChangelogReader, partitions: list[Partition]) -> None:
        self._reader = reader
        self.partitions = partitions

    async def read(self, partition: Partition, take: Take, position: int | None = None) -> int:
        """Hand the letters of a partition to `take`, from an offset on; the end reached.

        Args:
            partition: of the topic of dead letters.
            take: is given them, a fetch at a time.
            position: the first offset; None: the first that there is.

        Raises:
            PositionLostError: the partition does not reach to `position`.
            StateError: a batch cannot be read.
            StreamEwmaError: the broker refuses, or nothing arrives any more.
        """
        at = position or 0

        async def take_runs(runs: list[BatchRun]) -> None:
            nonlocal at
            end = max(run.next_offset for run in runs)
            while at < end:
                decoded = decode(runs, at)
                at = decoded.next_offset
                letters = list(letters_of(decoded.records))
                if not await take(Found(partition, decoded.records, letters, at)):
                    raise _EnoughError
                if decoded.unreadable is not None:
                    raise StateError(
                        f"{partition}: the batch at offset {decoded.unreadable.offset} cannot be"
                        f" read: {decoded.unreadable.reason}"
                    )

        try:
            return await self._reader.read(
                partition.topic, partition.number, take_runs, position=position
            )
        except _EnoughError:
            return at


@asynccontextmanager
async def dead_letters(settings: Settings) -> AsyncIterator[DeadLetters]:
    """The topic of dead letters while this lasts.

    Raises:
        TopicError: it does not exist.
        StreamEwmaError: no broker answers, or it refuses.
    """
    topic = settings.dead_letter_topic
    count = (await partition_counts(settings, [topic]))[topic]
    if count is None:
        raise TopicError(
            f"{topic}: the topic for dead letters does not exist: mend dead_letters.topic or"
            " application_id, or run: stream-ewma topics create"
        )
    reader = ChangelogReader(settings)
    try:
        await reader.start()
        yield DeadLetters(reader, [Partition(topic, number) for number in range(count)])
    finally:
        await reader.stop()


__all__ = ["DeadLetters", "Found", "PositionLostError", "Take", "dead_letters"]
