"""Columns to record batches."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from crc32c import crc32c
from numpy.typing import NDArray

from stream_ewma.columns import NULL, Bytes, Int32, Int64, Spans
from stream_ewma.copying import copy_bytes
from stream_ewma.jit import kernel
from stream_ewma.records import layout
from stream_ewma.records.compression import Compression, compress
from stream_ewma.records.varint import LONG_BYTES, varint_size, write_varint

_BATCH: Final = np.dtype(
    [
        ("first_row", np.int64),
        ("row_count", np.int64),
        ("start", np.int64),
        ("end", np.int64),
        ("max_timestamp", np.int64),
    ]
)
"""One row per batch: which rows it has, and its span in the bytes written."""

_ANY_LEADER_EPOCH: Final = -1


@dataclass(frozen=True, slots=True, eq=False)
class EncodedBatch:
    """A record batch but for what the producer knows only when it sends.

    Attributes:
        first_row: the batch holds the columns' rows from this one on.
        row_count: how many rows.
        frame: room for the header, then the records' bytes, compressed or not.
        first_timestamp: ms, of the first row.
        max_timestamp: ms, the latest.
        attributes: as in the batch's header, without the transactional bit.
    """

    first_row: int
    row_count: int
    frame: memoryview
    first_timestamp: int
    max_timestamp: int
    attributes: int

    @property
    def record_count(self) -> int:
        """How many records the batch has."""
        return self.row_count

    @property
    def size(self) -> int:
        """Bytes of the whole batch on the wire."""
        return len(self.frame)

    def to_bytes(
        self, producer_id: int, producer_epoch: int, base_sequence: int, is_transactional: bool
    ) -> memoryview:
        """The batch as it is sent; -1 for all three numbers where the producer has none.

        The header is filled in where the batch stands: another call changes what this one
        answered.
        """
        frame = self.frame
        layout.CHECKED_HEADER.pack_into(
            frame,
            layout.UNCHECKED_HEADER.size,
            self.attributes | (layout.TRANSACTIONAL_BIT if is_transactional else 0),
            self.row_count - 1,
            self.first_timestamp,
            self.max_timestamp,
            producer_id,
            producer_epoch,
            base_sequence,
            self.row_count,
        )
        layout.UNCHECKED_HEADER.pack_into(
            frame,
            0,
            0,  # the broker assigns offsets
            self.size - layout.LENGTH_END,
            _ANY_LEADER_EPOCH,
            layout.MAGIC,
            crc32c(frame[layout.UNCHECKED_HEADER.size :]),
        )
        return frame


class _Rows(NamedTuple):
    """The columns that the kernel reads."""

    timestamp: Int64
    keys: Bytes
    key_start: Int32
    key_length: Int32
    values: Bytes
    value_start: Int32
    value_length: Int32
    headers: Bytes
    headers_start: Int32
    headers_length: Int32
    headers_count: Int32


def encode(
    timestamp: Int64,
    keys: Spans,
    values: Spans,
    headers: Spans,
    headers_count: Int32,
    *,
    max_batch_bytes: int,
    compression: Compression,
) -> list[EncodedBatch]:
    """Write rows as record batches, in order.

    Args:
        timestamp: int64 (n,), ms.
        keys: n spans.
        values: n spans.
        headers: n spans of header bytes without the count in front; see `encode_headers`.
        headers_count: int32 (n,), how many headers each span holds.
        max_batch_bytes: the most that a batch, with its header, takes before it is compressed;
            a record that is larger by itself gets a batch of its own.
        compression: of each batch.
    """
    rows = _Rows(
        timestamp,
        keys.buffer,
        keys.start,
        keys.length,
        values.buffer,
        values.start,
        values.length,
        headers.buffer,
        headers.start,
        headers.length,
        headers_count,
    )
    most_bytes = max_batch_bytes - layout.HEADER_BYTES
    room = _room(rows)
    # Two batches that follow one another have more than `most_bytes` of records together.
    most_batches = min(len(timestamp), 2 * (room // max(most_bytes, 1) + 1))
    out = np.empty(room + most_batches * layout.HEADER_BYTES, np.uint8)
    batches = np.empty(most_batches, _BATCH)
    with np.errstate(over="ignore"):  # the difference of hostile timestamps wraps around
        count = _write_batches(out, batches, most_bytes, *rows)
    view = out.data
    return [
        EncodedBatch(
            first_row=first_row,
            row_count=row_count,
            frame=_frame(compression, view, start, end),
            first_timestamp=int(timestamp[first_row]),
            max_timestamp=max_timestamp,
            attributes=compression.number,
        )
        for first_row, row_count, start, end, max_timestamp in batches[:count].tolist()
    ]


def _frame(compression: Compression, out: memoryview, start: int, end: int) -> memoryview:
    """Room for a header, then the records in `out[start:end]` as they are sent."""
    if compression is Compression.NONE:
        return out[start - layout.HEADER_BYTES : end]
    return memoryview(bytearray(layout.HEADER_BYTES) + compress(compression, out[start:end]))


def encode_headers(items: Sequence[tuple[str, bytes | None]]) -> bytes:
    """The bytes of a record's headers, without the count in front of them."""
    room = sum(len(key.encode()) + len(value or b"") + 2 * LONG_BYTES for key, value in items)
    out = np.empty(room, np.uint8)
    at = 0
    for key, value in items:
        for part in (key.encode(), value):
            at = write_varint(out, at, NULL if part is None else len(part))
            end = at + len(part or b"")
            out[at:end] = np.frombuffer(part or b"", np.uint8)
            at = end
    return out[:at].tobytes()


def _room(rows: _Rows) -> int:
    """No fewer bytes than the rows take."""
    lengths = (rows.key_length, rows.value_length, rows.headers_length)
    return layout.MOST_RECORD_OVERHEAD * len(rows.timestamp) + sum(
        int(np.maximum(length, 0).sum(dtype=np.int64)) for length in lengths
    )


@kernel
def _write_batches(
    out: Bytes,
    batches: NDArray[np.void],
    most_bytes: int,
    timestamp: Int64,
    keys: Bytes,
    key_start: Int32,
    key_length: Int32,
    values: Bytes,
    value_start: Int32,
    value_length: Int32,
    headers: Bytes,
    headers_start: Int32,
    headers_length: Int32,
    headers_count: Int32,
) -> int:
    """Write all rows to `out`, beginning a batch where the one before has `most_bytes`.

    The columns come one by one: passing arrays on per record would count their references up and
    down, which costs more than the writing.

    Returns:
        The number of batches, each behind room for its header.
    """
    count = 0
    at = 0
    first_row = 0
    for row in range(len(timestamp)):
        key_bytes, value_bytes = int(key_length[row]), int(value_length[row])
        headers_bytes, header_count = int(headers_length[row]), int(headers_count[row])
        fixed_size = 1 + _nullable_size(key_bytes) + _nullable_size(value_bytes)
        fixed_size += varint_size(header_count) + max(headers_bytes, 0)
        delta = timestamp[row] - timestamp[first_row]
        size = fixed_size + varint_size(delta) + varint_size(row - first_row)
        if row == 0 or at + varint_size(size) + size - batches[count - 1]["start"] > most_bytes:
            first_row = row
            at += layout.HEADER_BYTES
            delta -= delta
            size = fixed_size + 2
            batches[count]["first_row"] = row
            batches[count]["start"] = at
            batches[count]["max_timestamp"] = timestamp[row]
            count += 1
        at = write_varint(out, at, size)
        out[at] = 0  # no attributes are defined
        at = write_varint(out, at + 1, delta)
        at = write_varint(out, at, row - first_row)
        at = write_varint(out, at, key_bytes)
        at = copy_bytes(out, at, keys, int(key_start[row]), key_bytes)
        at = write_varint(out, at, value_bytes)
        at = copy_bytes(out, at, values, int(value_start[row]), value_bytes)
        at = write_varint(out, at, header_count)
        at = copy_bytes(out, at, headers, int(headers_start[row]), headers_bytes)
        batch = batches[count - 1]
        batch["row_count"] = row - first_row + 1
        batch["end"] = at
        batch["max_timestamp"] = max(batch["max_timestamp"], timestamp[row])
    return count


@kernel
def _nullable_size(length: int) -> int:
    """Bytes of a length and of what it measures."""
    return varint_size(length) + max(length, 0)
