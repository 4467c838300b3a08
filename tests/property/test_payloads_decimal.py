"""Whatever the kernel says a decimal text is, is what Python's float makes of it."""

from fractions import Fraction

import numpy as np
import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_ewma.columns import as_bytes
from stream_ewma.payloads import decoder
from stream_ewma.payloads.columns import ReadingOptions, Status
from stream_ewma.payloads.decimal import LONG, SHORTEST
from stream_ewma.payloads.text import read_plain_number
from tests.support.values import bits, items, records_of

finite = st.floats(allow_nan=False, allow_infinity=False)
digits = st.integers(0, 10**19 - 1)


def judged(text):
    """The double, whether it is certain and the form, checked against float."""
    data = as_bytes(text)
    with np.errstate(over="ignore"):
        x, form, sure = read_plain_number(data, 0, len(data))
    if sure:
        assert bits(np.array([x])) == bits(np.array([float(text)]))
    return x, sure, form


@settings(max_examples=1000)
@given(finite)
def test_what_python_prints_is_read_back_to_the_bit(x):
    _, sure, _ = judged(repr(x).encode())
    assert sure or abs(x) < 2.0**-1022 or abs(x) >= 9e307


@settings(max_examples=300)
@given(finite, st.sampled_from(["%.15e", "%.16e", "%.17e", "%.18e", "%.17g", "%.3f", "%.20e"]))
def test_other_ways_to_print_are_read_to_the_bit(x, form):
    judged((form % x).encode())


@settings(max_examples=1000)
@given(digits, st.integers(-350, 320))
def test_nineteen_digits_at_any_scale(mantissa, exponent):
    judged(b"%de%d" % (mantissa, exponent))


@settings(max_examples=300)
@given(st.integers(2**52, 2**53 - 1), st.integers(-60, 60))
def test_half_way_between_two_doubles_the_even_one_is_nearest(mantissa, binary):
    """Written without an error where 19 digits suffice, and one digit to either side of it."""
    half = Fraction(2 * mantissa + 1) * Fraction(2) ** binary
    for exponent in range(-40, 24):
        scaled = half / Fraction(10) ** exponent
        if scaled < 10**19:
            for near in (-1, 0, 1):
                judged(b"%de%d" % (int(scaled) + near, exponent))
            break


@settings(max_examples=300)
@given(st.from_regex(r"-?(0|[1-9][0-9]{0,17})\.[0-9]{1,18}", fullmatch=True, alphabet="0159."))
def test_a_text_called_shortest_is_what_orjson_prints(text):
    x, sure, form = judged(text.encode())
    if form & SHORTEST:
        assert sure
        assert orjson.dumps(float(x)) == text.encode()
    assert sure or form & LONG


@settings(max_examples=100)
@given(st.lists(finite, max_size=20), st.sampled_from(["json", "text"]))
def test_what_orjson_prints_is_its_own_text_or_none(numbers, name):
    """Spans over the input's digits hold orjson's text of the number that was read."""
    values = [orjson.dumps(x) for x in numbers]
    readings = decoder(name, ReadingOptions()).decode(records_of(values))
    assert readings.status.tolist() == [Status.OK] * len(numbers)
    assert bits(readings.numbers[0].x) == bits(np.array(numbers, np.float64))
    assert all(
        text in {b"", value}
        for text, value in zip(items(readings.numbers[0].x_text), values, strict=True)
    )
