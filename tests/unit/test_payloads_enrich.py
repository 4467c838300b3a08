"""Names, flags and shapes of what is written: flat objects, and objects with outputs added."""

from dataclasses import replace

import numpy as np
import orjson
import pytest

from stream_ewma.columns import Spans
from stream_ewma.errors import SettingsError
from stream_ewma.payloads import decoder, encoder, json_write
from stream_ewma.payloads.columns import (
    Kind,
    NumberColumns,
    ReadingOptions,
    SmoothedColumns,
    Status,
    WritingOptions,
)
from tests.support.values import items, records_of, smoothed_of

ENRICH = WritingOptions(shape="enrich")


def numbers_of(*columns):
    """Columns of numbers, all OK."""
    return tuple(
        NumberColumns(np.array(x), Spans.of([b""] * len(x)), np.zeros(len(x), np.uint8))
        for x in columns
    )


def row(outputs, *, kind=Kind.SMOOTHED, numbers=((1.5,),), original=None, key=b"k"):
    """One row."""
    return SmoothedColumns(
        keys=Spans.of([key]),
        timestamp=np.array([7]),
        numbers=numbers_of(*numbers),
        kind=np.array([kind], np.uint8),
        outputs={name: np.array([value]) for name, value in outputs.items()},
        originals=Spans.of([original]),
    )


def written(rows, options=ENRICH):
    """The only value."""
    (value,) = items(encoder("json", options).encode(rows))
    return value


OUTPUTS = {"ewma": 21.4, "count": 7}


@pytest.mark.parametrize(
    ("original", "expected"),
    [
        (b'{"a":1, "temp":21.5 }', b'{"a":1, "temp":21.5 ,"ewma":21.4,"count":7}'),
        (b"{}", b'{"ewma":21.4,"count":7}'),
        (b"{ }", b'{ "ewma":21.4,"count":7}'),
        (b" \t{\n} \r\n", b' \t{\n"ewma":21.4,"count":7} \r\n'),
        (b'{"a":1}\n ', b'{"a":1,"ewma":21.4,"count":7}\n '),
        (b'{"a":{}}', b'{"a":{},"ewma":21.4,"count":7}'),
        (b'{"a":{ } }', b'{"a":{ } ,"ewma":21.4,"count":7}'),
        (b'{"a":"}"}', b'{"a":"}","ewma":21.4,"count":7}'),
        (b'{"a":"{"}', b'{"a":"{","ewma":21.4,"count":7}'),
    ],
)
def test_outputs_are_added_before_the_closing_brace(original, expected):
    for kind in (Kind.SMOOTHED, Kind.HELD):
        assert written(row(OUTPUTS, kind=kind, original=original)) == expected
    orjson.loads(expected)


FLAT = b'{"key":"k","timestamp":7,"value":1.5,"ewma":21.4,"count":7}'


@pytest.mark.parametrize(
    "original", [b"1.5", b"[{}]", b'"{}"', b"null", b"", b" ", None, b"{", b"}", b"{ ", b"}{"]
)
def test_what_is_no_object_becomes_a_flat_one(original):
    assert written(row(OUTPUTS, original=original)) == FLAT


def test_without_originals_all_rows_are_flat():
    assert written(replace(row(OUTPUTS), originals=None)) == FLAT
    assert written(row(OUTPUTS, original=b"{}"), WritingOptions()) == FLAT


def test_a_stale_row_has_no_original():
    stale = row(OUTPUTS, kind=Kind.STALE, original=b'{"a":1}')
    expected = b'{"key":"k","timestamp":7,"value":null,"ewma":21.4,"count":7,"stale":true}'
    assert written(stale) == expected
    assert written(stale, WritingOptions()) == expected


def test_the_mark_of_a_stale_row_may_be_an_output():
    flag = row(OUTPUTS | {"stale": np.bool_(True)}, kind=Kind.STALE)
    assert written(flag).endswith(b'"count":7,"stale":true}')


def test_a_tombstone_is_not_enriched():
    assert written(row(OUTPUTS, kind=Kind.TOMBSTONE, original=b"{}")) is None


def test_an_object_without_outputs_stays_as_it_is():
    for original in (b"{}", b'{"a":1}', b" { } "):
        assert written(row({}, original=original)) == original


def test_rows_of_all_kinds_side_by_side():
    values = [b'{"value":1.5}', b"2.5", None, b'{"value":null}', b'{"k":"\xc3\xbc","value":3.5}']
    keys = [b"a", b"b", b"c", "\u00fc".encode(), b'"']
    records = records_of(values, keys=keys)
    readings = decoder("json", ReadingOptions()).decode(records)
    rows = replace(
        smoothed_of(readings, {"ewma": np.arange(5) / 2}),
        kind=np.array([Kind.SMOOTHED, Kind.SMOOTHED, Kind.TOMBSTONE, Kind.HELD, Kind.STALE], "u1"),
        originals=records.values,
    )
    assert items(encoder("json", ENRICH).encode(rows)) == [
        b'{"value":1.5,"ewma":0.0}',
        b'{"key":"b","timestamp":1767225600123,"value":2.5,"ewma":0.5}',
        None,
        b'{"value":null,"ewma":1.5}',
        b'{"key":"\\"","timestamp":1767225600123,"value":null,"ewma":2.0,"stale":true}',
    ]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            WritingOptions(key_name="id", timestamp_name="at", value_names=("x",)),
            b'{"id":"k","at":7,"x":1.5,"ewma":21.4,"count":7}',
        ),
        (WritingOptions(key_name=None), b'{"timestamp":7,"value":1.5,"ewma":21.4,"count":7}'),
        (WritingOptions(timestamp_name=None), b'{"key":"k","value":1.5,"ewma":21.4,"count":7}'),
        (WritingOptions(value_names=(None,)), b'{"key":"k","timestamp":7,"ewma":21.4,"count":7}'),
        (
            WritingOptions(key_name=None, timestamp_name=None, value_names=(None,)),
            b'{"ewma":21.4,"count":7}',
        ),
    ],
)
def test_fields_have_the_names_they_are_given(options, expected):
    assert written(row(OUTPUTS), options) == expected
    stale = written(row(OUTPUTS, kind=Kind.STALE), options)
    assert stale == expected.replace(b":1.5", b":null")[:-1] + b',"stale":true}'


def test_with_nothing_to_write_there_is_an_empty_object():
    nothing = WritingOptions(key_name=None, timestamp_name=None, value_names=(None,))
    assert written(row({}), nothing) == b"{}"
    assert written(row({}, kind=Kind.STALE), nothing) == b'{"stale":true}'


def test_a_key_that_is_left_out_need_not_be_escaped():
    assert written(row({}, key=b'"'), WritingOptions(key_name=None)) == (
        b'{"timestamp":7,"value":1.5}'
    )


def test_several_numbers_stand_under_their_names():
    options = WritingOptions(value_names=("temp", None, "hum"))
    rows = row({"temp_ewma": 1.25}, numbers=((21.5,), (9.5,), (40.0,)))
    assert written(rows, options) == (
        b'{"key":"k","timestamp":7,"temp":21.5,"hum":40.0,"temp_ewma":1.25}'
    )
    rows.numbers[2].status[:] = Status.MISSING_VALUE
    assert written(rows, options) == (
        b'{"key":"k","timestamp":7,"temp":21.5,"hum":null,"temp_ewma":1.25}'
    )


def test_texts_of_the_input_serve_for_all_numbers_of_one_buffer():
    options = ReadingOptions(value_paths=("a", "b"))
    readings = decoder("json", options).decode(records_of([b'{"b":2.5,"a":1e1}', b'{"a":4.5}']))
    names = WritingOptions(key_name=None, timestamp_name=None, value_names=("a", "b"))
    expected = [b'{"a":10.0,"b":2.5}', b'{"a":4.5,"b":null}']
    assert items(encoder("json", names).encode(smoothed_of(readings, {}))) == expected
    other = replace(readings.numbers[1], x_text=Spans.of([b"8.5", b""]))
    apart = replace(readings, numbers=(readings.numbers[0], other))
    assert items(encoder("json", names).encode(smoothed_of(apart, {}))) == expected


def test_names_may_be_long():
    long = "a name of many more than sixteen bytes"
    options = WritingOptions(key_name=None, timestamp_name=long, value_names=(long + "!",))
    fields = {long: 7, long + "!": 1.5, long + "?": 0.5}
    assert written(row({long + "?": 0.5}), options) == orjson.dumps(fields)
    assert written(row({long: 0.5}, original=b"{}")) == orjson.dumps({long: 0.5})


@pytest.mark.parametrize("original", [None, b'{"a":1}'])
def test_nothing_is_written_beyond_the_room_there_is(monkeypatch, original):
    room = json_write._room
    for less in range(1, 100):
        monkeypatch.setattr(json_write, "_room", lambda *row, n=less: room(*row) - n)
        with pytest.raises(IndexError, match="not enough room"):
            written(row(OUTPUTS, original=original))


def test_a_text_longer_than_any_number_is_not_copied():
    long = NumberColumns(np.array([1.5]), Spans.of([b"1" * 1000]), np.zeros(1, np.uint8))
    assert written(replace(row({}), numbers=(long,))) == b'{"key":"k","timestamp":7,"value":1.5}'


@pytest.mark.parametrize(
    ("column", "text"),
    [
        (np.array([True]), b"true"),
        (np.array([False]), b"false"),
        (np.array([1], np.uint8), b"true"),
        (np.array([0], np.uint8), b"false"),
        (np.array([np.nan]), b"null"),
        (np.array([-np.inf]), b"null"),
        (np.array([7], np.int32), b"7"),
        (np.array([-0.0]), b"-0.0"),
        (np.array([0.1])[::-1], b"0.1"),
    ],
)
def test_outputs_of_every_type(column, text):
    rows = replace(row({}), outputs={"o": column})
    assert written(rows) == b'{"key":"k","timestamp":7,"value":1.5,"o":' + text + b"}"


def test_a_column_that_is_not_contiguous():
    rows = replace(
        row({}),
        keys=Spans.of([b"a", b"b"]),
        timestamp=np.array([1, 2]),
        numbers=numbers_of(np.arange(4.0)[::2]),
        kind=np.zeros(2, np.uint8),
        outputs={"o": np.arange(4.0)[1::2]},
        originals=None,
    )
    assert items(encoder("json").encode(rows)) == [
        b'{"key":"a","timestamp":1,"value":0.0,"o":1.0}',
        b'{"key":"b","timestamp":2,"value":2.0,"o":3.0}',
    ]


@pytest.mark.parametrize("name", ["key", "timestamp", "value"])
def test_two_fields_of_one_name_are_refused(name):
    with pytest.raises(ValueError, match="two fields of the output have the same name: key, "):
        written(row({name: 1.5}))


@pytest.mark.parametrize("format_name", ["text", "double"])
def test_only_json_can_be_enriched(format_name):
    with pytest.raises(SettingsError, match=f"output.shape: a value in format {format_name}"):
        encoder(format_name, ENRICH)


def test_numbers_that_are_not_finite_in_the_other_formats():
    rows = row({"ewma": np.nan})
    assert items(encoder("text").encode(rows)) == [b"NaN"]
    (double,) = items(encoder("double").encode(rows))
    assert np.isnan(np.frombuffer(double, ">f8")[0])


@pytest.mark.parametrize(("value", "text"), [(np.bool_(True), b"1.0"), (7, b"7.0")])
def test_the_other_formats_write_any_output_as_a_number(value, text):
    rows = row({"o": value})
    assert items(encoder("text").encode(rows)) == [text]
    assert items(encoder("double").encode(rows)) == [np.array([value]).astype(">f8").tobytes()]
