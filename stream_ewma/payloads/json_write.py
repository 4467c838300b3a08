"""Smoothed rows to JSON values.

`{"key":"pump-7","timestamp":1767225600123,"value":21.7351,"ewma":21.5021,"count":1042}`: always
these fields in this order, names and outputs as given. Numbers are the fewest digits that read back
to the same double. Key bytes that are not UTF-8 show as U+FFFD; the record's own key is unchanged.

An object that is enriched keeps all its bytes; the outputs stand before its closing brace.
"""

from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from stream_ewma.columns import NULL, Bytes, Int32, Int64, Spans, UInt8, UInt64, as_bytes
from stream_ewma.jit import kernel
from stream_ewma.payloads.columns import Column, Kind, SmoothedColumns, WritingOptions
from stream_ewma.payloads.json_append import (
    FLAG,
    FLOAT,
    INTEGER,
    Rows,
    append_enriched,
    append_flat,
    append_plain_key,
)
from stream_ewma.payloads.json_fields import Pieces, pieces_of
from stream_ewma.payloads.numerals import spread_integers
from stream_ewma.payloads.shortest import spread_doubles
from stream_ewma.words import WORD, signed

_TOMBSTONE: Final = int(Kind.TOMBSTONE)
_NOTHING: Final = Spans.of([])
_FORM_OF_KIND: Final = {"f": FLOAT, "i": INTEGER, "u": FLAG, "b": FLAG}
"""How a column is written, by the kind of its dtype."""


@kernel
def _write_rows(target: Bytes, rows: Rows, pieces: Pieces, start: Int32, length: Int32) -> int:
    """Write every row's value, one after another.

    Args:
        target: room for all of them.
        rows: what differs from row to row.
        pieces: the rest.
        start: int32 (n,), filled in.
        length: int32 (n,), filled in.

    Returns:
        How much of `target` is filled; -1 where a key is still to be escaped.

    Raises:
        IndexError: There is not enough room.
    """
    at = 0
    for row in range(len(start)):
        start[row] = at
        if rows.kind[row] == _TOMBSTONE:
            length[row] = NULL
            continue
        room = pieces.room + max(signed(rows.key_length[row]), 0)
        if len(rows.escaped_start):
            room += rows.escaped_length[row]
        if len(rows.original_start):
            room += max(signed(rows.original_length[row]), 0)
        if room > len(target) - at:
            raise IndexError("not enough room for the values")
        end = append_enriched(target, at, rows, pieces, row)
        if end < 0:
            end = append_flat(target, at, rows, pieces, row)
            if end < 0:
                return -1
        length[row] = end - at
        at = end
    return at


@kernel
def _plain_keys(target: Bytes, keys: Bytes, start: Int32, length: Int32, plain: UInt8) -> None:
    """Mark the keys that stand in JSON as they are; `target` has room for any of them."""
    for row in range(len(start)):
        first = signed(start[row])
        plain[row] = append_plain_key(target, 0, keys, first, signed(length[row])) >= 0


class JsonEncoder:
    """Writes smoothed rows as JSON objects.

    Args:
        options: what an object looks like.
    """

    def __init__(self, options: WritingOptions) -> None:
        self._options = options

    def encode(self, smoothed: SmoothedColumns) -> Spans:
        """The values of the output records, `NULL` for tombstones.

        Raises:
            ValueError: Two fields would have the same name.
        """
        n = len(smoothed)
        pieces = pieces_of(self._options, tuple(smoothed.outputs))
        start = np.empty(n, np.int32)
        length = np.empty(n, np.int32)
        with np.errstate(over="ignore"):  # interpreted kernels wrap around on purpose
            rows = self._rows_of(smoothed)
            target = np.empty(_room(rows, pieces), np.uint8)
            used = _write_rows(target, rows, pieces, start, length)
            if used < 0:
                rows = _with_escaped_keys(rows)
                target = np.empty(_room(rows, pieces), np.uint8)
                used = _write_rows(target, rows, pieces, start, length)
        return Spans(as_bytes(target[:used]), start, length)

    def _rows_of(self, smoothed: SmoothedColumns) -> Rows:
        numbers = [
            columns
            for columns, name in zip(smoothed.numbers, self._options.value_names, strict=True)
            if name is not None
        ]
        texts = numbers[0].x_text.buffer if numbers else _NOTHING.buffer
        originals = _NOTHING
        if self._options.shape == "enrich" and smoothed.originals is not None:
            originals = smoothed.originals
        n = len(smoothed)
        columns = [smoothed.timestamp, *smoothed.outputs.values()]
        form = np.array([_FORM_OF_KIND[column.dtype.kind] for column in columns], np.uint8)
        return Rows(
            smoothed.keys.buffer,
            smoothed.keys.start,
            smoothed.keys.length,
            _NOTHING.buffer,
            _NOTHING.start,
            _NOTHING.length,
            smoothed.kind,
            _stacked([columns.x for columns in numbers], n, np.float64).view(np.uint64),
            texts,
            _stacked([columns.x_text.start for columns in numbers], n, np.int32),
            _stacked([_lengths(columns.x_text, texts) for columns in numbers], n, np.int32),
            _stacked([columns.status for columns in numbers], n, np.uint8),
            form[1:],
            *_spread(columns, form, n),
            originals.buffer,
            originals.start,
            originals.length,
        )


def _spread(columns: list[Column], form: UInt8, n: int) -> tuple[Int64, Int32, UInt64, UInt64]:
    """Cells, heads and digits of the columns, as in `Rows`."""
    shape = len(columns), n
    cells, head = np.empty(shape, np.int64), np.empty(shape, np.int32)
    first, second = np.empty(shape, np.uint64), np.empty(shape, np.uint64)
    for place, column in enumerate(columns):
        if form[place] == FLOAT:
            bits = np.ascontiguousarray(column, np.float64).view(np.uint64)
            spread_doubles(bits, head[place], first[place], second[place])
            continue
        cells[place] = column
        if form[place] == INTEGER:
            spread_integers(cells[place], first[place], second[place])
    return cells, head, first, second


def _stacked(columns: list[NDArray[Any]], n: int, dtype: type[np.generic]) -> NDArray[Any]:
    """The columns of n rows as one array (columns, n), one alone without copying it."""
    if len(columns) == 1:
        return np.ascontiguousarray(columns[0], dtype).reshape(1, n)
    stacked = np.empty((len(columns), n), dtype)
    for place, column in enumerate(columns):
        stacked[place] = column
    return stacked


def _lengths(texts: Spans, buffer: Bytes) -> Int32:
    """The lengths of texts within `buffer`; none of others: they are formatted anew."""
    return texts.length if texts.buffer is buffer else np.zeros(len(texts), np.int32)


@kernel
def _room(rows: Rows, pieces: Pieces) -> int:
    """Bytes that suffice for all values."""
    room = len(rows.kind) * pieces.room
    for length in (rows.key_length, rows.escaped_length, rows.original_length):
        for row in range(len(length)):
            room += max(signed(length[row]), 0)
    return room


def _with_escaped_keys(rows: Rows) -> Rows:
    """The rows with the keys as JSON that do not stand in it as they are.

    Each distinct key goes through orjson once.
    """
    n = len(rows.kind)
    plain = np.empty(n, np.uint8)
    scratch = np.empty(int(rows.key_length.max()) + 3 * WORD, np.uint8)
    _plain_keys(scratch, rows.keys, rows.key_start, rows.key_length, plain)
    keys = Spans(rows.keys, rows.key_start, rows.key_length)
    start = np.zeros(n, np.int32)
    length = np.zeros(n, np.int32)
    texts = bytearray()
    place: dict[bytes | None, tuple[int, int]] = {}
    for row in np.flatnonzero(plain == 0).tolist():
        key = keys.item(row)
        if key not in place:
            text = orjson.dumps(None if key is None else key.decode(errors="replace"))
            place[key] = len(texts), len(text)
            texts += text
        start[row], length[row] = place[key]
    return rows._replace(escaped=as_bytes(texts), escaped_start=start, escaped_length=length)
