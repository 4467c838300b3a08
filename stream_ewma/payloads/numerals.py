"""Integers to text, and copying of text, in kernels: eight bytes at a time.

Nothing here looks whether there is room: whoever writes a row makes sure of it once.
"""

from typing import Final

import numpy as np

from stream_ewma.columns import Bytes, Int64, UInt64
from stream_ewma.copying import copy_bytes
from stream_ewma.jit import inner_kernel, kernel
from stream_ewma.words import WORD, load_word, store_word, trailing_zeros

INTEGER_ROOM: Final = 32
"""Bytes that may be written for an integer, those behind its text included."""

_EACH_30: Final = np.uint64(0x3030303030303030)
_TEN_THOUSAND: Final = np.uint64(10_000)
_EIGHT_DIGITS: Final = np.uint64(100_000_000)
_SIXTEEN_DIGITS: Final = 10**16


@inner_kernel
def append_bytes(target: Bytes, at: int, source: Bytes, start: int, length: int) -> int:
    """Copy `length` bytes; up to 16 bytes behind them are overwritten as well.

    Names and numbers hardly ever have more than two words: both are copied whatever the length.

    Returns:
        The position after the copy.
    """
    if length > 2 * WORD or start > len(source) - 2 * WORD:
        return copy_bytes(target, at, source, start, length)
    store_word(target, at, load_word(source, start))
    store_word(target, at + WORD, load_word(source, start + WORD))
    return at + length


@inner_kernel
def digit_word(number: np.uint64) -> np.uint64:
    """Eight decimal digits, as bytes 0 to 9, the first one lowest.

    Fours, then twos, then ones are split by multiplication with a reciprocal, all side by side:
    rounded up to 45, 20 and 10 bits it is exact for numbers of that many digits.
    """
    upper = (number * np.uint64(3_518_437_209)) >> np.uint64(45)
    fours = upper | (number - upper * _TEN_THOUSAND) << np.uint64(32)
    upper = ((fours * np.uint64(10_486)) >> np.uint64(20)) & np.uint64(0x0000007F0000007F)
    twos = upper | (fours - np.uint64(100) * upper) << np.uint64(16)
    tens = ((twos * np.uint64(103)) >> np.uint64(10)) & np.uint64(0x000F000F000F000F)
    return tens | (twos - np.uint64(10) * tens) << np.uint64(8)


@inner_kernel
def _append_first_digits(target: Bytes, at: int, number: np.uint64) -> int:
    """Write a number below 10^8 without leading zeros."""
    digits = digit_word(number)
    zeros = min(trailing_zeros(digits) >> 3, WORD - 1)
    store_word(target, at, (digits | _EACH_30) >> np.uint64(8 * zeros))
    return at + WORD - zeros


@inner_kernel
def append_integer(target: Bytes, at: int, number: int) -> int:
    """Write an integer above -2^63; up to 7 bytes behind it are overwritten as well.

    Returns:
        The position after it.
    """
    if number < 0:
        target[at] = 45  # -
        at += 1
        number = -number
    whole = np.uint64(number)
    if whole < _EIGHT_DIGITS:
        return _append_first_digits(target, at, whole)
    upper = whole // _EIGHT_DIGITS
    lower = whole - upper * _EIGHT_DIGITS
    if upper < _EIGHT_DIGITS:
        at = _append_first_digits(target, at, upper)
    else:
        first = upper // _EIGHT_DIGITS
        at = _append_first_digits(target, at, first)
        store_word(target, at, digit_word(upper - first * _EIGHT_DIGITS) | _EACH_30)
        at += WORD
    store_word(target, at, digit_word(lower) | _EACH_30)
    return at + WORD


@kernel
def spread_integers(numbers: Int64, first: UInt64, second: UInt64) -> None:
    """Fill in the last sixteen digits of each number, eight and eight.

    In loops of their own, so that digits are split by vector instructions.
    """
    for row in range(len(numbers)):
        number = np.uint64(numbers[row])
        upper = number // _EIGHT_DIGITS
        first[row] = upper
        second[row] = number - upper * _EIGHT_DIGITS
    for row in range(len(numbers)):
        first[row] = digit_word(first[row])
        second[row] = digit_word(second[row])


@inner_kernel
def append_spread_integer(
    target: Bytes, at: int, number: int, first: np.uint64, second: np.uint64
) -> int:
    """As `append_integer`, where its last sixteen digits are known."""
    if number < 0 or number >= _SIXTEEN_DIGITS:
        return append_integer(target, at, number)
    if first == np.uint64(0):
        zeros = min(trailing_zeros(second) >> 3, WORD - 1)
        store_word(target, at, (second | _EACH_30) >> np.uint64(8 * zeros))
        return at + WORD - zeros
    zeros = trailing_zeros(first) >> 3
    store_word(target, at, (first | _EACH_30) >> np.uint64(8 * zeros))
    at += WORD - zeros
    store_word(target, at, second | _EACH_30)
    return at + WORD
