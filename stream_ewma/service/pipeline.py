"""One input partition in motion: runs come in, are computed on a thread, and are committed."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import asdict
from typing import TypeVar

from stream_ewma.engine.outgoing import OutgoingBatch
from stream_ewma.engine.sample import Watched
from stream_ewma.engine.step import Cut, Step
from stream_ewma.engine.task import PartitionTask
from stream_ewma.errors import DrainError, FatalError
from stream_ewma.kafka.committer import Committer
from stream_ewma.kafka.delivery import Delivery
from stream_ewma.kafka.partition import Partition
from stream_ewma.kafka.transactions import TransactionalProducer
from stream_ewma.records.fetched import BatchRun, divide
from stream_ewma.service.commits import Commits
from stream_ewma.service.counters import Counters
from stream_ewma.service.ledger import Ledger
from stream_ewma.service.pace import CommitPace
from stream_ewma.service.sizing import TransactionSize
from stream_ewma.settings import Settings

T = TypeVar("T")

_MOST_WAITING_BYTES = 4 << 20
# A step's columns: large enough to spread the cost of its calls, small enough for steady progress.
# Compressed bytes say little of the size of the columns, hence the second bound.
_MOST_STEP_BYTES = 4 << 20
_MOST_STEP_RECORDS = 65_536
# Less than a millisecond of work: threads that take turns at so little cost more than they do. Many
# keys are no matter of one step, until their table has to grow.
_MOST_SMALL_RECORDS = 512
_MOST_SMALL_BYTES = 64 << 10
_MOST_SMALL_KEYS = 1_000_000


class NotThereError(Exception):
    """The partition is being given up, or has been."""


class Pipeline:
    """Reads a partition's runs in order, one step at a time.

    Args:
        settings: names and limits.
        partition: the input partition.
        task: its state; only one step runs at a time.
        producer: of the partition's transactions; None: nothing is kept (`state.durable: false`).
        kept: the position that the changelog holds; None: none yet.
        threads: where steps are computed.
        pace: of the commits.
        size: how many records a transaction takes in.
        counters: what is counted.
        on_room: called when `wants_more` may have become true.
        on_step: called with each step, after it was counted, and the seconds that it took.

    Attributes:
        partition: the same.
        committed: the group's offset as far as it is known; without `producer` others commit.
        parked: nothing more is taken: the next batch cannot be read.
        delivery: where outputs go at once; None under exactly_once.
        committer: the partition's transactions; None without `producer`.
        event_time: the greatest event time since the partition was taken over; None before.
        processed_at: when the last step ended, by the loop's clock; None before.
        keys_count: keys that have state, as the last step left them.
        state_bytes: memory of the keys and their state, likewise.
    """

    def __init__(
        self,
        settings: Settings,
        partition: Partition,
        task: PartitionTask,
        producer: TransactionalProducer | None,
        kept: int | None,
        threads: Executor,
        pace: CommitPace,
        size: TransactionSize,
        counters: Counters,
        on_room: Callable[[], None],
        on_step: Callable[[Partition, Step, float], None],
    ) -> None:
        self.partition = partition
        self.committed: int | None = None
        self.parked = False
        self.event_time: int | None = None
        self.processed_at: float | None = None
        self.keys_count, self.state_bytes = task.keys_count, task.state_bytes
        self._task = task
        self._on_error = settings.dead_letters.on_error
        self._threads = threads
        self._size = size
        self._committed_before = task.position
        self._counters = counters
        self._on_room = on_room
        self._on_step = on_step
        self._waiting: deque[BatchRun] = deque()
        self._waiting_bytes = 0
        self._arrived = asyncio.Event()
        self._turn = asyncio.Lock()
        self._ledger = Ledger(partition, counters)
        self._idle = asyncio.Event()
        self._idle.set()
        self._active = False
        self._is_sound = True
        self._has_committed = False
        self.delivery: Delivery | None = None
        self.committer: Committer | None = None
        self._commits: Commits | None = None
        if not settings.is_exactly_once:
            ends = (self._refused, self._count_failure, self._is_delivered, self._is_sent)
            self.delivery = Delivery(settings, partition, task.position, *ends)
        if producer is not None:
            ends_of_cut = (self._is_committed, self._arrived.set, self._is_sent)
            self.committer = Committer(
                settings, partition, producer, task.position, self.delivery, *ends_of_cut
            )
            when = (pace, size, self._turn, self._arrived.set)
            self._commits = Commits(settings, task, kept, self.committer, threads, *when)

    @property
    def position(self) -> int:
        """Offset of the next record to process."""
        return self._task.position

    def watch(self, watched: Watched) -> None:
        """Bring these samples with each step from now on."""
        self._task.watched = watched

    async def look(self, at: Callable[[PartitionTask], T]) -> T:
        """What `at`, which must change nothing, finds between two steps.

        Raises:
            NotThereError: the partition is given up.
        """
        async with self._turn:
            if not self._is_sound:
                raise NotThereError
            loop = asyncio.get_running_loop()
            looking = loop.run_in_executor(self._threads, at, self._task)
            try:
                return await asyncio.shield(looking)
            finally:
                # Whoever asked may have gone; the thread still looks, and the turn is its.
                while not looking.done():
                    with suppress(asyncio.CancelledError):
                        await asyncio.wait({looking})

    @property
    def commit_spacing_s(self) -> float:
        """What a commit takes up of the time of all partitions."""
        return 0.0 if self._commits is None else self._commits.spacing_s

    @property
    def has_committed(self) -> bool:
        """Whether anything was committed since the partition was taken over."""
        return self._has_committed

    @property
    def active(self) -> bool:
        """Whether the partition is assigned and its start is found."""
        return self._active

    @property
    def wants_more(self) -> bool:
        """Whether runs may be fed now."""
        return (
            self._active
            and not self.parked
            and self._waiting_bytes < _MOST_WAITING_BYTES
            and self._has_room
        )

    @property
    def _has_room(self) -> bool:
        return all(way.has_room for way in (self.delivery, self.committer) if way is not None)

    def begin(self) -> None:
        """Take runs from `position` on."""
        self._active = True
        self._arrived.set()  # where a partition is begun for the first time is to be committed
        self._on_room()

    def feed(self, runs: list[BatchRun]) -> None:
        """Queue runs; they are dropped when the pipeline was halted since they were asked for."""
        if not self._active or self.parked:
            return
        self._waiting.extend(runs)
        self._waiting_bytes += _size(runs)
        self._arrived.set()

    @property
    def at_rest(self) -> bool:
        """Whether all that was fed is processed."""
        if self._turn.locked():
            return False
        return self._active and not self.parked and not self._waiting and self._idle.is_set()

    def pass_over(self, position: int) -> None:
        """Go on at `position`: nothing that is to be smoothed stands before it.

        Behind a transactional producer the log ends with a control batch. Without passing it the
        lag would never be 0, and once retention has emptied the topic, the committed offset would
        seem to be lost.
        """
        if self.at_rest and position > self._task.position:
            self._task.pass_over(position)
            self._publish([], position)
            self._arrived.set()

    async def halt(self) -> None:
        """Take no more, finish the step at work, and return when all is delivered, and committed.

        Without state that is kept, the caller has to commit.

        Raises:
            DrainError: what was to be committed was not.
        """
        await self.settle()
        if not self._is_sound:
            return  # what a step has done by half must not be kept
        if self._commits is not None and self.committer is not None:
            await self._commits.cut()
            await self.committer.drain()
            if self.committer.committed_offset != self.position:
                raise DrainError(f"{self.partition}: the last commit failed")
        elif self.delivery is not None:
            await self.delivery.drain()

    async def settle(self) -> None:
        """Take no more, and return when no step is at work: `position` stands still."""
        self._active = False
        self._waiting.clear()
        self._waiting_bytes = 0
        await self._idle.wait()

    async def run(self) -> None:
        """Process what is fed, for ever; cancel it to end.

        Raises:
            FatalError: a record cannot be smoothed under `dead_letters.on_error: fail`.
        """
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            await self._commit_if_due()
            while self._waiting and self._has_room and self._most_records > 0:
                await self._step(self._take())
                await self._commit_if_due()

    async def stop(self) -> None:
        """Disconnect; what is neither delivered nor committed is given up."""
        self._is_sound = False  # a step at work goes on on its thread, whoever waits for it
        if self._commits is not None:
            self._commits.stop()
        for way in (self.committer, self.delivery):
            if way is not None:
                await way.stop()

    @property
    def uncommitted(self) -> int:
        """Offsets that were processed, and are not committed."""
        return 0 if self.committer is None else self.position - self.committer.committed_offset

    @property
    def _most_records(self) -> int:
        """How many records the next step may take in, more or less: batches are not divided."""
        if self._commits is None:
            return _MOST_STEP_RECORDS
        return min(self._commits.most_records, _MOST_STEP_RECORDS)

    async def _commit_if_due(self) -> None:
        if self._commits is not None:
            await self._commits.cut_if_due()

    def note_committed(self, offset: int) -> None:
        """What was read before `offset` will not be read again."""
        self.committed = offset
        if self.delivery is None:
            self._ledger.published(offset)
        self._ledger.committed(offset)

    def _is_delivered(self) -> None:
        if self.delivery is not None:
            self._ledger.published(self.delivery.delivered_offset)
        self._arrived.set()

    def _is_committed(self, cut: Cut, seconds: float) -> None:
        self._size.committed(cut.next_offset - self._committed_before, seconds)
        self._committed_before = cut.next_offset
        self._counters.commit_duration.observe(seconds)
        if self._commits is not None:
            self._commits.committed()
        self.note_committed(cut.next_offset)
        self._has_committed = True
        self._counters.commits += 1
        self._counters.rows += cut.rows
        self._arrived.set()  # what has come meanwhile may be due

    def _publish(self, batches: list[OutgoingBatch], next_offset: int) -> None:
        if self.delivery is not None:
            self.delivery.publish(batches, next_offset)
        elif self.committer is not None:
            self.committer.publish(batches)

    async def _step(self, runs: list[BatchRun]) -> None:
        self._idle.clear()
        try:
            loop = asyncio.get_running_loop()
            async with self._turn:
                began = loop.time()
                self._is_sound = False
                if self._is_small(runs):
                    step = self._task.process(runs, time.perf_counter)
                else:
                    step = await loop.run_in_executor(
                        self._threads, self._task.process, runs, time.perf_counter
                    )
                self._is_sound = True
                self.keys_count, self.state_bytes = self._task.keys_count, self._task.state_bytes
            self.processed_at = loop.time()
            for stage, seconds in asdict(step.seconds).items():
                self._counters.stage_duration[stage].observe(seconds)
            self._counters.step_records.observe(step.consumed)
            self._finish(step, runs, self.processed_at - began)
        finally:
            self._idle.set()

    def _is_small(self, runs: list[BatchRun]) -> bool:
        """Whether a step over `runs` costs less than to hand it to a thread."""
        return (
            sum(run.record_count for run in runs) <= _MOST_SMALL_RECORDS
            and _size(runs) <= _MOST_SMALL_BYTES
            and self.keys_count <= _MOST_SMALL_KEYS
        )

    def _take(self) -> list[BatchRun]:
        """The next runs, as many as make one good set of columns."""
        runs: list[BatchRun] = []
        size = records = 0
        most_records = self._most_records
        if self._waiting[0].record_count > most_records:
            self._waiting.extendleft(reversed(divide(self._waiting.popleft(), most_records)))
        while self._waiting:
            run = self._waiting[0]
            size += run.end - run.start
            records += run.record_count
            if runs and (size > _MOST_STEP_BYTES or records > most_records):
                break
            runs.append(self._waiting.popleft())
        self._waiting_bytes -= _size(runs)
        self._on_room()
        return runs

    def _finish(self, step: Step, runs: list[BatchRun], seconds: float) -> None:
        self._ledger.add(step, _size([run for run in runs if run.next_offset <= step.next_offset]))
        if step.event_time is not None:
            self.event_time = max(step.event_time, self.event_time or step.event_time)
        self._publish(step.batches, step.next_offset)
        if self._commits is not None:
            self._commits.add(step.consumed)
        if step.unreadable is not None:
            self.parked = True
            self._waiting.clear()
            self._waiting_bytes = 0
        elif step.next_offset < runs[-1].next_offset and self._active:
            # Compressed batches can unfold to more than one step may hold: the rest comes next.
            left = [run for run in runs if run.next_offset > step.next_offset]
            self._waiting.extendleft(reversed(left))
            self._waiting_bytes += _size(left)
        self._on_step(self.partition, step, seconds)

    def _refused(self, batch: OutgoingBatch) -> list[OutgoingBatch]:
        offset = int(batch.source().offset[0])
        self._counters.partitions[self.partition].rejected["output_refused"] += 1
        if self._on_error == "fail":
            raise FatalError(
                f"{self.partition}@{offset}: the broker refused the smoothed record "
                "(dead_letters.on_error: fail); mend the cause, or write on_error: dlq or skip"
            )
        return self._task.refused(batch) if self._on_error == "dlq" else []

    def _is_sent(self, topic: str, seconds: float) -> None:
        self._counters.publish_duration[topic].observe(seconds)

    def _count_failure(self, topic: str, error: BaseException) -> None:
        self._counters.publish_errors[topic, type(error).__name__] += 1


def _size(runs: list[BatchRun]) -> int:
    return sum(run.end - run.start for run in runs)
