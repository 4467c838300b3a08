"""Errors do not grow: 1e8 updates stay within the bound that the fold states."""

from fractions import Fraction

import numba
import numpy as np
import pytest

from stream_ewma.smoothing.parameters import Factor
from stream_ewma.smoothing.plan import Plan
from tests.support.smoothing import Series, last, plan_of

COMPILED = not numba.config.DISABLE_JIT
U = 2.0**-53
BASE = 1_000_000 if COMPILED else 4_000


def feed_again_and_again(plan: Plan, x: np.ndarray, times: int) -> Series:
    series = Series(plan)
    for _ in range(times):
        series.feed(x)
    return series


def exact_mean(x: np.ndarray, alpha: float) -> float:
    """Of a stream that ends with `x`: what came before weighs less than 2^-100 of it.

    Alpha is a double and its powers are taken from above, so nothing is rounded but a sum of
    long doubles, whose unit is 2^-64.
    """
    kept = np.longdouble(1) - np.longdouble(alpha)
    ages = np.arange(len(x) - 1, -1, -1).astype(np.longdouble)
    weights = np.exp(ages * np.log(kept))
    return float((weights * x.astype(np.longdouble)).sum() / weights.sum())


@pytest.mark.parametrize(("alpha", "repeats"), [(0.1, 10), (1e-3, 100), (2e-4, 10)])
@pytest.mark.parametrize("level", [1e3, 1e9])
def test_the_mean_stays_within_its_bound(alpha: float, repeats: int, level: float) -> None:
    if level > 1e3:
        repeats = min(repeats, 10)
    if not COMPILED:
        repeats, alpha = 3, max(alpha, 0.05)
    x = np.random.default_rng(1).normal(level, 1.0, BASE)
    series = feed_again_and_again(plan_of(Factor(alpha=alpha)), x, repeats)
    mean = last(series.feed([None]))
    assert last(series.feed([None]), "count") == repeats * BASE
    largest = np.abs(x).max()
    assert abs(mean - exact_mean(x, alpha)) <= U * largest * (1 / alpha + 4)


@pytest.mark.parametrize("alpha", [0.1, 1e-3])
def test_variance_and_effective_count_stay_as_exact(alpha: float) -> None:
    repeats, alpha = (10, alpha) if COMPILED else (2, max(alpha, 0.05))
    x = np.random.default_rng(2).normal(1e3, 1.0, BASE)
    names = ("ewma", "variance", "n_eff", "weight_sum")
    series = feed_again_and_again(plan_of(Factor(alpha=alpha), *names, biased=True), x, repeats)
    result = series.feed([None])
    mean = exact_mean(x, alpha)
    variance = exact_mean((x.astype(np.longdouble) - np.longdouble(mean)) ** 2, alpha)
    assert last(result, "variance") == pytest.approx(variance, rel=1e-10)
    # 1 - Q is small where n_eff is large, and Q has errors of U / (2 alpha).
    n_eff = (2 - alpha) / alpha
    assert last(result, "n_eff") == pytest.approx(n_eff, rel=U * n_eff**2)
    assert last(result, "weight_sum") == pytest.approx(1 / alpha, rel=1e-12)


def test_a_constant_stays_exact_for_ever() -> None:
    plan = plan_of(Factor(alpha=1e-3), "ewma", "variance", "slope", adjust=True)
    result = feed_again_and_again(plan, np.full(BASE // 2, 0.1), 2).feed([None])
    assert (last(result), last(result, "variance"), last(result, "slope")) == (0.1, 0.0, 0.0)


def test_event_time_over_a_long_run_is_what_its_last_readings_are() -> None:
    n, half_life = BASE // 2, 50.0
    generator = np.random.default_rng(3)
    x, times = generator.normal(1e3, 1.0, n), np.cumsum(generator.integers(0, 20, n))
    plan = plan_of(Factor(half_life=half_life), "ewma", "variance", "slope", "n_eff")
    long, short = Series(plan), Series(plan)
    tail = slice(-1500, None)  # over 200 half lives
    long, short = long.feed(x, times), short.feed(x[tail], times[tail])
    for name in ("ewma", "variance", "n_eff"):
        assert last(long, name) == pytest.approx(last(short, name), rel=1e-11)
    assert last(long, "slope") == pytest.approx(last(short, "slope"), rel=1e-8, abs=1e-12)


@pytest.mark.parametrize(
    "x",
    [
        [5e-324, 1e-323, 0.0, 5e-324],
        [2.2e-308, -2.2e-308, 1e-310, 3e-309],
        [1.7e308, 1.6e308, 1.5e308, 1.7e308],
        [1e150, -1e150, 1e150, 0.0],
        [1e300, 1e-300, 1.0, -1e300],
    ],
)
@pytest.mark.parametrize("adjust", [True, False])
def test_numbers_of_any_size_are_averaged_exactly(x: list[float], adjust: bool) -> None:
    result = feed_again_and_again(plan_of(Factor(alpha=0.25), adjust=adjust), np.array(x), 1)
    weights = [Fraction(3, 4) ** age for age in range(len(x) - 1, -1, -1)]
    if not adjust:
        weights[0] *= 4
    exact = sum(w * Fraction(v) for w, v in zip(weights, x, strict=True)) / sum(weights)
    largest = Fraction(max(map(abs, x)))
    error = abs(Fraction(last(result.feed([None]))) - exact)
    assert error <= 12 * largest * Fraction(U) + 12 * Fraction(5e-324)
