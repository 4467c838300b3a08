"""Warm copies: what is read into them, when they are handed over, and what goes wrong."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import pytest

from stream_ewma.engine.changelog import ChangelogError
from stream_ewma.kafka.changelog import Followed, PositionLostError
from stream_ewma.kafka.consumer import Partition
from stream_ewma.service import standby
from stream_ewma.service.standby import Standbys
from tests.support.waiting import until

FIRST, SECOND = Partition("readings", 0), Partition("readings", 1)


class Log:
    """Stands in for the brokers: what each changelog holds; an error is raised once."""

    def __init__(self) -> None:
        self.rows = {FIRST: list(range(10)), SECOND: list(range(5))}
        self.errors: list[Exception] = []
        self.begun: list[dict[Partition, int | None]] = []
        self.connected = 0
        self.connections = 0
        self.polls = 0


class Follower:
    """Reads two rows of each partition at a time."""

    log: Log

    def __init__(self, _settings: object) -> None:
        self._positions: dict[Partition, int] = {}

    async def start(self) -> None:
        self.log.connected += 1
        self.log.connections += 1

    async def stop(self) -> None:
        self.log.connected -= 1

    async def follow(self, positions: dict[Partition, int | None]) -> None:
        self.log.begun.append(positions)
        self._positions = {p: position or 0 for p, position in positions.items()}

    async def poll(self) -> dict[Partition, Followed]:
        await asyncio.sleep(0.001)
        self.log.polls += 1
        if self.log.errors:
            raise self.log.errors.pop()
        found = {}
        for p, position in self._positions.items():
            rows = self.log.rows[p]
            runs = rows[position : position + 2]
            self._positions[p] = position + len(runs)
            found[p] = Followed(runs, self._positions[p], self._positions[p] >= len(rows))
        return found


class Task:
    """Remembers the rows it was given; -1 is no row."""

    def __init__(self, partition: Partition) -> None:
        self.partition = partition
        self.rows: list[int] = []
        self.may_read = threading.Event()
        self.may_read.set()
        self.reading = threading.Event()

    def restore(self, rows: list[int]) -> int:
        self.reading.set()
        assert self.may_read.wait(60)
        if -1 in rows:
            raise ChangelogError("damaged")
        self.rows += rows
        return len(rows)


class Consumer:
    warm: frozenset[Partition] = frozenset()

    def warmed(self, partitions) -> None:
        self.warm = frozenset(partitions)


class Bench:
    """The copies of one member, on a log of their own."""

    def __init__(self) -> None:
        self.log = Log()
        self.tasks: dict[Partition, list[Task]] = {}
        self.consumer = Consumer()
        self.is_busy = False
        self.threads = ThreadPoolExecutor(2)
        follower = type("OwnFollower", (Follower,), {"log": self.log})
        self.standbys = Standbys(
            object(), self.consumer, follower, self.threads, self._new_task, lambda: self.is_busy
        )

    def _new_task(self, partition: Partition) -> Task:
        self.tasks.setdefault(partition, []).append(Task(partition))
        return self.tasks[partition][-1]

    def assign(self, *standbys: Partition, owned: tuple[Partition, ...] = ()) -> None:
        self.standbys.assigned(frozenset(standbys), frozenset(owned))

    async def warm(self, *partitions: Partition) -> None:
        await until(lambda: self.consumer.warm == set(partitions), timeout_s=20)

    async def polled(self, times: int) -> None:
        goal = self.log.polls + times
        await until(lambda: self.log.polls >= goal, timeout_s=20)


@asynccontextmanager
async def running() -> AsyncIterator[Bench]:
    bench = Bench()
    task = asyncio.create_task(bench.standbys.run())
    yield bench
    assert not task.done(), task
    task.cancel()
    await asyncio.wait({task})
    assert bench.log.connected == 0
    bench.threads.shutdown()


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standby, "_RETRY_S", 0.001)
    monkeypatch.setattr(standby, "_PAUSE_S", 0.001)


async def test_a_copy_is_read_to_the_end_and_goes_on():
    async with running() as bench:
        bench.assign(FIRST, SECOND)
        await bench.warm(FIRST, SECOND)
        bench.log.rows[FIRST] += [10, 11, 12]
        await until(lambda: bench.tasks[FIRST][0].rows == list(range(13)))

        copy = await bench.standbys.take(FIRST)

    assert copy.task is bench.tasks[FIRST][0]
    assert (copy.position, copy.rows) == (13, 13)
    assert bench.tasks[SECOND][0].rows == list(range(5))


async def test_without_copies_there_is_no_connection():
    async with running() as bench:
        bench.assign()
        for _ in range(10):
            await asyncio.sleep(0)
        assert bench.log.connections == 0
        bench.assign(FIRST)
        await bench.warm(FIRST)
        assert bench.log.connected == 1
        bench.assign()
        await until(lambda: bench.log.connected == 0)


async def test_there_is_no_copy_of_what_was_not_read_or_has_gone_elsewhere():
    async with running() as bench:
        assert await bench.standbys.take(FIRST) is None
        bench.assign(FIRST, SECOND)
        assert await bench.standbys.take(FIRST) is None, "nothing was read yet"
        await bench.warm(SECOND)
        bench.assign()
        bench.assign(SECOND)
        assert await bench.standbys.take(SECOND) is None


async def test_the_copy_of_a_partition_that_is_assigned_waits_and_is_read_no_more():
    async with running() as bench:
        bench.assign(FIRST, SECOND)
        await bench.warm(FIRST, SECOND)
        bench.assign(SECOND, owned=(FIRST,))
        await until(lambda: bench.log.begun[-1].keys() == {SECOND})
        bench.log.rows[FIRST] += [10]
        await bench.polled(3)

        copy = await bench.standbys.take(FIRST)

        assert (copy.position, copy.task.rows) == (10, list(range(10)))


async def test_a_copy_that_was_taken_for_nothing_can_be_taken_again():
    async with running() as bench:
        bench.assign(FIRST)
        await bench.warm(FIRST)
        bench.assign(owned=(FIRST,))
        copy = await bench.standbys.take(FIRST)
        assert await bench.standbys.take(FIRST) is None

        bench.standbys.give_back(FIRST, copy)

        assert await bench.standbys.take(FIRST) is copy
        copy.restore([10])
        bench.standbys.give_back(FIRST, copy)
        assert await bench.standbys.take(FIRST) is None, "nobody knows what was read into it"


async def test_a_copy_stays_where_it_was_while_others_come_and_go():
    async with running() as bench:
        bench.assign(FIRST)
        await bench.warm(FIRST)
        bench.assign(FIRST, SECOND)
        await bench.warm(FIRST, SECOND)

        assert bench.log.begun == [{FIRST: None}, {FIRST: 10, SECOND: None}]
        assert bench.tasks[FIRST][0].rows == list(range(10))


async def test_who_takes_a_copy_waits_for_the_rows_that_are_being_read():
    async with running() as bench:
        bench.assign(FIRST)
        await until(lambda: FIRST in bench.tasks)
        task = bench.tasks[FIRST][0]
        task.may_read.clear()
        await until(task.reading.is_set)

        taking = asyncio.ensure_future(bench.standbys.take(FIRST))
        await asyncio.sleep(0)
        assert not taking.done()
        task.may_read.set()
        copy = await taking

        assert copy.position == len(task.rows) == copy.rows
        await until(lambda: bench.log.connected == 0)
        assert len(task.rows) == copy.position, "it is read on although it was taken"


async def test_what_arrives_for_a_copy_that_was_dropped_meanwhile_goes_nowhere():
    async with running() as bench:
        bench.assign(FIRST, SECOND)
        await until(lambda: FIRST in bench.tasks)
        first, second = bench.tasks[FIRST][0], bench.tasks[SECOND][0]
        first.may_read.clear()
        await until(first.reading.is_set)
        bench.assign(FIRST)
        bench.assign(FIRST, SECOND)
        first.may_read.set()
        await bench.warm(FIRST, SECOND)

        assert second.rows == []
        assert bench.tasks[SECOND][1].rows == list(range(5))


async def test_after_an_error_it_goes_on_where_it_was(caplog):
    async with running() as bench:
        bench.assign(FIRST)
        await bench.warm(FIRST)
        bench.log.errors += [OSError("no route"), AssertionError("aiokafka")]
        bench.log.rows[FIRST] += [10]
        await until(lambda: bench.tasks[FIRST][0].rows == list(range(11)))

        assert bench.log.begun == [{FIRST: None}, {FIRST: 10}, {FIRST: 10}]
    assert caplog.text.count("trying again") == 1


async def test_a_changelog_that_is_another_one_is_read_from_its_beginning():
    async with running() as bench:
        bench.assign(FIRST, SECOND)
        await bench.warm(FIRST, SECOND)
        bench.log.rows[FIRST] = [7, 8, 9]
        bench.log.errors += [PositionLostError(frozenset({FIRST}))]
        await until(lambda: len(bench.tasks[FIRST]) == 2)
        await bench.warm(FIRST, SECOND)

        assert bench.tasks[FIRST][1].rows == [7, 8, 9]
        assert len(bench.tasks[SECOND]) == 1


async def test_a_damaged_changelog_has_no_copy_and_the_others_have(caplog):
    async with running() as bench:
        bench.log.rows[FIRST][4] = -1
        bench.assign(FIRST, SECOND)
        await bench.warm(SECOND)
        bench.log.rows[SECOND] += [5]
        await until(lambda: bench.tasks[SECOND][0].rows == list(range(6)))

        assert bench.log.begun[-1].keys() == {SECOND}
        assert await bench.standbys.take(FIRST) is None
    assert "damaged" in caplog.text


async def test_partitions_of_ones_own_come_first():
    async with running() as bench:
        bench.is_busy = True
        bench.assign(FIRST)
        await until(lambda: bench.log.begun)
        assert bench.log.polls == 0
        bench.is_busy = False
        await bench.warm(FIRST)


async def test_a_copy_that_was_behind_for_hours_begins_anew(monkeypatch):
    async with running() as bench:
        bench.assign(FIRST)
        await bench.warm(FIRST)
        later = time.time() + standby._MOST_BEHIND_S + 1
        monkeypatch.setattr(standby.time, "time", lambda: later)
        bench.log.rows[FIRST] += range(10, 20)
        await until(lambda: len(bench.tasks[FIRST]) == 2)

        await until(lambda: bench.tasks[FIRST][1].rows == list(range(20)))


async def test_it_begins_anew_though_the_first_answer_reaches_to_the_end(monkeypatch):
    async with running() as bench:
        bench.assign(FIRST)
        await bench.warm(FIRST)
        bench.is_busy = True
        later = time.time() + standby._MOST_BEHIND_S + 1
        monkeypatch.setattr(standby.time, "time", lambda: later)
        bench.log.rows[FIRST] += range(10, 12)
        bench.is_busy = False
        await until(lambda: len(bench.tasks[FIRST]) == 2)


async def test_a_copy_that_was_behind_for_hours_is_not_taken(monkeypatch):
    async with running() as bench:
        bench.assign(FIRST)
        await bench.warm(FIRST)
        bench.is_busy = True
        later = time.time() + standby._MOST_BEHIND_S + 1
        monkeypatch.setattr(standby.time, "time", lambda: later)

        assert await bench.standbys.take(FIRST) is None


async def test_a_copy_that_is_always_up_to_date_never_begins_anew(monkeypatch):
    async with running() as bench:
        bench.assign(FIRST)
        await bench.warm(FIRST)
        now = time.time()
        for part in (0.7, 1.4, 2.1):
            monkeypatch.setattr(standby.time, "time", lambda at=now + part * 6 * 3600: at)
            await bench.polled(3)

        assert len(bench.tasks[FIRST]) == 1
