"""Kafka's varints, at the edges of their ranges and of their bytes."""

import numpy as np
import pytest

from stream_ewma.columns import as_bytes
from stream_ewma.records.varint import (
    INT_BYTES,
    LONG_BYTES,
    read_varint,
    varint_size,
    write_varint,
)

KNOWN = [  # from Kafka's ByteUtilsTest
    (0, "00"),
    (-1, "01"),
    (1, "02"),
    (63, "7e"),
    (-64, "7f"),
    (64, "8001"),
    (-65, "8101"),
    (8191, "fe7f"),
    (8192, "808001"),
    (-1048577, "81808001"),
    (2**31 - 1, "feffffff0f"),
    (-(2**31), "ffffffff0f"),
    (2**63 - 1, "feffffffffffffffff01"),
    (-(2**63), "ffffffffffffffffff01"),
]


@pytest.mark.parametrize(("value", "encoded"), KNOWN)
def test_known_values_are_read_and_written(value: int, encoded: str) -> None:
    data = bytes.fromhex(encoded)
    assert read_varint(as_bytes(data), 0, len(data), LONG_BYTES) == (value, len(data))
    assert varint_size(np.int64(value)) == len(data)
    out = np.zeros(LONG_BYTES, np.uint8)
    assert write_varint(out, 0, np.int64(value)) == len(data)
    assert out[: len(data)].tobytes() == data


@pytest.mark.parametrize(("value", "encoded"), KNOWN)
def test_a_varint_that_reaches_past_the_end_is_none(value: int, encoded: str) -> None:
    buffer = as_bytes(bytes.fromhex(encoded) + b"\x00")
    for end in range(len(buffer) - 1):
        assert read_varint(buffer, 0, end, LONG_BYTES) == (0, -1)


def test_a_varint_of_too_many_bytes_is_none() -> None:
    buffer = as_bytes(b"\x80" * 4 + b"\x01" + b"\x80" * 9 + b"\x01")
    assert read_varint(buffer, 0, 5, INT_BYTES) == (1 << 27, 5)
    assert read_varint(buffer, 0, 5, INT_BYTES - 1) == (0, -1)
    assert read_varint(buffer, 5, 15, LONG_BYTES)[1] == 15
    assert read_varint(as_bytes(b"\x80" * 10 + b"\x01"), 0, 11, LONG_BYTES) == (0, -1)


def test_after_a_malformed_varint_there_is_none() -> None:
    assert read_varint(as_bytes(b"\x02"), -1, 1, LONG_BYTES) == (0, -1)
