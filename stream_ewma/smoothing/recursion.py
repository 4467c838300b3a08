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

Mean and count alone are folded by a short kernel; everything else (`absorbing`, `readout`) costs
only those who ask for it. Where both serve, they give the same bits.
"""

from dataclasses import dataclass
from math import isfinite, nan
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream_ewma.columns import Float64, Int32, Int64, UInt8, UInt16
from stream_ewma.jit import inner_kernel, kernel
from stream_ewma.smoothing.absorbing import NOTE_LATE
from stream_ewma.smoothing.general import fold_rows, read_last_times, read_rows
from stream_ewma.smoothing.layout import COUNT, Places
from stream_ewma.smoothing.outputs import Quantity
from stream_ewma.smoothing.parameters import Clock
from stream_ewma.smoothing.plan import Plan, Row, Tables
from stream_ewma.smoothing.rows import Action, Outcome, Rows
from stream_ewma.smoothing.state import KeyedState
from stream_ewma.smoothing.weights import elapsed_time, share_of_event

_OBSERVE: Final = int(Action.OBSERVE)
_HOLD: Final = int(Action.HOLD)
_RESET: Final = int(Action.RESET)
_IGNORE: Final = int(Action.IGNORE)
_EMITTED: Final = int(Outcome.EMITTED)
_NO_STATE: Final = int(Outcome.NO_STATE)
_NOT_FINITE: Final = int(Outcome.NOT_FINITE)
_COUNT_CLOCK: Final = int(Clock.COUNT)
_EMPTY: Final[Int64] = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class FoldResult:
    """What the fold emits, one row per input row.

    Attributes:
        columns: by name: int64 (n,) for counts, bool (n,) for flags, else float64 (n,) with NaN
            where a result is not defined; 0, false and NaN in rows that are not emitted.
        outcome: uint8 (n,), an `Outcome`.
        notes: uint8 (n,), bits of `NOTE_...`.
    """

    columns: dict[str, NDArray[np.generic]]
    outcome: UInt8
    notes: UInt8

    @property
    def mean(self) -> Float64:
        """The first column."""
        return np.asarray(next(iter(self.columns.values())))

    @property
    def count(self) -> Int64:
        """The column named `count`."""
        return np.asarray(self.columns["count"])


def fold(
    state: KeyedState,
    plan: Plan,
    slot: Int32,
    time: Int64,
    x: Float64,
    action: UInt8,
    *,
    weight: Float64 | None = None,
    session: Int64 | None = None,
    restart: UInt8 | None = None,
) -> FoldResult:
    """Fold n rows, in their order, into `state`; a slot may occur any number of times.

    However a stream is cut into calls, states and results have the same bits.

    Args:
        state: changed in place; its rows must cover the slots.
        plan: what `state` was laid out by.
        slot: (n,); see `Rows` for this and the others.
        time: (n,).
        x: (n,).
        action: (n,).
        weight: (n,), with `Mode.weighted`.
        session: (n,), with `Mode.sessions`.
        restart: (n,).

    Raises:
        ValueError: the columns differ in length, or do not go with the plan.
        IndexError: a slot has no row, or a row's factors are not in the plan; the rows before it
            have been folded.
    """
    n = len(slot)
    rows = Rows(
        slot,
        time,
        x,
        action,
        np.empty(0) if weight is None else weight,
        _EMPTY if session is None else session,
        np.empty(0, np.uint8) if restart is None else restart,
    )
    given = [column for column in (time, x, action, weight, session, restart) if column is not None]
    if any(len(column) != n for column in given):
        raise ValueError("the columns must have the same length")
    if state.places != plan.places:
        raise ValueError("the state has another plan's rows")
    if (weight is None) == plan.mode.weighted or (session is None) == plan.mode.sessions:
        raise ValueError("weights and sessions must come if the plan says so, and only then")
    if plan.is_plain and restart is None:
        result, fault = _fold_plain(state, plan, rows)
    else:
        result, fault = _fold_any(state, plan, rows)
    _check_fault(fault, slot)
    return result


def snapshot(state: KeyedState, plan: Plan, slot: Int32, time: Int64) -> FoldResult:
    """The results of each slot as they are at a time, changing nothing; z-scores are NaN.

    Args:
        state: laid out by `plan`.
        plan: what to read off.
        slot: (n,), rows of the state.
        time: (n,), where time is kept; one before the row's last reading counts as that.

    Raises:
        ValueError: the columns differ in length, or the state is another plan's.
        IndexError: a slot has no row, or a row's factors are not in the plan.
    """
    if len(slot) != len(time):
        raise ValueError("the columns must have the same length")
    if state.places != plan.places:
        raise ValueError("the state has another plan's rows")
    n = len(slot)
    out = np.full((len(plan.outputs), n), nan)
    outcome, notes = np.empty(n, np.uint8), np.zeros(n, np.uint8)
    replay = Row.empty(plan.places.width)
    fault = read_rows(
        state.words, state.factor, plan.program, slot, time, replay, out, outcome, notes
    )
    _check_fault(fault, slot)
    return FoldResult(_columns(plan, out), outcome, notes)


def last_times(state: KeyedState, slot: Int32, time: Int64) -> None:
    """The event time of each row's last reading, held back or absorbed.

    Args:
        state: one that keeps time.
        slot: (n,), rows of the state.
        time: (n,), filled in; `NO_TIME` where there is no reading.

    Raises:
        IndexError: a slot has no row.
    """
    fault = read_last_times(state.words, len(state.factor), state.places, slot, time)
    _check_fault(fault, slot)


def _check_fault(fault: int, slot: Int32) -> None:
    if fault < len(slot):
        raise IndexError(f"row {fault}: slot {slot[fault]} has no row or an unknown factor")


def _fold_plain(state: KeyedState, plan: Plan, rows: Rows) -> tuple[FoldResult, int]:
    n = len(rows.slot)
    mean, count, outcome = np.full(n, nan), np.zeros(n, np.int64), np.empty(n, np.uint8)
    notes = np.zeros(n, np.uint8)
    fault = _fold_means(
        state.words,
        state.numbers,
        state.factor,
        plan.places,
        plan.program.tables,
        rows,
        mean,
        count,
        outcome,
        notes,
    )
    names = [output.name for output in plan.outputs]
    columns: dict[str, NDArray[np.generic]] = dict(zip(names, (mean, count), strict=True))
    return FoldResult(columns, outcome, notes), fault


def _fold_any(state: KeyedState, plan: Plan, rows: Rows) -> tuple[FoldResult, int]:
    n = len(rows.slot)
    out = np.full((len(plan.outputs), n), nan)
    outcome, notes = np.empty(n, np.uint8), np.zeros(n, np.uint8)
    fault = fold_rows(
        state.words,
        state.factor,
        plan.program,
        rows,
        Row.empty(plan.places.width),
        Row.empty(plan.places.width),
        out,
        outcome,
        notes,
    )
    return FoldResult(_columns(plan, out), outcome, notes), fault


def _columns(plan: Plan, out: NDArray[np.float64]) -> dict[str, NDArray[np.generic]]:
    """The results by name, each of its own type."""
    columns: dict[str, NDArray[np.generic]] = {}
    for output, values in zip(plan.outputs, out, strict=True):
        if output.quantity is Quantity.COUNT:
            columns[output.name] = np.nan_to_num(values).astype(np.int64)
        elif output.quantity.is_flag:
            columns[output.name] = values == 1.0
        else:
            columns[output.name] = values
    return columns


@kernel
def _fold_means(  # noqa: C901  the loop over rows is written out: calls cost more than it
    words: Int64,
    numbers: Float64,
    factor: UInt16,
    places: Places,
    tables: Tables,
    rows: Rows,
    mean_out: Float64,
    count_out: Int64,
    outcome: UInt8,
    notes: UInt8,
) -> int:
    """Fold all rows; answers their number, or the first row outside the state or the factors."""
    slot, time, x, action = rows.slot, rows.time, rows.x, rows.action
    width = places.width
    to_mean = places.first_factor + places.mean
    to_weight = places.first_factor + places.weight
    for i in range(len(slot)):
        outcome[i] = _NO_STATE
        if action[i] == _IGNORE:
            continue
        row = int(slot[i])
        if row < 0 or row >= len(factor) or factor[row] >= len(tables.clock):
            return i
        at = row * width
        if action[i] == _RESET:
            for word in range(at, at + width):
                words[word] = 0
            continue
        m, n = float(numbers[at + to_mean]), int(words[at + COUNT])
        if action[i] == _OBSERVE:
            used = factor[row]
            on_count = tables.clock[used] == _COUNT_CLOCK
            if on_count:
                m, n = _absorb_count(m, n, float(tables.alpha[used]), float(x[i]))
                w, t_ref = 0.0, 0
            else:
                w, t_ref = float(numbers[at + to_weight]), int(words[at + places.reference])
                h, t = float(tables.half_life[used]), int(time[i])
                late = n > 0 and t < t_ref
                w, m, n, t_ref = _absorb_event(w, m, n, t_ref, h, t, float(x[i]))
            if not isfinite(m):
                outcome[i] = _NOT_FINITE
                continue
            numbers[at + to_mean], words[at + COUNT] = m, n
            if not on_count:
                numbers[at + to_weight], words[at + places.reference] = w, t_ref
                if late:
                    notes[i] = NOTE_LATE
        if n > 0 and action[i] <= _HOLD:
            mean_out[i], count_out[i], outcome[i] = m, n, _EMITTED
    return len(slot)


@inner_kernel
def _absorb_count(mean: float, count: int, alpha: float, x: float) -> tuple[float, int]:
    """One reading on the count clock: the row's (mean, count) after it."""
    return (x if count == 0 else _towards(mean, x, alpha)), count + 1


@inner_kernel
def _absorb_event(
    weight: float,
    mean: float,
    count: int,
    reference: int,
    half_life: float,
    time: int,
    x: float,
) -> tuple[float, float, int, int]:
    """One reading in event time: the row's (weight, mean, count, reference) after it."""
    if count == 0:
        return 1.0, x, 1, time
    late = time < reference
    if late:
        half_lives = elapsed_time(reference, time) / half_life
    else:
        half_lives = elapsed_time(time, reference) / half_life
        reference = time
    weight, kept, share = share_of_event(weight, half_lives, 1.0, late)
    if kept == 0.0 and not late:
        count = 0
    return weight, _towards(mean, x, share), count + 1, reference


@inner_kernel
def _towards(mean: float, x: float, share: float) -> float:
    """The mean after a reading with this share of the total weight; exactly x if that is all."""
    return x if share == 1.0 else mean + share * (x - mean)
