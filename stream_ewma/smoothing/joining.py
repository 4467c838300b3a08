"""Two states of the same factors become one; one state moves to other factors; rows as bytes."""

from collections.abc import Sequence
from enum import IntEnum
from math import isfinite
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stream_ewma.columns import UInt8
from stream_ewma.jit import inner_kernel, kernel
from stream_ewma.smoothing.layout import COUNT
from stream_ewma.smoothing.mode import Mode
from stream_ewma.smoothing.parameters import Clock, Factor
from stream_ewma.smoothing.plan import Plan, Program, Row, steady_weight
from stream_ewma.smoothing.power import exp2_negative
from stream_ewma.smoothing.state import KeyedState
from stream_ewma.smoothing.weights import elapsed_time


class Change(IntEnum):
    """What a change of parameters does to a key."""

    NONE = 0
    CONVERTED = 1
    """Mean, count, variance and trend are kept; the weights are those of the new factors."""

    RESTARTED = 2
    """The clock is another one: nothing of the state means anything to it."""


def merge(plan: Plan, into: Row, other: Row, used: int = 0) -> None:
    """Add the readings behind `other` to `into`, as if one state had seen all of them.

    Exact in event time with event weights, whatever the order was (Chan, Golub & LeVeque 1983 for
    the moments). Readings that both have seen count twice.

    Args:
        plan: of both rows.
        into: changed in place.
        other: stays as it is.
        used: the rows' set of factors.

    Raises:
        ValueError: what the plan keeps depends on the order of the readings; the message says why.
    """
    _check_order_is_free(plan, used)
    if other.words[COUNT] == 0:
        return
    newer = 0
    if plan.places.session >= 0:
        newer = int(other.words[plan.places.session]) - int(into.words[plan.places.session])
    if into.words[COUNT] == 0 or newer > 0:
        into.words[:] = other.words
    elif newer == 0:
        _merge(into, other, plan.program, used)


def _check_order_is_free(plan: Plan, used: int) -> None:
    """Raise unless what the plan keeps is the same whatever the order of the readings was."""
    mode = plan.mode
    if plan.sets[used][0].clock is Clock.COUNT:
        raise ValueError("merge: on the count clock a reading has no age; only event time merges")
    if mode.weighting.value != "event":
        raise ValueError(f"merge: {mode.weighting.value} weights depend on the order of readings")
    if mode.trend.method == "holt" and plan.places.holt >= 0:
        raise ValueError("merge: Holt's trend depends on the order of readings; use trend: fit")
    if mode.seed is not None:
        raise ValueError("merge: both states start from the seed, which would count twice")
    if plan.places.baseline >= 0:
        raise ValueError("merge: a baseline of first readings depends on their order")
    if mode.outliers is not None and mode.outliers.deviations is not None:
        raise ValueError("merge: what outliers.deviations clips depends on the order of readings")
    if mode.reset_after is not None:
        raise ValueError("merge: whether reset_after applies depends on the order of readings")


@inner_kernel
def _between(first: float, second: float, a: float, b: float) -> float:
    """`a` of one and `b` of the other, a + b = 1; a constant stays exact."""
    if b == 1.0:  # not even a rounding error of the first is left
        return second
    change = second - first
    return first + b * change if isfinite(change) else a * first + b * second


@kernel
def _merge(into: Row, other: Row, program: Program, used: int) -> None:
    """Merge two rows that both have readings."""
    places, terms = program.places, program.terms
    into_time, other_time = int(into.words[places.reference]), int(other.words[places.reference])
    time = max(into_time, other_time)
    into_age, other_age = elapsed_time(time, into_time), elapsed_time(time, other_time)
    for k in range(terms.factors):
        at = places.first_factor + k * places.stride
        half_life = float(program.tables.half_life[used * terms.factors + k])
        w_a = into.numbers[at + places.weight] * exp2_negative(into_age / half_life)
        w_b = other.numbers[at + places.weight] * exp2_negative(other_age / half_life)
        a, b = w_a / (w_a + w_b), w_b / (w_a + w_b)
        mean_a, mean_b = (
            float(into.numbers[at + places.mean]),
            float(other.numbers[at + places.mean]),
        )
        d = mean_b - mean_a
        if places.spread >= 0:
            q, v = at + places.spread, at + places.spread + 1
            mixed = a * a * into.numbers[q] + b * b * other.numbers[q]
            into.numbers[q] = mixed + 2.0 * a * b
            into.numbers[v] = a * into.numbers[v] + b * other.numbers[v] + a * b * d * d
        if places.line >= 0:
            line = at + places.line
            lag_a = float(into.numbers[line]) + into_age
            lag_b = float(other.numbers[line]) + other_age
            d_t = lag_a - lag_b  # the lag grows backwards: later times have the smaller one
            for moment, product in ((line + 1, d_t * d_t), (line + 2, d * d_t)):
                mixed = a * into.numbers[moment] + b * other.numbers[moment]
                into.numbers[moment] = mixed + a * b * product
            into.numbers[line] = a * lag_a + b * lag_b
        into.numbers[at + places.mean] = _between(mean_a, mean_b, a, b)
        into.numbers[at + places.weight] = w_a + w_b
    into.words[places.reference] = time
    into.words[COUNT] += other.words[COUNT]


def change_factors(
    state: KeyedState,
    rows: int,
    old: Sequence[tuple[Factor, ...]],
    new: Sequence[tuple[Factor, ...]],
    sets: NDArray[np.integer[Any]],
    mode: Mode,
) -> UInt8:
    """Move the rows of `state` to other factors, keeping what means the same for both.

    Kept are mean, count, effective number of readings, variance, trend and event time. A weight W
    is a number of readings; on the count clock it is bounded by the new steady weight 1/alpha, and
    without bias correction it is that. In event time it decays by the new half life from now on.

    Args:
        state: changed in place.
        rows: how many rows are in use.
        old: sets of factors so far.
        new: what each of them becomes.
        sets: integers (rows,), the set of each row.
        mode: of the state.

    Returns:
        uint8 (rows,), a `Change`.

    Raises:
        ValueError: the sets differ in number or size.
    """
    sizes = [[len(factors) for factors in each] for each in (old, new)]
    if sizes[0] != sizes[1]:
        raise ValueError("factors: the new sets must be as many, and as large, as the old ones")
    places = state.places
    changes = np.zeros(rows, np.uint8)
    words = state.words[: rows * places.width].reshape(rows, places.width)
    numbers = words.view(np.float64)
    for index, (before, after) in enumerate(zip(old, new, strict=True)):
        if before == after:
            continue
        found = np.flatnonzero((sets[:rows] == index) & (words[:, COUNT] > 0))
        if before[0].clock is not after[0].clock:
            words[found] = 0
            changes[found] = Change.RESTARTED
            continue
        changes[found] = Change.CONVERTED
        if after[0].clock is Clock.EVENT_TIME or places.weight < 0:
            continue
        for k, factor in enumerate(after):
            column = places.first_factor + k * places.stride + places.weight
            steady = steady_weight(factor.count_alpha)
            if mode.adjusts(event_time=False):
                numbers[found, column] = np.minimum(numbers[found, column], steady)
            else:
                numbers[found, column] = steady
    return changes


_ROW_VERSION: Final = 1


def row_to_bytes(words: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> bytes:
    """A row as bytes: a version, then its words, little-endian."""
    return bytes([_ROW_VERSION]) + words.astype("<i8").tobytes()


def row_from_bytes(data: bytes, width: int) -> Row:
    """The row that `row_to_bytes` wrote.

    Args:
        data: the bytes.
        width: words that the plan's rows have.

    Raises:
        ValueError: another version, or another plan's row.
    """
    if data[:1] != bytes([_ROW_VERSION]):
        raise ValueError(f"the state has version {data[:1].hex() or 'none'}, not {_ROW_VERSION}")
    if len(data) != 1 + 8 * width:
        raise ValueError(f"the state has {len(data) - 1} bytes where the settings need {8 * width}")
    row = Row.empty(width)
    row.words[:] = np.frombuffer(data, "<i8", offset=1)
    return row
