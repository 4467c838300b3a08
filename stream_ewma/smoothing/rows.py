"""What a fold is given row by row, and what becomes of each row."""

from enum import IntEnum
from typing import NamedTuple

from stream_ewma.columns import Float64, Int32, Int64, UInt8


class Action(IntEnum):
    """What to do with a row."""

    OBSERVE = 0
    """Absorb the reading and emit the new results."""

    HOLD = 1
    """A reading is missing: age the weights if the mode says so, emit the results there are."""

    RESET = 2
    """Forget the key's readings."""

    IGNORE = 3
    """Leave the row out; its slot, time and reading are not looked at."""

    AGE = 4
    """As HOLD, but emit nothing."""


class Outcome(IntEnum):
    """What became of a row."""

    EMITTED = 0
    NO_STATE = 1
    """There is nothing to emit: the key has no readings, or the action does not ask for it."""

    NOT_FINITE = 2
    """The reading, or the state with it, is not finite or too large: the state is untouched."""

    LATE = 3
    """The reading is too late for the mode: the state is untouched."""

    THINNED = 4
    """Absorbed, but not worth a result yet (see `Emission`)."""

    WARMING_UP = 5
    """Absorbed, but results are held back until the key is ready."""


class Rows(NamedTuple):
    """n rows of a fold.

    Attributes:
        slot: int32 (n,), the row of the series.
        time: int64 (n,), event time; looked at where time is kept.
        x: float64 (n,), readings; looked at where the action is `OBSERVE`.
        action: uint8 (n,), an `Action`.
        weight: float64 (n,) or (0,), the readings' own weights, greater than 0; none: 1. A reading
            of any other weight is refused like one that is not finite.
        session: int64 (n,) or (0,), the session a reading belongs to, rising with time.
        restart: uint8 (n,) or (0,), not 0 where the key is to be forgotten before the reading.
    """

    slot: Int32
    time: Int64
    x: Float64
    action: UInt8
    weight: Float64
    session: Int64
    restart: UInt8
