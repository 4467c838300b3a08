"""The memory of the keys' bytes: spans inside one growing column, those of released keys reused.

A span has one of a few sizes, four to each doubling. A released one goes on the list of its size,
which is threaded through the spans themselves, and the next key of that size gets it: nothing is
ever moved, so no call costs more than its own keys, and the column is never larger than what the
sizes took at their peaks.
"""

from typing import Final

import numpy as np

from stream_ewma.columns import Bytes, Int32, Int64, Spans, as_bytes
from stream_ewma.copying import copy_bytes
from stream_ewma.jit import inner_kernel, kernel
from stream_ewma.words import WORD, load_word, store_word

SIZES: Final = 128
"""How many sizes there are, and some: enough for a key of 2^31 - 1 bytes."""

NO_ROOM: Final = -1
"""Position of a span that the column has no room for."""


@inner_kernel
def _size(number: int) -> int:
    """The bytes of a size: 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, ..."""
    return (WORD + 2 * (number % 4)) << (number // 4)


@inner_kernel
def _number(length: int) -> int:
    """The number of the smallest size that holds `length` bytes."""
    number = 0
    while _size(number) < length:
        number += 1
    return number


@inner_kernel
def span_size(length: int) -> int:
    """The bytes of a span for `length` bytes."""
    return _size(_number(length))


@inner_kernel
def take_span(arena: Bytes, used: int, free: Int64, length: int) -> int:
    """The position of a span for `length` bytes, `used` itself if it is a new one; or `NO_ROOM`.

    Args:
        arena: holds the spans.
        used: where the part of it begins that has no spans yet.
        free: int64 (SIZES,), the first free span of each size: its position + 1, or 0.
        length: not negative.
    """
    number = _number(length)
    if free[number] > 0:
        at = int(free[number]) - 1
        free[number] = int(load_word(arena, at))
        return at
    return NO_ROOM if used + _size(number) > len(arena) else used


@inner_kernel
def give_span(arena: Bytes, free: Int64, at: int, length: int) -> None:
    """Take back the span at `at`, which was taken for `length` bytes."""
    number = _number(length)
    store_word(arena, at, np.uint64(free[number]))
    free[number] = at + 1


def copies(arena: Bytes, start: Int64, length: Int32, prefix: bytes) -> Spans:
    """The spans copied out, each with `prefix` before it: less than 2 GiB of them.

    Args:
        arena: holds the spans.
        start: int64 (n,).
        length: int32 (n,), not negative.
        prefix: any bytes.
    """
    lengths = length + np.int32(len(prefix))
    ends = np.cumsum(lengths, dtype=np.int64)
    starts = (ends - lengths).astype(np.int32)
    out = np.empty(int(ends[-1]) if len(ends) else 0, np.uint8)
    _copy_all(arena, start, length, as_bytes(prefix), out)
    return Spans(as_bytes(out), starts, lengths)


@kernel
def _copy_all(arena: Bytes, start: Int64, length: Int32, prefix: Bytes, out: Bytes) -> None:
    at = 0
    for i in range(len(start)):
        at = copy_bytes(out, at, prefix, 0, len(prefix))
        at = copy_bytes(out, at, arena, int(start[i]), int(length[i]))
