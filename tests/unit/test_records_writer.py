"""Columns written as record batches."""

import numpy as np
import pytest
from aiokafka.record.default_records import DefaultRecordBatch

from stream_ewma.columns import Spans, as_bytes
from stream_ewma.records import Compression, EncodedBatch, encode, encode_headers
from tests.support.wire import Headers, Record, batch_bytes, headers_bytes


def written(
    records: list[Record],
    max_batch_bytes: int = 1 << 20,
    compression: Compression = Compression.NONE,
) -> list[EncodedBatch]:
    return encode(
        np.array([r.timestamp for r in records], np.int64),
        Spans.of([r.key for r in records]),
        Spans.of([r.value for r in records]),
        Spans.of([headers_bytes(r.headers) for r in records]),
        np.array([len(r.headers) for r in records], np.int32),
        max_batch_bytes=max_batch_bytes,
        compression=compression,
    )


RECORDS = [
    Record(0, 1000, b"key", b"value"),
    Record(1, 900, None, b"x" * 70, (("trace", b"\x01"), ("null", None))),
    Record(2, 1100, b"", None),
    Record(3, 1050, b"k" * 9000, b""),
]


def test_no_rows_make_no_batch() -> None:
    assert written([]) == []


def test_a_batch_is_what_the_format_says() -> None:
    (batch,) = written(RECORDS)
    assert (batch.first_row, batch.row_count, batch.record_count) == (0, 4, 4)
    assert (batch.first_timestamp, batch.max_timestamp) == (1000, 1100)
    data = batch.to_bytes(-1, -1, -1, False)
    assert len(data) == batch.size
    expected = batch_bytes(RECORDS)
    # The leader epoch, which only a broker fills, is all that differs.
    assert data == expected[:12] + b"\xff\xff\xff\xff" + expected[16:]


@pytest.mark.parametrize("compression", Compression)
def test_another_client_reads_every_codec(compression: Compression) -> None:
    (encoded,) = written(RECORDS, compression=compression)
    batch = DefaultRecordBatch(encoded.to_bytes(-1, -1, -1, False))
    assert batch.validate_crc()
    assert batch.compression_type == compression.number == encoded.attributes
    assert [
        Record(r.offset, r.timestamp, r.key, r.value, tuple(r.headers)) for r in batch
    ] == RECORDS


def test_the_producers_state_is_filled_in_each_time() -> None:
    (encoded,) = written(RECORDS[:2])
    for producer in ((7, 3, 41, True), (8, 0, 0, False)):
        batch = DefaultRecordBatch(encoded.to_bytes(*producer))
        assert batch.validate_crc()
        assert (
            batch.producer_id,
            batch.producer_epoch,
            batch.base_sequence,
            batch.is_transactional,
        ) == producer


def test_batches_are_cut_at_the_most_bytes() -> None:
    records = [Record(i, 1000 + 10 * (i % 7), b"k", b"v" * (i % 50)) for i in range(500)]
    batches = written(records, max_batch_bytes=400)
    assert [b.first_row for b in batches] == [
        sum(before.row_count for before in batches[:i]) for i in range(len(batches))
    ]
    assert sum(b.row_count for b in batches) == 500
    for batch, following in zip(batches, [*batches[1:], None], strict=True):
        own = records[batch.first_row : batch.first_row + batch.row_count]
        rebased = [Record(i, r.timestamp, r.key, r.value) for i, r in enumerate(own)]
        assert batch.to_bytes(-1, -1, -1, False)[16:] == batch_bytes(rebased)[16:]
        assert batch.size <= 400
        if following is not None:  # one more record would have been too much
            extra = records[following.first_row]
            rebased.append(Record(len(own), extra.timestamp, extra.key, extra.value))
            assert len(batch_bytes(rebased)) > 400


def test_a_batch_may_have_exactly_the_most_bytes() -> None:
    whole = len(batch_bytes(RECORDS))
    assert [b.row_count for b in written(RECORDS, max_batch_bytes=whole)] == [4]
    assert [b.row_count for b in written(RECORDS, max_batch_bytes=whole - 1)] == [3, 1]


def test_a_record_larger_than_a_batch_gets_its_own() -> None:
    records = [Record(0, 0, b"a", b"1"), Record(1, 0, b"b", b"2" * 500), Record(2, 0, b"c", b"3")]
    assert [b.row_count for b in written(records, max_batch_bytes=100)] == [1, 1, 1]


def test_spans_may_lie_in_different_buffers_and_repeat() -> None:
    keys = Spans.of([b"aaa", b"b"]).take(np.array([1, 0, 1]))
    values = Spans(
        as_bytes(b"0123456789"), np.array([8, 0, 4], np.int32), np.array([2, 4, -1], np.int32)
    )
    none = np.zeros(3, np.int32)
    (encoded,) = encode(
        np.zeros(3, np.int64),
        keys,
        values,
        Spans(as_bytes(b""), none, none - 1),
        none,
        max_batch_bytes=1000,
        compression=Compression.NONE,
    )
    batch = DefaultRecordBatch(encoded.to_bytes(-1, -1, -1, False))
    assert [(r.key, r.value) for r in batch] == [(b"b", b"89"), (b"aaa", b"0123"), (b"b", None)]


def test_a_span_outside_its_buffer_is_refused() -> None:
    one = np.ones(1, np.int32)
    for start, length in ((1, 3), (-1, 1), (4, 1)):
        outside = Spans(as_bytes(b"abc"), start * one, length * one)
        with pytest.raises(IndexError, match="reaches outside its array"):
            encode(
                np.zeros(1, np.int64),
                outside,
                Spans.of([b""]),
                Spans.of([b""]),
                0 * one,
                max_batch_bytes=1000,
                compression=Compression.NONE,
            )


@pytest.mark.parametrize(
    "headers",
    [(), (("a", b"1"),), (("", b""), ("größe", None), ("a" * 100, b"b" * 10_000))],
)
def test_headers_are_encoded_as_the_format_says(headers: Headers) -> None:
    assert encode_headers(headers) == headers_bytes(headers)


def test_hostile_timestamps_wrap_around() -> None:
    records = [Record(0, -(2**63), None, b"a"), Record(1, 2**63 - 1, None, b"b")]
    (encoded,) = written(records)
    assert (encoded.first_timestamp, encoded.max_timestamp) == (-(2**63), 2**63 - 1)
