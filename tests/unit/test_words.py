"""Words of eight bytes, at and beyond the end of their array."""

import numpy as np
import pytest

from stream_ewma.columns import as_bytes
from stream_ewma.jit import kernel
from stream_ewma.words import (
    first_bytes,
    high_product,
    leading_zeros,
    load_word,
    signed,
    store_word,
    trailing_zeros,
    word_at,
)


@kernel
def zeros_of(word):
    return trailing_zeros(word)


@kernel
def store(target, at, word):
    store_word(target, at, word)


@kernel
def load(source, at):
    return load_word(source, at)


@kernel
def zeros_above(word):
    return leading_zeros(word)


@kernel
def upper_half(a, b):
    return high_product(a, b)


@pytest.mark.parametrize("at", range(12))
def test_a_word_has_zeros_beyond_the_end(at):
    data = bytes(range(1, 12))
    expected = int.from_bytes(data[at : at + 8], "little")
    assert int(word_at(as_bytes(data), at)) == expected


@pytest.mark.parametrize("at", range(4))
def test_a_word_is_loaded_and_stored_in_its_eight_bytes(at):
    target = np.full(11, 0xEE, np.uint8)
    store(target, at, np.uint64(0x0807060504030201))
    expected = bytearray(b"\xee" * 11)
    expected[at : at + 8] = bytes(range(1, 9))
    assert target.tobytes() == bytes(expected)
    assert load(target, at) == 0x0807060504030201


@pytest.mark.parametrize(
    ("count", "mask"), [(-8, 0), (0, 0), (1, 0xFF), (7, 2**56 - 1), (8, 2**64 - 1), (9, 2**64 - 1)]
)
def test_the_mask_of_the_first_bytes(count, mask):
    assert int(first_bytes(count)) == mask


@pytest.mark.parametrize("bit", [0, 1, 31, 32, 63])
def test_trailing_zeros(bit):
    assert zeros_of(np.uint64(1 << bit)) == bit
    assert zeros_of(np.uint64((1 << 63) | (1 << bit))) == bit


def test_zero_has_64_trailing_zeros():
    assert zeros_of(np.uint64(0)) == 64


def test_signed_wraps_around():
    assert signed(np.uint64(2**64 - 5)) == -5
    assert signed(np.uint8(255)) == 255


@pytest.mark.parametrize("bit", [0, 1, 31, 32, 63])
def test_leading_zeros(bit):
    assert zeros_above(np.uint64(1 << bit)) == 63 - bit
    assert zeros_above(np.uint64(1 | (1 << bit))) == 63 - bit


def test_zero_has_64_leading_zeros():
    assert zeros_above(np.uint64(0)) == 64


@pytest.mark.parametrize("a", [0, 1, 2**32, 2**63, 2**64 - 1, 0x123456789ABCDEF0])
@pytest.mark.parametrize("b", [0, 1, 2**32 + 1, 2**64 - 1, 0xFEDCBA9876543210])
def test_the_upper_half_of_a_product(a, b):
    assert upper_half(np.uint64(a), np.uint64(b)) == a * b >> 64
