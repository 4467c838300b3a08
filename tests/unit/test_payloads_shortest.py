"""Doubles to text: as orjson writes them, and nothing beyond the room that is asked for."""

import numpy as np
import orjson
import pytest

from stream_ewma.jit import kernel
from stream_ewma.payloads.shortest import (
    MAX_NUMBER_BYTES,
    NOT_FINITE,
    NUMBER_ROOM,
    append_double,
    decimal_of,
)

LARGEST = 1.7976931348623157e308


@kernel
def write(target, at, bits):
    return append_double(target, at, bits)


@kernel
def head_of(bits):
    return decimal_of(bits)[0]


def is_finite(x):
    with np.errstate(over="ignore"):  # interpreted kernels wrap around on purpose
        return not head_of(np.float64(x).view(np.uint64)) & NOT_FINITE


def text_of(x):
    """The text of a double; what is around its room stays as it is."""
    target = np.full(NUMBER_ROOM + 8, 0xEE, np.uint8)
    with np.errstate(over="ignore"):
        end = write(target, 4, np.float64(x).view(np.uint64))
    assert target[:4].tobytes() == b"\xee" * 4
    assert target[NUMBER_ROOM + 4 :].tobytes() == b"\xee" * 4
    return target[4:end].tobytes()


@pytest.mark.parametrize(
    "x",
    [
        *(0.0, 1.0, 10.0, 21.5, 0.1, 0.001, 0.0001, 1e-5, 1.5e-5, 1e-6, 1.5e-6, 1e-7, 123456.789),
        *(1e15, 1e16, 1e17, 1e21, 1e22, 1e23, 9007199254740993.0, 123456789012345680.0),
        *(1234567890123456.7, 12345678901234567.0, 99999999.5, 999999999999999.9, 0.3, 2 / 3),
        *(5e-324, 1.5e-323, 2.2250738585072014e-308, 2.225073858507201e-308, LARGEST, 1.5e300),
        *(2.0**-44, 2.0**63, 2.0**-1022, 9.5367431640625e-07, 4.35, 100.0, 12345678.0, 1e-300),
        *(0.000012345678901234567, 1.2345678901234567e-300, 8.41e21, 2.0**52 + 0.5, 2.0**53 - 1),
    ],
)
def test_a_double_is_written_as_orjson_does(x):
    for number in (x, -x):
        assert text_of(number) == orjson.dumps(number)
        assert len(text_of(number)) <= MAX_NUMBER_BYTES


def test_all_powers_of_two_and_ten_and_their_neighbours():
    powers = [2.0**e for e in range(-1074, 1024)] + [float(f"1e{e}") for e in range(-323, 309)]
    for power in powers:
        for x in (power, float(np.nextafter(power, 0.0)), float(np.nextafter(power, LARGEST))):
            assert text_of(x) == orjson.dumps(x)


@pytest.mark.parametrize("x", [float("nan"), float("inf"), float("-inf"), -float("nan")])
def test_what_is_not_finite_is_known(x):
    assert not is_finite(x)


@pytest.mark.parametrize("x", [0.0, -0.0, 1.5, LARGEST, -LARGEST, 5e-324])
def test_what_is_finite_is_known(x):
    assert is_finite(x)
