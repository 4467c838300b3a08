"""`dlq replay`: send dead letters back to where they came from, each of them once."""

import sys
from dataclasses import dataclass, field
from typing import Final

from stream_ewma.cli.dlq_show import Wanted
from stream_ewma.cli.letters import escaped
from stream_ewma.cli.recorded import Progress
from stream_ewma.cli.tables import counted, number, table
from stream_ewma.engine.dead_letters import DeadLetter
from stream_ewma.engine.replayed import MOST_SINGLE, Replayed
from stream_ewma.errors import StateError
from stream_ewma.kafka.connect import wait_for_broker
from stream_ewma.kafka.dead_letters import DeadLetters, Found, dead_letters
from stream_ewma.kafka.partition import Partition
from stream_ewma.kafka.replaying import (
    Journal,
    Refused,
    Returner,
    journal_of,
    replay_group,
    returner,
)
from stream_ewma.settings import Settings

_FOUND: Final = 1
_MOST_TOLD: Final = 20
_HEADER: Final = ("topic", "partition", "reason", "letters")


@dataclass(slots=True)
class _Told:
    """What was done.

    Attributes:
        sent: how many letters, by topic, partition and reason.
        foreign: how many were left out: of other topics, or not of this service.
        before: how many had been sent back before.
        refused: what the brokers did not take, the first of them.
        refused_count: how many that were.
    """

    sent: dict[tuple[str, int, str], int] = field(default_factory=dict)
    foreign: int = 0
    before: int = 0
    refused: list[Refused] = field(default_factory=list)
    refused_count: int = 0

    def add(self, letters: list[DeadLetter], refused: list[Refused]) -> None:
        """Note what became of some letters."""
        self.refused_count += len(refused)
        self.refused += refused[: _MOST_TOLD - len(self.refused)]
        away = {each.origin for each in refused}
        for letter in letters:
            if letter.origin is not None and letter.origin not in away:
                place = (letter.origin.topic, letter.origin.partition, letter.reason)
                self.sent[place] = self.sent.get(place, 0) + 1


class Replay:
    """One run of the command.

    Args:
        settings: names, limits, security.
        wanted: which letters.
        is_dry: nothing is written.
        again: those that were sent back before, too.
    """

    def __init__(self, settings: Settings, wanted: Wanted, *, is_dry: bool, again: bool) -> None:
        self._settings = settings
        self._wanted = wanted
        self._is_dry = is_dry
        self._again = again
        self._told = _Told()
        self._progress = Progress("dead letters read")
        self._seen = 0
        self._goes_on = False

    async def run(self) -> int:
        """Do it, and say what was done; 1 if the brokers refuse a letter, or there is no such one.

        Raises:
            StreamEwmaError: the brokers do not allow it.
        """
        settings = self._settings
        await wait_for_broker(settings)
        async with (
            dead_letters(settings) as letters,
            journal_of(settings) as journal,
            returner(settings) as writer,
        ):
            for partition in self._partitions(letters):
                await self._replay(partition, letters, journal, writer)
        self._progress.clear()
        return self._tell()

    def _partitions(self, letters: DeadLetters) -> list[Partition]:
        origin = self._wanted.origin
        # A dead letter lies in the partition of the number that its record lay in.
        return [p for p in letters.partitions if origin is None or p.number == origin.partition]

    async def _replay(
        self, partition: Partition, letters: DeadLetters, journal: Journal, writer: Returner
    ) -> None:
        done = (await journal.read([partition]))[partition]
        first, end = (await journal.bounds([partition]))[partition]
        reason, origin = self._wanted.reason, self._wanted.origin
        if done.start(reason) > end and not self._again:
            raise StateError(
                f"{partition}: ends at {end}, and was replayed up to {done.start(reason)}: it was"
                " created anew; to replay it from its beginning: stream-ewma dlq replay --again"
            )
        if done.start(reason) > end:
            done = Replayed()
        if origin and not self._again and len(done.single) >= MOST_SINGLE:
            raise StateError(
                f"{partition}: {MOST_SINGLE} dead letters were replayed alone, more cannot be"
                " remembered: replay the rest with `stream-ewma dlq replay`"
            )
        is_whole = self._again or origin is not None
        start = first if is_whole else max(first, done.start(reason))
        self._goes_on |= start > first

        async def take(found: Found) -> bool:
            nonlocal done
            self._seen += len(found.letters)
            chosen = self._chosen(found.letters, done)
            if self._is_dry:
                self._told.add(chosen, [])
            else:
                if chosen:
                    self._told.add(chosen, await writer.send(found, chosen))
                done = self._after(done, found, chosen)
                await journal.write({partition: done})
            self._progress.show(self._seen, None)
            return not (origin and chosen)

        end = await letters.read(partition, take, start)
        if origin is None and not self._is_dry:
            # What lies between the last letter and the end need not be looked at again.
            await journal.write({partition: done.reached(end, reason)})

    def _chosen(self, letters: list[DeadLetter], done: Replayed) -> list[DeadLetter]:
        """Those to send back."""
        chosen = []
        for letter in filter(self._wanted.has, letters):
            if letter.origin is None or letter.origin.topic not in self._settings.input.topics:
                self._told.foreign += 1
            elif not self._again and done.has(letter):
                self._told.before += 1
            else:
                chosen.append(letter)
                if self._wanted.origin:
                    break
        return chosen

    def _after(self, done: Replayed, found: Found, chosen: list[DeadLetter]) -> Replayed:
        """How far the partition is once `chosen` are sent."""
        if self._wanted.origin is None:
            return done.reached(found.next_offset, self._wanted.reason)
        for letter in chosen:
            if not done.has(letter) and len(done.single) < MOST_SINGLE:
                done = done.with_single(letter.offset)
        return done

    def _tell(self) -> int:
        told = self._told
        sent = sum(told.sent.values())
        if told.sent:
            rows = [
                [topic, str(partition), reason, number(count)]
                for (topic, partition, reason), count in sorted(told.sent.items())
            ]
            sys.stdout.write(table(_HEADER, rows, left=("topic", "reason")))
        what = "would be replayed; nothing was written" if self._is_dry else "replayed"
        sys.stdout.write(f"{counted(sent, 'dead letter')} {what}\n")
        if self._goes_on:
            group = replay_group(self._settings)
            sys.stdout.write(
                f"went on where the last replay ended (group {group}); --again begins anew\n"
            )
        for count, why in (
            (told.before, "had been replayed before; --again replays them once more"),
            (told.foreign, "left out: not from a topic of input.topics"),
        ):
            if count:
                sys.stdout.write(f"{counted(count, 'dead letter')} {why}\n")
        for refused in told.refused:
            what = f"{refused.origin}: the broker refuses it: {refused.reason}"
            sys.stderr.write(f"{escaped(what)}\n")
        if told.refused_count:
            away = counted(told.refused_count, "dead letter")
            sys.stderr.write(
                f"{away} refused and passed over; once mended: stream-ewma dlq replay --again"
                " --origin TOPIC-PARTITION@OFFSET\n"
            )
        origin = self._wanted.origin
        is_missing = origin is not None and not (sent or told.before or told.refused_count)
        if is_missing:
            sys.stderr.write(f"{escaped(str(origin))}: there is no such dead letter\n")
        return _FOUND if told.refused_count or is_missing else 0
