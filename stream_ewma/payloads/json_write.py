"""Smoothed rows to JSON values.

`{"key":"pump-7","timestamp":1767225600123,"value":21.7351,"ewma":21.5021,"count":1042}`: always
these fields in this order, the outputs as given. Numbers are the fewest digits that read back to
the same double. Key bytes that are not UTF-8 show as U+FFFD; the record's own key is unchanged.
"""

from typing import Final, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from stream_ewma.columns import NULL, Bytes, Float64, Int32, Int64, Spans, UInt8, as_bytes
from stream_ewma.jit import inner_kernel, kernel
from stream_ewma.payloads.columns import Kind, SmoothedColumns
from stream_ewma.payloads.numerals import (
    append_bytes,
    append_integer,
    append_text,
    number_texts,
    text_start,
)
from stream_ewma.words import WORD, word_at

_HELD: Final = int(Kind.HELD)
_TOMBSTONE: Final = int(Kind.TOMBSTONE)
_INTEGER_BYTES: Final = 20
"""The longest 64-bit integer: a sign and 19 digits."""

_EACH_01: Final = np.uint64(0x0101010101010101)
_EACH_20: Final = np.uint64(0x2020202020202020)
_EACH_22: Final = np.uint64(0x2222222222222222)
_EACH_5C: Final = np.uint64(0x5C5C5C5C5C5C5C5C)
_EACH_7F: Final = np.uint64(0x7F7F7F7F7F7F7F7F)
_EACH_80: Final = np.uint64(0x8080808080808080)

_LABELS: Final = (b'{"key":', b',"timestamp":', b',"value":', b"null", b"}")
_KEY: Final = 0
_TIMESTAMP: Final = 1
_VALUE: Final = 2
_NO_VALUE: Final = 3
_END: Final = 4
_OUTPUTS: Final = 5


class _Rows(NamedTuple):
    """What a kernel needs of n smoothed rows.

    Attributes:
        keys: uint8, holds the key bytes.
        key_start: int32 (n,).
        key_length: int32 (n,).
        plain: uint8 (n,), 1 where the key stands in JSON as it is.
        escaped: uint8, the other keys as JSON, quotes included.
        escaped_start: int32 (n,).
        escaped_length: int32 (n,).
        timestamp: int64 (n,).
        kind: uint8 (n,).
        texts: uint8, holds the texts of x that came with the input.
        text_start: int32 (n,).
        text_length: int32 (n,), 0 where x is formatted here.
    """

    keys: Bytes
    key_start: Int32
    key_length: Int32
    plain: UInt8
    escaped: Bytes
    escaped_start: Int32
    escaped_length: Int32
    timestamp: Int64
    kind: UInt8
    texts: Bytes
    text_start: Int32
    text_length: Int32


class _Fields(NamedTuple):
    """What a kernel needs besides.

    Attributes:
        labels: the fixed text between the fields, one piece after another.
        label: int64 (5 + outputs + 1,), where each piece begins.
        texts: the numbers formatted here: of x, then of each float output.
        is_integer: uint8 (outputs,).
        integers: int64 (outputs, n), the outputs that are integers.
    """

    labels: Bytes
    label: Int64
    texts: Bytes
    is_integer: UInt8
    integers: NDArray[np.int64]


@kernel
def _plain_keys(buffer: Bytes, start: Int32, length: Int32, plain: UInt8) -> None:
    """Mark the keys that stand in JSON as they are: printable ASCII, no quote, no backslash."""
    for row in range(len(start)):
        plain[row] = length[row] >= 0
        for i in range(0, length[row], WORD):
            word = word_at(buffer, start[row] + i)
            other = (word - _EACH_20) | (word + _EACH_01) | word
            other |= ((word ^ _EACH_22) - _EACH_01) | ((word ^ _EACH_5C) - _EACH_01)
            rest = length[row] - i
            mask = _EACH_80 if rest >= WORD else _EACH_80 >> np.uint64(8 * (WORD - rest))
            if other & mask:
                plain[row] = 0
                break


@inner_kernel
def _append_key(target: Bytes, at: int, keys: Bytes, start: int, length: int) -> int:
    target[at] = 34  # "
    at = append_bytes(target, at + 1, keys, start, length)
    target[at] = 34
    return at + 1


@kernel
def _write_rows(
    target: Bytes, rows: _Rows, fields: _Fields, cursor: Int64, start: Int32, length: Int32
) -> int:
    """Write every row's value, one after another.

    Args:
        target: room for all of them.
        rows: what differs from row to row.
        fields: the rest.
        cursor: int64, where in `texts` the next number of x and of each output is; moved on.
        start: int32 (n,), filled in.
        length: int32 (n,), filled in.

    Returns:
        How much of `target` is filled.
    """
    labels = fields.labels
    label = fields.label
    texts = fields.texts
    at = 0
    for row in range(len(start)):
        start[row] = at
        if rows.kind[row] == _TOMBSTONE:
            length[row] = NULL
            continue
        at = append_bytes(target, at, labels, label[_KEY], label[_KEY + 1] - label[_KEY])
        if rows.plain[row]:
            at = _append_key(target, at, rows.keys, rows.key_start[row], rows.key_length[row])
        else:
            first = rows.escaped_start[row]
            at = append_bytes(target, at, rows.escaped, first, rows.escaped_length[row])
        at = append_bytes(target, at, labels, label[_TIMESTAMP], label[_VALUE] - label[_TIMESTAMP])
        at = append_integer(target, at, rows.timestamp[row])
        at = append_bytes(target, at, labels, label[_VALUE], label[_NO_VALUE] - label[_VALUE])
        if rows.kind[row] == _HELD:
            at = append_bytes(target, at, labels, label[_NO_VALUE], label[_END] - label[_NO_VALUE])
        elif rows.text_length[row]:
            first = rows.text_start[row]
            at = append_bytes(target, at, rows.texts, first, rows.text_length[row])
        else:
            first = text_start(texts, cursor[0])
            at, cursor[0] = append_text(target, at, texts, first)
        for field in range(len(fields.is_integer)):
            first = label[_OUTPUTS + field]
            at = append_bytes(target, at, labels, first, label[_OUTPUTS + field + 1] - first)
            if fields.is_integer[field]:
                at = append_integer(target, at, fields.integers[field, row])
            else:
                first = text_start(texts, cursor[1 + field])
                at, cursor[1 + field] = append_text(target, at, texts, first)
        target[at] = 125  # }
        at += 1
        length[row] = at - start[row]
    return at


def _escaped_keys(keys: Spans, plain: UInt8) -> Spans:
    """The keys that are not plain as JSON texts, the others empty; once per distinct key."""
    start = np.zeros(len(keys), np.int32)
    length = np.zeros(len(keys), np.int32)
    texts = bytearray()
    place: dict[bytes | None, tuple[int, int]] = {}
    for row in np.flatnonzero(plain == 0).tolist():
        key = keys.item(row)
        if key not in place:
            text = orjson.dumps(None if key is None else key.decode(errors="replace"))
            place[key] = len(texts), len(text)
            texts += text
        start[row], length[row] = place[key]
    return Spans(as_bytes(texts), start, length)


def _labels(names: list[str]) -> tuple[Bytes, Int64]:
    """The fixed pieces of a value with these outputs, and where each begins."""
    pieces = [*_LABELS, *(b"," + orjson.dumps(name) + b":" for name in names)]
    ends = np.cumsum([0, *map(len, pieces)], dtype=np.int64)
    return as_bytes(b"".join(pieces)), ends


class JsonEncoder:
    """Writes smoothed rows as JSON objects."""

    def encode(self, smoothed: SmoothedColumns) -> Spans:
        """The values of the output records, `NULL` for tombstones."""
        n = len(smoothed)
        plain = np.empty(n, np.uint8)
        keys = smoothed.keys
        with np.errstate(over="ignore"):  # interpreted kernels wrap around on purpose
            _plain_keys(keys.buffer, keys.start, keys.length, plain)
        escaped = _escaped_keys(keys, plain)
        rows = _Rows(
            keys.buffer,
            keys.start,
            keys.length,
            plain,
            escaped.buffer,
            escaped.start,
            escaped.length,
            smoothed.timestamp,
            smoothed.kind,
            smoothed.x_text.buffer,
            smoothed.x_text.start,
            smoothed.x_text.length,
        )
        fields, cursor = _fields_of(smoothed)
        target = np.empty(_room(rows, fields), np.uint8)
        start = np.empty(n, np.int32)
        length = np.empty(n, np.int32)
        with np.errstate(over="ignore"):
            used = _write_rows(target, rows, fields, cursor, start, length)
        return Spans(as_bytes(target[:used]), start, length)


def _fields_of(smoothed: SmoothedColumns) -> tuple[_Fields, Int64]:
    """The numbers as text or as integers, and where in the texts each column's begin."""
    labels, label = _labels(list(smoothed.outputs))
    unwritten = (smoothed.x_text.length == 0) & (smoothed.kind == Kind.SMOOTHED)
    written = smoothed.kind != Kind.TOMBSTONE
    rows = slice(None) if written.all() else written  # a slice copies nothing
    columns = list(smoothed.outputs.values())
    is_integer = np.array([column.dtype.kind == "i" for column in columns], np.uint8)
    integers = np.empty((len(columns), len(smoothed)), np.int64)
    to_text: list[Float64 | Int64] = [smoothed.x[unwritten]]
    for place, column in enumerate(columns):
        if is_integer[place]:
            integers[place] = column
        to_text.append(column[:0] if is_integer[place] else column[rows])
    texts, cursor = number_texts(to_text)
    return _Fields(labels, label, texts, is_integer, integers), cursor


def _room(rows: _Rows, fields: _Fields) -> int:
    """Bytes that suffice for all values."""
    n = len(rows.kind)
    fixed = len(fields.labels) + 2 + _INTEGER_BYTES * (1 + len(fields.is_integer))
    keys = int(np.maximum(rows.key_length, 0).sum(dtype=np.int64))
    escaped = int(rows.escaped_length.sum(dtype=np.int64))
    texts = int(rows.text_length.sum(dtype=np.int64))
    return n * fixed + keys + escaped + texts + len(fields.texts)
