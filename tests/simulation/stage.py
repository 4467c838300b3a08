"""One partition with its input and its broker, and what must have come of it in the end."""

import os
import random
from collections.abc import Sequence
from functools import cache
from typing import Any, Self

from stream_ewma.engine.outgoing import Destination
from stream_ewma.settings import Settings, load_settings
from tests.simulation.broker import Broker
from tests.simulation.member import Member
from tests.support.batches import NOW_MS, Published, Record
from tests.support.streams import config_named

RECORDS = 30
GUARANTEES = ("exactly_once", "at_least_once")


def number_given(name: str) -> int | None:
    """What the environment says, if anything."""
    text = os.environ.get(name)
    return None if text is None else int(text)


@cache
def settings(guarantee: str) -> Settings:
    return load_settings(
        overrides={
            "input.topics": ["a"],
            "smoothing.alpha": 0.5,
            "delivery.guarantee": guarantee,
        },
        env={},
    )


def stream(chance: random.Random, count: int) -> list[Record]:
    """Readings of a few keys: late ones, silences, bad values, resets and tombstones."""
    rows, now = [], NOW_MS
    for _ in range(count):
        now += chance.choice([0, 1, 100, 501, 3000, 12_000])
        event_time = now - chance.choice([0, 0, 0, 50, 4000])
        x = chance.choice(["null", '"x"', "1e308", "-0.0", *[repr(chance.uniform(-50, 50))] * 12])
        reset = ',"r":true' if chance.random() < 0.05 else ""
        value = f'{{"x":{x},"y":{chance.uniform(0, 9)!r},"timestamp":{event_time}{reset}}}'
        is_tombstone = chance.random() < 0.05
        key = chance.choice([b"a", b"b", b"c"])
        rows.append(Record(key, None if is_tombstone else value.encode(), now))
    return rows


class Stage:
    """Where members of a group play.

    Args:
        name: one of `NAMES`, what the service does.
        guarantee: of delivery.
        rows: the input partition.

    Attributes:
        broker: has all that lasts.
    """

    def __init__(self, name: str, guarantee: str, rows: Sequence[Record]) -> None:
        self.rows = rows
        self.broker = Broker()
        self._name = name
        self._guarantee = guarantee
        self._members = 0

    def anew(self) -> Self:
        """The same before anything has happened."""
        return type(self)(self._name, self._guarantee, self.rows)

    def member(self, broker: Any = None) -> Member:
        """A new process, which reaches the broker by itself or through `broker`."""
        self._members += 1
        return Member(
            broker or self.broker,
            config_named(self._name),
            settings(self._guarantee),
            self.rows,
            self._members,
        )

    @property
    def is_done(self) -> bool:
        """Whether all of the input is committed."""
        return self.broker.committed == len(self.rows)

    def check(self, last: Member, expected: Broker, told: str) -> None:
        """Insist on what an undisturbed run leaves behind, bit for bit; nothing hangs.

        At least once, outputs may be repeated besides, with the same bits.

        Args:
            last: a member that has come to the end of the input.
            expected: the broker of the undisturbed run.
            told: with a failure.
        """
        for destination in Destination:
            found, wanted = self.broker.counting(destination), expected.counting(destination)
            if self._guarantee == "exactly_once":
                assert found == wanted, told
            else:
                assert set(map(bits, found)) == set(map(bits, wanted)), told
                assert is_among(wanted, found), told
        assert self.broker.changelog.state == expected.changelog.state, told
        assert self.broker.committed == expected.committed == len(self.rows), told
        assert not self.broker.is_hanging, told
        restored = self.member()
        for _ in restored.take_over():
            pass
        assert restored.task.keys_count == last.task.keys_count, told


def bits(record: Published) -> tuple[object, ...]:
    return record.key, record.value, record.timestamp, tuple(sorted(record.headers.items()))


def is_among(wanted: list[Published], found: list[Published]) -> bool:
    """Whether every record of the undisturbed run comes, in order, among those found."""
    rest = iter(found)
    return all(any(each == record for each in rest) for record in wanted)
