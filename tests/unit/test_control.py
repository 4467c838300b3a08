"""Control charts: the limits' width is exact for every seed, spacing and gap."""

import math
from typing import Any

import numpy as np
import pytest

from stream_ewma.smoothing.mode import Limits, Seed, Weighting
from stream_ewma.smoothing.parameters import Factor
from stream_ewma.smoothing.plan import Plan
from tests.support.smoothing import HOLD, OBSERVE, RESET, Series, column, last, plan_of, run

NAMES = ("ewma", "centre", "lcl", "ucl", "out_of_control")
CHART = Limits(width=3.0, centre=50.0, sigma=2.0)
ALPHA = 0.3
N = 12


def chart(factor: Factor, limits: Limits = CHART, **mode: Any) -> Plan:
    return plan_of(factor, *NAMES, limits=limits, **mode)


def factors_e(result: Any, limits: Limits = CHART) -> list[float]:
    """E = (half width / (L sigma))^2 of each row."""
    assert limits.sigma is not None
    upper = (np.array(column(result, "ucl")) - limits.centre) / (limits.width * limits.sigma)
    lower = (limits.centre - np.array(column(result, "lcl"))) / (limits.width * limits.sigma)
    assert upper.tolist() == pytest.approx(lower.tolist(), rel=1e-12)
    return (upper**2).tolist()


def test_limits_of_a_target_seed_are_those_of_nist() -> None:
    e = factors_e(run(chart(Factor(alpha=ALPHA), seed=Seed(value=50.0)), [50.0] * N))
    d = 1 - ALPHA
    steady = ALPHA / (2 - ALPHA)
    assert e == pytest.approx([steady * (1 - d ** (2 * i)) for i in range(1, N + 1)], rel=1e-12)


def test_limits_of_a_first_value_seed_start_wide() -> None:
    e = factors_e(run(chart(Factor(alpha=ALPHA)), [50.0] * N))
    d, steady = 1 - ALPHA, ALPHA / (2 - ALPHA)
    expected = [d ** (2 * i) + steady * (1 - d ** (2 * i)) for i in range(N)]
    assert e == pytest.approx(expected, rel=1e-12)


def test_limits_of_bias_corrected_weights() -> None:
    e = factors_e(run(chart(Factor(alpha=ALPHA), adjust=True), [50.0] * N))
    d, steady = 1 - ALPHA, ALPHA / (2 - ALPHA)
    expected = [steady * (1 + d**n) / (1 - d**n) for n in range(1, N + 1)]
    assert e == pytest.approx(expected, rel=1e-12)


def test_limits_of_a_seed_of_first_readings() -> None:
    e = factors_e(run(chart(Factor(alpha=ALPHA), seed=Seed(readings=3)), [50.0] * 5))
    expected = [1, 1 / 2, 1 / 3]
    for _ in range(2):
        expected.append((1 - ALPHA) ** 2 * expected[-1] + ALPHA**2)
    assert e == pytest.approx(expected, rel=1e-12)


def share_of_squares(times: list[int], half_life: float, seed: float = 0.0) -> float:
    """E by its definition, at the latest time; a seed has a weight at the first, and no noise."""
    weights = [2 ** (-(max(times) - t) / half_life) for t in times]
    total = sum(weights) + seed * weights[0]
    return sum(w * w for w in weights) / total**2


@pytest.mark.parametrize("times", [[0, 1, 5, 6, 40, 41], [0, 5, 1, 41, 40, 6], [3, 3, 3, 2, 9, 3]])
@pytest.mark.parametrize("seed", [0.0, 1.0, 2.5])
def test_limits_are_exact_for_irregular_and_late_readings(times: list[int], seed: float) -> None:
    mode = {"seed": Seed(value=50.0, weight=seed)} if seed else {}
    e = factors_e(run(chart(Factor(half_life=7), **mode), [50.0] * len(times), times))
    expected = [share_of_squares(times[:n], 7, seed) for n in range(1, len(times) + 1)]
    if times[0] != min(times):  # the seed is as old as the reading that came first
        expected = expected if not seed else expected[:1]
    assert e[: len(expected)] == pytest.approx(expected, rel=1e-12)


def test_limits_widen_after_a_gap() -> None:
    plan = chart(Factor(alpha=ALPHA), ignore_na=False)
    e = factors_e(run(plan, [50.0] * 5 + [None] * 20 + [50.0]))
    assert e[-2] == e[4]
    gone = (1 - ALPHA) ** 20 * (1 - ALPHA) / ALPHA
    expected = (gone**2 * e[4] + 1) / (gone + 1) ** 2
    assert e[-1] == pytest.approx(expected, rel=1e-12)


def test_limits_of_own_weights() -> None:
    plan = chart(Factor(half_life=7), weighted=True)
    e = factors_e(run(plan, [50.0] * 3, [0, 7, 7], weights=[2.0, 3.0, 0.5]))
    assert e[-1] == pytest.approx((1 + 9 + 0.25) / 4.5**2, rel=1e-13)


def test_an_alarm_is_a_mean_outside_of_the_limits() -> None:
    result = run(chart(Factor(alpha=ALPHA), seed=Seed(value=50.0)), [55.9, 56.5, 50.0, 40.0, 41.0])
    outside = [
        not low <= mean <= high
        for low, mean, high in zip(
            *(column(result, n) for n in ("lcl", "ewma", "ucl")), strict=True
        )
    ]
    assert column(result, "out_of_control") == outside
    assert outside == [False, True, False, False, True]
    assert set(column(result, "centre")) == {50.0}


def test_a_baseline_is_the_plain_mean_and_deviation_of_the_first_readings() -> None:
    limits = Limits(width=2.0, baseline=4)
    series = Series(chart(Factor(alpha=ALPHA), limits))
    result = series.feed([1.0, 2.0, 6.0, 7.0, 100.0, -100.0])
    assert np.isnan(result.columns["centre"][:3]).all()
    assert column(result, "out_of_control")[:3] == [False] * 3
    assert column(result, "centre")[3:] == [4.0] * 3
    known = Limits(width=2.0, centre=4.0, sigma=math.sqrt(26 / 3))
    expected = run(chart(Factor(alpha=ALPHA), known), [1.0, 2.0, 6.0, 7.0, 100.0, -100.0])
    for name in NAMES[1:]:
        assert column(result, name)[3:] == pytest.approx(column(expected, name)[3:], rel=1e-14)


def test_a_baseline_is_learnt_again_after_a_reset() -> None:
    plan = chart(Factor(alpha=ALPHA), Limits(baseline=2))
    actions = [OBSERVE, OBSERVE, RESET, OBSERVE, OBSERVE, HOLD]
    result = run(plan, [1.0, 3.0, 0.0, 7.0, 9.0, math.nan], actions=actions)
    assert column(result, "centre") == pytest.approx(
        [math.nan, 2, math.nan, math.nan, 8, 8], nan_ok=True
    )


def test_a_baseline_survives_the_silence_that_ages_all_weights_away() -> None:
    plan = chart(Factor(half_life=1), Limits(baseline=2))
    result = run(plan, [1.0, 3.0, 7.0], [0, 1, 5000])
    assert column(result, "centre")[1:] == [2.0, 2.0]


def test_limits_under_a_standing_reading_are_those_of_its_share() -> None:
    """The longer one reading stands for the present, the more of its noise the mean has."""
    plan = chart(Factor(half_life=10), weighting=Weighting.INTERVAL_PREV)
    series = Series(plan)
    series.feed([50.0, 51.0, 49.0, 50.5], [0, 10, 20, 30])
    e = factors_e(series.feed([None] * 4, [30, 40, 130, 10_000]))
    # masses of the three readings that have stood, in a total of 1 - 2^-3
    stood = [0.125, 0.25, 0.5]
    assert e[0] == pytest.approx(sum(m * m for m in stood) / 0.875**2, rel=1e-12)
    then = [*(m / 2 for m in stood), 0.5]
    assert e[1] == pytest.approx(sum(m * m for m in then) / 0.9375**2, rel=1e-12)
    assert e[2:] == pytest.approx([1, 1], abs=0.01)


def test_a_standing_reading_within_the_limits_of_readings_raises_no_alarm() -> None:
    plan = chart(Factor(half_life=10), weighting=Weighting.INTERVAL_PREV)
    series = Series(plan)
    series.feed([50.0] * 50 + [55.0], list(range(0, 510, 10)))
    alarms = series.feed([None] * 3, [510, 600, 10_000])
    assert last(alarms, "ewma") == 55.0
    assert last(alarms, "ucl") == 56.0
    assert last(alarms, "out_of_control") is False


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "limits: write either"),
        ({"centre": 1.0}, "limits: write centre and sigma together"),
        ({"sigma": 1.0}, "limits: write centre and sigma together"),
        ({"centre": 1.0, "sigma": 1.0, "baseline": 5}, "limits: write either"),
        ({"centre": math.nan, "sigma": 1.0}, "limits.centre: write a finite"),
        ({"centre": 1.0, "sigma": 0.0}, "limits.sigma: write a number greater than 0"),
        ({"baseline": 1}, "limits.baseline: write a number at least 2"),
        ({"baseline": 5, "width": 0.0}, "limits.width: write a number greater than 0"),
    ],
)
def test_limits_out_of_range_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=f"^{words}"):
        Limits(**settings)
