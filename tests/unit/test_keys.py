"""The key table: one slot per key, for ever, however it grows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_ewma.columns import Spans, as_bytes
from stream_ewma.engine.hashing import siphash
from stream_ewma.engine.index import NO_SLOT, find
from stream_ewma.engine.keys import KeyTable

MANY = 10**9


def found(table: KeyTable, keys: list[bytes | None], insert: int = 1) -> list[int]:
    return table.find(Spans.of(keys), np.full(len(keys), insert, np.uint8)).slots.tolist()


def test_numbers_keys_in_the_order_they_are_first_seen() -> None:
    table = KeyTable((1, 2), MANY)

    assert found(table, [b"a", b"b", b"a", b"", b"b", b"c"]) == [0, 1, 0, 2, 1, 3]
    assert [table.key(slot) for slot in range(4)] == [b"a", b"b", b"", b"c"]


def test_null_keys_have_no_slot() -> None:
    table = KeyTable((1, 2), MANY)

    assert found(table, [None, b"a", None]) == [NO_SLOT, 0, NO_SLOT]


def test_unknown_keys_are_inserted_only_where_asked() -> None:
    table = KeyTable((1, 2), MANY)
    keys = Spans.of([b"a", b"b", b"a", b"b"])

    answer = table.find(keys, np.array([0, 0, 1, 0], np.uint8))

    assert answer.slots.tolist() == [NO_SLOT, NO_SLOT, 0, NO_SLOT]
    assert answer.new.tolist() == [0]


def test_says_which_slots_are_new() -> None:
    table = KeyTable((1, 2), MANY)
    found(table, [b"a", b"b"])

    answer = table.find(Spans.of([b"b", b"c", b"d"]), np.ones(3, np.uint8))

    assert answer.new.tolist() == [2, 3]


def test_takes_no_more_keys_than_its_bound() -> None:
    table = KeyTable((1, 2), 2)

    assert found(table, [b"a", b"b", b"c", b"a"]) == [0, 1, NO_SLOT, 0]
    assert len(table) == 2


def test_keys_that_share_a_beginning_or_an_end_are_told_apart() -> None:
    table = KeyTable((1, 2), MANY)
    keys: list[bytes | None] = [
        b"x" * n + tail for n in range(20) for tail in (b"", b"a", b"b", b"\x00", b"aaaaaaaa")
    ]
    distinct = list(dict.fromkeys(keys))

    slots = found(table, keys)

    assert slots == [distinct.index(key) for key in keys]
    assert found(table, keys) == slots


@pytest.mark.parametrize("batch", [1, 7, 1000, 20_000])
def test_slots_stay_while_the_table_grows(batch: int) -> None:
    table = KeyTable((1, 2), MANY)
    count = 600 if batch == 1 else 20_000
    keys: list[bytes | None] = [b"sensor-%d" % i for i in range(count)]

    for first in range(0, count, batch):
        part = keys[first : first + batch]
        assert found(table, part) == list(range(first, first + len(part)))

    assert found(table, keys) == list(range(count))
    assert found(table, keys, insert=0) == list(range(count))
    assert all(table.key(slot) == keys[slot] for slot in range(0, count, 97))


def test_an_index_left_half_moved_is_finished_by_later_calls() -> None:
    table = KeyTable((1, 2), MANY)
    keys: list[bytes | None] = [b"%d" % i for i in range(720)]
    found(table, keys)  # the index has just been replaced: most entries stand in the old one
    before = table.nbytes

    assert found(table, keys) == list(range(720))
    assert found(table, keys) == list(range(720))
    assert table.nbytes < before


def test_long_keys_make_the_arena_grow_as_needed() -> None:
    table = KeyTable((1, 2), MANY)
    keys: list[bytes | None] = [b"k", b"x" * 100_000, b"y" * 300_000]

    assert found(table, keys) == [0, 1, 2]
    assert table.key(2) == b"y" * 300_000


@given(st.lists(st.lists(st.one_of(st.none(), st.binary(max_size=12)), max_size=40), max_size=8))
def test_agrees_with_a_dictionary(batches: list[list[bytes | None]]) -> None:
    table = KeyTable((5, 6), MANY)
    model: dict[bytes, int] = {}

    for batch in batches:
        expected = [NO_SLOT if key is None else model.setdefault(key, len(model)) for key in batch]
        assert found(table, batch) == expected

    assert len(table) == len(model)


@pytest.mark.parametrize(
    ("other", "key"),
    [(b"ab", b"abc"), (b"abc", b"abd"), (b"12345678x", b"12345679x"), (b"12345678x", b"12345678y")],
)
def test_keys_whose_hashes_agree_are_told_apart_by_their_bytes(other: bytes, key: bytes) -> None:
    tag = np.uint64(2)
    index = np.zeros(4, np.uint64)
    # Both hashes are `tag`: slot 0 holds `other` in the bucket where the search for `key` begins.
    index[2] = (tag << np.uint64(32)) | np.uint64(1)
    starts, lengths = np.zeros(1, np.int64), np.array([len(other)], np.int32)

    def search(wanted: bytes) -> tuple[int, int]:
        slot, bucket = find(
            index, tag, as_bytes(wanted), 0, len(wanted), as_bytes(other), starts, lengths
        )
        return int(slot), int(bucket)

    assert search(other) == (0, 2)
    assert search(key) == (NO_SLOT, 3)


@pytest.mark.parametrize("other", [b"abc", b"ab"])
def test_a_key_behind_another_of_its_hash_is_found(other: bytes) -> None:
    seed = (1, 2)
    table = KeyTable(seed, MANY)
    found(table, [other])
    with np.errstate(over="ignore"):
        hashed = siphash(as_bytes(b"abd"), 0, 3, np.uint64(seed[0]), np.uint64(seed[1]))
    tag = hashed >> np.uint64(32)
    table._index[:] = 0
    table._index[tag & np.uint64(len(table._index) - 1)] = (tag << np.uint64(32)) | np.uint64(1)

    assert found(table, [b"abd", b"abd"]) == [1, 1]
    assert found(table, [b"abd"], insert=0) == [1]


@pytest.mark.parametrize("rows", [255, 256, 257, 1000])
def test_blocks_of_rows_join_without_a_seam(rows: int) -> None:
    table = KeyTable((1, 2), MANY)
    keys: list[bytes | None] = [None if i % 5 == 0 else b"%d" % (i % 300) for i in range(rows)]
    model: dict[bytes, int] = {}
    expected = [NO_SLOT if key is None else model.setdefault(key, len(model)) for key in keys]

    assert found(table, keys) == expected
    assert found(table, keys) == expected


def released(table: KeyTable, *slots: int) -> None:
    table.release(np.array(slots, np.int32))


def test_a_released_key_is_unknown_and_its_slot_goes_to_the_next_new_key() -> None:
    table = KeyTable((1, 2), MANY)
    found(table, [b"a", b"b", b"c", b"d"])

    released(table, 1, 2)

    assert len(table) == 2
    assert table.slots.tolist() == [0, 3]
    assert found(table, [b"a", b"b", b"c", b"d"], insert=0) == [0, NO_SLOT, NO_SLOT, 3]
    assert found(table, [b"x", b"b", b"y"]) == [2, 1, 4]
    assert [table.key(slot) for slot in range(5)] == [b"a", b"b", b"x", b"d", b"y"]


def test_a_released_key_makes_room_below_the_bound() -> None:
    table = KeyTable((1, 2), 2)
    found(table, [b"a", b"b"])

    released(table, 0)

    assert found(table, [b"c", b"d", b"b"]) == [0, NO_SLOT, 1]


@pytest.mark.parametrize("slot", [-1, 1, 2, 1000])
def test_a_slot_without_a_key_cannot_be_released(slot: int) -> None:
    table = KeyTable((1, 2), MANY)
    found(table, [b"a", b"b"])
    released(table, 1)

    with pytest.raises(IndexError, match=f"slot {slot} has no key"):
        released(table, slot)

    assert found(table, [b"a"], insert=0) == [0]


def test_a_key_can_be_released_while_the_index_is_half_moved() -> None:
    table = KeyTable((1, 2), MANY)
    keys: list[bytes | None] = [b"%d" % i for i in range(720)]
    found(table, keys)  # the index has just been replaced: most entries stand in the old one
    gone = set(range(0, 720, 2))

    released(table, *gone)

    known = [NO_SLOT if slot in gone else slot for slot in range(720)]
    assert found(table, keys, insert=0) == known
    assert found(table, keys, insert=0) == known  # moved by now
    assert len(table) == np.count_nonzero(table._index) == 360
    assert sorted(found(table, keys)) == list(range(720))


def test_a_search_for_the_hash_of_struck_out_entries_goes_past_them() -> None:
    index = np.full(4, np.uint64(0xFFFFFFFF00000000))
    index[1] = 0
    tag = np.uint64(0xFFFFFFFF)

    slot, bucket = find(
        index,
        tag,
        as_bytes(b"a"),
        0,
        1,
        as_bytes(b""),
        np.zeros(0, np.int64),
        np.zeros(0, np.int32),
    )

    assert (slot, bucket) == (NO_SLOT, 1)


def test_however_many_keys_come_and_go_the_table_stays_as_it_was() -> None:
    table = KeyTable((1, 2), MANY)
    sizes = set()

    for turn in range(40):
        keys: list[bytes | None] = [b"%d-" % i + b"x" * (i % 90) for i in range(turn, turn + 500)]
        slots = found(table, keys)
        assert max(slots) < 500
        released(table, *slots)
        if turn >= 4:
            sizes.add(table.nbytes)

    assert len(sizes) == 1
    assert not table._index.any()


def test_probes_are_as_short_after_millions_of_releases_as_before() -> None:
    """Entries that stayed behind would fill the index until a search passes through all of it."""
    table = KeyTable((1, 2), MANY)
    alive: list[bytes | None] = [b"alive-%d" % i for i in range(600)]
    found(table, alive)

    for turn in range(50):
        released(table, *found(table, [b"%d-%d" % (turn, i) for i in range(100)]))

    assert np.count_nonzero(table._index) == 600
    assert found(table, alive, insert=0) == list(range(600))
