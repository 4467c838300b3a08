"""One pass over whole columns, a piece at a time, so that what is between them stays in cache."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stream_ewma.columns import Float64, Int32, Int64, UInt16
from stream_ewma.frames import Table
from stream_ewma.smoothing.mode import Mode, Weighting
from stream_ewma.smoothing.outputs import DEFAULT_OUTPUTS, Output, Quantity
from stream_ewma.smoothing.plan import LARGEST_SQUARED, Plan
from stream_ewma.smoothing.recursion import fold
from stream_ewma.smoothing.rows import Outcome
from stream_ewma.smoothing.state import KeyedState

ROWS_AT_ONCE: Final = 1 << 15
_LATE: Final = int(Outcome.LATE)


@dataclass(frozen=True, slots=True)
class Readings:
    """The rows of a pass.

    Attributes:
        x: (n,) numbers of any kind; not finite: missing.
        slot: gives the int32 slots of some rows.
        tick: gives the int64 times of some rows; None without times.
        weight: (n,) numbers, the readings' own weights, or None.
        sets: the set of factors of each slot; its length is their number.
    """

    x: NDArray[Any]
    slot: Callable[[slice], Int32]
    tick: Callable[[slice], Int64] | None
    weight: NDArray[Any] | None
    sets: UInt16


def columns_for(outputs: tuple[Output, ...]) -> tuple[Output, ...]:
    """What to fold for `outputs`: mean and count are quicker as a pair."""
    return DEFAULT_OUTPUTS if set(outputs) <= set(DEFAULT_OUTPUTS) else outputs


def has_missing(x: NDArray[Any]) -> bool:
    """Whether a reading may count as missing: NaN, infinite, or too large for some outputs."""
    if x.dtype.kind != "f":
        return False
    largest = np.float64(LARGEST_SQUARED)  # a Python float would become one of the column's width
    return not all(
        (np.abs(x[start : start + ROWS_AT_ONCE]) <= largest).all()
        for start in range(0, len(x), ROWS_AT_ONCE)
    )


def run(plan: Plan, outputs: tuple[Output, ...], readings: Readings) -> Table:
    """Fold all readings; answers the columns of `outputs`, which `plan` has among its own.

    Raises:
        ValueError: a reading is late where late ones cannot be merged.
    """
    n = len(readings.x)
    state = KeyedState(plan.places)
    state.grow(len(readings.sets))
    state.assign(np.arange(len(readings.sets)), readings.sets)
    result: Table = {output.name: np.empty(n, _dtype(output)) for output in outputs}
    x, no_times = np.empty(min(n, ROWS_AT_ONCE)), np.zeros(min(n, ROWS_AT_ONCE), np.int64)
    for start in range(0, n, ROWS_AT_ONCE):
        rows = slice(start, min(start + ROWS_AT_ONCE, n))
        size = rows.stop - start
        part = x[:size]
        part[:] = readings.x[rows]
        folded = fold(
            state,
            plan,
            readings.slot(rows),
            no_times[:size] if readings.tick is None else readings.tick(rows),
            part,
            _actions(part, plan.program.terms.most),
            weight=None if readings.weight is None else readings.weight[rows].astype(np.float64),
        )
        if expects_order(plan.mode):
            _check_order(plan, folded.outcome == _LATE, start)
        for output in outputs:
            result[output.name][rows] = folded.columns[output.name]
    return result


def _dtype(output: Output) -> type[Any]:
    if output.quantity is Quantity.COUNT:
        return np.int64
    return np.bool_ if output.quantity.is_flag else np.float64


def _actions(x: Float64, most: float) -> NDArray[np.uint8]:
    """`Action.OBSERVE` (0), and `Action.HOLD` (1) where the reading is missing or too large."""
    sound = np.isfinite(x) if np.isinf(most) else np.abs(x) <= most
    return np.logical_not(sound).view(np.uint8)


def expects_order(mode: Mode) -> bool:
    """Whether a late reading is an error: it cannot be merged, and leaving it out was not asked."""
    return mode.weighting is not Weighting.EVENT and mode.late == "merge" and not mode.reorder


def _check_order(plan: Plan, late: NDArray[np.bool_], start: int) -> None:
    if late.any():
        raise ValueError(
            f"times: row {start + int(late.argmax())} is earlier than one before it, which "
            f"{plan.mode.weighting.value} weights cannot merge; sort the rows or write late='drop'"
        )
