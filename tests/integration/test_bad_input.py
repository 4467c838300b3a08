"""Bad records among good ones: each becomes a dead letter, and costs the others nothing.

The catalogue is `reliability.md` section 6.1 and row 35 of its fault matrix. Left out here, each
for its reason:

- `{"v":1,"v":2}` (the last one wins), -0.0, subnormals and 1.7e308 are good readings, see
  `test_odd_but_good_numbers_are_smoothed`; a repeated field is checked against the library in
  `tests/property`.
- A lone surrogate in a key taken from the payload: keys of records are bytes and travel as they
  are; `input.key` is checked in `tests/unit`.
- A batch that unpacks to far more than it weighs: see `test_corrupt_batch.py`, it parks its
  partition as any unreadable batch does.
- A dead letter the broker refuses: see `test_refused_output.py`.
- "Atomically with the offsets" needs transactions, which the service does not offer yet.
"""

import json

import pytest

from tests.support.cluster import Message
from tests.support.job import ALPHA, EPOCH_MS, reading, readings
from tests.support.oracle import expected_outputs, parsed

HOUR_MS = 3_600_000


def bad(value, *, key=b"sensor-3"):
    """A record with headers of its own, which the dead letter must keep."""
    return Message(key, value, EPOCH_MS + 77, (("source", b"line 4"), ("blank", None)))


BAD = {
    "NaN": (bad(b'{"value":NaN}'), "non_finite"),
    "-Infinity": (bad(b'{"value":-Infinity}'), "non_finite"),
    "beyond a double": (bad(b'{"value":1e999}'), "non_finite"),
    "bare and beyond a double": (bad(b"-1e400"), "non_finite"),
    "true": (bad(b'{"value":true}'), "not_numeric"),
    "bare false": (bad(b"false"), "not_numeric"),
    "an integer of 400 digits": (bad(b'{"value":' + b"9" * 400 + b"}"), "non_finite"),
    "an integer of 5000 digits": (bad(b'{"value":' + b"9" * 5000 + b"}"), "non_finite"),
    "100000 brackets": (bad(b"[" * 100_000), "decode"),
    "15000 nested objects": (bad(b'{"value":' * 15_000), "decode"),
    "UTF-16": (bad('{"value":1}'.encode("utf-16")), "decode"),
    "a byte order mark": (bad(b'\xef\xbb\xbf{"value":1}'), "decode"),
    "no UTF-8": (bad(b'{"name":"\xff","value":1}'), "decode"),
    "one byte ff": (bad(b"\xff"), "decode"),
    "a string of digits": (bad(b'{"value":"1.5"}'), "not_numeric"),
    "a list": (bad(b'{"value":[1.5]}'), "not_numeric"),
    "a bare list": (bad(b"[1.5]"), "not_numeric"),
    "an object": (bad(b'{"value":{"value":1}}'), "not_numeric"),
    "no such field": (bad(b'{"val":1.5}'), "missing_value"),
    "an empty object": (bad(b"{}"), "missing_value"),
    "nothing": (bad(b""), "decode"),
    "blanks": (bad(b"  \n"), "decode"),
    "cut short": (bad(b'{"value":1.5'), "decode"),
    "two values": (bad(b'{"value":1.5}{"value":2}'), "decode"),
    "text": (bad(b"twelve"), "decode"),
    "no key": (bad(b'{"value":1.5}', key=None), "missing_key"),
    "a key of 10 KB": (bad(b'{"value":1.5}', key=b"k" * 10_240), "too_large"),
    "a value beyond the bound": (bad(b'{"value":1.5}' + b" " * 200_000), "too_large"),
    "a timestamp that is no time": (bad(b'{"value":1,"timestamp":"noon"}'), "bad_timestamp"),
    "a fractional timestamp": (bad(b'{"value":1,"timestamp":1.5}'), "bad_timestamp"),
    "a timestamp that is true": (bad(b'{"value":1,"timestamp":true}'), "bad_timestamp"),
    "a timestamp beyond any year": (bad(b'{"value":1,"timestamp":1e30}'), "bad_timestamp"),
    "a timestamp two hours ahead": (
        bad(f'{{"value":1,"timestamp":{EPOCH_MS + 77 + 2 * HOUR_MS}}}'.encode()),
        "future_timestamp",
    ),
}
LIMITS = {"input": {"max_value_bytes": 150_000}}


def headers_of(letter, source):
    """Split a dead letter's headers into the record's own and the added ones."""
    own = letter.headers[: len(source.headers)]
    return own, dict(letter.headers[len(source.headers) :])


def check_letter(letter, source, reason, *, topic, offset):
    own, added = headers_of(letter, source)
    assert (letter.key, letter.value, letter.timestamp) == (
        source.key,
        source.value,
        source.timestamp,
    )
    assert own == source.headers
    assert added["__stream_ewma.errors.reason"] == reason.encode()
    assert added["__streams.errors.topic"] == topic.encode()
    assert added["__streams.errors.partition"] == b"0"
    assert added["__streams.errors.offset"] == str(offset).encode()
    assert added["__streams.errors.message"]
    assert {"__streams.errors.exception", "__streams.errors.stacktrace"} <= added.keys()
    assert len(letter.headers) == len(source.headers) + 7


def test_every_bad_record_of_the_catalogue_becomes_a_dead_letter_with_its_reason(make_job):
    job = make_job(settings=LIMITS)
    good = readings(2 * len(BAD))
    sources, mixed = [], []
    for i, (source, _reason) in enumerate(BAD.values()):
        mixed += [good[2 * i], source, good[2 * i + 1]]
        sources.append(source)
    job.produce(mixed)

    service = job.start()
    outputs = job.outputs(len(good))
    letters = job.dead_letters(len(BAD))
    service.stop()

    assert parsed(outputs) == parsed(expected_outputs(good, ALPHA))
    got = {
        name: dict(letter.headers)["__stream_ewma.errors.reason"].decode()
        for name, letter in zip(BAD, letters, strict=True)
    }
    assert got == {name: reason for name, (_source, reason) in BAD.items()}
    for i, (letter, (source, reason)) in enumerate(zip(letters, BAD.values(), strict=True)):
        check_letter(letter, source, reason, topic=job.topic, offset=3 * i + 1)


@pytest.mark.parametrize("place", [0, 5_000, 9_999], ids=["first", "middle", "last"])
def test_one_bad_record_among_ten_thousand_costs_the_others_nothing(make_job, place):
    job = make_job()
    good = readings(9_999)
    job.produce([*good[:place], bad(b'{"value":1e999}'), *good[place:]])

    job.start()
    outputs = job.outputs(9_999)
    (letter,) = job.dead_letters(1)

    assert parsed(outputs) == parsed(expected_outputs(good, ALPHA))
    check_letter(letter, bad(b'{"value":1e999}'), "non_finite", topic=job.topic, offset=place)


def test_a_partition_of_bad_records_alone_advances(make_job):
    job = make_job()
    sources = [bad(b"%d bottles" % i) for i in range(500)]
    job.produce(sources)

    service = job.start()
    letters = job.dead_letters(500)
    job.wait_committed({0: 500})
    service.stop()

    assert [each.value for each in letters] == [each.value for each in sources]
    assert job.cluster.read(job.output) == []


def test_a_thousand_headers_are_kept(make_job):
    job = make_job()
    many = tuple((f"h{i}", str(i).encode()) for i in range(1000))
    job.produce(
        [
            Message(b"a", b'{"value":1}', EPOCH_MS, many),
            Message(b"a", b"one", EPOCH_MS, many),
        ]
    )

    job.start()

    assert job.outputs(1)[0].headers == many
    assert job.dead_letters(1)[0].headers[:1000] == many


def test_odd_but_good_numbers_are_smoothed(make_job):
    job = make_job(settings={"smoothing": {"alpha": 1.0}})
    texts = [b"-0.0", b"5e-324", b"1.7e308", b'{"value":1,"value":2}', b' {"value" : 1E2 } ', b"7"]
    job.produce([Message(b"k%d" % i, text, EPOCH_MS) for i, text in enumerate(texts)])

    job.start()
    smoothed = [json.loads(each.value)["ewma"] for each in job.outputs(len(texts))]

    assert smoothed == [0.0, 5e-324, 1.7e308, 2.0, 100.0, 7.0]
    assert str(smoothed[0]) == "-0.0"


def test_a_number_that_would_overflow_the_state_leaves_the_state_as_it_was(make_job):
    job = make_job(settings={"smoothing": {"alpha": 0.5}})
    job.produce([reading("a", x) for x in (1e308, -1.7e308, 1e308)])

    job.start()
    smoothed = [json.loads(each.value) for each in job.outputs(2)]
    (letter,) = job.dead_letters(1)

    assert [(each["ewma"], each["count"]) for each in smoothed] == [(1e308, 1), (1e308, 2)]
    assert dict(letter.headers)["__stream_ewma.errors.reason"] == b"state_overflow"


def test_a_key_beyond_max_keys_is_a_dead_letter_and_known_keys_go_on(make_job):
    job = make_job(settings={"state": {"max_keys": 2}})
    job.produce([reading(key, 1.0) for key in ("a", "b", "c", "a", "d", "b")])

    job.start()

    assert [each.key for each in job.outputs(4)] == [b"a", b"b", b"a", b"b"]
    letters = job.dead_letters(2)
    assert [each.key for each in letters] == [b"c", b"d"]
    assert dict(letters[0].headers)["__stream_ewma.errors.reason"] == b"too_many_keys"


def test_skip_leaves_bad_records_out_without_dead_letters(make_job):
    job = make_job(settings={"dead_letters": {"on_error": "skip"}})
    job.produce([reading("a", 1.0), bad(b"x"), reading("a", 2.0)])

    service = job.start()
    outputs = job.outputs(2)
    job.wait_committed({0: 3})
    service.stop()

    assert [json.loads(each.value)["value"] for each in outputs] == [1.0, 2.0]
    assert job.cluster.read(job.dead) == []


def test_fail_stops_at_the_bad_record_with_one_clear_line(make_job):
    job = make_job(settings={"dead_letters": {"on_error": "fail"}})
    job.produce([reading("a", 1.0), bad(b"x"), reading("a", 2.0)])

    service = job.launch()
    code = service.wait_exit()

    assert code == 70
    assert [json.loads(each.value)["value"] for each in job.cluster.read(job.output)] == [1.0]
    assert job.cluster.committed(job.group, job.topic) == {0: 1}
    (complaint,) = [line for line in service.log.splitlines() if f"{job.topic}-0@1" in line]
    command = complaint.partition("stream-ewma ")[2].split()
    assert command == ["offsets", "skip", job.topic, "0", "2"]

    job.command(*command)
    job.start()
    outputs = [json.loads(each.value) for each in job.outputs(2)]
    assert [(each["value"], each["count"]) for each in outputs] == [(1.0, 1), (2.0, 2)]


def test_missing_keys_can_be_one_series_of_their_partition(make_job):
    job = make_job(partitions=2, settings={"input": {"on_missing_key": "topic-partition"}})
    job.produce([Message(None, b"%d" % x, EPOCH_MS, partition=p) for x in (1, 6) for p in (0, 1)])

    job.start()
    outputs = job.outputs(4)

    assert [json.loads(each.value)["ewma"] for each in outputs] == [1.0, 2.0, 1.0, 2.0]


@pytest.mark.parametrize(
    ("on_null", "expected"),
    [
        ("skip", [(1.0, 1.0, 1), (3.0, 1.4, 2)]),
        ("hold", [(1.0, 1.0, 1), (None, 1.0, 1), (3.0, 1.4, 2)]),
        ("reset", [(1.0, 1.0, 1), (3.0, 3.0, 1)]),
    ],
)
def test_a_null_reading_does_what_the_settings_say(make_job, on_null, expected):
    job = make_job(settings={"input": {"on_null": on_null}})
    job.produce([Message(b"a", value, EPOCH_MS) for value in (b"1", b'{"value":null}', b"3")])

    service = job.start()
    job.outputs(len(expected))
    job.wait_committed({0: 3})
    service.stop()

    outputs = [json.loads(each.value) for each in job.cluster.read(job.output)]
    assert [(each["value"], each["ewma"], each["count"]) for each in outputs] == expected
    assert job.cluster.read(job.dead) == []
