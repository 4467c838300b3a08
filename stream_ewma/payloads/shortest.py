"""Doubles to text in a kernel: the fewest digits that read back to the same double.

Of several such the nearest; the very bytes that orjson writes, except that it writes null for what
is not finite. It holds the interpreter lock meanwhile, this does not, and costs half as much.

The digits are found by Schubfach: Raffaello Giulietti, "The Schubfach way to render doubles"
(2020), section 9; the code follows Alexander Bolz' reference implementation (drachennest).
"""

from typing import Final

import numpy as np

from stream_ewma.columns import Bytes, Int32, UInt64
from stream_ewma.jit import inner_kernel, kernel
from stream_ewma.payloads.numerals import append_integer, digit_word
from stream_ewma.words import WORD, high_product, leading_zeros, signed, store_word

MAX_NUMBER_BYTES: Final = 24
"""The longest text of a double: -2.2250738585072014e-308; integers of 64 bits have 20 bytes."""
NUMBER_ROOM: Final = 32
"""Bytes that may be written for a number, those behind its text included."""

NEGATIVE: Final = 16
"""Head bit: a minus sign."""
NOT_FINITE: Final = 32
"""Head bit: infinite or NaN; the digits are meaningless."""
_TOP: Final = 15
"""Head bits: the first digit."""
_BEFORE_SHIFT: Final = 6
"""Above these bits: how many digits stand before the point; negative: zeros after it."""

_SIGNIFICAND_BITS: Final = 52
_DIGITS: Final = 17
"""The most digits a double needs."""
_FIRST_POWER: Final = -292
_LAST_POWER: Final = 324
_LAST_EXACT_POWER: Final = 55

_EACH_30: Final = np.uint64(0x3030303030303030)
_ZERO_POINT: Final = np.uint64(int.from_bytes(b"0.000000", "little"))
_POINT: Final = np.uint64(46)
_INFINITY: Final = np.uint64(0x7FF0000000000000)
_ONE: Final = np.uint64(1)
_TWO: Final = np.uint64(2)
_TEN: Final = np.uint64(10)
_FOUR: Final = np.uint64(4)
_TEN_TO_8: Final = np.uint64(10**8)
_TEN_TO_15: Final = np.uint64(10**15)
_TEN_TO_16: Final = np.uint64(10**16)

_POWERS: Final[UInt64] = np.array([10**q for q in range(_DIGITS + 1)], np.uint64)


def _ten_to(power: int) -> int:
    """The first 128 bits of 10^power, the top one set, rounded up."""
    scaled: int = 10 ** abs(power)
    bits = scaled.bit_length()
    if power < 0:
        return -(-(1 << (bits + 127)) // scaled)
    return scaled << (128 - bits) if bits <= 128 else -(-scaled >> (bits - 128))


_TENS: Final[UInt64] = np.array(
    [
        (_ten_to(power) >> 64, _ten_to(power) & (2**64 - 1))
        for power in range(_FIRST_POWER, _LAST_POWER + 1)
    ],
    np.uint64,
)


@inner_kernel
def _round_to_odd(high: np.uint64, low: np.uint64, number: np.uint64) -> np.uint64:
    """The product of a 128-bit and a 64-bit number without its lower 128 bits.

    The lowest bit of the result is set if any of these was, beyond the error of the power of ten.
    """
    carried = high_product(low, number)
    middle = high * number + carried
    upper = high_product(high, number)
    if middle < carried:
        upper += _ONE
    return upper | _ONE if middle > _ONE else upper


@inner_kernel
def _shortest(bits: np.uint64) -> tuple[np.uint64, int]:
    """Digits and power of ten of a positive finite double; the digits may end in zeros."""
    fraction = bits & np.uint64(2**_SIGNIFICAND_BITS - 1)
    biased = signed(bits >> np.uint64(_SIGNIFICAND_BITS))
    digits = fraction
    exponent = -1074
    if biased:
        digits |= np.uint64(2**_SIGNIFICAND_BITS)
        exponent = biased - 1075
        if -_SIGNIFICAND_BITS <= exponent <= 0:
            below = np.uint64(-exponent)
            if digits & ((_ONE << below) - _ONE) == np.uint64(0):
                return digits >> below, 0
    odd = digits & _ONE
    narrow = fraction == np.uint64(0) and biased > 1  # the double below is half as far
    power = (exponent * 1_262_611 - (524_031 if narrow else 0)) >> 22
    shift = np.uint64(exponent + ((-power * 1_741_647) >> 19) + 1)
    high = _TENS[-power - _FIRST_POWER, 0]
    low = _TENS[-power - _FIRST_POWER, 1]
    quarters = digits * _FOUR
    lower = quarters - (_ONE if narrow else _TWO)
    lower = _round_to_odd(high, low, lower << shift) + odd
    middle = _round_to_odd(high, low, quarters << shift)
    upper = _round_to_odd(high, low, (quarters + _TWO) << shift) - odd
    whole = middle // _FOUR
    if whole >= _TEN:
        tenth = whole // _TEN
        below_fits = lower <= tenth * np.uint64(40)
        above_fits = tenth * np.uint64(40) + np.uint64(40) <= upper
        if below_fits != above_fits:
            return (tenth + _ONE if above_fits else tenth), power + 1
    below_fits = lower <= whole * _FOUR
    above_fits = whole * _FOUR + _FOUR <= upper
    half = whole * _FOUR + _TWO
    round_up = middle > half or (middle == half and whole & _ONE == _ONE)
    if below_fits != above_fits:
        round_up = above_fits
    return (whole + _ONE if round_up else whole), power


@inner_kernel
def _count_of(digits: np.uint64) -> int:
    """How many decimal digits a positive number below 10^17 has."""
    if digits >= _TEN_TO_15:  # nearly all that are computed
        return _DIGITS if digits >= _TEN_TO_16 else _DIGITS - 1
    count = ((64 - leading_zeros(digits)) * 1233) >> 12  # log10 of 2 is 1233 / 4096
    return count + 1 if digits >= _POWERS[count] else count


@inner_kernel
def _store_digits(
    target: Bytes, at: int, top: np.uint64, first: np.uint64, second: np.uint64
) -> None:
    """Write 17 digits."""
    target[at] = top
    store_word(target, at + 1, first)
    store_word(target, at + 1 + WORD, second)


@inner_kernel
def _store_with_point(
    target: Bytes, at: int, before: int, top: np.uint64, first: np.uint64, second: np.uint64
) -> None:
    """Write 17 digits with a point behind the first `before` of them, 0 < before < 17."""
    if before < WORD:
        _store_digits(target, at + 1, top, first, second)
        word = top | first << np.uint64(8)
        split = np.uint64(8 * before)
        kept = (_ONE << split) - _ONE
        store_word(target, at, (word & kept) | _POINT << split | (word & ~kept) << np.uint64(8))
        return
    _store_digits(target, at, top, first, second)
    for i in range(_DIGITS, before, -1):
        target[at + i] = target[at + i - 1]
    target[at + before] = 46  # .


@inner_kernel
def decimal_of(bits: np.uint64) -> tuple[int, np.uint64, np.uint64]:
    """What the double with these bits is written as.

    Returns:
        The head: what is special about it, its sign, how many digits stand before the point, and
        the first of its 17 digits; and the numbers that the next eight and the last eight make.
    """
    head = NEGATIVE if bits >> np.uint64(63) else 0
    bits &= np.uint64(2**63 - 1)
    if bits >= _INFINITY:
        return head | NOT_FINITE, np.uint64(0), np.uint64(0)
    if bits == np.uint64(0):
        return head | 1 << _BEFORE_SHIFT, np.uint64(0), np.uint64(0)
    digits, power = _shortest(bits)
    count = _count_of(digits)
    digits *= _POWERS[_DIGITS - count]
    upper = digits // _TEN_TO_8
    top = upper // _TEN_TO_8
    head |= (count + power) << _BEFORE_SHIFT | signed(top)
    return head, upper - top * _TEN_TO_8, digits - upper * _TEN_TO_8


@kernel
def spread_doubles(bits: UInt64, head: Int32, first: UInt64, second: UInt64) -> None:
    """Fill in the head, the next and the last eight digits of each double.

    Apart from the writing, in short loops: a processor looks ahead some 200 instructions, so that
    several numbers are computed at once, and digits are split by vector instructions.
    """
    for row in range(len(bits)):
        head[row], first[row], second[row] = decimal_of(bits[row])
    for row in range(len(bits)):
        first[row] = digit_word(first[row])
        second[row] = digit_word(second[row])


@inner_kernel
def append_decimal(target: Bytes, at: int, head: int, first: np.uint64, second: np.uint64) -> int:
    """Write a double that is finite; up to `NUMBER_ROOM` bytes are written in all.

    Args:
        target: uint8, has room for `NUMBER_ROOM` bytes from `at` on: it is not checked here.
        at: where the text begins.
        head: of `decimal_of`.
        first: the digits after the first one.
        second: the last ones.

    Returns:
        The position after the text.
    """
    if head & NEGATIVE:
        target[at] = 45  # -
        at += 1
    before = head >> _BEFORE_SHIFT
    top = np.uint64(head & _TOP) | np.uint64(48)
    count = _DIGITS - (leading_zeros(second) >> 3)
    if second == np.uint64(0):
        count = _DIGITS - WORD - (leading_zeros(first) >> 3)
    first |= _EACH_30
    second |= _EACH_30
    if 0 < before < _DIGITS:
        _store_with_point(target, at, before, top, first, second)
        return at + max(count, before + 1) + 1
    if -5 < before <= 0:
        store_word(target, at, _ZERO_POINT)
        at += 2 - before
        _store_digits(target, at, top, first, second)
        return at + count
    _store_with_point(target, at, 1, top, first, second)
    at += 1 if count == 1 else count + 1
    target[at] = 101  # e
    target[at + 1] = 43 if before > 0 else 45  # + -
    return append_integer(target, at + 2, abs(before - 1))


@inner_kernel
def append_double(target: Bytes, at: int, bits: np.uint64) -> int:
    """As `append_decimal`, of the finite double with these bits."""
    head, first, second = decimal_of(bits)
    return append_decimal(target, at, head, digit_word(first), digit_word(second))
