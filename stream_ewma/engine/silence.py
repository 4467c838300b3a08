"""Which keys have fallen silent, told by the event time of their partition.

Event time moves in ticks of a tenth of the allowed silence. At each tick, the keys whose last
reading lies that silence back are reported, once, until they speak again. A key stands in one
tick's list at a time, the one at which it can first be due: there it is looked at, and put into a
later list if it has spoken meanwhile. So a tick costs what is due at it, not what there is.
"""

import heapq
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream_ewma.columns import Int32, Int64, UInt8, extend, grown_size
from stream_ewma.smoothing.layout import NO_TIME

_TICKS: Final = 10


class Silence:
    """The waiting lists of one partition.

    Args:
        allowed_ms: silence after which a key is reported.
    """

    def __init__(self, allowed_ms: int) -> None:
        self._allowed = allowed_ms
        self._tick_ms = max(1, allowed_ms // _TICKS)
        self._lists: dict[int, list[Int32]] = {}
        self._ticks: list[int] = []
        self._waits: UInt8 = np.zeros(0, np.uint8)
        self.event_time: int | None = None

    def tick_of(self, event_time: Int64) -> Int64:
        """The number of the last tick at or before each event time."""
        return event_time // self._tick_ms

    def heard(self, slots: Int32, last: Int64) -> None:
        """Wait for keys that have spoken, unless they are waited for already.

        Args:
            slots: int32 (n,), any number of times each.
            last: int64 (n,), event time of the key's last reading.
        """
        if len(slots) == 0:
            return
        highest = int(slots.max())
        if highest >= len(self._waits):
            extend(self._waits, grown_size(len(self._waits), highest + 1 - len(self._waits)))
        fresh = np.flatnonzero(self._waits[slots] == 0)
        unique, first = np.unique(slots[fresh], return_index=True)
        self._waits[unique] = 1
        self._enter(unique, last[fresh[first]])

    def _due_tick(self, last: Int64) -> Int64:
        """The first tick at which the silence since `last` is as long as allowed."""
        return -((-(last + self._allowed)) // self._tick_ms)

    def _enter(self, slots: Int32, last: Int64) -> None:
        due = self._due_tick(last)
        if self.event_time is not None:  # a late reading may be due since long
            due = np.maximum(due, self.event_time // self._tick_ms + 1)
        for tick in np.unique(due).tolist():
            if tick not in self._lists:
                self._lists[tick] = []
                heapq.heappush(self._ticks, tick)
            self._lists[tick].append(slots[due == tick])

    def due(self, event_time: int) -> Int32:
        """The keys on the lists up to an event time, which event time has reached now.

        They are not waited for any longer: those that have spoken meanwhile must be `heard` again.
        Ask at the first reading behind each tick: the answers are the same then however a stream
        is cut into batches.
        """
        self.event_time = event_time
        found: list[Int32] = []
        while self._ticks and self._ticks[0] * self._tick_ms <= event_time:
            found += self._lists.pop(heapq.heappop(self._ticks))
        slots: Int32 = np.concatenate(found) if found else np.empty(0, np.int32)
        slots.sort()
        self._waits[slots] = 0
        return slots

    def is_silent(self, last: Int64) -> NDArray[np.bool_]:
        """Whether a key whose last reading was at `last` (n,) is silent at the tick reached."""
        now = NO_TIME if self.event_time is None else self.event_time
        silent: NDArray[np.bool_] = self._due_tick(last) <= now // self._tick_ms
        return silent
