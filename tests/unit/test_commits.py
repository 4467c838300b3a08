"""When a partition's work is committed: the interval, the records, the pace, one at a time."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from stream_ewma.engine.step import Cut
from stream_ewma.service import commits as commits_module
from stream_ewma.service.commits import Commits
from stream_ewma.service.pace import (
    AT_ONCE,
    COMMIT_COST_S,
    COMMIT_SHARE,
    ROW_COST_S,
    STUCK_S,
    CommitPace,
)
from stream_ewma.service.sizing import TransactionSize
from stream_ewma.settings import load_settings

SPACING_S = COMMIT_COST_S / COMMIT_SHARE


class Task:
    """Stands in for the partition's task."""

    def __init__(self) -> None:
        self.position = 0

    def cut(self) -> Cut:
        return Cut([], self.position, 0, 0)


class Committer:
    """Stands in for the committer: notes the cuts."""

    def __init__(self) -> None:
        self.is_committing = False
        self.positions: list[int] = []

    def commit(self, cut: Cut) -> None:
        self.positions.append(cut.next_offset)


class Clock:
    """The loop's time, as a test sets it."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.alarms: list[tuple[float, Callable[[], None]]] = []

    def time(self) -> float:
        return self.now

    def call_at(self, moment: float, call: Callable[[], None]) -> Any:
        self.alarms.append((moment, call))
        return _Handle(moment)

    async def run_in_executor(self, _threads: object, call: Callable[[], Cut]) -> Cut:
        return call()


class _Handle:
    def __init__(self, moment: float) -> None:
        self._moment = moment
        self._cancelled = False

    def when(self) -> float:
        return self._moment

    def cancel(self) -> None:
        self._cancelled = True

    def cancelled(self) -> bool:
        return self._cancelled


class Subject:
    """A partition's commits with a clock of their own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **overrides: Any) -> None:
        given = {"input.topics": ["readings"], "smoothing.alpha": 0.5}
        settings = load_settings(overrides={**given, **overrides}, env={})
        self.clock, self.task, self.committer = Clock(), Task(), Committer()
        monkeypatch.setattr(commits_module.asyncio, "get_running_loop", lambda: self.clock)
        self.pace = CommitPace()
        self.size = TransactionSize(settings.delivery.commit_max_records, 60)
        self.turn = asyncio.Lock()
        self.woken = 0
        self.commits = Commits(
            settings,
            self.task,  # type: ignore[arg-type]
            0,
            self.committer,  # type: ignore[arg-type]
            ThreadPoolExecutor(1),
            self.pace,
            self.size,
            self.turn,
            self._wake,
        )
        monkeypatch.undo()

    def _wake(self) -> None:
        self.woken += 1

    async def at(self, seconds: float, position: int) -> list[int]:
        self.clock.now = 1000.0 + seconds
        self.commits.add(position - self.task.position)
        self.task.position = position
        await self.commits.cut_if_due()
        return self.committer.positions


async def test_the_first_record_is_committed_at_once_and_the_next_after_the_interval(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    subject = Subject(monkeypatch)
    assert await subject.at(0, 1) == [1]
    assert await subject.at(0.05, 2) == [1]
    (moment, ring) = subject.clock.alarms[0]
    assert moment == pytest.approx(1000.1)
    ring()
    assert subject.woken == 1
    assert await subject.at(0.1001, 2) == [1, 2]


async def test_nothing_new_is_no_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    subject = Subject(monkeypatch)
    assert await subject.at(0, 1) == [1]
    assert await subject.at(9, 1) == [1]
    await subject.commits.cut()
    assert subject.committer.positions == [1]


async def test_many_records_are_committed_before_their_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    subject = Subject(monkeypatch, **{"delivery.commit_max_records": 100})
    assert await subject.at(0, 1) == [1]
    assert await subject.at(0.01, 100) == [1]
    assert await subject.at(0.02, 101) == [1, 101]
    assert await subject.at(0.03, 150) == [1, 101]


async def test_what_may_still_be_taken_in_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    subject = Subject(monkeypatch, **{"delivery.commit_max_records": 100})
    await subject.at(0, 1)
    assert subject.commits.most_records == 100
    subject.committer.is_committing = True
    await subject.at(0.01, 131)
    assert subject.commits.most_records == -30
    subject.committer.is_committing = False
    await subject.at(0.02, 131)
    assert subject.commits.most_records == 100


async def test_there_is_one_commit_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    subject = Subject(monkeypatch)
    subject.committer.is_committing = True
    assert await subject.at(0, 1) == []
    subject.committer.is_committing = False
    assert await subject.at(0.001, 1) == [1]


async def test_busy_partitions_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    subject = Subject(monkeypatch)
    for _ in range(100):  # as many other partitions have been granted a commit
        subject.pace.reserve(1000.0, 0)
    assert await subject.at(0, 1) == []
    (moment, _) = subject.clock.alarms[0]
    assert moment == pytest.approx(1000.0 + 100 * SPACING_S)
    assert await subject.at(100 * SPACING_S - 0.001, 2) == []
    assert await subject.at(100 * SPACING_S + 0.001, 3) == [3]


async def test_what_others_have_to_write_leaves_a_transaction_its_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    subject = Subject(monkeypatch, **{"delivery.transaction_timeout": "60s"})
    assert await subject.at(0, 1) == [1]
    subject.pace.reserve(1000.0, 100_000_000)  # another partition's, for 400 s
    assert await subject.at(1, 2) == [1]
    (moment, _) = subject.clock.alarms[-1]
    assert moment == pytest.approx(1031.0)
    assert await subject.at(31.001, 3) == [1, 3]


async def test_who_was_idle_for_long_waits_for_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    subject = Subject(monkeypatch, **{"delivery.transaction_timeout": "60s"})
    assert await subject.at(0, 1) == [1]
    for _ in range(100):  # as many other partitions have been granted a commit
        subject.pace.reserve(1050.0, 0)
    assert await subject.at(50, 2) == [1]
    (moment, _) = subject.clock.alarms[-1]
    assert moment == pytest.approx(1050.0 + 100 * SPACING_S)


async def test_an_alarm_is_set_once_and_can_be_called_off(monkeypatch: pytest.MonkeyPatch) -> None:
    subject = Subject(monkeypatch)
    await subject.at(0, 1)
    await subject.at(0.01, 2)
    await subject.at(0.02, 3)
    assert len(subject.clock.alarms) == 1
    subject.commits.stop()


def test_the_pace_leaves_a_stated_share_of_a_core() -> None:
    pace = CommitPace()
    moments = [pace.reserve(5.0, 2_000) for _ in range(1000)]
    assert moments[0] == 5.0
    cost_s = COMMIT_COST_S + ROW_COST_S * 2_000
    assert (moments[-1] - moments[0]) * COMMIT_SHARE == pytest.approx(999 * cost_s)
    assert pace.reserve(moments[-1] + 50, 0) == moments[-1] + 50


async def test_brokers_that_cannot_keep_up_are_asked_for_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    subject = Subject(monkeypatch)
    for other in range(AT_ONCE):
        assert subject.pace.has_room(other, 1000.0, subject._wake)
        subject.pace.begin(other, 1000.0)
    assert await subject.at(0, 1) == []
    assert [moment for moment, _ in subject.clock.alarms] == [pytest.approx(1000.0 + STUCK_S)]
    subject.pace.end(0, 1000.02)
    assert subject.woken == 1
    assert await subject.at(0.5, 1) == [1]


async def test_commits_that_are_stuck_hold_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    subject = Subject(monkeypatch)
    for other in range(AT_ONCE):
        subject.pace.begin(other, 1000.0)
    assert await subject.at(STUCK_S - 0.1, 1) == []
    assert await subject.at(STUCK_S + 0.1, 1) == [1]


@pytest.mark.parametrize("ends", ["committed", "stopped"])
async def test_a_commit_that_is_over_makes_room(monkeypatch: pytest.MonkeyPatch, ends: str) -> None:
    subject = Subject(monkeypatch)
    for other in range(AT_ONCE - 1):
        subject.pace.begin(other, 1000.0)
    assert await subject.at(0, 1) == [1]
    assert not subject.pace.has_room("next", 1000.0, subject._wake)
    end = subject.commits.committed if ends == "committed" else subject.commits.stop
    end()
    assert subject.woken == 1
    assert subject.pace.has_room("next", 1000.0, subject._wake)


def test_where_brokers_are_far_more_commits_are_under_way() -> None:
    pace = CommitPace()
    for who, seconds in enumerate((0.9, 0.5, 0.7)):
        pace.begin(who, 0.0)
        pace.end(who, seconds)
    assert pace.most_at_once == round(2 * 0.5 / SPACING_S)
    pace.begin("failed", 0.0)
    pace.end("failed", None)
    assert pace.most_at_once == round(2 * 0.5 / SPACING_S)


def test_a_cut_behind_another_makes_neither_look_short() -> None:
    pace = CommitPace()
    pace.begin("who", 0.0)
    pace.begin("who", 0.49)
    pace.end("who", 0.5)
    assert pace.most_at_once == round(2 * 0.5 / SPACING_S)


async def test_who_would_move_the_position_is_told_of_a_cut_at_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    subject = Subject(monkeypatch)
    may_cut = asyncio.Event()

    async def later(_threads: object, call: Callable[[], Cut]) -> Cut:
        await may_cut.wait()
        return call()

    subject.clock.run_in_executor = later  # type: ignore[method-assign]
    subject.task.position = 5
    subject.commits.add(1_000)  # fewer are cut on the loop itself
    cut = asyncio.create_task(subject.commits.cut())
    await asyncio.sleep(0)
    assert subject.turn.locked()
    may_cut.set()
    await cut
    assert not subject.turn.locked()


async def test_two_cuts_at_once_are_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    subject = Subject(monkeypatch)
    subject.task.position = 5
    await asyncio.gather(subject.commits.cut(), subject.commits.cut())
    assert subject.committer.positions == [5]
