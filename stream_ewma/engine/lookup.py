"""Looking up many keys at once, where nearly all of them are in the table."""

import numpy as np

from stream_ewma.columns import Bytes, Int32, Int64, UInt64
from stream_ewma.engine.hashing import siphash
from stream_ewma.engine.index import NO_SLOT, candidate, same_key, tag_of
from stream_ewma.jit import inner_kernel, kernel


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
            tags[i] = tag_of(siphash(buffer, int(start[i]), int(length[i]), seed0, seed1))


@kernel
def find_known(
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

    Where it is not, `slots` gets NO_SLOT: the table searches on. A block of rows at a time, one
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
            slots[i] = candidate(index, tags[i]) if length[i] >= 0 else NO_SLOT
        for i in range(first, end):
            if slots[i] != NO_SLOT:
                places[i - first] = key_start[slots[i]]
                if key_length[slots[i]] != length[i]:
                    slots[i] = NO_SLOT
        for i in range(first, end):
            size = int(length[i])
            if slots[i] != NO_SLOT and not same_key(
                buffer, int(start[i]), size, arena, int(places[i - first]), size
            ):
                slots[i] = NO_SLOT
            if slots[i] == NO_SLOT:
                unknown = min(unknown, i)
    return unknown
