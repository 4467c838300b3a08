"""The judge notices what it is there for: on made-up sequences, rows and logs."""

import struct
from pathlib import Path

import pytest

from tests.support.cluster import Message

from .configurations import SORTED
from .fleet import Member
from .judge import Topics, dead_letter
from .matching import Sequence
from .oracle import PartitionOracle
from .rows import PlainRow
from .segments import zombie_writes
from .state import POSITION_KEY, marker_problems, row_problems

TOPICS = Topics("in", "out", "dead", "changelog")


def compared(expected: str, seen: str, *, repeats: bool = False) -> Sequence[str]:
    sequence = Sequence[str]("output 0", repeats)
    sequence.expect(list(expected))
    for offset, each in enumerate(seen):
        sequence.see(offset, each)
    sequence.compare(sequence.seen)
    return sequence


@pytest.mark.parametrize(
    ("seen", "count"),
    [
        ("abcde", 0),
        ("abc", 0),  # the others are still to come
        ("abccde", 1),
        ("abdce", 2),
        ("abde", 1),
        ("abe", 2),
        ("abxcde", 1),
        ("abcdex", 1),
    ],
)
def test_each_record_once_and_in_order(seen: str, count: int) -> None:
    assert compared("abcde", seen).difference_count == count


@pytest.mark.parametrize(
    ("seen", "count", "repeated", "replays"),
    [
        ("abcbcde", 0, 2, 1),
        ("abcdeabcde", 0, 5, 1),
        ("abccde", 0, 1, 1),
        ("abcxcde", 1, 1, 1),
        ("abce", 1, 0, 0),
    ],
)
def test_records_may_come_again_as_they_were(
    seen: str, count: int, repeated: int, replays: int
) -> None:
    sequence = compared("abcde", seen, repeats=True)

    assert sequence.difference_count == count
    assert (sequence.repeated, sequence.replays) == (repeated, replays)


def test_what_is_missing_at_the_end_is_pending() -> None:
    assert compared("abcde", "abc").pending == 2


def test_a_record_is_not_judged_before_its_input_is_known() -> None:
    sequence = Sequence[str]("output 0", repeats_allowed=False)
    sequence.see(0, "a")
    sequence.compare()
    assert sequence.undecided == 1
    sequence.expect(["a"])
    sequence.compare()
    assert (sequence.undecided, sequence.matched, sequence.difference_count) == (0, 1, 0)


def oracle_with(row: PlainRow) -> PartitionOracle:
    oracle = PartitionOracle(SORTED, TOPICS.input, 2)
    oracle.rows[b"k"] = row
    oracle.next_offset, oracle.event_time = 7, 99
    return oracle


def row_of(mean: float) -> PlainRow:
    row = PlainRow()
    row.mean, row.count = mean, 3
    return row


def test_rows_must_agree_to_the_last_bit() -> None:
    oracle = oracle_with(row_of(0.1))
    good = b"\x01" + struct.pack("<qd", 3, 0.1)

    assert not row_problems({b"\x01k": good}, oracle)
    assert row_problems({b"\x01k": b"\x01" + struct.pack("<qd", 3, 0.1 + 2**-56)}, oracle)
    assert row_problems({b"\x01k": b"\x02" + good[1:]}, oracle)
    assert row_problems({b"\x01k": None}, oracle)
    assert row_problems({}, oracle)
    assert row_problems({b"\x01k": good, b"\x01other": good}, oracle)


def test_a_row_that_holds_nothing_may_be_missing() -> None:
    oracle = oracle_with(PlainRow())

    assert not row_problems({}, oracle)
    assert not row_problems({b"\x01k": None}, oracle)
    assert not row_problems({b"\x01k": b"\x01" + bytes(16)}, oracle)


def test_the_marker_must_say_where_the_input_ends() -> None:
    oracle = oracle_with(PlainRow())
    good = b'{"next_offset":7,"topic":"in","partition":2,"event_time":99}'

    assert not marker_problems({POSITION_KEY: good}, TOPICS, oracle)
    assert marker_problems({POSITION_KEY: good.replace(b"7", b"6")}, TOPICS, oracle)
    assert marker_problems({POSITION_KEY: good.replace(b"99", b"98")}, TOPICS, oracle)
    assert len(marker_problems({}, TOPICS, oracle)) == 4


def test_a_dead_letter_without_its_headers_is_an_error() -> None:
    with pytest.raises(ValueError, match="headers"):
        dead_letter(Message(b"k", b"v", headers=(("n", b"1"),)))


def batch(base: int, producer: int, epoch: int, *, control: bool = False) -> bytes:
    attributes = 0x10 | (0x20 if control else 0)
    rest = struct.pack(">ibIhiqqqhii", 0, 2, 0, attributes, 0, 0, 0, producer, epoch, 0, 1)
    return struct.pack(">qi", base, len(rest)) + rest


@pytest.mark.parametrize(
    ("log", "signs"),
    [
        ([(1, 0), (1, 0), (1, 1), (1, 2)], 0),
        ([(1, 0), (2, 0), (2, 1)], 0),
        ([(1, 0), (1, 1), (1, 0)], 2),
        ([(1, 0), (2, 0), (1, 0)], 1),
    ],
)
def test_a_producer_that_writes_after_its_successor(
    log: list[tuple[int, int]], signs: int, tmp_path: Path
) -> None:
    data = b"".join(batch(n, *own) for n, own in enumerate(log))
    (tmp_path / "00000000000000000000.log").write_bytes(data + bytes(100))

    assert len(zombie_writes(tmp_path)) == signs


def test_the_end_of_a_transaction_may_come_from_its_coordinator(tmp_path: Path) -> None:
    data = batch(0, 1, 0) + batch(1, 1, 1, control=True) + batch(2, 1, 2)
    (tmp_path / "00000000000000000000.log").write_bytes(data)

    assert not zombie_writes(tmp_path)


def test_a_member_that_ends_by_itself_is_noticed(tmp_path: Path) -> None:
    member = Member(tmp_path, "member-0", {"kafka": {}})

    assert member.wait_exit() != 0
    assert member.has_given_up
    member.may_end = True
    assert not member.has_given_up


def test_a_member_that_was_killed_has_not_ended_by_itself(tmp_path: Path) -> None:
    member = Member(tmp_path, "member-0", {"kafka": {}})
    member.kill()

    assert not member.has_given_up
