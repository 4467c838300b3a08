"""Weights that stand for the time between readings, and the sorting that they need."""

import math
from decimal import Context, Decimal, localcontext
from itertools import permutations
from typing import Any

import numpy as np
import pytest

from stream_ewma.smoothing.mode import Limits, Seed, Weighting
from stream_ewma.smoothing.parameters import Factor
from stream_ewma.smoothing.readout import read
from stream_ewma.smoothing.rows import Outcome
from stream_ewma.smoothing.weights import linear_share
from tests.support.smoothing import HOLD, OBSERVE, Series, column, last, plan_of, run

NEXT, PREV, LINEAR = tuple(Weighting)[1:]
ONE = Factor(half_life=1)
TEN = Factor(half_life=10)
EMITTED, NO_STATE, NOT_FINITE, LATE = tuple(Outcome)[:4]


def approx(*values: float) -> Any:
    return pytest.approx(values, rel=1e-14, nan_ok=True)


def test_next_with_a_seed_of_weight_one() -> None:
    plan = plan_of(ONE, "ewma", "weight_sum", weighting=NEXT, adjust=False)
    result = run(plan, [1.0, 3.0, 7.0], [0, 1, 3])
    assert column(result) == approx(1, 2, 2 / 4 + 7 * 3 / 4)
    assert column(result, "weight_sum") == [1.0] * 3


def test_next_with_a_seed_of_no_weight() -> None:
    plan = plan_of(ONE, "ewma", "weight_sum", weighting=NEXT)
    result = run(plan, [1.0, 3.0, 7.0], [0, 1, 3])
    assert column(result) == approx(1, 3, (3 * 1 / 8 + 7 * 3 / 4) / (7 / 8))
    assert column(result, "weight_sum") == approx(0, 1 / 2, 7 / 8)


def test_next_gives_no_weight_to_a_second_reading_of_one_time() -> None:
    for adjust in (True, False):
        plan = plan_of(ONE, weighting=NEXT, adjust=adjust)
        assert column(run(plan, [1.0, 2.0, 4.0], [0, 0, 0])) == [1.0] * 3
        once = run(plan, [1.0, 2.0, 3.0], [0, 1, 2])
        assert last(run(plan, [1.0, 2.0, 9.0, 3.0], [0, 1, 1, 2])) == last(once)


def test_prev_with_a_seed_of_weight_one() -> None:
    plan = plan_of(ONE, weighting=PREV, adjust=False)
    assert column(run(plan, [1.0, 3.0, 7.0], [0, 1, 3])) == approx(1, 1, 1 / 4 + 3 * 3 / 4)


def test_prev_with_a_seed_of_no_weight() -> None:
    plan = plan_of(ONE, "ewma", "weight_sum", weighting=PREV)
    result = run(plan, [1.0, 3.0, 7.0], [0, 1, 3])
    assert column(result) == approx(1, 1, (1 / 8 + 3 * 3 / 4) / (7 / 8))
    assert column(result, "weight_sum") == approx(0, 1 / 2, 7 / 8)


def test_of_several_readings_of_one_time_the_last_one_stands() -> None:
    for adjust in (True, False):
        plan = plan_of(ONE, weighting=PREV, adjust=adjust)
        assert last(run(plan, [1.0, 9.0, 3.0, 7.0], [0, 1, 1, 3])) == last(
            run(plan, [1.0, 3.0, 7.0], [0, 1, 3])
        )


@pytest.mark.parametrize("adjust", [True, False])
def test_a_silent_sensors_mean_moves_to_its_last_reading(adjust: bool) -> None:
    series = Series(plan_of(ONE, "ewma", "weight_sum", weighting=PREV, adjust=adjust))
    series.feed([1.0, 5.0], [0, 1])
    bits = series.bits()
    ticks = series.feed([None] * 4, [1, 2, 3, 100])
    if adjust:
        expected = [1, (1 / 4 + 5 / 2) / (3 / 4), (1 / 8 + 5 * 3 / 4) / (7 / 8), 5]
        weights = [1 / 2, 3 / 4, 7 / 8, 1]
    else:
        expected, weights = [1, 3, 1 / 4 + 5 * 3 / 4, 5], [1, 1, 1, 1]
    assert column(ticks) == approx(*expected)
    assert column(ticks, "weight_sum") == approx(*weights)
    assert series.bits() == bits


@pytest.mark.parametrize("adjust", [True, False])
def test_a_look_at_a_time_is_what_a_reading_of_that_time_finds(adjust: bool) -> None:
    """To the bit, in all outputs that do not count the reading."""
    names = ("ewma", "variance", "n_eff", "weight_sum", "slope", "level", "lag", "ucl")
    plan = plan_of(TEN, *names, weighting=PREV, adjust=adjust, limits=Limits(centre=0.0, sigma=1.0))
    looked, read = Series(plan), Series(plan)
    for series in (looked, read):
        series.feed([1.0, 5.0, 2.0, 4.0], [0, 3, 11, 14])
    look = looked.feed([None], [29])
    reading = read.feed([77.0], [29])
    for name in names:
        assert last(look, name) == last(reading, name), name


def test_the_variance_of_a_standing_signal_is_that_of_its_time() -> None:
    plan = plan_of(ONE, "variance", "n_eff", weighting=PREV, biased=True)
    series = Series(plan)
    series.feed([1.0, 5.0], [0, 1])
    result = series.feed([None], [2])
    low, high = 1 / 3, 2 / 3  # shares of 1/4 and 1/2
    mean = low * 1 + high * 5
    expected = low * (1 - mean) ** 2 + high * (5 - mean) ** 2
    assert last(result, "variance") == pytest.approx(expected, rel=1e-14)
    assert last(result, "n_eff") == pytest.approx(1 / (low**2 + high**2), rel=1e-14)


def test_z_scores_with_a_hold_compare_with_the_mean_of_that_time() -> None:
    plan = plan_of(ONE, "ewma", "std", "n_eff", "zscore", weighting=PREV)
    series = Series(plan)
    series.feed([1.0, 5.0], [0, 1])
    look = series.feed([None], [2])
    z = last(series.feed([9.0], [2]), "zscore")
    noise = last(look, "std") * math.sqrt(1 + 1 / last(look, "n_eff"))
    assert z == pytest.approx((9 - last(look)) / noise, rel=1e-14)


def test_linear_is_the_mean_of_the_line_that_joins_the_readings() -> None:
    """Against the integral itself, by the midpoint rule."""
    x, times = [2.0, 6.0, 3.0], [0, 4, 9]
    plan = plan_of(Factor(half_life=3), weighting=LINEAR)
    grid = (np.arange(90_000) + 0.5) / 10_000
    weights = 2.0 ** (-(9 - grid) / 3)
    expected = np.average(np.interp(grid, times, x), weights=weights)
    assert last(run(plan, x, times)) == pytest.approx(expected, rel=1e-9)


def test_linear_lies_between_prev_and_next_on_a_rising_signal() -> None:
    x, times = [0.0, 2.0, 3.0, 7.0, 8.0], [0, 1, 5, 6, 20]
    of = {w: column(run(plan_of(TEN, weighting=w), x, times)) for w in (PREV, LINEAR, NEXT)}
    for low, mid, high in zip(*of.values(), strict=True):
        assert low <= mid <= high


@pytest.mark.parametrize("half_lives", [5e-324, 1e-300, 1e-9, 0.01, 0.7, 0.7213, 0.7214, 5.0, 1e4])
def test_the_newer_ends_share_of_a_line(half_lives: float) -> None:
    with localcontext(Context(prec=400)):
        z = Decimal(2).ln() * Decimal(half_lives)
        exact = 1 / (1 - (-z).exp()) - 1 / z if half_lives > 1e-100 else Decimal("0.5")
        assert linear_share(half_lives) == pytest.approx(float(exact), rel=4e-16)


def test_the_newer_ends_share_at_the_limits() -> None:
    assert linear_share(0.0) == 0.5
    assert linear_share(math.inf) == 1.0


def test_after_a_silence_without_end_a_line_is_where_it_ends() -> None:
    plan = plan_of(Factor(half_life=1e-3), "ewma", "std", weighting=LINEAR, adjust=False)
    assert column(run(plan, [1.0, 5.0], [0, 2**62])) == [1.0, 5.0]


@pytest.mark.parametrize("adjust", [True, False])
def test_a_row_is_read_at_a_later_time_as_the_fold_does(adjust: bool) -> None:
    """`read` on its own, for those who look at a row without folding."""
    limits = Limits(centre=0.0, sigma=1.0)
    names = ("ewma", "count", "std", "n_eff", "weight_sum", "slope", "level", "lag", "ucl")
    plan = plan_of((TEN, ONE), *names, weighting=PREV, adjust=adjust, limits=limits)
    series = Series(plan)
    series.feed([1.0, 5.0, 2.0], [0, 10, 15])
    for time in (15, 16, 40, 10**6):
        folded = series.feed([None], [time])
        for place, name in enumerate(names):
            value = read(series.row(), plan.program, 0, place, time, 0)
            assert value == pytest.approx(last(folded, name), rel=0, abs=0, nan_ok=True), name


def test_a_seed_of_given_value_stands_before_the_first_reading() -> None:
    plan = plan_of(ONE, weighting=NEXT, adjust=False, seed=Seed(value=8.0))
    assert column(run(plan, [0.0, 0.0], [5, 6])) == approx(8, 4)
    plan = plan_of(ONE, weighting=NEXT, seed=Seed(value=8.0, weight=3.0))
    assert column(run(plan, [0.0, 0.0], [5, 6])) == approx(8, 8 * 1.5 / 2)


@pytest.mark.parametrize("weighting", [NEXT, PREV, LINEAR])
def test_late_readings_are_refused(weighting: Weighting) -> None:
    series = Series(plan_of(TEN, weighting=weighting))
    series.feed([1.0, 2.0], [0, 10])
    bits = series.bits()
    assert series.feed([3.0], [9]).outcome.tolist() == [LATE]
    assert series.bits() == bits


@pytest.mark.parametrize("weighting", [NEXT, PREV, LINEAR])
def test_a_reading_that_waits_never_keeps_the_next_one_out(weighting: Weighting) -> None:
    """1.7e308 would: its difference from -1.7e308 is infinite, for ever."""
    series = Series(plan_of(TEN, weighting=weighting))
    result = series.feed([-1.7e308, 1.7e308, -4e307, 4e307, 0.0, 1.0], [0, 1, 2, 3, 4, 5])
    assert result.outcome.tolist() == [NOT_FINITE, NOT_FINITE, *[EMITTED] * 4]
    assert np.isfinite(result.mean[2:]).all()


WEIGHTINGS = pytest.mark.parametrize("weighting", [NEXT, PREV, LINEAR])


@WEIGHTINGS
def test_sorting_puts_readings_right_that_are_out_by_as_many_places(weighting: Weighting) -> None:
    readings = [(0, 1.0), (3, 5.0), (7, 2.0), (8, 4.0), (20, 3.0)]
    plan = plan_of(TEN, "ewma", "std", "count", weighting=weighting, reorder=2)
    sorted_out = run(plan_of(TEN, "ewma", "std", "count", weighting=weighting), *columns(readings))
    for order in permutations(range(5)):
        # Nothing may be overtaken by more than two that come after it in time.
        if any(
            sum(later > each for later in order[:place]) > 2 for place, each in enumerate(order)
        ):
            continue
        result = run(plan, *columns([readings[place] for place in order]))
        assert result.outcome.tolist() == [EMITTED] * 5, order
        for name in ("ewma", "std", "count"):
            assert last(result, name) == last(sorted_out, name), (order, name)


def columns(readings: list[tuple[int, float]]) -> tuple[list[float], list[int]]:
    return [x for _, x in readings], [t for t, _ in readings]


@WEIGHTINGS
def test_results_are_those_of_all_readings_so_far(weighting: Weighting) -> None:
    x, times = [1.0, 5.0, 2.0, 4.0], [0, 8, 3, 20]
    held = run(plan_of(TEN, weighting=weighting, reorder=10), x, times)
    for n in range(1, 5):
        pairs = sorted(zip(times[:n], x[:n], strict=True))
        expected = run(plan_of(TEN, weighting=weighting), *columns(pairs))
        if n != 3:  # a result at the time of the reading, which here is not the latest
            assert column(held)[n - 1] == last(expected)
        assert held.count[n - 1] == n


def test_a_reading_before_one_that_had_to_be_absorbed_is_late() -> None:
    plan = plan_of(TEN, weighting=NEXT, reorder=1)
    series = Series(plan)
    assert series.feed([1.0, 2.0, 3.0], [0, 10, 20]).outcome.tolist() == [EMITTED] * 3
    bits = series.bits()
    assert series.feed([9.0], [9]).outcome.tolist() == [LATE]
    assert series.bits() == bits
    assert series.feed([9.0], [10]).outcome.tolist() == [EMITTED]


def test_one_place_is_enough_for_two_readings_in_the_wrong_order() -> None:
    plan = plan_of(TEN, weighting=NEXT, reorder=1)
    assert last(run(plan, [1.0, 2.0, 3.0], [0, 20, 10])) == last(
        run(plan_of(TEN, weighting=NEXT), [1.0, 3.0, 2.0], [0, 10, 20])
    )


def test_a_reading_is_held_back_for_the_grace_only() -> None:
    plan = plan_of(TEN, weighting=NEXT, reorder=64, reorder_grace=10)
    series = Series(plan)
    series.feed([1.0, 2.0, 3.0, 4.0], [0, 10, 11, 12])
    assert series.state.integers(plan.places.held)[0] == 3  # 0 is more than 10 before 11
    assert series.feed([9.0], [-1]).outcome.tolist() == [LATE]
    assert series.feed([9.0], [5]).outcome.tolist() == [EMITTED]


def test_a_reading_is_late_if_the_grace_of_a_later_one_is_over() -> None:
    plan = plan_of(TEN, weighting=NEXT, reorder=64, reorder_grace=10)
    series = Series(plan)
    series.feed([1.0, 2.0, 3.0], [0, 5, 20])
    assert series.feed([9.0], [3]).outcome.tolist() == [LATE]
    assert series.feed([9.0], [5]).outcome.tolist() == [EMITTED]


def test_readings_held_back_are_in_the_row() -> None:
    plan = plan_of(TEN, weighting=PREV, reorder=3)
    assert plan.places.width == plan_of(TEN, weighting=PREV).places.width + 1 + 2 * 3


def test_a_reset_forgets_what_is_held_back() -> None:
    plan = plan_of(TEN, weighting=NEXT, reorder=5, sessions=True)
    result = run(plan, [1.0, 2.0, 7.0, 1.0], [0, 1, 2, 1], sessions=[1, 1, 2, 1])
    assert result.outcome.tolist() == [EMITTED, EMITTED, EMITTED, LATE]
    assert column(result)[2] == 7.0
    assert result.count.tolist()[:3] == [1, 2, 1]


def test_a_silence_is_measured_from_the_latest_reading_held_back() -> None:
    now = 1_767_225_600_000
    plan = plan_of(TEN, weighting=NEXT, reorder=5, reset_after=50)
    times = [now, now + 40, now + 90, now + 80, now + 141]
    assert run(plan, [1.0, 2.0, 3.0, 4.0, 5.0], times).count.tolist() == [1, 2, 3, 4, 1]


def test_missing_readings_look_at_what_is_held_back() -> None:
    plan = plan_of(TEN, weighting=PREV, reorder=3)
    series = Series(plan)
    assert series.feed([None], [0]).outcome.tolist() == [NO_STATE]
    series.feed([1.0, 5.0], [0, 10])
    assert last(series.feed([None], [20])) == pytest.approx((1 / 4 + 5 / 2) / (3 / 4), rel=1e-14)


def test_a_held_back_reading_that_does_not_fit_the_state_is_refused_at_once() -> None:
    plan = plan_of(TEN, "std", weighting=NEXT, reorder=3)
    series = Series(plan)
    series.feed([1.0], [0])
    bits = series.bits()
    assert (
        series.feed([1e200, math.nan], [1, 2], actions=[OBSERVE] * 2).outcome.tolist()
        == [NOT_FINITE] * 2
    )
    assert series.bits() == bits
    assert series.feed([None], [3], actions=[HOLD]).outcome.tolist() == [EMITTED]
