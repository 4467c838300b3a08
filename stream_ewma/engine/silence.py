"""Which keys have been silent for so long, told by the event time of their partition.

Event time moves in ticks of a tenth of the allowed silence. At each tick, all keys whose last
reading lies that silence back are found. That is all there is to it: which keys these are follows
from their states and from event time, not from how the stream was cut, nor from what is kept here.

A key stands in the list of the tick at which it can first be due: there it is looked at, and put
into a later list if it has spoken meanwhile. So a tick costs what is due at it, not what there is,
and a tick at which nothing can be due is passed over.
"""

import heapq
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream_ewma.columns import Int32, Int64, extend, grown_size
from stream_ewma.smoothing.layout import NO_TIME

_TICKS: Final = 10
_NEVER: Final = 1 << 62
"""A tick that does not come."""


class Silence:
    """The waiting lists of one partition.

    Args:
        allowed_ms: silence after which a key is found.
    """

    def __init__(self, allowed_ms: int) -> None:
        self._allowed = allowed_ms
        self._tick_ms = max(1, allowed_ms // _TICKS)
        self._lists: dict[int, list[Int32]] = {}
        self._ticks: list[int] = []
        self._waits: Int64 = np.zeros(0, np.int64)

    @property
    def nbytes(self) -> int:
        """Memory of the lists, in bytes."""
        lists = sum(part.nbytes for parts in self._lists.values() for part in parts)
        return self._waits.nbytes + lists

    def heard(self, slots: Int32, last: Int64, event_time: int) -> None:
        """Wait for keys until they can be due.

        Args:
            slots: int32 (n,), each once.
            last: int64 (n,), event time of the key's last reading.
            event_time: the partition's, `NO_TIME` if there is none yet. What is due already is
                found at the next tick.
        """
        if len(slots) == 0:
            return
        size, highest = len(self._waits), int(slots.max())
        if highest >= size:
            extend(self._waits, grown_size(size, highest + 1 - size))
            self._waits[size:] = _NEVER
        due = np.maximum(self._due_tick(last), event_time // self._tick_ms + 1)
        # One who waits in an earlier list is looked at there; one forgotten meanwhile and heard
        # anew with an old reading may be due before the list it stood in: it leaves that one.
        sooner = np.flatnonzero(due < self._waits[slots])
        if len(sooner) == 0:
            return
        slots, due = slots[sooner], due[sooner]
        self._waits[slots] = due
        order = np.argsort(due, kind="stable")
        ticks, first = np.unique(due[order], return_index=True)
        for tick, part in zip(ticks.tolist(), np.split(slots[order], first[1:]), strict=True):
            if tick not in self._lists:
                self._lists[tick] = []
                heapq.heappush(self._ticks, tick)
            self._lists[tick].append(part)

    def _due_tick(self, last: Int64) -> Int64:
        """The first tick at which the silence since `last` is as long as allowed."""
        return -((-(last + self._allowed)) // self._tick_ms)

    def stops(self, time: Int64, event_time: Int64, before: int) -> Iterator[int]:
        """After how many rows keys may be due: rows that move event time over a tick.

        Before the next is asked for, all rows up to there must have been `heard`, and what is `due`
        have been taken.

        Args:
            time: int64 (n,), when each row's key is heard; `NO_TIME` where it is not.
            event_time: int64 (n,), the partition's after each row.
            before: the same before the first.
        """
        tick = event_time // self._tick_ms
        moves = np.flatnonzero(np.diff(tick, prepend=before // self._tick_ms))
        if len(moves) == 0:
            return
        due = np.where(time == NO_TIME, _NEVER, np.maximum(self._due_tick(time), tick + 1))
        # The keys heard since the move before are in no list yet.
        since = np.concatenate([np.zeros(1, np.int64), moves[:-1] + 1])
        heard = np.minimum.reduceat(due[: moves[-1] + 1], since)
        soonest = _NEVER
        for row, now, sooner in zip(
            moves.tolist(), tick[moves].tolist(), heard.tolist(), strict=True
        ):
            soonest = min(soonest, sooner)
            if now >= soonest or (self._ticks and now >= self._ticks[0]):
                yield row + 1
                soonest = _NEVER

    def due(self, event_time: int) -> Int32:
        """The slots on the lists up to an event time, which event time has reached now.

        They are not waited for any longer: those that have spoken meanwhile must be `heard` again.
        """
        found: list[Int32] = [np.empty(0, np.int32)]
        while self._ticks and self._ticks[0] <= event_time // self._tick_ms:
            tick = heapq.heappop(self._ticks)
            found += [slots[self._waits[slots] == tick] for slots in self._lists.pop(tick)]
        slots = np.unique(np.concatenate(found))
        self._waits[slots] = _NEVER
        return slots

    def is_silent(self, last: Int64, event_time: int) -> NDArray[np.bool_]:
        """Whether a key whose last reading was at `last` (n,) is silent at the tick reached."""
        silent: NDArray[np.bool_] = self._due_tick(last) <= event_time // self._tick_ms
        return silent
