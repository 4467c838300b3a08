"""The README's comparison: what is said of pandas and polars, seen in their own behaviour.

A cell that says they lack something is shown by the refusal, or by the value that is wrong.
"""

import inspect
import math

import numpy as np
import pandas as pd
import polars as pl
import pytest

from tests.support.modes import fold_plan

X = [1.0, 2.0, 4.0, 3.0]
TIMES = pd.date_range("2026-01-01", periods=4, freq="h")
POLARS_EWM = [name for name in dir(pl.Expr) if name.startswith("ewm_")]


def test_pandas_online_has_no_spread() -> None:
    online = pd.Series(X).ewm(alpha=0.5).online()
    for name in ("var", "std", "corr", "cov"):
        with pytest.raises(NotImplementedError):
            getattr(online, name)()


def test_pandas_has_only_the_mean_on_irregular_time() -> None:
    ewm = pd.Series(X).ewm(halflife="1h", times=TIMES)
    assert ewm.mean().notna().all()
    for name in ("var", "std", "cov", "corr"):
        with pytest.raises(NotImplementedError):
            getattr(ewm, name)()


def test_pandas_on_irregular_time_without_adjust_is_interval_next() -> None:
    got = pd.Series(X).ewm(halflife="1h", times=TIMES, adjust=False).mean()
    frame = pl.DataFrame({"x": X, "t": TIMES.to_numpy()})
    theirs = frame.select(pl.col("x").ewm_mean_by("t", half_life="1h"))["x"]
    np.testing.assert_allclose(got, theirs.to_numpy(), rtol=1e-12)


def test_pandas_variance_cancels_over_a_long_gap_and_ours_does_not() -> None:
    x = [10.0, *[math.nan] * 33, 12.0]
    theirs = pd.Series(x).ewm(span=2, adjust=False, ignore_na=False).var().iloc[-1]
    assert theirs != pytest.approx(2.0, rel=0.1)
    ours = fold_plan(x, span=2, ignore_na=False, outputs=["variance"])["variance"][-1]
    assert ours == pytest.approx(2.0, rel=1e-12)


def test_polars_variance_is_exact_over_that_gap() -> None:
    x = pl.Series([10.0, *[None] * 33, 12.0])
    got = x.ewm_var(span=2, adjust=False, ignore_nulls=False, min_samples=2)[-1]
    assert got == pytest.approx(2.0, rel=1e-9)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_one_bad_number_poisons_polars_and_not_pandas_or_us(bad: float) -> None:
    x = [1.0, bad, 2.0, 3.0]
    assert not math.isfinite(pl.Series(x).ewm_mean(alpha=0.5)[-1])
    assert math.isfinite(pd.Series(x).ewm(alpha=0.5).mean().iloc[-1])
    ours = fold_plan([1.0, math.nan, 2.0, 3.0], alpha=0.5, outputs=["ewma"])["ewma"]
    assert math.isfinite(ours[-1])


def test_polars_has_time_for_the_mean_only() -> None:
    assert "ewm_mean_by" in POLARS_EWM
    assert not {"ewm_var_by", "ewm_std_by"} & set(POLARS_EWM)


def test_a_late_reading_is_merged_by_neither() -> None:
    """pandas takes times as they come and has no state to merge into; polars wants them sorted."""
    assert "merge" not in dir(pd.Series(X).ewm(alpha=0.5))
    assert not any("merge" in name for name in POLARS_EWM)


@pytest.mark.parametrize("word", ["zscore", "trend", "forecast", "limit", "outlier", "stale"])
def test_neither_offers_what_the_table_says_they_lack(word: str) -> None:
    assert not any(word in name for name in dir(pd.Series(X).ewm(alpha=0.5)))
    assert not any(word in name for name in POLARS_EWM)
    assert word not in inspect.signature(pd.Series.ewm).parameters
