"""A member that crashes at each of its requests in turn, and another one that takes over."""

import random
from collections.abc import Callable
from contextlib import suppress
from functools import cache

import pytest

from tests.simulation.broker import Broker, Fenced
from tests.simulation.connection import Connection, Crash, Loss
from tests.simulation.member import Member
from tests.simulation.stage import GUARANTEES, RECORDS, Stage, number_given, stream

SEED = number_given("STREAM_EWMA_SEED") or 0
NAMES = ("everything, bounded", "sorted")
TRANSACTION = (4, 3)
"""How many records the steps of a transaction take in."""
LATE = (1, 2, 3, 8)
"""A request may arrive behind so many steps of the successor: those of taking over, which have one
order that is safe, and one amid its first transaction."""


def new_stage(name: str, guarantee: str) -> Stage:
    return Stage(name, guarantee, stream(random.Random(SEED), RECORDS))


@cache
def undisturbed(name: str, guarantee: str) -> tuple[Broker, int]:
    """What a member that nothing happens to leaves behind, and how many requests it makes."""
    stage = new_stage(name, guarantee)
    connection = Connection(stage.broker)
    live(stage.member(connection))
    return stage.broker, connection.requests


def live(member: Member) -> None:
    for _ in member.whole(TRANSACTION):
        pass


def crashed(stage: Stage, at: int, loss: Loss) -> Connection:
    """The connection of a member that is gone with one of its requests."""
    connection = Connection(stage.broker, at, loss)
    with pytest.raises(Crash):
        live(stage.member(connection))
    return connection


@pytest.mark.parametrize("loss", [Loss.REQUEST, Loss.ANSWER], ids=lambda loss: loss.name)
@pytest.mark.parametrize("guarantee", GUARANTEES)
@pytest.mark.parametrize("name", NAMES)
def test_whatever_the_last_request_was_a_successor_goes_on_exactly(
    name: str, guarantee: str, loss: Loss
) -> None:
    expected, requests = undisturbed(name, guarantee)
    for at in range(requests):
        stage = new_stage(name, guarantee)
        crashed(stage, at, loss)

        last = stage.member()
        live(last)

        stage.check(last, expected, f"request {at}, {loss.value}; STREAM_EWMA_SEED={SEED}")


@pytest.mark.parametrize("guarantee", GUARANTEES)
@pytest.mark.parametrize("name", NAMES)
def test_a_last_request_that_arrives_amid_the_work_of_others_changes_nothing(
    name: str, guarantee: str
) -> None:
    expected, requests = undisturbed(name, guarantee)
    for at in range(requests):
        # Before anybody else does anything, it is the request whose answer is lost.
        for steps in LATE:
            stage = new_stage(name, guarantee)
            late = crashed(stage, at, Loss.NEITHER).late

            last = taken_over(stage, steps, late)

            told = f"request {at} behind {steps} steps; STREAM_EWMA_SEED={SEED}"
            stage.check(last, expected, told)


def taken_over(stage: Stage, steps: int, late: Callable[[], object] | None) -> Member:
    """The member that comes to the end although a request arrives behind so many steps.

    It may be the fence of the one who is gone: then the process begins anew.
    """
    assert late is not None
    while True:
        last = stage.member()
        with suppress(Fenced):
            for step, _ in enumerate(last.whole(TRANSACTION), 1):
                if step == steps and late is not None:
                    with suppress(Fenced):  # nobody waits for the answer
                        late()
                    late = None
            return last
