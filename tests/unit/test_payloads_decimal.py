"""Decimal text to doubles: the table, the grammar and the edges of each method."""

from fractions import Fraction

import numpy as np
import pytest

from stream_ewma.columns import as_bytes
from stream_ewma.payloads.decimal import (
    _FIVES,
    HUGE,
    INTEGER,
    LONG,
    NEGATIVE,
    SHORTEST,
    read_number,
)
from stream_ewma.payloads.text import read_plain_number


def parse(text):
    """What `read_number` makes of the whole of `text`."""
    with np.errstate(over="ignore"):
        return read_number(as_bytes(text), 0, len(text))


def double(text):
    """The double and whether it is certain."""
    with np.errstate(over="ignore"):
        x, _, sure = read_plain_number(as_bytes(text), 0, len(text))
    return x, sure


def test_the_powers_of_five_hold_their_first_128_bits():
    for row, power in enumerate(range(-342, 309)):
        exact = Fraction(5) ** power
        kept = (int(_FIVES[row, 0]) << 64) + int(_FIVES[row, 1])
        assert 2**127 <= kept < 2**128
        shift = 0
        while exact * Fraction(2) ** shift >= 2**128:
            shift -= 1
        while exact * Fraction(2) ** shift < 2**127:
            shift += 1
        missing = exact * Fraction(2) ** shift - kept
        assert (-1 <= missing < 0) if -27 <= power < 0 else (0 <= missing < 1)


@pytest.mark.parametrize(
    "text",
    [
        *(b"0", b"1", b"-1", b"21.7351", b"0.1", b"1e22", b"1e-22", b"9007199254740992e22"),
        *(b"9007199254740993", b"9007199254740993e1", b"1e23", b"8.5e22", b"123456789.123456789"),
        *(b"20.310420695897527", b"1.7976931348623157e307", b"2.2250738585072014e-308", b"0e-99"),
        *(b"9223372036854775808", b"9999999999999999999", b"0.00000000000000000000000001", b"0e9"),
        *(b"-0", b"-0.0", b"9007199254740991.5", b"1.00000000000000011102", b"4503599627370497.5"),
        # 2^53 + 1 and its kin lie half way between two doubles: the even one is nearest.
        *(b"9007199254740995", b"9007199254740993.0", b"900719925474099.3e1", b"5e-324"),
        *(b"9007199254740993000e-3", b"18014398509481986", b"18014398509481990e0", b"1e308"),
        # The first 55 bits of the product are followed by ones only: the second half counts.
        *(b"1.3694566931875533e-15", b"5708990770823839207e-100", b"7450580596923828125e-27"),
    ],
)
def test_doubles_are_correctly_rounded_or_left_to_the_library(text):
    x, sure = double(text)
    if sure:
        assert np.float64(x).view(np.int64) == np.float64(float(text)).view(np.int64)
    else:
        assert text in {b"5e-324", b"1e308", b"1.00000000000000011102"}


@pytest.mark.parametrize(
    "text",
    [
        *(b"1.7976931348623157e308", b"9e307", b"1e309", b"1e9999", b"2.2250738585072009e-308"),
        *(b"1e-9999", b"1e-360", b"12345678901234567890", b"0.12345678901234567890123"),
        b"1" * 400,
    ],
)
def test_what_the_methods_do_not_cover_is_not_certain(text):
    assert double(text) == (0.0, False)


@pytest.mark.parametrize(
    ("text", "form"),
    [
        *((b"0", INTEGER), (b"-17", INTEGER | NEGATIVE), (b"1.5", SHORTEST), (b"1.50", 0)),
        *((b"1e5", 0), (b"1.5E+05", 0), (b"12345678901234567890", INTEGER | LONG)),
        *((b"0.12345678901234567890", LONG), (b"0.00000012345678901234567", 0), (b"1e308", HUGE)),
        *((b"1e307", 0), (b"1" * 309, INTEGER | LONG | HUGE), (b"0.0", SHORTEST), (b"0.00", 0)),
        *((b"0.000123", SHORTEST), (b"0.0000123", 0), (b"100.0", SHORTEST), (b"100.00", 0)),
        *((b"123456789012345.0", 0), (b"12345678901234.5", SHORTEST)),
    ],
)
def test_the_form_of_a_number(text, form):
    assert parse(text)[0] == len(text)
    assert parse(text)[3] == form


@pytest.mark.parametrize(
    ("text", "stop"),
    [
        *((b"", -1), (b"-", -1), (b"+1", -1), (b"01", -1), (b"-00", -1), (b"1.", -1), (b".5", -1)),
        *((b"1.e5", -1), (b"1e", -1), (b"1e+", -1), (b"1e00001", -1), (b"x", -1), (b"--1", -1)),
        *((b"0x10", 1), (b"1.5.5", 3), (b"1e5e", 3), (b"12,", 2), (b"12345678 ", 8), (b"1-", 1)),
    ],
)
def test_where_a_number_ends(text, stop):
    assert parse(text)[0] == stop


def test_digits_behind_the_end_do_not_count():
    buffer = as_bytes(b"12345678901234567890")
    for end in range(1, 20):
        with np.errstate(over="ignore"):
            stop, mantissa, _, _ = read_number(buffer, 0, end)
        assert (stop, int(mantissa)) == (end, int(b"12345678901234567890"[:end]))
