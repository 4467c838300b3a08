"""What is read of runs, and what is said of those that cannot be read."""

import struct

import numpy as np
import pytest
from crc32c import crc32c

from stream_ewma.records import Compression, Decoded, decode, reader, split_runs
from stream_ewma.records.compression import compress
from tests.support.wire import Record, batch_bytes, headers_bytes, record_bytes

LOG_APPEND_TIME = 0x08
CONTROL = 0x20
DELETE_HORIZON = 0x40


def rows(decoded: Decoded) -> list[tuple[int, int, bytes | None, bytes | None]]:
    records = decoded.records
    return [
        (
            int(records.offset[i]),
            int(records.timestamp[i]),
            records.keys.item(i),
            records.values.item(i),
        )
        for i in range(len(records))
    ]


def some(first: int, count: int) -> list[Record]:
    return [Record(first + i, 1000 + i, b"k%d" % i, b"value-%d" % i) for i in range(count)]


def compressed(records: list[Record], codec: Compression) -> bytes:
    first = records[0]
    plain = b"".join(record_bytes(r, first.offset, first.timestamp) for r in records)
    payload = bytes(compress(codec, memoryview(plain)))
    return batch_bytes(records, attributes=codec.number, payload=payload)


def offsets(decoded: Decoded) -> list[int]:
    return decoded.records.offset.tolist()


def test_no_runs_hold_no_records() -> None:
    decoded = decode([], 5)
    assert (len(decoded.records), decoded.next_offset, decoded.unreadable) == (0, 5, None)


def test_all_fields_of_a_record_are_read() -> None:
    headers = (("trace", b"\x01\x02"), ("empty", b""), ("null", None))
    data = batch_bytes(
        [
            Record(7, 1000, b"key", b"value"),
            Record(8, 999, None, b"x"),
            Record(9, 2000, b"", None, headers),
        ]
    )
    decoded = decode(split_runs(data), 0)
    assert rows(decoded) == [
        (7, 1000, b"key", b"value"),
        (8, 999, None, b"x"),
        (9, 2000, b"", None),
    ]
    assert decoded.records.headers_count.tolist() == [0, 0, 3]
    assert decoded.records.headers.item(0) == b""
    assert decoded.records.headers.item(2) == headers_bytes(headers)
    assert (decoded.next_offset, decoded.unreadable) == (10, None)


def test_rows_can_be_taken() -> None:
    records = decode(split_runs(batch_bytes(some(0, 5))), 0).records.take(np.array([3, 1]))
    assert len(records) == 2
    assert records.offset.tolist() == [3, 1]
    assert records.values.item(0) == b"value-3"
    assert records.headers.item(1) == b""
    assert records.headers_count.tolist() == [0, 0]


def test_uncompressed_batches_of_one_response_are_not_copied() -> None:
    data = batch_bytes(some(0, 3)) + batch_bytes(some(3, 2), attributes=CONTROL)
    data += batch_bytes(some(5, 2))
    runs = split_runs(data)
    decoded = decode(runs, 0)
    assert offsets(decoded) == [0, 1, 2, 5, 6]
    assert len(runs) == 3
    assert np.shares_memory(decoded.records.values.buffer, np.frombuffer(data, np.uint8))


def test_runs_of_several_responses_are_put_together() -> None:
    first = split_runs(batch_bytes(some(0, 3)) + batch_bytes(some(3, 2)))
    second = split_runs(
        b"".join(
            compressed(some(i, 2), codec)
            for i, codec in ((5, Compression.ZSTD), (7, Compression.NONE), (9, Compression.LZ4))
        )
    )
    third = split_runs(memoryview(batch_bytes(some(11, 1))))
    decoded = decode([*first, *second, *third], 1)
    assert offsets(decoded) == list(range(1, 12))
    assert [row[3] for row in rows(decoded)[-3:]] == [b"value-0", b"value-1", b"value-0"]
    assert decoded.next_offset == 12


@pytest.mark.parametrize("codec", Compression)
def test_every_codec_is_read(codec: Compression) -> None:
    decoded = decode(split_runs(compressed(some(3, 50), codec)), 0)
    assert decoded.unreadable is None
    assert rows(decoded) == [(r.offset, r.timestamp, r.key, r.value) for r in some(3, 50)]


def test_records_before_the_position_are_dropped() -> None:
    data = batch_bytes(some(0, 4)) + batch_bytes(some(4, 4))
    assert offsets(decode(split_runs(data), 2)) == [2, 3, 4, 5, 6, 7]
    assert offsets(decode(split_runs(data), 6)) == [6, 7]
    decoded = decode(split_runs(data), 8)
    assert (offsets(decoded), decoded.next_offset) == ([], 8)


def test_batches_before_the_position_are_not_even_checked() -> None:
    damaged = bytearray(batch_bytes(some(0, 4)))
    damaged[-1] ^= 1
    decoded = decode(split_runs(bytes(damaged) + batch_bytes(some(4, 4))), 4)
    assert (offsets(decoded), decoded.unreadable) == ([4, 5, 6, 7], None)


def test_log_append_time_replaces_the_records_own() -> None:
    data = batch_bytes(some(0, 3), attributes=LOG_APPEND_TIME, max_timestamp=5555)
    assert decode(split_runs(data), 0).records.timestamp.tolist() == [5555] * 3


def test_a_delete_horizon_is_the_base_of_the_timestamps() -> None:
    data = batch_bytes(some(0, 3), attributes=DELETE_HORIZON, base_timestamp=90_000)
    assert decode(split_runs(data), 0).records.timestamp.tolist() == [1000, 1001, 1002]


def test_gaps_and_empty_batches_of_compaction_are_passed() -> None:
    kept = [Record(3, 1, b"a", b"x"), Record(6, 2, b"b", b"y")]
    data = batch_bytes(kept, base_offset=1, last_offset=9)
    data += batch_bytes([], base_offset=10, last_offset=14, attributes=Compression.ZSTD.number)
    decoded = decode(split_runs(data), 0)
    assert offsets(decoded) == [3, 6]
    assert (decoded.next_offset, decoded.unreadable) == (15, None)


def test_control_batches_hold_no_records() -> None:
    decoded = decode(split_runs(batch_bytes(some(4, 1), attributes=CONTROL)), 0)
    assert (offsets(decoded), decoded.next_offset) == ([], 5)


def test_a_wrong_checksum_stops_before_its_batch() -> None:
    second = bytearray(batch_bytes(some(3, 2)))
    second[-1] ^= 1
    data = batch_bytes(some(0, 3)) + bytes(second) + batch_bytes(some(5, 2))
    decoded = decode(split_runs(data), 1)
    assert offsets(decoded) == [1, 2]
    assert decoded.next_offset == 3
    assert decoded.unreadable is not None
    assert decoded.unreadable.offset == 3
    assert decoded.unreadable.reason == (
        f"the batch's CRC-32C is {crc32c(bytes(second[21:])):#010x}, "
        f"its header says {struct.unpack_from('>I', second, 17)[0]:#010x}"
    )


def test_the_position_never_follows_the_offset_of_an_unreadable_batch() -> None:
    # A batch's base offset is not covered by its checksum: it may be what is damaged.
    damaged = batch_bytes(some(2**50, 2), payload=b"")
    decoded = decode(split_runs(batch_bytes(some(0, 3)) + damaged), 0)
    assert decoded.next_offset == 3
    assert decoded.unreadable is not None
    assert decoded.unreadable.offset == 2**50
    old = damaged[:16] + b"\x01" + damaged[17:]
    assert decode(split_runs(batch_bytes(some(0, 3)) + old), 0).next_offset == 3


def test_a_position_inside_an_unreadable_batch_stays() -> None:
    damaged = bytearray(batch_bytes(some(0, 4)))
    damaged[-1] ^= 1
    decoded = decode(split_runs(bytes(damaged)), 2)
    assert decoded.next_offset == 2
    assert decoded.unreadable is not None
    assert decoded.unreadable.offset == 0


def test_an_unreadable_run_is_reported_even_before_the_position() -> None:
    old = bytearray(batch_bytes(some(3, 1)))
    old[16] = 1
    decoded = decode(split_runs(batch_bytes(some(0, 3)) + bytes(old)), 5)
    assert decoded.next_offset == 5
    assert decoded.unreadable is not None
    assert decoded.unreadable.offset == 3
    assert decoded.unreadable.reason.startswith("message format version 1")


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        (1, "gzip data is corrupt"),
        (2, "snappy data is corrupt"),
        (3, "lz4 data is corrupt"),
        (4, "zstd data is corrupt"),
        (5, "compression codec 5 is unknown"),
        (7, "compression codec 7 is unknown"),
    ],
)
def test_what_cannot_be_decompressed_is_reported(attributes: int, reason: str) -> None:
    data = batch_bytes(some(0, 2)) + batch_bytes(some(2, 2), attributes=attributes)
    decoded = decode(split_runs(data), 0)
    assert (offsets(decoded), decoded.next_offset) == ([0, 1], 2)
    assert decoded.unreadable is not None
    assert decoded.unreadable.reason.startswith(reason)


def test_a_batch_that_decompresses_to_too_much_is_reported() -> None:
    runs = split_runs(compressed(some(0, 1000), Compression.ZSTD))
    decoded = decode(runs, 0, most_batch_bytes=1000)
    assert decoded.unreadable is not None
    assert "exceeds 1000 bytes" in decoded.unreadable.reason
    assert len(decode(runs, 0, most_batch_bytes=1 << 20).records) == 1000


def test_a_call_stops_early_at_much_data_and_the_next_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reader, "_ENOUGH_BYTES", 100)
    runs = split_runs(b"".join(compressed(some(10 * i, 10), Compression.GZIP) for i in range(3)))
    position, seen = 0, []
    for _ in range(3):
        decoded = decode(runs, position)
        assert decoded.next_offset == position + 10
        seen += offsets(decoded)
        position = decoded.next_offset
    assert seen == list(range(30))


BODY = record_bytes(Record(0, 0, b"k", b"v"), 0, 0)[1:]
"""attributes, timestamp delta, offset delta, 2 bytes of key, 2 of value, header count."""


@pytest.mark.parametrize(
    "payload",
    [
        b"\x01" + BODY,  # a length of -1
        b"\x00" + BODY,
        b"\x12" + BODY,  # beyond the batch
        b"\x0e" + BODY,  # short of the record's end
        b"\x80\x80\x80\x80\x80\x00" + BODY,
        b"\x10\x00\x00\x02\x02k\x02v\x00",  # an offset delta beyond the last
        b"\x10\x00\x00\x01\x02k\x02v\x00",
        b"\x10\x00\x00\x00\x03k\x02v\x00",  # a key's length of -2
        b"\x10\x00\x00\x00\x0ek\x02v\x00",
        b"\x10\x00\x00\x00\x02k\x03v\x00",
        b"\x10\x00\x00\x00\x02k\x06v\x00",
        b"\x10\x00\x00\x00\x02k\x02v\x01",  # -1 headers
        b"\x10\x00\x00\x00\x02k\x02v\x02",  # a header that is not there
        b"\x10\x00\x00\x00\x02k\x02v\x80",
        b"\x14\x00\x00\x00\x02k\x02v\x02\x01\x00",  # a header's key of length -1
        b"\x14\x00\x00\x00\x02k\x02v\x02\x00\x03",
        b"\x14\x00\x00\x00\x02k\x02v\x02\x02\x00",
        b"\x14\x00\x00\x00\x02k\x02v\x02\x00\x02",
        b"\x12\x00\x00\x00\x02k\x02v\x02\x01",  # the same, its own byte read again as the value's
        b"\x18\x00\x00\x00\x02k\x02v\xfe\xff\xff\xff\x0f",  # 2**31 - 1 headers: must not be tried
        b"\x12\x00\x00\x00\x02k\x02v\x00\x00",  # a byte after the headers
    ],
)
def test_a_malformed_record_makes_its_batch_unreadable(payload: bytes) -> None:
    data = batch_bytes(some(0, 2)) + batch_bytes([Record(2, 0, b"", b"")], payload=payload)
    decoded = decode(split_runs(data), 0)
    assert (offsets(decoded), decoded.next_offset) == ([0, 1], 2)
    assert decoded.unreadable is not None
    assert decoded.unreadable.offset == 2
    assert decoded.unreadable.reason == "record 0 of the batch is malformed"


@pytest.mark.parametrize(
    ("count", "reason"),
    [
        (2, "bytes follow the last of the batch's 2 records"),
        (0, "bytes follow the last of the batch's 0 records"),
        (4, "the batch ends after 3 of its 4 records"),
        (2**31 - 1, "the batch ends after 3 of its 2147483647 records"),
    ],
)
def test_a_record_count_that_does_not_match_is_reported(count: int, reason: str) -> None:
    decoded = decode(split_runs(batch_bytes(some(0, 3), record_count=count)), 0)
    assert offsets(decoded) == []
    assert decoded.unreadable is not None
    assert decoded.unreadable.reason == reason


def test_hostile_timestamps_wrap_around() -> None:
    payload = record_bytes(Record(0, 2**63 - 1, None, b""), 0, 0)
    data = batch_bytes([Record(0, 0, None, b"")], base_timestamp=2**63 - 1, payload=payload)
    assert decode(split_runs(data), 0).records.timestamp.tolist() == [-2]
