"""Taking a partition over from a warm copy."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from stream_ewma.engine.step import Restored
from stream_ewma.errors import BrokerUnavailableError
from stream_ewma.kafka.changelog import PositionLostError
from stream_ewma.kafka.consumer import Partition
from stream_ewma.kafka.errors import FencedError
from stream_ewma.service import opening as module
from stream_ewma.service.counters import Counters
from stream_ewma.service.opening import Opening, Parts
from stream_ewma.service.positions import Start
from stream_ewma.service.standby import Copy
from tests.support.given import load

PARTITION = Partition("readings", 0)


class Calls(list):
    """What happened, in order."""


class Producer:
    calls: Calls

    def __init__(self, *_arguments: object) -> None: ...

    async def start(self) -> None:
        self.calls.append("fenced")

    async def stop(self) -> bool:
        self.calls.append("producer stopped")
        return True


class Run(int):
    """A run of one record, which stands at this offset."""

    @property
    def next_offset(self) -> int:
        return self + 1


class Reader:
    """A changelog that ends at offset 7, with a run before each offset."""

    calls: Calls
    reach = (0, 7)
    ends = (7, 7)  # when it is asked for

    def __init__(self, *_arguments: object) -> None:
        self._ends = iter(self.ends)

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def read(self, _topic, _partition, take, *, position=None):
        self.calls.append(f"read from {position}")
        if position is not None and position > 7:
            raise PositionLostError(frozenset())
        if runs := [Run(offset) for offset in range(position or 0, 7)]:
            await take(runs)
        return 7

    async def end(self, _topic, _partition):
        return next(self._ends)


class Task:
    def __init__(self, *_arguments: object, **_more: object) -> None:
        self.position = 0
        self.runs: list[int] = []

    def restore(self, runs: list[int]) -> int:
        self.runs += runs
        return len(runs)

    def restored(self) -> Restored:
        return Restored(None, len(self.runs), 0, 0)


class Consumer:
    """Of a group that does not answer at first."""

    def __init__(self, calls: Calls, silences: int = 0) -> None:
        self._calls = calls
        self._silences = silences

    @property
    def is_member(self) -> bool:
        self._silences -= 1
        if self._silences >= 0:
            self._calls.append("not a member")
        return self._silences < 0

    async def committed(self, partitions):
        self._calls.append("offset asked")
        return dict.fromkeys(partitions)

    async def bounds(self, partitions):
        return dict.fromkeys(partitions, (0, 0))


class Standbys:
    """Has one copy, up to an offset."""

    def __init__(self, calls: Calls, position: int | None) -> None:
        self._calls = calls
        self._position = position
        self.given_back: list[Copy] = []

    def give_back(self, _partition: Partition, copy: Copy) -> None:
        self.given_back.append(copy)

    async def take(self, partition: Partition) -> Copy | None:
        self._calls.append("copy taken")
        if self._position is None:
            return None
        task = Task()
        task.restore(list(range(self._position)))
        return Copy(task, 0.0, position=self._position)


@contextmanager
def opening_of(log: Calls, *, silences: int = 0, **reader: object) -> Iterator[Opening]:
    """What takes partitions over, with all that it uses played; `reader` is laid over `Reader`."""
    made = {
        "producer": type("OwnProducer", (Producer,), {"calls": log}),
        "reader": type("OwnReader", (Reader,), {"calls": log} | reader),
        "task": Task,
    }
    consumer = Consumer(log, silences)
    with ThreadPoolExecutor(1) as threads:
        yield Opening(load(), object(), Parts(**made), consumer, {}, threads, (1, 2), Counters())


@pytest.mark.parametrize(
    ("copied", "calls"),
    [
        (None, ["fenced", "offset asked", "copy taken", "read from None"]),
        (5, ["fenced", "offset asked", "copy taken", "read from 5"]),
        (7, ["fenced", "offset asked", "copy taken", "read from 7"]),
        (9, ["fenced", "offset asked", "copy taken", "read from 9", "read from None"]),
    ],
)
async def test_only_after_the_fence_and_the_offset_what_the_copy_lacks_is_read(copied, calls):
    log = Calls()
    with opening_of(log) as opening:
        opening.standbys = Standbys(log, copied)

        opened = await opening.open(PARTITION)

    assert log == calls
    assert opened.task.runs == list(range(7))


async def test_a_copy_is_given_back_where_the_brokers_do_not_answer():
    async def read(_self, _topic, _partition, _take, *, position=None):
        raise BrokerUnavailableError("no answer")

    with opening_of(Calls(), read=read) as opening:
        opening.standbys = Standbys(Calls(), 5)
        with pytest.raises(BrokerUnavailableError):
            await opening.open(PARTITION)

    (copy,) = opening.standbys.given_back
    assert copy.is_sound
    assert copy.position == 5


async def test_a_copy_that_something_was_read_into_is_no_copy_any_more():
    with opening_of(Calls(), ends=(9, 7)) as opening:
        opening.standbys = Standbys(Calls(), 5)
        with pytest.raises(FencedError):
            await opening.open(PARTITION)

    assert not any(copy.is_sound for copy in opening.standbys.given_back)


async def test_before_the_group_answers_nobody_is_fenced(monkeypatch):
    monkeypatch.setattr(module, "_GROUP_S", 0.0)
    log = Calls()
    with opening_of(log, silences=3) as opening:
        await opening.open(PARTITION)

    assert log == [*["not a member"] * 3, "fenced", "offset asked", "read from None"]


async def test_rows_that_others_wrote_after_the_fence_make_what_was_read_worthless():
    log = Calls()
    fenced = pytest.raises(FencedError, match="written to after the fence")
    with opening_of(log, ends=(9, 7)) as opening, fenced:
        await opening.open(PARTITION)

    assert log == ["fenced", "offset asked", "read from None", "producer stopped"]


async def test_a_reader_that_fails_takes_the_idle_ones_with_it():
    log = Calls()

    async def stop(_self):
        log.append("reader stopped")

    async def end(_self, _topic, _partition):
        raise BrokerUnavailableError("no answer")

    with opening_of(log, stop=stop, end=end) as opening:
        opening._readers += [opening.parts.reader(), opening.parts.reader()]

        with pytest.raises(BrokerUnavailableError):
            await opening.open(PARTITION)

    assert log.count("reader stopped") == 2  # one of the two was at work
    assert opening._readers == []


async def test_what_was_forgotten_is_looked_at_again_only_after_the_next_fence(monkeypatch):
    log = Calls()
    starts = iter([Start(0, "void", is_rebuild=True), Start(0)])
    monkeypatch.setattr(module, "start_with_state", lambda *_known: next(starts))

    async def forget(*_arguments: object) -> None:
        log.append("forgotten")

    monkeypatch.setattr(Opening, "_forget", forget)
    with opening_of(log, ends=(7, 7)) as opening:
        opened = await opening.open(PARTITION)

    taken_over = ["fenced", "offset asked", "read from None"]
    assert log == [*taken_over, "forgotten", "producer stopped", *taken_over]
    assert opened.task.position == 0
