"""What happens to keys without a reading of theirs: found silent, expired, and cleared away.

All of it happens at places of the stream that are the same wherever it is cut into steps, and
follows from the keys' states, event time and offsets alone: so it is the same after a restore.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from stream_ewma.columns import Int32, Int64, UInt8
from stream_ewma.engine.config import TaskConfig
from stream_ewma.engine.results import ABSORBED
from stream_ewma.engine.series import Placed, Series, any_with
from stream_ewma.engine.silence import Silence
from stream_ewma.smoothing.layout import NO_TIME
from stream_ewma.smoothing.rows import Action

_SWEEP_EVERY: Final = 1 << 18
"""Offsets from one sweep to the next: so many keys at most are kept without a reading."""


@dataclass(frozen=True, slots=True)
class Stop:
    """A place in a batch at which there may be something to do.

    Attributes:
        end: rows before it.
        before: event time before the last of them, `NO_TIME` if there is none.
        event_time: event time after it.
        sweeps: whether keys without readings are released.
    """

    end: int
    before: int
    event_time: int
    sweeps: bool


class Upkeep:
    """Between the readings of one partition.

    Args:
        config: see `TaskConfig`.
        series: the partition's.
    """

    def __init__(self, config: TaskConfig, series: Series) -> None:
        self._series = series
        self._stale = None if config.stale_after_ms is None else Silence(config.stale_after_ms)
        self._expiry = None if config.ttl_ms is None else Silence(config.ttl_ms)
        self._watches = [each for each in (self._stale, self._expiry) if each is not None]
        self._emptied: list[Int32] = []
        self._event_time = NO_TIME

    @property
    def event_time(self) -> int | None:
        """The greatest event time so far; None before the first, or if nothing depends on it."""
        return None if self._event_time == NO_TIME else self._event_time

    @property
    def nbytes(self) -> int:
        """Memory of what is waited for, in bytes."""
        emptied = sum(slots.nbytes for slots in self._emptied)
        return emptied + sum(watch.nbytes for watch in self._watches)

    def resume(self, event_time: int | None) -> None:
        """Go on with the keys that are there, from an event time."""
        self._event_time = NO_TIME if event_time is None else event_time
        slots = self._series.slots
        self._emptied = [slots[self._series.is_empty(slots)]]
        self._hear(slots, self._event_time)

    def stops(
        self, placed: Placed, offset: Int64, position: int, next_offset: int
    ) -> Iterator[Stop]:
        """The places to stop at; the last one is behind all rows, if there are any.

        Before the next is asked for, what is to be done at the one before must have been.

        Args:
            placed: n rows.
            offset: int64 (n,), the rows' offsets.
            position: the offset from which on they were read.
            next_offset: the offset up to which they were read.
        """
        n = len(offset)
        sweeps = _sweeps(offset, position, next_offset)
        if not self._watches or n == 0:
            for end in sorted({*sweeps, n}):
                yield Stop(end, self._event_time, self._event_time, end in sweeps)
            return
        observed = any_with(placed.actions, Action.OBSERVE)
        time = np.where(observed, placed.readings.timestamp, NO_TIME)
        began = self._event_time
        event_time = np.maximum(np.maximum.accumulate(time), began)
        times = [began, began, *event_time.tolist()]  # before each row's predecessor, and so on
        ways = [iter(sweeps), iter([n])]
        ways += [watch.stops(time, event_time, began) for watch in self._watches]
        ahead = [next(way, n) for way in ways]
        end = -1
        while end < n:
            end = min(ahead)
            yield Stop(end, times[end], times[end + 1], end in sweeps)
            ahead = [
                next(way, n) if stop == end else stop for way, stop in zip(ways, ahead, strict=True)
            ]

    def stop_at(self, placed: Placed, start: int, end: int) -> Stop:
        """A place at which nothing is to be done: after `end` rows, of which `start` were taken."""
        actions = [action[start:end] for action in placed.actions]
        times = placed.readings.timestamp[start:end][any_with(actions, Action.OBSERVE)]
        event_time = int(times.max(initial=self._event_time))
        return Stop(end, event_time, event_time, sweeps=False)

    def took(self, slots: Int32, outcome: UInt8, stop: Stop) -> None:
        """Note the rows up to a stop, which have been folded.

        Args:
            slots: int32 (n,), the rows' keys.
            outcome: uint8 (n,), an `Outcome` each.
            stop: the place.
        """
        if outcome.any():
            doubtful = np.unique(slots[(slots >= 0) & ~np.isin(outcome, ABSORBED)])
            emptied = doubtful[self._series.is_empty(doubtful)]
            if len(emptied):
                self._emptied.append(emptied)
        if self._watches:
            self._hear(np.unique(slots[slots >= 0]), stop.before)
            self._event_time = stop.event_time

    def _hear(self, slots: Int32, event_time: int) -> None:
        if not self._watches:
            return
        last = self._series.last_time(slots)
        slots, last = slots[last != NO_TIME], last[last != NO_TIME]
        if self._expiry is not None:
            self._expiry.heard(slots, last, event_time)
        if self._stale is not None:
            unreported = ~self._series.is_reported(slots)
            self._stale.heard(slots[unreported], last[unreported], event_time)

    def silent(self) -> Int32:
        """Slots of the keys that have fallen silent now."""
        return self._fallen(self._stale)

    def expired(self) -> Int32:
        """Slots of the keys whose time is over now."""
        return self._fallen(self._expiry)

    def empty(self) -> Int32:
        """Slots of the keys without a reading."""
        slots = np.unique(np.concatenate([np.empty(0, np.int32), *self._emptied]))
        self._emptied = []
        return slots[self._series.is_empty(slots)]

    def _fallen(self, watch: Silence | None) -> Int32:
        if watch is None:
            return np.empty(0, np.int32)
        slots = watch.due(self._event_time)
        last = self._series.last_time(slots)
        slots, last = slots[last != NO_TIME], last[last != NO_TIME]
        silent = watch.is_silent(last, self._event_time)
        watch.heard(slots[~silent], last[~silent], self._event_time)
        fallen: Int32 = slots[silent]
        return fallen


def _sweeps(offset: Int64, position: int, next_offset: int) -> list[int]:
    """After how many rows the offsets pass a multiple of `_SWEEP_EVERY`."""
    if position // _SWEEP_EVERY == next_offset // _SWEEP_EVERY:
        return []
    reached = np.concatenate([offset, np.full(1, next_offset)]) // _SWEEP_EVERY
    passed: list[int] = np.flatnonzero(np.diff(reached, prepend=position // _SWEEP_EVERY)).tolist()
    return passed
