"""Rates of false alarms, by seeded simulation: what ewma charts promise, and what breaks it."""

import math
from typing import Any

import numba
import numpy as np
import pytest

from stream_ewma.smoothing.mode import Limits, Seed
from stream_ewma.smoothing.parameters import Factor
from stream_ewma.smoothing.plan import Plan
from tests.support.smoothing import Series, plan_of

COMPILED = not numba.config.DISABLE_JIT
KEYS = 20_000 if COMPILED else 300
POINTS = 20
SIX_SIGMA = 6.0

WIDTHS = {0.05: 2.615, 0.1: 2.814, 0.2: 2.962}
"""Lucas & Saccucci 1990: a false alarm in 500 readings."""

TABLE = {  # chance of an alarm in the first 20 readings, in control
    "target seed": {0.05: 0.071, 0.1: 0.051, 0.2: 0.042},
    "first reading, limits of a target seed": {0.05: 0.906, 0.1: 0.795, 0.2: 0.579},
    "first reading, asymptotic limits": {0.05: 0.713, 0.1: 0.563, 0.2: 0.368},
    "first reading": {0.05: 0.017, 0.1: 0.024, 0.2: 0.035},
    "bias-corrected": {0.05: 0.071, 0.1: 0.051, 0.2: 0.042},
}


def simulate(plan: Plan, x: np.ndarray, **more: Any) -> dict[str, np.ndarray]:
    """The outputs of a plan for (points, keys) readings, all keys in one fold."""
    points, keys = x.shape
    series = Series(plan, keys=keys)
    slots = np.tile(np.arange(keys), points)
    result = series.feed(x.ravel(), slots=slots, **more)
    return {name: column.reshape(points, keys) for name, column in result.columns.items()}


def share_of_alarms(name: str, alpha: float) -> float:
    seeds = {"target seed": {"seed": Seed(value=0.0)}, "bias-corrected": {"adjust": True}}
    limits = Limits(width=WIDTHS[alpha], centre=0.0, sigma=1.0)
    plan = plan_of(
        Factor(alpha=alpha), "ewma", "out_of_control", limits=limits, **seeds.get(name, {})
    )
    # Key and row have their own numbers, so that the simulations are independent.
    generator = np.random.default_rng([list(TABLE).index(name), round(1000 * alpha)])
    columns = simulate(plan, generator.normal(size=(POINTS, KEYS)))
    steady = alpha / (2 - alpha)
    age = np.arange(1, POINTS + 1)[:, None]
    exact = np.sqrt(steady * (1 - (1 - alpha) ** (2 * age)))
    if name.endswith("of a target seed"):
        alarms = np.abs(columns["ewma"]) > WIDTHS[alpha] * exact
    elif name.endswith("asymptotic limits"):
        alarms = np.abs(columns["ewma"]) > WIDTHS[alpha] * math.sqrt(steady)
    else:
        alarms = columns["out_of_control"]
    return float(alarms.any(axis=0).mean())


@pytest.mark.parametrize("alpha", WIDTHS)
@pytest.mark.parametrize("name", TABLE)
def test_the_first_readings_raise_as_many_false_alarms_as_they_should(
    name: str, alpha: float
) -> None:
    expected = TABLE[name][alpha]
    room = SIX_SIGMA * math.sqrt(expected * (1 - expected) / KEYS) + 0.0005  # of three digits
    assert share_of_alarms(name, alpha) == pytest.approx(expected, abs=room)


def test_bias_corrected_means_raise_the_alarms_of_the_target_chart_and_no_others() -> None:
    x = np.random.default_rng(4).normal(size=(POINTS, 200))
    limits = Limits(width=2.0, centre=0.0, sigma=1.0)
    target, corrected = (
        simulate(plan_of(Factor(alpha=0.1), "out_of_control", limits=limits, **mode), x)
        for mode in ({"seed": Seed(value=0.0)}, {"adjust": True})
    )
    assert target["out_of_control"].any()
    assert (target["out_of_control"] == corrected["out_of_control"]).all()


@pytest.mark.parametrize("gaps", ["irregular", "late"])
def test_irregular_and_late_readings_raise_no_more_alarms(gaps: str) -> None:
    """The chance of an alarm at one reading is that of a normal number outside of the band."""
    generator = np.random.default_rng(9)
    keys = KEYS // 4
    plan = plan_of(
        Factor(half_life=30),
        "out_of_control",
        limits=Limits(width=2.0, centre=0.0, sigma=1.0),
    )
    times = np.cumsum(generator.choice([0, 1, 10, 300], (30, keys)), axis=0)
    if gaps == "late":
        times = generator.permuted(times, axis=0)
    alarms = simulate(plan, generator.normal(size=(30, keys)), times=times.ravel())
    expected = math.erfc(2.0 / math.sqrt(2))
    for row in (0, 3, 29):
        share = alarms["out_of_control"][row].mean()
        assert share == pytest.approx(
            expected, abs=SIX_SIGMA * math.sqrt(expected * (1 - expected) / keys)
        )


@pytest.mark.parametrize(("alpha", "length"), [(0.1, 500.0), (0.4, 500.0)])
def test_readings_to_a_false_alarm(alpha: float, length: float) -> None:
    """The chart is narrower at first, and so a little quicker than the published 500."""
    width = {0.1: 2.814, 0.4: 3.054}[alpha]
    limits = Limits(width=width, centre=0.0, sigma=1.0)
    plan = plan_of(Factor(alpha=alpha), "out_of_control", seed=Seed(value=0.0), limits=limits)
    keys, points = (1000, 2000) if COMPILED else (20, 500)
    x = np.random.default_rng(21).normal(size=(points, keys))
    alarms = simulate(plan, x)["out_of_control"]
    # Restarted at each alarm the rate is one in `length`; here the first one of each key counts.
    first = np.where(alarms.any(axis=0), alarms.argmax(axis=0) + 1, points)
    events = alarms.any(axis=0).sum()
    rate = events / first.sum()
    assert rate == pytest.approx(1 / length, rel=SIX_SIGMA / math.sqrt(events) + 0.05)


Z_TABLE = {0.3: 0.0195, 0.1: 0.0068, 0.01: 0.0030}
"""Chance of |z| > 3 for normal readings; an ideal z-score has 0.0027."""


@pytest.mark.parametrize("alpha", Z_TABLE)
def test_predictive_z_scores_are_as_wide_as_they_should_be(alpha: float) -> None:
    keys = 1000 if COMPILED else 20
    warm = round(12 / alpha)
    points = warm + (400 if COMPILED else 60)
    if not COMPILED and alpha < 0.1:
        keys = 2
    x = np.random.default_rng(round(1000 * alpha)).normal(7.0, 3.0, (points, keys))
    z = simulate(plan_of(Factor(alpha=alpha), "ewma", "zscore"), x)["zscore"][warm:]
    expected = Z_TABLE[alpha]
    # Readings share their mean and deviation, hence fewer of them are independent.
    room = SIX_SIGMA * math.sqrt(expected / z.size * (1 + 1 / math.sqrt(alpha)))
    assert (np.abs(z) > 3).mean() == pytest.approx(expected, abs=room + 0.00005)
