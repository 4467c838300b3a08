"""Kafka's variable-length integers: zigzag, seven bits a byte, the lowest first.

Kernels; the same encoding as Protocol Buffers' sint32 and sint64.
"""

from typing import Final

import numpy as np

from stream_ewma.columns import Bytes
from stream_ewma.jit import kernel

INT_BYTES: Final = 5
"""Most bytes of a varint (32 bits)."""
LONG_BYTES: Final = 10
"""Most bytes of a varlong (64 bits)."""

_LOW_63_BITS: Final = (1 << 63) - 1
_LOW_57_BITS: Final = (1 << 57) - 1


@kernel
def read_varint(buffer: Bytes, at: int, end: int, most_bytes: int) -> tuple[int, int]:
    """Read the varint at `at`, which must lie before `end` and have at most `most_bytes`.

    Returns:
        The value, and the position after it; 0 and -1 where there is no such varint, or where
        `at` is -1 because the one before it was none.
    """
    if at < 0:
        return 0, -1
    if at < end:
        byte = np.int64(buffer[at])
        if byte < 128:
            return int((byte >> 1) ^ -(byte & 1)), at + 1
    # Lengths of 64 to 8191, the most frequent of the longer ones, without the loop.
    if at + 1 < end:
        second = np.int64(buffer[at + 1])
        if second < 128:
            zigzag = (np.int64(buffer[at]) & 127) | (second << 7)
            return int((zigzag >> 1) ^ -(zigzag & 1)), at + 2
    return _read_long_varint(buffer, at, min(end, at + most_bytes))


@kernel
def _read_long_varint(buffer: Bytes, at: int, end: int) -> tuple[int, int]:
    zigzag = np.int64(0)
    shift = 0
    for i in range(at, end):
        byte = np.int64(buffer[i])
        zigzag |= (byte & 127) << shift
        if byte < 128:
            return int(((zigzag >> 1) & _LOW_63_BITS) ^ -(zigzag & 1)), i + 1
        shift += 7
    return 0, -1


@kernel
def varint_size(value: int | np.int64) -> int:
    """How many bytes `value` (int64) takes."""
    zigzag = (value << 1) ^ (value >> 63)
    size = 1
    while zigzag < 0 or zigzag >= 128:
        zigzag = (zigzag >> 7) & _LOW_57_BITS
        size += 1
    return size


@kernel
def write_varint(target: Bytes, at: int, value: int | np.int64) -> int:
    """Write `value` (int64) at `at`, where there must be room; the position after it."""
    zigzag = (value << 1) ^ (value >> 63)
    while zigzag < 0 or zigzag >= 128:
        target[at] = (zigzag & 127) | 128
        at += 1
        zigzag = (zigzag >> 7) & _LOW_57_BITS
    target[at] = zigzag
    return at + 1
