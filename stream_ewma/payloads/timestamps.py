"""Event times: epoch integers in a unit, or text, to milliseconds since the epoch.

The kernels read epoch integers and the strict form of RFC 3339; other ISO 8601 text with an offset
is left to Python's datetime. Both round down to the millisecond.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

import numpy as np

from stream_ewma.columns import Bytes
from stream_ewma.jit import inner_kernel
from stream_ewma.payloads.columns import MAX_TIMESTAMP_MS, TimestampUnit
from stream_ewma.words import signed

# datetime alone is too lenient: it takes 12:30.5 for 12:30:00.5, any separator before the time,
# and in newer versions 24:00.
_MOMENT: Final = re.compile(
    r"[\dW-]+[Tt ](?:[01]\d|2[0-3])(?::?\d\d(?::?\d\d(?:[.,]\d+)?)?)?"
    r"(?:[Zz]|[+-]\d\d(?::?[0-5]\d)?)",
    re.ASCII,
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_DATE_AND_TIME: Final = 19
"""Characters in YYYY-MM-DDTHH:MM:SS."""


class EpochUnit(NamedTuple):
    """How an epoch integer becomes milliseconds: `number * factor // divisor`.

    Attributes:
        factor: milliseconds in the unit, 1 where the unit is shorter.
        divisor: units in a millisecond, 1 where the unit is longer.
        limit: the largest number within range.
    """

    factor: int
    divisor: int
    limit: int


def _unit(factor: int, divisor: int) -> EpochUnit:
    return EpochUnit(factor, divisor, min(MAX_TIMESTAMP_MS * divisor // factor, 2**63 - 1))


EPOCH_UNITS: Final[dict[TimestampUnit, EpochUnit]] = {
    "s": _unit(1000, 1),
    "ms": _unit(1, 1),
    "us": _unit(1, 1000),
    "ns": _unit(1, 1_000_000),
}


def epoch_ms(number: int, unit: EpochUnit) -> int | None:
    """Milliseconds of `number` units since the epoch, rounded down; None where out of range."""
    if abs(number) > unit.limit:
        return None
    return number * unit.factor // unit.divisor


def text_ms(text: str) -> int | None:
    """Milliseconds of an ISO 8601 date and time; None where it is none or has no UTC offset."""
    if not _MOMENT.fullmatch(text):
        return None
    try:
        moment = datetime.fromisoformat(text.upper())  # RFC 3339 allows z, datetime does not
    except ValueError:
        return None
    return (moment - _EPOCH) // _MILLISECOND


@inner_kernel
def read_epoch(magnitude: np.uint64, negative: bool, unit: EpochUnit) -> tuple[int, bool]:
    """Milliseconds since the epoch, and whether they are in range; equals `epoch_ms`."""
    if magnitude > np.uint64(unit.limit):
        return 0, False
    if unit.divisor == 1:
        ms = signed(magnitude) * unit.factor
        return -ms if negative else ms, True
    if negative:
        magnitude += np.uint64(unit.divisor - 1)  # round down, away from zero
    ms = signed(magnitude // np.uint64(unit.divisor))
    return -ms if negative else ms, True


@inner_kernel
def _digits(buffer: Bytes, at: int, count: int) -> int:
    """The number that `count` digits make; negative where one is none."""
    number = 0
    for i in range(at, at + count):
        digit = signed(buffer[i]) - 48
        if digit < 0 or digit > 9:
            return -1
        number = number * 10 + digit
    return number


@inner_kernel
def _days(year: int, month: int, day: int) -> int:
    """Days from 1970-01-01 in the Gregorian calendar, for years from 1 on.

    Howard Hinnant, "chrono-compatible low-level date algorithms", days_from_civil: the year
    begins in March, so that the leap day is its last.
    """
    if month <= 2:
        year -= 1
        month += 12
    return (
        365 * year
        + year // 4
        - year // 100
        + year // 400
        + (153 * month - 457) // 5
        + day
        - 719_469
    )


@inner_kernel
def _month_length(year: int, month: int) -> int:
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 + (month + (month >> 3)) % 2


@inner_kernel
def _offset_minutes(buffer: Bytes, at: int, end: int) -> tuple[int, bool]:
    """Minutes east of UTC of the `Z`, `z` or `+-HH:MM` filling [at, end), and whether it is one."""
    if end - at == 1:
        return 0, buffer[at] == 90 or buffer[at] == 122  # Z z
    if end - at != 6 or buffer[at + 3] != 58:  # :
        return 0, False
    hours = _digits(buffer, at + 1, 2)
    minutes = _digits(buffer, at + 4, 2)
    if hours < 0 or hours > 23 or minutes < 0 or minutes > 59:
        return 0, False
    if buffer[at] == 43:  # +
        return 60 * hours + minutes, True
    return -60 * hours - minutes, buffer[at] == 45  # -


@inner_kernel
def _fraction_ms(buffer: Bytes, at: int, end: int) -> tuple[int, int]:
    """Whole milliseconds of the digits from `at` on, and the position after the last digit."""
    ms = 0
    weight = 100
    while at < end and 48 <= buffer[at] <= 57:
        ms += weight * (signed(buffer[at]) - 48)
        weight //= 10
        at += 1
    return ms, at


@inner_kernel
def read_rfc3339(buffer: Bytes, at: int, end: int) -> tuple[int, bool]:
    """Milliseconds of YYYY-MM-DD[Tt ]HH:MM:SS[.f+](Z|z|+-HH:MM) filling [at, end).

    Returns:
        The milliseconds since the epoch, and whether it is certain: where it is, they are what
        `text_ms` gives; everything unusual is not.
    """
    if end - at <= _DATE_AND_TIME:
        return 0, False
    year = _digits(buffer, at, 4)
    month = _digits(buffer, at + 5, 2)
    day = _digits(buffer, at + 8, 2)
    hour = _digits(buffer, at + 11, 2)
    minute = _digits(buffer, at + 14, 2)
    second = _digits(buffer, at + 17, 2)
    if (
        buffer[at + 4] != 45  # -
        or buffer[at + 7] != 45
        or buffer[at + 10] not in (84, 116, 32)  # T t space
        or buffer[at + 13] != 58  # :
        or buffer[at + 16] != 58
    ):
        return 0, False
    if year < 1 or month < 1 or month > 12 or day < 1 or day > _month_length(year, month):
        return 0, False
    if hour < 0 or hour > 23 or minute < 0 or minute > 59 or second < 0 or second > 59:
        return 0, False
    at += _DATE_AND_TIME
    ms = 0
    if buffer[at] == 46:  # .
        first = at + 1
        ms, at = _fraction_ms(buffer, first, end)
        if at == first:
            return 0, False
    east, sure = _offset_minutes(buffer, at, end)
    minutes = (_days(year, month, day) * 24 + hour) * 60 + minute - east
    return (minutes * 60 + second) * 1000 + ms, sure
