"""One input partition in motion: runs come in, are computed on a thread, and are delivered."""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor

from stream_ewma.engine.outgoing import OutgoingBatch
from stream_ewma.engine.step import Step
from stream_ewma.engine.task import PartitionTask
from stream_ewma.errors import FatalError
from stream_ewma.kafka.consumer import Partition
from stream_ewma.kafka.delivery import Delivery
from stream_ewma.records.fetched import BatchRun
from stream_ewma.service.counters import Counters
from stream_ewma.settings import Settings

_MOST_WAITING_BYTES = 4 << 20
# A step's columns: large enough to spread the cost of its calls, small enough for steady progress.
# Compressed bytes say little of the size of the columns, hence the second bound.
_MOST_STEP_BYTES = 4 << 20
_MOST_STEP_RECORDS = 65_536


class Pipeline:
    """Reads a partition's runs in order, one step at a time.

    Args:
        settings: names and limits.
        partition: the input partition.
        task: its state; only one step runs at a time.
        threads: where steps are computed.
        counters: what is counted.
        on_room: called when `wants_more` may have become true.
        on_step: called with each step, after it was counted.
    """

    def __init__(
        self,
        settings: Settings,
        partition: Partition,
        task: PartitionTask,
        threads: Executor,
        counters: Counters,
        on_room: Callable[[], None],
        on_step: Callable[[Partition, Step], None],
    ) -> None:
        self.partition = partition
        self.committed: int | None = None
        self.parked = False
        self._task = task
        self._on_error = settings.dead_letters.on_error
        self._threads = threads
        self._counters = counters
        self._on_room = on_room
        self._on_step = on_step
        self._waiting: deque[BatchRun] = deque()
        self._waiting_bytes = 0
        self._arrived = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._active = False
        self.delivery = Delivery(
            settings, partition, task.position, self._refused, self._count_resend
        )

    @property
    def position(self) -> int:
        """Offset of the next record to process."""
        return self._task.position

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
            and self.delivery.has_room
        )

    def begin(self) -> None:
        """Take runs from `position` on."""
        self._active = True
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
        return self._active and not self.parked and not self._waiting and self._idle.is_set()

    def pass_over(self, position: int) -> None:
        """Go on at `position`: nothing that is to be smoothed stands before it.

        Behind a transactional producer the log ends with a marker. Without passing it the lag
        would never be 0, and once retention has emptied the topic, the committed offset would
        seem to be lost.
        """
        if self.at_rest and position > self._task.position:
            self._task.position = position
            self.delivery.publish([], position)

    async def halt(self) -> None:
        """Take no more, finish the step at work, and return when all is delivered."""
        await self.settle()
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
            while self._waiting:
                await self.delivery.wait_for_room()
                runs = self._take()
                if not runs:
                    break
                await self._step(runs)
                # The next wait is not to keep a response in memory that is done with.
                del runs

    async def _step(self, runs: list[BatchRun]) -> None:
        self._idle.clear()
        try:
            loop = asyncio.get_running_loop()
            step = await loop.run_in_executor(self._threads, self._task.process, runs)
            self._finish(step, runs)
        finally:
            self._idle.set()

    def _take(self) -> list[BatchRun]:
        """The next runs, as many as make one good set of columns."""
        runs: list[BatchRun] = []
        size = records = 0
        while self._waiting:
            run = self._waiting[0]
            size += run.end - run.start
            records += run.record_count
            if runs and (size > _MOST_STEP_BYTES or records > _MOST_STEP_RECORDS):
                break
            runs.append(self._waiting.popleft())
        self._waiting_bytes -= _size(runs)
        self._on_room()
        return runs

    def _finish(self, step: Step, runs: list[BatchRun]) -> None:
        self._counters.add(step)
        self.delivery.publish(step.batches, step.next_offset)
        if step.unreadable is not None:
            self.parked = True
            self._waiting.clear()
            self._waiting_bytes = 0
        elif step.next_offset < runs[-1].next_offset and self._active:
            # Compressed batches can unfold to more than one step may hold: the rest comes next.
            self._waiting.extendleft(reversed(runs))
            self._waiting_bytes += _size(runs)
        self._on_step(self.partition, step)

    def _refused(self, batch: OutgoingBatch) -> list[OutgoingBatch]:
        offset = int(batch.source().offset[0])
        self._counters.rejected["output_refused"] += 1
        if self._on_error == "fail":
            raise FatalError(
                f"{self.partition}@{offset}: the broker refused the smoothed record "
                "(dead_letters.on_error: fail)"
            )
        return self._task.refused(batch) if self._on_error == "dlq" else []

    def _count_resend(self) -> None:
        self._counters.resends += 1


def _size(runs: list[BatchRun]) -> int:
    return sum(run.end - run.start for run in runs)
