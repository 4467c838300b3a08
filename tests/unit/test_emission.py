"""Thinning: which results are worth a record, by state and event time alone."""

import math
from typing import Any

import pytest

from stream_ewma.smoothing.absorbing import NOTE_LATE
from stream_ewma.smoothing.layout import FLAG_STALE
from stream_ewma.smoothing.mode import Emission, Weighting
from stream_ewma.smoothing.parameters import Factor
from stream_ewma.smoothing.rows import Outcome
from tests.support.smoothing import HOLD, OBSERVE, RESET, Series, column, last, plan_of, run

ALL = Factor(alpha=1)
SECOND = Factor(half_life=1)
EMITTED, NO_STATE, NOT_FINITE, LATE, THINNED, WARMING_UP = Outcome


def emitted(result: Any) -> list[bool]:
    assert set(result.outcome) <= {EMITTED, THINNED}
    return [outcome == EMITTED for outcome in result.outcome]


def test_one_result_in_each_interval_of_event_time() -> None:
    plan = plan_of(ALL, emission=Emission(interval=10))
    result = run(plan, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [3, 12, 13, 14, 22, 24])
    assert emitted(result) == [True, False, True, False, False, True]
    assert result.count.tolist() == [1, 0, 3, 0, 0, 6]
    assert math.isnan(column(result)[1])


def test_a_result_goes_out_when_the_mean_has_moved() -> None:
    plan = plan_of(ALL, emission=Emission(change=0.5))
    result = run(plan, [1.0, 1.25, 0.75, 1.5, 1.75, 1.0, math.nan], actions=[OBSERVE] * 6 + [HOLD])
    assert emitted(result) == [True, False, False, True, False, True, False]


def test_thinning_depends_on_the_mean_of_the_first_factor() -> None:
    plan = plan_of((Factor(alpha=0.25), ALL), emission=Emission(change=1.0))
    assert emitted(run(plan, [0.0, 2.0, 2.0, 2.0])) == [True, False, False, True]


def test_the_first_result_after_a_reset_goes_out() -> None:
    for emission in (Emission(interval=1000), Emission(change=9.0)):
        plan = plan_of(ALL, emission=emission)
        result = run(
            plan, [1.0, 1.0, 1.0, 1.0], [0] * 4, actions=[OBSERVE, OBSERVE, RESET, OBSERVE]
        )
        assert result.outcome.tolist() == [EMITTED, THINNED, NO_STATE, EMITTED]


def test_a_late_result_goes_out_only_with_a_change() -> None:
    by_time = run(plan_of(SECOND, emission=Emission(interval=1)), [1.0, 9.0], [5, 3])
    assert emitted(by_time) == [True, False]
    by_change = run(plan_of(SECOND, emission=Emission(change=0.1)), [1.0, 9.0], [5, 3])
    assert emitted(by_change) == [True, True]
    assert by_change.notes.tolist() == [0, NOTE_LATE]


def test_results_that_are_held_back_for_warm_up_are_no_results_yet() -> None:
    plan = plan_of(ALL, emission=Emission(interval=10), min_periods=3, warm_up="hold")
    result = run(plan, [1.0, 2.0, 3.0, 4.0], [0, 5, 6, 7])
    assert result.outcome.tolist() == [WARMING_UP, WARMING_UP, EMITTED, THINNED]


def test_a_standing_reading_that_moves_the_mean_goes_out_at_a_tick() -> None:
    plan = plan_of(SECOND, weighting=Weighting.INTERVAL_PREV, emission=Emission(change=0.5))
    series = Series(plan)
    series.feed([1.0, 5.0], [0, 1])
    ticks = series.feed([None] * 3, [2, 2, 60])
    assert emitted(ticks) == [True, False, True]
    assert last(ticks) == pytest.approx(5.0, rel=1e-12)


def test_the_interval_is_measured_between_integers() -> None:
    plan = plan_of(ALL, emission=Emission(interval=10))
    far = 2**62
    assert emitted(run(plan, [1.0] * 3, [far, far + 9, far + 10])) == [True, False, True]
    assert emitted(run(plan, [1.0] * 2, [-(2**63), 2**63 - 1])) == [True, True]


def test_a_reading_takes_away_the_mark_of_silence() -> None:
    plan = plan_of(SECOND, stale=True)
    series = Series(plan)
    series.feed([1.0])
    flags = series.state.integers(plan.places.flags)
    flags[0] |= FLAG_STALE
    series.feed([None], [5])
    assert flags[0] == FLAG_STALE
    series.feed([1.0], [5])
    assert flags[0] == 0


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "emit: write either interval or on_change"),
        ({"interval": 5, "change": 0.1}, "emit: write either interval or on_change"),
        ({"interval": 0}, "emit.interval: write a number greater than 0"),
        ({"change": -1.0}, "emit.on_change: write a number greater than 0"),
        ({"change": math.nan}, "emit.on_change: write a number greater than 0"),
    ],
)
def test_an_emission_out_of_range_is_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=f"^{words}"):
        Emission(**settings)
