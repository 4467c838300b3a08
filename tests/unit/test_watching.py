"""Who watches the stream: the newest win, nobody is waited for, who leaves costs nothing more."""

import asyncio
from typing import Any

import pytest

from stream_ewma.engine.sample import Watched
from stream_ewma.engine.step import Step
from stream_ewma.kafka.partition import Partition
from stream_ewma.service import watching
from stream_ewma.service.watching import MOST_WATCHERS, TooManyWatchersError, Watchers
from tests.support.window import rejected, sample

AIR = Partition("air", 3)
P, Q = b"p", b"q"


def step(*samples: Any, refusals: Any = ()) -> Step:
    counts = (0, 0, 0, {}, {}, {}, None, None)
    return Step([], *counts, samples=list(samples), refusals=list(refusals))


@pytest.fixture
def told() -> list[Watched]:
    return []


@pytest.fixture
def subject(told: list[Watched]) -> Watchers:
    return Watchers(told.append)


async def offsets(watcher) -> list[int]:
    return [seen.sample.offset for seen in await watcher.take(0.01)]


async def test_a_watcher_gets_the_samples_of_its_keys_with_their_partition(subject):
    watcher, other = subject.join(Watched(frozenset([P]))), subject.join(Watched(frozenset([Q])))

    subject.publish(AIR, step(sample(1, P), sample(2, Q), sample(3, P)))

    (first, second) = await watcher.take(0.01)
    assert (first.partition, first.sample.offset, second.sample.offset) == (AIR, 1, 3)
    assert await offsets(other) == [2]
    assert await offsets(watcher) == []


async def test_others_are_up_to_so_many_of_each_step(subject):
    watcher = subject.join(Watched(frozenset([P]), 2))

    subject.publish(AIR, step(*(sample(n, Q) for n in range(5)), sample(9, P)))
    subject.publish(AIR, step(sample(10, Q)))

    assert await offsets(watcher) == [0, 1, 9, 10]


async def test_the_newest_win(subject, monkeypatch):
    monkeypatch.setattr(watching, "_MOST_QUEUED", 3)
    slow, quick = (subject.join(Watched(frozenset([P]))) for _ in "ab")

    for n in range(5):
        subject.publish(AIR, step(sample(n, P)))
        assert await offsets(quick) == [n]

    assert await offsets(slow) == [2, 3, 4]
    assert (slow.missed, quick.missed) == (2, 0)


async def test_a_queue_is_bounded_and_so_is_what_is_kept_of_rejected_records(subject):
    watcher = subject.join(Watched(frozenset([P])))

    for n in range(300):
        subject.publish(AIR, step(*(sample(n, P) for _ in range(10)), refusals=[rejected()]))

    assert len(await watcher.take(0.01)) == 2000
    assert watcher.missed == 1000
    assert len(subject.rejected) == 200
    assert subject.rejected[-1].partition == AIR


async def test_who_waits_is_woken_by_the_first_sample(subject):
    watcher = subject.join(Watched(frozenset([P])))
    taking = asyncio.create_task(watcher.take(30))
    await asyncio.sleep(0)
    subject.publish(AIR, step(sample(1, P)))

    async with asyncio.timeout(5):
        assert [seen.sample.offset for seen in await taking] == [1]


async def test_too_many_watchers_are_refused_until_one_leaves(subject):
    watchers = [subject.join(Watched()) for _ in range(MOST_WATCHERS)]

    with pytest.raises(TooManyWatchersError):
        subject.join(Watched())

    subject.leave(watchers[0])
    assert subject.join(Watched()).wanted == Watched()


def test_steps_are_told_what_all_watchers_want_together(subject, told):
    first = subject.join(Watched(frozenset([P]), 3))
    second = subject.join(Watched(frozenset([Q]), 5))
    assert told[-1] == Watched(frozenset([P, Q]), 5)

    subject.change(first, Watched(frozenset([b"r"])))
    assert told[-1] == Watched(frozenset([Q, b"r"]), 5)

    subject.leave(second)
    assert told[-1] == Watched(frozenset([b"r"]))


async def test_when_the_last_one_has_left_nothing_is_sampled(subject, told):
    watcher = subject.join(Watched(frozenset([P])))
    subject.leave(watcher)
    subject.leave(watcher)  # twice is as good as once

    assert told[-1] == Watched()
    assert not told[-1]
    subject.publish(AIR, step(sample(1, P)))
    assert await offsets(watcher) == []
