"""Integers to text, and copying of text, in kernels: eight bytes at a time.

Nothing here looks whether there is room: whoever writes a row makes sure of it once.
"""

from typing import Final

import numpy as np

from stream_ewma.columns import Bytes
from stream_ewma.jit import inner_kernel
from stream_ewma.words import WORD, store_word, trailing_zeros, word_at

INTEGER_ROOM: Final = 32
"""Bytes that may be written for an integer, those behind its text included."""

_EACH_30: Final = np.uint64(0x3030303030303030)
_TEN_THOUSAND: Final = np.uint64(10_000)
_EIGHT_DIGITS: Final = np.uint64(100_000_000)


@inner_kernel
def append_bytes(target: Bytes, at: int, source: Bytes, start: int, length: int) -> int:
    """Copy `length` bytes; up to 8 bytes behind them are overwritten as well.

    Faster than memcpy up to some 40 bytes, which names and numbers hardly ever exceed.

    Returns:
        The position after the copy.
    """
    store_word(target, at, word_at(source, start))
    for i in range(WORD, length, WORD):
        store_word(target, at + i, word_at(source, start + i))
    return at + length


@inner_kernel
def digit_word(number: np.uint64) -> np.uint64:
    """Eight decimal digits, as bytes 0 to 9, the first one lowest.

    Fours, then twos, then ones are split by multiplication with a reciprocal, all side by side.
    """
    upper = number // _TEN_THOUSAND
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
