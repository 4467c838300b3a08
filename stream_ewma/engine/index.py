"""The index of a key table: open addressing with linear probing over 64-bit entries.

Upper half of an entry: 32 bits of the key's hash, its tag; lower half: slot + 1. 0 is empty.
"""

import numpy as np

from stream_ewma.columns import Bytes, Int32, Int64, UInt64
from stream_ewma.jit import inner_kernel, kernel
from stream_ewma.words import WORD, word_at

NO_SLOT = -1
"""Slot of a row whose key is not in the table and was not inserted."""

_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_EMPTY = np.uint64(0)
_ONE = np.uint64(1)
_STRUCK_OUT = np.uint64(0xFFFFFFFF00000000)
"""Entry of the old index whose key has been released: none, but the search goes on behind it."""


@inner_kernel
def tag_of(hashed: np.uint64) -> np.uint64:
    """What an entry says of a key's hash."""
    return hashed >> _HALF


@inner_kernel
def entry_of(tag: np.uint64, slot: int) -> np.uint64:
    """The entry of a key."""
    return (tag << _HALF) | np.uint64(slot + 1)


@inner_kernel
def same_key(
    buffer: Bytes, start: int, length: int, arena: Bytes, key_start: int, key_length: int
) -> bool:
    """Whether a span of `buffer` has the bytes of a key in the arena."""
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
def find(
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
            if slot != NO_SLOT and same_key(
                buffer, start, length, arena, key_start[slot], key_length[slot]
            ):
                return slot, bucket
        bucket = (bucket + _ONE) & mask


@kernel
def move(old: UInt64, index: UInt64, first: int, last: int) -> None:
    """Copy the entries of `old[first:last]` into `index`, by the hash they carry."""
    mask = np.uint64(len(index) - 1)
    for i in range(first, last):
        entry = old[i]
        if entry & _LOW != _EMPTY:
            bucket = (entry >> _HALF) & mask
            while index[bucket] != _EMPTY:
                bucket = (bucket + _ONE) & mask
            index[bucket] = entry


@inner_kernel
def candidate(index: UInt64, tag: np.uint64) -> int:
    """The slot of the first key of that hash, or NO_SLOT; the key itself is not looked at."""
    mask = np.uint64(len(index) - 1)
    bucket = tag & mask
    entry = index[bucket]
    while entry != _EMPTY and entry >> _HALF != tag:
        bucket = (bucket + _ONE) & mask
        entry = index[bucket]
    return int(entry & _LOW) - 1  # NO_SLOT where the bucket is empty


@inner_kernel
def _bucket_of(index: UInt64, entry: np.uint64) -> np.uint64:
    """The bucket that holds `entry`, or the empty one where the search for it ends."""
    mask = np.uint64(len(index) - 1)
    bucket = (entry >> _HALF) & mask
    while index[bucket] != entry and index[bucket] != _EMPTY:
        bucket = (bucket + _ONE) & mask
    return bucket


@inner_kernel
def remove(index: UInt64, entry: np.uint64) -> None:
    """Empty the entry's bucket, if it has one, and move up those that had to go past it."""
    mask = np.uint64(len(index) - 1)
    hole = _bucket_of(index, entry)
    bucket = hole
    while index[bucket] != _EMPTY:
        bucket = (bucket + _ONE) & mask
        home = (index[bucket] >> _HALF) & mask
        if index[bucket] != _EMPTY and (bucket - home) & mask >= (bucket - hole) & mask:
            index[hole] = index[bucket]
            hole = bucket
    index[hole] = _EMPTY


@inner_kernel
def strike_out(old: UInt64, entry: np.uint64) -> None:
    """Take the entry out of an index that is being copied, if it is in there.

    Nothing may move up in it: it could get to where everything has been copied already.
    """
    bucket = _bucket_of(old, entry)
    if old[bucket] != _EMPTY:
        old[bucket] = _STRUCK_OUT


@kernel
def scan(
    prefix: Bytes,
    first: int,
    end: int,
    key_start: Int64,
    key_length: Int32,
    arena: Bytes,
    found: Int32,
) -> tuple[int, int]:
    """Fill `found` with slots from `first` to `end` whose keys begin with `prefix`.

    Returns:
        How many were found, and the slot to go on with.
    """
    size = len(prefix)
    count = 0
    for slot in range(first, end):
        if key_length[slot] < size:
            continue
        if same_key(prefix, 0, size, arena, int(key_start[slot]), size):
            if count == len(found):
                return count, slot
            found[count] = slot
            count += 1
    return count, max(first, end)
