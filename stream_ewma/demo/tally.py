"""What the demo knows of each series: the newest values, counts, noise, and traces to plot.

Every object has one writer for each of its fields: the feeder writes what goes in, the reader what
comes out. The view only looks, and may at worst miss a reading that is just being written.
"""

import math
from collections.abc import Sequence
from typing import Final

from stream_ewma.demo.sources import Readings, Series

BIN_MS: Final = 250
"""Event time that one column of a plot covers."""

_BINS: Final = 1024
_TRACED: Final = 64
"""Series that keep traces; no view shows more, and with a million keys they would not fit."""


class Trace:
    """The lowest, highest and last value in each of the newest bins of event time."""

    def __init__(self) -> None:
        self._bins: list[tuple[int, float, float, float] | None] = [None] * _BINS

    def add(self, time_ms: int, value: float) -> None:
        """Note `value` at `time_ms`; times may be late, but not by more than the ring holds."""
        number = time_ms // BIN_MS
        found = self._bins[number % _BINS]
        low = high = value
        if found is not None and found[0] == number:
            low, high = min(found[1], value), max(found[2], value)
        self._bins[number % _BINS] = (number, low, high, value)

    def window(self, last: int, size: int) -> list[tuple[float, float, float] | None]:
        """(low, high, last value) of the `size` bins up to number `last`; None where empty."""
        found = (self._bins[number % _BINS] for number in range(last - size + 1, last + 1))
        numbers = range(last - size + 1, last + 1)
        return [
            entry[1:] if entry is not None and entry[0] == number else None
            for number, entry in zip(numbers, found, strict=True)
        ]


class Steps:
    """The spread of the differences between successive values: what the eye sees as noise."""

    def __init__(self) -> None:
        self._last = math.nan
        self._count = 0
        self._sum = 0.0
        self._squares = 0.0

    def add(self, value: float) -> None:
        """Note the next value of the series."""
        step = value - self._last
        self._last = value
        if step == step:  # noqa: PLR0124  not NaN: there was a value before
            self._count += 1
            self._sum += step
            self._squares += step * step

    def std(self) -> float:
        """Standard deviation of the steps so far; 0 before there are any."""
        if not self._count:
            return 0.0
        mean = self._sum / self._count
        return math.sqrt(max(self._squares / self._count - mean * mean, 0.0))


class SeriesTally:
    """One series: raw as fed in, smoothed as read back.

    Attributes:
        readings: raw readings fed in.
        smoothed: smoothed records read back.
        raw: newest raw value; NaN before the first.
        ewma: newest smoothed value; NaN before the first.
        count: readings behind `ewma`, as the service says.
        peak: largest magnitude seen, which sets the number of decimals shown.
    """

    def __init__(self, series: Series, traced: bool) -> None:
        self.name = series.name
        self.unit = series.unit
        self.readings = 0
        self.smoothed = 0
        self.raw = math.nan
        self.ewma = math.nan
        self.count = 0
        self.peak = 0.0
        self.raw_trace = Trace() if traced else None
        self.ewma_trace = Trace() if traced else None
        self._raw_steps = Steps()
        self._ewma_steps = Steps()

    def feed(self, time_ms: int, value: float) -> None:
        """Note a raw reading on its way in."""
        self.readings += 1
        self.raw = value
        self.peak = max(self.peak, abs(value))
        if self.raw_trace is not None:
            self.raw_trace.add(time_ms, value)

    def receive(self, time_ms: int, value: float, ewma: float, count: int) -> None:
        """Note a smoothed record on its way out."""
        self.smoothed += 1
        self.ewma = ewma
        self.count = count
        self._raw_steps.add(value)
        self._ewma_steps.add(ewma)
        if self.ewma_trace is not None:
            self.ewma_trace.add(time_ms, ewma)

    def noise(self) -> tuple[float, float]:
        """Standard deviation of the raw steps and of the smoothed steps, over the same records."""
        return self._raw_steps.std(), self._ewma_steps.std()


class Tally:
    """All series.

    Attributes:
        readings: raw readings fed in.
        smoothed: smoothed records read back.
        newest_ms: event time of the newest raw reading.
        delay_ms: from event time to being read back, of the newest smoothed record.
    """

    def __init__(self, series: Sequence[Series]) -> None:
        self.series = [SeriesTally(item, index < _TRACED) for index, item in enumerate(series)]
        self._by_key = {item.name.encode(): item for item in self.series}
        self.readings = 0
        self.smoothed = 0
        self.newest_ms = 0
        self.delay_ms = 0

    def feed(self, readings: Readings) -> None:
        """Note raw readings on their way in."""
        columns = (readings.series.tolist(), readings.timestamp.tolist(), readings.value.tolist())
        for index, time_ms, value in zip(*columns, strict=True):
            self.series[index].feed(time_ms, value)
            self.newest_ms = time_ms
        self.readings += len(readings)

    def receive(self, key: bytes, time_ms: int, value: float, ewma: float, count: int) -> None:
        """Note a smoothed record on its way out."""
        self._by_key[key].receive(time_ms, value, ewma, count)
        self.smoothed += 1

    @property
    def backlog(self) -> int:
        """Readings fed in that have not come back smoothed."""
        return self.readings - self.smoothed
