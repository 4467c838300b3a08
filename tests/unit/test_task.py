"""One partition's state machine, step by step."""

import json
from typing import Any

import pytest

from stream_ewma.engine.config import TaskConfig
from stream_ewma.engine.dead_letters import Reason
from stream_ewma.engine.outgoing import Destination
from stream_ewma.engine.step import Seconds, Step
from stream_ewma.engine.task import PartitionTask
from stream_ewma.payloads import decoder, encoder
from stream_ewma.payloads.columns import ReadingOptions
from stream_ewma.records.compression import Compression
from stream_ewma.records.fetched import split_runs
from stream_ewma.smoothing.parameters import Factor, KeyRules, Rule
from tests.support.batches import NOW_MS, Published, Record, published, read, runs_of

OPTIONS = ReadingOptions()


def task(options: ReadingOptions = OPTIONS, **changes: Any) -> PartitionTask:
    config = {
        "decoder": decoder("json", options),
        "encoder": encoder("json"),
        "rules": KeyRules(Factor(alpha=0.2)),
        **changes,
    }
    return PartitionTask("readings", 3, 0, TaskConfig(**config), (1, 2))


def outputs(step: Step) -> list[Published]:
    return published(step, Destination.OUTPUT)


def letters(step: Step) -> list[Published]:
    return published(step, Destination.DEAD_LETTERS)


def values(step: Step) -> list[Any]:
    return [None if r.value is None else json.loads(r.value) for r in outputs(step)]


def test_publishes_the_documented_value() -> None:
    step = task().process(
        runs_of([Record(b"pump-7", b'{"value":%d,"timestamp":%d}' % (x, NOW_MS)) for x in (10, 12)])
    )

    assert [record.value for record in outputs(step)] == [
        b'{"key":"pump-7","timestamp":1767225600000,"value":10.0,"ewma":10.0,"count":1}',
        b'{"key":"pump-7","timestamp":1767225600000,"value":12.0,"ewma":10.4,"count":2}',
    ]
    assert (step.consumed, step.emitted, step.next_offset) == (2, 2, 2)


def test_the_stages_of_a_step_are_timed_by_the_clock_that_is_given() -> None:
    clock = iter([10.0, 11.0, 13.0, 17.0])

    step = task().process(runs_of([Record(b"pump-7", b"1")]), lambda: next(clock))

    assert step.seconds == Seconds(decode=1.0, update=2.0, encode=4.0)


def test_keeps_key_bytes_timestamp_and_headers() -> None:
    record = Record(b"\x00k\xff", b"1.5", NOW_MS - 5, [("traceparent", b"00-ab"), ("empty", b"")])

    (output,) = outputs(task().process(runs_of([record])))

    assert (output.key, output.timestamp) == (b"\x00k\xff", NOW_MS - 5)
    assert output.headers == {"traceparent": b"00-ab", "empty": b""}


def test_headers_can_be_dropped() -> None:
    record = Record(b"k", b"1.5", headers=[("traceparent", b"00-ab")])

    (output,) = outputs(task(pass_headers=False).process(runs_of([record])))

    assert output.headers == {}


def test_state_goes_on_from_step_to_step() -> None:
    one, other = task(), task()
    records = [Record(b"a" if i % 3 else b"b", b"%d" % (i * i)) for i in range(30)]

    whole = values(one.process(runs_of(records)))
    steps = [other.process(runs_of([r], offset)) for offset, r in enumerate(records)]

    assert [v for step in steps for v in values(step)] == whole
    assert other.position == one.position == 30


def test_records_before_the_position_are_not_processed_twice() -> None:
    partition = task()
    partition.process(runs_of([Record(b"a", b"1"), Record(b"a", b"2")]))

    step = partition.process(runs_of([Record(b"a", b"1"), Record(b"a", b"2"), Record(b"a", b"3")]))

    assert [value["count"] for value in values(step)] == [3]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (Record(b"k", b"{"), Reason.DECODE),
        (Record(b"k", b"{}"), Reason.MISSING_VALUE),
        (Record(b"k", b"true"), Reason.NOT_NUMERIC),
        (Record(b"k", b"NaN"), Reason.NON_FINITE),
        (Record(None, b"1"), Reason.MISSING_KEY),
        (Record(None, b"{"), Reason.MISSING_KEY),
        (Record(None, None), Reason.MISSING_KEY),
        (Record(b"k" * 1025, b"1"), Reason.TOO_LARGE),
        (Record(b"k", b'{"value":1,"timestamp":"now"}'), Reason.BAD_TIMESTAMP),
        (Record(b"k", b'{"value":1,"timestamp":%d}' % (NOW_MS + 60_001)), Reason.FUTURE_TIMESTAMP),
    ],
)
def test_a_bad_record_becomes_a_dead_letter_and_costs_the_others_nothing(
    record: Record, reason: Reason
) -> None:
    bad = Record(record.key, record.value, headers=[("own", b"1")])
    good = [Record(b"k", b"%d" % i) for i in range(100)]
    with_bad = [*good[:60], bad, *good[60:]]

    step = task(max_future_skew_ms=60_000).process(runs_of(with_bad, 1000))
    expected = task(max_future_skew_ms=60_000).process(runs_of(good))

    assert [r.value for r in outputs(step)] == [r.value for r in outputs(expected)]
    assert step.rejected == {reason: 1}
    (letter,) = letters(step)
    assert (letter.key, letter.value, letter.timestamp) == (bad.key, bad.value, NOW_MS)
    assert letter.headers["own"] == b"1"
    assert letter.headers["__streams.errors.topic"] == b"readings"
    assert letter.headers["__streams.errors.partition"] == b"3"
    assert letter.headers["__streams.errors.offset"] == b"1060"
    assert letter.headers["__stream_ewma.errors.reason"] == reason.label.encode()
    assert letter.headers["__streams.errors.message"]
    assert {"__streams.errors.exception", "__streams.errors.stacktrace"} <= set(letter.headers)


def test_the_future_is_told_by_the_records_own_timestamp() -> None:
    ahead = b'{"value":1,"timestamp":%d}'
    records = [
        Record(b"k", ahead % (NOW_MS + 60_000)),
        Record(b"k", ahead % (NOW_MS + 60_001), NOW_MS + 1),
        Record(b"k", ahead % (NOW_MS + 999_999), -1),  # nothing to compare with
    ]

    assert task(max_future_skew_ms=60_000).process(runs_of(records)).rejected == {}
    assert task().process(runs_of([Record(b"k", ahead % (NOW_MS * 2))])).rejected == {}


def test_a_number_that_would_overflow_the_state_leaves_it_untouched() -> None:
    records = [Record(b"k", x) for x in (b"1e308", b"-1.7e308", b"1e308")]

    step = task(rules=KeyRules(Factor(alpha=1e-3))).process(runs_of(records))

    assert step.rejected == {Reason.STATE_OVERFLOW: 1}
    assert [(v["ewma"], v["count"]) for v in values(step)] == [(1e308, 1), (1e308, 2)]


def test_keys_beyond_the_bound_are_dead_letters_and_known_keys_go_on() -> None:
    records = [Record(key, b"1") for key in (b"a", b"b", b"c", b"a")]

    step = task(max_keys=2).process(runs_of(records))

    assert [r.key for r in outputs(step)] == [b"a", b"b", b"a"]
    assert step.rejected == {Reason.TOO_MANY_KEYS: 1}
    assert [r.key for r in letters(step)] == [b"c"]


def test_skip_counts_and_publishes_nothing() -> None:
    step = task(on_error="skip").process(runs_of([Record(b"k", b"{"), Record(b"k", b"1")]))

    assert step.rejected == {Reason.DECODE: 1}
    assert (len(outputs(step)), letters(step)) == (1, [])


def test_fail_stops_before_the_record() -> None:
    partition = task(on_error="fail")
    records = [Record(b"k", b"1"), Record(b"k", b"2"), Record(b"k", b"{"), Record(b"k", b"3")]

    step = partition.process(runs_of(records, 50))

    assert step.failure is not None
    assert (step.failure.offset, step.failure.reason) == (52, Reason.DECODE)
    assert "input format" in step.failure.message
    assert (step.next_offset, partition.position, len(outputs(step))) == (52, 52, 2)
    assert step.rejected == {}


def test_fail_on_the_first_record_publishes_nothing() -> None:
    step = task(on_error="fail").process(runs_of([Record(b"k", b"{")]))

    assert (step.next_offset, step.batches) == (0, [])


NULL_THEN_ONE = [Record(b"k", x) for x in (b"4", b"null", b"9")]


def test_a_json_null_is_skipped_and_counted() -> None:
    step = task().process(runs_of(NULL_THEN_ONE))

    assert [v["ewma"] for v in values(step)] == [4.0, 5.0]
    assert step.skipped == {"null_value": 1}


def test_a_json_null_can_hold_the_last_value() -> None:
    step = task(on_null="hold").process(runs_of([Record(b"new", b"null"), *NULL_THEN_ONE]))

    assert [(v["value"], v["ewma"], v["count"]) for v in values(step)] == [
        (4.0, 4.0, 1),
        (None, 4.0, 1),
        (9.0, 5.0, 2),
    ]
    assert step.skipped == {"null_value": 1}  # the key without a value to hold


def test_a_json_null_can_reset_the_key() -> None:
    step = task(on_null="reset").process(runs_of(NULL_THEN_ONE))

    assert [(v["ewma"], v["count"]) for v in values(step)] == [(4.0, 1), (9.0, 1)]


def test_a_tombstone_resets_the_key_and_is_passed_on() -> None:
    records = [Record(b"k", b"4"), Record(b"k", None), Record(b"k", b"9"), Record(b"new", None)]

    partition = task()
    step = partition.process(runs_of(records))

    assert [v and v["ewma"] for v in values(step)] == [4.0, None, 9.0, None]
    assert partition.keys_count == 1  # a tombstone takes up no slot


def test_a_tombstone_can_be_ignored() -> None:
    records = [Record(b"k", b"4"), Record(b"k", None), Record(b"k", b"9")]

    step = task(on_tombstone="ignore").process(runs_of(records))

    assert [v["ewma"] for v in values(step)] == [4.0, 5.0]
    assert step.skipped == {"tombstone": 1}


def test_records_without_a_key_can_be_one_series() -> None:
    records = [Record(None, b"4"), Record(b"k", b"1"), Record(None, b"9")]

    step = task(on_missing_key="topic-partition").process(runs_of(records))

    assert [(r.key, v["ewma"]) for r, v in zip(outputs(step), values(step), strict=True)] == [
        (b"readings-3", 4.0),
        (b"k", 1.0),
        (b"readings-3", 5.0),
    ]
    assert values(step)[0]["key"] == "readings-3"


def test_where_every_record_has_a_key_nothing_is_renamed() -> None:
    step = task(on_missing_key="topic-partition").process(runs_of([Record(b"k", b"1")]))

    assert [r.key for r in outputs(step)] == [b"k"]


def test_the_key_can_come_from_the_payload() -> None:
    options = ReadingOptions(key_path="id")

    step = task(options).process(runs_of([Record(b"x", b'{"id":"a","value":1}')]))

    assert [(r.key, v["key"]) for r, v in zip(outputs(step), values(step), strict=True)] == [
        (b"a", "a")
    ]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"{", Reason.DECODE),
        (b'{"id":"a","value":true}', Reason.NOT_NUMERIC),
        (b'{"value":1}', Reason.MISSING_KEY),
    ],
)
def test_a_payload_that_fails_is_not_blamed_for_the_key_it_does_not_show(
    value: bytes, reason: Reason
) -> None:
    step = task(ReadingOptions(key_path="id")).process(runs_of([Record(b"x", value)]))

    assert step.rejected == {reason: 1}


def test_rules_choose_the_factor_when_a_key_is_first_seen() -> None:
    rules = KeyRules(
        Factor(alpha=0.5), [Rule("pump-*", Factor(alpha=1)), Rule("*", Factor(half_life=1000))]
    )
    records = [Record(key, x) for key in (b"pump-1", b"fan") for x in (b"0", b"10")]

    step = task(rules=rules).process(runs_of(records))

    assert [v["ewma"] for v in values(step)] == [0.0, 10.0, 0.0, 5.0]


def test_a_late_event_is_merged_by_its_age() -> None:
    at = [(0, 0), (2000, 8), (1000, 2)]
    records = [Record(b"k", b'{"value":%d,"timestamp":%d}' % (x, NOW_MS + t)) for t, x in at]

    step = task(rules=KeyRules(Factor(half_life=1000))).process(runs_of(records))

    assert values(step)[-1]["ewma"] == pytest.approx((0 / 4 + 8 + 2 / 2) / (1 / 4 + 1 + 1 / 2))


def test_an_unreadable_batch_parks_the_partition_after_what_is_before_it() -> None:
    good = runs_of([Record(b"k", b"1")], 7)
    bad = runs_of([Record(b"k", b"2")], 8)[0]
    damaged = bytearray(bad.data)
    damaged[-2] ^= 0x40
    step = task().process([*good, *split_runs(bytes(damaged))])

    assert step.unreadable is not None
    assert step.unreadable.offset == 8
    assert (len(outputs(step)), step.next_offset) == (1, 8)


def test_large_outputs_are_cut_into_batches() -> None:
    records = [Record(b"k", b"%d" % i) for i in range(200)]

    step = task(max_batch_bytes=2000).process(runs_of(records))

    assert len(step.batches) > 5
    assert all(batch.encoded.size <= 2000 for batch in step.batches)
    assert [v["count"] for v in values(step)] == list(range(1, 201))


def test_a_refused_batch_is_halved_down_to_the_record() -> None:
    partition = task()
    records = [Record(b"k%d" % i, b"%d" % i, headers=[("n", b"%d" % i)]) for i in range(5)]
    (batch,) = partition.process(runs_of(records, 20)).batches

    todo, order = [batch], []
    while todo:
        piece = todo.pop(0)
        if len(piece) > 1:
            todo = piece.halves() + todo
        else:
            order.append(piece)

    assert [int(piece.source().offset[0]) for piece in order] == [20, 21, 22, 23, 24]
    (letter,) = partition.refused(order[3])
    assert letter.destination is Destination.DEAD_LETTERS
    (record,) = read(letter.encoded.to_bytes(-1, -1, -1, False))
    assert (record.key, record.value) == (b"k3", b"3")
    assert record.headers["__stream_ewma.errors.reason"] == b"output_refused"
    assert record.headers["__streams.errors.offset"] == b"23"
    assert record.headers["n"] == b"3"


@pytest.mark.parametrize("compression", Compression)
def test_the_halves_of_a_batch_hold_its_records_unchanged(compression: Compression) -> None:
    records = [Record(b"k%d" % i, b"%d" % i, headers=[("n", b"%d" % i)]) for i in range(4)]
    records.append(Record(b"k0", None))  # a tombstone, which is passed on
    (batch,) = task(compression=compression).process(runs_of(records)).batches
    whole = read(batch.encoded.to_bytes(1, 0, 7, False))

    first, second = batch.halves()

    halves = [read(half.encoded.to_bytes(-1, -1, -1, False)) for half in (first, second)]
    assert [len(half) for half in halves] == [2, 3]
    assert halves[0] + halves[1] == whole
    assert whole[4].value is None


def test_memory_is_told() -> None:
    partition = task()
    partition.process(runs_of([Record(b"k", b"1")]))

    assert partition.keys_count == 1
    assert partition.state_bytes > 0


def test_a_sweep_that_stands_where_no_record_does_is_not_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("stream_ewma.engine.upkeep._SWEEP_EVERY", 5)
    passing, reading = task(), task()
    for each in (passing, reading):
        each.process(runs_of([Record(b"a", b"1"), Record(b"a", None), Record(b"b", b"2")]))
        assert each.keys_count == 2

    passing.pass_over(7)
    reading.process(runs_of([Record(b"b", b"3")], 6))

    assert passing.position == reading.position == 7
    assert passing.keys_count == reading.keys_count == 1
