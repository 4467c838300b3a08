"""Any records, both ways, judged by another client; any bytes, judged by plain Python."""

import struct

import numpy as np
from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder
from crc32c import crc32c
from hypothesis import given
from hypothesis import strategies as st

from stream_ewma.columns import Spans
from stream_ewma.records import (
    Compression,
    Decoded,
    RecordColumns,
    RunKind,
    decode,
    encode,
    encode_headers,
    split_runs,
)
from tests.support.wire import (
    MalformedError,
    Record,
    batch_bytes,
    headers_bytes,
    read_records,
)

HEADER_BYTES = 61

blobs = st.none() | st.binary(max_size=40) | st.binary(min_size=60, max_size=200)
headers = st.lists(st.tuples(st.text(max_size=5), blobs), max_size=3).map(tuple)
timestamps = st.integers(0, 2**41) | st.integers(1767225600000, 1767225700000)
records_of = st.lists(
    st.builds(Record, st.just(0), timestamps, blobs, blobs, headers), min_size=1, max_size=12
)
codecs = st.sampled_from(Compression)


def columns_as_records(columns: RecordColumns) -> list[tuple[object, ...]]:
    return [
        (
            int(columns.offset[i]),
            int(columns.timestamp[i]),
            columns.keys.item(i),
            columns.values.item(i),
            int(columns.headers_count[i]),
            columns.headers.item(i),
        )
        for i in range(len(columns))
    ]


def as_rows(records: list[Record], base_offset: int) -> list[tuple[object, ...]]:
    return [
        (base_offset + i, r.timestamp, r.key, r.value, len(r.headers), headers_bytes(r.headers))
        for i, r in enumerate(records)
    ]


def at_offset(batch: bytes, base_offset: int) -> bytes:
    return struct.pack(">q", base_offset) + batch[8:]


@given(st.lists(st.tuples(records_of, codecs), min_size=1, max_size=4), st.integers(0, 20))
def test_what_another_client_writes_is_read(
    batches: list[tuple[list[Record], Compression]], position: int
) -> None:
    data, expected, offset = b"", [], 0
    for records, codec in batches:
        builder = DefaultRecordBatchBuilder(2, codec.number, 0, -1, -1, -1, 1 << 20)
        for i, r in enumerate(records):
            assert builder.append(i, r.timestamp, r.key, r.value, list(r.headers)) is not None
        data += at_offset(bytes(builder.build()), offset)
        expected += as_rows(records, offset)
        offset += len(records)
    decoded = decode(split_runs(data), position)
    assert decoded.unreadable is None
    assert decoded.next_offset == max(offset, position)
    assert columns_as_records(decoded.records) == [row for row in expected if row[0] >= position]


@given(records_of, codecs, st.integers(70, 2000))
def test_what_is_written_is_read_by_another_client_and_by_us(
    records: list[Record], codec: Compression, max_batch_bytes: int
) -> None:
    batches = encode(
        np.array([r.timestamp for r in records], np.int64),
        Spans.of([r.key for r in records]),
        Spans.of([r.value for r in records]),
        Spans.of([encode_headers(r.headers) for r in records]),
        np.array([len(r.headers) for r in records], np.int32),
        max_batch_bytes=max_batch_bytes,
        compression=codec,
    )
    theirs, sent = [], b""
    for batch in batches:
        data = batch.to_bytes(5, 0, batch.first_row, True)
        other = DefaultRecordBatch(data)
        assert other.validate_crc()
        assert (other.first_timestamp, other.max_timestamp, other.next_offset) == (
            batch.first_timestamp,
            batch.max_timestamp,
            batch.record_count,
        )
        theirs += [Record(0, r.timestamp, r.key, r.value, tuple(r.headers)) for r in other]
        sent += at_offset(data, batch.first_row)
    assert theirs == records
    ours = decode(split_runs(sent), 0)
    assert ours.unreadable is None
    assert columns_as_records(ours.records) == as_rows(records, 0)


@st.composite
def damaged(draw: st.DrawFn, data: bytes) -> bytes:
    """`data` with some bytes changed, left out or put in."""
    out = bytearray(data)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(out)))
        new = draw(
            st.sampled_from([b"\x00", b"\x01", b"\x7f", b"\x80", b"\xff"]) | st.binary(max_size=4)
        )
        out[at : at + draw(st.integers(0, 2))] = new
    return bytes(out)


def inside(decoded: Decoded) -> bool:
    """Whether every span lies in its buffer."""
    columns = decoded.records
    return all(
        not len(spans)
        or bool(
            np.all(spans.length >= -1)
            and np.all(spans.start >= 0)
            and np.all(
                spans.start.astype(np.int64) + np.maximum(spans.length, 0) <= len(spans.buffer)
            )
        )
        for spans in (columns.keys, columns.values, columns.headers)
    )


@given(st.data(), records_of)
def test_damaged_records_are_judged_as_plain_python_judges_them(
    data: st.DataObject, records: list[Record]
) -> None:
    base_timestamp = records[0].timestamp
    placed = [Record(i, r.timestamp, r.key, r.value, r.headers) for i, r in enumerate(records)]
    payload = data.draw(damaged(batch_bytes(placed)[HEADER_BYTES:]))
    count = data.draw(st.sampled_from([len(records), len(records), len(records) - 1]))
    decoded = decode(split_runs(batch_bytes(placed, payload=payload, record_count=count)), 0)
    assert inside(decoded)
    try:
        expected = read_records(payload, count, 0, len(records) - 1, base_timestamp)
    except MalformedError:
        assert decoded.unreadable is not None
        assert len(decoded.records) == 0
    else:
        assert decoded.unreadable is None
        assert columns_as_records(decoded.records) == expected


def checksummed(data: bytes) -> bytes:
    """`data`, beginning with a batch, with that batch's checksum put right."""
    if len(data) < HEADER_BYTES:
        return data
    end = 12 + int.from_bytes(data[8:12], "big")
    return data[:17] + struct.pack(">I", crc32c(data[21:end])) + data[21:]


@given(st.data(), st.lists(st.tuples(records_of, codecs), max_size=3), st.integers(0, 50))
def test_any_bytes_are_split_and_read_without_harm(
    data: st.DataObject, batches: list[tuple[list[Record], Compression]], position: int
) -> None:
    response = data.draw(st.binary(max_size=80))
    for records, codec in reversed(batches):
        placed = [Record(i, r.timestamp, r.key, r.value, r.headers) for i, r in enumerate(records)]
        batch = at_offset(batch_bytes(placed), data.draw(st.integers(0, 30)))
        attributes = codec.number | data.draw(st.sampled_from([0, 0, 8, 0x10, 0x20, 0x40]))
        batch = batch[:21] + struct.pack(">h", attributes) + batch[23:]
        response = checksummed(data.draw(st.just(batch) | damaged(batch)) + response)
    runs = split_runs(response)
    reached, end = 0, 0
    for run in runs:
        assert run.start == end
        assert run.base_offset >= reached
        assert run.next_offset > run.base_offset
        assert "\n" not in run.reason
        assert (run.kind is RunKind.UNREADABLE) == bool(run.reason)
        reached, end = run.next_offset, run.end
    assert all(run.kind is not RunKind.UNREADABLE for run in runs[:-1])
    decoded = decode(runs, position, most_batch_bytes=1 << 16)
    assert inside(decoded)
    assert decoded.next_offset >= position
    assert np.all(decoded.records.offset >= position)
    assert np.all(decoded.records.offset < decoded.next_offset)
    if decoded.unreadable is None:
        assert decoded.next_offset == max(reached, position)
    else:
        assert "\n" not in decoded.unreadable.reason
        assert decoded.next_offset <= max(decoded.unreadable.offset, position)
