"""The state of one key in plain Python floats, one class a configuration.

The operations and their order are those of `reference/ewma.md` section 3 and of the README:
`m += r (x - m)`; weights that only decay; Q and V by positive recurrences.
"""

import copy
import struct
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from math import isfinite, nan, sqrt

from . import configurations as chosen
from .power import exp2_negative, one_minus_exp2_negative

OVERFLOW, LATE = "state_overflow", "late"
STALE_FLAG = 2
RESTART_WEIGHT = 2.0**-1000
LARGEST_SQUARED = 1e150
LARGEST_KEPT = 2.0**1022

Value = float | int | bool


class Row(ABC):
    """What is kept of a key.

    Attributes:
        count: readings since the first or the last reset.
        reference: greatest event time absorbed, ms.
        stale: the key was reported as silent and has not been heard since.
    """

    count = 0
    reference = 0
    stale = False

    @abstractmethod
    def observe(self, x: float, time: int, *, restart: bool) -> str:
        """Take a reading in, after a `restart` as the first one; answers why not, or nothing."""

    @abstractmethod
    def results(self, time: int) -> Sequence[Value] | None:
        """The outputs in their order; None where nothing is published yet."""

    @abstractmethod
    def snapshot(self) -> Sequence[Value]:
        """The outputs in a report of silence."""

    @abstractmethod
    def words(self) -> list[int | float]:
        """The row as it stands in the changelog."""

    @property
    def last_time(self) -> int | None:
        """Event time of the last reading; None without any."""
        return self.reference if self.count else None

    def encoded(self) -> bytes:
        """The words, 8 bytes each, little-endian."""
        return b"".join(
            struct.pack("<d" if isinstance(word, float) else "<q", word) for word in self.words()
        )


class PlainRow(Row):
    """`alpha`: EMA_0 = x_0, EMA_t = EMA_(t-1) + alpha (x_t - EMA_(t-1))."""

    mean = 0.0

    def observe(self, x: float, time: int, *, restart: bool) -> str:
        mean = x if self.count == 0 else self.mean + chosen.ALPHA * (x - self.mean)
        if not isfinite(mean):
            return OVERFLOW
        self.mean = mean
        self.count += 1
        return ""

    def results(self, time: int) -> Sequence[Value]:
        return self.mean, self.count

    def snapshot(self) -> Sequence[Value]:
        return self.mean, self.count

    def words(self) -> list[int | float]:
        return [self.count, self.mean]


class SortedRow(Row):
    """`interval_next`: a reading stands for the time before it; held back to be sorted."""

    mean = 0.0
    weight = 0.0

    def __init__(self) -> None:
        self.held: list[tuple[int, float]] = []

    @property
    def last_time(self) -> int | None:
        return self.held[-1][0] if self.held else super().last_time

    def observe(self, x: float, time: int, *, restart: bool) -> str:
        if abs(x) > LARGEST_KEPT:
            return OVERFLOW
        tried = copy.copy(self)
        tried.held = list(self.held)
        if self.count and time < self.reference:
            return LATE
        last = self.last_time
        if last is None or time > last:
            tried.stale = False
        while tried._is_due(time):
            tried._absorb(*tried.held.pop(0))
        if tried.count and time < tried.reference:
            return LATE
        if len(tried.held) < chosen.REORDER:
            place = len(tried.held)
            while place and tried.held[place - 1][0] > time:
                place -= 1
            tried.held.insert(place, (time, x))
        else:
            tried._absorb(time, x)
        vars(self).update(vars(tried))
        return ""

    def _is_due(self, time: int) -> bool:
        if not self.held:
            return False
        earliest, latest = self.held[0][0], self.held[-1][0]
        if len(self.held) == chosen.REORDER and earliest <= time:
            return True
        return latest - earliest > chosen.REORDER_GRACE_MS

    def _absorb(self, time: int, x: float) -> None:
        if self.count == 0:
            self.mean, self.weight = x, 0.0
        else:
            half_lives = float(time - self.reference) / float(chosen.HALF_LIFE_MS)
            gained, kept = one_minus_exp2_negative(half_lives), exp2_negative(half_lives)
            weight = self.weight * kept
            total = weight + gained
            share = 0.0 if total == 0.0 else gained / total
            self.weight = total
            self.mean = x if share == 1.0 else self.mean + share * (x - self.mean)
        self.reference = time
        self.count += 1

    def _caught_up(self) -> "SortedRow":
        """A copy with all that is held back absorbed."""
        ahead = copy.copy(self)
        for time, x in self.held:
            ahead._absorb(time, x)
        return ahead

    def results(self, time: int) -> Sequence[Value] | None:
        ahead = self._caught_up()
        if ahead.count < chosen.SORTED_MIN_PERIODS:
            return None
        return ahead.mean, ahead.count

    def snapshot(self) -> Sequence[Value]:
        ahead = self._caught_up()
        ready = ahead.count >= chosen.SORTED_MIN_PERIODS
        return ahead.mean if ready else nan, ahead.count

    def words(self) -> list[int | float]:
        held: list[int | float] = [len(self.held)]
        for time, x in self.held:
            held += [time, x]
        held += [0] * (1 + 2 * chosen.REORDER - len(held))
        flags = STALE_FLAG if self.stale else 0
        return [self.count, self.reference, flags, *held, self.mean, self.weight]


class GuardedRow(Row):
    """Event weights, late readings merged, spread, and a clip that follows a true step."""

    mean = 0.0
    weight = 0.0
    spread = 0.0
    variance = 0.0
    clipped = 0
    zscore = nan
    late = False

    def observe(self, x: float, time: int, *, restart: bool) -> str:
        if abs(x) > LARGEST_SQUARED:
            return OVERFLOW
        tried = copy.copy(self)
        if restart or (tried.count and time - tried.reference > chosen.RESET_AFTER_MS):
            tried = GuardedRow()
        tried.late = bool(tried.count) and time < tried.reference
        if tried.late and tried.reference - time > chosen.LATE_CUTOFF_MS:
            return LATE
        if not tried.count or time > tried.reference:
            tried.stale = False
        deviation = tried._deviation() if tried.count else 0.0
        tried.zscore = (x - tried.mean) / deviation if deviation > 0.0 else nan
        if not tried._absorb(tried._clip(x, deviation), time):
            return OVERFLOW
        vars(self).clear()
        vars(self).update(vars(tried))
        return ""

    def _deviation(self) -> float:
        """Of the next reading: sqrt(V/Q (1 + E)), E = 1 - Q."""
        if self.spread <= 0.0:
            return 0.0
        return sqrt(self.variance / self.spread * (1.0 + (1.0 - self.spread)))

    def _clip(self, x: float, deviation: float) -> float:
        if self.count < chosen.GUARDED_MIN_PERIODS:
            return x
        reach = chosen.DEVIATIONS * deviation
        if reach == 0.0 or abs(x - self.mean) <= reach:
            self.clipped = 0
            return x
        side = 1 if x > self.mean else -1
        run = self.clipped * side
        self.clipped = side * (run + 1 if run > 0 else 1)
        return x if run >= chosen.ACCEPT_AFTER else self.mean + side * reach

    def _absorb(self, x: float, time: int) -> bool:
        weight, added = self.weight, 1.0
        restarts = False
        if self.count == 0:
            total, a, r = 1.0, 0.0, 1.0
        else:
            elapsed = float(abs(time - self.reference))
            decay = exp2_negative(elapsed / float(chosen.HALF_LIFE_MS))
            if self.late:
                added *= decay
            else:
                weight *= decay
                restarts = weight < RESTART_WEIGHT
            total = weight + added
            a, r = weight / total, added / total
            if restarts:
                total, a, r = 1.0, 0.0, 1.0
        dx, ar = x - self.mean, a * r
        self.mean = x if r == 1.0 else self.mean + r * dx
        self.spread = a * a * self.spread + 2.0 * ar * 1.0
        self.variance = a * self.variance + ar * dx * dx
        self.weight = total
        if self.count == 0 or time > self.reference:
            self.reference = time
        self.count = 1 if restarts else self.count + 1
        return isfinite(self.mean) and isfinite(self.variance)

    def _ready(self) -> bool:
        enough = self.count >= chosen.GUARDED_MIN_PERIODS
        return enough and 1.0 / (1.0 - self.spread) >= chosen.MIN_N_EFF

    def _std(self) -> float:
        if self.count < 2 or not self.spread > 0.0:
            return nan
        return sqrt(self.variance / self.spread)

    def results(self, time: int) -> Sequence[Value]:
        return self.mean, self._std(), self.zscore, self.late, self.count, self._ready()

    def snapshot(self) -> Sequence[Value]:
        return self.mean, self._std(), nan, False, self.count, self._ready()

    def words(self) -> list[int | float]:
        flags = STALE_FLAG if self.stale else 0
        factor = [self.mean, self.weight, self.spread, self.variance]
        return [self.count, self.reference, flags, self.clipped, *factor]


ROWS: dict[str, Callable[[], Row]] = {
    "plain": PlainRow,
    "sorted": SortedRow,
    "guarded": GuardedRow,
}
