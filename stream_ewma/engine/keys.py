"""The key table of one partition: key bytes -> slot, the row of the key's state.

Open addressing with linear probing over 64-bit entries (upper half: 32 bits of the key's hash;
lower half: slot + 1; 0 is empty), key bytes one after another in an arena. Nothing is rehashed in
one go: when the index is full a larger one is laid beside it, and every insertion moves a few
entries over, so no batch ever waits for millions of keys to move.
"""

from dataclasses import dataclass

import numpy as np

from stream_ewma.columns import Bytes, Int32, Int64, Spans, UInt8, UInt64, extend, grown_size
from stream_ewma.copying import copy_bytes
from stream_ewma.engine.hashing import siphash
from stream_ewma.jit import inner_kernel, kernel
from stream_ewma.words import WORD, word_at

NO_SLOT = -1
"""Slot of a row whose key is not in the table and was not inserted."""

_SMALLEST_INDEX = 1024
_MOVED_PER_INSERTION = 8
_MOVED_PER_CALL = 4096
_BLOCK_ROWS = 256
"""Rows whose keys are looked up side by side: some kilobytes of columns, far below the cache."""

# Positions in the `counters` column, which the kernel updates in place.
_COUNT, _ARENA_USED, _MOVED = 0, 1, 2

# Why the kernel stopped before the last row.
_DONE, _INDEX_FULL, _ROWS_FULL, _ARENA_FULL = 0, 1, 2, 3

_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_EMPTY = np.uint64(0)
_ONE = np.uint64(1)


@inner_kernel
def _same_key(
    buffer: Bytes, start: int, length: int, arena: Bytes, key_start: int, key_length: int
) -> bool:
    if length != key_length:
        return False
    at = 0
    while at + WORD <= length:
        if word_at(buffer, start + at) != word_at(arena, key_start + at):
            return False
        at += WORD
    rest = (_ONE << np.uint64(8 * (length - at))) - _ONE
    different = word_at(buffer, start + at) ^ word_at(arena, key_start + at)
    return bool(different & rest == _EMPTY)


@inner_kernel
def _find(
    index: UInt64,
    tag: np.uint64,
    buffer: Bytes,
    start: int,
    length: int,
    arena: Bytes,
    key_start: Int64,
    key_length: Int32,
) -> tuple[int, np.uint64]:
    """The key's slot or NO_SLOT, and the bucket where the search ended."""
    mask = np.uint64(len(index) - 1)
    bucket = tag & mask
    while True:
        entry = index[bucket]
        if entry == _EMPTY:
            return NO_SLOT, bucket
        if entry >> _HALF == tag:
            slot = int(entry & _LOW) - 1
            if _same_key(buffer, start, length, arena, key_start[slot], key_length[slot]):
                return slot, bucket
        bucket = (bucket + _ONE) & mask


@kernel
def _move(old: UInt64, index: UInt64, first: int, last: int) -> None:
    """Copy the entries of `old[first:last]` into `index`, by the hash they carry."""
    mask = np.uint64(len(index) - 1)
    for i in range(first, last):
        entry = old[i]
        if entry != _EMPTY:
            bucket = (entry >> _HALF) & mask
            while index[bucket] != _EMPTY:
                bucket = (bucket + _ONE) & mask
            index[bucket] = entry


@inner_kernel
def _hash_rows(
    buffer: Bytes,
    start: Int32,
    length: Int32,
    first: int,
    end: int,
    seed0: np.uint64,
    seed1: np.uint64,
    tags: UInt64,
) -> None:
    for i in range(first, end):
        if length[i] >= 0:
            hashed = siphash(buffer, int(start[i]), int(length[i]), seed0, seed1)
            tags[i] = hashed >> _HALF


@inner_kernel
def _candidate(index: UInt64, tag: np.uint64) -> int:
    """The slot of the first key of that hash, or NO_SLOT; the key itself is not looked at."""
    mask = np.uint64(len(index) - 1)
    bucket = tag & mask
    entry = index[bucket]
    while entry != _EMPTY and entry >> _HALF != tag:
        bucket = (bucket + _ONE) & mask
        entry = index[bucket]
    return int(entry & _LOW) - 1  # NO_SLOT where the bucket is empty


@kernel
def _find_known(
    buffer: Bytes,
    start: Int32,
    length: Int32,
    seed0: np.uint64,
    seed1: np.uint64,
    index: UInt64,
    key_start: Int64,
    key_length: Int32,
    arena: Bytes,
    tags: UInt64,
    places: Int64,
    slots: Int32,
) -> int:
    """Fill `tags` with the keys' hashes, and `slots` where the key is found at once.

    Where it is not, `slots` gets NO_SLOT: `_find_rows` searches on. A block of rows at a time, one
    step for all of them before the next: what a step misses in the cache is fetched side by side,
    not one row after another.

    Args:
        buffer: holds the keys.
        start: int32 (n,).
        length: int32 (n,).
        seed0: of the hash.
        seed1: of the hash.
        index: the current one; what is still in the old one is not found here.
        key_start: of the keys in the table.
        key_length: of the keys in the table.
        arena: holds the keys in the table.
        tags: uint64 (n,), filled in where the key is not null.
        places: int64, scratch for one block.
        slots: int32 (n,), filled in.

    Returns:
        The first row whose key was not found.
    """
    unknown = len(start)
    for first in range(0, len(start), len(places)):
        end = min(first + len(places), len(start))
        _hash_rows(buffer, start, length, first, end, seed0, seed1, tags)
        for i in range(first, end):
            slots[i] = _candidate(index, tags[i]) if length[i] >= 0 else NO_SLOT
        for i in range(first, end):
            if slots[i] != NO_SLOT:
                places[i - first] = key_start[slots[i]]
                if key_length[slots[i]] != length[i]:
                    slots[i] = NO_SLOT
        for i in range(first, end):
            size = int(length[i])
            if slots[i] != NO_SLOT and not _same_key(
                buffer, int(start[i]), size, arena, int(places[i - first]), size
            ):
                slots[i] = NO_SLOT
            if slots[i] == NO_SLOT:
                unknown = min(unknown, i)
    return unknown


@kernel
def _find_rows(
    buffer: Bytes,
    start: Int32,
    length: Int32,
    insert: UInt8,
    tags: UInt64,
    first_row: int,
    index: UInt64,
    old: UInt64,
    counters: Int64,
    key_start: Int64,
    key_length: Int32,
    arena: Bytes,
    max_keys: int,
    slots: Int32,
) -> tuple[int, int]:
    """Fill `slots` from `first_row` on where it is NO_SLOT; the row where it stopped, and why."""
    n = len(start)
    for i in range(first_row, n):
        size = int(length[i])
        if slots[i] != NO_SLOT or size < 0:
            continue
        at = int(start[i])
        slot, bucket = _find(index, tags[i], buffer, at, size, arena, key_start, key_length)
        if slot == NO_SLOT and len(old) > 0:
            slot, _ = _find(old, tags[i], buffer, at, size, arena, key_start, key_length)
        if slot == NO_SLOT and insert[i] != 0 and counters[_COUNT] < max_keys:
            count = int(counters[_COUNT])
            if count == len(key_start):
                return i, _ROWS_FULL
            if counters[_ARENA_USED] + size > len(arena):
                return i, _ARENA_FULL
            if (count + 1) * 10 > len(index) * 7:
                return i, _INDEX_FULL
            slot = count
            index[bucket] = (tags[i] << _HALF) | np.uint64(slot + 1)
            key_start[slot] = counters[_ARENA_USED]
            key_length[slot] = size
            copy_bytes(arena, int(counters[_ARENA_USED]), buffer, at, size)
            counters[_COUNT] = count + 1
            counters[_ARENA_USED] += size
            if len(old) > 0:
                last = min(counters[_MOVED] + _MOVED_PER_INSERTION, len(old))
                _move(old, index, counters[_MOVED], last)
                counters[_MOVED] = last
        slots[i] = slot
    return n, _DONE


@dataclass(frozen=True, slots=True)
class Found:
    """Slots of the rows of one batch.

    Attributes:
        slots: int32 (n,), `NO_SLOT` where the key is null, unknown or over the bound.
        new_from: slots from here to `new_to` were inserted by this call.
        new_to: number of keys in the table after the call.
    """

    slots: Int32
    new_from: int
    new_to: int


class KeyTable:
    """Key bytes -> slot; slots are numbered in the order in which keys were first seen.

    Args:
        seed: two 64-bit words nobody outside can know; never written anywhere.
        max_keys: keys the table takes; rows with further new keys get `NO_SLOT`.
    """

    def __init__(self, seed: tuple[int, int], max_keys: int) -> None:
        self._seed = (np.uint64(seed[0]), np.uint64(seed[1]))
        self._max_keys = max_keys
        self._index: UInt64 = np.zeros(_SMALLEST_INDEX, np.uint64)
        self._old: UInt64 = np.zeros(0, np.uint64)
        self._counters: Int64 = np.zeros(3, np.int64)
        self._key_start: Int64 = np.zeros(256, np.int64)
        self._key_length: Int32 = np.zeros(256, np.int32)
        self._arena: Bytes = np.zeros(4096, np.uint8)

    def __len__(self) -> int:
        return int(self._counters[_COUNT])

    @property
    def nbytes(self) -> int:
        """Memory of the table, keys included, in bytes."""
        parts = (self._index, self._old, self._key_start, self._key_length, self._arena)
        return sum(part.nbytes for part in parts)

    def key(self, slot: int) -> bytes:
        """The key bytes of `slot`."""
        start = int(self._key_start[slot])
        return self._arena[start : start + int(self._key_length[slot])].tobytes()

    def find(self, keys: Spans, insert: UInt8) -> Found:
        """The slot of each row's key, inserting it where it is new and `insert` is not 0.

        Args:
            keys: n spans; null keys have no slot.
            insert: uint8 (n,).
        """
        new_from = len(self)
        slots: Int32 = np.empty(len(keys), np.int32)
        tags: UInt64 = np.empty(len(keys), np.uint64)
        self._move_some(_MOVED_PER_CALL)
        with np.errstate(over="ignore"):  # the hash wraps by definition
            row = _find_known(
                keys.buffer,
                keys.start,
                keys.length,
                *self._seed,
                self._index,
                self._key_start,
                self._key_length,
                self._arena,
                tags,
                np.empty(_BLOCK_ROWS, np.int64),
                slots,
            )
        state = _DONE if row == len(keys) else _INDEX_FULL
        while state != _DONE:
            row, state = _find_rows(
                keys.buffer,
                keys.start,
                keys.length,
                insert,
                tags,
                row,
                self._index,
                self._old,
                self._counters,
                self._key_start,
                self._key_length,
                self._arena,
                self._max_keys,
                slots,
            )
            if state == _INDEX_FULL:
                self._grow_index()
            elif state == _ROWS_FULL:
                rows = grown_size(len(self._key_start), 1)
                extend(self._key_start, rows)
                extend(self._key_length, rows)
            elif state == _ARENA_FULL:
                extend(self._arena, grown_size(len(self._arena), int(keys.length[row])))
        return Found(slots, new_from, len(self))

    def _grow_index(self) -> None:
        # Insertions move eight entries each, and an index is replaced only after about as many
        # insertions as a third of its entries: the old one is nearly always empty by now.
        self._move_some(len(self._old))
        self._old = self._index
        self._counters[_MOVED] = 0
        # Zeroed lazily by the kernel of the operating system: nothing is touched here.
        self._index = np.zeros(2 * len(self._old), np.uint64)

    def _move_some(self, entries: int) -> None:
        if len(self._old) == 0:
            return
        first = int(self._counters[_MOVED])
        last = min(first + entries, len(self._old))
        _move(self._old, self._index, first, last)
        self._counters[_MOVED] = last
        if last == len(self._old):
            self._old = np.zeros(0, np.uint64)
