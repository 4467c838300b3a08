"""Rows under other settings than they were written with: taken over, converted, or refused."""

import json
from typing import Any

import pytest

from stream_ewma.engine.changelog import ChangelogError
from stream_ewma.engine.configuration import Configuration, fingerprint
from stream_ewma.engine.outgoing import Destination
from stream_ewma.engine.step import Restored
from stream_ewma.engine.task import PartitionTask
from tests.support.batches import NOW_MS, Record, published, read, runs_of
from tests.support.changelog import Log
from tests.support.streams import SMOOTHINGS, config_of

MINUTE = 60_000


def task_of(settings: str) -> PartitionTask:
    return PartitionTask("a", 0, 0, config_of(settings), (1, 2))


def smoothing(text: str) -> str:
    return f"smoothing: {{{text}}}"


def feed(task: PartitionTask, *readings: tuple[str, Any, int]) -> list[Any]:
    records = [
        Record(
            key.encode(),
            json.dumps({"x": x, "y": x, "w": 1, "timestamp": NOW_MS + at}).encode(),
            NOW_MS + at,
        )
        for key, x, at in readings
    ]
    step = task.process(runs_of(records, task.position))
    return [json.loads(r.value or b"null") for r in published(step, Destination.OUTPUT)]


def cut(task: PartitionTask, log: Log) -> dict[bytes | None, bytes | None]:
    """Commit a cut; answers what is in it."""
    before = len(log.records)
    log.commit(task.cut())
    return {key: value for _, key, value in log.records[before:]}


READINGS = (("a", 1.0, 0), ("b", 2.0, 1000), ("a", 5.0, 2000), ("b", 3.0, 3000))


def restart(old: str, new: str) -> tuple[PartitionTask, Log, Restored]:
    """Two keys under old settings, and a member with new ones that took them over."""
    task, log = task_of(old), Log()
    feed(task, *READINGS)
    cut(task, log)
    again = task_of(new)
    again.restore(log.runs)
    return again, log, again.restored()


def refusal(old: str, new: str) -> str:
    with pytest.raises(ChangelogError) as refused:
        restart(old, new)
    return str(refused.value)


@pytest.mark.parametrize("name", SMOOTHINGS)
def test_goes_to_text_and_back(name: str) -> None:
    own = Configuration.of(config_of(SMOOTHINGS[name]))
    text = own.to_bytes()
    again = Configuration.from_bytes(text)

    assert again.to_bytes() == text
    assert again.fingerprint == own.fingerprint == fingerprint(text)
    assert (
        again.words
        == own.words
        == config_of(SMOOTHINGS[name]).plan.places.width * len(config_of(SMOOTHINGS[name]).fields)
    )
    assert own.differences(again) == []
    assert own.sources(again).tolist() == list(range(own.words))


@pytest.mark.parametrize(
    "more",
    [
        "min_periods: 3",
        "min_n_eff: 0.5, outputs: [ewma, std, count]",
        "warm_up: flag",
        "late: drop",
        "late_cutoff: 10s",
        "outputs: [std, count, ewma]",
    ],
)
def test_what_does_not_concern_the_rows_may_change(more: str) -> None:
    base = "half_life: 10s, outputs: [ewma, std, count]"
    changed = f"half_life: 10s, {more}" if "outputs" in more else f"{base}, {more}"
    old, new = (Configuration.of(config_of(smoothing(text))) for text in (base, changed))
    assert old.fingerprint == new.fingerprint


def test_a_new_half_life_needs_no_new_rows() -> None:
    task, log, answer = restart(smoothing("half_life: 10s"), smoothing("half_life: 1s"))
    assert (answer.keys, answer.converted, answer.restarted) == (2, 2, 0)
    assert sorted(filter(None, cut(task, log))) == [b"\x00configuration", b"\x00position"]


def test_a_new_alpha_changes_the_weights_that_are_kept() -> None:
    outputs = "outputs: [ewma, weight_sum]"
    task, log, answer = restart(
        smoothing(f"alpha: 0.5, {outputs}"), smoothing(f"alpha: 0.1, {outputs}")
    )
    assert (answer.keys, answer.converted, answer.restarted) == (2, 2, 0)
    found = cut(task, log)
    assert sorted(filter(None, found)) == [
        b"\x00configuration",
        b"\x00position",
        b"\x01a",
        b"\x01b",
    ]
    assert list(found)[-2:] == [b"\x00configuration", b"\x00position"]
    again = task_of(smoothing(f"alpha: 0.1, {outputs}"))
    again.restore(log.runs)
    answer = again.restored()
    assert (answer.converted, answer.restarted) == (0, 0)
    for each in (task, again):
        (result,) = feed(each, ("a", 13.0, 4000))
        assert (result["ewma"], result["weight_sum"]) == (3.0 + 0.1 * 10.0, 10.0)


def test_a_weight_that_stays_is_not_written_again() -> None:
    outputs = "adjust: true, outputs: [ewma, weight_sum]"
    task, log, answer = restart(
        smoothing(f"alpha: 0.5, {outputs}"), smoothing(f"alpha: 0.1, {outputs}")
    )
    assert answer.converted == 2
    assert sorted(filter(None, cut(task, log))) == [b"\x00configuration", b"\x00position"]


@pytest.mark.parametrize(
    ("old_rules", "new_rules", "converted"),
    [
        ("", "[{keys: a, alpha: 0.25}]", 1),
        ("[{keys: a, alpha: 0.25}]", "", 1),
        ("[{keys: b, alpha: 0.25}]", "[{keys: a, alpha: 0.25}]", 2),
        ("[{keys: a, alpha: 0.5}]", "[{keys: b, alpha: 0.5}]", 0),
        ("[{keys: a, alpha: 0.25}]", "[{keys: c, alpha: 1}, {keys: a, alpha: 0.25}]", 0),
    ],
)
def test_a_key_is_converted_where_the_rules_give_it_other_factors(
    old_rules: str, new_rules: str, converted: int
) -> None:
    base = "alpha: 0.5, outputs: [ewma, weight_sum]"
    old, new = (
        smoothing(f"{base}, rules: {rules}" if rules else base) for rules in (old_rules, new_rules)
    )
    task, log, answer = restart(old, new)
    assert (answer.converted, answer.restarted) == (converted, 0)
    assert len(cut(task, log)) == 2 + converted


def test_a_rule_for_a_field_converts_its_key_once() -> None:
    base = "input: {{topics: [a], values: {{x: x, y: y}}}}\nsmoothing: {{alpha: 0.5, {}}}"
    outputs = "outputs: [weight_sum]"
    task, log, answer = restart(
        base.format(outputs), base.format(f"{outputs}, rules: [{{field: y, alpha: 0.25}}]")
    )
    assert answer.converted == 2
    (result,) = feed(task, ("a", 5.0, 4000))
    assert (result["x_weight_sum"], result["y_weight_sum"]) == (2.0, 4.0)
    assert len(cut(task, log)) == 4


def test_another_clock_begins_all_keys_anew() -> None:
    for old, new in (("alpha: 0.5", "half_life: 10s"), ("half_life: 10s", "alpha: 0.5")):
        task, log, answer = restart(smoothing(old), smoothing(new))
        assert (answer.keys, answer.converted, answer.restarted) == (2, 0, 2)
        assert [each["count"] for each in feed(task, ("a", 8.0, 9000))] == [1]
        assert set(cut(task, log)) == {b"\x01a", b"\x01b", b"\x00configuration", b"\x00position"}


def test_another_clock_for_some_keys_begins_those_anew() -> None:
    rules = "rules: [{keys: a, %s}, {keys: c, alpha: 0.1}]"
    task, log, answer = restart(
        smoothing("half_life: 10s, " + rules % "half_life: 5s"),
        smoothing("half_life: 10s, " + rules % "alpha: 0.5"),
    )
    assert (answer.keys, answer.converted, answer.restarted) == (2, 0, 1)
    found = feed(task, ("a", 8.0, 9000), ("b", 8.0, 9000))
    assert [each["count"] for each in found] == [1, 3]
    assert set(cut(task, log)) >= {b"\x01a", b"\x01b"}


def test_a_clock_that_is_new_for_some_keys_leaves_the_others_alone() -> None:
    """How weights are corrected on a clock that no key had before says nothing of the rows."""
    task, _, answer = restart(
        smoothing("half_life: 10s"), smoothing("half_life: 10s, rules: [{keys: a, alpha: 0.5}]")
    )
    assert (answer.keys, answer.converted, answer.restarted) == (2, 0, 1)
    found = feed(task, ("a", 8.0, 9000), ("b", 8.0, 9000))
    assert [each["count"] for each in found] == [1, 3]


def test_outputs_that_go_take_their_words_along() -> None:
    base = "half_life: 10s, outputs: [{}]"
    task, log, answer = restart(
        smoothing(base.format("ewma, std, slope, lag, count")),
        smoothing(base.format("count, std, ewma")),
    )
    assert (answer.converted, answer.restarted) == (0, 0)
    plain = task_of(smoothing(base.format("count, std, ewma")))
    feed(plain, *READINGS)
    more = (("a", 7.0, 5000), ("b", 1.0, 5000))
    assert feed(task, *more) == feed(plain, *more)

    assert set(cut(task, log)) == {b"\x01a", b"\x01b", b"\x00configuration", b"\x00position"}
    again = task_of(smoothing(base.format("count, std, ewma")))
    again.restore(log.runs)
    again.restored()
    assert feed(again, *more) == feed(plain, *more)


def test_all_rows_are_written_anew_before_any_other() -> None:
    """A log of rows of two lengths, not compacted: the later ones are those of all keys."""
    base = "half_life: 10s, outputs: [{}]"
    task, log, _ = restart(smoothing(base.format("ewma, std")), smoothing(base.format("ewma")))
    feed(task, ("a", 7.0, 5000))
    cut(task, log)
    feed(task, ("b", 7.0, 5000), ("c", 1.0, 6000))
    cut(task, log)
    again = task_of(smoothing(base.format("ewma")))
    again.restore(log.runs)
    assert again.restored().keys == 3
    assert feed(again, ("b", 1.0, 9000)) == feed(task, ("b", 1.0, 9000))


def test_factors_go_and_change_places_by_name() -> None:
    old = "factors: {fast: {half_life: 1s}, slow: {half_life: 9s}, mid: {half_life: 5s}}"
    new = "factors: {slow: {half_life: 9s}, fast: {half_life: 1s}}"
    task, _, answer = restart(smoothing(old), smoothing(new))
    assert (answer.converted, answer.restarted) == (0, 0)
    plain = task_of(smoothing(new))
    feed(plain, *READINGS)
    assert feed(task, ("a", 7.0, 5000)) == feed(plain, ("a", 7.0, 5000))


def test_many_rows_are_moved_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream_ewma.engine.converting._MOST_WORDS", 7)
    base = "half_life: 10s, outputs: [{}]"
    old, new = (smoothing(base.format(outputs)) for outputs in ("ewma, std", "ewma"))
    readings = [(f"k{i}", float(i), i) for i in range(30)]
    task, log, plain = task_of(old), Log(), task_of(new)
    feed(task, *readings)
    cut(task, log)
    again = task_of(new)
    again.restore(log.runs)
    again.restored()
    feed(plain, *readings)
    assert feed(again, *readings) == feed(plain, *readings)


def test_keys_that_are_gone_stay_gone_whatever_their_rows_were() -> None:
    task, log = task_of(smoothing("half_life: 10s, outputs: [ewma, std]")), Log()
    feed(task, *READINGS)
    cut(task, log)
    log.append([(b"\x01a", None), (b"\x01b", None)])
    again = task_of(smoothing("half_life: 10s"))
    again.restore(log.runs)
    assert (again.restored().keys, again.keys_count) == (0, 0)
    assert len(feed(again, ("a", 1.0, 0), ("b", 1.0, 0))) == 2


def test_settings_that_went_and_came_back_while_there_was_no_key() -> None:
    own, other = smoothing("half_life: 10s"), smoothing("half_life: 10s, outputs: [ewma, std]")
    task, log = task_of(own), Log()
    feed(task, *READINGS)
    cut(task, log)
    task._smoother.series.release(task._smoother.series.slots)
    cut(task, log)
    log.records = [record for record in log.records if record[1] != b"\x00configuration"]
    log.append([(key, value) for key, value in cut(task_of(other), Log()).items()])
    again = task_of(own)
    again.restore(log.runs)
    assert again.restored().keys == 0
    assert len(feed(again, ("a", 1.0, 0))) == 1


def test_only_keys_that_are_there_count_as_begun_anew() -> None:
    task, log = task_of(smoothing("alpha: 0.5")), Log()
    feed(task, *READINGS)
    cut(task, log)
    log.append([(b"\x01a", None)])
    again = task_of(smoothing("half_life: 10s"))
    again.restore(log.runs)
    answer = again.restored()
    assert (answer.keys, answer.restarted) == (1, 1)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("alpha: 0.5", "alpha: 0.5, adjust: true", "adjust for readings: false then, true now"),
        (
            "alpha: 0.5, outputs: [std]",
            "alpha: 0.5, outputs: [std], ignore_na: false",
            "ignore_na for readings: true then, false now",
        ),
        (
            "half_life: 10s, weighting: interval_next",
            "half_life: 10s, weighting: interval_prev",
            "weighting: interval_next then, interval_prev now",
        ),
        (
            "half_life: 10s, weighting: interval_next, adjust: false",
            "half_life: 10s, weighting: interval_next",
            "adjust for event time: false then, true now",
        ),
        (
            "alpha: 0.5, seed: {value: 1}",
            "alpha: 0.5, seed: {value: 2, weight: 3}",
            "seed: value 1.0 then, value 2.0, weight 3.0 now",
        ),
        ("alpha: 0.5, seed: {readings: 3}", "alpha: 0.5", "seed: readings 3 then, none now"),
        (
            "half_life: 10s, weighting: interval_linear, reorder: 2",
            "half_life: 10s, weighting: interval_linear, reorder: 3",
            "reorder: 2 then, 3 now",
        ),
        (
            "alpha: 0.5, reset_daily: 06:00 UTC",
            "alpha: 0.5, reset_daily: 07:00 UTC",
            "reset_daily: 06:00:00 UTC then, 07:00:00 UTC now",
        ),
        (
            "alpha: 0.5, outputs: [trend]",
            "alpha: 0.5, outputs: [trend], trend: {method: holt, beta: 0.1}",
            "trend.method: fit then, holt now",
        ),
        (
            "alpha: 0.5, outputs: [limits], limits: {baseline: 5}",
            "alpha: 0.5, outputs: [limits], limits: {baseline: 6}",
            "limits.baseline: 5 then, 6 now",
        ),
        (
            "alpha: 0.5",
            "alpha: 0.5, outputs: [ewma, std]",
            "nothing was kept of what variance, std, zscore,",
        ),
        ("alpha: 0.5", "alpha: 0.5, stale_after: 10s", "nothing was kept of what half_life, reset"),
        ("alpha: 0.5", "factors: {fast: {alpha: 0.5}}", "factors: fast was not there"),
        (
            "factors: {fast: {alpha: 0.5}}",
            "factors: {slow: {alpha: 0.5}, mid: {alpha: 0.4}, fast: {alpha: 0.5}}",
            "factors: slow, mid was not there",
        ),
    ],
)
def test_what_does_not_fit_is_named(old: str, new: str, words: str) -> None:
    message = refusal(smoothing(old), smoothing(new))
    assert message.startswith("the settings do not fit the stored state (")
    assert words in message
    assert "`stream-ewma state reset`" in message


def test_other_values_are_named() -> None:
    old = "input: {topics: [a], values: {x: x, y: y}}\nsmoothing: {alpha: 0.5}"
    assert "(input.values: x, y then, one without a name now)" in refusal(
        old, smoothing("alpha: 0.5")
    )


def test_weights_that_come_or_go_are_named() -> None:
    weighted = "input: {topics: [a], value: x, weight: w}\nsmoothing: {half_life: 10s}"
    assert "input.weight: true then, false now" in refusal(weighted, smoothing("half_life: 10s"))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("outputs: [ewma, limits], limits: {baseline: 5}", "outputs: [ewma]"),
        ("outputs: [ewma, trend]", "outputs: [ewma]"),
        ("reset_daily: 06:00 UTC", "min_periods: 2"),
        ("stale_after: 10s", "min_periods: 2"),
    ],
)
def test_what_is_not_needed_any_longer_goes(old: str, new: str) -> None:
    task, _, answer = restart(
        smoothing(f"half_life: 10s, {old}"), smoothing(f"half_life: 10s, {new}")
    )
    assert (answer.keys, answer.restarted) == (2, 0)
    assert len(feed(task, ("a", 1.0, 9000))) == 1


def test_a_refused_restore_leaves_the_changelog_as_it_was() -> None:
    task, log = task_of(smoothing("alpha: 0.5")), Log()
    feed(task, *READINGS)
    cut(task, log)
    other = task_of(smoothing("alpha: 0.5, adjust: true"))
    other.restore(log.runs)
    with pytest.raises(ChangelogError, match="adjust"):
        other.restored()
    again = task_of(smoothing("alpha: 0.5"))
    again.restore(log.runs)
    assert again.restored().keys == 2


def document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        Configuration.of(config_of(smoothing("alpha: 0.5"))).to_bytes()
    )
    return found


def test_a_newer_version_is_named() -> None:
    text = json.dumps({**document(), "version": 2}).encode()
    with pytest.raises(ChangelogError, match="configuration of the rows was written by a newer"):
        Configuration.from_bytes(text)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("layout", None),
        ("layout", {}),
        ("default", [{"alpha": 7}]),
        ("default", [{"beta": 1}]),
        ("rules", [[1, 2]]),
        ("rules", 3),
        ("factors", ["a", "b"]),
        ("values", None),
    ],
)
def test_a_damaged_configuration_is_refused(name: str, value: object) -> None:
    text = json.dumps({**document(), name: value}).encode()
    with pytest.raises(ChangelogError, match=r"^the configuration of the rows is damaged"):
        Configuration.from_bytes(text)


def test_the_configuration_is_written_again_only_when_it_is_another() -> None:
    task, log = task_of(smoothing("alpha: 0.5")), Log()
    assert b"\x00configuration" in cut(task, log)
    assert b"\x00configuration" not in cut(task, log)
    again = task_of(smoothing("alpha: 0.25"))
    again.restore(log.runs)
    again.restored()
    assert b"\x00configuration" in cut(again, log)
    assert b"\x00configuration" not in cut(again, log)


def test_read_is_the_same_whoever_wrote_it() -> None:
    """A configuration has no order of its own: two members write the same bytes."""
    texts = {
        bytes(
            read(
                bytes(task_of(smoothing("alpha: 0.5")).cut().batches[0].to_bytes(-1, -1, -1, False))
            )[0].value
            or b""
        )
        for _ in range(2)
    }
    assert len(texts) == 1
