"""What is read off a state: spread, z-scores, weights; and what a plan refuses to read."""

import math
from typing import Any

import numpy as np
import pytest

from stream_ewma.smoothing.absorbing import NOTE_LATE
from stream_ewma.smoothing.layout import NOWHERE
from stream_ewma.smoothing.mode import Limits, Mode, Outliers, Seed, Weighting
from stream_ewma.smoothing.outputs import Code, Output, Quantity
from stream_ewma.smoothing.parameters import Factor
from stream_ewma.smoothing.plan import LARGEST_SQUARED, Plan
from stream_ewma.smoothing.rows import Outcome
from tests.support.smoothing import HOLD, Series, column, last, outputs, plan_of, run

HALF = Factor(alpha=0.5)
SECOND = Factor(half_life=1)
EMITTED, NO_STATE, NOT_FINITE, LATE, THINNED, WARMING_UP = Outcome


def approx(*values: float) -> Any:
    return pytest.approx(values, rel=1e-14, nan_ok=True)


def test_variance_of_equal_weights_is_the_plain_one() -> None:
    plan = plan_of(SECOND, "variance", "std", "n_eff")
    result = run(plan, [1.0, 2.0, 6.0, 7.0], [5] * 4)
    assert column(result, "variance") == approx(math.nan, 0.5, 7, 26 / 3)
    assert column(result, "std") == approx(
        math.nan, math.sqrt(0.5), math.sqrt(7), math.sqrt(26 / 3)
    )
    assert column(result, "n_eff") == approx(1, 2, 3, 4)


def test_biased_variance_divides_by_all_the_weight() -> None:
    result = run(plan_of(SECOND, "variance", biased=True), [1.0, 2.0, 6.0], [5] * 3)
    assert column(result, "variance") == approx(0, 0.25, 14 / 3)


def test_variance_of_a_weighted_pair() -> None:
    result = run(plan_of(SECOND, "variance", "n_eff"), [1.0, 4.0], [0, 1])
    assert column(result, "variance") == approx(math.nan, 4.5)  # dx^2/2, whatever the weights
    assert column(result, "n_eff") == approx(1, 1.5**2 / 1.25)


def test_effective_readings_settle_at_the_span() -> None:
    n_eff = column(run(plan_of(Factor(span=9), "n_eff"), [1.0] * 300), "n_eff")
    assert n_eff[-1] == pytest.approx(9, rel=1e-12)


def test_a_z_score_compares_a_reading_with_what_was_known_before_it() -> None:
    result = run(plan_of(SECOND, "ewma", "zscore"), [1.0, 3.0, 6.0], [0] * 3)
    # mean 2, variance 2, and the mean's own noise: 2 (1 + 1/2)
    assert column(result, "zscore") == approx(math.nan, math.nan, (6 - 2) / math.sqrt(3))


def test_a_z_score_is_undefined_without_spread() -> None:
    result = run(plan_of(HALF, "zscore"), [2.0, 2.0, 2.0])
    assert np.isnan(result.columns["zscore"]).all()


def test_a_z_score_of_a_missing_reading_is_undefined() -> None:
    result = run(plan_of(HALF, "ewma", "zscore"), [1.0, 2.0, 4.0, None])
    assert result.outcome[-1] == EMITTED
    assert math.isnan(last(result, "zscore"))


def test_a_z_score_with_a_seed_of_given_value_leaves_out_its_noise() -> None:
    plan = plan_of(HALF, "zscore", seed=Seed(value=0.0))
    z = column(run(plan, [2.0, 3.0]), "zscore")
    spread, variance, own = 0.5, 1.0, 0.25  # Q, V and E after the first reading: shares of half
    assert z == approx(math.nan, (3 - 1) / math.sqrt(variance / spread * (1 + own)))


def test_the_sum_of_weights_goes_on_decaying() -> None:
    series = Series(plan_of(SECOND, "weight_sum", "ewma"))
    series.feed([1.0, 2.0], [0, 0])
    result = series.feed([None, None, None], [0, 1, 3])
    assert column(result, "weight_sum") == approx(2, 1, 0.25)
    assert column(result) == [1.5] * 3


def test_a_late_reading_is_flagged() -> None:
    result = run(plan_of(SECOND, "ewma", "late"), [1.0, 2.0, 3.0], [0, 5, 3])
    assert column(result, "late") == [False, False, True]
    assert result.notes.tolist() == [0, 0, NOTE_LATE]


def test_each_factor_has_its_outputs() -> None:
    names = ("variance", "n_eff", "weight_sum", "zscore")
    both = tuple(
        Output(f"{quantity}{factor}", Quantity(quantity), factor)
        for factor in (0, 1)
        for quantity in names
    )
    factors = (SECOND, Factor(half_life=7))
    x, times = [1.0, 5.0, 2.0, 4.0], [0, 1, 3, 4]
    together = run(Plan.of(factors, None, both), x, times)
    for place, factor in enumerate(factors):
        alone = run(plan_of(factor, *names), x, times)
        for name in names:
            assert column(together, f"{name}{place}") == approx(*column(alone, name))


def test_outputs_that_are_off_cost_no_memory() -> None:
    assert plan_of(HALF).places.width == 2
    assert plan_of(SECOND).places.width == 4
    assert plan_of(SECOND, "std").places.width == 6
    assert plan_of(SECOND, "std", "slope").places.width == 9
    assert plan_of(HALF).places.reference == NOWHERE


@pytest.mark.parametrize("name", ["variance", "zscore", "slope", "lag", "n_eff"])
@pytest.mark.parametrize("factor", [HALF, SECOND])
def test_readings_too_large_to_square_are_refused(name: str, factor: Factor) -> None:
    series = Series(plan_of(factor, "ewma", name))
    series.feed([1.0, 2.0])
    bits = series.bits()
    result = series.feed([1.01e150, -1e200])
    assert result.outcome.tolist() == [NOT_FINITE] * 2
    assert series.bits() == bits
    extreme = series.feed([LARGEST_SQUARED, -LARGEST_SQUARED], [2**62, 2**62])
    assert extreme.outcome.tolist() == [EMITTED] * 2
    assert np.isfinite(series.state.numbers[: series.plan.places.width]).all()


def test_readings_of_any_size_are_smoothed_where_nothing_is_squared() -> None:
    assert column(run(plan_of(HALF, adjust=True), [1.7e308, 1.7e308])) == [1.7e308] * 2


@pytest.mark.parametrize("factor", [HALF, SECOND])
def test_a_mean_that_would_overflow_leaves_the_state_untouched(factor: Factor) -> None:
    series = Series(plan_of((factor, factor), "ewma"))
    series.feed([-1.7e308])
    bits = series.bits()
    assert series.feed([1.7e308]).outcome.tolist() == [NOT_FINITE]
    assert series.bits() == bits


def test_a_slot_without_a_row_is_refused() -> None:
    series = Series(plan_of(HALF, "std"))
    with pytest.raises(IndexError, match="row 1: slot 99999 has no row"):
        series.feed([1.0, 2.0, 3.0], slots=[0, 99_999, 0])
    assert series.state.count[0] == 1


def test_slopes_and_lags_have_the_unit_that_is_asked_for() -> None:
    x, times = [0.0, 1.0, 2.0, 3.0], [0, 1000, 2000, 3000]
    names = ("slope", "lag", "level", "forecast")
    raw = run(plan_of(Factor(half_life=5000), *names), x, times)
    seconds = run(plan_of(Factor(half_life=5000), *names, time_unit=1000.0), x, times)
    assert last(raw, "slope") == pytest.approx(0.001, rel=1e-12)
    assert last(seconds, "slope") == pytest.approx(1.0, rel=1e-12)
    assert last(seconds, "lag") == pytest.approx(last(raw, "lag") / 1000, rel=1e-15)
    assert last(seconds, "level") == last(raw, "level")


def test_units_of_time_are_no_matter_of_the_count_clock_beside_it() -> None:
    plan = Plan(
        sets=((Factor(alpha=0.1),), (Factor(half_life=5000),)),
        mode=Mode(adjust=True),
        outputs=outputs("slope", "lag"),
        time_unit=1000.0,
    )
    series = Series(plan, keys=2)
    series.state.assign(np.array([1]), 1)
    x = [0.0, 0.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0]
    times = [0, 0, 1000, 1000, 2000, 2000, 3000, 3000]
    result = series.feed(x, times, slots=[0, 1] * 4)
    assert column(result, "slope")[-2:] == pytest.approx([1.0, 1.0], rel=1e-12)
    alone = run(plan_of(Factor(alpha=0.1), "lag", adjust=True), [0.0, 1.0, 2.0, 3.0])
    assert column(result, "lag")[-2] == last(alone, "lag")


@pytest.mark.parametrize(
    ("wanted", "settings", "words"),
    [
        ((), {}, "outputs: write at least one"),
        ((Output("a", Quantity.EWMA), Output("a", Quantity.STD)), {}, "outputs: a is there twice"),
        ((Output("ucl", Quantity.UCL),), {}, "limits: write centre"),
        ((Output("a", Quantity.EWMA, factor=1),), {}, "outputs: a names a factor"),
        ((Output("a", Quantity.EWMA, factor=-1),), {}, "outputs: a names a factor"),
        ((Output("a", Quantity.DIFFERENCE, minus=2),), {}, "outputs: a names a factor"),
        ((Output("z", Quantity.ZSCORE),), {"reorder": 2}, "reorder: readings held back"),
        (
            (Output("a", Quantity.EWMA),),
            {"reorder": 2, "outliers": Outliers(lowest=0.0)},
            "reorder: readings held back",
        ),
    ],
)
def test_outputs_that_cannot_be_had_are_refused(
    wanted: tuple[Output, ...], settings: dict[str, Any], words: str
) -> None:
    weighting = Weighting.INTERVAL_NEXT if "reorder" in settings else Weighting.EVENT
    with pytest.raises(ValueError, match=f"^{words}"):
        Plan.of(SECOND, Mode(weighting=weighting, **settings), wanted)


@pytest.mark.parametrize("horizon", [-1.0, math.inf, math.nan])
def test_a_horizon_out_of_range_is_refused(horizon: float) -> None:
    with pytest.raises(ValueError, match=r"^horizon: write a number of at least 0"):
        Output("f", Quantity.FORECAST, horizon=horizon)


def test_quantities_know_their_kind() -> None:
    assert {quantity.code for quantity in Quantity} == {code.value for code in Code}
    assert {quantity for quantity in Quantity if quantity.is_flag} == {
        Quantity.OUT_OF_CONTROL,
        Quantity.READY,
        Quantity.LATE,
    }
    assert {quantity for quantity in Quantity if quantity.per_key} == {
        Quantity.COUNT,
        Quantity.READY,
        Quantity.LATE,
    }


def test_results_have_the_type_of_their_quantity() -> None:
    plan = plan_of(
        HALF, "ewma", "count", "ready", "out_of_control", limits=Limits(centre=0, sigma=1)
    )
    result = run(plan, [1.0, math.nan], actions=[0, 1])
    kinds = {name: values.dtype.kind for name, values in result.columns.items()}
    assert kinds == {"ewma": "f", "count": "i", "ready": "b", "out_of_control": "b"}
    assert result.mean is result.columns["ewma"]
    assert result.count is result.columns["count"]


def test_only_mean_and_count_on_plain_settings_are_for_the_short_kernel() -> None:
    assert plan_of(HALF).is_plain
    assert plan_of(SECOND).is_plain
    assert not plan_of(HALF, "ewma").is_plain
    assert not plan_of((HALF, HALF)).is_plain
    for settings in (
        {"min_periods": 2},
        {"min_n_eff": 1.5},
        {"adjust": True},
        {"ignore_na": False},
        {"seed": Seed(value=1.0)},
        {"reset_after": 5},
        {"late": "refuse"},
        {"late_cutoff": 5},
        {"sessions": True},
        {"weighted": True},
        {"outliers": Outliers(lowest=0.0)},
        {"limits": Limits(baseline=5)},
        {"stale": True},
    ):
        assert not plan_of(HALF, **settings).is_plain, settings
    assert not plan_of(SECOND, weighting=Weighting.INTERVAL_NEXT).is_plain


def test_a_look_between_two_readings_changes_nothing() -> None:
    plan = plan_of(SECOND, "ewma", "std", "level", "lag")
    series = Series(plan)
    series.feed([1.0, 2.0, 4.0], [0, 1, 2])
    bits = series.bits()
    series.feed([None] * 3, [1, 2, 50], actions=[HOLD] * 3)
    assert series.bits() == bits
