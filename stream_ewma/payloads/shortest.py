"""Doubles to text in a kernel: the fewest digits that read back to the same double.

Of several such the nearest; the very bytes that orjson writes, except that it writes null for what
is not finite. It holds the interpreter lock meanwhile, this does not, and costs half as much.

The digits are found by Schubfach: Raffaello Giulietti, "The Schubfach way to render doubles"
(2020), section 9; the code follows Alexander Bolz' reference implementation (drachennest).
"""

from typing import Final

import numpy as np

from stream_ewma.columns import Bytes, UInt64
from stream_ewma.jit import inner_kernel
from stream_ewma.payloads.numerals import append_integer, digit_word
from stream_ewma.words import WORD, high_product, leading_zeros, signed, store_word

MAX_NUMBER_BYTES: Final = 24
"""The longest text of a double: -2.2250738585072014e-308; integers of 64 bits have 20 bytes."""
NUMBER_ROOM: Final = 32
"""Bytes that may be written for a number, those behind its text included."""

_SIGNIFICAND_BITS: Final = 52
_DIGITS: Final = 17
"""The most digits a double needs."""
_FIRST_POWER: Final = -292
_LAST_POWER: Final = 324
_LAST_EXACT_POWER: Final = 55

_EACH_30: Final = np.uint64(0x3030303030303030)
_ZERO_POINT: Final = np.uint64(int.from_bytes(b"0.000000", "little"))
_POINT: Final = np.uint64(46)
_EXPONENT: Final = np.uint64(0x7FF0000000000000)
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
def _with_point(
    target: Bytes, at: int, before: int, first: np.uint64, second: np.uint64, last: np.uint64
) -> None:
    """Write 17 digits, `before` of them before the point, 0 < before < 17; 24 bytes in all."""
    at_word = before - WORD if before >= WORD else before
    split = np.uint64(8 * at_word)
    if before >= 2 * WORD:
        last = _POINT | last << np.uint64(8)
    elif before >= WORD:
        last = second >> np.uint64(56) | last << np.uint64(8)
        kept = (_ONE << split) - _ONE
        second = (second & kept) | _POINT << split | (second & ~kept) << np.uint64(8)
    else:
        last = second >> np.uint64(56) | last << np.uint64(8)
        second = first >> np.uint64(56) | second << np.uint64(8)
        kept = (_ONE << split) - _ONE
        first = (first & kept) | _POINT << split | (first & ~kept) << np.uint64(8)
    store_word(target, at, first)
    store_word(target, at + WORD, second)
    store_word(target, at + 2 * WORD, last)


@inner_kernel
def is_finite(bits: np.uint64) -> bool:
    """Whether the double with these bits is neither infinite nor NaN."""
    return bool(~bits & _EXPONENT)


@inner_kernel
def append_double(target: Bytes, at: int, bits: np.uint64) -> int:
    """Write the finite double with these bits; up to `NUMBER_ROOM` bytes are written in all.

    Args:
        target: uint8, has room for `NUMBER_ROOM` bytes from `at` on: it is not checked here.
        at: where the text begins.
        bits: of a double that is neither infinite nor NaN.

    Returns:
        The position after the text.
    """
    target[at] = 45  # -
    at += signed(bits >> np.uint64(63))
    bits &= np.uint64(2**63 - 1)
    if bits == np.uint64(0):
        store_word(target, at, _ZERO_POINT)
        return at + 3
    digits, power = _shortest(bits)
    count = _count_of(digits)
    before = count + power  # digits before the point
    digits *= _POWERS[_DIGITS - count]
    upper = digits // _TEN_TO_8
    top = upper // _TEN_TO_8
    first = digit_word(upper - top * _TEN_TO_8)
    second = digit_word(digits - upper * _TEN_TO_8)
    count = _DIGITS - (leading_zeros(second) >> 3)
    if second == np.uint64(0):
        count = _DIGITS - WORD - (leading_zeros(first) >> 3)
    first |= _EACH_30
    second |= _EACH_30
    last = second >> np.uint64(56)
    second = first >> np.uint64(56) | second << np.uint64(8)
    first = top | np.uint64(48) | first << np.uint64(8)
    if 0 < before < _DIGITS:
        _with_point(target, at, before, first, second, last)
        return at + max(count, before + 1) + 1
    if -5 < before <= 0:
        store_word(target, at, _ZERO_POINT)
        at += 2 - before
        store_word(target, at, first)
        store_word(target, at + WORD, second)
        store_word(target, at + 2 * WORD, last)
        return at + count
    _with_point(target, at, 1, first, second, last)
    at += 1 if count == 1 else count + 1
    target[at] = 101  # e
    target[at + 1] = 43 if before > 0 else 45  # + -
    return append_integer(target, at + 2, abs(before - 1))
