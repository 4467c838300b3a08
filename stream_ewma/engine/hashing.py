"""SipHash-1-3 over spans of bytes: the keyed hash that CPython and Rust use against hostile keys.

Aumasson & Bernstein, "SipHash: a fast short-input PRF" (2012), with 1 compression and 3
finalisation rounds. Whoever chooses keys cannot choose collisions without knowing the seed.
"""

import numpy as np

from stream_ewma.columns import Bytes
from stream_ewma.jit import kernel

_C0 = np.uint64(0x736F6D6570736575)
_C1 = np.uint64(0x646F72616E646F6D)
_C2 = np.uint64(0x6C7967656E657261)
_C3 = np.uint64(0x7465646279746573)
_FF = np.uint64(0xFF)
_S8, _S13, _S16, _S17 = np.uint64(8), np.uint64(13), np.uint64(16), np.uint64(17)
_S21, _S24, _S32, _S40 = np.uint64(21), np.uint64(24), np.uint64(32), np.uint64(40)
_S43, _S47, _S48, _S51 = np.uint64(43), np.uint64(47), np.uint64(48), np.uint64(51)
_S56 = np.uint64(56)


@kernel
def load_word(buffer: Bytes, at: int) -> np.uint64:
    """The 8 bytes at `at` as a little-endian word; the caller has checked that they exist."""
    return (
        np.uint64(buffer[at])
        | (np.uint64(buffer[at + 1]) << _S8)
        | (np.uint64(buffer[at + 2]) << _S16)
        | (np.uint64(buffer[at + 3]) << _S24)
        | (np.uint64(buffer[at + 4]) << _S32)
        | (np.uint64(buffer[at + 5]) << _S40)
        | (np.uint64(buffer[at + 6]) << _S48)
        | (np.uint64(buffer[at + 7]) << _S56)
    )


@kernel
def _round(
    v0: np.uint64, v1: np.uint64, v2: np.uint64, v3: np.uint64
) -> tuple[np.uint64, np.uint64, np.uint64, np.uint64]:
    v0 = v0 + v1
    v1 = ((v1 << _S13) | (v1 >> _S51)) ^ v0
    v0 = (v0 << _S32) | (v0 >> _S32)
    v2 = v2 + v3
    v3 = ((v3 << _S16) | (v3 >> _S48)) ^ v2
    v0 = v0 + v3
    v3 = ((v3 << _S21) | (v3 >> _S43)) ^ v0
    v2 = v2 + v1
    v1 = ((v1 << _S17) | (v1 >> _S47)) ^ v2
    v2 = (v2 << _S32) | (v2 >> _S32)
    return v0, v1, v2, v3


@kernel
def siphash(
    buffer: Bytes, start: int, length: int, seed0: np.uint64, seed1: np.uint64
) -> np.uint64:
    """SipHash-1-3 of `buffer[start : start + length]` under the 128-bit seed."""
    v0 = seed0 ^ _C0
    v1 = seed1 ^ _C1
    v2 = seed0 ^ _C2
    v3 = seed1 ^ _C3
    words_end = start + (length // 8) * 8
    at = start
    while at < words_end:
        word = load_word(buffer, at)
        v3 ^= word
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
        v0 ^= word
        at += 8
    last = np.uint64(length & 0xFF) << _S56
    shift = np.uint64(0)
    while at < start + length:
        last |= np.uint64(buffer[at]) << shift
        shift += _S8
        at += 1
    v3 ^= last
    v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    v0 ^= last
    v2 ^= _FF
    for _ in range(3):
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    return v0 ^ v1 ^ v2 ^ v3
