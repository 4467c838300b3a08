"""Histograms as plain numbers: counting must cost next to nothing beside the records."""

from bisect import bisect_left
from typing import Final

import numpy as np

from stream_ewma.columns import Int64

SECONDS: Final = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075),
    *(0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
)
"""Bounds of durations: OpenTelemetry's, and three below."""
RECORDS: Final = (1.0, 10.0, 100.0, 1_000.0, 10_000.0, 100_000.0)


class Distribution:
    """How many values there were up to each bound, and their sum.

    Args:
        bounds: ascending; a value belongs to the first bound that is not below it.

    Attributes:
        bounds: the same.
        total: the sum of all values.
    """

    def __init__(self, bounds: tuple[float, ...] = SECONDS) -> None:
        self.bounds = bounds
        self.total = 0.0
        self._counts = np.zeros(len(bounds) + 1, np.int64)
        self._below_ms = np.array([bound * 1000 for bound in bounds])

    def observe(self, value: float) -> None:
        """Count a value."""
        self._counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def observe_since(self, now_ms: float, timestamps: Int64) -> None:
        """Count the seconds from each of many times to now.

        Args:
            now_ms: milliseconds since the epoch.
            timestamps: int64 (n,), ascending, the same; those below 0 are none.
        """
        known = timestamps[np.searchsorted(timestamps, 0) :]
        ends = np.searchsorted(known, now_ms - self._below_ms)
        within = len(known) - ends  # values up to each bound
        self._counts += np.diff(within, prepend=0, append=len(known))
        # A clock ahead of this one must not make the sum fall.
        self.total += float(np.maximum(now_ms - known, 0).sum()) / 1000

    @property
    def cumulative(self) -> list[int]:
        """Values up to each bound, and last all of them."""
        counts: list[int] = np.cumsum(self._counts).tolist()
        return counts
