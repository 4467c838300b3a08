"""Looking at a partition: keys and pages of them, samples and refusals; nothing is changed."""

import json
from dataclasses import replace
from itertools import chain

import numpy as np
import pytest

from stream_ewma.columns import Spans
from stream_ewma.engine.dead_letters import Reason
from stream_ewma.engine.index import NO_SLOT
from stream_ewma.engine.keys import KeyTable
from stream_ewma.engine.outgoing import Destination
from stream_ewma.engine.sample import Watched
from stream_ewma.engine.task import PartitionTask
from stream_ewma.engine.view import scalar
from stream_ewma.payloads.columns import NULL_FLAG, NULL_INTEGER, Kind
from stream_ewma.records.fetched import split_runs
from tests.support.batches import NOW_MS, Record, encoded, published, runs_of
from tests.support.streams import NAMES, config_named, config_of

PLAIN = "smoothing: {alpha: 0.5}"
TIMED = "smoothing: {half_life: 10s, outputs: [ewma, count], stale_after: 5s}"
EFFORT = 1 << 16


def task(yaml: str = PLAIN, **changes) -> PartitionTask:
    return PartitionTask("a", 0, 0, replace(config_of(yaml), **changes), (1, 2))


def reading(key: str, x, at: int = 0) -> Record:
    value = json.dumps({"x": x, "timestamp": NOW_MS + at}).encode()
    return Record(key.encode(), value, NOW_MS + at)


def fed(subject: PartitionTask, *records: Record):
    return subject.process(runs_of(records, subject.position))


def outputs_of(step) -> list[dict]:
    return [json.loads(each.value) for each in published(step, Destination.OUTPUT) if each.value]


# -- keys -------------------------------------------------------------------------------------


def test_a_key_is_shown_as_its_last_output_was():
    subject = task()
    step = fed(subject, reading("p", 1.0), reading("q", 7.0), reading("p", 2.0))

    (state,) = subject.look_up([b"p"])

    last = outputs_of(step)[-1]
    assert state.key == b"p"
    assert (
        state.outputs == {"ewma": last["ewma"], "count": last["count"]} == {"ewma": 1.5, "count": 2}
    )
    assert state.timestamp is None  # without a clock no time is kept


def test_where_time_is_kept_it_is_shown():
    subject = task(TIMED)
    fed(subject, reading("p", 1.0, 1000), reading("p", 2.0, 3000), reading("p", 9.0, 2000))

    (state,) = subject.look_up([b"p"])

    assert state.timestamp == NOW_MS + 3000
    assert state.outputs["count"] == 3


def test_of_several_keys_those_that_are_there_are_shown():
    subject = task()
    fed(subject, reading("p", 1.0), reading("q", 2.0))

    assert [state.key for state in subject.look_up([b"q", b"nobody", b"p"])] == [b"q", b"p"]
    assert subject.look_up([b"nobody"]) == subject.look_up([]) == []


def test_a_record_of_several_values_shows_all_of_them():
    subject = task(
        "input: {topics: [a], values: {x: x, y: y}}\n"
        "smoothing: {alpha: 0.5, outputs: [ewma, count]}"
    )
    fed(subject, Record(b"p", b'{"x":1,"y":10}'), Record(b"p", b'{"x":3,"y":null}'))

    (state,) = subject.look_up([b"p"])

    assert state.outputs == {"x_ewma": 2.0, "x_count": 2, "y_ewma": 10.0, "y_count": 1}


def test_a_reset_key_shows_nothing():
    subject = task()
    fed(subject, reading("p", 1.0), Record(b"p", None))

    (state,) = subject.look_up([b"p"])

    assert (state.outputs["ewma"], state.outputs["count"]) == (None, 0)


@pytest.mark.parametrize("name", NAMES)
def test_to_look_changes_nothing(name):
    looked_at, left_alone = (PartitionTask("a", 0, 0, config_named(name), (1, 2)) for _ in "ab")
    records = [
        reading("abc"[i % 3], (i * 37) % 11 / 2, i * 900 - (i % 4 == 3) * 2500) for i in range(40)
    ]
    looked_at.watched = Watched(frozenset([b"a", b"nobody"]), 2)

    for record in records:
        step, expected = fed(looked_at, record), fed(left_alone, record)
        looked_at.look_up([b"a", b"b", b"nobody"])
        looked_at.page(b"", 0, 2, EFFORT)
        assert bytes_of(batch.encoded for batch in step.batches) == bytes_of(
            batch.encoded for batch in expected.batches
        )

    assert bytes_of(looked_at.cut().batches) == bytes_of(left_alone.cut().batches)


def bytes_of(batches):
    return [batch.to_bytes(-1, -1, -1, False) for batch in batches]


def test_an_output_that_is_no_number_is_null():
    for column, expected in (
        (np.array([1.5, np.nan, np.inf, -np.inf]), [1.5, None, None, None]),
        (np.array([True, False]), [True, False]),
        (np.array([1, 0, NULL_FLAG], np.uint8), [True, False, None]),
        (np.array([3, NULL_INTEGER], np.int64), [3, None]),
    ):
        found = [scalar(column, row) for row in range(len(column))]
        assert found == expected
        assert [type(each) for each in found] == [type(each) for each in expected]


# -- pages ------------------------------------------------------------------------------------


def pages(subject: PartitionTask, prefix: bytes, limit: int, effort: int) -> list[list[bytes]]:
    found, cursor = [], 0
    while cursor is not None:
        page = subject.page(prefix, cursor, limit, effort)
        found.append([state.key for state in page.keys])
        assert page.cursor is None or page.cursor > cursor
        cursor = page.cursor
    return found


def test_pages_show_each_key_once():
    subject = task()
    fed(subject, *(reading(f"{'ab'[i % 2]}{i}", i) for i in range(30)))
    every = [f"{'ab'[i % 2]}{i}".encode() for i in range(30)]

    for limit, effort in ((1, EFFORT), (7, EFFORT), (30, EFFORT), (31, EFFORT), (7, 3), (1, 1)):
        for prefix in (b"", b"a", b"a1", b"nobody", b"a" * 99):
            found = pages(subject, prefix, limit, effort)
            assert list(chain.from_iterable(found)) == [
                key for key in every if key.startswith(prefix)
            ]
            assert all(len(page) <= limit for page in found)


def test_a_page_looks_at_no_more_than_it_may():
    subject = task()
    fed(subject, *(reading(f"k{i}", i) for i in range(10)))

    page = subject.page(b"nobody", 0, 5, 4)

    assert (page.keys, page.cursor) == ([], 4)


def test_a_page_beyond_the_end_is_empty():
    subject = task()
    assert subject.page(b"", 0, 5, EFFORT) == subject.page(b"", 10**17, 5, EFFORT)
    fed(subject, reading("p", 1.0))

    assert subject.page(b"", 10**17, 5, EFFORT).keys == []
    assert subject.page(b"", 10**17, 5, EFFORT).cursor is None


def test_forgotten_keys_are_not_on_a_page():
    table = KeyTable((1, 2), 99)
    slots = table.find(Spans.of([b"a", b"b", b"c"]), np.ones(3, np.uint8)).slots
    table.release(slots[[1]])

    found, after = table.scan(b"", 0, 9, EFFORT)

    assert (found.tolist(), after) == ([0, 2], None)
    assert found.dtype == np.int32


def test_find_answers_for_each_key_of_a_series():
    subject = task()
    fed(subject, reading("p", 1.0), reading("q", 1.0))

    found = subject._smoother.series.find(Spans.of([b"q", b"nobody", b"p", None]))

    assert found.tolist() == [1, NO_SLOT, 0, NO_SLOT]
    assert subject.keys_count == 2


# -- samples ----------------------------------------------------------------------------------


def samples(subject: PartitionTask, watched: Watched, *records: Record):
    subject.watched = watched
    return fed(subject, *records).samples


def test_nobody_watches_nothing_is_brought():
    assert samples(task(), Watched(), reading("p", 1.0)) == []
    assert not Watched()
    assert Watched(others=1)
    assert Watched(frozenset([b"p"]))


def test_a_watched_key_brings_its_rows_with_what_was_published():
    subject = task(TIMED)
    subject.watched = Watched(frozenset([b"p"]))
    step = fed(
        subject,
        reading("q", 5.0, 1),
        reading("p", 1.0, 2),
        reading("p", "no", 3),
        reading("p", 3.0, 4),
    )

    assert [sample.offset for sample in step.samples] == [1, 3]
    for sample, expected in zip(
        step.samples, [outputs_of(step)[1], outputs_of(step)[2]], strict=True
    ):
        assert sample.key == b"p"
        assert sample.timestamp == expected["timestamp"]
        assert sample.kind is Kind.SMOOTHED
        assert sample.values == {"value": expected["value"]}
        assert sample.outputs == {"ewma": expected["ewma"], "count": expected["count"]}
        assert json.loads(sample.raw)["x"] == expected["value"]


def test_an_unwatched_or_unknown_key_brings_nothing():
    assert samples(task(), Watched(frozenset([b"nobody"])), reading("p", 1.0)) == []
    assert samples(task(), Watched(frozenset([b"p"]))) == []


def test_a_record_without_a_value_has_neither_number_nor_raw_bytes():
    found = samples(task(), Watched(frozenset([b"p"])), reading("p", 1.0), Record(b"p", None))

    assert [sample.kind for sample in found] == [Kind.SMOOTHED, Kind.TOMBSTONE]
    assert (found[1].raw, found[1].values) == (None, {"value": None})


def test_long_values_are_cut_short():
    record = Record(b"p", json.dumps({"x": 1, "more": "a" * 999}).encode())

    (sample,) = samples(task(), Watched(frozenset([b"p"])), record)

    assert sample.raw == record.value[:256]


def test_of_a_busy_key_the_newest_rows_are_kept():
    records = [reading("pq"[i % 2], i) for i in range(500)]

    found = samples(task(), Watched(frozenset([b"p", b"q"])), *records)

    assert [sample.offset for sample in found] == list(range(300, 500))


def test_of_many_busy_keys_the_newest_rows_are_kept():
    records = [reading(f"k{i % 10}", i) for i in range(1200)]
    keys = frozenset(f"k{i}".encode() for i in range(10))

    found = samples(task(), Watched(keys), *records)

    assert [sample.offset for sample in found] == list(range(700, 1200))


def test_a_quiet_key_is_not_lost_among_busy_ones():
    records = [reading("quiet", 1.0), *(reading("busy", i) for i in range(300))]

    found = samples(task(), Watched(frozenset([b"quiet", b"busy"])), *records)

    assert [sample.offset for sample in found] == [0, *range(201, 301)]


def test_others_are_spread_over_the_step():
    records = [reading(f"k{i}", i) for i in range(100)]

    found = samples(task(), Watched(others=5), *records)

    assert [sample.offset for sample in found] == [0, 24, 49, 74, 99]
    assert len(samples(task(), Watched(others=500), *records)) == 100
    assert len(samples(task(), Watched(others=1), *records)) == 1


def test_a_row_that_is_watched_and_one_of_the_others_comes_once():
    found = samples(task(), Watched(frozenset([b"p"]), 9), reading("p", 1.0), reading("q", 2.0))

    assert [sample.key for sample in found] == [b"p", b"q"]


def test_a_report_of_a_silent_key_is_a_sample_without_a_record():
    subject = task(TIMED)
    watched = Watched(frozenset([b"p"]), 9)
    samples(subject, watched, reading("p", 1.0))

    found = samples(subject, watched, reading("q", 2.0, 20_000))

    (report,) = [sample for sample in found if sample.kind is Kind.STALE]
    assert (report.key, report.raw, report.offset) == (b"p", None, 1)
    assert report.values == {"value": None}
    assert report.outputs["ewma"] == 1.0


def test_what_cannot_be_smoothed_is_shown():
    step = fed(
        task(),
        reading("p", 1.0),
        reading("p", "no number"),
        Record(b"\xff", b"x" * 999, NOW_MS + 7),
    )

    first, second = step.refusals
    assert (first.offset, first.reason, first.key) == (1, Reason.NOT_NUMERIC, b"p")
    assert (second.offset, second.key, second.timestamp) == (2, b"\xff", NOW_MS + 7)
    assert (second.preview, second.size, second.reason) == (b"x" * 256, 999, Reason.DECODE)


def test_a_rejected_record_without_a_value_has_no_preview():
    (found,) = fed(task(), Record(None, None)).refusals

    assert (found.preview, found.size, found.key) == (None, 0, None)
    assert found.reason is Reason.MISSING_KEY


def test_of_many_that_cannot_be_smoothed_the_last_are_shown():
    step = fed(task(), *(reading("p", "no") for _ in range(20)))

    assert [each.offset for each in step.refusals] == list(range(12, 20))


def test_one_batch_may_hold_what_another_run_left():
    data = encoded([reading("p", 1.0), reading("p", 2.0)]).to_bytes(-1, -1, -1, False)
    subject = task()
    subject.watched = Watched(frozenset([b"p"]))

    step = subject.process(split_runs((0).to_bytes(8, "big") + data[8:]))

    assert len(step.samples) == 2
