"""The fold: readings, in order, into the keys' states; smoothed values out.

Count clock, alpha = weight of a new reading (exponential smoothing seeded by the first value):

    m_0 = x_0,    m += alpha (x - m)

Event time, half life h (weights 2^(-age/h), normalised; forward decay, Cormode et al., ICDE 2009):

    on time:  W *= 2^(-(t - t_ref)/h),  t_ref = t,  w = 1
    late:     w = 2^(-(t_ref - t)/h)            merged exactly: the order of arrival does not matter
    both:     W += w,    m += (w/W) (x - m)

The incremental form keeps a constant series exact and has no drift: on the count clock

    |error| <= u max|x| (1/alpha + 4),    u = 2^-53,    to first order in u and for ever,

since a step adds at most u max|x| (1 + 4 alpha) and shrinks what was there by 1 - alpha.
"""

from dataclasses import dataclass
from enum import IntEnum
from math import isfinite, nan
from typing import Final

import numpy as np

from stream_ewma.columns import Float64, Int32, Int64, UInt8, UInt16
from stream_ewma.jit import kernel
from stream_ewma.smoothing.parameters import Clock, FactorColumns
from stream_ewma.smoothing.power import exp2_negative
from stream_ewma.smoothing.state import KeyedState


class Action(IntEnum):
    """What to do with a row."""

    OBSERVE = 0
    """Absorb the reading and emit the new mean."""

    HOLD = 1
    """Absorb nothing; emit the mean there is."""

    RESET = 2
    """Forget the key's readings."""

    IGNORE = 3
    """Leave the row out; its slot, time and reading are not looked at."""


class Outcome(IntEnum):
    """What became of a row."""

    EMITTED = 0
    NO_STATE = 1
    """There is no mean: the key has no readings, or the row was a reset or to be ignored."""

    NOT_FINITE = 2
    """The reading, or the mean with it, is not a finite number: the state is untouched."""


_OBSERVE: Final = int(Action.OBSERVE)
_RESET: Final = int(Action.RESET)
_IGNORE: Final = int(Action.IGNORE)
_EMITTED: Final = int(Outcome.EMITTED)
_NO_STATE: Final = int(Outcome.NO_STATE)
_NOT_FINITE: Final = int(Outcome.NOT_FINITE)
_COUNT_CLOCK: Final = int(Clock.COUNT)
_INT64_MAX: Final = (1 << 63) - 1

_RESTART_WEIGHT: Final = 2.0**-1000
"""All earlier readings together weighing less than this against a new one (a silence of 1000 half
lives) is the same as none: the row starts anew, and no subnormal weight ever arises."""


@dataclass(frozen=True, slots=True)
class FoldResult:
    """What the fold emits, one row per input row.

    Attributes:
        mean: float64 (n,), the key's mean after the row; NaN unless emitted.
        count: int64 (n,), the key's readings after the row; 0 unless emitted.
        outcome: uint8 (n,), an `Outcome`.
    """

    mean: Float64
    count: Int64
    outcome: UInt8


def fold(
    state: KeyedState,
    factors: FactorColumns,
    slot: Int32,
    time_ms: Int64,
    x: Float64,
    action: UInt8,
) -> FoldResult:
    """Fold n rows, in their order, into `state`; a slot may occur any number of times.

    However a stream is cut into calls, states and results have the same bits.

    Args:
        state: changed in place; its rows must cover the slots.
        factors: what the factor numbers in `state` mean.
        slot: (n,), the row of the key.
        time_ms: (n,), event time; not looked at on the count clock.
        x: (n,), readings; looked at where the action is `OBSERVE`.
        action: (n,), an `Action`.

    Raises:
        ValueError: the columns differ in length.
        IndexError: a slot has no row, or a row's factor is not in `factors`; the rows before it
            have been folded.
    """
    n = len(slot)
    if not n == len(time_ms) == len(x) == len(action):
        raise ValueError("slot, time_ms, x and action must have the same length")
    result = FoldResult(np.full(n, nan), np.zeros(n, np.int64), np.empty(n, np.uint8))
    fault = _fold(
        (state.weight, state.mean, state.count, state.reference_ms, state.factor),
        (factors.clock, factors.alpha, factors.half_life_ms),
        (slot, time_ms, x, action),
        (result.mean, result.count, result.outcome),
    )
    if fault < n:
        raise IndexError(f"row {fault}: slot {slot[fault]} has no row or an unknown factor")
    return result


@kernel
def _fold(
    state: tuple[Float64, Float64, Int64, Int64, UInt16],
    factors: tuple[UInt8, Float64, Float64],
    rows: tuple[Int32, Int64, Float64, UInt8],
    result: tuple[Float64, Int64, UInt8],
) -> int:
    """Fold all rows; answers their number, or the first row outside the state or the factors.

    The helpers take and give numbers only: handing them the arrays costs 30 ns a row.
    """
    weight, mean, count, reference_ms, factor = state
    clock, alpha, half_life_ms = factors
    slot, time_ms, x, action = rows
    mean_out, count_out, outcome = result
    for i in range(len(slot)):
        outcome[i] = _NO_STATE
        if action[i] == _IGNORE:
            continue
        row = int(slot[i])
        if row < 0 or row >= len(count) or factor[row] >= len(clock):
            return i
        if action[i] == _RESET:
            weight[row], mean[row], count[row], reference_ms[row] = 0.0, 0.0, 0, 0
            continue
        m, n = float(mean[row]), int(count[row])
        if action[i] == _OBSERVE:
            used = factor[row]
            on_count = clock[used] == _COUNT_CLOCK
            if on_count:
                m, n = _absorb_count(m, n, float(alpha[used]), float(x[i]))
                w, t_ref = 0.0, 0
            else:
                w, t_ref = float(weight[row]), int(reference_ms[row])
                h, t = float(half_life_ms[used]), int(time_ms[i])
                w, m, n, t_ref = _absorb_event(w, m, n, t_ref, h, t, float(x[i]))
            if not isfinite(m):
                outcome[i] = _NOT_FINITE
                continue
            mean[row], count[row] = m, n
            if not on_count:  # among millions of keys each array touched is a cache miss
                weight[row], reference_ms[row] = w, t_ref
        if n > 0:
            mean_out[i], count_out[i], outcome[i] = m, n, _EMITTED
    return len(slot)


@kernel
def _absorb_count(mean: float, count: int, alpha: float, x: float) -> tuple[float, int]:
    """One reading on the count clock: the row's (mean, count) after it."""
    return (x if count == 0 else _towards(mean, x, alpha)), count + 1


@kernel
def _absorb_event(
    weight: float,
    mean: float,
    count: int,
    reference_ms: int,
    half_life_ms: float,
    time_ms: int,
    x: float,
) -> tuple[float, float, int, int]:
    """One reading in event time: the row's (weight, mean, count, reference) after it."""
    if count == 0:
        return 1.0, x, 1, time_ms
    if time_ms < reference_ms:
        added = exp2_negative(_elapsed_ms(reference_ms, time_ms) / half_life_ms)
    else:
        added = 1.0
        weight *= exp2_negative(_elapsed_ms(time_ms, reference_ms) / half_life_ms)
        reference_ms = time_ms
        if weight < _RESTART_WEIGHT:
            return 1.0, x, 1, time_ms
    weight += added
    return weight, _towards(mean, x, added / weight), count + 1, reference_ms


@kernel
def _towards(mean: float, x: float, share: float) -> float:
    """The mean after a reading with this share of the total weight; exactly x if that is all."""
    return x if share == 1.0 else mean + share * (x - mean)


@kernel
def _elapsed_ms(later: int, earlier: int) -> float:
    """The difference, not negative: taken between integers, since doubles would lose digits."""
    if earlier < 0 and later > earlier + _INT64_MAX:
        return float(later) - float(earlier)  # above 2^63: the integers would wrap around
    return float(later - earlier)
