"""One pass over a JSON text in a kernel: check all of it, note what stands at given paths.

It answers only where it is certain that a strict parser accepts the whole text and finds the same:
no escape in a string, no name of a path given twice, no number that may be infinite, at most 62
containers deep. Everything else is doubtful, and for a library to decide.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from stream_ewma.columns import Bytes, Int64, UInt64
from stream_ewma.jit import inner_kernel
from stream_ewma.payloads.decimal import HUGE, read_number
from stream_ewma.words import WORD, signed, trailing_zeros, word_at

VALUE: Final = 0
TIMESTAMP: Final = 1
KEY: Final = 2
_PATHS: Final = 3

ABSENT: Final = 0
NUMBER: Final = 1
STRING: Final = 2
NULL_TOKEN: Final = 3
BOOLEAN: Final = 4
CONTAINER: Final = 5

MAX_NAMES: Final = 62
"""Names in all paths together: one bit each."""
_MAX_DEPTH: Final = 62
"""Open containers: one bit each."""

_EACH_01: Final = np.uint64(0x0101010101010101)
_EACH_20: Final = np.uint64(0x2020202020202020)
_EACH_22: Final = np.uint64(0x2222222222222222)
_EACH_5C: Final = np.uint64(0x5C5C5C5C5C5C5C5C)
_EACH_80: Final = np.uint64(0x8080808080808080)
_LOW_HALF: Final = np.uint64(0xFFFFFFFF)
_NULL_WORD: Final = np.uint64(int.from_bytes(b"null", "little"))
_TRUE_WORD: Final = np.uint64(int.from_bytes(b"true", "little"))
_FALS_WORD: Final = np.uint64(int.from_bytes(b"fals", "little"))


_NAME_PATH: Final = 0
_NAME_DEPTH: Final = 1
_NAME_IS_LAST: Final = 2
_NAME_LENGTH: Final = 3
_NAME_WORDS: Final = 4
"""Columns of the names: see `names_of`."""

TOKEN_KIND: Final = 0
TOKEN_START: Final = 1
TOKEN_LENGTH: Final = 2
TOKEN_MANTISSA: Final = 3
TOKEN_EXPONENT: Final = 4
TOKEN_FORM: Final = 5
_TOKEN_DEPTH: Final = 6
"""Columns of the tokens: see `new_tokens`."""


def names_of(paths: Sequence[Sequence[str]]) -> UInt64:
    """What the scan looks for, as one array: passing several to inner kernels costs time.

    Args:
        paths: the names of the value, timestamp and key paths, outermost first.

    Returns:
        uint64 (names, 4 + 2 * words): the name's path, its depth from 1 on, 1 if it is the last
        of its path, its length in bytes; then in turns eight bytes of it and the mask of those
        that belong to it.
    """
    rows = []
    width = max((len(name.encode()) for names in paths for name in names), default=0)
    for path, names in enumerate(paths):
        for depth, name in enumerate(names, 1):
            text = name.encode()
            row = [path, depth, depth == len(names), len(text)]
            for first in range(0, width, WORD):
                part = text[first : first + WORD]
                row += [int.from_bytes(part, "little"), (1 << 8 * len(part)) - 1]
            rows.append(row)
    return np.array(rows, np.uint64)


def new_tokens() -> Int64:
    """Room for what one scan finds: int64 (3, 7), a row for each path.

    Columns: kind (ABSENT to CONTAINER), first byte (inside the quotes of a string) and length;
    of a number the bits of the mantissa, exponent and form; and how many containers along the
    path the scan is inside of.
    """
    return np.zeros((_PATHS, _TOKEN_DEPTH + 1), np.int64)


@inner_kernel
def _skip_space(buffer: Bytes, at: int, end: int) -> int:
    while at < end and buffer[at] <= 32:
        if buffer[at] != 32 and buffer[at] != 10 and buffer[at] != 13 and buffer[at] != 9:
            return at
        at += 1
    return at


@inner_kernel
def _skip_utf8(  # noqa: C901  a grammar has as many branches
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
def _close_quote(buffer: Bytes, at: int, end: int) -> int:
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
        at = _skip_utf8(buffer, at, end)
        if at < 0:
            return -1
    return -1


@inner_kernel
def _same_name(buffer: Bytes, start: int, length: int, names: UInt64, name: int) -> bool:
    if np.uint64(length) != names[name, _NAME_LENGTH]:
        return False
    column = _NAME_WORDS
    for i in range(0, length, WORD):
        if word_at(buffer, start + i) & names[name, column + 1] != names[name, column]:
            return False
        column += 2
    return True


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
def _scalar(buffer: Bytes, at: int, end: int, hits: int, tokens: Int64) -> int:
    """Read a string, number or literal into the tokens of `hits`; the position after it, or -1."""
    mantissa = np.uint64(0)
    exponent = 0
    form = 0
    start = at
    first = signed(buffer[at])
    if first == 34:  # "
        kind = STRING
        start = at + 1
        stop = _close_quote(buffer, start, end)
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
    for path in range(_PATHS if hits else 0):
        if hits >> path & 1:
            tokens[path, TOKEN_KIND] = kind
            tokens[path, TOKEN_START] = start
            tokens[path, TOKEN_LENGTH] = stop - start
            tokens[path, TOKEN_MANTISSA] = signed(mantissa)
            tokens[path, TOKEN_EXPONENT] = exponent
            tokens[path, TOKEN_FORM] = form
    return at


@inner_kernel
def _read_name(
    buffer: Bytes, at: int, end: int, depth: int, seen: int, names: UInt64, tokens: Int64
) -> tuple[int, int, int, int]:
    """Read an object's name and compare it with those looked for at this depth.

    Returns:
        The position of the value, -1 where there is none or the name came for the second time
        (which one counts is for the library); the paths that end here and those that lead on, one
        bit each; the names seen so far, one bit each.
    """
    hits = 0
    onward = 0
    if at >= end or buffer[at] != 34:  # "
        return -1, hits, onward, seen
    start = at + 1
    stop = _close_quote(buffer, start, end)
    if stop < 0:
        return -1, hits, onward, seen
    for name in range(len(names)):
        path = signed(names[name, _NAME_PATH])
        if (
            signed(names[name, _NAME_DEPTH]) == depth
            and tokens[path, _TOKEN_DEPTH] == depth - 1
            and _same_name(buffer, start, stop - start, names, name)
        ):
            if seen >> name & 1:
                return -1, hits, onward, seen
            seen |= 1 << name
            if names[name, _NAME_IS_LAST]:
                hits |= 1 << path
            else:
                onward |= 1 << path
    at = _skip_space(buffer, stop + 1, end)
    if at >= end or buffer[at] != 58:  # :
        return -1, hits, onward, seen
    return _skip_space(buffer, at + 1, end), hits, onward, seen


@inner_kernel
def _enter(tokens: Int64, hits: int, onward: int, depth: int, is_array: bool) -> None:
    """Note that a container begins where the paths `hits` end and `onward` lead on."""
    for path in range(_PATHS):
        if hits >> path & 1:
            tokens[path, TOKEN_KIND] = CONTAINER
        if onward >> path & 1 and not is_array:
            tokens[path, _TOKEN_DEPTH] = depth


@inner_kernel
def _close_containers(
    buffer: Bytes, at: int, end: int, depth: int, arrays: int, tokens: Int64
) -> tuple[int, int, int]:
    """After a value: leave the containers that end here, up to and with the next comma.

    Returns:
        The position after the comma, or after the outermost value, and the space behind it (-1:
        malformed), the depth and the kinds of the open containers.
    """
    while depth:
        at = _skip_space(buffer, at, end)
        if at >= end:
            return -1, depth, arrays
        byte = signed(buffer[at])
        at += 1
        if byte == 44:  # ,
            return _skip_space(buffer, at, end), depth, arrays
        if byte != (93 if arrays & 1 else 125):  # ] }
            return -1, depth, arrays
        depth -= 1
        arrays >>= 1
        for path in range(_PATHS if depth else 0):
            if tokens[path, _TOKEN_DEPTH] == depth:
                tokens[path, _TOKEN_DEPTH] = depth - 1
    return _skip_space(buffer, at, end), 0, 0


@inner_kernel
def scan(buffer: Bytes, at: int, end: int, names: UInt64, tokens: Int64) -> bool:
    """Check the JSON text [at, end) and note in `tokens` what stands at each path.

    A text that is no object stands for what the value path leads to.

    Returns:
        Whether it is certain: the text is strict JSON in UTF-8 and `tokens` is what is in it.
    """
    for path in range(_PATHS):
        tokens[path, TOKEN_KIND] = ABSENT
        tokens[path, _TOKEN_DEPTH] = 0
    seen = 0
    depth = 0
    arrays = 0  # one bit per open container, the innermost lowest: 1 for an array
    hits = 1 << VALUE
    onward = 0
    at = _skip_space(buffer, at, end)
    while 0 <= at < end:
        byte = signed(buffer[at])
        opened = byte in (123, 91)  # { [
        if opened:
            if depth == _MAX_DEPTH:
                return False
            is_array = byte == 91
            if depth or is_array:
                _enter(tokens, hits, onward, depth, is_array)
            depth += 1
            arrays = arrays << 1 | signed(is_array)
            at = _skip_space(buffer, at + 1, end)
            opened = at < end and buffer[at] != byte + 2  # ASCII: { | } and [ \ ]
        else:
            at = _scalar(buffer, at, end, hits, tokens)
            if at < 0:
                return False
        if not opened:
            at, depth, arrays = _close_containers(buffer, at, end, depth, arrays, tokens)
            if depth == 0:
                return at == end
        hits = 0
        onward = 0
        if not arrays & 1 and at >= 0:
            at, hits, onward, seen = _read_name(buffer, at, end, depth, seen, names, tokens)
    return False
