"""Strings, numbers and literals of a JSON text in a kernel, and the space between."""

from typing import Final

import numpy as np

from stream_ewma.columns import Bytes, Int64
from stream_ewma.jit import inner_kernel
from stream_ewma.payloads.decimal import HUGE, read_number
from stream_ewma.payloads.json_tokens import (
    ABSENT,
    BOOLEAN,
    NULL_TOKEN,
    NUMBER,
    STRING,
    TOKEN_EXPONENT,
    TOKEN_FORM,
    TOKEN_KIND,
    TOKEN_LENGTH,
    TOKEN_MANTISSA,
    TOKEN_START,
    in_token,
)
from stream_ewma.words import signed, trailing_zeros, word_at

_EACH_01: Final = np.uint64(0x0101010101010101)
_EACH_20: Final = np.uint64(0x2020202020202020)
_EACH_22: Final = np.uint64(0x2222222222222222)
_EACH_5C: Final = np.uint64(0x5C5C5C5C5C5C5C5C)
_EACH_80: Final = np.uint64(0x8080808080808080)
_LOW_HALF: Final = np.uint64(0xFFFFFFFF)
_NULL_WORD: Final = np.uint64(int.from_bytes(b"null", "little"))
_TRUE_WORD: Final = np.uint64(int.from_bytes(b"true", "little"))
_FALS_WORD: Final = np.uint64(int.from_bytes(b"fals", "little"))


@inner_kernel
def is_space(byte: int) -> bool:
    """Whether JSON allows `byte` between tokens: space, tab, line feed or carriage return."""
    return byte == 32 or byte == 10 or byte == 13 or byte == 9  # noqa: PLR1714  a set is slower


@inner_kernel
def skip_space(buffer: Bytes, at: int, end: int) -> int:
    """The position after all space from `at` on."""
    while at < end and buffer[at] <= 32 and is_space(buffer[at]):
        at += 1
    return at


@inner_kernel
def skip_utf8(  # noqa: C901  a grammar has as many branches
    buffer: Bytes, at: int, end: int
) -> int:
    """The position after one well-formed UTF-8 sequence of two to four bytes; -1 if there is none.

    The Unicode Standard, table 3-7.
    """
    lead = buffer[at]
    low = 0x80
    high = 0xBF
    if 0xC2 <= lead <= 0xDF:
        more = 1
    elif 0xE0 <= lead <= 0xEF:
        more = 2
        if lead == 0xE0:
            low = 0xA0  # overlong
        elif lead == 0xED:
            high = 0x9F  # surrogates
    elif 0xF0 <= lead <= 0xF4:
        more = 3
        if lead == 0xF0:
            low = 0x90  # overlong
        elif lead == 0xF4:
            high = 0x8F  # beyond U+10FFFF
    else:
        return -1
    if more >= end - at or buffer[at + 1] < low or buffer[at + 1] > high:
        return -1
    for i in range(at + 2, at + 1 + more):
        if buffer[i] & 0xC0 != 0x80:
            return -1
    return at + 1 + more


@inner_kernel
def close_quote(buffer: Bytes, at: int, end: int) -> int:
    """Where the string that begins at `at` ends; -1 where it has escapes or is malformed.

    The lowest byte that the borrow-prone tests flag is always a true one, and only that is used
    (Warren, "Hacker's Delight", 6-1).
    """
    while at < end:
        word = word_at(buffer, at)
        control = word - _EACH_20
        quote = (word ^ _EACH_22) - _EACH_01
        backslash = (word ^ _EACH_5C) - _EACH_01
        special = (control | quote | backslash | word) & _EACH_80
        at += trailing_zeros(special) >> 3
        if special == np.uint64(0):
            continue
        if at >= end:
            return -1
        if buffer[at] == 34:  # "
            return at
        if buffer[at] < 0x80:
            return -1
        at = skip_utf8(buffer, at, end)
        if at < 0:
            return -1
    return -1


@inner_kernel
def _literal(buffer: Bytes, at: int, end: int) -> tuple[int, int]:
    """The position after null, true or false, -1 where there is none, and the token's kind."""
    word = word_at(buffer, at) & _LOW_HALF
    if word == _NULL_WORD and at + 4 <= end:
        return at + 4, NULL_TOKEN
    if word == _TRUE_WORD and at + 4 <= end:
        return at + 4, BOOLEAN
    if word == _FALS_WORD and at + 5 <= end and buffer[at + 4] == 101:  # e
        return at + 5, BOOLEAN
    return -1, ABSENT


@inner_kernel
def scalar(buffer: Bytes, at: int, end: int, hits: int, tokens: Int64) -> int:
    """Read a string, number or literal into the tokens of `hits`; the position after it, or -1."""
    mantissa = np.uint64(0)
    exponent = 0
    form = 0
    start = at
    first = signed(buffer[at])
    if first == 34:  # "
        kind = STRING
        start = at + 1
        stop = close_quote(buffer, start, end)
        at = stop + 1
    elif first == 45 or 48 <= first <= 57:  # - 0 to 9
        kind = NUMBER
        at, mantissa, exponent, form = read_number(buffer, at, end)
        stop = at
        if form & HUGE:
            return -1
    else:
        at, kind = _literal(buffer, at, end)
        stop = at
    if stop < 0:
        return -1
    while hits:
        path = trailing_zeros(np.uint64(hits))
        hits &= hits - 1
        tokens[in_token(path, TOKEN_KIND)] = kind
        tokens[in_token(path, TOKEN_START)] = start
        tokens[in_token(path, TOKEN_LENGTH)] = stop - start
        tokens[in_token(path, TOKEN_MANTISSA)] = signed(mantissa)
        tokens[in_token(path, TOKEN_EXPONENT)] = exponent
        tokens[in_token(path, TOKEN_FORM)] = form
    return at
