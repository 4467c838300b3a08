"""Readings moved closer before they are absorbed, and steps that are followed all the same."""

import math
from typing import Any

import pytest

from stream_ewma.smoothing.absorbing import NOTE_CLIPPED
from stream_ewma.smoothing.mode import Outliers, Seed, Weighting
from stream_ewma.smoothing.parameters import Factor
from stream_ewma.smoothing.rows import Outcome
from tests.support.smoothing import Series, column, last, plan_of, run

HALF = Factor(alpha=0.5)
MINUTE = Factor(half_life=60)
NOISE = [10.0, 12.0, 8.0, 11.0, 9.0, 10.0, 12.0, 8.0]


def test_readings_are_clipped_to_a_range() -> None:
    plan = plan_of(Factor(alpha=1), outliers=Outliers(lowest=0.0, highest=5.0))
    result = run(plan, [-3.0, 0.0, 2.0, 5.0, 9.0])
    assert column(result) == [0, 0, 2, 5, 5]
    assert [note != 0 for note in result.notes] == [True, False, False, False, True]
    assert set(result.notes[[0, 4]]) == {NOTE_CLIPPED}


def test_a_range_may_be_open_on_one_side() -> None:
    plan = plan_of(Factor(alpha=1), outliers=Outliers(lowest=0.0))
    assert column(run(plan, [-3.0, 1e300])) == [0, 1e300]


@pytest.mark.parametrize("x", [math.inf, -math.inf, math.nan])
def test_what_is_no_number_is_refused_and_not_clipped(x: float) -> None:
    plan = plan_of(HALF, outliers=Outliers(lowest=0.0, highest=5.0))
    assert run(plan, [x, 1.0, x]).outcome.tolist() == [Outcome.NOT_FINITE, 0, Outcome.NOT_FINITE]


def test_an_outlier_is_moved_to_so_many_predictive_deviations() -> None:
    plan = plan_of(HALF, "ewma", "variance", "n_eff", outliers=Outliers(deviations=3.0))
    before = run(plan, NOISE)
    mean, variance, n_eff = (last(before, name) for name in ("ewma", "variance", "n_eff"))
    reach = 3 * math.sqrt(variance * (1 + 1 / n_eff))
    result = run(plan, [*NOISE, 1000.0, None])
    assert column(result)[-2] == pytest.approx(mean + reach / 2, rel=1e-14)
    assert result.notes.tolist() == [0] * len(NOISE) + [NOTE_CLIPPED, 0]
    below = run(plan, [*NOISE, -1000.0])
    assert last(below) == pytest.approx(mean - reach / 2, rel=1e-14)


def test_a_clip_with_a_seed_of_given_value_leaves_out_its_noise() -> None:
    plan = plan_of(HALF, seed=Seed(value=10.0), outliers=Outliers(deviations=2.0))
    before = run(plan_of(HALF, "ewma", "variance", seed=Seed(value=10.0)), NOISE)
    e = sum((0.5**k) ** 2 for k in range(1, len(NOISE) + 1))
    reach = 2 * math.sqrt(last(before, "variance") * (1 + e))
    assert last(run(plan, [*NOISE, 1000.0])) == pytest.approx(last(before) + reach / 2, rel=1e-13)


@pytest.mark.parametrize("min_periods", [1, 5])
def test_nothing_is_clipped_before_the_spread_is_known(min_periods: int) -> None:
    first = max(3, min_periods)
    plan = plan_of(HALF, min_periods=min_periods, outliers=Outliers(deviations=1.5))
    x = [10.0, 11.0, 1e6, *NOISE]
    result = run(plan, [*x[:first], 1e9])
    assert not result.notes[:first].any() or min_periods > 1
    assert result.notes[first] == NOTE_CLIPPED


def test_a_constant_series_says_nothing_of_the_spread() -> None:
    plan = plan_of(HALF, outliers=Outliers(deviations=3.0))
    assert last(run(plan, [10.0] * 8 + [20.0])) == 15.0


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("accept_after", [1, 3])
def test_a_step_is_followed_after_so_many_on_one_side(side: int, accept_after: int) -> None:
    outliers = Outliers(deviations=3.0, accept_after=accept_after)
    series = Series(plan_of(Factor(alpha=0.1), outliers=outliers))
    series.feed(NOISE * 5)
    result = series.feed([side * 1e6] * (accept_after + 1))
    assert result.notes.tolist() == [NOTE_CLIPPED] * accept_after + [0]
    assert side * last(result) > 9e4


def test_a_reading_in_reach_or_on_the_other_side_starts_the_count_again() -> None:
    series = Series(plan_of(Factor(alpha=0.01), outliers=Outliers(deviations=3.0, accept_after=2)))
    series.feed(NOISE * 5)
    notes = series.feed([1e3, 1e3, 10.0, 1e3, 1e3, -1e3, 1e3, 1e3, 1e3]).notes.tolist()
    clipped = NOTE_CLIPPED
    assert notes == [clipped, clipped, 0, clipped, clipped, clipped, clipped, clipped, 0]


def test_the_z_score_is_that_of_the_reading_as_it_came() -> None:
    outliers = Outliers(deviations=3.0)
    clipped = run(plan_of(HALF, "zscore", outliers=outliers), [*NOISE, 1e3])
    raw = run(plan_of(HALF, "zscore"), [*NOISE, 1e3])
    assert last(clipped, "zscore") == last(raw, "zscore") > 100


def test_a_refused_reading_is_not_counted_as_an_outlier() -> None:
    series = Series(plan_of(HALF, outliers=Outliers(deviations=3.0)))
    series.feed([*NOISE, 1e3])
    bits = series.bits()
    refused = series.feed([math.nan, 1e200, -math.inf])
    assert refused.outcome.tolist() == [Outcome.NOT_FINITE] * 3
    assert series.bits() == bits


def test_a_standing_reading_is_not_cut_down_to_where_the_signal_was_before() -> None:
    """What has stood for long is what is expected: with a hold, the mean moves without readings."""
    plan = plan_of(
        MINUTE, weighting=Weighting.INTERVAL_PREV, outliers=Outliers(deviations=3.0), adjust=False
    )
    series = Series(plan)
    series.feed(NOISE * 4, list(range(0, 32 * 60, 60)))
    series.feed([14.0], [32 * 60])
    result = series.feed([18.0], [60_000])
    assert result.notes.tolist() == [0]
    assert last(result) == pytest.approx(14.0, rel=1e-12)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"lowest": 2.0, "highest": 2.0}, "outliers.lowest: write a number below"),
        ({"lowest": math.nan}, "outliers.lowest: write a number below"),
        ({"deviations": 0.0}, "outliers.deviations: write a number greater than 0"),
        ({"deviations": math.nan}, "outliers.deviations: write a number greater than 0"),
        ({"accept_after": 0}, "outliers.accept_after: write a number at least 1"),
    ],
)
def test_outliers_out_of_range_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=f"^{words}"):
        Outliers(**settings)
