"""The fold of one reading into one key, in one quick call.

Handing a kernel a plan costs microseconds, since every field is unpacked by the interpreter. Here
plan, row and reading lie in one block of words that the kernel takes apart itself; what it then
runs is the fold of whole columns, with one row.
"""

from math import isfinite, nan
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from stream_ewma.columns import Float64, Int64
from stream_ewma.jit import inner_kernel, kernel
from stream_ewma.smoothing.absorbing import NOTE_NOT_READY
from stream_ewma.smoothing.general import bring_up_to, fold_rows
from stream_ewma.smoothing.layout import COUNT, Places
from stream_ewma.smoothing.plan import Plan, Program, Reads, Row, Tables, Terms
from stream_ewma.smoothing.readout import is_ready, read, zscore
from stream_ewma.smoothing.rows import Action, Rows

_OBSERVE: Final = int(Action.OBSERVE)
_HOLD: Final = int(Action.HOLD)

AT_LAST: Final = -(1 << 63)
"""No reading is earlier: results are read at the time of the last one."""

# The block begins with the sizes of its parts and what changes with every reading.
_WIDTH: Final = 0
_COLUMNS: Final = 1
_USED: Final = 2
_SLOT: Final = 3
_TIME: Final = 4
_X: Final = 5
_ACTION: Final = 6
_ADDED: Final = 7
_WEIGHTS: Final = 8
OUTCOME: Final = 9
_NOTES: Final = 10
_RESULT: Final = 11
_PLACES: Final = 12
_TERMS: Final = _PLACES + len(Places._fields)
_TABLES: Final = _TERMS + len(Terms._fields)
_READS: Final = _TABLES + len(Tables._fields)


_Words: TypeAlias = NDArray[Any]
"""A block's words: they take the place of columns of any integer type."""


class Block:
    """The words of one key and of all that is needed to fold a reading into it.

    Attributes:
        plan: one set of one factor.
        words: int64, the block.
        numbers: float64, the same memory.
        row: int64 (width,), the key's row within it.
        replay: int64 (width,), the row as results are read off it: with what is held back.
        horizons: float64 (columns,), how far ahead each column looks.
    """

    __slots__ = ("horizons", "numbers", "plan", "replay", "row", "words")

    def __init__(self, plan: Plan) -> None:
        places, terms, tables, reads = plan.program
        columns, width = len(reads.code), places.width
        rows = _READS + len(reads) * columns
        words = np.zeros(rows + 3 * width, np.int64)
        numbers = words.view(np.float64)
        words[_WIDTH], words[_COLUMNS], words[_WEIGHTS] = width, columns, int(plan.mode.weighted)
        words[_PLACES:_TERMS] = places
        for at, value in enumerate(terms, start=_TERMS):
            (numbers if isinstance(value, float) else words)[at] = value
        for at, table in enumerate[NDArray[Any]](tables, start=_TABLES):
            (numbers if table.dtype.kind == "f" else words)[at] = table[0]
        for number, column in enumerate[NDArray[Any]](reads):
            at = _READS + number * columns
            (numbers if column.dtype.kind == "f" else words)[at : at + columns] = column
        at = _READS + Reads._fields.index("horizon") * columns
        self.plan, self.words, self.numbers = plan, words, numbers
        self.row, self.replay = words[rows : rows + width], words[rows + 2 * width :]
        self.horizons = numbers[at : at + columns]

    def put(self, row: Int64) -> None:
        """Replace the key's row."""
        self.row[:] = row
        refresh(self.words, self.numbers, AT_LAST)


@inner_kernel
def _places(words: _Words, at: int) -> Places:
    return Places(
        width=words[at + 0],
        stride=words[at + 1],
        first_factor=words[at + 2],
        reference=words[at + 3],
        session=words[at + 4],
        flags=words[at + 5],
        emitted_time=words[at + 6],
        emitted_mean=words[at + 7],
        clipped=words[at + 8],
        baseline=words[at + 9],
        last=words[at + 10],
        held=words[at + 11],
        mean=words[at + 12],
        weight=words[at + 13],
        spread=words[at + 14],
        seeded=words[at + 15],
        line=words[at + 16],
        holt=words[at + 17],
        share=words[at + 18],
    )


@inner_kernel
def _terms(words: _Words, numbers: Float64, at: int) -> Terms:
    return Terms(
        factors=words[at + 0],
        adjusts_count=words[at + 1] != 0,
        adjusts_event=words[at + 2] != 0,
        ages=words[at + 3] != 0,
        min_periods=words[at + 4],
        min_n_eff=numbers[at + 5],
        warm_up=words[at + 6],
        has_target=words[at + 7] != 0,
        target=numbers[at + 8],
        seed_readings=words[at + 9],
        weighting=words[at + 10],
        reorder=words[at + 11],
        reorder_grace=words[at + 12],
        refuses_late=words[at + 13] != 0,
        late_cutoff=words[at + 14],
        reset_after=words[at + 15],
        lowest=numbers[at + 16],
        highest=numbers[at + 17],
        deviations=numbers[at + 18],
        accept_after=words[at + 19],
        beta=numbers[at + 20],
        beta_half_life=numbers[at + 21],
        width=numbers[at + 22],
        centre=numbers[at + 23],
        sigma=numbers[at + 24],
        baseline=words[at + 25],
        emit_interval=words[at + 26],
        emit_change=numbers[at + 27],
        most=numbers[at + 28],
        biased=words[at + 29] != 0,
    )


@inner_kernel
def _program(words: _Words, numbers: Float64, first: int, columns: int) -> Program:
    """The plan of a block, for `columns` columns from `first` on."""
    at, step = _READS + first, words[_COLUMNS]
    return Program(
        places=_places(words, _PLACES),
        terms=_terms(words, numbers, _TERMS),
        tables=Tables(
            clock=words[_TABLES : _TABLES + 1],
            alpha=numbers[_TABLES + 1 : _TABLES + 2],
            steady=numbers[_TABLES + 2 : _TABLES + 3],
            half_life=numbers[_TABLES + 3 : _TABLES + 4],
            seed_weight=numbers[_TABLES + 4 : _TABLES + 5],
        ),
        reads=Reads(
            code=words[at : at + columns],
            factor=words[at + step : at + step + columns],
            minus=words[at + 2 * step : at + 2 * step + columns],
            horizon=numbers[at + 3 * step : at + 3 * step + columns],
            scale=numbers[at + 4 * step : at + 4 * step + columns],
        ),
    )


@inner_kernel
def _row(words: _Words, numbers: Float64, number: int) -> Row:
    """The key's row, or one of its two copies."""
    width = words[_WIDTH]
    at = _READS + 5 * words[_COLUMNS] + number * width
    return Row(words[at : at + width], numbers[at : at + width])


@kernel
def update(words: _Words, numbers: Float64, x: float, time: int, added: float) -> float:
    """Fold a reading, missing if not finite, into the block; answers its first column.

    Args:
        words: the block.
        numbers: the same.
        x: the reading.
        time: its event time.
        added: its own weight.
    """
    program = _program(words, numbers, 0, 1)
    sound = isfinite(x) and abs(x) <= program.terms.most
    words[_ACTION] = _OBSERVE if sound else _HOLD
    words[_TIME], numbers[_X], numbers[_ADDED] = time, x, added
    numbers[_RESULT] = nan
    rows = Rows(
        slot=words[_SLOT : _SLOT + 1],
        time=words[_TIME : _TIME + 1],
        x=numbers[_X : _X + 1],
        action=words[_ACTION : _ACTION + 1],
        weight=numbers[_ADDED : _ADDED + words[_WEIGHTS]],
        session=words[:0],
        restart=words[:0],
    )
    fold_rows(
        _row(words, numbers, 0).words,
        words[_USED : _USED + 1],
        program,
        rows,
        _row(words, numbers, 1),
        _row(words, numbers, 2),
        numbers[_RESULT : _RESULT + 1].reshape((1, 1)),
        words[OUTCOME : OUTCOME + 1],
        words[_NOTES : _NOTES + 1],
    )
    return float(numbers[_RESULT])


@kernel
def refresh(words: _Words, numbers: Float64, time: int) -> None:
    """Bring what results are read off up to date with the row, as it is at `time`."""
    program = _program(words, numbers, 0, 1)
    row, replay = _row(words, numbers, 0), _row(words, numbers, 2)
    for word in range(len(row.words)):
        replay.words[word] = row.words[word]
    bring_up_to(replay, program, 0, time)


@kernel
def look(words: _Words, numbers: Float64, column: int, time: int) -> float:
    """One column of the block at `time`; NaN where it is not defined. Not for z-scores."""
    refresh(words, numbers, time)
    program = _program(words, numbers, 0, words[_COLUMNS])
    state = _row(words, numbers, 2)
    if state.words[COUNT] == 0:
        return nan
    ready = is_ready(state.numbers, state.words, program.places, program.terms)
    return read(state, program, 0, column, time, 0 if ready else NOTE_NOT_READY)


@kernel
def score(words: _Words, numbers: Float64, x: float) -> float:
    """The z-score of a reading that is not absorbed, at the time of the last one."""
    refresh(words, numbers, AT_LAST)
    program = _program(words, numbers, 0, 1)
    state = _row(words, numbers, 2)
    at = program.places.first_factor
    return zscore(state.numbers, state.words, at, program.places, program.terms, x)
