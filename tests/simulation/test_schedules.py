"""Schedules: members that crash, sleep and come back between any two steps.

A schedule is its seed. `STREAM_EWMA_SEED=17 pytest tests/simulation -k default` runs one again,
`STREAM_EWMA_SCHEDULES=1000` so many of each kind: a core gets through some 700 a minute.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest

from tests.simulation.broker import Fenced
from tests.simulation.member import Member
from tests.simulation.stage import GUARANTEES, RECORDS, Stage, number_given, stream
from tests.support.streams import NAMES

SCHEDULES = number_given("STREAM_EWMA_SCHEDULES") or 25
MOST_TURNS = 60
REST = 0.2
"""How likely a turn is the last one when all is committed: there is little left to break."""
AT_ONCE = [7]
"""How much a member takes in that nothing happens to."""


@dataclass
class Life:
    """A member and what it is at."""

    member: Member
    steps: Iterator[str]


class Schedule:
    """One run of several members over one partition."""

    def __init__(self, stage: Stage, chance: random.Random) -> None:
        self._stage = stage
        self._chance = chance
        self._lives: list[Life] = []

    def run(self) -> Member:
        """Let chance decide; at the end one member finishes alone."""
        self._new_life()
        for _ in range(MOST_TURNS):
            if self._stage.is_done and self._chance.random() < REST:
                break
            if not self._lives or self._chance.random() < 0.03:
                self._new_life()  # a rebalance; the members before do not know of it yet
            life = self._chance.choice(self._lives)
            if self._chance.random() < 0.04:
                self._lives.remove(life)  # kill -9
                continue
            if self._chance.random() < 0.02:
                self._stage.broker.changelog.compact()
            for _ in range(self._chance.randint(1, 12)):  # the others stand still meanwhile
                if not self._step(life):
                    break
        return finish(self._stage)

    def _new_life(self) -> None:
        member = self._stage.member()
        self._lives.append(Life(member, member.take_over()))

    def _step(self, life: Life) -> bool:
        """One step of one member; whether it lives on."""
        try:
            if next(life.steps, None) is None:
                counts = [self._chance.randint(1, 4) for _ in range(self._chance.randint(1, 3))]
                life.steps = life.member.work(counts)
        except Fenced:
            self._lives.remove(life)
            return False
        return True


def finish(stage: Stage) -> Member:
    """A last member takes over and does what is left."""
    last = stage.member()
    for _ in last.whole(AT_ONCE):
        pass
    return last


def seeds() -> Sequence[int]:
    given = number_given("STREAM_EWMA_SEED")
    return range(SCHEDULES) if given is None else [given]


@pytest.mark.parametrize("guarantee", GUARANTEES)
@pytest.mark.parametrize("name", NAMES)
def test_nothing_shows_but_repeats_at_least_once(name: str, guarantee: str) -> None:
    for seed in seeds():
        chance = random.Random(seed)
        stage = Stage(name, guarantee, stream(chance, RECORDS))
        calm = stage.anew()
        finish(calm)

        last = Schedule(stage, chance).run()

        stage.check(last, calm.broker, f"STREAM_EWMA_SEED={seed}")
