"""Decimal text to the nearest double, correctly rounded (ties to even), in a kernel.

Up to 19 significant digits m and a power of ten q are read from the text; then, in this order:

- Clinger, "How to read floating point numbers accurately" (1990): m < 2^53 and 10^|q| with
  |q| <= 22 are doubles without error, so one division or multiplication rounds once.
- Eisel-Lemire: Lemire, "Number parsing at a gigabyte per second" (2021), algorithm 1, with the
  proof of Mushtak & Lemire, "Fast number parsing without fallback" (2023), that m times the first
  128 bits of 5^q always decides.

What neither covers (more digits, subnormal or overflowing results) is left to Python's float.
"""

from typing import Final

import numpy as np

from stream_ewma.columns import Bytes, Float64, UInt64
from stream_ewma.jit import inner_kernel
from stream_ewma.words import (
    WORD,
    high_product,
    leading_zeros,
    signed,
    trailing_zeros,
    word_at,
)

MAX_DIGITS: Final = 19
"""Significant digits that fit an unsigned 64-bit integer."""

INTEGER: Final = 1
"""Form bit: neither a decimal point nor an exponent."""
NEGATIVE: Final = 2
"""Form bit: a minus sign."""
SHORTEST: Final = 4
"""Form bit: the text is what the encoder would print for the number it reads as."""
LONG: Final = 8
"""Form bit: more than 19 significant digits, the mantissa is meaningless."""
HUGE: Final = 16
"""Form bit: may be beyond the range of doubles."""

_EXACT_POWERS: Final[Float64] = np.array([float(10**q) for q in range(23)])
_POWERS: Final[UInt64] = np.array([10**q for q in range(WORD + 1)], np.uint64)
_MAX_EXACT: Final = np.uint64(2**53)
_FIRST_POWER: Final = -342
_LAST_POWER: Final = 308
_LEAST_ROUNDED_UP: Final = -27

_EACH_01: Final = np.uint64(0x0101010101010101)
_EACH_30: Final = np.uint64(0x3030303030303030)
_EACH_76: Final = np.uint64(0x7676767676767676)
_EACH_80: Final = np.uint64(0x8080808080808080)
_BYTES_0_AND_4: Final = np.uint64(0x000000FF000000FF)
_SHIFT_8: Final = np.uint64(8)
_SHIFT_16: Final = np.uint64(16)
_SHIFT_32: Final = np.uint64(32)
_LAST_BYTE: Final = np.uint64(0xFF)
_POINT: Final = np.uint64(46)
_ONE: Final = np.uint64(1)


def _five_to(power: int) -> int:
    """The first 128 bits of 5^power, the top one set, as the algorithm's proof wants them.

    Cut off, except that -27 to -1 are rounded up: there an exact quotient must not fall short.
    """
    if power >= 0:
        scaled: int = 5**power
        excess = scaled.bit_length() - 128
        return scaled >> excess if excess > 0 else scaled << -excess
    divisor: int = 5**-power
    # 2^(n+127) / 5^-power has 128 bits: 5^-power has n and is no power of two.
    return (1 << (divisor.bit_length() + 127)) // divisor + (power >= _LEAST_ROUNDED_UP)


def _halves(values: list[int]) -> UInt64:
    """Upper and lower 64 bits side by side, (n, 2)."""
    return np.array([(v >> 64, v & (2**64 - 1)) for v in values], np.uint64)


_FIVES: Final[UInt64] = _halves([_five_to(q) for q in range(_FIRST_POWER, _LAST_POWER + 1)])


@inner_kernel
def _not_digits(digits: np.uint64) -> np.uint64:
    """The top bit of each byte that is none of 0 to 9.

    Bytes above such a one may be flagged as well where it is not ASCII.
    """
    return ((digits + _EACH_76) | digits) & _EACH_80


@inner_kernel
def _number_of(digits: np.uint64, count: int) -> np.uint64:
    """The number that the first `count` bytes make, 1 to 8 digits.

    They are moved to the top of the word, zeros below them, then summed in pairs, fours and eights.
    """
    digits <<= np.uint64(64 - 8 * count)
    digits = digits * np.uint64(10) + (digits >> _SHIFT_8)
    upper = (digits & _BYTES_0_AND_4) * np.uint64(100 + (1_000_000 << 32))
    lower = ((digits >> _SHIFT_16) & _BYTES_0_AND_4) * np.uint64(1 + (10_000 << 32))
    return (upper + lower) >> _SHIFT_32


@inner_kernel
def digit_run(buffer: Bytes, at: int, end: int, number: np.uint64) -> tuple[int, np.uint64]:
    """Append the decimal digits from `at` on to `number`, modulo 2^64.

    Returns:
        The position after the last digit, and the number.
    """
    while True:
        digits = word_at(buffer, at) ^ _EACH_30
        count = min(trailing_zeros(_not_digits(digits)) >> 3, end - at)
        if count <= 0:
            return at, number
        number = number * _POWERS[count] + _number_of(digits, count)
        at += count
        if count < WORD:
            return at, number


@inner_kernel
def _read_exponent(buffer: Bytes, at: int, end: int) -> tuple[int, int]:
    """The exponent whose `e` stands before `at`; position -1 where it is malformed or long."""
    negative = False
    if at < end and (buffer[at] == 43 or buffer[at] == 45):  # + -
        negative = buffer[at] == 45
        at += 1
    stop, number = digit_run(buffer, at, end, np.uint64(0))
    if stop == at or stop - at > 4:
        return -1, 0
    exponent = signed(number)
    return stop, -exponent if negative else exponent


@inner_kernel
def _significant(buffer: Bytes, first: int, stop: int) -> int:
    """How many of the digits in [first, stop), a point among them or not, are significant."""
    while first < stop and (buffer[first] == 48 or buffer[first] == 46):  # 0 .
        first += 1
    digits = 0
    for i in range(first, stop):
        if buffer[i] != 46:
            digits += 1
    return digits


@inner_kernel
def _is_shortest(buffer: Bytes, first: int, point: int, stop: int) -> bool:
    """Whether the encoder prints these digits, with a point at `point`, just so.

    Decimals of up to 15 digits read as distinct doubles, so such a text without superfluous zeros
    is the shortest; from 0.0001 on, whatever prints doubles writes it without an exponent.
    """
    if stop - first > 16:  # the point and 15 digits
        return False
    if buffer[stop - 1] == 48:
        return stop - point == 2
    leading = point + 1
    if buffer[first] == 48:
        while buffer[leading] == 48:
            leading += 1
    return leading - point <= 4


@inner_kernel
def _goes_on(byte: np.uint64) -> bool:
    """Whether a number may go on after its digits with `byte`: a point or an e."""
    return bool(byte == _POINT or byte | np.uint64(32) == np.uint64(101))


@inner_kernel
def _read_short(buffer: Bytes, at: int, end: int) -> tuple[int, np.uint64, int, int]:
    """As `read_number`, of up to 7 digits and points, without a sign.

    Returns:
        As `read_number`, in half the time; position -1 where it is not that simple.
    """
    text = word_at(buffer, at)
    digits = text ^ _EACH_30
    others = _not_digits(digits)
    whole = trailing_zeros(others) >> 3
    length = whole
    form = INTEGER
    if whole < WORD and (text >> np.uint64(8 * whole)) & _LAST_BYTE == _POINT:
        others &= others - _ONE
        length = trailing_zeros(others) >> 3
        kept = (_ONE << np.uint64(8 * whole)) - _ONE
        digits = (digits & kept) | (digits >> _SHIFT_8 & ~kept)
        form = 0
    count = length if form else length - 1
    fraction = count - whole
    if length == WORD or whole == 0 or at + length > end or (form == 0 and fraction == 0):
        return -1, text, 0, 0
    if whole > 1 and digits & _LAST_BYTE == np.uint64(0):
        return -1, text, 0, 0
    if at + length < end and _goes_on((text >> np.uint64(8 * length)) & _LAST_BYTE):
        return -1, text, 0, 0
    mantissa = _number_of(digits, count)
    if form == 0:
        # As `_is_shortest`: no superfluous zeros, and not below 0.0001.
        last = (text >> np.uint64(8 * length - 8)) & _LAST_BYTE
        if last == np.uint64(48):
            form = SHORTEST if fraction == 1 else 0
        elif mantissa * np.uint64(10_000) >= _POWERS[fraction]:
            form = SHORTEST
    return at + length, mantissa, -fraction, form


@inner_kernel
def _read_long_integer(buffer: Bytes, at: int, end: int) -> tuple[int, np.uint64]:
    """As `read_number`, of an integer of 8 to 15 digits; position -1 where it is none."""
    upper = word_at(buffer, at) ^ _EACH_30
    text = word_at(buffer, at + WORD)
    lower = text ^ _EACH_30
    count = trailing_zeros(_not_digits(lower)) >> 3
    stop = at + WORD + count
    if _not_digits(upper) or count in (WORD, 0) or stop > end:
        return -1, text
    if upper & _LAST_BYTE == np.uint64(0):
        return -1, text
    if stop < end and _goes_on((text >> np.uint64(8 * count)) & _LAST_BYTE):
        return -1, text
    return stop, _number_of(upper, WORD) * _POWERS[count] + _number_of(lower, count)


@inner_kernel
def read_number(buffer: Bytes, at: int, end: int) -> tuple[int, np.uint64, int, int]:
    """Read a number in JSON's grammar from `at` on.

    Returns:
        The position after it (-1 where there is none, or its exponent has more than 4 digits),
        the mantissa and the power of ten it is multiplied by, and the form bits.
    """
    sign = 0
    if at < end and buffer[at] == 45:  # -
        sign = NEGATIVE
        at += 1
    stop, mantissa, exponent, form = _read_short(buffer, at, end)
    if stop < 0:
        stop, mantissa = _read_long_integer(buffer, at, end)
        exponent = 0
        form = INTEGER
    if stop < 0:
        stop, mantissa, exponent, form = _read_any(buffer, at, end)
    return stop, mantissa, exponent, form | sign


@inner_kernel
def _read_any(buffer: Bytes, at: int, end: int) -> tuple[int, np.uint64, int, int]:
    """As `read_number`, without a sign."""
    form = 0
    first = at
    at, mantissa = digit_run(buffer, at, end, np.uint64(0))
    if at == first or (at - first > 1 and buffer[first] == 48):
        return -1, mantissa, 0, 0
    exponent = 0
    point = at
    if at < end and buffer[at] == 46:  # .
        at, mantissa = digit_run(buffer, at + 1, end, mantissa)
        exponent = point + 1 - at
        if exponent == 0:
            return -1, mantissa, 0, 0
        if _is_shortest(buffer, first, point, at):
            form |= SHORTEST
    else:
        form |= INTEGER
    if at - first > MAX_DIGITS and _significant(buffer, first, at) > MAX_DIGITS:
        form |= LONG
    if at < end and (buffer[at] == 101 or buffer[at] == 69):  # e E
        at, explicit = _read_exponent(buffer, at + 1, end)
        if at < 0:
            return -1, mantissa, 0, 0
        exponent += explicit
        form &= ~(INTEGER | SHORTEST)
        if point - first + explicit > _LAST_POWER:
            form |= HUGE
    elif point - first > _LAST_POWER:
        form |= HUGE
    return at, mantissa, exponent, form


@inner_kernel
def _eisel_lemire(mantissa: np.uint64, exponent: int) -> tuple[float, bool]:
    """The double nearest to mantissa * 10^exponent, and whether it is certain.

    Args:
        mantissa: not zero.
        exponent: within the table of powers of five.
    """
    zeros = leading_zeros(mantissa)
    mantissa <<= np.uint64(zeros)
    row = exponent - _FIRST_POWER
    high = high_product(mantissa, _FIVES[row, 0])
    low = mantissa * _FIVES[row, 0]
    if high & np.uint64(0x1FF) == np.uint64(0x1FF):  # too few bits below the 55 that are used
        carried = high_product(mantissa, _FIVES[row, 1])
        low += carried
        if low < carried:
            high += _ONE
    top = signed(high >> np.uint64(63))
    shift = np.uint64(top + 9)  # leaves 54 bits: 53 and one to round by
    digits = high >> shift
    binary = ((217_706 * exponent) >> 16) + 63 + top - zeros  # floor(log2(10^exponent)) + ...
    if binary < -1022 or binary >= 1023:
        return 0.0, False
    # Exactly half way: possible only for these powers; to even, so the half must not round up.
    if (
        low <= _ONE
        and -4 <= exponent <= 23
        and digits & np.uint64(3) == _ONE
        and digits << shift == high
    ):
        digits -= _ONE
    digits = (digits + (digits & _ONE)) >> _ONE  # 2^53 carries into the exponent below, as it must
    bits = signed(digits) + ((signed(binary) + 1022) << 52)
    return np.int64(bits).view(np.float64), True


@inner_kernel
def nearest_double(mantissa: np.uint64, exponent: int, form: int) -> tuple[float, bool]:
    """The double nearest to a number that `read_number` read, and whether it is certain."""
    if form & (LONG | HUGE):
        return 0.0, False
    sure = True
    if mantissa <= _MAX_EXACT and -22 <= exponent <= 22:
        x = float(signed(mantissa))
        if exponent < 0:
            x /= _EXACT_POWERS[-exponent]
        else:
            x *= _EXACT_POWERS[exponent]
    elif mantissa == np.uint64(0):
        x = 0.0
    elif _FIRST_POWER <= exponent <= _LAST_POWER:
        x, sure = _eisel_lemire(mantissa, exponent)
    else:
        return 0.0, False
    return -x if form & NEGATIVE else x, sure
