"""How well each of many factors predicts recorded readings, and the search for the best one.

Each reading is predicted by the mean of its key before it, one step ahead; the first of a key is
not scored. The means are those of the fold, bit for bit:

    e = x - m,    S += e^2,    A += |e|,    m += share e

On the count clock the share is alpha; in event time it is that of the fold (see `recursion`).
Alpha 1 predicts the last value; an infinite half life predicts the mean of all readings before.
"""

from collections.abc import Callable
from math import sqrt
from typing import Final

import numpy as np

from stream_ewma.columns import Float64, Int32, Int64
from stream_ewma.jit import kernel
from stream_ewma.smoothing.weights import elapsed_time, share_of_event

_GOLDEN: Final = (sqrt(5.0) - 1.0) / 2.0


@kernel
def _score_rows(
    event_time: bool,
    slot: Int32,
    time: Int64,
    x: Float64,
    factor: Float64,
    mean: Float64,
    weight: Float64,
    count: Int64,
    reference: Int64,
    squared: Float64,
    absolute: Float64,
) -> None:
    """Predict, score and absorb all rows; see `Scores` for the columns of state."""
    width = len(factor) // len(count)
    for i in range(len(slot)):
        key, value, now = int(slot[i]), float(x[i]), int(time[i])
        first = key * width
        late = count[key] > 0 and now < reference[key]
        if count[key] == 0:
            for at in range(first, first + width):
                mean[at], weight[at] = value, 1.0
        else:
            last = int(reference[key])
            elapsed = elapsed_time(max(now, last), min(now, last))
            for at in range(first, first + width):
                error = value - mean[at]
                squared[at] += error * error
                absolute[at] += abs(error)
                share = float(factor[at])
                if event_time:
                    weight[at], _, share = share_of_event(
                        float(weight[at]), elapsed / share, 1.0, late
                    )
                mean[at] = value if share == 1.0 else mean[at] + share * error
        if not late:
            reference[key] = now
        count[key] += 1


class Scores:
    """The prediction errors of several factors for each of several keys.

    Args:
        factors: float64 (keys, candidates), alphas, or half lives in the unit of the times.
        event_time: they are half lives.

    Attributes:
        squared: float64 (keys, candidates), sums of squared errors.
        absolute: float64 (keys, candidates), sums of absolute errors.
    """

    def __init__(self, factors: Float64, *, event_time: bool) -> None:
        keys = len(factors)
        self._event_time = event_time
        self._factors = np.ascontiguousarray(factors)
        self._mean, self._weight = np.zeros(factors.shape), np.zeros(factors.shape)
        self._count, self._reference = np.zeros(keys, np.int64), np.zeros(keys, np.int64)
        self.squared, self.absolute = np.zeros(factors.shape), np.zeros(factors.shape)

    @property
    def scored(self) -> Int64:
        """How many readings of each key have been predicted (keys,)."""
        return np.maximum(self._count - 1, 0)

    def add(self, slot: Int32, time: Int64, x: Float64) -> None:
        """Score n more readings, in their order.

        Args:
            slot: (n,), the key of each, below the number of keys.
            time: (n,), not looked at on the count clock.
            x: (n,), of a magnitude whose square is finite.

        Raises:
            IndexError: a slot is no key's.
        """
        if len(slot) and not (slot.min() >= 0 and slot.max() < len(self._count)):
            raise IndexError("a slot is no key's")
        _score_rows(
            self._event_time,
            slot,
            time,
            x,
            self._factors.ravel(),
            self._mean.ravel(),
            self._weight.ravel(),
            self._count,
            self._reference,
            self.squared.ravel(),
            self.absolute.ravel(),
        )


def log_spaced(low: float, high: float, per_octave: int) -> Float64:
    """Factors from `low` to `high`, both included, evenly spaced by ratio.

    Args:
        low: above 0.
        high: above `low`.
        per_octave: how many in each doubling, about.
    """
    count = max(4, round(np.log2(high / low) * per_octave)) + 1
    grid: Float64 = np.geomspace(low, high, count)
    grid[0], grid[-1] = low, high
    return grid


def golden_section(
    evaluate: Callable[[Float64], Float64], low: Float64, high: Float64, steps: int
) -> tuple[Float64, Float64]:
    """The best factor within each of several brackets, all searched side by side.

    Kiefer 1953, on the logarithm: each step evaluates one factor a bracket and leaves 0.618 of it.
    Where an error has several minima in its bracket, one of them is found.

    Args:
        evaluate: the errors (brackets,) of as many factors.
        low: float64 (brackets,), above 0.
        high: float64 (brackets,).
        steps: how many.

    Returns:
        The factors and their errors.
    """
    left, right = np.log(low), np.log(high)
    inner = right - _GOLDEN * (right - left), left + _GOLDEN * (right - left)
    errors = evaluate(np.exp(inner[0])), evaluate(np.exp(inner[1]))
    for _ in range(steps):
        is_lower = errors[0] <= errors[1]
        left, right = np.where(is_lower, left, inner[0]), np.where(is_lower, inner[1], right)
        kept = np.where(is_lower, *inner), np.where(is_lower, *errors)
        reach = _GOLDEN * (right - left)
        new = np.where(is_lower, right - reach, left + reach)
        error = evaluate(np.exp(new))
        inner = np.where(is_lower, new, kept[0]), np.where(is_lower, kept[0], new)
        errors = np.where(is_lower, error, kept[1]), np.where(is_lower, kept[1], error)
    is_lower = errors[0] <= errors[1]
    return np.exp(np.where(is_lower, *inner)), np.where(is_lower, *errors)


def flat_range(
    factors: Float64, errors: Float64, best: int, tolerance: float
) -> tuple[float, float]:
    """The factors around the best whose error is within `tolerance` of its, relatively.

    Args:
        factors: float64 (n,), ascending.
        errors: float64 (n,).
        best: index of the best.
        tolerance: 0.01 for one percent.

    Returns:
        The ends of the range, by interpolation on the logarithm of the factor; the first or the
        last factor where the range reaches that far.
    """
    bound = errors[best] * (1.0 + tolerance)

    def end(step: int) -> float:
        at = best
        while 0 <= at + step < len(factors) and errors[at + step] <= bound:
            at += step
        beyond = at + step
        if not 0 <= beyond < len(factors):
            return float(factors[at])
        part = (bound - errors[at]) / (errors[beyond] - errors[at])
        log = np.log(factors[at]) + part * (np.log(factors[beyond]) - np.log(factors[at]))
        return float(np.exp(log))

    return end(-1), end(1)
