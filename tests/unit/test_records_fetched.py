"""What a fetch response is cut into."""

import struct

import pytest

from stream_ewma.records import RunKind, split_runs
from tests.support.wire import Record, batch_bytes

TRANSACTIONAL = 0x10
CONTROL = 0x20


def batch(offset: int, count: int = 1, **fields: int) -> bytes:
    records = [Record(offset + i, 1000 + i, b"k", b"v" * 10) for i in range(count)]
    return batch_bytes(records, **fields)


def summary(data: bytes) -> list[tuple[RunKind, int, int]]:
    return [(run.kind, run.base_offset, run.next_offset) for run in split_runs(data)]


def test_nothing_holds_no_runs() -> None:
    assert split_runs(b"") == []


def test_batches_merge_into_one_run_whoever_wrote_them() -> None:
    data = batch(5, 3) + batch(8, producer_id=7) + batch(20, 2)  # a gap left by compaction
    (run,) = split_runs(data)
    assert (run.kind, run.base_offset, run.next_offset) == (RunKind.DATA, 5, 22)
    assert (run.start, run.end, run.record_count) == (0, len(data), 6)
    assert (run.producer_id, run.is_transactional, run.reason) == (-1, False, "")
    assert run.data is data


def test_a_memoryview_is_split_like_bytes() -> None:
    (run,) = split_runs(memoryview(batch(5, 3)))
    assert run.next_offset == 8


def test_a_batch_cut_short_is_left_out() -> None:
    whole, cut = batch(0), batch(1)
    for size in range(len(cut)):
        (run,) = split_runs(whole + cut[:size])
        assert run.end == len(whole)
    assert split_runs(cut[:-1]) == []


def test_control_batches_stand_alone() -> None:
    marker = TRANSACTIONAL | CONTROL
    data = batch(0) + batch(1, attributes=marker, producer_id=3)
    data += batch(2, attributes=marker, producer_id=3) + batch(3)
    assert summary(data) == [
        (RunKind.DATA, 0, 1),
        (RunKind.CONTROL, 1, 2),
        (RunKind.CONTROL, 2, 3),
        (RunKind.DATA, 3, 4),
    ]
    assert [run.producer_id for run in split_runs(data)] == [-1, 3, 3, -1]


def test_transactional_batches_merge_only_within_one_transaction() -> None:
    def of(offset: int, producer_id: int) -> bytes:
        return batch(offset, attributes=TRANSACTIONAL, producer_id=producer_id)

    runs = split_runs(of(0, 1) + of(1, 1) + of(2, 2) + batch(3) + of(4, 2))
    assert [(run.base_offset, run.producer_id, run.is_transactional) for run in runs] == [
        (0, 1, True),
        (2, 2, True),
        (3, -1, False),
        (4, 2, True),
    ]


def test_a_compacted_marker_still_parts_two_transactions_of_one_producer() -> None:
    first = batch(0, attributes=TRANSACTIONAL, producer_id=1)
    second = batch(2, attributes=TRANSACTIONAL, producer_id=1)
    assert [run.base_offset for run in split_runs(first + second)] == [0, 2]


def test_a_run_is_bounded() -> None:
    def large(offset: int) -> bytes:
        return batch_bytes([Record(offset, 0, None, bytes(3 << 20))])

    assert summary(large(0) + large(1) + batch(2) + large(3)) == [
        (RunKind.DATA, 0, 1),
        (RunKind.DATA, 1, 3),
        (RunKind.DATA, 3, 4),
    ]


def test_a_run_of_compressed_batches_is_bounded_by_its_records() -> None:
    def of(offset: int, count: int) -> bytes:  # the records themselves are not looked at here
        return batch(offset, last_offset=offset + count - 1, record_count=count, attributes=4)

    data = of(0, 40_000) + of(40_000, 25_536) + of(65_536, 1) + of(65_537, 100_000) + of(165_537, 1)
    assert [(run.base_offset, run.record_count) for run in split_runs(data)] == [
        (0, 65_536),
        (65_536, 1),
        (65_537, 100_000),
        (165_537, 1),
    ]


@pytest.mark.parametrize("magic", [0, 1, 3, 255])
def test_another_message_format_ends_the_runs(magic: int) -> None:
    old = bytearray(batch(4))
    old[16] = magic
    data = batch(0, 2) + bytes(old) + batch(9)
    readable, unreadable = split_runs(data)
    assert readable.next_offset == 2
    assert unreadable.kind is RunKind.UNREADABLE
    assert (unreadable.base_offset, unreadable.next_offset) == (4, 5)
    assert unreadable.start == readable.end
    assert unreadable.reason.startswith(f"message format version {magic} is not supported")


@pytest.mark.parametrize("length", [-1, 0, 48, -(2**31)])
def test_an_impossible_length_ends_the_runs(length: int) -> None:
    data = batch(0) + batch(1)[:8] + struct.pack(">i", length) + batch(1)[12:]
    unreadable = split_runs(data)[-1]
    assert (unreadable.kind, unreadable.base_offset) == (RunKind.UNREADABLE, 1)
    assert unreadable.reason == f"the batch's length of {length} bytes is impossible"


@pytest.mark.parametrize(
    ("at", "field"),
    [
        (0, struct.pack(">q", -1)),
        (0, struct.pack(">q", 2**63 - 1)),
        (23, struct.pack(">i", -1)),
        (57, struct.pack(">i", -1)),
    ],
)
def test_impossible_offsets_and_counts_end_the_runs(at: int, field: bytes) -> None:
    bad = batch(1)
    data = batch(0) + bad[:at] + field + bad[at + len(field) :]
    readable, unreadable = split_runs(data)
    assert unreadable.reason == "the batch's header has impossible offsets or counts"
    assert unreadable.next_offset == unreadable.base_offset + 1 > readable.next_offset
    assert unreadable.next_offset < 2**63  # offsets are int64 everywhere


def test_offsets_that_go_back_end_the_runs_and_the_position_does_not() -> None:
    readable, unreadable = split_runs(batch(5, 3) + batch(7))
    assert readable.next_offset == 8
    assert (unreadable.base_offset, unreadable.next_offset) == (8, 9)
    assert unreadable.reason == "the batch's offset 7 is not after the batch before it"
