"""Values that other systems print, computed by the fold.

A vector is a dict of the file `tests/vectors/ewma_vectors.json`: an operation, its parameters,
input, times in the unit of the half life, and what has to come out.
"""

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stream_ewma.smoothing.mode import Limits, Seed, Trend, Weighting
from stream_ewma.smoothing.parameters import Factor
from tests.support.smoothing import AGE, HOLD, OBSERVE, Series, column, last, plan_of, run

Vector = dict[str, Any]

FILE = Path(__file__).parents[1] / "vectors" / "ewma_vectors.json"
VECTORS: dict[str, Vector] = {vector["id"]: vector for vector in json.loads(FILE.read_text())}

NOT_OFFERED = {
    "talib-kama-10": "Kaufman's average changes alpha with every reading",
    "homeassistant-outlier": "a median of a window; outliers are clipped by deviations here",
    "homeassistant-outlier-step": "a median of a window; outliers are clipped by deviations here",
    "one-euro-groundtruth-100": "the 1-euro filter changes alpha with the speed of the signal",
}
MS = 1000
"""Times of the vectors have fractions; those of the fold are whole milliseconds."""


def factor_of(vector: Vector) -> Factor:
    params = vector["params"]
    rates = {name: params[name] for name in ("alpha", "span", "com") if name in params}
    if rates:
        return Factor(**rates)
    scale = next(name for name in ("halflife_s", "halflife", "tau", "tau_s") if name in params)
    half_life = params[scale] * (math.log(2) if scale.startswith("tau") else 1.0)
    if "times" in vector:
        return Factor(half_life=half_life * MS)
    return Factor(half_life_samples=half_life)


def mode_of(vector: Vector) -> dict[str, Any]:
    params = vector["params"]
    mode: dict[str, Any] = {"biased": params.get("bias", False)}
    mode["min_periods"] = params.get("min_periods", 1)
    if "times" in vector:
        mode["weighting"] = Weighting(params.get("weighting", "event"))
        mode["adjust"] = params["adjust"] if mode["weighting"] is not Weighting.EVENT else None
        return mode
    mode["adjust"] = params.get("adjust", True)
    mode["ignore_na"] = params.get("ignore_na", False)
    if params.get("seed") == "sma":
        mode["seed"] = Seed(readings=params["seed_n"])
        mode["min_periods"] = params["seed_n"]
    elif "seed" in params:
        mode["seed"] = Seed(value=params["seed"])
    return mode


def columns_of(vector: Vector, *names: str, x: list | None = None) -> dict[str, np.ndarray]:
    """The named outputs, row by row of the vector."""
    plan = plan_of(factor_of(vector), *names, **mode_of(vector))
    readings = vector["input"] if x is None else x
    missing = AGE if vector["params"].get("null_output") == "null" else HOLD
    result = run(
        plan,
        [math.nan if value is None else float(value) for value in readings],
        [round(MS * time) for time in vector["times"]] if "times" in vector else None,
        actions=[missing if value is None else OBSERVE for value in readings],
    )
    return {name: result.columns[name] for name in names}


def mean(vector: Vector) -> np.ndarray:
    if vector["params"].get("normalize") == "asymptotic":
        # ClickHouse divides by the weight that there would be had the series no beginning; its
        # half life is in units of time and its steps are one unit.
        steady = 1.0 / Factor(half_life_samples=vector["params"]["halflife"]).count_alpha
        return total(vector) / steady
    return columns_of(vector, "ewma")["ewma"]


def total(vector: Vector) -> np.ndarray:
    columns = columns_of(vector, "ewma", "weight_sum")
    return columns["ewma"] * columns["weight_sum"]


def weight(vector: Vector) -> np.ndarray:
    return columns_of(vector, "weight_sum")["weight_sum"]


def variance(vector: Vector) -> np.ndarray:
    return columns_of(vector, "variance")["variance"]


def std(vector: Vector) -> np.ndarray:
    return columns_of(vector, "std")["std"]


def correlation(vector: Vector) -> np.ndarray:
    """From the variances of both series and of their sum."""
    x, y = np.array(vector["input"]), np.array(vector["input2"])
    of_x, of_y, of_sum = (
        columns_of(vector, "variance", x=series.tolist())["variance"] for series in (x, y, x + y)
    )
    return (of_sum - of_x - of_y) / 2 / np.sqrt(of_x * of_y)


def chained(vector: Vector, times: int) -> list[np.ndarray]:
    """The mean, the mean of the means, ...: each begins where the one before it has a value."""
    plan = plan_of(factor_of(vector), "ewma", **mode_of(vector))
    found = [np.array(vector["input"], float)]
    for _ in range(times):
        result = np.full(len(found[0]), math.nan)
        begun = np.flatnonzero(np.isfinite(found[-1]))
        result[begun] = column(run(plan, found[-1][begun].tolist()))
        found.append(result)
    return found[1:]


def double(vector: Vector) -> np.ndarray:
    once, twice = chained(vector, 2)
    return 2 * once - twice


def triple(vector: Vector) -> np.ndarray:
    once, twice, thrice = chained(vector, 3)
    return 3 * once - 3 * twice + thrice


def holt(vector: Vector) -> np.ndarray | dict[str, list[float]]:
    params, x = vector["params"], vector["input"]
    trend = Trend(method="holt", beta=params["beta"])
    plan = plan_of(Factor(alpha=params["alpha"]), "level", "slope", trend=trend)
    if params["init"] == "first_two":
        return np.array(column(run(plan, x), "level"))
    # statsmodels smooths the first reading too, as if the level before it had been that reading.
    rise = x[1] - x[0]
    result = run(plan, [x[0] - rise, x[0], *x])
    level, slope = column(result, "level")[2:], column(result, "slope")[2:]
    ahead = range(1, 1 + len(vector["expected"]["forecast5"]))
    forecast = [level[-1] + step * slope[-1] for step in ahead]
    return {"level": level, "trend": slope, "forecast5": forecast}


def rate(vector: Vector) -> np.ndarray:
    """Events per second in ticks, read once a minute."""
    params = vector["params"]
    tick = params["tick_s"]
    per_minute = 60 // tick
    factor = Factor(half_life_samples=params["tau_s"] / tick * math.log(2))
    rates = [params["update"] / tick] + [0.0] * (per_minute * (len(vector["expected"]) - 1))
    return run(plan_of(factor), rates).mean[::per_minute]


def run_lengths(vector: Vector) -> dict[str, float]:
    """Mean readings to an alarm, by the integral equation on Gauss-Legendre nodes.

    The band is the one that the fold's own chart has once it has settled.
    """
    params, expected = vector["params"], vector["expected"]
    plan = plan_of(
        Factor(alpha=params["alpha"]),
        "ucl",
        "out_of_control",
        seed=Seed(value=0.0),
        limits=Limits(width=params["L"], centre=0.0, sigma=1.0),
    )
    series = Series(plan)
    band = last(series.feed([0.0] * 1000), "ucl")
    step = (band - 1e-9) / params["alpha"]
    assert last(series.feed([step]), "out_of_control") is False
    assert last(Series(plan).feed([0.0] * 1000 + [step + 1e-6]), "out_of_control") is True
    nodes, weights = np.polynomial.legendre.leggauss(200)
    places = band * nodes
    found = {}
    for name in expected:
        shift = float(name.removeprefix("shift_").replace("_", "."))
        step = (places[None, :] - (1 - params["alpha"]) * places[:, None]) / params["alpha"] - shift
        density = np.exp(-(step**2) / 2) / math.sqrt(2 * math.pi) / params["alpha"]
        lengths = np.linalg.solve(np.eye(200) - density * weights * band, np.ones(200))
        start = (places / params["alpha"]) - shift
        density = np.exp(-(start**2) / 2) / math.sqrt(2 * math.pi) / params["alpha"]
        found[name] = 1 + float(np.sum(density * weights * band * lengths))
    return found


OPERATIONS: dict[str, Callable[[Vector], Any]] = {
    "ewm_mean": mean,
    "ewm_sum": total,
    "ewm_weight": weight,
    "ewm_var": variance,
    "ewm_std": std,
    "ewm_corr": correlation,
    "dema": double,
    "tema": triple,
    "holt": holt,
    "ewm_rate": rate,
    "ewma_chart_arl": run_lengths,
}
COVERED = [name for name, vector in VECTORS.items() if vector["op"] in OPERATIONS]


def test_every_vector_is_covered_or_named_as_not_offered() -> None:
    assert len(VECTORS) == 96
    assert len(COVERED) == 92
    assert set(VECTORS) == set(COVERED) | set(NOT_OFFERED)
    assert not set(COVERED) & set(NOT_OFFERED)


def compare(ours: Sequence[float], theirs: Sequence[float | None], vector: Vector) -> None:
    places = vector.get("assert_at", range(len(theirs)))
    assert len(ours) == len(theirs)
    assert places
    for i in places:
        if theirs[i] is None:
            assert math.isnan(ours[i]), i
        else:
            assert ours[i] == pytest.approx(theirs[i], rel=0, abs=vector["tolerance"]), i


@pytest.mark.parametrize("name", COVERED)
def test_the_fold_computes_what_was_printed(name: str) -> None:
    vector = VECTORS[name]
    ours, theirs = OPERATIONS[vector["op"]](vector), vector["expected"]
    if isinstance(theirs, dict):
        assert set(ours) == set(theirs)
        for part, values in theirs.items():
            compare(np.atleast_1d(ours[part]), np.atleast_1d(values), vector)
    else:
        compare(ours, theirs, vector)
