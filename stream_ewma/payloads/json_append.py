"""One smoothed row to JSON, in a kernel."""

from typing import Final, NamedTuple

import numpy as np

from stream_ewma.columns import Bytes, Int32, Int64, UInt8, UInt64
from stream_ewma.copying import copy_bytes
from stream_ewma.jit import inner_kernel
from stream_ewma.payloads.columns import NULL_FLAG, NULL_INTEGER, Kind, Status
from stream_ewma.payloads.json_fields import (
    END,
    FIRST_FIELD,
    KEY,
    STALE_END,
    TIMESTAMP,
    Pieces,
)
from stream_ewma.payloads.json_scalars import is_space, skip_space
from stream_ewma.payloads.numerals import append_bytes, append_spread_integer
from stream_ewma.payloads.shortest import (
    MAX_NUMBER_BYTES,
    NOT_FINITE,
    append_decimal,
    append_double,
)
from stream_ewma.words import WORD, load_word, signed, store_word, word_at

_SMOOTHED: Final = int(Kind.SMOOTHED)
_STALE: Final = int(Kind.STALE)
_OK: Final = int(Status.OK)

FLOAT: Final = 0
INTEGER: Final = 1
FLAG: Final = 2
"""Forms of an output."""

_EACH_01: Final = np.uint64(0x0101010101010101)
_EACH_20: Final = np.uint64(0x2020202020202020)
_EACH_22: Final = np.uint64(0x2222222222222222)
_EACH_5C: Final = np.uint64(0x5C5C5C5C5C5C5C5C)
_EACH_80: Final = np.uint64(0x8080808080808080)
_WITHIN: Final[UInt64] = np.array(
    [(1 << 8 * min(max(n, 0), WORD)) - 1 for n in range(-WORD, 2 * WORD + 1)], np.uint64
)
"""At 8 + n: the bytes of a word that are among the first n."""
_NULL_WORD: Final = np.uint64(int.from_bytes(b"null    ", "little"))
_TRUE_WORD: Final = np.uint64(int.from_bytes(b"true    ", "little"))
_FALSE_WORD: Final = np.uint64(int.from_bytes(b"false   ", "little"))


class Rows(NamedTuple):
    """What a kernel needs of n smoothed rows.

    Attributes:
        keys: uint8, holds the key bytes.
        key_start: int32 (n,).
        key_length: int32 (n,).
        escaped: uint8, the keys that do not stand in JSON as they are, as JSON.
        escaped_start: int32 (n,), empty where no such key is known.
        escaped_length: int32 (n,), 0 where the key stands as it is.
        kind: uint8 (n,).
        x: uint64 (numbers, n), the bits of doubles.
        texts: uint8, holds the texts of x that came with the input.
        text_start: int32 (numbers, n).
        text_length: int32 (numbers, n), 0 where x is formatted here.
        status: uint8 (numbers, n).
        form: uint8 (outputs,), what an output is.
        cells: int64 (1 + outputs, n), integers and flags; the first row is the event times.
        head: int32 (1 + outputs, n), of doubles as in `decimal_of`.
        first: uint64 (1 + outputs, n), digits of integers and doubles.
        second: uint64 (1 + outputs, n), digits of integers and doubles.
        originals: uint8, holds the values that are enriched.
        original_start: int32 (n,), empty where none is.
        original_length: int32 (n,).
    """

    keys: Bytes
    key_start: Int32
    key_length: Int32
    escaped: Bytes
    escaped_start: Int32
    escaped_length: Int32
    kind: UInt8
    x: UInt64
    texts: Bytes
    text_start: Int32
    text_length: Int32
    status: UInt8
    form: UInt8
    cells: Int64
    head: Int32
    first: UInt64
    second: UInt64
    originals: Bytes
    original_start: Int32
    original_length: Int32


@inner_kernel
def _special_bytes(word: np.uint64) -> np.uint64:
    """The top bit of each byte that has a meaning of its own in a JSON string or is not ASCII.

    Bytes above such a one may be flagged as well.
    """
    special = (word - _EACH_20) | word
    special |= ((word ^ _EACH_22) - _EACH_01) | ((word ^ _EACH_5C) - _EACH_01)
    return special & _EACH_80


@inner_kernel
def append_plain_key(target: Bytes, at: int, keys: Bytes, start: int, length: int) -> int:
    """Write a key that stands in JSON as it is; -1 where it does not.

    That is printable ASCII without quote and backslash.
    """
    target[at] = 34  # "
    at += 1
    if 0 <= length <= 2 * WORD and start <= len(keys) - 2 * WORD:
        first = load_word(keys, start)
        second = load_word(keys, start + WORD)
        store_word(target, at, first)
        store_word(target, at + WORD, second)
        special = _special_bytes(first) & _WITHIN[WORD + length]
        special |= _special_bytes(second) & _WITHIN[length]
    else:
        special = np.uint64(0)
        for i in range(0, length, WORD):
            word = word_at(keys, start + i)
            store_word(target, at + i, word)
            special |= _special_bytes(word) & _WITHIN[WORD + min(length - i, WORD)]
    if length < 0 or special:
        return -1
    at += length
    target[at] = 34
    return at + 1


@inner_kernel
def _append_key(target: Bytes, at: int, rows: Rows, row: int) -> int:
    """Write the key; -1 where it is still to be escaped."""
    if len(rows.escaped_start) and rows.escaped_length[row]:
        first = signed(rows.escaped_start[row])
        return copy_bytes(target, at, rows.escaped, first, signed(rows.escaped_length[row]))
    first = signed(rows.key_start[row])
    return append_plain_key(target, at, rows.keys, first, signed(rows.key_length[row]))


@inner_kernel
def _append_piece(target: Bytes, at: int, pieces: Pieces, piece: int) -> int:
    length = signed(pieces.length[piece])
    if length > 2 * WORD:
        return copy_bytes(target, at, pieces.text, signed(pieces.begin[piece]), length)
    store_word(target, at, pieces.first[piece, 0])
    store_word(target, at + WORD, pieces.first[piece, 1])
    return at + length


@inner_kernel
def _append_values(target: Bytes, at: int, rows: Rows, pieces: Pieces, row: int) -> int:
    """Write the numbers that came in, each after its name."""
    for number in range(len(rows.x)):
        at = _append_piece(target, at, pieces, FIRST_FIELD + number)
        length = signed(rows.text_length[number, row])
        if rows.kind[row] != _SMOOTHED or rows.status[number, row] != _OK:
            store_word(target, at, _NULL_WORD)
            at += 4
        elif 0 < length <= MAX_NUMBER_BYTES:
            at = append_bytes(target, at, rows.texts, signed(rows.text_start[number, row]), length)
        else:
            at = append_double(target, at, rows.x[number, row])
    return at


@inner_kernel
def _append_cell(target: Bytes, at: int, rows: Rows, column: int, form: int, row: int) -> int:
    """Write an output or, in column 0, the event time."""
    if form == FLOAT:
        head = signed(rows.head[column, row])
        if head & NOT_FINITE:
            store_word(target, at, _NULL_WORD)
            return at + 4
        return append_decimal(target, at, head, rows.first[column, row], rows.second[column, row])
    cell = rows.cells[column, row]
    if cell == (NULL_INTEGER if form == INTEGER else NULL_FLAG):
        store_word(target, at, _NULL_WORD)
        return at + 4
    if form == INTEGER:
        first = rows.first[column, row]
        return append_spread_integer(target, at, cell, first, rows.second[column, row])
    store_word(target, at, _TRUE_WORD if cell else _FALSE_WORD)
    return at + (4 if cell else 5)


@inner_kernel
def _append_outputs(
    target: Bytes, at: int, rows: Rows, pieces: Pieces, first: int, row: int
) -> int:
    """Write the outputs, each after its name; `first` is the first name's piece."""
    for output in range(len(rows.form)):
        at = _append_piece(target, at, pieces, first + output)
        at = _append_cell(target, at, rows, 1 + output, signed(rows.form[output]), row)
    return at


@inner_kernel
def append_flat(target: Bytes, at: int, rows: Rows, pieces: Pieces, row: int) -> int:
    """Write a row as a flat object; -1 where its key is still to be escaped."""
    if pieces.length[KEY]:
        at = _append_piece(target, at, pieces, KEY)
        at = _append_key(target, at, rows, row)
        if at < 0:
            return -1
    if pieces.length[TIMESTAMP]:
        at = _append_piece(target, at, pieces, TIMESTAMP)
        at = _append_cell(target, at, rows, 0, INTEGER, row)
    at = _append_values(target, at, rows, pieces, row)
    at = _append_outputs(target, at, rows, pieces, FIRST_FIELD + len(rows.x), row)
    if rows.kind[row] == _STALE:
        return _append_piece(target, at, pieces, STALE_END)
    return _append_piece(target, at, pieces, END)


@inner_kernel
def _inside(buffer: Bytes, at: int, end: int) -> tuple[int, int, bool]:
    """Where the opening and closing brace of the JSON text are, -1 and -1 where it is no object.

    Returns:
        The two positions, and whether there is nothing but space between.
    """
    opening = skip_space(buffer, at, end)
    if opening >= end or buffer[opening] != 123:  # {
        return -1, -1, False
    closing = end - 1
    while closing > opening and is_space(buffer[closing]):
        closing -= 1
    if closing == opening or buffer[closing] != 125:  # }
        return -1, -1, False
    return opening, closing, skip_space(buffer, opening + 1, end) == closing


@inner_kernel
def append_enriched(target: Bytes, at: int, rows: Rows, pieces: Pieces, row: int) -> int:
    """Write the original with the outputs added; -1 where it is no object."""
    if rows.kind[row] == _STALE or len(rows.original_start) == 0:
        return -1
    buffer = rows.originals
    start = signed(rows.original_start[row])
    end = start + signed(rows.original_length[row])
    opening, closing, is_empty = _inside(buffer, start, end)
    if opening < 0:
        return -1
    at = copy_bytes(target, at, buffer, start, closing - start)
    comma = at
    first = FIRST_FIELD + len(rows.x) + len(rows.form)
    at = _append_outputs(target, at, rows, pieces, first, row)
    if is_empty and at > comma:
        for i in range(comma + 1, at):
            target[i - 1] = target[i]
        at -= 1
    return copy_bytes(target, at, buffer, closing, end - closing)
