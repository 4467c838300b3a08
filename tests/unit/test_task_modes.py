"""What settings make of records: factors, outputs, several values, shapes, thinning, silence."""

import json
from pathlib import Path
from typing import Any

import pytest

from stream_ewma.engine.outgoing import Destination
from stream_ewma.engine.step import Step
from stream_ewma.engine.task import PartitionTask
from stream_ewma.service.config import task_config
from stream_ewma.settings import load_settings
from tests.support.batches import NOW_MS, Record, published, runs_of

MINUTE = 60_000


def task(folder: Path, yaml: str) -> PartitionTask:
    file = folder / "stream-ewma.yaml"
    file.write_text(yaml if "input:" in yaml else f"input: {{topics: [readings]}}\n{yaml}")
    return PartitionTask("readings", 3, 0, task_config(load_settings(file, env={})), (1, 2))


def reading(key: bytes, at: int, **fields: Any) -> Record:
    value = {"timestamp": NOW_MS + at, **fields}
    return Record(key, json.dumps(value).encode(), NOW_MS + at)


def values(step: Step) -> list[Any]:
    outputs = published(step, Destination.OUTPUT)
    return [None if r.value is None else json.loads(r.value) for r in outputs]


def letters(step: Step) -> list[str]:
    found = published(step, Destination.DEAD_LETTERS)
    return [r.headers["__stream_ewma.errors.reason"].decode() for r in found]


def column(step: Step, name: str) -> list[Any]:
    return [value[name] for value in values(step)]


def test_factors_side_by_side_and_their_difference(tmp_path: Path) -> None:
    yaml = """
smoothing:
  factors: {fast: {alpha: 1}, slow: {alpha: 0.5, outputs: [ewma, std]}}
  outputs: [ewma, fast-slow, count]
"""
    step = task(tmp_path, yaml).process(
        runs_of([reading(b"k", i, value=x) for i, x in enumerate((10, 20))])
    )

    assert values(step)[1] == {
        "key": "k",
        "timestamp": NOW_MS + 1,
        "value": 20.0,
        "ewma_fast": 20.0,
        "fast-slow": 5.0,
        "ewma_slow": 15.0,
        "std_slow": pytest.approx(50**0.5),
        "count": 2,
    }


def test_rules_replace_one_factor_by_name_or_all(tmp_path: Path) -> None:
    yaml = """
smoothing:
  factors: {fast: {alpha: 1}, slow: {alpha: 0.5}}
  rules:
    - {keys: "a", factors: {slow: {alpha: 0.25}}}
    - {keys: "b", alpha: 0.1}
  outputs: [ewma]
"""
    records = [reading(key, i, value=x) for key in (b"a", b"b", b"c") for i, x in ((0, 0), (1, 10))]
    step = task(tmp_path, yaml).process(runs_of(records))

    assert column(step, "ewma_fast")[1::2] == [10.0, 1.0, 10.0]
    assert column(step, "ewma_slow")[1::2] == [2.5, 1.0, 5.0]


MANY = """
input:
  topics: [readings]
  values: {temp: f.t, hum: f.h}
smoothing: {alpha: 0.5, rules: [{field: hum, alpha: 1}], outputs: [ewma, count]}
"""


def test_each_value_of_a_record_is_a_series(tmp_path: Path) -> None:
    step = task(tmp_path, MANY).process(
        runs_of([reading(b"k", 0, f={"t": 1, "h": 50}), reading(b"k", 1, f={"t": 2, "h": 60})])
    )

    assert values(step)[1] == {
        "key": "k",
        "timestamp": NOW_MS + 1,
        "temp": 2.0,
        "hum": 60.0,
        "temp_ewma": 1.5,
        "temp_count": 2,
        "hum_ewma": 60.0,
        "hum_count": 2,
    }


def test_a_value_that_is_absent_leaves_its_series_alone(tmp_path: Path) -> None:
    records = [
        reading(b"k", 0, f={"t": 1, "h": 50}),
        reading(b"k", 1, f={"t": 3}),
        reading(b"k", 2, f={"t": 3, "h": None}),
        reading(b"k", 3, f={}),
        reading(b"k", 4, f={"t": "x", "h": 60}),
        reading(b"k", 5, f={"t": 2, "h": 70}),
    ]
    step = task(tmp_path, MANY).process(runs_of(records))

    assert column(step, "hum") == [50.0, None, None, 70.0]
    assert column(step, "hum_ewma") == [50.0, None, None, 70.0]
    assert column(step, "temp_ewma") == [1.0, 2.0, 2.5, 2.25]
    assert letters(step) == ["missing_value", "not_numeric"]


def test_a_value_refused_beside_a_good_one_is_null_and_counted(tmp_path: Path) -> None:
    yaml = MANY.replace("outputs: [ewma, count]", "outputs: [ewma, variance]")
    records = [reading(b"k", i, f={"t": 1, "h": h}) for i, h in enumerate((1.0, 1e200))]
    step = task(tmp_path, yaml).process(runs_of(records))

    assert column(step, "hum_ewma") == [1.0, None]
    assert column(step, "temp_ewma") == [1.0, 1.0]
    assert step.noted == {"field_refused": 1}


def test_no_value_of_a_record_can_be_taken(tmp_path: Path) -> None:
    yaml = MANY.replace("outputs: [ewma, count]", "outputs: [ewma, variance]")
    step = task(tmp_path, yaml).process(runs_of([reading(b"k", 0, f={"t": 1e200, "h": 1e200})]))

    assert letters(step) == ["state_overflow"]


def test_enrich_adds_to_the_object_that_came_in(tmp_path: Path) -> None:
    yaml = "smoothing: {alpha: 0.5}\noutput: {shape: enrich}\n"
    raw = b'{ "value" : 1e1 , "site": "n\\u00f6rd" }'
    step = task(tmp_path, yaml).process(runs_of([Record(b"k", raw, NOW_MS)]))

    (output,) = published(step, Destination.OUTPUT)
    assert output.value == b'{ "value" : 1e1 , "site": "n\\u00f6rd" ,"ewma":10.0,"count":1}'


def test_enrich_refuses_names_that_are_taken(tmp_path: Path) -> None:
    yaml = "smoothing: {alpha: 0.5}\noutput: {shape: enrich}\n"
    step = task(tmp_path, yaml).process(runs_of([reading(b"k", 0, value=1, ewma=3)]))
    assert letters(step) == ["name_taken"]


def test_what_is_held_is_enriched_only_where_it_is_json(tmp_path: Path) -> None:
    yaml = """
input: {topics: [readings], on_null: hold, on_invalid: hold}
smoothing: {alpha: 0.5, outputs: [ewma]}
output: {shape: enrich}
"""
    bad = Record(b"k", b'{"value":NaN}', NOW_MS)
    step = task(tmp_path, yaml).process(
        runs_of([reading(b"k", 0, value=4), reading(b"k", 1, value=None), bad])
    )

    assert values(step) == [
        {"timestamp": NOW_MS, "value": 4, "ewma": 4.0},
        {"timestamp": NOW_MS + 1, "value": None, "ewma": 4.0},
        {"key": "k", "timestamp": NOW_MS, "value": None, "ewma": 4.0},
    ]


def test_fields_have_the_names_that_are_asked_for(tmp_path: Path) -> None:
    yaml = """
smoothing: {alpha: 0.5, outputs: [ewma]}
output: {names: {key: null, timestamp: ts, value: raw, ewma: smooth}}
"""
    step = task(tmp_path, yaml).process(runs_of([reading(b"k", 7, value=3)]))
    assert values(step) == [{"ts": NOW_MS + 7, "raw": 3.0, "smooth": 3.0}]


@pytest.mark.parametrize(
    ("warm_up", "expected", "skipped"),
    [
        ("emit", [(None, 1, None), (1.5, 2, None)], {}),
        ("hold", [(1.5, 2, None)], {"warming_up": 1}),
        ("flag", [(1.0, 1, False), (1.5, 2, True)], {}),
    ],
)
def test_until_a_key_is_ready(
    tmp_path: Path, warm_up: str, expected: list[Any], skipped: dict[str, int]
) -> None:
    yaml = f"smoothing: {{alpha: 0.5, min_periods: 2, warm_up: {warm_up}}}\n"
    step = task(tmp_path, yaml).process(runs_of([reading(b"k", i, value=1 + i) for i in (0, 1)]))

    assert [(v["ewma"], v["count"], v.get("ready")) for v in values(step)] == expected
    assert step.skipped == skipped


@pytest.mark.parametrize(
    ("emit", "kept"),
    [("{interval: 1s}", [0, 2, 4]), ("{on_change: 2}", [0, 1, 3]), ("every", None)],
)
def test_output_is_thinned_by_event_time_or_change(
    tmp_path: Path, emit: str, kept: list[int] | None
) -> None:
    yaml = f"smoothing: {{alpha: 1}}\noutput: {{emit: {emit}}}\n"
    x = [10, 13, 14, 16, 15]
    records = [
        reading(b"k", at, value=v) for at, v in zip((0, 600, 1100, 1900, 2100), x, strict=True)
    ]
    step = task(tmp_path, yaml).process(runs_of(records))

    kept = list(range(5)) if kept is None else kept
    assert column(step, "value") == [float(x[i]) for i in kept]
    assert step.skipped == ({"thinned": 5 - len(kept)} if len(kept) < 5 else {})


def test_a_future_time_can_be_moved_to_the_furthest_allowed(tmp_path: Path) -> None:
    yaml = """
input: {topics: [readings], max_future_skew: 1s, on_future: clamp}
smoothing: {half_life: 1s}
"""
    record = Record(b"k", b'{"value":1,"timestamp":%d}' % (NOW_MS + 9000), NOW_MS)
    step = task(tmp_path, yaml).process(runs_of([record, reading(b"k", 10, value=2)]))

    assert column(step, "timestamp") == [NOW_MS + 1000, NOW_MS + 10]
    assert step.noted == {"timestamp_clamped": 1, "late_merged": 1}


@pytest.mark.parametrize(
    ("late", "reasons", "skipped", "noted"),
    [
        ("merge", [], {}, {"late_merged": 1}),
        ("drop", [], {"late": 1}, {}),
        ("dlq", ["late"], {}, {}),
    ],
)
def test_a_late_reading_is_merged_dropped_or_a_dead_letter(
    tmp_path: Path, late: str, reasons: list[str], skipped: dict[str, int], noted: dict[str, int]
) -> None:
    yaml = f"smoothing: {{half_life: 1s, late: {late}}}\n"
    step = task(tmp_path, yaml).process(
        runs_of([reading(b"k", 1000, value=1), reading(b"k", 0, value=2)])
    )

    assert (letters(step), step.skipped, step.noted) == (reasons, skipped, noted)


@pytest.mark.parametrize(
    ("on_invalid", "ewma", "skipped"),
    [
        ("dlq", [4.0, 6.0], {}),
        ("skip", [4.0, 6.0], {"invalid_value": 3}),
        ("hold", [4.0, 4.0, 4.0, 4.0, 6.0], {}),
        ("reset", [4.0, 8.0], {"invalid_value": 3}),
    ],
)
def test_what_is_no_finite_number(
    tmp_path: Path, on_invalid: str, ewma: list[float], skipped: dict[str, int]
) -> None:
    yaml = f"""
input: {{topics: [readings], on_invalid: {on_invalid}}}
smoothing: {{alpha: 0.5}}
"""
    bad = [reading(b"k", 1, value="x"), reading(b"k", 2, other=1), Record(b"k", b'{"value":1e999}')]
    step = task(tmp_path, yaml).process(
        runs_of([reading(b"k", 0, value=4), *bad, reading(b"k", 3, value=8)])
    )

    assert column(step, "ewma") == ewma
    assert step.skipped == skipped
    assert letters(step) == (
        ["not_numeric", "missing_value", "non_finite"] if on_invalid == "dlq" else []
    )


def test_a_null_can_be_a_dead_letter(tmp_path: Path) -> None:
    yaml = "input: {topics: [readings], on_null: dlq}\nsmoothing: {alpha: 0.5}\n"
    step = task(tmp_path, yaml).process(runs_of([reading(b"k", 0, value=None)]))
    assert letters(step) == ["null_value"]


def test_a_missing_reading_ages_the_others_where_that_is_asked_for(tmp_path: Path) -> None:
    yaml = "smoothing: {alpha: 0.5, ignore_na: false, outputs: [ewma]}\n"
    records = [reading(b"k", i, value=x) for i, x in enumerate((1, None, 5))]
    step = task(tmp_path, yaml).process(runs_of(records))
    assert column(step, "ewma") == [1.0, pytest.approx((0.25 * 1 + 0.5 * 5) / 0.75)]


def test_weights_and_resets_come_from_fields(tmp_path: Path) -> None:
    yaml = """
input: {topics: [readings], weight: w, reset: start}
smoothing: {half_life: 1h, outputs: [ewma, count]}
"""
    records = [
        reading(b"k", 0, value=0, w=3),
        reading(b"k", 0, value=4, w=1),
        reading(b"k", 0, value=9, start=True),
        reading(b"k", 0, value=9, w=-1),
    ]
    step = task(tmp_path, yaml).process(runs_of(records))

    assert column(step, "ewma") == [0.0, 1.0, 9.0]
    assert column(step, "count") == [1, 2, 1]
    assert letters(step) == ["bad_weight"]
    assert step.noted == {"restarted": 1}


def test_a_reset_needs_no_number(tmp_path: Path) -> None:
    yaml = """
input: {topics: [readings], reset: r, values: {t: t, h: h}}
smoothing: {alpha: 0.5, outputs: [ewma]}
"""
    records = [
        reading(b"k", 0, t=10, h=10),
        reading(b"k", 1, t=None, r=True),
        reading(b"k", 2, t=0, h=0),
        reading(b"k", 3, t=4, r=True),
        reading(b"k", 4, t=4, h=8),
    ]
    step = task(tmp_path, yaml).process(runs_of(records))

    assert column(step, "t_ewma") == [10.0, 0.0, 4.0, 4.0]
    assert column(step, "h_ewma") == [10.0, 0.0, None, 8.0]


def test_beside_others_a_value_without_result_has_no_count_and_no_flag(tmp_path: Path) -> None:
    yaml = """
input: {topics: [readings], values: {t: t, h: h}}
smoothing: {alpha: 0.5, outputs: [ewma, count, out_of_control], limits: {centre: 0, sigma: 1}}
"""
    step = task(tmp_path, yaml).process(
        runs_of([reading(b"k", 0, t=1, h=9), reading(b"k", 1, t=1)])
    )
    assert column(step, "h_count") == [1, None]
    assert column(step, "h_out_of_control") == [True, None]
    assert column(step, "t_count") == [1, 2]


def test_with_a_key_from_the_value_what_is_invalid_belongs_to_its_key(tmp_path: Path) -> None:
    yaml = """
input: {topics: [readings], key: id, copartitioned: true, on_invalid: hold}
smoothing: {alpha: 0.5, outputs: [ewma]}
"""
    records = [reading(b"", 0, id="k", value=1), reading(b"", 1, id="k", value="x")]
    records += [Record(b"", b'{"id":"k","value":NaN}', NOW_MS), reading(b"", 2, id="k")]
    step = task(tmp_path, yaml).process(runs_of(records))
    assert [(v["key"], v["ewma"]) for v in values(step)] == [("k", 1.0)] * 4


def test_a_held_result_far_ahead_does_not_thin_what_follows(tmp_path: Path) -> None:
    yaml = """
input: {topics: [readings], on_null: hold, max_future_skew: null}
smoothing: {half_life: 1s, outputs: [ewma]}
output: {emit: {interval: 1s}}
"""
    far = 10**9
    records = [reading(b"k", 0, value=1), reading(b"k", far, value=None)]
    step = task(tmp_path, yaml).process(runs_of([*records, reading(b"k", 1000, value=3)]))
    assert column(step, "value") == [1.0, 3.0]


def test_a_null_too_far_ahead_is_refused_as_a_number_is(tmp_path: Path) -> None:
    yaml = "input: {topics: [readings], on_null: hold}\nsmoothing: {half_life: 1s}\n"
    record = Record(b"k", b'{"value":null,"timestamp":%d}' % (NOW_MS + 10**8), NOW_MS)
    assert letters(task(tmp_path, yaml).process(runs_of([record]))) == ["future_timestamp"]


def test_late_readings_merge_up_to_the_cutoff_and_are_dead_letters_beyond(tmp_path: Path) -> None:
    yaml = "smoothing: {half_life: 1s, late: dlq, late_cutoff: 10s}\n"
    step = task(tmp_path, yaml).process(
        runs_of([reading(b"k", at, value=1) for at in (20_000, 15_000, 5_000)])
    )
    assert (letters(step), step.noted) == (["late"], {"late_merged": 1})


def test_a_session_forgets_the_day_before(tmp_path: Path) -> None:
    yaml = "smoothing: {alpha: 0.5, reset_daily: '06:00 Europe/Zurich', outputs: [ewma]}\n"
    day = 24 * 60 * MINUTE
    records = [reading(b"k", at, value=x) for at, x in ((0, 1), (10, 3), (day, 5), (20, 7))]
    step = task(tmp_path, yaml).process(runs_of(records))

    assert column(step, "ewma") == [1.0, 2.0, 5.0]
    assert (step.skipped, step.noted) == ({"late": 1}, {"restarted": 1})


STALE = "smoothing: {half_life: 10s, stale_after: 1m, outputs: [ewma]}\n"


def test_a_silent_key_is_reported_once_behind_the_record_that_moved_the_time(
    tmp_path: Path,
) -> None:
    records = [
        reading(b"a", 0, value=1),
        reading(b"b", 30_000, value=2),
        reading(b"b", MINUTE, value=2),
        reading(b"b", 5 * MINUTE, value=2),
        reading(b"a", 5 * MINUTE + 1, value=7),
        reading(b"b", 7 * MINUTE, value=2),
    ]
    step = task(tmp_path, STALE).process(runs_of(records))

    told = [(v["key"], v["timestamp"] - NOW_MS, v.get("stale")) for v in values(step)]
    assert told == [
        ("a", 0, None),
        ("b", 30_000, None),
        ("b", MINUTE, None),
        ("a", MINUTE, True),
        ("b", 5 * MINUTE, None),
        ("a", 5 * MINUTE + 1, None),
        ("b", 7 * MINUTE, None),
        ("a", 7 * MINUTE, True),
    ]
    assert values(step)[3] == {
        "key": "a",
        "timestamp": NOW_MS + MINUTE,
        "value": None,
        "ewma": 1.0,
        "stale": True,
    }
    assert step.noted == {"stale": 2}
    assert step.emitted == 8


def test_readings_held_back_for_sorting_are_heard(tmp_path: Path) -> None:
    yaml = """
smoothing: {half_life: 10s, weighting: interval_prev, reorder: 4, stale_after: 1m, outputs: [ewma]}
"""
    alive = [reading(b"a", i * 20_000, value=1) for i in range(12)]
    dead = reading(b"b", 5_000, value=2)
    step = task(tmp_path, yaml).process(runs_of([alive[0], dead, *alive[1:]]))

    reports = [v for v in values(step) if "stale" in v]
    assert [(v["key"], v["timestamp"] - NOW_MS) for v in reports] == [("b", 80_000)]


@pytest.mark.parametrize("late", ["merge", "drop"])
def test_what_is_not_new_does_not_bring_a_silent_key_back(tmp_path: Path, late: str) -> None:
    yaml = f"""
input: {{topics: [readings], on_null: hold}}
smoothing: {{half_life: 10s, stale_after: 1m, late: {late}, outputs: [ewma]}}
"""
    records = [
        reading(b"a", 1000, value=1),
        reading(b"b", 2 * MINUTE, value=2),
        reading(b"a", 2 * MINUTE, value=None),
        reading(b"a", 500, value=3),
        reading(b"b", 4 * MINUTE, value=2),
        reading(b"a", 5 * MINUTE, value=2),
        reading(b"b", 9 * MINUTE, value=2),
    ]
    step = task(tmp_path, yaml).process(runs_of(records))

    reports = [v["timestamp"] - NOW_MS for v in values(step) if v.get("stale") and v["key"] == "a"]
    assert reports == [2 * MINUTE, 9 * MINUTE]


def test_silence_is_judged_at_ticks_wherever_the_stream_is_cut(tmp_path: Path) -> None:
    yaml = STALE.replace("1m", "100ms")
    records = [
        reading(b"b", 0, value=1),
        reading(b"a", 0, value=1),
        reading(b"a", 5, value=1),
        reading(b"b", 106, value=1),
        reading(b"b", 110, value=1),
    ]
    whole = values(task(tmp_path, yaml).process(runs_of(records)))
    one = task(tmp_path, yaml)
    cut = [v for i, r in enumerate(records) for v in values(one.process(runs_of([r], i)))]

    assert cut == whole
    assert [v["timestamp"] - NOW_MS for v in whole if "stale" in v] == [110]


def test_a_silent_key_that_warms_up_shows_no_numbers(tmp_path: Path) -> None:
    yaml = STALE.replace("outputs", "min_periods: 5, warm_up: hold, outputs")
    step = task(tmp_path, yaml).process(
        runs_of([reading(b"a", 0, value=1), reading(b"b", 2 * MINUTE, value=1)])
    )
    assert column(step, "ewma") == [None]


def test_a_forgotten_key_is_not_reported(tmp_path: Path) -> None:
    records = [
        reading(b"a", 0, value=1),
        Record(b"a", None, NOW_MS),
        reading(b"b", 9 * MINUTE, value=2),
    ]
    step = task(tmp_path, STALE).process(runs_of(records))
    assert [v and v["key"] for v in values(step)] == ["a", None, "b"]


def test_the_dead_letter_of_a_refused_report_names_where_it_came_from(tmp_path: Path) -> None:
    one = task(tmp_path, STALE)
    step = one.process(runs_of([reading(b"a", 0, value=1), reading(b"b", 2 * MINUTE, value=2)]))

    (letter,) = published(
        Step(one.refused(step.batches[-1]), 0, 0, 0, {}, {}, {}, None, None),
        Destination.DEAD_LETTERS,
    )
    assert (letter.key, letter.value) == (b"a", None)
    assert letter.headers["__streams.errors.offset"] == b"1"


def test_a_failure_ends_the_step_before_it_also_with_silent_keys(tmp_path: Path) -> None:
    yaml = STALE + "dead_letters: {on_error: fail}\n"
    records = [
        reading(b"a", 0, value=1),
        reading(b"b", 2 * MINUTE, value="x"),
        reading(b"b", 4 * MINUTE, value=1),
    ]
    step = task(tmp_path, yaml).process(runs_of(records))

    assert step.failure is not None
    assert step.failure.offset == step.next_offset == 1
    assert [v["key"] for v in values(step)] == ["a"]


def test_nothing_comes_out_of_what_is_behind_a_failure(tmp_path: Path) -> None:
    yaml = STALE + "dead_letters: {on_error: fail}\n"
    records = [
        reading(b"a", 0, value=1),
        reading(b"a", 1, value="x"),
        reading(b"b", 2 * MINUTE, value=2),
        reading(b"c", 9 * MINUTE, value=3),
    ]
    step = task(tmp_path, yaml).process(runs_of(records))

    assert step.next_offset == 1
    assert [v["key"] for v in values(step)] == ["a"]


def test_no_records_are_no_work(tmp_path: Path) -> None:
    step = task(tmp_path, STALE).process([])
    assert (step.batches, step.consumed) == ([], 0)
