"""pandas and polars over their option grids, with the bugs of theirs that are known left out."""

import math
from datetime import timedelta

import numpy as np
import pandas as pd
import polars as pl
import pytest

from stream_ewma.smoothing.mode import Weighting
from stream_ewma.smoothing.parameters import Factor
from tests.support.smoothing import AGE, HOLD, OBSERVE, plan_of, run

ALPHAS = [0.05, 0.3, 0.7, 0.95]
N = 60


def gappy(seed: int, share: float) -> list[float | None]:
    """Readings of which some are missing, the first and the last too at times."""
    generator = np.random.default_rng(seed)
    x = generator.normal(3.0, 10.0, N)
    return [
        None if gone else float(v) for gone, v in zip(generator.random(N) < share, x, strict=True)
    ]


def ours(alpha: float, x: list[float | None], action: int, **mode: object) -> dict[str, np.ndarray]:
    plan = plan_of(Factor(alpha=alpha), "ewma", "variance", "std", "weight_sum", **mode)
    actions = [action if value is None else OBSERVE for value in x]
    return run(plan, [math.nan if v is None else v for v in x], actions=actions).columns


@pytest.mark.parametrize("adjust", [True, False])
@pytest.mark.parametrize("ignore_na", [True, False])
@pytest.mark.parametrize("min_periods", [1, 4])
@pytest.mark.parametrize("alpha", ALPHAS)  # not 0.5: pandas 3 errs there across gaps
def test_pandas(alpha: float, adjust: bool, ignore_na: bool, min_periods: int) -> None:
    for seed, share in enumerate((0.0, 0.1, 0.5)):
        x = gappy(seed, share)
        ewm = pd.Series(x, dtype=float).ewm(
            alpha=alpha, adjust=adjust, ignore_na=ignore_na, min_periods=min_periods
        )
        mode = {"adjust": adjust, "ignore_na": ignore_na, "min_periods": min_periods}
        found = ours(alpha, x, HOLD, **mode)
        np.testing.assert_allclose(found["ewma"], ewm.mean(), rtol=1e-12, atol=1e-12)
        # By subtraction pandas loses up to 1e-16 / (weight of all before)^2 across gaps.
        room = 1e-9 if share < 0.2 else 1e-5
        if not (alpha > 0.9 and share):
            np.testing.assert_allclose(found["variance"], ewm.var(), rtol=room, atol=room)
            np.testing.assert_allclose(found["std"], ewm.std(), rtol=room, atol=room)
        biased = ours(alpha, x, HOLD, biased=True, **mode)
        np.testing.assert_allclose(biased["variance"], ewm.var(bias=True), rtol=1e-9, atol=1e-9)
        if adjust:
            total = found["ewma"] * found["weight_sum"]
            np.testing.assert_allclose(total, ewm.sum(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("adjust", [True, False])
@pytest.mark.parametrize("ignore_na", [True, False])
@pytest.mark.parametrize("min_periods", [1, 4])
@pytest.mark.parametrize("alpha", [*ALPHAS, 0.5])
def test_polars(alpha: float, adjust: bool, ignore_na: bool, min_periods: int) -> None:
    for seed, share in enumerate((0.0, 0.1, 0.5)):
        x = gappy(seed, share)
        series = pl.Series(x, dtype=pl.Float64)
        options = {
            "alpha": alpha,
            "adjust": adjust,
            "ignore_nulls": ignore_na,
            "min_samples": min_periods,
        }
        mode = {"adjust": adjust, "ignore_na": ignore_na, "min_periods": min_periods}
        found = ours(alpha, x, AGE, **mode)
        theirs = series.ewm_mean(**options).to_numpy()
        np.testing.assert_allclose(found["ewma"], theirs, rtol=1e-12, atol=1e-12)
        several = np.cumsum([v is not None for v in x]) >= 2  # of one reading polars says 0
        for name, values in (
            ("variance", series.ewm_var(**options)),
            ("std", series.ewm_std(**options)),
        ):
            theirs = values.to_numpy()
            np.testing.assert_allclose(
                found[name][several], theirs[several], rtol=1e-9, atol=1e-9, err_msg=name
            )


@pytest.mark.parametrize("half_life", [700, 5000])
def test_event_time(half_life: int) -> None:
    generator = np.random.default_rng(half_life)
    times = np.cumsum(generator.integers(1, 3000, N))
    x = generator.normal(3.0, 10.0, N)
    stamps = pd.to_datetime(times, unit="ms")
    half = pd.Timedelta(half_life, "ms")
    factor = Factor(half_life=half_life)

    theirs = pd.Series(x).ewm(halflife=half, times=stamps).mean()
    np.testing.assert_allclose(run(plan_of(factor), x.tolist(), times.tolist()).mean, theirs)

    mode = {"weighting": Weighting.INTERVAL_NEXT, "adjust": False}
    found = run(plan_of(factor, **mode), x.tolist(), times.tolist()).mean
    theirs = pl.Series(x).ewm_mean_by(
        pl.Series(times).cast(pl.Datetime("ms")), half_life=timedelta(milliseconds=half_life)
    )
    np.testing.assert_allclose(found, theirs.to_numpy(), rtol=1e-12)
