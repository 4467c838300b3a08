"""What each JSON value is read as, and that everyday values need no library."""

import numpy as np
import pytest

from stream_ewma.errors import SettingsError
from stream_ewma.payloads import decoder, json_read
from stream_ewma.payloads.columns import ReadingOptions, Status
from tests.support.values import RECORD_TIME, bits, items, records_of

ANY_TIME = 1_700_000_000_000


def read(value, options=None, **more):
    """The only row of a reading."""
    readings = decoder("json", options or ReadingOptions()).decode(records_of([value], **more))
    return Status(readings.status[0]), float(readings.numbers[0].x[0]), int(readings.timestamp[0])


@pytest.fixture
def no_library(monkeypatch):
    """Fail the test where a record is left to the library."""

    def refuse(data, *_):
        pytest.fail(f"left to the library: {data!r}")

    monkeypatch.setattr(json_read, "read_document", refuse)


@pytest.mark.parametrize(
    ("value", "options", "x", "timestamp"),
    [
        (b"21.7351", ReadingOptions(), 21.7351, RECORD_TIME),
        (b"-22", ReadingOptions(), -22.0, RECORD_TIME),
        (b" 1e3\n", ReadingOptions(), 1000.0, RECORD_TIME),
        (b'{"value":21.7351,"timestamp":1700000000000}', ReadingOptions(), 21.7351, ANY_TIME),
        (b'{"value":20.310420695897527}', ReadingOptions(), 20.310420695897527, RECORD_TIME),
        (b'{"value":2.2250738585072014e-308}', ReadingOptions(), 2.0**-1022, RECORD_TIME),
        (b'{ "value" : 0.1 , "timestamp" : null }', ReadingOptions(), 0.1, RECORD_TIME),
        (b'{"value":1,"timestamp":"2023-11-14T22:13:20.000Z"}', ReadingOptions(), 1.0, ANY_TIME),
        (b'{"value":1,"timestamp":-1}', ReadingOptions(), 1.0, -1),
        (b'{"value":1,"timestamp":5}', ReadingOptions(timestamp_path=None), 1.0, RECORD_TIME),
        (
            '{"sensor":"abc","unit":"\u00b0C","ok":true,"tags":[1,{"value":9}],"value":3.5}'.encode(),
            ReadingOptions(),
            3.5,
            RECORD_TIME,
        ),
        (
            b'{"name":"temp","tags":{},"fields":{"x":[],"value":21.7},"timestamp":1700000000}',
            ReadingOptions(value_paths=("fields.value",), timestamp_unit="s"),
            21.7,
            ANY_TIME,
        ),
        (
            b'{"schema":{"fields":[{"value":0}]},"payload":{"value":21.7}}',
            ReadingOptions(value_paths=("payload.value",)),
            21.7,
            RECORD_TIME,
        ),
        (
            b'{"data":{"value":21.7},"time":"2023-11-14T23:13:20+01:00"}',
            ReadingOptions(value_paths=("data.value",), timestamp_path="time"),
            21.7,
            ANY_TIME,
        ),
        (b'{"value":"-0"}', ReadingOptions(coerce_strings=True), -0.0, RECORD_TIME),
        (
            b'{"value":1,"timestamp":1700000000000000000}',
            ReadingOptions(timestamp_unit="ns"),
            1.0,
            ANY_TIME,
        ),
    ],
)
def test_everyday_values_are_read_by_the_kernel_alone(no_library, value, options, x, timestamp):
    status, number, time = read(value, options)
    assert (status, time) == (Status.OK, timestamp)
    assert bits(np.array([number])) == bits(np.array([x]))


@pytest.mark.parametrize("behind", [b"", b"5", b".5", b"e5", b"5" * 20, b'"', b" "])
@pytest.mark.parametrize(
    "value",
    [b"7", b"21", b"21.5", b"-0.25", b"1234567", b"12345678", b"1767225600123", b"1.2345678"],
)
def test_a_number_ends_with_its_value(no_library, value, behind):
    records = records_of([value] * 3, between=behind)
    readings = decoder("json", ReadingOptions()).decode(records)
    assert readings.numbers[0].x.tolist() == [float(value)] * 3


@pytest.mark.parametrize(
    ("value", "status"),
    [
        (b"", Status.DECODE),
        (b" ", Status.DECODE),
        (b"{", Status.DECODE),
        (b'{"value":1}x', Status.DECODE),
        (b'{"value":1,}', Status.DECODE),
        (b"[1,]", Status.DECODE),
        (b'{"value":01}', Status.DECODE),
        (b'{"value":1,"a":"\xff"}', Status.DECODE),
        (b'{"value":1,"a":"\\ud800"}', Status.DECODE),
        (b'{"value":1,"a":"\x01"}', Status.DECODE),
        (b'\xef\xbb\xbf{"value":1}', Status.DECODE),
        ('{"value":1}'.encode("utf-16"), Status.DECODE),
        (b"{'value':1}", Status.DECODE),
        (b'{"value":1.5,"other":NaN}', Status.DECODE),
        (b'{"value":1.5,"other":1e999}', Status.DECODE),
        (b"[" * 100_000, Status.DECODE),
        (b"[NaN]", Status.DECODE),
        (b"NaN", Status.NON_FINITE),
        (b'{"value":-Infinity}', Status.NON_FINITE),
        (b'{"value":1e999}', Status.NON_FINITE),
        (b"1" * 400, Status.NON_FINITE),
        (b"-" + b"1" * 5000, Status.NON_FINITE),
        (b'{"value":NaN,"a":"\\ud800"}', Status.NON_FINITE),
        (b"{}", Status.MISSING_VALUE),
        (b'{"fields":{"value":1}}', Status.MISSING_VALUE),
        (b'{"value":true}', Status.NOT_NUMERIC),
        (b'{"value":false}', Status.NOT_NUMERIC),
        (b'{"value":"1.5"}', Status.NOT_NUMERIC),
        (b'{"value":[1]}', Status.NOT_NUMERIC),
        (b'{"value":{}}', Status.NOT_NUMERIC),
        (b"true", Status.NOT_NUMERIC),
        (b'"1.5"', Status.NOT_NUMERIC),
        (b"[1.5]", Status.NOT_NUMERIC),
        (b'{"value":null}', Status.NULL),
        (b"null", Status.NULL),
        (None, Status.TOMBSTONE),
        (b'{"value":1,"timestamp":"yesterday"}', Status.BAD_TIMESTAMP),
        (b'{"value":1,"timestamp":"2023-11-14T22:13:20"}', Status.BAD_TIMESTAMP),
        (b'{"value":1,"timestamp":1.5}', Status.BAD_TIMESTAMP),
        (b'{"value":1,"timestamp":1.0}', Status.BAD_TIMESTAMP),
        (b'{"value":1,"timestamp":1e3}', Status.BAD_TIMESTAMP),
        (b'{"value":1,"timestamp":true}', Status.BAD_TIMESTAMP),
        (b'{"value":1,"timestamp":[]}', Status.BAD_TIMESTAMP),
        (b'{"value":1,"timestamp":9007199254740992}', Status.BAD_TIMESTAMP),
        (b'{"value":1,"timestamp":18446744073709551616}', Status.BAD_TIMESTAMP),
        (b'{"value":null,"timestamp":true}', Status.BAD_TIMESTAMP),
        (b'{"value":true,"timestamp":true}', Status.NOT_NUMERIC),
    ],
)
def test_what_is_no_reading_says_why(value, status):
    assert read(value) == (status, 0.0, RECORD_TIME)


def test_of_a_name_given_twice_the_last_counts():
    assert read(b'{"value":1,"value":2}')[:2] == (Status.OK, 2.0)
    nested = ReadingOptions(value_paths=("a.value",))
    assert read(b'{"a":{"value":1},"a":{}}', nested)[0] == Status.MISSING_VALUE


@pytest.mark.parametrize(
    "value",
    [
        *(b'{"value":1}', b'{"a":{"value":1}}', b'{"fields":{},"a":{"value":1}}', b'{"fields":1}'),
        *(
            b'{"fields":[{"value":1}]}',
            b'{"fields":{"a":{"value":1}}}',
            b'[{"fields":{"value":1}}]',
        ),
        *(b'{"fields":{"a":{}},"value":1}', b'{"fields":null}', b'{"a":{"fields":{"value":1}}}'),
    ],
)
def test_a_path_is_followed_name_by_name(no_library, value):
    expected = Status.NOT_NUMERIC if value.startswith(b"[") else Status.MISSING_VALUE
    assert read(value, ReadingOptions(value_paths=("fields.value",)))[0] == expected


def test_what_follows_an_inner_object_is_still_on_the_path(no_library):
    options = ReadingOptions(value_paths=("a.value",), timestamp_path="a.b.time")
    value = b'{"a":{"b":{"time":5},"c":[{}],"value":1.5},"b":{}}'
    assert read(value, options) == (Status.OK, 1.5, 5)


def test_an_escaped_name_is_the_same_name():
    assert read(b'{"\\u0076alue":1.5}')[:2] == (Status.OK, 1.5)


def test_integers_of_any_size_are_rounded_to_the_nearest_double():
    assert read(b"9007199254740993")[1] == 9007199254740992.0
    assert read(b"-18446744073709551617")[1] == -18446744073709551616.0
    assert read(b"1" * 309)[1] == float("1" * 309)


def test_the_integer_minus_zero_has_no_sign_and_the_fraction_has():
    assert bits(np.array([read(b"-0")[1]])) == bits(np.array([0.0]))
    assert bits(np.array([read(b"-0.0")[1]])) == bits(np.array([-0.0]))


def test_values_beyond_the_limit_are_not_looked_at():
    options = ReadingOptions(max_value_bytes=3)
    assert read(b"1.5", options)[0] == Status.OK
    assert read(b"not json", options)[0] == Status.TOO_LARGE


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b'"21.5"', (Status.OK, 21.5)),
        (b'" +21.5 "', (Status.OK, 21.5)),
        (b'"nan"', (Status.NON_FINITE, 0.0)),
        (b'"abc"', (Status.NOT_NUMERIC, 0.0)),
        (b'""', (Status.NOT_NUMERIC, 0.0)),
        (b"true", (Status.NOT_NUMERIC, 0.0)),
    ],
)
def test_strings_are_numbers_only_where_asked_for(text, expected):
    options = ReadingOptions(coerce_strings=True)
    assert read(b'{"value":' + text + b"}", options)[:2] == expected
    assert read(text, options)[:2] == expected


def test_absence_of_the_event_time():
    required = ReadingOptions(timestamp_required=True)
    assert read(b'{"value":1}', required)[0] == Status.BAD_TIMESTAMP
    assert read(b'{"value":1,"timestamp":null}', required)[0] == Status.BAD_TIMESTAMP
    assert read(b"1.5", required)[0] == Status.BAD_TIMESTAMP
    assert read(b'{"\\u0061":1,"value":1}', required)[0] == Status.BAD_TIMESTAMP
    assert read(b'{"value":1}', timestamp=-1)[0] == Status.BAD_TIMESTAMP
    assert read(b'{"value":1,"timestamp":7}', timestamp=-1) == (Status.OK, 1.0, 7)


@pytest.mark.parametrize(
    ("unit", "number", "ms"),
    [
        ("s", 1_700_000_000, ANY_TIME),
        ("s", -1, -1000),
        ("ms", 1_700_000_000_999, ANY_TIME + 999),
        ("us", 1_700_000_000_000_999, ANY_TIME),
        ("us", -1, -1),
        ("us", -1000, -1),
        ("ns", 1_700_000_000_000_999_999, ANY_TIME),
        ("ns", -1_000_001, -2),
    ],
)
def test_epoch_integers_are_rounded_down_to_the_millisecond(no_library, unit, number, ms):
    options = ReadingOptions(timestamp_unit=unit)
    assert read(b'{"value":1,"timestamp":%d}' % number, options) == (Status.OK, 1.0, ms)


def test_keys_come_from_the_value():
    options = ReadingOptions(key_path="id")
    values = [
        b'{"id":"pump-7","value":1}',
        '{"id":"p\u00fcmp","value":1}'.encode(),
        b'{"id":"a\\n\\u00e9","value":1}',
        b'{"id":42,"value":1}',
        b'{"id":-0,"value":1}',
        b'{"id":18446744073709551615,"value":null}',
        b'{"id":"","value":1}',
        None,
    ]
    readings = decoder("json", options).decode(records_of(values))
    assert items(readings.keys) == [
        *(b"pump-7", "p\u00fcmp".encode(), "a\n\u00e9".encode(), b"42", b"0"),
        *(b"18446744073709551615", b"", b"k"),
    ]
    assert readings.status.tolist() == [0, 0, 0, 0, 0, Status.NULL, 0, Status.TOMBSTONE]


@pytest.mark.parametrize(
    "value",
    [
        *(b'{"value":1}', b'{"id":null,"value":1}', b'{"id":true}', b'{"id":1.0,"value":1}'),
        *(b'{"id":[],"value":1}', b"1.5", b'{"id":18446744073709551616,"value":1}'),
        b'{"\\u0069d":1.5,"value":1}',
    ],
)
def test_without_a_key_at_its_path_nothing_else_matters(value):
    readings = decoder("json", ReadingOptions(key_path="id")).decode(records_of([value]))
    assert readings.status[0] == Status.MISSING_KEY
    assert readings.keys.item(0) is None


def test_tombstones_without_a_key_of_their_own_have_none():
    options = ReadingOptions(key_path="id")
    readings = decoder("json", options).decode(records_of([None], keys=[None]))
    assert items(readings.keys) == [None]


def test_without_a_key_path_the_records_keys_pass_through():
    records = records_of([b"1", b"x", b'{"value":"\\n"}'], keys=[b"a", None, b""])
    readings = decoder("json", ReadingOptions()).decode(records)
    assert items(readings.keys) == [b"a", None, b""]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        *((b"21.7351", b"21.7351"), (b"5.0", b"5.0"), (b"0.001", b"0.001"), (b"-0.5", b"-0.5")),
        *((b"0.0001", b"0.0001"), (b"0.00001", b""), (b"22", b""), (b"1.50", b""), (b"1e3", b"")),
        *((b"0.0", b"0.0"), (b"-0.0", b"-0.0"), (b"5.00", b""), (b"20.310420695897527", b"")),
        *((b"12345678901234.5", b"12345678901234.5"), (b"123456789012345.6", b"")),
    ],
)
def test_the_numbers_own_text_serves_where_it_is_the_shortest(number, text):
    readings = decoder("json", ReadingOptions()).decode(records_of([b'{"value":' + number + b"}"]))
    assert readings.numbers[0].x_text.item(0) == text
    assert readings.numbers[0].x[0] == float(number)


def test_no_records_make_no_readings():
    readings = decoder("json", ReadingOptions(key_path="id")).decode(records_of([]))
    assert len(readings) == 0


def test_one_bad_value_leaves_its_neighbours_as_they_are():
    values = [b"1.5", b"{", b'{"value":2.5}']
    readings = decoder("json", ReadingOptions()).decode(records_of(values))
    assert readings.status.tolist() == [Status.OK, Status.DECODE, Status.OK]
    assert readings.numbers[0].x.tolist() == [1.5, 0.0, 2.5]


def test_more_names_than_the_kernel_has_bits_for_are_refused():
    with pytest.raises(SettingsError, match="at most 62"):
        decoder("json", ReadingOptions(value_paths=(".".join("a" * 62),)))
    decoder("json", ReadingOptions(value_paths=(".".join("a" * 61),)))


@pytest.mark.parametrize("lead", range(0x80, 0x100))
def test_utf_8_is_judged_as_python_does(lead):
    """Every lead byte with the bytes around the limits of what may follow it."""
    edges = (0x00, 0x22, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xFF)
    tails = [b"", *(bytes([byte]) + rest for byte in edges for rest in (b"", b"\x80", b"\x80\xbf"))]
    values = [b'{"a":"' + bytes([lead]) + tail + b'","value":1.5}' for tail in tails]
    readings = decoder("json", ReadingOptions()).decode(records_of(values))
    for value, status in zip(values, readings.status, strict=True):
        text = value.decode(errors="replace")
        sound = "\ufffd" not in text and "\x00" not in text and text.count('"') == 6
        assert status == (Status.OK if sound else Status.DECODE), value


@pytest.mark.parametrize("text", ["\u00b5m", "\u20ac", "\U0001f321", "\U0010ffff", "\ud7ff\ue000"])
def test_text_in_any_script_needs_no_library(no_library, text):
    status, x, _ = read(('{"unit":"' + text + '","value":1.5}').encode())
    assert (status, x) == (Status.OK, 1.5)


def test_a_string_cut_off_within_a_character_cannot_be_decoded():
    for end in range(1, 5):
        assert read(b'{"a":"' + "\U0001f321".encode()[:end])[0] == Status.DECODE


def test_the_library_too_leaves_an_event_time_alone_that_is_not_wanted():
    options = ReadingOptions(timestamp_path=None)
    assert read(b'{"\\u0061":1,"value":1,"timestamp":5}', options) == (Status.OK, 1.0, RECORD_TIME)


@pytest.mark.parametrize("timestamp", [b"", b',"timestamp":null'], ids=["absent", "null"])
def test_the_library_too_takes_the_records_time_where_the_value_has_none(timestamp):
    # The escape in a name is what the kernels leave to the library.
    value = b'{"value":1.5,"a\\u0062":0' + timestamp + b"}"

    assert read(value) == (Status.OK, 1.5, RECORD_TIME)
    required = ReadingOptions(timestamp_required=True)
    assert read(value, required)[0] == Status.BAD_TIMESTAMP


@pytest.mark.parametrize(
    ("timestamp", "expected"),
    [
        (b"7", (Status.OK, 1.5, 7)),
        (b'"1970-01-01T00:00:01Z"', (Status.OK, 1.5, 1000)),
        (b"true", (Status.BAD_TIMESTAMP, 0.0, RECORD_TIME)),
        (b"7.5", (Status.BAD_TIMESTAMP, 0.0, RECORD_TIME)),
    ],
)
def test_the_library_too_reads_event_times(timestamp, expected):
    assert read(b'{"value":1.5,"a\\u0062":0,"timestamp":' + timestamp + b"}") == expected
