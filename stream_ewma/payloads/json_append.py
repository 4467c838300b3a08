"""One smoothed row to JSON, in a kernel."""

from typing import Final, NamedTuple

import numpy as np

from stream_ewma.columns import Bytes, Int32, Int64, UInt8, UInt64
from stream_ewma.copying import copy_bytes
from stream_ewma.jit import inner_kernel
from stream_ewma.payloads.columns import Kind, Status
from stream_ewma.payloads.json_fields import (
    END,
    FIRST_FIELD,
    KEY,
    STALE_END,
    TIMESTAMP,
    Pieces,
)
from stream_ewma.payloads.json_scalars import is_space, skip_space
from stream_ewma.payloads.numerals import append_bytes, append_integer
from stream_ewma.payloads.shortest import MAX_NUMBER_BYTES, append_double, is_finite
from stream_ewma.words import WORD, signed, store_word, word_at

_SMOOTHED: Final = int(Kind.SMOOTHED)
_STALE: Final = int(Kind.STALE)
_OK: Final = int(Status.OK)

FLOAT: Final = 0
INTEGER: Final = 1
FLAG: Final = 2
"""Forms of an output."""

_ONE: Final = np.uint64(1)
_EACH_01: Final = np.uint64(0x0101010101010101)
_EACH_20: Final = np.uint64(0x2020202020202020)
_EACH_22: Final = np.uint64(0x2222222222222222)
_EACH_5C: Final = np.uint64(0x5C5C5C5C5C5C5C5C)
_EACH_80: Final = np.uint64(0x8080808080808080)
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
        timestamp: int64 (n,).
        kind: uint8 (n,).
        x: uint64 (numbers, n), the bits of doubles.
        texts: uint8, holds the texts of x that came with the input.
        text_start: int32 (numbers, n).
        text_length: int32 (numbers, n), 0 where x is formatted here.
        status: uint8 (numbers, n).
        outputs: int64 (outputs, n), integers, flags or the bits of doubles.
        form: uint8 (outputs,), which of them.
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
    timestamp: Int64
    kind: UInt8
    x: UInt64
    texts: Bytes
    text_start: Int32
    text_length: Int32
    status: UInt8
    outputs: Int64
    form: UInt8
    originals: Bytes
    original_start: Int32
    original_length: Int32


@inner_kernel
def append_plain_key(target: Bytes, at: int, keys: Bytes, start: int, length: int) -> int:
    """Write a key that stands in JSON as it is; -1 where it does not.

    That is printable ASCII without quote and backslash.
    """
    target[at] = 34  # "
    at += 1
    special = np.uint64(0)
    for i in range(0, length, WORD):
        word = word_at(keys, start + i)
        store_word(target, at + i, word)
        if length - i < WORD:
            kept = (_ONE << np.uint64(8 * (length - i))) - _ONE
            word = (word & kept) | (_EACH_20 & ~kept)
        special |= (word - _EACH_20) | word
        special |= ((word ^ _EACH_22) - _EACH_01) | ((word ^ _EACH_5C) - _EACH_01)
    if length < 0 or special & _EACH_80:
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
    begin = pieces.begin[piece]
    return append_bytes(target, at, pieces.text, begin, pieces.begin[piece + 1] - begin)


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
def _append_outputs(
    target: Bytes, at: int, rows: Rows, pieces: Pieces, first: int, row: int
) -> int:
    """Write the outputs, each after its name; `first` is the first name's piece."""
    for output in range(len(rows.outputs)):
        at = _append_piece(target, at, pieces, first + output)
        form = rows.form[output]
        cell = rows.outputs[output, row]
        if form == INTEGER:
            at = append_integer(target, at, cell)
        elif form == FLAG:
            store_word(target, at, _TRUE_WORD if cell else _FALSE_WORD)
            at += 4 if cell else 5
        elif is_finite(np.uint64(cell)):
            at = append_double(target, at, np.uint64(cell))
        else:
            store_word(target, at, _NULL_WORD)
            at += 4
    return at


@inner_kernel
def append_flat(target: Bytes, at: int, rows: Rows, pieces: Pieces, row: int) -> int:
    """Write a row as a flat object; -1 where its key is still to be escaped."""
    if pieces.begin[KEY] != pieces.begin[KEY + 1]:
        at = _append_piece(target, at, pieces, KEY)
        at = _append_key(target, at, rows, row)
        if at < 0:
            return -1
    if pieces.begin[TIMESTAMP] != pieces.begin[TIMESTAMP + 1]:
        at = _append_piece(target, at, pieces, TIMESTAMP)
        at = append_integer(target, at, rows.timestamp[row])
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
    first = FIRST_FIELD + len(rows.x) + len(rows.outputs)
    at = _append_outputs(target, at, rows, pieces, first, row)
    if is_empty and at > comma:
        for i in range(comma + 1, at):
            target[i - 1] = target[i]
        at -= 1
    return copy_bytes(target, at, buffer, closing, end - closing)
