"""The key table of one partition: key bytes -> slot, the row of the key's state.

A hash index over key bytes in an arena. Nothing is rehashed in one go: when the index is full a
larger one is laid beside it, and every insertion moves a few entries over, so no batch ever waits
for millions of keys to move.

A released key leaves nothing behind: the entries after it move up as if it had never been there,
its slot and its bytes' place go to the next keys. So the table is as large as the most keys it ever
held at a time, however many have come and gone.
"""

from dataclasses import dataclass

import numpy as np

from stream_ewma.columns import (
    NULL,
    Bytes,
    Int32,
    Int64,
    Spans,
    UInt8,
    UInt64,
    as_bytes,
    extend,
    grown_size,
)
from stream_ewma.copying import copy_bytes
from stream_ewma.engine.arena import NO_ROOM, SIZES, copies, give_span, span_size, take_span
from stream_ewma.engine.hashing import siphash
from stream_ewma.engine.index import (
    NO_SLOT,
    entry_of,
    find,
    move,
    remove,
    scan,
    strike_out,
    tag_of,
)
from stream_ewma.engine.lookup import find_known
from stream_ewma.jit import inner_kernel, kernel

_SMALLEST_INDEX = 1024
_MOVED_PER_INSERTION = 8
_MOVED_PER_CALL = 4096
_BLOCK_ROWS = 256
"""Rows whose keys are looked up side by side: some kilobytes of columns, far below the cache."""

# Positions in the `counters` column, which the kernels update in place: keys in the table; slots
# handed out so far; the first free one + 1, the others being chained by their `key_start`; bytes
# of the arena that have been given to spans; entries of the old index that have been moved.
_COUNT, _SLOTS, _FREE_SLOT, _ARENA_USED, _MOVED = 0, 1, 2, 3, 4

# Why the kernel stopped before the last row.
_DONE, _INDEX_FULL, _ROWS_FULL, _ARENA_FULL = 0, 1, 2, 3


@inner_kernel
def _take_slot(counters: Int64, key_start: Int64) -> int:
    """A slot for a new key; there is one."""
    slot = int(counters[_FREE_SLOT]) - 1
    if slot != NO_SLOT:
        counters[_FREE_SLOT] = key_start[slot]
    else:
        slot = int(counters[_SLOTS])
        counters[_SLOTS] += 1
    return slot


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
    free_spans: Int64,
    max_keys: int,
    slots: Int32,
    new: Int32,
    new_count: int,
) -> tuple[int, int, int]:
    """Fill `slots` from `first_row` on where it is NO_SLOT, and `new` from `new_count` on.

    Returns:
        The row where it stopped, why, and the number of new slots so far.
    """
    n = len(start)
    for i in range(first_row, n):
        size = int(length[i])
        if slots[i] != NO_SLOT or size < 0:
            continue
        at = int(start[i])
        slot, bucket = find(index, tags[i], buffer, at, size, arena, key_start, key_length)
        if slot == NO_SLOT and len(old) > 0:
            slot, _ = find(old, tags[i], buffer, at, size, arena, key_start, key_length)
        if slot == NO_SLOT and insert[i] != 0 and counters[_COUNT] < max_keys:
            if (counters[_COUNT] + 1) * 10 > len(index) * 7:
                return i, _INDEX_FULL, new_count
            if counters[_FREE_SLOT] == 0 and counters[_SLOTS] == len(key_start):
                return i, _ROWS_FULL, new_count
            place = take_span(arena, int(counters[_ARENA_USED]), free_spans, size)
            if place == NO_ROOM:
                return i, _ARENA_FULL, new_count
            if place == counters[_ARENA_USED]:
                counters[_ARENA_USED] += span_size(size)
            slot = _take_slot(counters, key_start)
            index[bucket] = entry_of(tags[i], slot)
            key_start[slot] = place
            key_length[slot] = size
            copy_bytes(arena, place, buffer, at, size)
            counters[_COUNT] += 1
            new[new_count] = slot
            new_count += 1
            if len(old) > 0:
                last = min(counters[_MOVED] + _MOVED_PER_INSERTION, len(old))
                move(old, index, counters[_MOVED], last)
                counters[_MOVED] = last
        slots[i] = slot
    return n, _DONE, new_count


@kernel
def _release(
    slots: Int32,
    seed0: np.uint64,
    seed1: np.uint64,
    index: UInt64,
    old: UInt64,
    counters: Int64,
    key_start: Int64,
    key_length: Int32,
    arena: Bytes,
    free_spans: Int64,
) -> int:
    """Take the keys of `slots` out; answers how many, fewer than asked if a slot has no key."""
    for i in range(len(slots)):
        slot = int(slots[i])
        if slot < 0 or slot >= counters[_SLOTS] or key_length[slot] < 0:
            return i
        at, size = int(key_start[slot]), int(key_length[slot])
        entry = entry_of(tag_of(siphash(arena, at, size, seed0, seed1)), slot)
        remove(index, entry)
        if len(old) > 0:
            strike_out(old, entry)
        give_span(arena, free_spans, at, size)
        key_start[slot] = counters[_FREE_SLOT]
        key_length[slot] = NULL
        counters[_FREE_SLOT] = slot + 1
        counters[_COUNT] -= 1
    return len(slots)


@dataclass(frozen=True, slots=True)
class Found:
    """Slots of the rows of one batch.

    Attributes:
        slots: int32 (n,), `NO_SLOT` where the key is null, unknown or over the bound.
        new: int32 (m,), those of the keys that were inserted, in the order of their rows.
    """

    slots: Int32
    new: Int32


class KeyTable:
    """Key bytes -> slot. A new key gets the slot released last, or else the next number.

    Args:
        seed: two 64-bit words nobody outside can know; never written anywhere.
        max_keys: keys the table holds at a time; rows with further new keys get `NO_SLOT`.
    """

    def __init__(self, seed: tuple[int, int], max_keys: int) -> None:
        self._seed = (np.uint64(seed[0]), np.uint64(seed[1]))
        self._max_keys = max_keys
        self._index: UInt64 = np.zeros(_SMALLEST_INDEX, np.uint64)
        self._old: UInt64 = np.zeros(0, np.uint64)
        self._counters: Int64 = np.zeros(5, np.int64)
        self._key_start: Int64 = np.zeros(256, np.int64)
        self._key_length: Int32 = np.zeros(256, np.int32)
        self._arena: Bytes = np.zeros(4096, np.uint8)
        self._free_spans: Int64 = np.zeros(SIZES, np.int64)

    def __len__(self) -> int:
        return int(self._counters[_COUNT])

    @property
    def nbytes(self) -> int:
        """Memory of the table, keys included, in bytes."""
        parts = (self._index, self._old, self._key_start, self._key_length, self._arena)
        return sum(part.nbytes for part in parts)

    @property
    def slots(self) -> Int32:
        """The slots that have a key, in ascending order."""
        lengths = self._key_length[: self._counters[_SLOTS]]
        return np.flatnonzero(lengths != NULL).astype(np.int32)

    def key(self, slot: int) -> bytes:
        """The key bytes of `slot`."""
        start = int(self._key_start[slot])
        return self._arena[start : start + int(self._key_length[slot])].tobytes()

    def scan(self, prefix: bytes, first: int, limit: int, effort: int) -> tuple[Int32, int | None]:
        """Slots from `first` on whose keys begin with `prefix`, in ascending order.

        Args:
            prefix: any bytes.
            first: a slot, or where the last call ended.
            limit: most slots to answer.
            effort: most slots to look at.

        Returns:
            The slots, and the slot to go on with; None: there are no more.
        """
        found: Int32 = np.empty(limit, np.int32)
        end = int(min(first + effort, self._counters[_SLOTS]))
        parts = (as_bytes(prefix), first, end, self._key_start, self._key_length, self._arena)
        count, after = scan(*parts, found)
        return found[:count], None if after >= self._counters[_SLOTS] else after

    def lengths(self, slots: Int32) -> Int32:
        """Bytes of each key (n,)."""
        lengths: Int32 = self._key_length[slots]
        return lengths

    def spans(self, slots: Int32, prefix: bytes = b"") -> Spans:
        """The keys of `slots`, each with `prefix` before it: less than 2 GiB of them."""
        return copies(self._arena, self._key_start[slots], self._key_length[slots], prefix)

    def find(self, keys: Spans, insert: UInt8, *, is_bounded: bool = True) -> Found:
        """The slot of each row's key, inserting it where it is new and `insert` is not 0.

        Args:
            keys: n spans; null keys have no slot.
            insert: uint8 (n,).
            is_bounded: new keys are inserted only up to `max_keys`.
        """
        slots: Int32 = np.empty(len(keys), np.int32)
        tags: UInt64 = np.empty(len(keys), np.uint64)
        self._move_some(_MOVED_PER_CALL)
        with np.errstate(over="ignore"):  # the hash wraps by definition
            row = find_known(
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
        if row == len(keys):
            return Found(slots, slots[:0])
        max_keys = self._max_keys if is_bounded else len(self) + len(keys)
        return Found(slots, self._find_others(keys, insert, tags, row, max_keys, slots))

    def _find_others(
        self, keys: Spans, insert: UInt8, tags: UInt64, row: int, max_keys: int, slots: Int32
    ) -> Int32:
        """Fill in the slots that are missing from `row` on; answers those of new keys."""
        new: Int32 = np.empty(len(keys) - row, np.int32)
        count, state = 0, _INDEX_FULL
        while state != _DONE:
            row, state, count = _find_rows(
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
                self._free_spans,
                max_keys,
                slots,
                new,
                count,
            )
            if state == _INDEX_FULL:
                self._grow_index()
            elif state == _ROWS_FULL:
                rows = grown_size(len(self._key_start), 1)
                extend(self._key_start, rows)
                extend(self._key_length, rows)
            elif state == _ARENA_FULL:
                size = span_size(int(keys.length[row]))
                extend(self._arena, grown_size(len(self._arena), size))
        return new[:count]

    def release(self, slots: Int32) -> None:
        """Take keys out of the table; their slots may be given to new keys from now on.

        Args:
            slots: int32 (n,), each once.

        Raises:
            IndexError: a slot has no key; the keys before it are gone.
        """
        with np.errstate(over="ignore"):
            released = _release(
                slots,
                *self._seed,
                self._index,
                self._old,
                self._counters,
                self._key_start,
                self._key_length,
                self._arena,
                self._free_spans,
            )
        if released < len(slots):
            raise IndexError(f"slot {slots[released]} has no key")

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
        move(self._old, self._index, first, last)
        self._counters[_MOVED] = last
        if last == len(self._old):
            self._old = np.zeros(0, np.uint64)
