"""Numbers to text: doubles by orjson, whole columns at a time, integers and copying by kernels.

orjson writes the fewest digits that read back to the same double. It holds the interpreter lock
meanwhile, so it is given a bounded number of rows at once.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import orjson

from stream_ewma.columns import Bytes, Float64, Int32, Int64, as_bytes
from stream_ewma.jit import inner_kernel, kernel
from stream_ewma.words import WORD, put_word, trailing_zeros, word_at

_CHUNK_ROWS: Final = 4096
"""Rows formatted in one go: the interpreter lock is held for some 60 us."""

_EACH_01: Final = np.uint64(0x0101010101010101)
_EACH_2C: Final = np.uint64(0x2C2C2C2C2C2C2C2C)
_EACH_5D: Final = np.uint64(0x5D5D5D5D5D5D5D5D)
_EACH_30: Final = np.uint64(0x3030303030303030)
_EACH_80: Final = np.uint64(0x8080808080808080)
_TEN_THOUSAND: Final = np.uint64(10_000)
_EIGHT_DIGITS: Final = np.uint64(100_000_000)


def number_texts(columns: Sequence[Float64 | Int64]) -> tuple[Bytes, Int64]:
    """The texts of all numbers: `[21.5,22.0][-0.1]`, a JSON array for each chunk of rows.

    Returns:
        The texts of all columns, one column after another, and where each column's begin.
    """
    chunks: list[bytes] = []
    begin = np.zeros(len(columns), np.int64)
    end = 0
    for place, column in enumerate(columns):
        begin[place] = end
        whole = np.ascontiguousarray(column, np.float64)
        for row in range(0, len(whole), _CHUNK_ROWS):
            part = whole[row : row + _CHUNK_ROWS]
            chunks.append(orjson.dumps(part, option=orjson.OPT_SERIALIZE_NUMPY))
            end += len(chunks[-1])
    return as_bytes(b"".join(chunks)), begin


@inner_kernel
def text_start(texts: Bytes, at: int) -> int:
    """Where the text after the bracket or comma at `at` begins; 0 comes before the first."""
    return at + 2 if texts[at] == 93 else at + 1  # ][


@inner_kernel
def _bytes_before_end(word: np.uint64) -> int:
    """How many of the word's bytes come before the first comma or closing bracket, 8 if none."""
    comma = (word ^ _EACH_2C) - _EACH_01
    bracket = (word ^ _EACH_5D) - _EACH_01
    return trailing_zeros((comma | bracket) & ~word & _EACH_80) >> 3


@kernel
def split_texts(texts: Bytes, start: Int32, length: Int32) -> None:
    """Fill in where the n texts of `number_texts` are."""
    at = 0
    for row in range(len(start)):
        at = text_start(texts, at)
        start[row] = at
        count = WORD
        while count == WORD:
            count = _bytes_before_end(word_at(texts, at))
            at += count
        length[row] = at - start[row]


@inner_kernel
def append_text(target: Bytes, at: int, texts: Bytes, start: int) -> tuple[int, int]:
    """Copy the text that begins at `start`; up to 7 bytes behind it are overwritten as well.

    Returns:
        The position after the copy, and that after the text in `texts`.
    """
    while True:
        word = word_at(texts, start)
        put_word(target, at, word)
        count = _bytes_before_end(word)
        at += count
        start += count
        if count < WORD:
            return at, start


@inner_kernel
def append_bytes(target: Bytes, at: int, source: Bytes, start: int, length: int) -> int:
    """Copy `length` bytes; up to 7 bytes behind them are overwritten as well.

    Faster than memcpy up to some 40 bytes, which names and numbers hardly ever exceed.

    Returns:
        The position after the copy.
    """
    put_word(target, at, word_at(source, start))
    for i in range(WORD, length, WORD):
        put_word(target, at + i, word_at(source, start + i))
    return at + length


@inner_kernel
def _digit_word(number: np.uint64) -> np.uint64:
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
    digits = _digit_word(number)
    zeros = min(trailing_zeros(digits) >> 3, WORD - 1)
    put_word(target, at, (digits | _EACH_30) >> np.uint64(8 * zeros))
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
        put_word(target, at, _digit_word(upper - first * _EIGHT_DIGITS) | _EACH_30)
        at += WORD
    put_word(target, at, _digit_word(lower) | _EACH_30)
    return at + WORD
