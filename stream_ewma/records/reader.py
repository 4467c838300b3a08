"""Runs of record batches to columns."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_ewma.columns import NULL, Bytes, Int32, Int64, Spans, as_bytes
from stream_ewma.jit import kernel
from stream_ewma.records import layout
from stream_ewma.records.checksum import checksums
from stream_ewma.records.columns import RecordColumns
from stream_ewma.records.compression import Compression, decompress
from stream_ewma.records.fetched import BatchRun, RunKind
from stream_ewma.records.layout import BATCH
from stream_ewma.records.varint import INT_BYTES, LONG_BYTES, read_varint

MOST_BATCH_BYTES: Final = 256 << 20
"""What a batch may become by default when it is decompressed; brokers accept 1 MiB compressed."""

_ENOUGH_BYTES: Final = 1 << 30
"""A call stops once it has gathered so many bytes of records: spans are 31 bits wide."""

_WHOLE: Final = 0
_MALFORMED: Final = 1
_TOO_FEW: Final = 2
_TRAILING: Final = 3

_REASON: Final = {
    _MALFORMED: "record {record} of the batch is malformed",
    _TOO_FEW: "the batch ends after {record} of its {count} records",
    _TRAILING: "bytes follow the last of the batch's {count} records",
}


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A batch that cannot be read.

    Attributes:
        offset: the batch's base offset.
        reason: one line.
    """

    offset: int
    reason: str


@dataclass(frozen=True, slots=True)
class Decoded:
    """What was read of some runs.

    Attributes:
        records: the records from the position on, in log order.
        next_offset: the offset after the last batch that was read, the position where there was
            none; everything before it is in `records` or never will be.
        unreadable: the batch at which reading stopped; None where it did not.
    """

    records: RecordColumns
    next_offset: int
    unreadable: Unreadable | None


class _Body(NamedTuple):
    """The record bytes of some batches: `start` and `end` of the batches are spans of `data`."""

    data: bytes | memoryview | Bytes
    batches: NDArray[np.void]


class _Gathered(NamedTuple):
    """Bodies in log order, the offset after them, and the batch that stopped the gathering."""

    bodies: list[_Body]
    next_offset: int
    unreadable: Unreadable | None


class _Rows(NamedTuple):
    """The columns that the kernel fills."""

    offset: Int64
    timestamp: Int64
    key_start: Int32
    key_length: Int32
    value_start: Int32
    value_length: Int32
    headers_start: Int32
    headers_length: Int32
    headers_count: Int32


def decode(
    runs: Sequence[BatchRun], position: int, *, most_batch_bytes: int = MOST_BATCH_BYTES
) -> Decoded:
    """Check, decompress and read the data batches of `runs`, which follow one another.

    Spans of uncompressed batches out of one response index that response itself. A call stops
    early once it has 1 GiB of records (little may decompress to much): `next_offset` is then
    before the end of the runs, and the same runs have to be decoded again from there.

    Args:
        runs: of one partition, in log order; control runs yield no records.
        position: records before this offset are dropped, batches that end before it not read.
        most_batch_bytes: a batch that becomes larger by decompression is unreadable.
    """
    gathered = _gather(runs, position, most_batch_bytes)
    buffer, batches = _join(gathered.bodies)
    room = np.minimum(
        batches["record_count"], (batches["end"] - batches["start"]) // layout.LEAST_RECORD_BYTES
    )
    rows = _empty_rows(int(room.sum()))
    with np.errstate(over="ignore"):  # a hostile timestamp wraps around
        count, bad_batch, record, problem = _read_batches(buffer, batches, position, *rows)
    next_offset, unreadable = gathered.next_offset, gathered.unreadable
    if problem != _WHOLE:
        batch = batches[bad_batch]
        reason = _REASON[problem].format(record=record, count=int(batch["record_count"]))
        unreadable = Unreadable(int(batch["base_offset"]), reason)
        next_offset = _next_offset(batches[bad_batch - 1]) if bad_batch > 0 else position
    return Decoded(_columns(buffer, rows, count), next_offset, unreadable)


def _gather(runs: Sequence[BatchRun], position: int, most_batch_bytes: int) -> _Gathered:
    """Collect the record bytes of batches until the first that is unreadable."""
    bodies: list[_Body] = []
    next_offset = position
    body_bytes = 0
    for run in runs:
        if run.kind is RunKind.UNREADABLE:
            return _Gathered(bodies, next_offset, Unreadable(run.base_offset, run.reason))
        if run.next_offset <= position:
            continue
        if run.kind is RunKind.DATA:
            for body in _bodies(run, position, most_batch_bytes):
                if isinstance(body, Unreadable):
                    return _Gathered(bodies, next_offset, body)
                bodies.append(body)
                next_offset = _next_offset(body.batches[-1])
                body_bytes += int(body.batches[-1]["end"] - body.batches[0]["start"])
                if body_bytes >= _ENOUGH_BYTES:
                    return _Gathered(bodies, next_offset, None)
        next_offset = run.next_offset
    return _Gathered(bodies, next_offset, None)


def _bodies(run: BatchRun, position: int, most_batch_bytes: int) -> Iterator[_Body | Unreadable]:
    """The record bytes of a run's batches that reach `position`.

    What comes after an unreadable batch is not to be used.
    """
    last_offset = run.batches["base_offset"] + run.batches["last_offset_delta"]
    batches = run.batches[np.count_nonzero(last_offset < position) :].copy()
    sound, reason = _count_sound(run.data, batches)
    batches["start"] += layout.HEADER_BYTES
    codecs = batches["attributes"] & layout.CODEC_BITS
    if codecs.any():
        view = memoryview(run.data)
        for i in range(sound):
            yield _decompressed(view, batches[i : i + 1], int(codecs[i]), most_batch_bytes)
    elif sound:
        yield _Body(run.data, batches[:sound])
    if reason:
        yield Unreadable(int(batches["base_offset"][sound]), reason)


def _next_offset(batch: np.void) -> int:
    return int(batch["base_offset"] + batch["last_offset_delta"]) + 1


def _count_sound(data: bytes | memoryview, batches: NDArray[np.void]) -> tuple[int, str]:
    """How many batches there are before the first with a wrong CRC, and what is wrong with it."""
    actual, stated = checksums(data, batches), batches["crc"]
    wrong = np.flatnonzero(actual != stated)
    if len(wrong) == 0:
        return len(batches), ""
    bad = int(wrong[0])
    return bad, f"the batch's CRC-32C is {actual[bad]:#010x}, its header says {stated[bad]:#010x}"


def _decompressed(
    data: memoryview, batch: NDArray[np.void], codec: int, most_bytes: int
) -> _Body | Unreadable:
    """The body of one batch, out of a run in which any batch is compressed."""
    start, end = int(batch["start"][0]), int(batch["end"][0])
    try:
        compression = Compression.of(codec)
        if compression is Compression.NONE or start == end:
            return _Body(data, batch)
        body = decompress(compression, data[start:end], most_bytes)
    except ValueError as error:
        return Unreadable(int(batch["base_offset"][0]), str(error))
    batch["start"] = 0
    batch["end"] = len(body)
    return _Body(body, batch)


def _join(bodies: list[_Body]) -> tuple[Bytes, NDArray[np.void]]:
    """All batches over one buffer: without a copy where they are in the same one already."""
    if not bodies:
        return as_bytes(b""), np.empty(0, BATCH)
    batches = np.concatenate([body.batches for body in bodies])
    if all(body.data is bodies[0].data for body in bodies):
        return as_bytes(bodies[0].data), batches
    pieces = []
    size = 0
    row = 0
    for data, own in bodies:
        start, end = int(own["start"][0]), int(own["end"][-1])
        pieces.append(as_bytes(data)[start:end])
        moved = batches[row : row + len(own)]
        moved["start"] += size - start
        moved["end"] += size - start
        size += end - start
        row += len(own)
    return as_bytes(np.concatenate(pieces)), batches


def _empty_rows(count: int) -> _Rows:
    longs = np.empty((2, count), np.int64)
    ints = np.empty((7, count), np.int32)
    return _Rows(*longs, *ints)


def _columns(buffer: Bytes, rows: _Rows, count: int) -> RecordColumns:
    return RecordColumns(
        offset=rows.offset[:count],
        timestamp=rows.timestamp[:count],
        keys=Spans(buffer, rows.key_start[:count], rows.key_length[:count]),
        values=Spans(buffer, rows.value_start[:count], rows.value_length[:count]),
        headers=Spans(buffer, rows.headers_start[:count], rows.headers_length[:count]),
        headers_count=rows.headers_count[:count],
    )


@kernel
def _read_batches(
    buffer: Bytes,
    batches: NDArray[np.void],
    position: int,
    offset: Int64,
    timestamp: Int64,
    key_start: Int32,
    key_length: Int32,
    value_start: Int32,
    value_length: Int32,
    headers_start: Int32,
    headers_length: Int32,
    headers_count: Int32,
) -> tuple[int, int, int, int]:
    """Read all records of `batches` from offset `position` on into the columns.

    One long function with its columns one by one: passing arrays on per record would count their
    references up and down, at 60 ns a record instead of 12. A malformed part makes all positions
    after it -1, so that one check at a record's end finds it, before anything is noted.

    Returns:
        The number of rows of the batches that are whole; the first batch that is not, the number
        of records before its fault, and the fault.
    """
    row = 0
    for i in range(len(batches)):
        batch = batches[i]
        at, batch_end = batch["start"], batch["end"]
        base_offset, last_delta = batch["base_offset"], batch["last_offset_delta"]
        base_timestamp, max_timestamp = batch["base_timestamp"], batch["max_timestamp"]
        is_append_time = batch["attributes"] & layout.LOG_APPEND_TIME_BIT != 0
        first_row = row
        for record in range(batch["record_count"]):
            if at == batch_end:
                return first_row, i, record, _TOO_FEW
            at, length = _read_span(buffer, at, batch_end)
            if length <= 0:
                return first_row, i, record, _MALFORMED
            end = at + length
            # The byte that is skipped holds the record's attributes: none are defined.
            timestamp_delta, at = read_varint(buffer, at + 1, end, LONG_BYTES)
            offset_delta, at = read_varint(buffer, at, end, INT_BYTES)
            key_at, key_bytes = _read_span(buffer, at, end)
            value_at, value_bytes = _read_span(buffer, key_at + max(key_bytes, 0), end)
            count, headers_at = read_varint(buffer, value_at + max(value_bytes, 0), end, INT_BYTES)
            at = headers_at if count == 0 else _skip_headers(buffer, headers_at, end, count)
            if at != end or offset_delta < 0 or offset_delta > last_delta:
                return first_row, i, record, _MALFORMED
            if base_offset + offset_delta < position:
                continue
            offset[row] = base_offset + offset_delta
            timestamp[row] = max_timestamp if is_append_time else base_timestamp + timestamp_delta
            key_start[row], key_length[row] = key_at, key_bytes
            value_start[row], value_length[row] = value_at, value_bytes
            headers_start[row], headers_length[row] = headers_at, end - headers_at
            headers_count[row] = count
            row += 1
        if at != batch_end:
            return first_row, i, 0, _TRAILING
    return row, len(batches), 0, _WHOLE


@kernel
def _read_span(buffer: Bytes, at: int, end: int) -> tuple[int, int]:
    """Where the nullable bytes at `at` begin and their length; -1 and 0 if they are malformed."""
    length, start = read_varint(buffer, at, end, INT_BYTES)
    if length < NULL or length > end - start:
        return -1, 0
    return start, length


@kernel
def _skip_headers(buffer: Bytes, at: int, end: int, count: int) -> int:
    """The position after `count` headers, or -1 where they are malformed."""
    if count < 0:
        return -1
    for _ in range(count):
        key_at, key_bytes = _read_span(buffer, at, end)
        value_at, value_bytes = _read_span(buffer, key_at + key_bytes, end)
        if value_at < 0 or key_bytes < 0:
            return -1
        at = value_at + max(value_bytes, 0)
    return at
