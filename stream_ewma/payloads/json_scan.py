"""One pass over a JSON text in a kernel: check all of it, note what stands at given paths.

It answers only where it is certain that a strict parser accepts the whole text and finds the same:
no escape in a string, no name of a path given twice, no number that may be infinite, at most 62
containers deep. Everything else is doubtful, and for a library to decide.
"""

from typing import Final, NamedTuple

import numpy as np

from stream_ewma.columns import Bytes, Int64, UInt64
from stream_ewma.jit import kernel
from stream_ewma.payloads.decimal import HUGE, read_number
from stream_ewma.words import WORD, trailing_zeros, word_at

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


class Paths(NamedTuple):
    """The names of up to three dotted paths, those at depth 1 first.

    Attributes:
        first: int64, `first[d]` to `first[d + 1]` are the names looked for at depth d + 1.
        path: int64, whose name it is: VALUE, TIMESTAMP or KEY.
        last: int64, 1 for the last name of its path.
        word: uint64, the name's first eight bytes, zeros after its end.
        mask: uint64, ones where `word` has bytes of the name.
        start: int64, where the name is in `text`.
        length: int64, its bytes.
        text: uint8, all names.
    """

    first: Int64
    path: Int64
    last: Int64
    word: UInt64
    mask: UInt64
    start: Int64
    length: Int64
    text: Bytes


class Tokens(NamedTuple):
    """What one scan found at each path; reused from row to row.

    Attributes:
        kind: int64 (3,), ABSENT to CONTAINER.
        start: int64 (3,), first byte, inside the quotes of a string.
        length: int64 (3,), bytes.
        mantissa: uint64 (3,), of a number.
        exponent: int64 (3,), of a number.
        form: int64 (3,), of a number.
        depth: int64 (3,), containers along the path that the scan is inside of.
    """

    kind: Int64
    start: Int64
    length: Int64
    mantissa: UInt64
    exponent: Int64
    form: Int64
    depth: Int64


def new_tokens() -> Tokens:
    """Room for the tokens of one scan."""
    return Tokens(
        kind=np.zeros(_PATHS, np.int64),
        start=np.zeros(_PATHS, np.int64),
        length=np.zeros(_PATHS, np.int64),
        mantissa=np.zeros(_PATHS, np.uint64),
        exponent=np.zeros(_PATHS, np.int64),
        form=np.zeros(_PATHS, np.int64),
        depth=np.zeros(_PATHS, np.int64),
    )


@kernel
def _skip_space(buffer: Bytes, at: int, end: int) -> int:
    while at < end and buffer[at] <= 32:
        if buffer[at] != 32 and buffer[at] != 10 and buffer[at] != 13 and buffer[at] != 9:
            return at
        at += 1
    return at


@kernel
def _skip_utf8(buffer: Bytes, at: int, end: int) -> int:
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


@kernel
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


@kernel
def _same_name(buffer: Bytes, start: int, length: int, paths: Paths, name: int) -> bool:
    if length != paths.length[name]:
        return False
    if word_at(buffer, start) & paths.mask[name] != paths.word[name]:
        return False
    for i in range(WORD, length):
        if buffer[start + i] != paths.text[paths.start[name] + i]:
            return False
    return True


@kernel
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


@kernel
def _scalar(buffer: Bytes, at: int, end: int, hits: int, tokens: Tokens) -> int:
    """Read a string, number or literal into the tokens of `hits`; the position after it, or -1."""
    mantissa = np.uint64(0)
    exponent = 0
    form = 0
    start = at
    first = np.int64(buffer[at])
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
            tokens.kind[path] = kind
            tokens.start[path] = start
            tokens.length[path] = stop - start
            tokens.mantissa[path] = mantissa
            tokens.exponent[path] = exponent
            tokens.form[path] = form
    return at


@kernel
def _name_hits(
    buffer: Bytes, start: int, length: int, depth: int, seen: int, paths: Paths, tokens: Tokens
) -> tuple[int, int, int]:
    """Compare an object's name with those looked for at this depth.

    Returns:
        The paths that end here and those that lead on, one bit each, and the names seen so far;
        the last is -1 where a name came for the second time: which one counts is for the library.
    """
    hits = 0
    onward = 0
    for name in range(paths.first[depth - 1], paths.first[depth]):
        path = paths.path[name]
        if tokens.depth[path] == depth - 1 and _same_name(buffer, start, length, paths, name):
            if seen >> name & 1:
                return 0, 0, -1
            seen |= 1 << name
            if paths.last[name]:
                hits |= 1 << path
            else:
                onward |= 1 << path
    return hits, onward, seen


@kernel
def _close_containers(
    buffer: Bytes, at: int, end: int, depth: int, arrays: int, tokens: Tokens
) -> tuple[int, int, int]:
    """After a value: leave the containers that end here, up to and with the next comma.

    Returns:
        The position after the comma and space, the depth and the kinds of the open containers.
        At depth 0 the position is the end of the text. Position -1: malformed.
    """
    while depth:
        at = _skip_space(buffer, at, end)
        if at >= end:
            return -1, depth, arrays
        byte = buffer[at]
        at += 1
        if byte == 44:  # ,
            return _skip_space(buffer, at, end), depth, arrays
        if byte != (93 if arrays & 1 else 125):  # ] }
            return -1, depth, arrays
        depth -= 1
        arrays >>= 1
        for path in range(_PATHS if depth else 0):
            if tokens.depth[path] == depth:
                tokens.depth[path] = depth - 1
    at = _skip_space(buffer, at, end)
    return at if at == end else -1, 0, 0


@kernel
def scan(buffer: Bytes, at: int, end: int, paths: Paths, tokens: Tokens) -> bool:
    """Check the JSON text [at, end) and note in `tokens` what stands at each path.

    A text that is no object stands for what the value path leads to.

    Returns:
        Whether it is certain: the text is strict JSON in UTF-8 and `tokens` is what is in it.
    """
    for path in range(_PATHS):
        tokens.kind[path] = ABSENT
        tokens.depth[path] = 0
    seen = 0
    depth = 0
    arrays = 0  # one bit per open container, the innermost lowest: 1 for an array
    hits = 1 << VALUE
    onward = 0
    at = _skip_space(buffer, at, end)
    while at < end:
        byte = buffer[at]
        opened = byte == 123 or byte == 91  # { [
        if opened:
            if depth == _MAX_DEPTH:
                return False
            is_array = byte == 91
            for path in range(_PATHS if depth or is_array else 0):
                if hits >> path & 1:
                    tokens.kind[path] = CONTAINER
                if onward >> path & 1 and not is_array:
                    tokens.depth[path] = depth
            depth += 1
            arrays = arrays << 1 | is_array
            at = _skip_space(buffer, at + 1, end)
            opened = at < end and buffer[at] != byte + 2  # ASCII: { | } and [ \ ]
        else:
            at = _scalar(buffer, at, end, hits, tokens)
            if at < 0:
                return False
        if not opened:
            at, depth, arrays = _close_containers(buffer, at, end, depth, arrays, tokens)
            if depth == 0 or at < 0:
                return at == end
        hits = 0
        onward = 0
        if not arrays & 1:
            if at >= end or buffer[at] != 34:  # "
                return False
            stop = _close_quote(buffer, at + 1, end)
            if stop < 0:
                return False
            if depth < len(paths.first):
                length = stop - at - 1
                hits, onward, seen = _name_hits(buffer, at + 1, length, depth, seen, paths, tokens)
                if seen < 0:
                    return False
            at = _skip_space(buffer, stop + 1, end)
            if at >= end or buffer[at] != 58:  # :
                return False
            at = _skip_space(buffer, at + 1, end)
    return False
