"""`dlq list` and `dlq show`: what lies among the dead letters."""

import sys
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import orjson

from stream_ewma.cli.letters import (
    letter_document,
    letter_text,
    moment,
    origin_text,
    reason_text,
)
from stream_ewma.cli.recorded import Progress
from stream_ewma.cli.tables import is_ascii_only, number, table
from stream_ewma.engine.dead_letters import DeadLetter, Origin
from stream_ewma.kafka.connect import wait_for_broker
from stream_ewma.kafka.dead_letters import Found, PositionLostError, dead_letters
from stream_ewma.kafka.partition import Partition
from stream_ewma.settings import Settings

_NOT_FOUND: Final = 1
_MOST_GROUPS: Final = 1_000
_HEADER: Final = ("reason", "topic", "letters", "first", "last", "example")
_LEFT: Final = ("reason", "topic", "first", "last", "example")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which letters are meant.

    Attributes:
        reason: of them; None: any.
        since: no older than that, ms since the epoch; None: of any age.
        origin: the record it was; None: any.
    """

    reason: str | None = None
    since: int | None = None
    origin: Origin | None = None

    def has(self, letter: DeadLetter) -> bool:
        """Whether a letter is one of them."""
        return (
            self.reason in (None, letter.reason)
            and (self.since is None or letter.timestamp >= self.since)
            and self.origin in (None, letter.origin)
        )


@dataclass(slots=True)
class _Group:
    """Letters of one reason and topic.

    Attributes:
        letters: how many.
        first: the earliest timestamp, -1 where none has one.
        last: the latest.
        example: where the latest of them in the topic came from.
    """

    letters: int = 0
    first: int = -1
    last: int = -1
    example: str = "-"

    def add(self, letter: DeadLetter) -> None:
        """Count one more."""
        self.letters += 1
        self.example = origin_text(letter)
        if letter.timestamp != -1:
            self.first = letter.timestamp if self.first == -1 else min(self.first, letter.timestamp)
            self.last = max(self.last, letter.timestamp)


@dataclass(slots=True)
class Summary:
    """How many letters there are of each reason and topic.

    Attributes:
        groups: by reason and topic; the last one takes in what is too much.
    """

    groups: dict[tuple[str, str], _Group] = field(default_factory=dict)

    def add(self, letter: DeadLetter) -> None:
        """Count one more."""
        topic = letter.origin.topic if letter.origin else "-"
        place = (reason_text(letter), topic)
        # Whoever may write to the topic can invent names without end.
        if place not in self.groups and len(self.groups) >= _MOST_GROUPS:
            place = ("(others)", "-")
        self.groups.setdefault(place, _Group()).add(letter)

    def rows(self) -> list[list[str]]:
        """The rows of a table, the most frequent first."""
        return [
            [
                reason,
                topic,
                number(group.letters),
                moment(group.first),
                moment(group.last),
                group.example,
            ]
            for (reason, topic), group in self._sorted()
        ]

    def documents(self) -> list[dict[str, object]]:
        """The same for programs, with times in ms since the epoch."""
        return [
            {
                "reason": reason,
                "topic": topic,
                "letters": group.letters,
                "first": None if group.first == -1 else group.first,
                "last": None if group.last == -1 else group.last,
                "example": group.example,
            }
            for (reason, topic), group in self._sorted()
        ]

    def _sorted(self) -> list[tuple[tuple[str, str], _Group]]:
        return sorted(self.groups.items(), key=lambda each: (-each[1].letters, each[0]))


async def list_letters(settings: Settings, wanted: Wanted, *, as_json: bool) -> int:
    """Print how many dead letters there are of each reason and topic.

    Raises:
        StreamEwmaError: the topic cannot be read.
    """
    summary, progress = Summary(), Progress("dead letters read")
    seen = 0

    async def take(found: Found) -> bool:
        nonlocal seen
        seen += len(found.letters)
        progress.show(seen, None)
        for letter in filter(wanted.has, found.letters):
            summary.add(letter)
        return True

    await wait_for_broker(settings)
    async with dead_letters(settings) as letters:
        for partition in letters.partitions:
            await letters.read(partition, take)
    progress.clear()
    if as_json:
        for document in summary.documents():
            sys.stdout.write(orjson.dumps(document).decode() + "\n")
    elif summary.groups:
        sys.stdout.write(table(_HEADER, summary.rows(), left=_LEFT))
    else:
        sys.stdout.write(f"{settings.dead_letter_topic}: {_none(seen)}\n")
    return 0


def _none(seen: int) -> str:
    return f"none of the {seen:,} dead letters matches" if seen else "there are no dead letters"


class _Printer:
    """Prints letters, up to a number of them."""

    def __init__(self, limit: int, *, as_json: bool) -> None:
        self.printed = 0
        self._limit = limit
        self._as_json = as_json
        self._ascii_only = is_ascii_only()

    @property
    def is_done(self) -> bool:
        """Whether it has printed enough."""
        return self.printed >= self._limit

    def show(self, found: Found, letter: DeadLetter) -> None:
        """Print one."""
        key, value = found.records.keys.item(letter.row), found.records.values.item(letter.row)
        if self._as_json:
            topic, partition = found.partition.topic, found.partition.number
            document = letter_document(topic, partition, letter, key, value)
            sys.stdout.write(orjson.dumps(document).decode() + "\n")
        else:
            text = letter_text(
                str(found.partition), letter, key, value, ascii_only=self._ascii_only
            )
            sys.stdout.write(("\n" if self.printed else "") + text)
        self.printed += 1


async def show_letters(settings: Settings, wanted: Wanted, limit: int, *, as_json: bool) -> int:
    """Print dead letters one by one, the oldest of each partition first; 1 if there is none.

    Raises:
        StreamEwmaError: the topic cannot be read.
    """
    printer, progress = _Printer(limit, as_json=as_json), Progress("dead letters read")
    seen = 0

    async def take(found: Found) -> bool:
        nonlocal seen
        seen += len(found.letters)
        for letter in filter(wanted.has, found.letters):
            if printer.is_done:
                break
            progress.clear()
            printer.show(found, letter)
        progress.show(seen, None)
        return not printer.is_done

    await wait_for_broker(settings)
    async with dead_letters(settings) as letters:
        for partition in letters.partitions:
            if not printer.is_done:
                await letters.read(partition, take)
    progress.clear()
    if not printer.printed:
        sys.stderr.write(f"{settings.dead_letter_topic}: {_none(seen)}\n")
        return _NOT_FOUND
    if printer.is_done and not as_json:
        sys.stderr.write(f"\nthere may be more: --limit shows more than {limit}\n")
    return 0


async def show_one(settings: Settings, number_: int, offset: int, *, as_json: bool) -> int:
    """Print the dead letter at an offset of a partition of the topic; 1 if there is none.

    Raises:
        StreamEwmaError: the topic cannot be read.
    """
    printer = _Printer(1, as_json=as_json)

    async def take(found: Found) -> bool:
        for letter in found.letters:
            if letter.offset == offset:
                printer.show(found, letter)
        return found.next_offset <= offset

    place = Partition(settings.dead_letter_topic, number_)
    await wait_for_broker(settings)
    async with dead_letters(settings) as letters:
        if place in letters.partitions:
            with suppress(PositionLostError):
                await letters.read(place, take, offset)
    if not printer.printed:
        sys.stderr.write(f"{place}@{offset}: there is no such dead letter\n")
        return _NOT_FOUND
    return 0
