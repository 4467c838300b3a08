"""What of a refused batch is found to be refused, and which failures say nothing about it."""

from collections.abc import Callable
from typing import Any

import pytest
from aiokafka.errors import (
    KafkaError,
    MessageSizeTooLargeError,
    NotEnoughReplicasError,
    UnknownError,
)

from stream_ewma.engine.outgoing import Destination
from stream_ewma.kafka.errors import OutcomeUnknownError
from stream_ewma.kafka.refusals import Refusal, examine


class Batch:
    """Stands in for a batch of records, which are letters."""

    destination = Destination.OUTPUT

    def __init__(self, records: str) -> None:
        self.encoded = records

    def __len__(self) -> int:
        return len(self.encoded)

    def halves(self) -> list["Batch"]:
        middle = len(self) // 2
        return [Batch(self.encoded[:middle]), Batch(self.encoded[middle:])]


class Answer:
    """An acknowledgement, or what stands in its place."""

    def __init__(self, error: Exception | None) -> None:
        self._error = error

    def __await__(self) -> Any:
        if self._error is not None:
            raise self._error
        return (yield from ())


class Producer:
    """Plays the brokers: `answer` says what comes of a piece."""

    def __init__(
        self, answer: Callable[[str], Exception | None], start: Any = None, abort: Any = None
    ) -> None:
        self._answer, self._start, self._abort = answer, start, abort

    async def start(self) -> None:
        if self._start is not None:
            raise self._start

    async def begin(self) -> None: ...

    async def stop(self) -> None: ...

    async def abort(self) -> None:
        if self._abort is not None:
            raise self._abort

    async def send(self, piece: str, _topic: str, _partition: int) -> Answer:
        return Answer(self._answer(piece))


async def examined(
    records: str, *answers: Callable[[str], Exception | None], **more: Any
) -> Refusal:
    """Examine a batch; each producer answers as the next of `answers` says, the last one always."""
    left = list(answers)

    def make() -> Any:
        return Producer(left.pop(0) if len(left) > 1 else left[0], **more)

    batch: Any = Batch(records)
    topics = dict.fromkeys(Destination, "out")
    return await examine(make, topics, 0, batch, lambda: True)


def names(refusal: Refusal) -> list[Any]:
    return [record.encoded for record in refusal.records]


def refuses(letters: str, error: type[Exception]) -> Callable[[str], Exception | None]:
    return lambda piece: error() if set(letters) & set(piece) else None


def takes(_piece: str) -> None:
    return None


@pytest.mark.parametrize("error", [MessageSizeTooLargeError, UnknownError])
async def test_each_record_that_is_refused_is_found(error: type[Exception]) -> None:
    refusal = await examined("abcdefgh", refuses("cg", error))

    assert names(refusal) == ["c", "g"]


async def test_where_only_size_is_refused_it_is_told_how_often_to_halve() -> None:
    refusal = await examined(
        "abcdefgh", lambda piece: MessageSizeTooLargeError() if len(piece) > 2 else None
    )

    assert (names(refusal), refusal.halvings) == ([], 2)


async def test_an_error_without_a_name_blames_nothing_that_is_taken_the_next_time() -> None:
    refusal = await examined("a", refuses("a", UnknownError), takes)

    assert names(refusal) == []


async def test_a_producer_that_cannot_begin_blames_no_record() -> None:
    with pytest.raises(UnknownError):
        await examined("a", takes, start=UnknownError())


async def test_another_complaint_blames_no_record() -> None:
    with pytest.raises(NotEnoughReplicasError):
        await examined("a", refuses("a", NotEnoughReplicasError))


@pytest.mark.parametrize("error", [OutcomeUnknownError(), KafkaError()])
async def test_it_is_all_the_same_what_comes_of_giving_up(error: KafkaError) -> None:
    refusal = await examined("ab", takes, abort=error)

    assert (names(refusal), refusal.halvings) == ([], 0)
