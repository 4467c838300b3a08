"""Sending dead letters back to the partitions they came from, and remembering which.

The progress is the committed offset of a group of its own, which never has members. A record and
the progress behind it are written one after the other: between the two a crash repeats the records
of one fetch.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import Final

import numpy as np
from aiokafka.errors import KafkaError, KafkaTimeoutError

from stream_ewma.columns import Spans
from stream_ewma.engine.dead_letters import DeadLetter, Origin
from stream_ewma.engine.replayed import Replayed
from stream_ewma.errors import TopicError
from stream_ewma.kafka.dead_letters import Found
from stream_ewma.kafka.errors import explain
from stream_ewma.kafka.group import Group, Noted, group_of
from stream_ewma.kafka.partition import Partition
from stream_ewma.kafka.producer import PartitionProducer, is_refusal, may_be_refusal
from stream_ewma.kafka.topics import partition_counts
from stream_ewma.records.compression import Compression
from stream_ewma.records.writer import EncodedBatch, encode
from stream_ewma.settings import Settings

_KEEP_MS: Final = 10 * 365 * 86_400_000
"""Brokers forget the offsets of a group without members after a week: this one is to last as long
as any dead letter does."""
_MOST_ATTEMPTS: Final = 2


def replay_group(settings: Settings) -> str:
    """The group whose offsets are the progress."""
    return f"{settings.application_id}-dlq-replay"


class Journal:
    """What has been sent back of each partition of the topic of dead letters.

    Args:
        group: the one of `replay_group`.
    """

    def __init__(self, group: Group) -> None:
        self._group = group

    async def read(self, partitions: Iterable[Partition]) -> dict[Partition, Replayed]:
        """How far each partition is.

        Raises:
            StreamEwmaError: the brokers do not tell.
        """
        found = await self._group.noted(partitions)
        return {
            p: Replayed() if noted is None else Replayed.read(*noted) for p, noted in found.items()
        }

    async def write(self, progress: Mapping[Partition, Replayed]) -> None:
        """Remember how far each partition is.

        Raises:
            StreamEwmaError: the brokers do not take it.
        """
        noted = {p: Noted(replayed.offset, replayed.note) for p, replayed in progress.items()}
        await self._group.note(noted, keep_ms=_KEEP_MS)

    async def bounds(self, partitions: Iterable[Partition]) -> dict[Partition, tuple[int, int]]:
        """First offset and end offset of each partition.

        Raises:
            StreamEwmaError: the brokers do not tell.
        """
        return await self._group.bounds(partitions)


@asynccontextmanager
async def journal_of(settings: Settings) -> AsyncIterator[Journal]:
    """The progress while this lasts.

    Raises:
        StreamEwmaError: no broker answers, or it refuses.
    """
    own = settings.model_copy(update={"application_id": replay_group(settings)})
    async with group_of(own) as group:
        yield Journal(group)


@dataclass(frozen=True, slots=True)
class Refused:
    """A dead letter that the broker does not take back.

    Attributes:
        origin: where it came from.
        reason: the broker's word.
    """

    origin: Origin
    reason: str


class Returner:
    """Writes records to where they came from: idempotent, acks=all, each one awaited.

    Args:
        settings: names, limits, security.
        partitions: of each input topic; None where it does not exist.
    """

    def __init__(self, settings: Settings, partitions: Mapping[str, int | None]) -> None:
        self._settings = settings
        self._partitions = partitions
        self._patience_s = (
            settings.kafka.startup_timeout + settings.kafka.request_timeout_ms
        ) / 1000
        self._producer = PartitionProducer(settings)
        self._is_started = False

    async def stop(self) -> None:
        """Disconnect."""
        await self._producer.stop()

    async def send(self, found: Found, letters: list[DeadLetter]) -> list[Refused]:
        """Write some of the letters found; those that the broker refuses, when it has the others.

        Raises:
            TopicError: a topic does not exist any more, or has not the partition.
            StreamEwmaError: the broker does not let this user write, or does not answer.
        """
        refused: list[Refused] = []

        def place(letter: DeadLetter) -> tuple[str, int]:
            origin = _origin(letter)
            return origin.topic, origin.partition

        for topic, number in set(map(place, letters)):  # all of them before anything is sent
            self._require(topic, number)
        # Stable: within a partition they go back in the order in which they came.
        for (topic, number), group in groupby(sorted(letters, key=place), key=place):
            try:
                refused += await self._send(found, list(group), topic, number)
            except (KafkaError, OSError) as error:
                raise explain(error, self._settings) from error
        return refused

    def _require(self, topic: str, number: int) -> None:
        count = self._partitions.get(topic)
        if count is None or number >= count:
            has = "does not exist" if count is None else f"has {count} partitions"
            raise TopicError(
                f"{topic}: {has}, so a dead letter of its partition {number} cannot go back:"
                " create it with as many as it had, or leave the topic out of input.topics"
            )

    async def _send(
        self, found: Found, letters: list[DeadLetter], topic: str, number: int
    ) -> list[Refused]:
        refused = []
        for batch in self._batches(found, letters):
            some = letters[batch.first_row : batch.first_row + batch.row_count]
            error = await self._refusal(batch, topic, number)
            if error is None:
                continue
            if len(some) == 1:
                refused.append(Refused(_origin(some[0]), str(error) or type(error).__name__))
                continue
            half = len(some) // 2
            refused += await self._send(found, some[:half], topic, number)
            refused += await self._send(found, some[half:], topic, number)
        return refused

    async def _refusal(self, batch: EncodedBatch, topic: str, number: int) -> KafkaError | None:
        """Write a batch; why the broker refuses it for what it holds, or None if it has it now."""
        for attempt in range(1, _MOST_ATTEMPTS + 1):
            if not self._is_started:
                await self._producer.start()
                self._is_started = True
            try:
                await self._acknowledged(batch, topic, number)
            except KafkaError as error:
                # Its sequence numbers do not fit any more.
                await self._producer.stop()
                self._is_started = False
                if is_refusal(error, attempt):
                    return error
                if not may_be_refusal(error):
                    raise
            else:
                return None
        raise KafkaTimeoutError(f"{topic}-{number} does not take a batch")

    async def _acknowledged(self, batch: EncodedBatch, topic: str, number: int) -> None:
        future = await self._producer.send(batch, topic, number)
        done, _ = await asyncio.wait({future}, timeout=self._patience_s)
        if not done:
            raise KafkaTimeoutError(f"no answer to a batch for {topic}-{number}")
        future.result()

    def _batches(self, found: Found, letters: list[DeadLetter]) -> list[EncodedBatch]:
        """The records as they were, without what was added to their headers."""
        rows = np.array([letter.row for letter in letters], np.int64)
        records = found.records.take(rows)
        return encode(
            records.timestamp,
            records.keys,
            records.values,
            Spans.of([letter.header_bytes for letter in letters]),
            np.array([len(letter.headers) for letter in letters], np.int32),
            max_batch_bytes=self._settings.output.max_batch_bytes,
            compression=Compression(self._settings.output.compression_type),
        )


@asynccontextmanager
async def returner(settings: Settings) -> AsyncIterator[Returner]:
    """A writer of records to the input topics while this lasts.

    Raises:
        StreamEwmaError: no broker answers, or it refuses.
    """
    counts = await partition_counts(settings, settings.input.topics)
    writer = Returner(settings, counts)
    try:
        yield writer
    finally:
        await writer.stop()


def _origin(letter: DeadLetter) -> Origin:
    if letter.origin is None:
        raise ValueError("no letter of this service")
    return letter.origin
