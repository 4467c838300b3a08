"""The steps of one partition whose results are on their way: counted once they have arrived."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from stream_ewma.columns import Int64
from stream_ewma.engine.step import Step
from stream_ewma.kafka.partition import Partition
from stream_ewma.service.counters import Counters, Tally


@dataclass(frozen=True, slots=True)
class _Entry:
    next_offset: int
    tally: Tally
    timestamps: Int64


class Ledger:
    """Brings what came of steps into the counters when it is published, and committed.

    Args:
        partition: the input partition.
        counters: where to.
        now: seconds since the epoch.
    """

    def __init__(
        self, partition: Partition, counters: Counters, now: Callable[[], float] = time.time
    ) -> None:
        self._partition = partition
        self._counters = counters
        self._now = now
        self._unpublished: deque[_Entry] = deque()
        self._uncommitted: deque[_Entry] = deque()

    def add(self, step: Step, consumed_bytes: int) -> None:
        """A step was made."""
        entry = _Entry(step.next_offset, Tally.of(step, consumed_bytes), step.timestamps)
        self._unpublished.append(entry)
        self._uncommitted.append(entry)

    def published(self, offset: int) -> None:
        """The outputs of all records before `offset` are there to be read."""
        latency = self._counters.latency[self._partition.topic]
        while self._unpublished and self._unpublished[0].next_offset <= offset:
            latency.observe_since(self._now() * 1000, self._unpublished.popleft().timestamps)

    def committed(self, offset: int) -> None:
        """What came of all records before `offset` will not be done again."""
        tally = self._counters.partitions[self._partition]
        while self._uncommitted and self._uncommitted[0].next_offset <= offset:
            tally.add(self._uncommitted.popleft().tally)
