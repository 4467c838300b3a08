"""The factor that predicts a recording best: over all keys and for each, with how flat that is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from stream_ewma.columns import Float64, Int64
from stream_ewma.errors import DataError
from stream_ewma.files.recording import Recording
from stream_ewma.smoothing.tuning import Scores, flat_range, golden_section, log_spaced

FEWEST: Final = 20
"""Predictions without which nothing can be said of a key."""
TOLERANCE: Final = 0.01
_PER_OCTAVE: Final = 3
_STEPS: Final = 12
_SMALLEST_ALPHA: Final = 1e-5
_PIECE: Final = 500_000
"""Cells scored between two signs of life."""

Criterion = Literal["squared", "absolute"]


@dataclass(frozen=True, slots=True)
class Error:
    """The size of prediction errors: root of the mean square, and mean absolute value."""

    rmse: float
    mae: float

    def by(self, criterion: Criterion) -> float:
        """The one that is minimised."""
        return self.rmse if criterion == "squared" else self.mae


@dataclass(frozen=True, slots=True)
class Best:
    """The best factor for some readings.

    Attributes:
        factor: alpha, or a half life in ms.
        error: with it.
        low: smallest factor whose error is within `TOLERANCE`.
        high: largest one.
    """

    factor: float
    error: Error
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class KeyTuning:
    """What is found for one key; `best` is None where it has too few readings, or never changes."""

    key: str
    readings: int
    best: Best | None
    error_with_overall: Error


@dataclass(frozen=True, slots=True)
class Tuning:
    """What is found for a recording.

    Attributes:
        event_time: factors are half lives in ms; else alphas.
        criterion: what is minimised.
        readings: how many there are.
        scored: how many of them were predicted.
        best: for all keys together.
        last_value: the error without smoothing.
        mean: the error of the mean of all readings before.
        factors: float64 (n,), the factors of the curve, ascending.
        curve: the error of each, over all keys.
        keys: those with most readings first.
    """

    event_time: bool
    criterion: Criterion
    readings: int
    scored: int
    best: Best
    last_value: Error
    mean: Error
    factors: Float64
    curve: list[Error]
    keys: list[KeyTuning]


def tune(
    recording: Recording,
    *,
    event_time: bool,
    criterion: Criterion,
    progress: Callable[[int, float], None],
) -> Tuning:
    """Find the best factors.

    Args:
        recording: the readings.
        event_time: the clock.
        criterion: what is minimised.
        progress: told how many readings have been scored, and the share of all that is to be done.

    Raises:
        DataError: there is nothing to choose.
    """
    return _Search(recording, event_time, criterion, progress).run()


class _Search:
    def __init__(
        self,
        recording: Recording,
        event_time: bool,
        criterion: Criterion,
        progress: Callable[[int, float], None],
    ) -> None:
        self._recording, self._event_time = recording, event_time
        self._criterion, self._progress = criterion, progress
        self._keys = len(recording.keys)
        self._counts: Int64 = np.bincount(recording.slot, minlength=self._keys)
        self._scored = np.maximum(self._counts - 1, 0)
        self._done, self._passes = 0.0, 1.0

    def run(self) -> Tuning:
        total = int(self._scored.sum())
        if total < FEWEST:
            raise DataError(
                f"too short: {total} readings can be predicted (all but the first of each key), at"
                f" least {FEWEST} are needed"
            )
        grid = self._grid()
        self._passes = len(grid) + 2 * (_STEPS + 2) + 4
        last = self._score(np.ones((self._keys, 1)), event_time=False)
        if not last.absolute.any():
            raise DataError("constant: every reading equals the one before it, nothing to choose")
        mean = self._score(np.full((self._keys, 1), np.inf), event_time=True)
        scores = self._score(np.tile(grid, (self._keys, 1)))
        sizes = np.vstack([self._overall(scores)[None], self._each(scores)])
        if not np.isfinite(sizes).all():
            raise DataError("the squared errors are beyond the range of numbers; scale the data")
        at = sizes.argmin(1)
        low, high = grid[np.maximum(at - 1, 0)], grid[np.minimum(at + 1, len(grid) - 1)]
        found, error = golden_section(self._errors, low, high, _STEPS)
        rows = np.arange(len(at))
        best = np.where(error < sizes[rows, at], found, grid[at])
        final = self._score(np.stack([best[1:], np.full(self._keys, best[0])], 1))
        overall = self._best(grid, sizes[0], float(best[0]), self._error(final, None, 1))
        keys = [self._key(final, key, grid, sizes[1 + key], best[1 + key]) for key in self._order()]
        return Tuning(
            self._event_time,
            self._criterion,
            len(self._recording),
            total,
            overall,
            self._error(last, None, 0),
            self._error(mean, None, 0),
            grid,
            [self._error(scores, None, place) for place in range(len(grid))],
            keys,
        )

    def _order(self) -> list[int]:
        return [int(key) for key in np.argsort(-self._counts, kind="stable")]

    def _grid(self) -> Float64:
        """From next to no smoothing to next to the mean of all readings."""
        if not self._event_time:
            return log_spaced(
                max(_SMALLEST_ALPHA, 1.0 / (2 * self._counts.max())), 1.0, _PER_OCTAVE
            )
        gaps = self._recording.gaps()
        if len(gaps) == 0:
            raise DataError("all readings of a key have the same time; write --clock readings")
        span = float(self._recording.time.max() - self._recording.time.min())
        low = max(1.0, float(np.median(gaps)) / 8.0)
        return log_spaced(low, max(span, 16.0 * low), _PER_OCTAVE)

    def _score(self, factors: Float64, *, event_time: bool | None = None) -> Scores:
        clock = self._event_time if event_time is None else event_time
        scores = Scores(factors, event_time=clock)
        recording, width = self._recording, factors.shape[1]
        step = max(1, _PIECE // width)
        for first in range(0, len(recording), step):
            piece = slice(first, first + step)
            slot = recording.slot[piece]
            scores.add(slot, recording.time[piece], recording.x[piece])
            self._done += width * len(slot) / len(recording)
            readings = int(self._done * len(recording))
            self._progress(readings, min(1.0, self._done / self._passes))
        return scores

    def _errors(self, factors: Float64) -> Float64:
        """The errors that a search minimises: over all with the first factor, of each key."""
        both = np.stack([factors[1:], np.full(self._keys, factors[0])], 1)
        scores = self._score(both)
        return np.concatenate([self._overall(scores)[1:], self._each(scores)[:, 0]])

    def _overall(self, scores: Scores) -> Float64:
        """The error to minimise over all keys (candidates,)."""
        if self._criterion == "squared":
            return np.asarray(np.sqrt(scores.squared.sum(0) / self._scored.sum()))
        return np.asarray(scores.absolute.sum(0) / self._scored.sum())

    def _each(self, scores: Scores) -> Float64:
        """The error to minimise of each key (keys, candidates)."""
        count = np.maximum(self._scored, 1)[:, None]
        if self._criterion == "squared":
            return np.asarray(np.sqrt(scores.squared / count))
        return np.asarray(scores.absolute / count)

    def _error(self, scores: Scores, key: int | None, candidate: int) -> Error:
        rows = slice(None) if key is None else slice(key, key + 1)
        count = max(1, int(self._scored[rows].sum()))
        squared = float(scores.squared[rows, candidate].sum())
        absolute = float(scores.absolute[rows, candidate].sum())
        return Error(float(np.sqrt(squared / count)), absolute / count)

    def _best(self, grid: Float64, sizes: Float64, factor: float, error: Error) -> Best:
        at = int(np.searchsorted(grid, factor))
        factors = np.insert(grid, at, factor)
        errors = np.insert(sizes, at, error.by(self._criterion))
        low, high = flat_range(factors, errors, at, TOLERANCE)
        return Best(factor, error, low, high)

    def _key(
        self, final: Scores, key: int, grid: Float64, sizes: Float64, factor: float
    ) -> KeyTuning:
        error = self._error(final, key, 0)
        is_told = self._scored[key] >= FEWEST and sizes.max() > 0.0
        best = self._best(grid, sizes, float(factor), error) if is_told else None
        name, readings = self._recording.keys[key], int(self._counts[key])
        return KeyTuning(name, readings, best, self._error(final, key, 1))
