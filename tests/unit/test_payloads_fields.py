"""Several numbers in one JSON value, its weight, what restarts its key, names it must not have."""

import numpy as np
import pytest

from stream_ewma.errors import SettingsError
from stream_ewma.payloads import decoder
from stream_ewma.payloads.columns import ReadingOptions, Status
from tests.support.values import RECORD_TIME, bits, records_of

OK, NULL, MISSING = Status.OK, Status.NULL, Status.MISSING_VALUE

TWO = ReadingOptions(value_paths=("temp", "in.hum"))

# An escape in a name is what the kernel leaves to the library.
WAYS = pytest.mark.parametrize("also", [b"", b',"\\u0061":0'], ids=["kernel", "library"])


def read(value, options, also=b""):
    """The readings of one object with the members `value`."""
    return decoder("json", options).decode(records_of([b"{" + value + also + b"}"]))


@WAYS
@pytest.mark.parametrize(
    ("value", "status", "numbers"),
    [
        (b'"temp":1.5,"in":{"hum":40}', OK, [(OK, 1.5), (OK, 40.0)]),
        (b'"in":{"hum":40},"temp":-1.5', OK, [(OK, -1.5), (OK, 40.0)]),
        (b'"temp":1.5', OK, [(OK, 1.5), (MISSING, 0.0)]),
        (b'"in":{"hum":2.5}', OK, [(MISSING, 0.0), (OK, 2.5)]),
        (b'"temp":null,"in":{"hum":2.5}', OK, [(NULL, 0.0), (OK, 2.5)]),
        (b'"temp":null,"in":{"hum":null}', NULL, [(NULL, 0.0), (NULL, 0.0)]),
        (b'"temp":null,"in":{}', NULL, [(NULL, 0.0), (MISSING, 0.0)]),
        (b'"in":{"hum":null}', NULL, [(MISSING, 0.0), (NULL, 0.0)]),
        (b'"in":7', MISSING, [(MISSING, 0.0), (MISSING, 0.0)]),
        (b'"temp":1.5,"in":{"hum":"40"}', Status.NOT_NUMERIC, [(Status.NOT_NUMERIC, 0.0)] * 2),
        (b'"temp":true,"in":{"hum":NaN}', Status.NOT_NUMERIC, [(Status.NOT_NUMERIC, 0.0)] * 2),
        (b'"temp":1.5,"in":{"hum":1e999}', Status.NON_FINITE, [(Status.NON_FINITE, 0.0)] * 2),
        (b'"temp":Infinity,"in":{"hum":[]}', Status.NON_FINITE, [(Status.NON_FINITE, 0.0)] * 2),
    ],
)
def test_each_number_has_a_status_of_its_own_and_a_bad_one_fails_the_record(
    also, value, status, numbers
):
    readings = read(value, TWO, also)
    assert readings.status.tolist() == [status]
    assert [(c.status[0], c.x[0]) for c in readings.numbers] == numbers
    assert all(c.x_text.item(0) == b"" for c in readings.numbers if c.status[0] != OK)


def test_the_numbers_own_texts_are_kept_apart():
    readings = read(b'"temp":1.5,"in":{"hum":40.25}', TWO)
    assert [columns.x_text.item(0) for columns in readings.numbers] == [b"1.5", b"40.25"]


@pytest.mark.parametrize("value", [b"1.5", b"null", b"[1]", b'"1"', b"1e999"])
def test_a_value_that_is_no_object_is_none_of_several_numbers(value):
    expected = Status.DECODE if value == b"1e999" else MISSING
    assert decoder("json", TWO).decode(records_of([value])).status.tolist() == [expected]


def test_two_numbers_may_stand_at_one_path():
    readings = read(b'"a":1.5', ReadingOptions(value_paths=("a", "a"), weight_path="a"))
    assert readings.weight.tolist() == [1.5]
    assert [columns.x[0] for columns in readings.numbers] == [1.5, 1.5]


@WAYS
@pytest.mark.parametrize(
    ("weight", "status", "expected"),
    [
        *((b"2", OK, 2.0), (b"0.5", OK, 0.5), (b"5e-324", OK, 5e-324), (b"null", OK, 1.0)),
        *((b"0", Status.BAD_WEIGHT, 1.0), (b"-0.0", Status.BAD_WEIGHT, 1.0)),
        *((b"-1", Status.BAD_WEIGHT, 1.0), (b"true", Status.BAD_WEIGHT, 1.0)),
        *((b'"2"', Status.BAD_WEIGHT, 1.0), (b"[]", Status.BAD_WEIGHT, 1.0)),
        *((b"1e999", Status.BAD_WEIGHT, 1.0), (b"NaN", Status.BAD_WEIGHT, 1.0)),
        *((b"1e-999", Status.BAD_WEIGHT, 1.0), (b"18446744073709551616", OK, 2.0**64)),
    ],
)
def test_a_weight_is_a_number_above_0(also, weight, status, expected):
    options = ReadingOptions(weight_path="w")
    readings = read(b'"value":1.5,"w":' + weight, options, also)
    assert readings.status.tolist() == [status]
    assert readings.weight.tolist() == [expected]
    assert readings.numbers[0].x.tolist() == [1.5 if status == OK else 0.0]


@WAYS
def test_a_weight_may_be_absent_or_in_a_string(also):
    assert read(b'"value":1.5', ReadingOptions(weight_path="w"), also).weight.tolist() == [1.0]
    coerced = ReadingOptions(weight_path="w", coerce_strings=True)
    assert read(b'"value":1.5,"w":" 2 "', coerced, also).weight.tolist() == [2.0]
    assert read(b'"value":1.5,"w":"2"', coerced, also).weight.tolist() == [2.0]
    failed = read(b'"value":1.5,"w":"inf"', coerced, also)
    assert failed.status.tolist() == [Status.BAD_WEIGHT]


@WAYS
@pytest.mark.parametrize(
    ("mark", "expected"),
    [
        *((b"true", 1), (b"false", 0), (b"null", 0), (b"1", 1), (b"0", 0), (b"-0.0", 0)),
        *((b'"new"', 1), (b'""', 0), (b"0.1", 1), (b"1e-999", 0), (b"[1]", 0), (b'{"b":1}', 0)),
        *((b"123456789012345678901234567890", 1), (b'"0"', 1)),
    ],
)
def test_a_mark_restarts_the_key(also, mark, expected):
    options = ReadingOptions(reset_path="r")
    readings = read(b'"value":1.5,"r":' + mark, options, also)
    assert readings.status.tolist() == [OK]
    assert readings.restart.tolist() == [expected]
    assert read(b'"value":1.5', options, also).restart.tolist() == [0]
    assert read(b'"value":true,"r":' + mark, options, also).restart.tolist() == [0]


def test_a_mark_that_is_not_finite_is_no_json():
    readings = read(b'"value":1.5,"r":NaN', ReadingOptions(reset_path="r"))
    assert readings.status.tolist() == [Status.DECODE]


def test_without_paths_there_are_no_weights_and_restarts():
    readings = read(b'"value":1.5', ReadingOptions())
    assert readings.weight is None
    assert readings.restart is None


@WAYS
@pytest.mark.parametrize("member", [b"1", b"null", b'"x"', b"{}", b"[]", b"false"])
def test_a_name_that_is_to_be_added_must_not_be_there(also, member):
    options = ReadingOptions(reserved_names=("ewma", "count"))
    for name in (b"ewma", b"count"):
        readings = read(b'"value":1.5,"' + name + b'":' + member, options, also)
        assert readings.status.tolist() == [Status.NAME_TAKEN]
        assert readings.numbers[0].x.tolist() == [0.0]
    for sound in (b'"value":1.5,"a":{"ewma":1}', b'"value":1.5,"ewma2":1'):
        assert read(sound, options, also).status.tolist() == [OK]
    assert decoder("json", options).decode(records_of([b"1.5"])).status.tolist() == [OK]


@WAYS
def test_reasons_come_in_their_order(also):
    options = ReadingOptions(key_path="k", weight_path="w", reserved_names=("ewma",))
    members = [b'"ewma":1', b'"timestamp":true', b'"w":0', b'"value":true', b'"k":true']
    expected = [
        *(Status.NAME_TAKEN, Status.BAD_TIMESTAMP, Status.BAD_WEIGHT, Status.NOT_NUMERIC),
        Status.MISSING_KEY,
    ]
    sound = [b'"value":1', b'"k":"a"']
    for count, status in enumerate(expected, 1):
        bad = members[:count]
        names = {member.split(b":")[0] for member in bad}
        rest = [member for member in sound if member.split(b":")[0] not in names]
        assert read(b",".join([*bad, *rest]), options, also).status.tolist() == [status]


def test_a_failure_leaves_nothing_of_its_row_behind():
    options = ReadingOptions(
        value_paths=("a", "b"), weight_path="w", reset_path="r", timestamp_path="t"
    )
    values = [
        b'{"a":1.5,"b":2.5,"w":3,"r":1,"t":7}',
        b'{"a":1.5,"b":2.5,"w":3,"r":1,"t":true}',
        b'{"a":1.5,"b":2.5,"w":0,"r":1,"t":7}',
        None,
    ]
    readings = decoder("json", options).decode(records_of(values))
    assert readings.status.tolist() == [
        *(OK, Status.BAD_TIMESTAMP, Status.BAD_WEIGHT, Status.TOMBSTONE)
    ]
    for columns, x in zip(readings.numbers, (1.5, 2.5), strict=True):
        assert bits(columns.x) == bits(np.array([x, 0.0, 0.0, 0.0]))
        assert columns.status.tolist() == readings.status.tolist()
        assert columns.x_text.length.tolist() == [3, 0, 0, 0]
    assert readings.weight.tolist() == [3.0, 1.0, 1.0, 1.0]
    assert readings.restart.tolist() == [1, 0, 0, 0]
    assert readings.timestamp.tolist() == [7, *[RECORD_TIME] * 3]


def test_some_of_the_rows():
    options = ReadingOptions(value_paths=("a", "b"), weight_path="w", reset_path="r")
    values = [b'{"a":%d,"b":%d.5,"w":%d,"r":%d}' % (i, i, i + 1, i % 2) for i in range(4)]
    readings = decoder("json", options).decode(records_of(values)).take(np.array([3, 1]))
    assert len(readings) == 2
    assert [columns.x.tolist() for columns in readings.numbers] == [[3.0, 1.0], [3.5, 1.5]]
    assert readings.numbers[1].x_text.item(1) == b"1.5"
    assert readings.weight.tolist() == [4.0, 2.0]
    assert readings.restart.tolist() == [1, 1]
    plain = decoder("json", ReadingOptions()).decode(records_of([b"1", b"2"])).take(np.array([1]))
    assert plain.numbers[0].x.tolist() == [2.0]
    assert (plain.weight, plain.restart) == (None, None)


def test_reserved_names_count_among_those_the_kernel_has_bits_for():
    names = tuple(f"n{i}" for i in range(60))
    decoder("json", ReadingOptions(reserved_names=names))
    with pytest.raises(SettingsError, match="name 63 fields together, at most 62"):
        decoder("json", ReadingOptions(reserved_names=(*names, "one more")))


@pytest.mark.parametrize("format_name", ["text", "double", "float"])
def test_a_plain_number_holds_nothing_else(format_name):
    options = ReadingOptions(value_paths=("a", "b"), key_path="k", weight_path="w", reset_path="r")
    with pytest.raises(SettingsError) as refused:
        decoder(format_name, options)
    assert refused.value.problems == [
        f"input.key: a value in format {format_name} holds no key, remove the setting",
        f"input.weight: a value in format {format_name} holds no weight, remove the setting",
        f"input.reset: a value in format {format_name} holds no reset, remove the setting",
        f"input.values: a value in format {format_name} holds one number",
    ]


def test_values_alike_are_read_alike_whatever_changes_between_them():
    """The layout of the value before must not hide what is different in this one."""
    options = ReadingOptions(value_paths=("value", "a.b"), reserved_names=("ewma",))
    values = [
        b'{"value":1.5,"a":{"b":2},"c":"x","ewm":0}',
        b'{"value":-1.25,"a":{"b":2e1},"c":"longer","ewm":0}',
        b'{"value":null,"a":{"b":2},"c":true,"ewm":0}',
        b'{"value":"x","a":{"b":2},"c":"x","ewm":0}',
        b'{"value":1.5,"a":{"b":2},"c":"x","ewma":0}',
        b'{"value":1.5,"a":{"c":2},"c":"x","ewm":0}',
        b'{"value":1.5,"a":{"b":{}},"c":"x","ewm":0}',
        b'{"value":1.5,"a":{"b":2},"c":"x","ewm":0} ',
        b'{"value":1.5,"a":{"b":2},"c":"x","ewm":0}}',
        b'{"value":1.5,"a":{"b":2},"c":"x","ewm":0',
        b'{"value":1.5,"a":{"b":2},"c":"x","ewm":01}',
        b'{"value":1.5,"a":{"b":2},"c":"x}',
        b'{"value":1.5,"a":{"b":2,"c":"x","ewm":0}',
        b'{"value":1.5,"a":{"b":2},"c":"\\u0041","ewm":0}',
        b'{"value":1.5,"a":{"b":2},"c":"x","ewm":',
    ]
    decode = decoder("json", options).decode
    for first in values:
        for second in values:
            together = decode(records_of([first, second, first]))
            for row, value in enumerate((first, second, first)):
                alone = decode(records_of([value]))
                assert together.status[row] == alone.status[0], (first, second)
                for mine, other in zip(together.numbers, alone.numbers, strict=True):
                    assert mine.x[row] == other.x[0]
                    assert mine.status[row] == other.status[0]
                    assert mine.x_text.item(row) == other.x_text.item(0)


def test_values_of_ever_other_layouts_and_of_many_scalars_are_read():
    values = [b'{"a":[%s],"value":%d}' % (b",".join([b"1"] * i), i) for i in range(100)]
    data = [values[99], *values, values[99]]
    readings = decoder("json", ReadingOptions()).decode(records_of(data))
    assert readings.numbers[0].x.tolist() == [99.0, *map(float, range(100)), 99.0]
