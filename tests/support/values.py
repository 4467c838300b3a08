"""Records around given values, for the tests of the payload formats."""

from collections.abc import Sequence

import numpy as np

from stream_ewma.columns import Spans, as_bytes
from stream_ewma.payloads.columns import Kind, ReadingColumns, SmoothedColumns
from stream_ewma.records.columns import RecordColumns

RECORD_TIME = 1_767_225_600_123
"""Timestamp of every record that is not given one."""


def spans_apart(items: Sequence[bytes | None], between: bytes = b"") -> Spans:
    """Lay `items` out in one buffer with `between` before, between and after them."""
    buffer = bytearray(between)
    start = []
    for item in items:
        start.append(len(buffer))
        buffer += (item or b"") + between
    length = [-1 if item is None else len(item) for item in items]
    return Spans(as_bytes(bytes(buffer)), np.array(start, np.int32), np.array(length, np.int32))


def records_of(
    values: Sequence[bytes | None],
    *,
    keys: Sequence[bytes | None] | None = None,
    timestamp: int = RECORD_TIME,
    between: bytes = b"",
) -> RecordColumns:
    """One record a value, all with the same timestamp, and the key `k` unless given."""
    n = len(values)
    return RecordColumns(
        offset=np.arange(n),
        timestamp=np.full(n, timestamp, np.int64),
        keys=Spans.of([b"k"] * n if keys is None else list(keys)),
        values=spans_apart(values, between),
        headers=Spans.of([b""] * n),
        headers_count=np.zeros(n, np.int32),
    )


def smoothed_of(
    readings: ReadingColumns, outputs: dict[str, np.ndarray], kind: Kind = Kind.SMOOTHED
) -> SmoothedColumns:
    """Rows with the readings' keys, times and numbers."""
    return SmoothedColumns(
        readings.keys,
        readings.timestamp,
        readings.numbers,
        np.full(len(readings), kind, np.uint8),
        outputs,
    )


def items(spans: Spans) -> list[bytes | None]:
    """Every row's bytes."""
    return [spans.item(row) for row in range(len(spans))]


def bits(column: np.ndarray) -> list[int]:
    """The bit patterns of doubles, so that -0.0 differs from 0.0."""
    return column.view(np.int64).tolist()
