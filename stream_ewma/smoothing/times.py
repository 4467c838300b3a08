"""Times and spans of time as the integers that the fold counts in.

Dates become nanoseconds. Numbers become ticks of 2^-shift of their unit: scaling by a power of two
changes no bit of the quotient (time passed) / (half life), which is all that the fold makes of a
time, and integers take part as they are.
"""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from math import floor, frexp, inf, isfinite, ldexp
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_ewma.columns import Int64

NANOSECONDS: Final = 1_000_000_000
"""In a second, the unit of slopes and lags where times are dates."""

_REACH_BITS: Final = 61
_HALF_LIVES_BITS: Final = 26
_MOST_HALF_LIFE: Final = 2.0**100
_TICK_BITS: Final = 63
_ENDS: Final = 1 << _TICK_BITS
_LONGEST: Final = 2.0**62
_FINEST: Final = 1000
_NOT_A_TIME: Final = -_ENDS
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS: Final = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": NANOSECONDS,
    "m": 60 * NANOSECONDS,
    "min": 60 * NANOSECONDS,
    "h": 3_600 * NANOSECONDS,
    "d": 86_400 * NANOSECONDS,
}
_PART: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ns|us|ms|s|min|m|h|d)")


def span_of(name: str, value: object) -> int | float:
    """A span of time: nanoseconds, as int, of a duration; a number as the float it is.

    Args:
        name: of the parameter, for the message.
        value: a number, text such as `30s` or `1h30m`, a timedelta of Python, numpy or pandas.

    Raises:
        ValueError: it is none of these, or not greater than 0.
    """
    span: int | float
    if isinstance(value, str):
        span = _nanoseconds_of_text(name, value)
    elif isinstance(value, timedelta | np.timedelta64):
        span = _nanoseconds(value)
    elif isinstance(value, int | float | np.integer | np.floating):
        span = float(value)
    else:
        raise ValueError(f"{name}: write a number, a duration or text as 30s, not {value!r}")  # noqa: TRY004  one class for all that is wrong with a parameter
    if not (isfinite(span) and span > 0):
        raise ValueError(f"{name}: write a number greater than 0, not {value}")
    return span


def _nanoseconds_of_text(name: str, text: str) -> int:
    parts = _PART.findall(text)
    if not parts or _PART.sub("", text).strip():
        raise ValueError(f"{name}: {text!r} is not a duration; write 30s, 500ms, 5m, 2h or 1d")
    return int(sum(Decimal(number) * _UNITS[unit] for number, unit in parts))


def _nanoseconds(value: timedelta | np.timedelta64) -> int:
    if isinstance(value, np.timedelta64):
        return int(value.astype("timedelta64[ns]").astype(np.int64))
    whole = getattr(value, "value", None)  # pandas' own: it has nanoseconds
    if whole is not None:
        return int(whole)
    return (value.days * 86_400 + value.seconds) * NANOSECONDS + value.microseconds * 1_000


class Scale(NamedTuple):
    """How times become ticks.

    Attributes:
        is_date: ticks are nanoseconds; else 2^-shift of the unit of the numbers.
        shift: 0 for dates.
    """

    is_date: bool
    shift: int

    @property
    def unit(self) -> float:
        """Ticks in the unit of slopes and lags: a second for dates."""
        return float(NANOSECONDS) if self.is_date else ldexp(1.0, self.shift)

    def ticks_of_span(self, name: str, value: object) -> float:
        """A span of time in ticks.

        Raises:
            ValueError: it is none, or a duration while times are numbers, or the other way round.
        """
        span = span_of(name, value)
        if isinstance(span, int) != self.is_date:
            wanted = "a duration such as '30s'" if self.is_date else "a number, in their unit"
            kind = "dates" if self.is_date else "numbers"
            raise ValueError(f"{name}: times are {kind}; write {wanted}, not {value!r}")
        try:
            return float(span) if self.is_date else ldexp(span, self.shift)
        except OverflowError:
            return inf

    def whole_ticks(self, name: str, value: object) -> int:
        """As `ticks_of_span`, for comparing spans of whole ticks with: rounded down."""
        return floor(min(self.ticks_of_span(name, value), _LONGEST))

    def tick(self, time: Any) -> int:
        """The ticks of one time: as many as there are, which may be too many for 64 bits.

        Raises:
            ValueError: it is missing, of another kind than before, or out of range.
        """
        is_date, number = number_of(time)
        if is_date != self.is_date:
            raise ValueError(f"t: write a {'date' if self.is_date else 'number'}, not {time!r}")
        if abs(number) >= _ENDS:
            raise ValueError(f"t: write a time below 2^63 in size, not {time!r}")
        if isinstance(number, int):
            return number << self.shift
        return round(ldexp(number, self.shift))  # halves to even, as numpy rounds them

    def reaching(self, ticks: int) -> "Scale":
        """This scale, or one with ticks long enough for a time that is so many of these."""
        return Scale(self.is_date, self.shift - max(0, ticks.bit_length() - _TICK_BITS))


DATES: Final = Scale(is_date=True, shift=0)


def number_of(time: Any) -> tuple[bool, int | float]:
    """Whether a time is a date, and its nanoseconds since 1970, or its number.

    Raises:
        ValueError: it is missing.
        TypeError: it is not a time.
    """
    if isinstance(time, timedelta | np.timedelta64):  # numpy takes its own for integers
        number = _nanoseconds(time)
    elif isinstance(time, int | np.integer):
        return False, int(time)
    elif isinstance(time, float | np.floating):
        if not isfinite(time):
            raise ValueError(f"t: write a finite time, not {time}")
        return False, float(time)
    elif isinstance(time, np.datetime64):
        number = int(_checked(np.array([time]))[0])
    elif isinstance(time, datetime):
        whole = getattr(time, "value", None)  # pandas' own
        number = _nanoseconds(_since_epoch(time)) if whole is None else int(whole)
    elif isinstance(time, date):
        number = (time.toordinal() - _EPOCH.toordinal()) * _UNITS["d"]
    else:
        raise TypeError(f"t: write a number or a date, not {time!r}")
    if number == _NOT_A_TIME:
        raise ValueError("t: write a time, not a missing one")
    return True, number


def _since_epoch(time: datetime) -> timedelta:
    """A date without a zone is one of UTC."""
    return (time.replace(tzinfo=UTC) if time.tzinfo is None else time) - _EPOCH


def shift_for(first: float, shortest: float) -> int:
    """How fine the ticks are: by the first time seen, and the shortest span of the settings.

    Four times as far as the first time, and 2^28 half lives, are in reach; beyond, ticks become
    longer (`Scale.reaching`). A tick is at most 2^-34 half lives, or what tells doubles apart at
    four times the first time.
    """
    reach = max(abs(first), min(shortest, _MOST_HALF_LIFE) * 2.0**_HALF_LIVES_BITS)
    return max(0, min(_REACH_BITS - frexp(reach)[1], _FINEST))


def scale_for(time: Any, shortest: object) -> Scale:
    """The scale of a series whose first time is `time`.

    Args:
        time: the first time seen.
        shortest: half life, or the span that takes its place.
    """
    is_date, first = number_of(time)
    return DATES if is_date else Scale(False, shift_for(first, float(span_of("t", shortest))))


def _checked(dates: NDArray[Any]) -> Int64:
    """Dates or spans as nanoseconds."""
    kind = dates.dtype.kind
    nanoseconds = dates.astype(f"{kind}8[ns]")
    if np.isnat(nanoseconds).any():
        row = int(np.isnat(nanoseconds).argmax())
        raise ValueError(f"times: row {row} has none; every reading needs one")
    if nanoseconds.dtype != dates.dtype and (nanoseconds.astype(dates.dtype) != dates).any():
        raise ValueError("times: write dates from 1678 to 2261, whose nanoseconds fit 64 bits")
    return nanoseconds.view(np.int64)


class Times(NamedTuple):
    """A column of times.

    Attributes:
        is_date: see `Scale`.
        raw: int64 or float64 (n,); nanoseconds of dates.
    """

    is_date: bool
    raw: NDArray[Any]

    def scale(self, shortest: float) -> Scale:
        """That of the first time; finer than needed is given up where a later one is far away."""
        if self.is_date or len(self.raw) == 0:
            return Scale(self.is_date, 0)
        furthest = max(abs(float(self.raw.min())), abs(float(self.raw.max())))
        room = _TICK_BITS - frexp(furthest)[1]
        return Scale(False, max(0, min(shift_for(float(self.raw[0]), shortest), room)))

    def reader(self, scale: Scale) -> Callable[[slice], Int64]:
        """What gives the ticks of some rows."""
        raw, shift = self.raw, scale.shift
        if raw.dtype.kind == "i":
            return lambda rows: raw[rows] << shift if shift else raw[rows].copy()
        return lambda rows: np.rint(np.ldexp(raw[rows], shift)).astype(np.int64)


def times_of(column: Any, rows: int) -> Times:
    """Read a column of times.

    Args:
        column: (rows,) integers, floats, dates or spans, of numpy, pandas, polars or Python.
        rows: how many there must be.

    Raises:
        ValueError: their number is another, one is missing or out of range.
        TypeError: they are no times.
    """
    dates = getattr(column, "dt", column)  # of a Series of pandas
    if getattr(dates, "tz", None) is not None:
        column = dates.tz_convert(None)
    array = np.asarray(column.to_numpy() if hasattr(column, "to_numpy") else column)
    if array.shape != (rows,):
        raise ValueError(f"times: write one for each of the {rows} readings, not {array.shape}")
    if array.dtype.kind == "O":
        array, is_date = _array_of_objects(array)
        if is_date:
            return Times(True, array)
    if array.dtype.kind in "mM":
        return Times(True, _checked(array))
    return Times(False, _numbers(array))


def _numbers(array: NDArray[Any]) -> NDArray[Any]:
    """Integers as int64, all others as float64."""
    if array.dtype.kind not in "iuf":
        raise TypeError(f"times: write numbers or dates, not {array.dtype}")
    if array.dtype.kind == "f":
        found: NDArray[Any] = array.astype(np.float64, copy=False)
        if not np.isfinite(found).all():
            row = int(np.isfinite(found).argmin())
            raise ValueError(f"times: row {row} has none; every reading needs one")
        if (np.abs(found) >= _ENDS).any():
            raise ValueError("times: write numbers below 2^63 in size")
        return found
    if array.dtype == np.uint64 and (array >= _ENDS).any():
        raise ValueError("times: write numbers below 2^63")
    return array.astype(np.int64, copy=False)


def _array_of_objects(column: NDArray[Any]) -> tuple[NDArray[Any], bool]:
    found = [number_of(time) for time in column]
    kinds = {is_date for is_date, _ in found}
    if len(kinds) > 1:
        raise ValueError("times: write either numbers or dates, not both")
    array = np.array([number for _, number in found])
    return array, kinds == {True}
