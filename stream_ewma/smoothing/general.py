"""The fold for every mode and output: each reading is tried on a copy of its row.

A state that is not finite, or a reading that is refused, leaves no trace that way.
"""

from math import isfinite, nan
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream_ewma.columns import Float64, Int32, Int64, UInt8, UInt16
from stream_ewma.jit import inner_kernel, kernel
from stream_ewma.smoothing.absorbing import (
    NOTE_LATE,
    NOTE_NOT_READY,
    NOTE_RESTARTED,
    absorb,
    age_weights,
    clip,
    drop_earliest,
    hold_back,
    is_due,
    latest_held,
    stand_until,
)
from stream_ewma.smoothing.layout import COUNT, FLAG_EMITTED, FLAG_STALE, NO_TIME, Places
from stream_ewma.smoothing.outputs import Code
from stream_ewma.smoothing.parameters import Clock
from stream_ewma.smoothing.plan import (
    EVENT,
    LARGEST_WEIGHT,
    NEVER,
    WARM_UP_EMIT,
    WARM_UP_HOLD,
    Program,
    Row,
    Terms,
)
from stream_ewma.smoothing.readout import is_ready, read, zscore
from stream_ewma.smoothing.rows import Action, Outcome, Rows
from stream_ewma.smoothing.weights import elapsed_time

_NOT_ADMITTED: Final = -1
_OBSERVE: Final = int(Action.OBSERVE)
_HOLD: Final = int(Action.HOLD)
_RESET: Final = int(Action.RESET)
_IGNORE: Final = int(Action.IGNORE)
_EMITTED: Final = int(Outcome.EMITTED)
_NO_STATE: Final = int(Outcome.NO_STATE)
_NOT_FINITE: Final = int(Outcome.NOT_FINITE)
_LATE: Final = int(Outcome.LATE)
_THINNED: Final = int(Outcome.THINNED)
_WARMING_UP: Final = int(Outcome.WARMING_UP)
_COUNT_CLOCK: Final = int(Clock.COUNT)
_ZSCORE: Final = int(Code.ZSCORE)


@inner_kernel
def _is_too_late(words: Int64, places: Places, terms: Terms, time: int) -> bool:
    """Whether the mode has no use for a reading of this time, before the row's last."""
    if terms.weighting != EVENT or terms.refuses_late:
        return True
    lateness = elapsed_time(int(words[places.reference]), time)
    return terms.late_cutoff != NEVER and lateness > float(terms.late_cutoff)


@inner_kernel
def _forgets(words: Int64, places: Places, terms: Terms, rows: Rows, i: int, time: int) -> bool:
    """Whether the row is to be forgotten before reading `i`: request, session or silence."""
    if len(rows.restart) > 0 and rows.restart[i] != 0:
        return True
    if places.session >= 0 and rows.session[i] > words[places.session]:
        return True
    if terms.reset_after == NEVER:
        return False
    latest = int(words[places.reference])
    if places.held >= 0 and words[places.held] > 0:  # those held back are not before the row's
        latest = latest_held(words, places)
    return time > latest and elapsed_time(time, latest) > float(terms.reset_after)


@inner_kernel
def _admit(
    words: Int64, places: Places, terms: Terms, on_count: bool, rows: Rows, i: int, time: int
) -> int:
    """What is to be noted of reading `i`, for which the row may be forgotten; -1 if it is late."""
    notes = 0
    is_held = places.held >= 0 and words[places.held] > 0
    if words[COUNT] > 0 or is_held:
        if _forgets(words, places, terms, rows, i, time):
            for word in range(places.width):
                words[word] = 0
            notes = NOTE_RESTARTED
        elif places.session >= 0 and rows.session[i] < words[places.session]:
            return _NOT_ADMITTED
    if words[COUNT] > 0 and not on_count and time < words[places.reference]:
        if _is_too_late(words, places, terms, time):
            return _NOT_ADMITTED
        notes |= NOTE_LATE
    if places.session >= 0:
        words[places.session] = rows.session[i]
    return notes


@inner_kernel
def _last_time(words: Int64, places: Places, at: int) -> int:
    """Time of the last reading of the row that begins at `at`, held back or absorbed."""
    last = int(words[at + places.reference]) if words[at + COUNT] > 0 else NO_TIME
    if places.held >= 0 and words[at + places.held] > 0:
        last = max(last, int(words[at + places.held + 2 * int(words[at + places.held]) - 1]))
    return last


@inner_kernel
def _observe(
    state: Row,
    program: Program,
    used: int,
    rows: Rows,
    i: int,
    out: NDArray[np.float64],
) -> tuple[int, int]:
    """Take in reading `i` and fill in its z-scores; answers its outcome so far, and notes."""
    numbers, words = state.numbers, state.words
    places, terms = program.places, program.terms
    x, time = float(rows.x[i]), int(rows.time[i])
    added = float(rows.weight[i]) if len(rows.weight) > 0 else 1.0
    if not (isfinite(x) and abs(x) <= terms.most and 0.0 < added <= LARGEST_WEIGHT):
        return _NOT_FINITE, 0
    on_count = program.tables.clock[used] == _COUNT_CLOCK
    notes = _admit(words, places, terms, on_count, rows, i, time)
    if notes == _NOT_ADMITTED:
        return _LATE, 0
    if places.flags >= 0 and time > _last_time(words, places, 0):
        words[places.flags] &= ~FLAG_STALE  # an old reading says nothing of the sensor now
    if places.held >= 0:
        return _hold_back_or_absorb(state, program, used, x, time), notes
    stand_until(state, program, used, time)
    _read_zscores(state, program, x, out, i)
    x, clipped = clip(numbers, words, places, terms, x)
    sound = absorb(state, program, used, x, time, added)
    return (_EMITTED if sound else _NOT_FINITE), notes | clipped


@inner_kernel
def _hold_back_or_absorb(state: Row, program: Program, used: int, x: float, time: int) -> int:
    """Sort a reading in among those held back; answers its outcome so far.

    None of them is too large to be absorbed in any order: see `LARGEST_KEPT`.
    """
    words, places, terms = state.words, program.places, program.terms
    while is_due(words, places, terms, time):
        _absorb_earliest(state, program, used)
    if words[COUNT] > 0 and time < words[places.reference]:
        return _LATE
    if words[places.held] < terms.reorder:
        hold_back(words, state.numbers, places, x, time)
    else:  # all those held back are later
        absorb(state, program, used, x, time, 1.0)
    return _EMITTED


@inner_kernel
def _absorb_earliest(state: Row, program: Program, used: int) -> None:
    """Absorb the earliest of the readings held back."""
    at = program.places.held
    time, x = int(state.words[at + 1]), float(state.numbers[at + 2])
    drop_earliest(state.words, program.places)
    absorb(state, program, used, x, time, 1.0)


@inner_kernel
def bring_up_to(state: Row, program: Program, used: int, time: int) -> None:
    """Absorb all that waits: for a look at the results at `time`, on a copy of the row."""
    if program.places.held >= 0:
        while state.words[program.places.held] > 0:
            _absorb_earliest(state, program, used)
    stand_until(state, program, used, time)


@inner_kernel
def _is_worth_emitting(
    numbers: Float64, words: Int64, places: Places, terms: Terms, mean: float, time: int
) -> bool:
    """Whether `Emission` lets the result through; then it is what later ones are compared with."""
    if terms.emit_interval == NEVER and not terms.emit_change > 0.0:
        return True
    worth = bool(words[places.flags] & FLAG_EMITTED == 0)
    if places.emitted_time >= 0:
        last = int(words[places.emitted_time])
        worth = worth or (time > last and elapsed_time(time, last) >= float(terms.emit_interval))
        if worth:
            words[places.emitted_time] = time
    if places.emitted_mean >= 0:
        worth = worth or abs(mean - numbers[places.emitted_mean]) >= terms.emit_change
        if worth:
            numbers[places.emitted_mean] = mean
    if worth:
        words[places.flags] |= FLAG_EMITTED
    return worth


@inner_kernel
def _known_time(state: Row, program: Program, time: int) -> int:
    """The time of a row without a reading, but not after the key's last reading."""
    if program.places.reference < 0:
        return time
    return min(time, _last_time(state.words, program.places, 0))


@inner_kernel
def _emit(
    state: Row,
    replay: Row,
    program: Program,
    used: int,
    time: int,
    decided: int,
    notes: int,
    out: NDArray[np.float64],
    i: int,
) -> tuple[int, int]:
    """Fill in the results of row `i`, if it is to have any; answers its outcome and notes."""
    places, terms = program.places, program.terms
    if not is_ready(replay.numbers, replay.words, places, terms):
        notes |= NOTE_NOT_READY
        if terms.warm_up == WARM_UP_HOLD:
            return _WARMING_UP, notes
    mean = float(replay.numbers[places.first_factor + places.mean])
    if not _is_worth_emitting(state.numbers, state.words, places, terms, mean, decided):
        return _THINNED, notes
    is_null = notes & NOTE_NOT_READY != 0 and terms.warm_up == WARM_UP_EMIT
    for column in range(len(program.reads.code)):
        if program.reads.code[column] != _ZSCORE:
            out[column, i] = read(replay, program, used, column, time, notes)
        elif is_null:
            out[column, i] = nan
    return _EMITTED, notes


@inner_kernel
def _read_zscores(state: Row, program: Program, x: float, out: NDArray[np.float64], i: int) -> None:
    """Fill in the z-scores of row `i`: they compare the reading with what is known before it."""
    places, reads = program.places, program.reads
    for column in range(len(reads.code)):
        if reads.code[column] == _ZSCORE:
            at = places.first_factor + int(reads.factor[column]) * places.stride
            out[column, i] = zscore(state.numbers, state.words, at, places, program.terms, x)


@inner_kernel
def _copy(target: Int64, to: int, source: Int64, start: int, count: int) -> None:
    for word in range(count):
        target[to + word] = source[start + word]


@kernel
def fold_rows(  # noqa: C901  one pass over all that can happen to a row
    words: Int64,
    factor: UInt16,
    program: Program,
    rows: Rows,
    trial: Row,
    replay: Row,
    out: NDArray[np.float64],
    outcome: UInt8,
    notes: UInt8,
) -> int:
    """Fold all rows; answers their number, or the first row outside the state or the factors.

    `trial` has the words of the row at work, `replay` those with all that waits absorbed.
    """
    width = program.places.width
    for i in range(len(rows.slot)):
        outcome[i] = _NO_STATE
        action = rows.action[i]
        if action == _IGNORE:
            continue
        row = int(rows.slot[i])
        if row < 0 or row >= len(factor) or factor[row] >= len(program.tables.clock):
            return i
        used, at = int(factor[row]), row * width
        if action == _RESET:
            for word in range(at, at + width):
                words[word] = 0
            continue
        _copy(trial.words, 0, words, at, width)
        result, noted = _EMITTED, 0
        if action == _OBSERVE:
            result, noted = _observe(trial, program, used, rows, i, out)
        elif program.terms.ages:
            age_weights(trial, program, used)
        _copy(replay.words, 0, trial.words, 0, width)
        if result == _EMITTED:
            bring_up_to(replay, program, used, int(rows.time[i]))
            if replay.words[COUNT] == 0 or action > _HOLD:
                result = _NO_STATE
            else:
                time = int(rows.time[i])
                # Nothing new has come: what is held is no reason to be silent later.
                decided = time if action == _OBSERVE else _known_time(trial, program, time)
                result, noted = _emit(trial, replay, program, used, time, decided, noted, out, i)
            _copy(words, at, trial.words, 0, width)
        if result != _EMITTED:
            for column in range(len(program.reads.code)):
                out[column, i] = nan  # z-scores come before it is known what becomes of the row
        outcome[i], notes[i] = result, noted
    return len(rows.slot)


@kernel
def read_rows(
    words: Int64,
    factor: UInt16,
    program: Program,
    slot: Int32,
    time: Int64,
    replay: Row,
    out: NDArray[np.float64],
    outcome: UInt8,
    notes: UInt8,
) -> int:
    """Read the results of each slot at a time, changing nothing; answers as `fold_rows`."""
    width = program.places.width
    for i in range(len(slot)):
        row = int(slot[i])
        if row < 0 or row >= len(factor) or factor[row] >= len(program.tables.clock):
            return i
        used = int(factor[row])
        _copy(replay.words, 0, words, row * width, width)
        outcome[i] = _NO_STATE
        bring_up_to(replay, program, used, int(time[i]))
        if replay.words[COUNT] == 0:
            continue
        if not is_ready(replay.numbers, replay.words, program.places, program.terms):
            notes[i] = NOTE_NOT_READY
        outcome[i] = _EMITTED
        for column in range(len(program.reads.code)):
            if program.reads.code[column] != _ZSCORE:
                out[column, i] = read(replay, program, used, column, int(time[i]), int(notes[i]))
    return len(slot)


@kernel
def read_last_times(words: Int64, rows: int, places: Places, slot: Int32, time: Int64) -> int:
    """Fill in the time of the last reading of each slot; answers as `fold_rows`."""
    for i in range(len(slot)):
        row = int(slot[i])
        if row < 0 or row >= rows:
            return i
        time[i] = _last_time(words, places, row * places.width)
    return len(slot)
