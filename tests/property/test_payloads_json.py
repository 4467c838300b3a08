"""The JSON kernel and the library read every value alike, and nothing is read outside its array."""

from dataclasses import replace
from math import isfinite

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_ewma.payloads import decoder, json_read
from stream_ewma.payloads.columns import ReadingOptions, Status, WritingOptions
from stream_ewma.payloads.json_document import read_document
from stream_ewma.payloads.json_write import JsonEncoder
from tests.support.json_texts import JsonTexts
from tests.support.values import (
    RECORD_TIME,
    bits,
    items,
    records_of,
    smoothed_of,
    spans_apart,
)

OPTIONS = [
    ReadingOptions(),
    ReadingOptions(key_path="key"),
    ReadingOptions(value_paths=("fields.value",), timestamp_path="a.b", key_path="fields.key"),
    ReadingOptions(timestamp_unit="ns", timestamp_required=True, coerce_strings=True),
    ReadingOptions(timestamp_unit="s", key_path="value"),
    ReadingOptions(value_paths=("a.b.a",), timestamp_path=None, key_path="a", timestamp_unit="us"),
    ReadingOptions(value_paths=("caf\u00e9",), key_path="a name of more than eight bytes"),
    ReadingOptions(value_paths=("value", "a"), weight_path="b", reset_path="valu"),
    ReadingOptions(
        value_paths=("a", "a", "fields.value"),
        key_path="key",
        weight_path="value",
        reset_path="a.b",
        coerce_strings=True,
    ),
    ReadingOptions(reserved_names=("a", "caf\u00e9", "fields"), reset_path="timestamp"),
]

seeds = st.integers(0, 2**32)
neighbours = st.sampled_from([b"", b'"', b"0", b"9" * 9, b'"' * 9, b"}" * 9, b"\xff" * 9])


def texts(seed, count=100):
    """Texts of one seed."""
    source = JsonTexts(seed)
    return [source.text() for _ in range(count)]


def test_half_of_the_texts_are_sound_and_most_of_these_are_certain(monkeypatch):
    """Else the tests below would compare the library with itself."""
    left_over = []

    def read(data, record_timestamp, options):
        left_over.append(data)
        return read_document(data, record_timestamp, options)

    data = texts(7, 1000)
    sound = sum(read_document(text, 0, OPTIONS[0]).status != Status.DECODE for text in data)
    monkeypatch.setattr(json_read, "read_document", read)
    decoder("json", OPTIONS[0]).decode(records_of(data))
    assert sound > 500
    assert len(data) - len(left_over) > 0.8 * sound


def check_against_library(data, options, between):
    """Both read each of `data` alike, wherever it stands among the others."""
    readings = decoder("json", options).decode(records_of(data, between=between))
    for row, text in enumerate(data):
        expected = read_document(text, RECORD_TIME, options)
        key = b"k" if options.key_path is None else expected.key
        assert readings.status[row] == expected.status, text
        x = np.array([columns.x[row] for columns in readings.numbers])
        assert bits(x) == bits(np.array(expected.x)), text
        status = tuple(columns.status[row] for columns in readings.numbers)
        assert status == expected.number_status, text
        assert readings.timestamp[row] == expected.timestamp, text
        assert readings.keys.item(row) == key, text
        if options.weight_path is not None:
            assert readings.weight[row] == expected.weight, text
        if options.reset_path is not None:
            assert readings.restart[row] == expected.restart, text


@settings(max_examples=100)
@given(seeds, st.sampled_from(OPTIONS), neighbours)
def test_kernel_and_library_read_every_value_alike(seed, options, between):
    check_against_library(texts(seed), options, between)


@settings(max_examples=100)
@given(seeds, st.sampled_from(OPTIONS), neighbours)
def test_kernel_and_library_read_values_of_one_source_alike(seed, options, between):
    source = JsonTexts(seed)
    data = [text for _ in range(5) for text in source.alike(20)]
    check_against_library(data, options, between)


@settings(max_examples=100)
@given(seeds, neighbours)
def test_an_enriched_object_is_the_object_with_the_outputs(seed, between):
    options = ReadingOptions(value_paths=("value",), reserved_names=("new", "newer"))
    data = texts(seed)
    records = records_of(data, between=between)
    readings = decoder("json", options).decode(records)
    outputs = {"new": np.arange(len(data)) / 8, "newer": np.arange(len(data)) % 2 == 0}
    rows = replace(smoothed_of(readings, outputs), originals=records.values)
    written = items(JsonEncoder(WritingOptions(shape="enrich")).encode(rows))
    for row in np.flatnonzero(readings.status <= Status.NULL).tolist():
        text = written[row]
        original = orjson.loads(data[row])
        if isinstance(original, dict):
            assert text.startswith(data[row].rstrip(b" \r\n\t").removesuffix(b"}"))
            added = {"new": row / 8, "newer": bool(row % 2 == 0)}
            assert list(orjson.loads(text).items()) == [*original.items(), *added.items()]
        else:
            assert list(orjson.loads(text)) == ["key", "timestamp", "value", "new", "newer"]


@settings(max_examples=50)
@given(seeds, st.sampled_from(OPTIONS), neighbours)
def test_the_number_comes_out_as_orjson_writes_it(seed, options, between):
    data = texts(seed)
    readings = decoder("json", options).decode(records_of(data, between=between))
    names = ("value", *[None] * (len(readings.numbers) - 1))
    written = JsonEncoder(WritingOptions(value_names=names)).encode(smoothed_of(readings, {}))
    for row, text in enumerate(items(written)):
        fields = orjson.loads(text)
        assert list(fields) == ["key", "timestamp", "value"]
        first = readings.numbers[0]
        x = float(first.x[row]) if first.status[row] == Status.OK else None
        assert text.endswith(b'"value":' + orjson.dumps(x) + b"}")
        assert fields["timestamp"] == readings.timestamp[row]
        key = readings.keys.item(row)
        assert fields["key"] == (None if key is None else key.decode())


@settings(max_examples=50)
@given(st.lists(st.binary(max_size=30)), st.sampled_from([b"", b"0", b'"' * 9, b"\xff" * 9]))
def test_keys_of_any_bytes_come_out_as_json(keys, between):
    readings = decoder("json", ReadingOptions()).decode(records_of([b"1.5"] * len(keys)))
    rows = replace(smoothed_of(readings, {}), keys=spans_apart(keys, between))
    for key, text in zip(keys, items(JsonEncoder(WritingOptions()).encode(rows)), strict=True):
        assert orjson.loads(text)["key"] == key.decode(errors="replace")


@settings(max_examples=100)
@given(st.lists(st.binary(max_size=60), max_size=8), st.sampled_from(OPTIONS))
def test_arbitrary_bytes_are_read_within_bounds(data, options):
    readings = decoder("json", options).decode(records_of(data))
    assert len(readings) == len(data)
    assert all(isfinite(x) for x in readings.numbers[0].x)


@pytest.mark.parametrize(
    "text",
    [
        *(b"null", b"true", b"false", b"-21.75e10", b"12345678901234567890", b'"abc"'),
        *(b'{"value":21.75,"timestamp":1767225600123,"key":"pump-7"}', '"\u20ac"'.encode()),
        *(b'{"timestamp":"2026-01-01T00:00:00.123+01:00","value":null}', b" [ {} , [ ] ] "),
    ],
)
@pytest.mark.parametrize("options", OPTIONS)
def test_a_value_is_read_no_further_than_its_span(text, options):
    """Cut off anywhere, with what was cut off still there behind it, after a whole one."""
    n = len(text)
    whole = records_of([text] * (n + 1))
    length = np.array([n, *range(n)], np.int32)
    within = decoder("json", options).decode(
        replace(whole, values=replace(whole.values, length=length))
    )
    alone = decoder("json", options).decode(records_of([text, *(text[:end] for end in range(n))]))
    assert within.status.tolist() == alone.status.tolist()
    assert bits(within.numbers[0].x) == bits(alone.numbers[0].x)
    assert within.timestamp.tolist() == alone.timestamp.tolist()
    assert items(within.keys) == items(alone.keys)


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
    assert readings.numbers[0].x.tolist() == [reading.x[0] for reading in expected]
