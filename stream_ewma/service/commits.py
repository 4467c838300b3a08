"""When the work on one partition is committed, and taking what a commit holds at that moment."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor

from stream_ewma.engine.task import PartitionTask
from stream_ewma.kafka.committer import Committer
from stream_ewma.service.pace import STUCK_S, CommitPace
from stream_ewma.service.sizing import TransactionSize
from stream_ewma.settings import Settings

_MOST_SMALL_RECORDS = 512
# Of a transaction's own time: no commit waits longer for its turn, whatever others have to write.
_WAIT_SHARE = 0.5


class Commits:
    """Cuts one partition's stream into transactions.

    A commit is due once `commit_interval` has passed since the last one, or as many records were
    read as one transaction takes in; an isolated record is committed at once. There is never more
    than one under way: while it is, later steps are computed already.

    Args:
        settings: the interval.
        task: what has changed is taken from it; no step may be at work meanwhile.
        kept: the position that the changelog holds; None: none yet, so that where the partition
            was begun is the first thing to commit.
        committer: where to.
        threads: where rows are encoded.
        pace: shared by all partitions of the process.
        size: how many records a transaction takes in.
        turn: held by whoever is at work on the task.
        wake: called when a commit may have become due.
    """

    def __init__(
        self,
        settings: Settings,
        task: PartitionTask,
        kept: int | None,
        committer: Committer,
        threads: Executor,
        pace: CommitPace,
        size: TransactionSize,
        turn: asyncio.Lock,
        wake: Callable[[], None],
    ) -> None:
        self._interval_s = settings.commit_interval_ms / 1000
        self._longest_s = settings.delivery.transaction_timeout / 1000 * _WAIT_SHARE
        self._task = task
        self._committer = committer
        self._threads = threads
        self._pace = pace
        self._size = size
        self._wake = wake
        self._loop = asyncio.get_running_loop()
        self._cut_position = kept
        self._last_cut = self._loop.time() - self._interval_s
        self._began = self._loop.time()
        self._records = 0
        self._rows = 0
        self._moment: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._turn = turn
        self._is_sound = True

    @property
    def most_records(self) -> int:
        """How many records may still be read before the next cut."""
        return self._size.limit - self._records

    def add(self, records: int) -> None:
        """So many records were processed since the last call."""
        if not self._records:
            self._began = self._loop.time()
        self._records += records

    async def cut_if_due(self) -> None:
        """Hand over what has changed, if it is time; else be woken when it is."""
        if self._committer.is_committing or self._task.position == self._cut_position:
            return
        now = self._loop.time()
        if self._moment is None:
            earliest = (
                now if self.most_records <= 0 else max(now, self._last_cut + self._interval_s)
            )
            if earliest > now:
                self._wake_at(earliest)
                return
            # A transaction may be open since the first of the records, and has its time.
            latest = max(now, self._began + self._longest_s)
            self._moment = min(self._pace.reserve(now, self._rows), latest)
        if self._moment > now:
            self._wake_at(self._moment)
            return
        if not self._pace.has_room(self, now, self._wake):
            self._wake_at(now + STUCK_S)
            return
        await self.cut()

    async def cut(self) -> None:
        """Hand over what has changed since the last cut, if anything has."""
        async with self._turn:
            if self._task.position == self._cut_position:
                return
            if not self._is_sound:
                return  # a cut that was broken off has forgotten what had changed
            self._is_sound = False
            # Most of it is the rows of as many records: few are not worth a thread's turn.
            if self._records <= _MOST_SMALL_RECORDS:
                cut = self._task.cut()
            else:
                cut = await self._loop.run_in_executor(self._threads, self._task.cut)
            self._is_sound = True
            self._cut_position, self._rows = cut.next_offset, cut.rows + cut.tombstones
            self._last_cut = self._loop.time()
            self._records = 0
            self._moment = None
            self._pace.begin(self, self._last_cut)
            self._committer.commit(cut)

    def committed(self) -> None:
        """A cut is committed."""
        self._pace.end(self, self._loop.time())

    @property
    def spacing_s(self) -> float:
        """What a commit of this partition takes up of the time of all."""
        return self._pace.spacing_s(self._rows)

    def stop(self) -> None:
        """Be woken no more, and hold up no other partition."""
        self._pace.end(self, None)
        if self._timer is not None:
            self._timer.cancel()

    def _wake_at(self, moment: float) -> None:
        if self._timer is not None:
            if self._timer.when() <= moment and not self._timer.cancelled():
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(moment, self._on_time)

    def _on_time(self) -> None:
        self._timer = None
        self._wake()
