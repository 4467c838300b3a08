"""Numbers as Kafka's serializers write them, in and out."""

import struct

import numpy as np
import pytest

from stream_ewma.payloads import decoder, encoder
from stream_ewma.payloads.columns import Kind, ReadingOptions, Status
from tests.support.values import bits, items, records_of, smoothed_of

NUMBERS = [21.7351, -0.0, 5e-324, 1.7976931348623157e308]


def test_doubles_are_eight_bytes_big_endian():
    values = [struct.pack(">d", x) for x in NUMBERS]
    readings = decoder("double", ReadingOptions()).decode(records_of(values, between=b"\xff"))
    assert readings.status.tolist() == [Status.OK] * 4
    assert bits(readings.numbers[0].x) == bits(np.array(NUMBERS))
    assert items(readings.numbers[0].x_text) == [b""] * 4


def test_floats_are_four_bytes_widened_exactly():
    values = [struct.pack(">f", x) for x in (21.7351, -0.0, 1e-45)]
    readings = decoder("float", ReadingOptions()).decode(records_of(values))
    assert bits(readings.numbers[0].x) == bits(
        np.array([21.7351, -0.0, 1e-45], np.float32).astype(np.float64)
    )


@pytest.mark.parametrize("name", ["double", "float"])
def test_any_other_length_cannot_be_decoded(name):
    size = 8 if name == "double" else 4
    values = [b"\x00" * n for n in (0, size - 1, size + 1, 12)]
    readings = decoder(name, ReadingOptions()).decode(records_of(values))
    assert readings.status.tolist() == [Status.DECODE] * 4


@pytest.mark.parametrize(("name", "code"), [("double", ">d"), ("float", ">f")])
def test_what_is_not_finite_says_so(name, code):
    values = [struct.pack(code, x) for x in (float("nan"), float("inf"), float("-inf"), 1.0)]
    readings = decoder(name, ReadingOptions()).decode(records_of(values))
    assert readings.status.tolist() == [*[Status.NON_FINITE] * 3, Status.OK]
    assert readings.numbers[0].x.tolist() == [0.0, 0.0, 0.0, 1.0]


def test_signalling_nans_say_so_too():
    values = [bytes.fromhex("7f800001")]
    readings = decoder("float", ReadingOptions()).decode(records_of(values))
    assert readings.status.tolist() == [Status.NON_FINITE]


def test_tombstones_and_values_beyond_the_limit():
    options = ReadingOptions(max_value_bytes=7)
    readings = decoder("double", options).decode(records_of([None, b"\x00" * 8]))
    assert readings.status.tolist() == [Status.TOMBSTONE, Status.TOO_LARGE]


def test_no_records_make_no_readings():
    assert len(decoder("double", ReadingOptions()).decode(records_of([]))) == 0


def test_the_first_output_is_written_as_eight_bytes():
    values = [struct.pack(">d", x) for x in NUMBERS]
    readings = decoder("double", ReadingOptions()).decode(records_of(values))
    outputs = {"ewma": np.array(NUMBERS), "count": np.arange(4)}
    rows = smoothed_of(readings, outputs)
    rows.kind[2] = Kind.TOMBSTONE
    written = items(encoder("double").encode(rows))
    assert written == [*values[:2], None, values[3]]
