"""The text of any double is the one that orjson writes."""

import numpy as np
import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_ewma.payloads import ReadingOptions, decoder
from stream_ewma.payloads.columns import WritingOptions
from stream_ewma.payloads.json_write import JsonEncoder
from stream_ewma.payloads.text import TextEncoder
from tests.support.values import items, records_of, smoothed_of

VALUES_ONLY = WritingOptions(key_name=None, timestamp_name=None, value_names=(None,))


def check(x):
    """Every number of the column as JSON and as text."""
    readings = decoder("text", ReadingOptions()).decode(records_of([b"1"] * len(x)))
    rows = smoothed_of(readings, {"x": x})
    written = items(JsonEncoder(VALUES_ONLY).encode(rows))
    texts = items(TextEncoder().encode(rows))
    for number, value, text in zip(x.tolist(), written, texts, strict=True):
        expected = orjson.dumps(number)
        assert value == b'{"x":' + expected + b"}"
        assert text == (b"NaN" if expected == b"null" else expected)


@settings(max_examples=100)
@given(st.lists(st.integers(0, 2**64 - 1)))
def test_any_bits(bits):
    check(np.array(bits, np.uint64).view(np.float64))


@settings(max_examples=50)
@given(st.integers(0, 2**32), st.integers(-20, 25), st.integers(0, 17))
def test_numbers_of_few_digits(seed, magnitude, digits):
    x = np.random.default_rng(seed).normal(0, 1, 100)
    check(np.array([float(f"{number:.{digits}e}") for number in x * 10.0**magnitude]))


@settings(max_examples=50)
@given(st.lists(st.floats()))
def test_numbers_that_are_easily_wrong(x):
    check(np.array(x, np.float64))
