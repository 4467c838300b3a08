"""Thousands of schedules: members that crash, sleep and come back between any two steps.

A schedule is its seed. `STREAM_EWMA_SEED=17 pytest tests/simulation -k default` runs one again.
"""

import os
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest

from stream_ewma.engine.outgoing import Destination
from stream_ewma.settings import Settings, load_settings
from tests.simulation.broker import Broker, Fenced
from tests.simulation.member import Member
from tests.support.batches import NOW_MS, Published, Record
from tests.support.streams import NAMES, config_named

SCHEDULES = 25
MOST_TURNS = 60


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


@dataclass
class Life:
    """A member and what it is at."""

    member: Member
    steps: Iterator[str]
    is_ready: bool = False


class Schedule:
    """One run of several members over one partition."""

    def __init__(self, name: str, guarantee: str, seed: int) -> None:
        self.chance = random.Random(seed)
        self.rows = stream(self.chance, 30)
        self.config, self.settings = config_named(name), settings(guarantee)
        self.broker = Broker()
        self.lives: list[Life] = []
        self._number = 0

    def new_life(self) -> Life:
        self._number += 1
        member = Member(self.broker, self.config, self.settings, self.rows, self._number)
        self.lives.append(Life(member, member.take_over()))
        return self.lives[-1]

    def run(self) -> Member:
        """Let chance decide; at the end one member finishes alone."""
        self.new_life()
        for _ in range(MOST_TURNS):
            if not self.lives or self.chance.random() < 0.03:
                self.new_life()  # a rebalance; the members before do not know of it yet
            life = self.chance.choice(self.lives)
            if self.chance.random() < 0.04:
                self.lives.remove(life)  # kill -9
                continue
            if self.chance.random() < 0.02:
                self.broker.changelog.compact()
            for _ in range(self.chance.randint(1, 12)):  # the others stand still meanwhile
                if not self._step(life):
                    break
        return self.finish()

    def _step(self, life: Life) -> bool:
        """One step of one member; whether it lives on."""
        try:
            if next(life.steps, None) is None:
                life.is_ready = True
                counts = [self.chance.randint(1, 4) for _ in range(self.chance.randint(1, 3))]
                life.steps = life.member.work(counts)
        except Fenced:
            self.lives.remove(life)
            return False
        return True

    def finish(self) -> Member:
        """A last member takes over and does what is left."""
        last = self.new_life()
        for _ in last.member.take_over():
            pass
        while last.member.task.position < len(self.rows):
            for _ in last.member.work([7]):
                pass
        for _ in last.member.work([]):
            pass
        return last.member


def undisturbed(schedule: Schedule) -> Broker:
    """What a single member that nothing happens to leaves behind."""
    calm = Schedule.__new__(Schedule)
    calm.__dict__ |= schedule.__dict__ | {"broker": Broker(), "lives": [], "_number": 0}
    calm.finish()
    return calm.broker


def seeds() -> Sequence[int]:
    given = os.environ.get("STREAM_EWMA_SEED")
    return range(SCHEDULES) if given is None else [int(given)]


@pytest.mark.parametrize("name", NAMES)
def test_exactly_once_nothing_shows(name: str) -> None:
    for seed in seeds():
        schedule = Schedule(name, "exactly_once", seed)
        last = schedule.run()
        expected = undisturbed(schedule)

        told = f"STREAM_EWMA_SEED={seed}"
        for destination in Destination:
            assert schedule.broker.counting(destination) == expected.counting(destination), told
        check_state(schedule, last, expected, told)


@pytest.mark.parametrize("name", NAMES)
def test_at_least_once_outputs_are_repeated_with_the_same_bits(name: str) -> None:
    for seed in seeds():
        schedule = Schedule(name, "at_least_once", seed)
        last = schedule.run()
        expected = undisturbed(schedule)

        told = f"STREAM_EWMA_SEED={seed}"
        for destination in Destination:
            found, wanted = schedule.broker.counting(destination), expected.counting(destination)
            assert set(map(bits, found)) == set(map(bits, wanted)), told
            assert without_repeats(found, wanted), told
        check_state(schedule, last, expected, told)


def check_state(schedule: Schedule, last: Member, expected: Broker, told: str) -> None:
    """Rows, position and offset are those of the undisturbed run; nothing hangs."""
    assert schedule.broker.changelog.state == expected.changelog.state, told
    assert schedule.broker.committed == expected.committed == len(schedule.rows), told
    assert not schedule.broker.is_hanging, told
    restored = schedule.new_life().member
    for _ in restored.take_over():
        pass
    assert restored.task.keys_count == last.task.keys_count, told


def bits(record: Published) -> tuple[object, ...]:
    return record.key, record.value, record.timestamp, tuple(sorted(record.headers.items()))


def without_repeats(found: list[Published], wanted: list[Published]) -> bool:
    """Whether every record of the undisturbed run comes, in order, among those found."""
    rest = iter(found)
    return all(any(each == record for each in rest) for record in wanted)
