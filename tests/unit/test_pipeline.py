"""A partition's pipeline: what it takes, what it leaves, and what it takes up again."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import pytest

from stream_ewma.engine.dead_letters import Reason
from stream_ewma.engine.outgoing import OutgoingBatch
from stream_ewma.engine.step import Step
from stream_ewma.errors import DrainError, FatalError
from stream_ewma.kafka.partition import Partition
from stream_ewma.records.fetched import BatchRun, split_runs
from stream_ewma.records.reader import Unreadable
from stream_ewma.service.counters import Counters
from stream_ewma.service.pace import CommitPace
from stream_ewma.service.pipeline import NotThereError, Pipeline
from stream_ewma.service.sizing import TransactionSize
from stream_ewma.settings import load_settings
from tests.support.batches import Record, runs_of

PARTITION = Partition("readings", 0)


class Engine:
    """Stands in for the partition's task: notes what it is given, covers as much as it is told."""

    keys_count = state_bytes = 0

    def __init__(self, covers: Sequence[int] = (), *, unreadable: bool = False) -> None:
        self.position = 0
        self.seen: list[list[int]] = []
        self._covers = list(covers)
        self._unreadable = unreadable

    def process(self, runs: Sequence[BatchRun], _clock: Callable[[], float]) -> Step:
        self.seen.append([run.base_offset for run in runs])
        self.position = self._covers.pop(0) if self._covers else runs[-1].next_offset
        bad = Unreadable(self.position, "damaged") if self._unreadable else None
        return Step([], self.position, 0, 0, {Reason.DECODE: 1}, {}, {}, bad, None)

    def pass_over(self, position: int) -> None:
        self.position = position

    def refused(self, batch: OutgoingBatch) -> list[OutgoingBatch]:
        return [batch]


def pipeline(engine: Engine, on_error: str = "dlq") -> Pipeline:
    settings = load_settings(
        overrides={
            "input.topics": ["readings"],
            "smoothing.alpha": 0.5,
            "dead_letters.on_error": on_error,
            "state.durable": False,
        },
        env={},
    )
    return Pipeline(
        settings,
        PARTITION,
        engine,  # type: ignore[arg-type]
        None,
        None,
        ThreadPoolExecutor(1),
        CommitPace(),
        TransactionSize(1_000_000, 60),
        Counters(),
        lambda: None,
        lambda _partition, _step, _seconds: None,
    )


@asynccontextmanager
async def running(subject: Pipeline) -> AsyncIterator[None]:
    subject.begin()
    work = asyncio.create_task(subject.run())
    try:
        yield
    finally:
        work.cancel()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110  what is waited for sets no event
            await asyncio.sleep(0.001)


def run(first_offset: int, records: int = 2) -> BatchRun:
    (made,) = runs_of([Record(b"k", b"1")] * records, first_offset)
    return made


async def test_what_a_step_left_over_comes_before_what_follows() -> None:
    engine = Engine(covers=[3, 4, 6])
    subject = pipeline(engine)
    async with running(subject):
        subject.feed([run(0), run(2)])
        await until(lambda: engine.position == 4)
        subject.feed([run(4)])
        await until(lambda: engine.position == 6)

    assert engine.seen == [[0, 2], [2], [4]]


class Threads(Engine):
    """Notes on which thread each step was computed."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: list[threading.Thread] = []

    def process(self, runs: Sequence[BatchRun], clock: Callable[[], float]) -> Step:
        self.threads.append(threading.current_thread())
        return super().process(runs, clock)


@pytest.mark.parametrize("keys", [0, 2_000_000])
async def test_only_few_records_are_not_worth_a_thread(keys: int) -> None:
    engine = Threads()
    engine.keys_count = keys
    subject = pipeline(engine)
    async with running(subject):
        for first, records in ((0, 2), (2, 1_000)):
            subject.feed([run(first, records)])
            await until(lambda end=first + records: engine.position == end)

    own = threading.main_thread()
    # Many keys may want a larger table at any time.
    assert [thread is own for thread in engine.threads] == [keys == 0, False]


async def test_runs_fed_after_a_halt_are_dropped() -> None:
    engine = Engine()
    subject = pipeline(engine)
    async with running(subject):
        await subject.settle()
        subject.feed([run(0)])
        subject.begin()
        subject.feed([run(7)])
        await until(lambda: engine.seen)

    assert engine.seen == [[7]]


async def test_an_unreadable_batch_parks_the_partition() -> None:
    engine = Engine(unreadable=True)
    subject = pipeline(engine)
    async with running(subject):
        subject.feed([run(0)])
        await until(lambda: subject.parked)
        subject.feed([run(2)])

    assert not subject.wants_more
    assert engine.seen == [[0]]


async def test_a_step_is_bounded_by_its_records() -> None:
    engine = Engine()
    subject = pipeline(engine)
    subject.begin()
    subject.feed([run(0, 40_000), run(40_000, 30_000), run(70_000, 10)])
    async with running(subject):
        await until(lambda: engine.position == 70_010)

    assert engine.seen == [[0], [40_000, 70_000]]


async def test_what_is_not_for_us_is_passed_over_only_at_rest() -> None:
    engine = Engine()
    subject = pipeline(engine)
    subject.pass_over(5)
    assert engine.position == 0  # not begun

    subject.begin()
    subject.feed([run(5)])
    subject.pass_over(9)
    assert engine.position == 0  # records before it are still to be processed

    async with running(subject):
        await until(lambda: engine.position == 7)
        await until(lambda: subject.at_rest)
        subject.pass_over(6)
        assert engine.position == 7
        subject.pass_over(9)

    assert engine.position == 9


async def test_a_full_queue_wants_no_more() -> None:
    subject = pipeline(Engine())
    subject.begin()
    assert subject.wants_more

    subject.feed([run(0, 400_000)])

    assert not subject.wants_more


@pytest.mark.parametrize(("on_error", "expected"), [("dlq", 1), ("skip", 0)])
async def test_a_refused_record_is_counted_and_replaced(on_error: str, expected: int) -> None:
    subject = pipeline(Engine(), on_error)
    batch = _one_record()

    assert len(subject._refused(batch)) == expected
    assert subject._counters.total.rejected == {"output_refused": 1}


async def test_a_refused_record_can_stop_the_service() -> None:
    with pytest.raises(FatalError, match=r"readings-0@5: the broker refused .* dlq or skip"):
        pipeline(Engine(), "fail")._refused(_one_record())


def _one_record() -> OutgoingBatch:
    from stream_ewma.engine.outgoing import dead_letters
    from stream_ewma.records.compression import Compression
    from stream_ewma.records.reader import decode

    records = decode(runs_of([Record(b"k", b"1")], 5), 0).records
    (batch,) = dead_letters(
        records, [Reason.DECODE], "readings", 0, max_batch_bytes=1000, compression=Compression.NONE
    ).batches()
    return batch


class Ledger:
    """Stands in for commits and committer: notes what it is asked to keep."""

    has_room = True
    committed_offset = 0
    most_records = 1_000_000

    def __init__(self) -> None:
        self.cuts = self.questions = 0

    async def cut(self) -> None:
        self.cuts += 1

    async def cut_if_due(self) -> None:
        self.questions += 1

    async def drain(self) -> None: ...

    def add(self, records: int) -> None: ...

    def stop(self) -> None: ...


class Broken(Engine):
    """Fails in the middle of a step."""

    def process(self, runs: Sequence[BatchRun], clock: Callable[[], float]) -> Step:
        super().process(runs, clock)
        raise ValueError("half way")


def kept_in(ledger: Ledger, engine: Engine) -> Pipeline:
    subject = pipeline(engine)
    subject._commits = subject.committer = ledger  # type: ignore[assignment]
    return subject


async def test_what_a_step_has_done_by_half_is_not_kept() -> None:
    ledger = Ledger()
    subject = kept_in(ledger, Broken())
    subject.begin()
    work = asyncio.create_task(subject.run())
    subject.feed([run(0)])
    await asyncio.wait({work})
    assert isinstance(work.exception(), ValueError)

    await subject.halt()

    assert ledger.cuts == 0


async def test_a_halt_whose_commit_failed_says_so() -> None:
    ledger = Ledger()
    engine = Engine()
    subject = kept_in(ledger, engine)
    async with running(subject):
        subject.feed([run(0)])
        await until(lambda: subject.at_rest and engine.position == 2)
        with pytest.raises(DrainError, match="readings-0: the last commit failed"):
            await subject.halt()

    assert ledger.cuts == 1
    ledger.committed_offset = 2
    await subject.halt()


async def test_a_run_of_more_than_one_transaction_takes_in_is_divided_between_batches() -> None:
    ledger = Ledger()
    engine = Engine()
    subject = kept_in(ledger, engine)
    ledger.most_records = 4
    (whole,) = split_runs(b"".join(bytes(run(first).data) for first in (0, 2, 4, 6, 8)))
    async with running(subject):
        subject.feed([whole])
        await until(lambda: engine.position == 10)

    assert engine.seen == [[0], [4], [8]]


async def test_nothing_more_is_computed_than_one_transaction_takes_in() -> None:
    ledger = Ledger()
    engine = Engine()
    subject = kept_in(ledger, engine)
    ledger.most_records = 0  # while the last transaction is not yet committed
    async with running(subject):
        subject.feed([run(0), run(2)])
        await until(lambda: ledger.questions > 0)
        assert subject._idle.is_set()

        ledger.most_records = 1  # batches are not divided
        subject._arrived.set()
        await until(lambda: engine.position == 4)

    assert engine.seen == [[0], [2]]


async def test_a_look_waits_for_the_step_and_the_next_step_for_the_look() -> None:
    engine = Engine()
    subject = pipeline(engine)
    may_end = threading.Event()

    def look(task: object) -> int:
        assert task is engine
        may_end.wait(30)
        return engine.position

    async with running(subject):
        looking = asyncio.create_task(subject.look(look))
        await until(subject._turn.locked)
        subject.feed([run(0)])
        looking.cancel()  # whoever asked has gone; the thread is still at it
        await asyncio.sleep(0.02)
        assert subject._turn.locked()
        assert engine.seen == []
        may_end.set()
        await until(lambda: engine.seen)

    with pytest.raises(asyncio.CancelledError):
        await looking


async def test_a_partition_that_is_given_up_is_not_looked_at() -> None:
    subject = pipeline(Engine())
    await subject.stop()
    with pytest.raises(NotThereError):
        await subject.look(lambda task: task.position)
