"""Partitions that the group takes away: what cannot be committed in time is dropped."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from stream_ewma.errors import DrainError
from stream_ewma.kafka.errors import KafkaError
from stream_ewma.kafka.partition import Partition
from stream_ewma.service import partitions as module
from stream_ewma.service.counters import Counters
from stream_ewma.service.partitions import Hooks, Partitions, revoke_s
from tests.support.given import load
from tests.support.waiting import until

STUCK, SOUND = Partition("readings", 0), Partition("readings", 1)
BOTH = frozenset({STUCK, SOUND})
Halt = Callable[[], Awaitable[None]]


class Pipeline:
    """A partition at work, which commits its last as a test says."""

    def __init__(self, partition: Partition, halt: Halt) -> None:
        self.partition = partition
        self.position = 7
        self.active = True
        self.parked = False
        self.is_stopped = False
        self._halt = halt

    async def halt(self) -> None:
        self.active = False
        await self._halt()

    async def settle(self) -> None:
        self.active = False

    async def stop(self) -> None:
        self.is_stopped = True

    def begin(self) -> None:
        self.active = True


class Consumer:
    """Fetches what it is told."""

    def __init__(self) -> None:
        self.fetched: set[Partition] = set()

    def begin(self, partition: Partition, _position: int) -> bool:
        self.fetched.add(partition)
        return True

    def park(self, partition: Partition) -> None:
        self.fetched.discard(partition)


class Opening:
    """Takes partitions over, and is never done."""

    def __init__(self) -> None:
        self.opened: list[Partition] = []

    async def open(self, partition: Partition) -> None:
        self.opened.append(partition)
        await asyncio.Event().wait()

    async def stop(self) -> None: ...


class Scene:
    """A member with two partitions, one of which has something to commit."""

    def __init__(self, halt: Halt, **settings: object) -> None:
        self.opening, self.consumer = Opening(), Consumer()
        self.failures: list[BaseException] = []
        self.spawned: set[asyncio.Task[None]] = set()
        hooks = Hooks(self._spawn, self.failures.append, *[lambda *_: None] * 3)
        parts: Any = self.consumer, self.opening, None, Counters(), hooks
        self.subject = Partitions(load(settings), *parts)
        self.stuck, self.sound = Pipeline(STUCK, halt), Pipeline(SOUND, done)
        self.subject.pipelines |= {STUCK: self.stuck, SOUND: self.sound}  # type: ignore[dict-item]
        self.work = asyncio.create_task(hang())
        self.subject._tasks[STUCK] = [self.work]

    async def revoked(self) -> None:
        async with asyncio.timeout(60):
            await self.subject.revoked()

    async def assigned(self) -> None:
        """The group gives both back."""
        self.subject.assigned(BOTH)
        await until(lambda: self.sound.active)

    async def close(self) -> None:
        for task in {*self.spawned, self.work}:
            task.cancel()
        await asyncio.wait({*self.spawned, self.work})

    def _spawn(self, work: Any, _name: str) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        self.spawned.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failures.append(error)


async def done() -> None:
    """All is committed."""


async def hang() -> None:
    await asyncio.Event().wait()


async def fail() -> None:
    raise DrainError("the last commit failed")


async def hang_and_fail() -> None:
    """Ends, once it is given up, with an error for which nobody waits any more."""
    try:
        await hang()
    except asyncio.CancelledError:
        raise KafkaError("too late") from None


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_REVOKE_S", 0.05)


@pytest.mark.parametrize("halt", [hang, fail, hang_and_fail])
async def test_what_is_not_committed_in_time_is_dropped_and_taken_over_anew(
    halt: Halt, caplog: pytest.LogCaptureFixture
) -> None:
    loop_errors: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: loop_errors.append(context))
    scene = Scene(halt)

    await scene.revoked()
    await scene.assigned()

    assert scene.stuck.is_stopped
    assert scene.work.cancelled()
    assert not scene.sound.is_stopped
    assert scene.subject.pipelines == {SOUND: scene.sound}
    await until(lambda: scene.opening.opened or scene.failures)
    assert (scene.opening.opened, scene.failures) == ([STUCK], [])
    (record,) = (each for each in caplog.records if each.levelname == "WARNING")
    assert record.getMessage() == "readings-0: not committed within 0.1 s, and given up"
    await scene.close()
    assert not loop_errors


async def test_what_has_taken_the_place_of_a_dropped_partition_is_left_alone() -> None:
    scene = Scene(fail)
    await scene.revoked()
    successor = Pipeline(STUCK, done)
    scene.subject.pipelines[STUCK] = successor  # type: ignore[assignment]

    await asyncio.wait(scene.spawned)

    assert scene.subject.pipelines == {STUCK: successor, SOUND: scene.sound}
    assert not successor.is_stopped
    await scene.close()


async def test_a_parked_partition_that_is_kept_stays_parked() -> None:
    scene = Scene(done)
    scene.stuck.parked = True

    await scene.revoked()
    await scene.assigned()
    await asyncio.wait(scene.spawned)

    assert scene.consumer.fetched == {SOUND}
    assert scene.opening.opened == []
    await scene.close()


async def test_a_partition_that_is_not_at_work_has_nothing_to_commit() -> None:
    scene = Scene(hang)
    scene.stuck.active = scene.sound.active = False

    await scene.revoked()

    assert scene.subject.pipelines == {STUCK: scene.stuck, SOUND: scene.sound}
    await scene.close()


async def test_without_kept_state_a_partition_is_compared_with_the_group_not_dropped() -> None:
    scene = Scene(hang, **{"state.durable": False, "delivery.guarantee": "at_least_once"})

    await scene.revoked()

    assert scene.subject.pipelines == {STUCK: scene.stuck, SOUND: scene.sound}
    assert not scene.stuck.is_stopped
    await scene.close()


@pytest.mark.parametrize(
    ("session_ms", "request_ms", "seconds"),
    [(2_000, 15_000, 2.0), (6_000, 15_000, 4.0), (20_000, 60_000, 5.0), (6_000, 5_000, 1.5)],
)
def test_the_deadline_leaves_time_to_join_again(
    monkeypatch: pytest.MonkeyPatch, session_ms: int, request_ms: int, seconds: float
) -> None:
    monkeypatch.undo()
    settings = load(
        {
            "kafka.session_timeout_ms": session_ms,
            "kafka.heartbeat_interval_ms": 500,
            "kafka.request_timeout_ms": request_ms,
        }
    )
    assert revoke_s(settings) == seconds
