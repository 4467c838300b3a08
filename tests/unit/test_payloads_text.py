"""Numbers as text, in and out."""

import numpy as np
import pytest

from stream_ewma.errors import SettingsError
from stream_ewma.payloads import decoder, encoder, text
from stream_ewma.payloads.columns import Kind, ReadingOptions, Status
from tests.support.values import RECORD_TIME, bits, items, records_of, smoothed_of


def read(values, options=None, **more):
    """The readings of text values."""
    return decoder("text", options or ReadingOptions()).decode(records_of(values, **more))


@pytest.mark.parametrize(
    "value",
    [b"21.7", b" 21.7\r\n", b"\t\v\f-1e-5", b"2.17e1", b"-0", b"0", b"20.310420695897527", b"1E5"],
)
def test_everyday_numbers_are_read_by_the_kernel_alone(monkeypatch, value):
    monkeypatch.setattr(text, "read_text", lambda data: pytest.fail(f"left over: {data!r}"))
    readings = read([value])
    assert readings.status.tolist() == [Status.OK]
    assert bits(readings.numbers[0].x) == bits(np.array([float(value)]))


@pytest.mark.parametrize(
    "value",
    [b"+21.7", b".5", b"5.", b"007", b" +.5e-3 ", b"12345678901234567890", b"5e-324", b"1e308"],
)
def test_whatever_float_reads_is_read(value):
    readings = read([value])
    assert readings.status.tolist() == [Status.OK]
    assert bits(readings.numbers[0].x) == bits(np.array([float(value)]))


@pytest.mark.parametrize("value", [b"nan", b"-NaN", b"inf", b"+Infinity", b"1e999", b"9" * 400])
def test_what_is_not_finite_says_so(value):
    assert read([value]).status.tolist() == [Status.NON_FINITE]


@pytest.mark.parametrize(
    "value",
    [
        *(
            b"",
            b"   ",
            b"abc",
            b"1_000",
            b"0x10",
            b"1,5",
            b"1 2",
            b"1e",
            b".",
            b"+",
            b"\xff",
            b"1\x00",
        ),
        *("\u0661".encode(), "\u00a01".encode(), b"\x1c1", b"null", b"21.7 C"),
    ],
)
def test_what_is_no_number_cannot_be_decoded(value):
    assert read([value]).status.tolist() == [Status.DECODE]


def test_key_and_time_are_the_records():
    readings = read([b"1.5", None, b"1.25"], keys=[b"a", b"b", None])
    assert items(readings.keys) == [b"a", b"b", None]
    assert readings.timestamp.tolist() == [RECORD_TIME] * 3
    assert readings.status.tolist() == [Status.OK, Status.TOMBSTONE, Status.OK]


def test_a_record_without_a_time_has_none():
    readings = read([b"1.5", b"x", None], timestamp=-1)
    assert readings.status.tolist() == [Status.BAD_TIMESTAMP, Status.DECODE, Status.TOMBSTONE]
    assert readings.numbers[0].x.tolist() == [0.0, 0.0, 0.0]
    required = read([b"1.5"], ReadingOptions(timestamp_required=True))
    assert required.status.tolist() == [Status.BAD_TIMESTAMP]


def test_values_beyond_the_limit_are_not_looked_at():
    readings = read([b"1.5", b"1.55"], ReadingOptions(max_value_bytes=3))
    assert readings.status.tolist() == [Status.OK, Status.TOO_LARGE]


@pytest.mark.parametrize("name", ["text", "double", "float"])
def test_a_key_cannot_come_from_such_a_value(name):
    with pytest.raises(SettingsError, match=f"input.key: a value in format {name} holds no key"):
        decoder(name, ReadingOptions(key_path="id"))


def test_the_first_output_is_written():
    readings = read([b"1", b"2", b"3"])
    outputs = {"ewma": np.array([1.5, 0.1, -2.5]), "count": np.array([1, 2, 3])}
    rows = smoothed_of(readings, outputs)
    rows.kind[1] = Kind.TOMBSTONE
    assert items(encoder("text").encode(rows)) == [b"1.5", None, b"-2.5"]


def test_no_rows_make_no_texts():
    assert items(encoder("text").encode(smoothed_of(read([]), {"ewma": np.zeros(0)}))) == []
