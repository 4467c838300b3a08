"""JSON values of smoothed rows."""

import numpy as np
import orjson
import pytest

from stream_ewma.columns import Spans
from stream_ewma.payloads import decoder, encoder
from stream_ewma.payloads.columns import Kind, NumberColumns, ReadingOptions, SmoothedColumns
from tests.support.values import items, records_of, smoothed_of


def rows_of(keys, *, timestamp=1_767_225_600_123, x=21.7351, kind=Kind.SMOOTHED, outputs=None):
    """Rows alike but for their keys."""
    n = len(keys)
    return SmoothedColumns(
        keys=Spans.of(keys),
        timestamp=np.full(n, timestamp),
        numbers=(NumberColumns(np.full(n, x), Spans.of([b""] * n), np.zeros(n, np.uint8)),),
        kind=np.full(n, kind, np.uint8),
        outputs={"ewma": np.full(n, 21.5021), "count": np.full(n, 1042)}
        if outputs is None
        else outputs,
    )


def written(rows):
    """The values of the rows."""
    return items(encoder("json").encode(rows))


def test_a_row_in_full():
    assert written(rows_of([b"pump-7"])) == [
        b'{"key":"pump-7","timestamp":1767225600123,"value":21.7351,"ewma":21.5021,"count":1042}'
    ]


def test_a_held_row_has_no_value():
    assert written(rows_of([b"pump-7"], kind=Kind.HELD)) == [
        b'{"key":"pump-7","timestamp":1767225600123,"value":null,"ewma":21.5021,"count":1042}'
    ]


def test_a_tombstone_has_no_bytes():
    assert written(rows_of([b"pump-7"], kind=Kind.TOMBSTONE)) == [None]


def test_rows_of_every_kind_keep_their_own_numbers():
    values = [b"1.5", b"2", b"3", b"4.5", b"5", b"6.25"]
    readings = decoder("json", ReadingOptions()).decode(records_of(values))
    rows = smoothed_of(
        readings, {"a": np.arange(6) / 4, "n": np.arange(6), "b": np.arange(6) * 1000.0}
    )
    rows.kind[:] = [
        Kind.SMOOTHED,
        Kind.HELD,
        Kind.TOMBSTONE,
        Kind.SMOOTHED,
        Kind.SMOOTHED,
        Kind.HELD,
    ]
    head = b'{"key":"k","timestamp":1767225600123,"value":'
    assert written(rows) == [
        head + b'1.5,"a":0.0,"n":0,"b":0.0}',
        head + b'null,"a":0.25,"n":1,"b":1000.0}',
        None,
        head + b'4.5,"a":0.75,"n":3,"b":3000.0}',
        head + b'5.0,"a":1.0,"n":4,"b":4000.0}',
        head + b'null,"a":1.25,"n":5,"b":5000.0}',
    ]


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (b"", b'""'),
        (b"a key of more than eight bytes!~", b'"a key of more than eight bytes!~"'),
        (b'say "hi"', b'"say \\"hi\\""'),
        (b"back\\slash", b'"back\\\\slash"'),
        (b"tab\there", b'"tab\\there"'),
        (b"\x00", b'"\\u0000"'),
        (b"\x7f", b'"\x7f"'),
        ("\u00fcber".encode(), '"\u00fcber"'.encode()),
        (b"\xff\xfe", '"\ufffd\ufffd"'.encode()),
        (None, b"null"),
    ],
)
def test_keys_are_escaped_where_they_must_be(key, text):
    start = b'{"key":' + text + b',"timestamp"'
    first, plain, last = written(rows_of([key, b"plain", key]))
    assert first.startswith(start)
    assert last == first
    assert plain.startswith(b'{"key":"plain",')


@pytest.mark.parametrize("length", range(26))
def test_a_key_is_escaped_wherever_it_must_be(length):
    keys = [b"a" * length]
    for at in range(length):
        for special in (b'"', b"\\", b"\x1f", b"\xff"):
            keys += [b"a" * at + special + b"a" * (length - at - 1), b"a" * length]
    for key, value in zip(keys, written(rows_of(keys)), strict=True):
        text = orjson.dumps(key.decode(errors="replace"))
        assert value.startswith(b'{"key":' + text + b',"timestamp"')


def test_names_of_outputs_are_escaped():
    assert written(rows_of([b"k"], outputs={'a"b': np.array([1.5])}))[0].endswith(b',"a\\"b":1.5}')


@pytest.mark.parametrize(
    "number",
    [
        *(0, 7, 10, 99_999_999, 100_000_000, 123_456_789_012, 9_999_999_999_999_999),
        *(10_000_000_000_000_000, 2**63 - 1, -1, -(2**63) + 1, -100_000_000),
    ],
)
def test_integers_are_written_in_full(number):
    rows = rows_of([b"k"], timestamp=number, outputs={"n": np.array([number])})
    assert written(rows) == [
        b'{"key":"k","timestamp":%d,"value":21.7351,"n":%d}' % (number, number)
    ]


def test_no_rows_make_no_values():
    assert written(rows_of([])) == []
