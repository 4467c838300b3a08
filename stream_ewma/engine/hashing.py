"""SipHash-1-3 over spans of bytes: the keyed hash that CPython and Rust use against hostile keys.

Aumasson & Bernstein, "SipHash: a fast short-input PRF" (2012), with 1 compression and 3
finalisation rounds. Whoever chooses keys cannot choose collisions without knowing the seed.
"""

import numpy as np

from stream_ewma.columns import Bytes
from stream_ewma.jit import inner_kernel
from stream_ewma.words import WORD, word_at

_C0 = np.uint64(0x736F6D6570736575)
_C1 = np.uint64(0x646F72616E646F6D)
_C2 = np.uint64(0x6C7967656E657261)
_C3 = np.uint64(0x7465646279746573)
_FF = np.uint64(0xFF)
_S13, _S16, _S17, _S21 = np.uint64(13), np.uint64(16), np.uint64(17), np.uint64(21)
_S32, _S43, _S47, _S48 = np.uint64(32), np.uint64(43), np.uint64(47), np.uint64(48)
_S51, _S56 = np.uint64(51), np.uint64(56)
_ONE = np.uint64(1)


@inner_kernel
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


@inner_kernel
def siphash(
    buffer: Bytes, start: int, length: int, seed0: np.uint64, seed1: np.uint64
) -> np.uint64:
    """SipHash-1-3 of `buffer[start : start + length]` under the 128-bit seed."""
    v0 = seed0 ^ _C0
    v1 = seed1 ^ _C1
    v2 = seed0 ^ _C2
    v3 = seed1 ^ _C3
    words_end = start + (length // WORD) * WORD
    at = start
    while at < words_end:
        word = word_at(buffer, at)
        v3 ^= word
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
        v0 ^= word
        at += WORD
    rest = (_ONE << np.uint64(8 * (length % WORD))) - _ONE
    last = (np.uint64(length & 0xFF) << _S56) | (word_at(buffer, at) & rest)
    v3 ^= last
    v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    v0 ^= last
    v2 ^= _FF
    for _ in range(3):
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    return v0 ^ v1 ^ v2 ^ v3
