"""Weights, seeds, warm-up, resets: each rule with numbers that can be checked by hand."""

import math
from typing import Any

import numpy as np
import pytest

from stream_ewma.smoothing.absorbing import NOTE_NOT_READY, NOTE_RESTARTED
from stream_ewma.smoothing.mode import Mode, Seed, Weighting
from stream_ewma.smoothing.outputs import Output, Quantity
from stream_ewma.smoothing.parameters import Factor
from stream_ewma.smoothing.plan import Plan
from stream_ewma.smoothing.rows import Outcome
from tests.support.smoothing import AGE, HOLD, OBSERVE, RESET, Series, column, last, plan_of, run

HALF = Factor(alpha=0.5)
SECOND = Factor(half_life=1)
EMITTED, NO_STATE, NOT_FINITE, LATE, THINNED, WARMING_UP = Outcome


def approx(*values: float) -> Any:
    return pytest.approx(values, rel=1e-14, nan_ok=True)


def test_adjusted_weights_are_those_of_a_finite_history() -> None:
    result = run(plan_of(HALF, "ewma", "weight_sum", adjust=True), [1.0, 2.0, 4.0])
    assert column(result) == approx(1, (0.5 + 2) / 1.5, (0.25 + 1 + 4) / 1.75)
    assert column(result, "weight_sum") == approx(1, 1.5, 1.75)


def test_unadjusted_weights_are_constant() -> None:
    result = run(plan_of(Factor(alpha=0.25), "ewma", "weight_sum"), [1.0, 2.0])
    assert column(result) == approx(1, 1.25)
    assert column(result, "weight_sum") == [4.0, 4.0]


def test_adjusted_in_event_time_needs_no_word() -> None:
    assert column(run(plan_of(SECOND), [1.0, 2.0], [0, 1])) == approx(1, 2.5 / 1.5)


@pytest.mark.parametrize(
    ("adjust", "ignore_na", "expected"),
    [  # pandas' user guide on ignore_na
        (True, True, (0.5 + 4) / 1.5),
        (True, False, (0.25 + 4) / 1.25),
        (False, True, 0.5 * 1 + 0.5 * 4),
        (False, False, (0.25 * 1 + 0.5 * 4) / 0.75),
    ],
)
@pytest.mark.parametrize("action", [HOLD, AGE])
def test_a_missing_reading_ages_the_weights_or_not(
    adjust: bool, ignore_na: bool, expected: float, action: int
) -> None:
    plan = plan_of(HALF, adjust=adjust, ignore_na=ignore_na)
    result = run(plan, [1.0, math.nan, 4.0], actions=[OBSERVE, action, OBSERVE])
    assert last(result) == pytest.approx(expected, rel=1e-15)
    assert result.outcome[1] == (EMITTED if action == HOLD else NO_STATE)
    assert math.isnan(result.mean[1]) is (action == AGE)


def test_a_missing_reading_before_the_first_does_nothing() -> None:
    series = Series(plan_of(HALF, adjust=True, ignore_na=False))
    empty = series.bits()
    assert series.feed([None]).outcome.tolist() == [NO_STATE]
    assert series.bits() == empty


def test_a_history_aged_away_leaves_the_next_reading_alone() -> None:
    plan = plan_of(HALF, "ewma", "variance", "weight_sum", adjust=True, ignore_na=False)
    result = run(plan, [1e9, 2e9, *[None] * 1100, 0.25, 0.5])
    assert column(result)[-2:] == approx(0.25, (0.125 + 0.5) / 1.5)
    assert column(result, "variance")[-2:] == approx(math.nan, 0.25**2 / 2)
    assert column(result, "weight_sum")[-3:] == [0.0, 1.0, 1.5]


def test_warm_up_by_readings_emits_null_until_then() -> None:
    plan = plan_of(
        HALF, "ewma", "count", "n_eff", "weight_sum", "ready", min_periods=3, adjust=True
    )
    result = run(plan, [1.0, 2.0, 4.0])
    assert column(result) == approx(math.nan, math.nan, 3.0)
    assert column(result, "count") == [1, 2, 3]
    assert column(result, "weight_sum") == [1.0, 1.5, 1.75]
    assert column(result, "ready") == [False, False, True]
    assert result.notes.tolist() == [NOTE_NOT_READY, NOTE_NOT_READY, 0]
    assert result.outcome.tolist() == [EMITTED] * 3


def test_warm_up_can_hold_results_back_while_the_state_goes_on() -> None:
    result = run(plan_of(HALF, min_periods=3, warm_up="hold"), [1.0, 2.0, 4.0, 8.0])
    assert result.outcome.tolist() == [WARMING_UP, WARMING_UP, EMITTED, EMITTED]
    assert column(result) == approx(math.nan, math.nan, 2.75, 5.375)
    assert result.count.tolist() == [0, 0, 3, 4]


def test_warm_up_can_flag_results() -> None:
    plan = plan_of(HALF, "ewma", "zscore", "ready", min_periods=3, warm_up="flag")
    result = run(plan, [1.0, 2.0, 4.0])
    assert column(result) == [1.0, 1.5, 2.75]
    assert column(result, "ready") == [False, False, True]
    assert result.outcome.tolist() == [EMITTED] * 3
    assert result.notes.tolist() == [NOTE_NOT_READY, NOTE_NOT_READY, 0]


def test_a_z_score_is_null_while_the_key_is_warming_up() -> None:
    x = [1.0, 2.0, 4.0, 3.0]
    ready = column(run(plan_of(HALF, "zscore"), x), "zscore")
    warming = column(run(plan_of(HALF, "zscore", min_periods=4), x), "zscore")
    assert math.isfinite(ready[2])
    assert warming == approx(math.nan, math.nan, math.nan, ready[3])


def test_warm_up_by_effective_readings_is_armed_again_by_a_gap() -> None:
    plan = plan_of(SECOND, "ewma", "n_eff", min_n_eff=1.5)
    result = run(plan, [1.0, 2.0, 3.0, 4.0, 5.0], [0, 0, 100, 100, 100])
    n_eff = column(result, "n_eff")
    assert n_eff == approx(1, 2, 1 + 2**-99, 2, 3)
    assert [math.isnan(value) for value in column(result)] == [True, False, True, False, False]


def test_warm_up_by_effective_readings_waits_for_all_factors() -> None:
    plan = plan_of((Factor(alpha=1.0), HALF), min_n_eff=1.1)
    assert np.isnan(run(plan, [1.0, 2.0, 3.0]).mean).all()  # alpha 1 never has more than one


def test_warm_up_by_readings_is_armed_again_by_a_thousand_half_lives() -> None:
    result = run(plan_of(SECOND, min_periods=2), [1.0, 2.0, 3.0, 4.0], [0, 1, 2000, 2000])
    assert column(result) == approx(math.nan, 2.5 / 1.5, math.nan, 3.5)


def test_a_weight_lost_in_rounding_leaves_exactly_the_reading() -> None:
    """Not (x - m) + m, which is 0 here."""
    assert column(run(plan_of(SECOND, "ewma"), [1e20, 1.0], [0, 60])) == [1e20, 1.0]


@pytest.mark.parametrize(
    "factor", [Factor(alpha=5e-324), Factor(half_life_samples=1.7e308), Factor(half_life=1.7e308)]
)
@pytest.mark.parametrize("mode", [{}, {"adjust": True}, {"weighted": True}])
def test_the_slowest_factors_there_are(factor: Factor, mode: dict[str, Any]) -> None:
    plan = plan_of(factor, "ewma", "variance", "weight_sum", **mode)
    weights = {"weights": [1.0, 3.0]} if "weighted" in mode else {}
    result = run(plan, [1.0, 5.0], [0, 1], **weights)
    assert result.outcome.tolist() == [EMITTED] * 2
    assert np.isfinite(result.columns["weight_sum"]).all()


def test_a_seed_of_given_value_weighs_as_much_as_all_before() -> None:
    plan = plan_of(Factor(alpha=0.3), "ewma", seed=Seed(value=50.0))  # NIST 6.3.2.4
    assert column(run(plan, [52.0, 47.0])) == approx(50.6, 49.52)


def test_a_seed_may_have_a_weight_of_its_own() -> None:
    plan = plan_of(HALF, adjust=True, seed=Seed(value=10.0, weight=4.0))
    assert column(run(plan, [4.0, 4.0])) == approx((2 * 10 + 4) / 3, (10 + 2 + 4) / 2.5)


def test_a_seed_of_given_weight_is_forgotten_by_constant_weights() -> None:
    plan = plan_of(HALF, seed=Seed(value=10.0, weight=4.0))
    first = (2 * 10 + 4) / 3
    assert column(run(plan, [4.0, 4.0])) == approx(first, (first + 4) / 2)


def test_a_seed_in_event_time_weighs_like_one_reading_then() -> None:
    plan = plan_of(SECOND, seed=Seed(value=10.0))
    result = run(plan, [4.0, 4.0], [7, 8])
    assert column(result) == approx(7, (0.5 * 14 + 4) / 2)


def test_a_seed_comes_back_after_a_reset() -> None:
    plan = plan_of(HALF, seed=Seed(value=10.0))
    result = run(plan, [4.0, 0.0, 4.0], actions=[OBSERVE, RESET, OBSERVE])
    assert column(result) == approx(7, math.nan, 7)


def test_a_seed_of_first_readings_is_their_plain_mean() -> None:
    plan = plan_of(HALF, "ewma", "variance", seed=Seed(readings=3))
    result = run(plan, [1.0, 2.0, 6.0, 5.0])
    assert column(result) == approx(1, 1.5, 3, 4)
    assert column(result, "variance")[:3] == approx(math.nan, 0.5, 7)


def test_the_constant_weight_of_a_seed_of_first_readings_survives_gaps() -> None:
    plan = plan_of(HALF, "ewma", ignore_na=False, seed=Seed(readings=2))
    result = run(plan, [1.0, None, 3.0, 4.0, None, 4.0])
    assert column(result) == approx(1, 1, 2, 3, 3, (3 * 0.5 + 4 * 1) / 1.5)


def test_own_weights_in_event_time() -> None:
    plan = plan_of(SECOND, "ewma", "weight_sum", "n_eff", weighted=True)
    result = run(plan, [1.0, 4.0], [0, 1], weights=[2.0, 3.0])
    assert column(result) == approx(1, (1 + 12) / 4)
    assert column(result, "weight_sum") == approx(2, 4)
    assert column(result, "n_eff") == approx(1, 16 / (1 + 9))


@pytest.mark.parametrize(("adjust", "expected"), [(True, 13 / 4), (False, (1 * 1 + 3 * 4) / 4)])
def test_own_weights_on_the_count_clock(adjust: bool, expected: float) -> None:
    plan = plan_of(HALF, adjust=adjust, weighted=True)
    assert last(run(plan, [1.0, 4.0], weights=[2.0, 3.0])) == pytest.approx(expected, rel=1e-15)


def test_a_weight_of_two_is_two_readings_of_one_instant() -> None:
    names = ("ewma", "weight_sum")
    plan = plan_of(SECOND, *names, weighted=True)
    heavy = run(plan, [1.0, 4.0, 2.0], [0, 3, 4], weights=[1, 2, 1])
    twice = run(plan_of(SECOND, *names), [1.0, 4.0, 4.0, 2.0], [0, 3, 3, 4])
    for name in names:
        assert last(heavy, name) == pytest.approx(last(twice, name), rel=1e-15)


@pytest.mark.parametrize("weight", [0.0, -1.0, math.nan, math.inf, -math.inf, 1e200])
@pytest.mark.parametrize("before", [0, 2])
@pytest.mark.parametrize("factor", [HALF, SECOND])
def test_a_weight_that_is_none_leaves_the_state_untouched(
    weight: float, before: int, factor: Factor
) -> None:
    series = Series(plan_of(factor, weighted=True))
    series.feed([1.0] * before, weights=[1.0] * before)
    bits = series.bits()
    assert series.feed([2.0], weights=[weight]).outcome.tolist() == [NOT_FINITE]
    assert series.bits() == bits


def test_the_largest_weights_can_be_summed() -> None:
    plan = plan_of(SECOND, weighted=True)
    result = run(plan, [1.0, 3.0, 5.0], weights=[1e150] * 3)
    assert column(result) == approx(1, 2, 3)


@pytest.mark.parametrize("scale", [2.0**-20, 1.0, 1e150])
def test_the_scale_of_all_weights_does_not_matter(scale: float) -> None:
    """Nor where a history is forgotten: against the new reading, not against 1."""
    plan = plan_of(SECOND, "ewma", "count", weighted=True)
    result = run(plan, [1.0, 2.0, 5.0, 4.0], [0, 0, 999, 2002], weights=[scale] * 4)
    assert column(result) == approx(1, 1.5, 5, 4)
    assert result.count.tolist()[:3] == [1, 2, 3]
    assert result.count[3] == 1


def test_a_silence_resets() -> None:
    plan = plan_of(HALF, reset_after=10)
    result = run(plan, [1.0, 2.0, 8.0, 6.0], [0, 10, 21, 5])
    assert column(result) == approx(1, 1.5, 8, 7)
    assert result.count.tolist() == [1, 2, 1, 2]
    assert result.notes.tolist() == [0, 0, NOTE_RESTARTED, 0]


def test_a_silence_is_measured_between_integers() -> None:
    far = 2**62
    plan = plan_of(HALF, reset_after=10)
    assert run(plan, [1.0, 3.0, 8.0], [far, far + 10, far + 21]).count.tolist() == [1, 2, 1]


def test_a_new_session_resets_and_an_old_one_is_refused() -> None:
    series = Series(plan_of(HALF, sessions=True))
    result = series.feed([1.0, 2.0, 8.0, 9.0, 6.0], sessions=[-3, -3, 0, -1, 0])
    assert column(result) == approx(1, 1.5, 8, math.nan, 7)
    assert result.outcome.tolist() == [EMITTED, EMITTED, EMITTED, LATE, EMITTED]
    assert result.notes.tolist() == [0, 0, NOTE_RESTARTED, 0, 0]


def test_a_restart_is_asked_for_with_the_reading() -> None:
    result = run(plan_of(SECOND), [1.0, 2.0, 8.0, 6.0], [5, 5, 5, 5], restarts=[1, 0, 1, 0])
    assert column(result) == approx(1, 1.5, 8, 7)
    assert result.notes.tolist() == [0, 0, NOTE_RESTARTED, 0]


def test_a_reading_that_is_refused_restarts_nothing() -> None:
    series = Series(plan_of(SECOND, sessions=True))
    series.feed([1.0, 3.0], sessions=[1, 1])
    bits = series.bits()
    assert series.feed([math.nan], sessions=[2]).outcome.tolist() == [NOT_FINITE]
    assert series.feed([math.nan], sessions=[1], restarts=[1]).outcome.tolist() == [NOT_FINITE]
    assert series.bits() == bits


def test_a_z_score_does_not_look_into_the_session_before() -> None:
    plan = plan_of(HALF, "zscore", sessions=True)
    result = run(plan, [1.0, 2.0, 3.0, 50.0, 51.0], sessions=[1, 1, 1, 2, 2])
    z = column(result, "zscore")
    assert math.isfinite(z[2])
    assert np.isnan(z[3:]).all()


def test_several_factors_smooth_the_same_readings() -> None:
    difference = Output("macd", Quantity.DIFFERENCE, factor=0, minus=1)
    fast, slow = Output("fast", Quantity.EWMA, 0), Output("slow", Quantity.EWMA, 1)
    plan = Plan.of((HALF, Factor(alpha=0.25)), None, (difference, fast, slow))
    result = run(plan, [4.0, 8.0, 8.0])
    assert column(result, "fast") == approx(4, 6, 7)
    assert column(result, "slow") == approx(4, 5, 5.75)
    assert column(result, "macd") == approx(0, 1, 1.25)


def test_a_key_starts_anew_when_its_slowest_factor_does() -> None:
    plan = plan_of((SECOND, Factor(half_life=1000)), "ewma", "variance", "count")
    result = run(plan, [1.0, 2.0, 5.0, 6.0], [0, 0, 1500, 1_500_000])
    assert column(result) == approx(1, 1.5, 5, 6)
    assert result.count.tolist() == [1, 2, 3, 1]
    assert column(result, "variance") == approx(math.nan, 0.5, math.nan, math.nan)


@pytest.mark.parametrize("column_name", ["weights", "sessions"])
def test_weights_and_sessions_come_exactly_where_the_plan_says_so(column_name: str) -> None:
    with pytest.raises(ValueError, match="if the plan says so"):
        run(plan_of(HALF), [1.0], **{column_name: [1]})
    with pytest.raises(ValueError, match="if the plan says so"):
        run(plan_of(HALF, weighted=True, sessions=True), [1.0], **{column_name: [1]})


@pytest.mark.parametrize("column_name", ["weights", "sessions", "restarts"])
def test_a_column_of_no_rows_does_not_stand_for_one_that_is_not_given(column_name: str) -> None:
    mode = {"weighted": column_name == "weights", "sessions": column_name == "sessions"}
    with pytest.raises(ValueError, match="same length"):
        run(plan_of(HALF, **mode), [1.0], **{column_name: []})


def test_the_rows_of_another_plan_are_refused() -> None:
    series = Series(plan_of(HALF))
    series.plan = plan_of(HALF, "std")
    with pytest.raises(ValueError, match="another plan"):
        series.feed([1.0])


def test_count_clock_keys_stay_the_same_when_one_batch_has_restarts() -> None:
    """The short kernel leaves the weight of such a key alone, the general one must not read it."""
    series = Series(Plan(sets=((Factor(alpha=0.2),), (SECOND,))))
    series.feed([10.0])
    assert column(series.feed([12.0], restarts=[0])) == approx(10.4)
    assert column(series.feed([15.0])) == approx(11.32)


INVALID: list[tuple[dict[str, Any], str]] = [
    ({"min_periods": -1}, "min_periods"),
    ({"min_n_eff": math.nan}, "min_n_eff"),
    ({"reorder_grace": 0, "weighting": Weighting.INTERVAL_PREV}, "reorder_grace"),
    ({"late_cutoff": 0}, "late_cutoff"),
    ({"reset_after": -5}, "reset_after"),
    ({"reorder": 65, "weighting": Weighting.INTERVAL_PREV}, "reorder"),
    ({"reorder": -1, "weighting": Weighting.INTERVAL_PREV}, "reorder"),
    ({"reorder": 3}, "reorder"),
    ({"reorder_grace": 3}, "reorder"),
    ({"reorder_grace": 3, "weighting": Weighting.INTERVAL_NEXT}, "reorder_grace"),
    ({"weighted": True, "weighting": Weighting.INTERVAL_NEXT}, "weighting"),
    ({"weighted": True, "seed": Seed(readings=3)}, "seed.readings"),
]


@pytest.mark.parametrize(("settings", "name"), INVALID)
def test_a_mode_that_contradicts_itself_is_refused(settings: dict[str, Any], name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name}:"):
        Mode(**settings)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "seed: write either"),
        ({"value": 1.0, "readings": 2}, "seed: write either"),
        ({"value": math.inf}, "seed.value: write a finite"),
        ({"readings": 2, "weight": 1.0}, "seed.weight: only"),
        ({"value": 1.0, "weight": 0.0}, "seed.weight: write a number greater than 0"),
        ({"readings": 0}, "seed.readings: write a number at least 1"),
    ],
)
def test_a_seed_out_of_range_is_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=f"^{words}"):
        Seed(**settings)


@pytest.mark.parametrize(
    ("factor", "settings", "name"),
    [
        (SECOND, {"ignore_na": False}, "ignore_na"),
        (SECOND, {"seed": Seed(readings=2)}, "seed.readings"),
        (SECOND, {"adjust": False}, "adjust"),
        (HALF, {"weighting": Weighting.INTERVAL_PREV}, "weighting"),
        (HALF, {"seed": Seed(readings=2), "adjust": True}, "seed.readings"),
    ],
)
def test_a_mode_that_does_not_fit_the_clock_is_refused(
    factor: Factor, settings: dict[str, Any], name: str
) -> None:
    with pytest.raises(ValueError, match=f"^{name}:"):
        Plan.of(factor, Mode(**settings))


def test_a_seed_too_large_for_a_variance_is_refused() -> None:
    Plan.of(HALF, Mode(seed=Seed(value=1e200)))
    with pytest.raises(ValueError, match=r"^seed.value: write a number of at most 1e\+150"):
        plan_of(HALF, "std", seed=Seed(value=-1e200))


def test_constant_weights_are_what_no_bias_correction_means_between_readings() -> None:
    Plan.of(SECOND, Mode(weighting=Weighting.INTERVAL_NEXT, adjust=False))
    assert Mode().adjusts(event_time=True)
    assert not Mode().adjusts(event_time=False)
    assert Mode(adjust=True).adjusts(event_time=False)
