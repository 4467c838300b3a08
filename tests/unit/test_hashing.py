"""SipHash-1-3 must be the one that CPython uses for bytes."""

import os
import subprocess
import sys

import numpy as np
import pytest

from stream_ewma.columns import as_bytes
from stream_ewma.engine.hashing import siphash

KEYS = [b"a", b"pump-7", b"8 bytes.", b"nine byte", bytes(range(64)), b"x" * 1000, b"\xff" * 15]


def hashed(key: bytes, seed: tuple[int, int] = (0, 0)) -> int:
    with np.errstate(over="ignore"):
        return int(siphash(as_bytes(key), 0, len(key), np.uint64(seed[0]), np.uint64(seed[1])))


@pytest.mark.skipif(
    sys.hash_info.algorithm != "siphash13", reason="this CPython was built with another hash"
)
def test_equals_cpythons_hash_under_the_zero_seed() -> None:
    code = f"print([hash(key) & (2**64 - 1) for key in {KEYS!r}])"
    answer = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": "0"},
        capture_output=True,
        check=True,
        text=True,
    )

    assert [hashed(key) for key in KEYS] == eval(answer.stdout)  # noqa: S307  our own output


def test_depends_on_both_words_of_the_seed() -> None:
    assert len({hashed(b"pump-7", seed) for seed in [(0, 0), (1, 0), (0, 1), (1, 1)]}) == 4


def test_reads_only_its_span() -> None:
    buffer = as_bytes(b"....pump-7....")
    with np.errstate(over="ignore"):
        inside = int(siphash(buffer, 4, 6, np.uint64(3), np.uint64(4)))

    assert inside == hashed(b"pump-7", (3, 4))
