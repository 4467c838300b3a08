"""Who watches the stream: samples go to bounded queues, the newest win, and nobody waits."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from stream_ewma.engine.sample import Rejected, Sample, Watched
from stream_ewma.engine.step import Step
from stream_ewma.kafka.partition import Partition

MOST_WATCHERS: Final = 64
MOST_KEYS: Final = 200
_MOST_QUEUED: Final = 2_000
_MOST_REJECTED: Final = 200

Watching: TypeAlias = Callable[[Watched], None]


class TooManyWatchersError(Exception):
    """There is no room for another one."""


@dataclass(frozen=True, slots=True, eq=False)  # each is but itself: all who watch have the same
class Seen:
    """A sample, and where it is from.

    Attributes:
        partition: the input partition.
        sample: what was seen.
    """

    partition: Partition
    sample: Sample


@dataclass(frozen=True, slots=True)
class SeenRejected:
    """A record that could not be smoothed, and where it is from.

    Attributes:
        partition: the input partition.
        rejected: the record.
    """

    partition: Partition
    rejected: Rejected


class Watcher:
    """One who watches: a queue of the newest samples.

    Args:
        wanted: what of the stream.

    Attributes:
        wanted: the same.
        missed: samples that were pushed out of the queue unread.
    """

    def __init__(self, wanted: Watched) -> None:
        self.wanted = wanted
        self.missed = 0
        self._queue: deque[Seen] = deque()
        self._arrived = asyncio.Event()

    def offer(self, seen: Seen) -> None:
        """Queue a sample; the oldest makes room."""
        if len(self._queue) == _MOST_QUEUED:
            self._queue.popleft()
            self.missed += 1
        self._queue.append(seen)
        self._arrived.set()

    async def take(self, timeout_s: float) -> list[Seen]:
        """All that is queued, as soon as there is anything; nothing after so long."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._arrived.wait()
        except TimeoutError:
            return []
        self._arrived.clear()
        taken = list(self._queue)
        self._queue.clear()
        return taken


class Watchers:
    """All who watch a member's partitions.

    Args:
        watch: told what samples steps are to bring.

    Attributes:
        rejected: the last records that could not be smoothed, the newest last.
    """

    def __init__(self, watch: Watching) -> None:
        self._watch = watch
        self._watchers: set[Watcher] = set()
        self.rejected: deque[SeenRejected] = deque(maxlen=_MOST_REJECTED)

    def join(self, wanted: Watched) -> Watcher:
        """Watch from now on.

        Raises:
            TooManyWatchersError: others have to leave first.
        """
        if len(self._watchers) == MOST_WATCHERS:
            raise TooManyWatchersError
        watcher = Watcher(wanted)
        self._watchers.add(watcher)
        self._tell()
        return watcher

    def change(self, watcher: Watcher, wanted: Watched) -> None:
        """Watch something else from now on."""
        watcher.wanted = wanted
        self._tell()

    def leave(self, watcher: Watcher) -> None:
        """Watch no more."""
        self._watchers.discard(watcher)
        self._tell()

    def publish(self, partition: Partition, step: Step) -> None:
        """Hand a step's samples to those who want them."""
        self.rejected.extend(SeenRejected(partition, rejected) for rejected in step.refusals)
        seen = [Seen(partition, sample) for sample in step.samples]
        for watcher in self._watchers if seen else ():
            left = watcher.wanted.others
            for each in seen:
                if each.sample.key in watcher.wanted.keys:
                    watcher.offer(each)
                elif left > 0:
                    left -= 1
                    watcher.offer(each)

    def _tell(self) -> None:
        wanted = [watcher.wanted for watcher in self._watchers]
        keys: frozenset[bytes] = frozenset().union(*(each.keys for each in wanted))
        others = max((each.others for each in wanted), default=0)
        self._watch(Watched(keys, others))
