"""The line fit and Holt's method."""

import math
from typing import Any

import numpy as np
import pytest

from stream_ewma.smoothing.mode import Mode, Trend, Weighting
from stream_ewma.smoothing.outputs import Output, Quantity
from stream_ewma.smoothing.parameters import Factor
from stream_ewma.smoothing.plan import Plan
from stream_ewma.smoothing.rows import Outcome
from tests.support.smoothing import Series, column, last, plan_of, run

HALF = Factor(alpha=0.5)
TENTH = Factor(alpha=0.1)
TEN = Factor(half_life=10)
FORECAST = Output("forecast", Quantity.FORECAST, horizon=4.0)
NAMES = ("slope", "level", "lag")


def approx(*values: float) -> Any:
    return pytest.approx(values, rel=1e-12, abs=1e-12, nan_ok=True)


def weighted_line(x: list[float], t: list[float], w: list[float]) -> tuple[float, float]:
    """Slope, and value at the last time, of the weighted least squares line."""
    slope, start = np.polyfit(np.array(t, float), x, 1, w=np.sqrt(w))
    return float(slope), float(start + slope * max(t))


def test_the_fit_is_the_weighted_least_squares_line() -> None:
    x, t = [3.0, 1.0, 4.0, 1.0, 5.0, 9.0], [0, 4, 5, 11, 12, 20]
    result = run(plan_of(TEN, *NAMES), x, t)
    weights = [2 ** (-(20 - time) / 10) for time in t]
    slope, level = weighted_line(x, t, weights)
    assert last(result, "slope") == pytest.approx(slope, rel=1e-12)
    assert last(result, "level") == pytest.approx(level, rel=1e-12)
    lag = sum(w * (20 - time) for w, time in zip(weights, t, strict=True)) / sum(weights)
    assert last(result, "lag") == pytest.approx(lag, rel=1e-12)


def test_a_late_reading_counts_at_its_own_time() -> None:
    plan = plan_of(TEN, *NAMES)
    in_order = run(plan, [3.0, 1.0, 4.0, 9.0], [0, 4, 5, 20])
    late = run(plan, [3.0, 4.0, 9.0, 1.0], [0, 5, 20, 4])
    for name in NAMES:
        assert last(late, name) == pytest.approx(last(in_order, name), rel=1e-13)


@pytest.mark.parametrize("adjust", [True, False])
def test_on_the_count_clock_the_unit_is_one_reading(adjust: bool) -> None:
    plan = Plan.of(TENTH, Mode(adjust=adjust), (*plan_of(TENTH, *NAMES).outputs, FORECAST))
    result = run(plan, [5.0 + 2.0 * i for i in range(30)])
    assert last(result, "slope") == pytest.approx(2, rel=1e-12)
    assert last(result, "level") == pytest.approx(5 + 2 * 29, rel=1e-12)
    assert last(result, "forecast") == pytest.approx(5 + 2 * 33, rel=1e-12)


def test_missing_readings_on_the_count_clock_are_time_that_passes_if_they_age() -> None:
    gaps = [None if i % 3 == 1 else 5.0 + 2.0 * i for i in range(30)]
    result = run(plan_of(TENTH, *NAMES, adjust=True, ignore_na=False), gaps)
    assert last(result, "slope") == pytest.approx(2, rel=1e-12)
    assert last(result, "level") == pytest.approx(5 + 2 * 29, rel=1e-12)
    missing = run(plan_of(TENTH, *NAMES, adjust=True, ignore_na=False), [*gaps, None, None])
    assert last(missing, "level") == pytest.approx(5 + 2 * 31, rel=1e-12)


def test_missing_readings_on_the_count_clock_are_nothing_if_they_are_ignored() -> None:
    gaps = [None if i % 3 == 1 else 5.0 + 2.0 * i for i in range(30)]
    dense = [x for x in gaps if x is not None]
    plan = plan_of(TENTH, *NAMES, adjust=True)
    for name in NAMES:
        assert last(run(plan, gaps), name) == last(run(plan, dense), name)


def test_level_and_forecast_go_on_along_the_line() -> None:
    plan = Plan.of(TEN, None, (*plan_of(TEN, *NAMES).outputs, FORECAST))
    result = run(plan, [0.0, 1.0, 2.0, 3.0, 4.0, None], [0, 1, 2, 3, 4, 9])
    assert column(result, "level")[-2:] == approx(4, 9)
    assert column(result, "forecast")[-2:] == approx(8, 13)
    lag = column(result, "lag")
    assert lag[-1] == pytest.approx(lag[-2] + 5, rel=1e-15)


def test_a_slope_of_fewer_than_three_effective_readings_is_zero() -> None:
    result = run(plan_of(TEN, *NAMES, "ewma", "n_eff"), [0.0, 1.0, 2.0, 7.0], [0, 1, 2, 100])
    slope, n_eff = column(result, "slope"), column(result, "n_eff")
    assert [value != 0 for value in slope] == [value >= 3 for value in n_eff]
    assert column(result, "level")[1] == column(result)[1]


def test_a_slope_needs_two_times() -> None:
    assert column(run(plan_of(TEN, "slope"), [0.0, 1.0, 2.0, 7.0], [5] * 4), "slope") == [0.0] * 4


def test_the_lag_alone_needs_no_spread() -> None:
    plan = plan_of(TEN, "lag")
    assert plan.places.spread < 0
    assert column(run(plan, [1.0, 2.0], [0, 10]), "lag") == approx(0, 10 * 0.5 / 1.5)


def test_a_regular_line_fit_is_browns_double_smoothing() -> None:
    x = np.cumsum(np.random.default_rng(3).normal(size=400)).tolist()
    result = run(plan_of(TENTH, "slope", "level"), x)
    once = run(plan_of(TENTH), x).mean.tolist()
    twice = run(plan_of(TENTH), once).mean.tolist()
    assert last(result, "level") == pytest.approx(2 * once[-1] - twice[-1], rel=1e-10)
    assert last(result, "slope") == pytest.approx((once[-1] - twice[-1]) / 9, rel=1e-10)


@pytest.mark.parametrize(
    "weighting", [Weighting.INTERVAL_NEXT, Weighting.INTERVAL_PREV, Weighting.INTERVAL_LINEAR]
)
@pytest.mark.parametrize("adjust", [True, False])
def test_interval_weights_find_the_line_that_the_readings_lie_on(
    weighting: Weighting, adjust: bool
) -> None:
    """Whatever stands for a time is placed where it was measured."""
    times = [0, 3, 4, 9, 11, 12, 20, 23, 30]
    plan = plan_of(TEN, *NAMES, weighting=weighting, adjust=adjust)
    result = run(plan, [5.0 + 2.0 * t for t in times] + [None], [*times, 37])
    assert last(result, "slope") == pytest.approx(2, rel=1e-12)
    assert column(result, "level")[-2:] == pytest.approx([5 + 2 * 30, 5 + 2 * 37], rel=1e-12)


def holt_by_hand(x: list[float], alpha: float, beta: float) -> list[tuple[float, float]]:
    """Prometheus' double_exponential_smoothing, in its own order: (level, slope) of each."""
    level, slope = x[1], x[1] - x[0]
    found = [(x[0], 0.0), (level, slope)]
    for value in x[2:]:
        new = alpha * value + (1 - alpha) * (level + slope)
        slope = beta * (new - level) + (1 - beta) * slope
        level = new
        found.append((level, slope))
    return found


def test_holt_is_that_of_prometheus() -> None:
    x = [3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0]
    plan = plan_of(Factor(alpha=0.4), "level", "slope", trend=Trend(method="holt", beta=0.3))
    result = run(plan, x)
    found = list(zip(column(result, "level"), column(result, "slope"), strict=True))
    assert np.array(found) == pytest.approx(np.array(holt_by_hand(x, 0.4, 0.3)), rel=1e-13)


def test_holt_forecasts_along_his_slope() -> None:
    plan = Plan.of(HALF, Mode(trend=Trend(method="holt", beta=0.5)), (FORECAST,))
    assert last(run(plan, [10.0, 20.0, 15.0]), "forecast") == pytest.approx(22.5 + 4 * 6.25)


def wright_by_hand(
    x: list[float], t: list[int], half_life: float, beta_half_life: float
) -> list[tuple[float, float]]:
    """Wright 1986: V = V/(V + (1-a)^dt) and U likewise, from steady starts as Holt's."""
    found = [(x[0], 0.0)]
    level, v = x[0], 1.0
    v = v / (v + 2 ** (-(t[1] - t[0]) / half_life))
    level, slope, u = x[1], (x[1] - x[0]) / (t[1] - t[0]), 1.0
    found.append((level, slope))
    for i in range(2, len(x)):
        gap = t[i] - t[i - 1]
        v = v / (v + 2 ** (-gap / half_life))
        u = u / (u + 2 ** (-gap / beta_half_life))
        new = (1 - v) * (level + gap * slope) + v * x[i]
        slope = (1 - u) * slope + u * (new - level) / gap
        level = new
        found.append((level, slope))
    return found


def holt_in_time(**more: Any) -> Plan:
    trend = Trend(method="holt", beta_half_life=25)
    return plan_of(TEN, "level", "slope", trend=trend, late="refuse", **more)


def test_holt_in_event_time_is_that_of_wright() -> None:
    x, t = [3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0], [0, 4, 5, 11, 12, 20, 33, 34]
    result = run(holt_in_time(), x, t)
    found = list(zip(column(result, "level"), column(result, "slope"), strict=True))
    assert np.array(found) == pytest.approx(np.array(wright_by_hand(x, t, 10, 25)), rel=1e-12)


def test_holt_in_event_time_reproduces_a_line() -> None:
    times = [0, 3, 4, 9, 11, 12, 20]
    result = run(holt_in_time(), [5.0 + 2.0 * t for t in times] + [None], [*times, 30])
    assert column(result, "slope")[1:] == approx(*[2.0] * 7)
    assert column(result, "level")[-2:] == approx(45, 65)


def test_holt_takes_the_mean_of_readings_of_one_instant() -> None:
    result = run(holt_in_time(), [4.0, 6.0, 9.0], [5, 5, 7])
    assert column(result, "level") == approx(4, 5, 9)
    assert column(result, "slope") == approx(0, 0, 2)


def test_holt_starts_anew_after_a_thousand_half_lives() -> None:
    later = 50_000
    result = run(holt_in_time(), [0.0, 5.0, 9.0, 3.0, 4.0], [0, 1, 2, later, later + 1])
    assert column(result, "level")[3:] == approx(3, 4)
    assert column(result, "slope")[3:] == approx(0, 1)


def test_holt_refuses_what_would_not_stay_finite() -> None:
    series = Series(holt_in_time())
    series.feed([1e150, -1e150], [0, 1])
    bits = series.bits()
    assert series.feed([math.inf, 1e151], [2, 3]).outcome.tolist() == [2, 2]
    assert series.bits() == bits


def test_a_slope_may_not_run_away_to_infinity() -> None:
    """Overshooting over long silences and turned into slopes over short ones, it would."""
    trend = Trend(method="holt", beta_half_life=1e18)
    plan = plan_of(Factor(half_life=1e18), "level", "slope", trend=trend, late="refuse")
    series = Series(plan)
    times = np.cumsum([-(2**63) + 1, 1] + [1, 10**18] * 17)
    result = series.feed([1e150, -1e150] * 18, times.tolist())
    assert set(result.outcome) == {Outcome.EMITTED, Outcome.NOT_FINITE}
    assert np.isfinite(series.row().numbers[plan.places.first_factor :]).all()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"method": "holt"}, "trend: holt needs one"),
        ({"method": "holt", "beta": 0.1, "beta_half_life": 5}, "trend: holt needs one"),
        ({"beta": 0.1}, "trend: holt needs one"),
        ({"method": "holt", "beta": 0.0}, "trend.beta: write a number greater than 0"),
        ({"method": "holt", "beta": 1.1}, "trend.beta: write a number greater than 0"),
        ({"method": "holt", "beta_half_life": 0}, "trend.beta_half_life: write"),
    ],
)
def test_a_trend_out_of_range_is_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=f"^{words}"):
        Trend(**settings)


@pytest.mark.parametrize(
    ("factor", "settings", "words"),
    [
        (TEN, {"trend": Trend(method="holt", beta=0.5)}, "trend.beta: in event time"),
        (TEN, {"trend": Trend(method="holt", beta_half_life=5)}, "trend: holt depends"),
        (HALF, {"trend": Trend(method="holt", beta_half_life=5)}, "trend.beta_half_life: on the"),
        (HALF, {"trend": Trend(method="holt", beta=0.5), "ignore_na": False}, "trend: holt takes"),
        (
            TEN,
            {
                "trend": Trend(method="holt", beta_half_life=5),
                "weighting": Weighting.INTERVAL_NEXT,
            },
            "trend: holt has weights",
        ),
    ],
)
def test_a_trend_that_does_not_fit_is_refused(
    factor: Factor, settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=f"^{words}"):
        Plan.of(factor, Mode(**settings), (FORECAST,))
