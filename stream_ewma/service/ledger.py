"""The steps of one partition whose results are on their way: counted once they have arrived."""

import time
from collections import deque
from collections.abc import Callable

from stream_ewma.columns import Int64
from stream_ewma.engine.step import Step
from stream_ewma.kafka.partition import Partition
from stream_ewma.service.counters import Counters, Tally


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
        self._unpublished: deque[tuple[int, Int64]] = deque()
        self._uncommitted: deque[tuple[int, Tally]] = deque()

    def add(self, step: Step, consumed_bytes: int) -> None:
        """A step was made."""
        self._unpublished.append((step.next_offset, step.timestamps))
        self._uncommitted.append((step.next_offset, Tally.of(step, consumed_bytes)))

    def published(self, offset: int) -> None:
        """The outputs of all records before `offset` are there to be read."""
        latency = self._counters.latency[self._partition.topic]
        while self._unpublished and self._unpublished[0][0] <= offset:
            latency.observe_since(self._now() * 1000, self._unpublished.popleft()[1])

    def committed(self, offset: int) -> None:
        """What came of all records before `offset` will not be done again."""
        tally = self._counters.partitions[self._partition]
        while self._uncommitted and self._uncommitted[0][0] <= offset:
            tally.add(self._uncommitted.popleft()[1])
