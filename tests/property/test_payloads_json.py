"""The JSON kernel and the library read every value alike, and nothing is read outside its array."""

import json
from dataclasses import replace
from math import isfinite

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_ewma.payloads import decoder
from stream_ewma.payloads.columns import ReadingOptions, Status
from stream_ewma.payloads.json_document import read_document
from stream_ewma.payloads.json_write import JsonEncoder
from tests.support.values import RECORD_TIME, bits, items, records_of, smoothed_of

NUMBER = r"-?(0|[1-9][0-9]{0,24})(\.[0-9]{1,24})?([eE][+-]?[0-9]{1,4})?"
HOSTILE_NUMBERS = [
    *("-0", "-0.0", "0.0", "-", "+1", "01", "1.", ".5", "1e", "1e+", "1e5", "0e99999", "1e-99999"),
    *("1e999", "-1e999", "1e308", "1.7976931348623157e308", "5e-324", "2e-324", "1e22", "1e23"),
    *("9007199254740993", "9007199254740992.5", "18446744073709551615", "18446744073709551616"),
    *("9223372036854775808", "-9223372036854775809", "1" * 400, "0." + "0" * 400 + "1"),
    *("1767225600123", "1767225600.5", "9007199254740991", "9007199254740992", "-1", "1_000"),
    *("NaN", "Infinity", "-Infinity", "nan", "nul", "truefalse", "21.7x", "0x10", "1 2"),
]
HOSTILE_STRINGS = [
    *(b'"\\ud800"', b'"\\u0041"', b'"a\\"b"', b'"\xff"', b'"\xc3\xa9"', b'"\xed\xa0\x80"'),
    *(b'"\xf0\x9f\x98\x80"', b'"\xf4\x90\x80\x80"', b'"\xc0\x80"', b'"\xe0\x80\x80"', b'"\x01"'),
    *(b'"\x7f"', b'"unclosed', b'""', b'"2026-01-01T00:00:00Z"', b'"2026-01-01 00:00:00.5+01:00"'),
    *(b'"2026-01-01"', b'"2026-01-01T00:00:00"', b'"2026-02-30T00:00:00Z"', b'"20260101T000000Z"'),
    *(b'"21.5"', b'" 21.5 "', b'"-0"', b'"1e999"', b'"nan"', b'"1_0"', b'"pump-7"', b"'a'"),
]
NAMES = [
    *(b'"value"', b'"timestamp"', b'"key"', b'"fields"', b'"a"', b'"valu"', b'"value1"'),
    *(b'"timestamp1"', b'"\\u0076alue"', b'"caf\xc3\xa9"', b'"caf\xff"', b'""', b"value", b'"b"'),
    b'"a name of more than eight bytes"',
]
OPTIONS = [
    ReadingOptions(),
    ReadingOptions(key_path="key"),
    ReadingOptions(value_path="fields.value", timestamp_path="a.b", key_path="fields.key"),
    ReadingOptions(timestamp_unit="ns", timestamp_required=True, coerce_strings=True),
    ReadingOptions(timestamp_unit="s", key_path="value"),
    ReadingOptions(value_path="a.b.a", timestamp_path=None, key_path="a", timestamp_unit="us"),
    ReadingOptions(value_path="caf\u00e9", key_path="a name of more than eight bytes"),
]

spaces = st.sampled_from([b"", b"", b"", b" ", b"\n\t\r ", b"\x0b"])
scalars = st.one_of(
    st.floats().map(lambda x: repr(x).encode()),
    st.integers(-(2**70), 2**70).map(lambda x: str(x).encode()),
    st.from_regex(NUMBER, fullmatch=True, alphabet="0123456789.eE+-").map(str.encode),
    st.sampled_from(HOSTILE_NUMBERS).map(str.encode),
    st.sampled_from(HOSTILE_STRINGS),
    st.text(max_size=12).map(lambda text: json.dumps(text).encode()),
    st.text(max_size=12).map(
        lambda text: json.dumps(text, ensure_ascii=False).encode("utf-8", "replace")
    ),
    st.sampled_from([b"null", b"true", b"false"]),
)


@st.composite
def arrays(draw, children):
    parts = draw(st.lists(children, max_size=3))
    return b"[" + draw(spaces) + (draw(spaces) + b"," + draw(spaces)).join(parts) + b"]"


@st.composite
def objects(draw, children):
    pairs = draw(st.lists(st.tuples(st.sampled_from(NAMES), children), max_size=5))
    space = draw(spaces)
    fields = [name + space + b":" + space + child for name, child in pairs]
    return b"{" + space + (space + b"," + space).join(fields) + space + b"}"


texts = st.recursive(
    scalars, lambda children: st.one_of(arrays(children), objects(children)), max_leaves=8
)
documents = st.one_of(texts, objects(texts), objects(scalars))


@st.composite
def damaged(draw):
    """A document with a few bytes changed, taken out, put in or cut off."""
    data = bytearray(draw(documents))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        with_bytes = draw(
            st.sampled_from([b"", b'"', b"{", b"}", b"]", b",", b":", b"0", b"\\", b"\x80"])
        )
        data[at : at + draw(st.integers(0, 2))] = with_bytes
    return bytes(data)


values = st.one_of(documents, damaged(), st.binary(max_size=40))
neighbours = st.sampled_from([b"", b'"', b"0", b"9" * 9, b'"' * 9, b"}" * 9, b"\xff" * 9])


@settings(max_examples=400)
@given(st.lists(values, max_size=8), st.sampled_from(OPTIONS), neighbours)
def test_kernel_and_library_read_every_value_alike(data, options, between):
    readings = decoder("json", options).decode(records_of(data, between=between))
    expected = [read_document(value, RECORD_TIME, options) if value else None for value in data]
    for row, reading in enumerate(expected):
        if reading is None:
            assert readings.status[row] == Status.DECODE
            continue
        assert readings.status[row] == reading.status, data[row]
        assert bits(readings.x[row : row + 1]) == bits(np.array([reading.x])), data[row]
        assert readings.timestamp[row] == reading.timestamp, data[row]
        key = b"k" if options.key_path is None else reading.key
        assert readings.keys.item(row) == key, data[row]


@settings(max_examples=200)
@given(st.lists(values, max_size=8), st.sampled_from(OPTIONS), neighbours)
def test_the_number_comes_out_as_orjson_writes_it(data, options, between):
    readings = decoder("json", options).decode(records_of(data, between=between))
    written = JsonEncoder().encode(smoothed_of(readings, {}))
    for row, text in enumerate(items(written)):
        assert text is not None
        assert b'"value":' + orjson.dumps(float(readings.x[row])) + b"}" in text


@settings(max_examples=100)
@given(st.lists(st.binary(max_size=60), max_size=8), st.sampled_from(OPTIONS))
def test_arbitrary_bytes_are_read_within_bounds(data, options):
    readings = decoder("json", options).decode(records_of(data))
    assert len(readings) == len(data)
    assert all(isfinite(x) for x in readings.x)


@given(st.binary(min_size=1, max_size=60), st.integers(0, 60), st.integers(0, 60))
def test_a_value_is_read_no_further_than_its_span(data, first, size):
    """The bytes around a span, quotes and digits among them, make no difference to it."""
    whole = records_of([data])
    first = min(first, len(data))
    part = data[first : first + size]
    spans = replace(
        whole.values,
        start=np.array([first], np.int32),
        length=np.array([len(part)], np.int32),
    )
    within = decoder("json", ReadingOptions()).decode(replace(whole, values=spans))
    alone = decoder("json", ReadingOptions()).decode(records_of([part]))
    assert within.status[0] == alone.status[0]
    assert bits(within.x) == bits(alone.x)


@pytest.mark.parametrize("depth", [1, 61, 62, 63, 1024, 1025, 5000])
def test_deep_nesting_is_judged_as_the_library_does(depth):
    data = [
        b'{"value":1.5,"a":' + b"[" * depth + b"]" * depth + b"}",
        b"[" * depth + b"]" * depth,
        b'{"value":' * depth + b"1.5" + b"}" * depth,
        b"[" * depth,
    ]
    options = ReadingOptions()
    readings = decoder("json", options).decode(records_of(data))
    expected = [read_document(value, RECORD_TIME, options) for value in data]
    assert readings.status.tolist() == [reading.status for reading in expected]
    assert readings.x.tolist() == [reading.x for reading in expected]
