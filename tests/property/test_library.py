"""The library against itself (array = single value = stream), and against pandas and polars."""

import itertools
import math
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_ewma import Ewma, ewma, smooth
from stream_ewma.smoothing.parameters import Factor
from stream_ewma.smoothing.plan import Plan
from stream_ewma.smoothing.recursion import fold
from stream_ewma.smoothing.state import KeyedState

SHOWN = ["ewma", "variance", "std", "n_eff", "weight_sum", "slope", "level", "forecast", "lag"]
HOLT_COUNTED = {"method": "holt", "beta": 0.3}
HOLT_TIMED = {"method": "holt", "beta_half_life": 3}

readings = (
    st.floats(-1e6, 1e6)
    | st.floats(allow_subnormal=True)
    | st.sampled_from([None, math.nan, math.inf, -math.inf, 0.0, -0.0, 1e150, 1e308, 5e-324])
)
counted = st.one_of(
    st.fixed_dictionaries({"alpha": st.floats(1e-6, 1)}),
    st.fixed_dictionaries({"span": st.floats(1, 1e6)}),
    st.fixed_dictionaries({"com": st.floats(0, 1e6)}),
    st.fixed_dictionaries({"half_life": st.floats(1e-3, 1e6)}),
)
timed = st.fixed_dictionaries({"half_life": st.integers(1, 10_000) | st.floats(0.1, 1e4)})
of_both: dict[str, st.SearchStrategy[Any]] = {
    "min_periods": st.integers(0, 4),
    "min_n_eff": st.sampled_from([0.0, 1.5, 3.0]),
    "biased": st.booleans(),
    "outliers": st.sampled_from([{"lowest": -50, "highest": 1e5}, {"deviations": 2.0}]),
}
of_counting = of_both | {
    "adjust": st.none() | st.booleans(),
    "ignore_na": st.booleans(),
    "seed": st.sampled_from([{"value": 3.0}, {"value": -1.0, "weight": 0.5}]),
    "trend": st.just(HOLT_COUNTED),
}
of_time = of_both | {
    "late": st.sampled_from(["merge", "drop"]),
    "late_cutoff": st.integers(1, 50),
    "reset_after": st.integers(1, 500),
    "seed": st.sampled_from([{"value": 3.0}, {"value": -1.0, "weight": 0.5}]),
}
of_intervals: dict[str, st.SearchStrategy[Any]] = {
    "min_periods": st.integers(0, 4),
    "adjust": st.none() | st.booleans(),
    "weighting": st.sampled_from(["interval_next", "interval_prev", "interval_linear"]),
    "reset_after": st.integers(1, 500),
}


def times_for(rows: int) -> st.SearchStrategy[list[Any]]:
    kinds = (
        st.integers(-1000, 1000),
        st.integers(1_767_225_600_000, 1_767_225_600_500),
        st.floats(-1e3, 1e3),
        st.floats(1.767e9, 1.767e9 + 10),
    )
    return st.one_of(*(st.lists(each, min_size=rows, max_size=rows) for each in kinds)).flatmap(
        lambda times: st.sampled_from([times, sorted(times)])
    )


@st.composite
def cases(draw: st.DrawFn) -> tuple[dict[str, Any], list[Any], list[Any] | None]:
    """Options, readings and times, or None for the count clock."""
    x = draw(st.lists(readings, min_size=1, max_size=25))
    kind = draw(st.sampled_from(["counted", "event", "interval"]))
    if kind == "counted":
        options = draw(st.fixed_dictionaries({}, optional=of_counting))
        if "trend" in options:
            options["ignore_na"] = True
        return draw(counted) | options, x, None
    times = draw(times_for(len(x)))
    if kind == "event":
        options = draw(st.fixed_dictionaries({}, optional=of_time))
        if draw(st.booleans()):
            options |= {"trend": HOLT_TIMED, "late": "drop"}
        return draw(timed) | options, x, times
    options = draw(st.fixed_dictionaries({"late": st.just("drop")}, optional=of_intervals))
    options.setdefault("weighting", "interval_prev")
    if draw(st.booleans()):
        options["reorder"] = draw(st.integers(1, 4))
    return draw(timed) | options, x, times


def bits(values: Any) -> list[int]:
    """The doubles, bit for bit, except that one NaN is as good as another."""
    array = np.array(values, np.float64)
    return np.where(np.isnan(array), np.nan, array).view(np.int64).tolist()


@given(cases(), st.sets(st.integers(0, 24)))
@settings(max_examples=150)
def test_one_by_one_with_any_break_is_the_whole_column(case: Any, breaks: set[int]) -> None:
    """Every `update` has the bits of the column's row, whatever was put away in between."""
    given, x, times = case
    column = smooth(x, None, times, outputs=["ewma", "std", "level"], **given)["ewma"]

    series = Ewma(**given)
    means = []
    for i, each in enumerate(x):
        if i in breaks:
            series = Ewma(**given).from_bytes(series.to_bytes())
        means.append(series.update(each, None if times is None else times[i]))

    assert bits(means) == bits(column)


@given(cases())
@settings(max_examples=100)
def test_everything_read_off_one_by_one_is_in_the_columns(case: Any) -> None:
    given, x, times = case
    finite = [3.5 if each is None or not abs(each) <= 1e150 else each for each in x]
    columns = smooth(finite, None, times, outputs=[*SHOWN, "count"], **given)

    series = Ewma(**given)
    for i, each in enumerate(finite):
        series.update(each, None if times is None else times[i])
        if times is None or times[i] == max(times[: i + 1]):
            got = [series.get(name) for name in SHOWN]
            assert bits(got) == bits([columns[name][i] for name in SHOWN])
            assert series.count == columns["count"][i]


@given(
    counted | timed,
    st.lists(st.tuples(st.floats(-1e6, 1e6), st.integers(0, 5000)), min_size=1, max_size=40),
)
@settings(max_examples=60)
def test_the_stream_and_the_array_have_the_same_bits(given: Any, rows: Any) -> None:
    x = np.array([each for each, _ in rows])
    times = np.array([1_767_225_600_000 + time for _, time in rows])
    is_timed = "half_life" in given and isinstance(given["half_life"], int)
    array = ewma(x, times=times if is_timed else None, **given)

    if is_timed:
        factor = Factor(half_life=given["half_life"])
    elif "half_life" in given:
        factor = Factor(half_life_samples=given["half_life"])
    else:
        factor = Factor(**given)
    plan = Plan.of(factor)
    state = KeyedState(plan.places)
    state.grow(1)
    zeros = np.zeros(len(x), np.int32)
    stream = fold(state, plan, zeros, times, x, zeros.astype(np.uint8)).mean

    assert bits(array) == bits(stream)


@given(st.data())
@settings(max_examples=60)
def test_keys_of_any_kind_split_the_rows_alike(data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.tuples(st.integers(-3, 3), st.floats(-9, 9)), max_size=40))
    numbers = [number for number, _ in rows]
    x = [each for _, each in rows]
    texts = [f"{'é' * abs(number)}{number}" for number in numbers]
    kinds = [
        np.array(numbers, np.int64),
        np.array(numbers, np.int8),
        np.array(numbers, np.float32),
        np.array(numbers, "M8[s]"),
        np.array(numbers, object),
        np.array(numbers, np.longdouble),
        np.array(texts or [], dtype=str),
        np.array([text.encode() for text in texts], dtype=bytes),
        texts,
        [(number, "a") for number in numbers],
        pd.Series(numbers, dtype="Int64"),
        pd.Series(texts, dtype="str"),
        pd.Series(texts, dtype="category"),
        pd.Index(numbers),
        pl.Series(numbers, dtype=pl.Int16),
        pl.Series(texts, dtype=pl.String),
        pl.Series(texts, dtype=pl.Categorical),
        pl.Series(texts, dtype=pl.String).gather(list(range(len(texts)))[1:])
        if len(texts) > 1
        else pl.Series(texts, dtype=pl.String),
    ]
    *whole, sliced = kinds

    expected: dict[int, float] = {}
    for number, each in rows:
        before = expected.get(number)
        expected[number] = each if before is None else before + 0.5 * (each - before)

    for keys in whole:
        smoothed = smooth(x, keys, alpha=0.5)["ewma"]
        last = dict(zip(numbers, smoothed.tolist(), strict=True))
        assert last == expected
    assert len(smooth(x[len(x) - len(sliced) :], sliced, alpha=0.5)["ewma"]) == len(sliced)


def gappy(seed: int, rows: int = 300) -> np.ndarray:
    generator = np.random.default_rng(seed)
    x = generator.normal(20, 5, rows)
    x[generator.random(rows) < 0.25] = np.nan
    x[generator.integers(0, rows, 4)] = [np.inf, -np.inf, np.nan, 0.0]
    return x


GRID = list(itertools.product((True, False), (True, False), (0, 1, 2, 7), (0.05, 0.3, 0.9, 1.0)))


@pytest.mark.parametrize(("adjust", "ignore_na", "min_periods", "alpha"), GRID)
def test_pandas_says_the_same(adjust, ignore_na, min_periods, alpha) -> None:
    x = pd.Series(gappy(7))
    options = {"adjust": adjust, "ignore_na": ignore_na, "min_periods": min_periods}
    theirs = x.ewm(alpha=alpha, **options)

    np.testing.assert_allclose(ewma(x, alpha=alpha, **options), theirs.mean(), rtol=1e-11)
    for biased in (True, False):
        ours = smooth(x, alpha=alpha, outputs=["variance", "std"], biased=biased, **options)
        np.testing.assert_allclose(ours["variance"], theirs.var(bias=biased), rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(ours["std"], theirs.std(bias=biased), rtol=1e-7, atol=1e-4)


@pytest.mark.parametrize(("adjust", "ignore_na", "min_periods", "alpha"), GRID)
def test_polars_says_the_same_where_there_is_a_reading(
    adjust, ignore_na, min_periods, alpha
) -> None:
    values = gappy(11)
    x = pl.Series([each if math.isfinite(each) else None for each in values])
    options = {"adjust": adjust, "ignore_na": ignore_na}
    theirs = options | {"alpha": alpha, "min_samples": max(min_periods, 1)}
    theirs["ignore_nulls"] = theirs.pop("ignore_na")
    known = np.isfinite(values)

    ours = ewma(x, alpha=alpha, min_periods=min_periods, **options).to_numpy()
    np.testing.assert_allclose(ours[known], x.ewm_mean(**theirs).to_numpy()[known], rtol=1e-11)
    for biased in (True, False):
        ours = smooth(
            values, alpha=alpha, min_periods=min_periods, biased=biased, outputs="std", **options
        )
        expected = x.ewm_std(bias=biased, **theirs).to_numpy()
        one = np.cumsum(known) < 2  # polars gives 0 where a deviation is not defined
        np.testing.assert_allclose(
            ours["std"][known & ~one], expected[known & ~one], rtol=1e-7, atol=1e-4
        )


@pytest.mark.parametrize("half_life", ["500ms", "7s", "3min"])
@pytest.mark.parametrize("missing", [False, True])
def test_pandas_says_the_same_of_times(half_life, missing) -> None:
    generator = np.random.default_rng(5)
    times = pd.to_datetime(np.cumsum(generator.integers(0, 9_000, 300)), unit="ms")
    x = pd.Series(gappy(3) if missing else generator.normal(size=300))

    expected = x.ewm(halflife=half_life, times=times).mean()

    np.testing.assert_allclose(ewma(x, half_life=half_life, times=times), expected, rtol=1e-11)
    expected = x.ewm(halflife=half_life, times=times, adjust=False).mean()
    ours = ewma(x, half_life=half_life, times=times, adjust=False)
    np.testing.assert_allclose(ours, expected, rtol=1e-11, atol=1e-11)


class TestKnownBugsOfOthers:
    """Each shown, so that the comparison above can be trusted where it leaves them out."""

    def test_pandas_3_loses_the_weight_of_a_gap_at_com_1(self):
        x = [4.0, np.nan, 3.0]  # weights 1/4 and 1/2: (4/4 + 3/2)/(3/4)

        assert ewma(x, com=1)[2] == pytest.approx(10 / 3)
        assert pd.Series(x).ewm(com=1, adjust=False).mean()[2] != pytest.approx(10 / 3)
        assert pd.Series(x).ewm(com=1.0001, adjust=False).mean()[2] == pytest.approx(
            10 / 3, rel=1e-3
        )

    def test_pandas_cancels_in_the_variance_across_a_gap(self):
        x = [1.0, *[np.nan] * 29, 3.0]  # two readings: (3 - 1)^2 / 2, whatever their weights

        ours = smooth(x, alpha=0.7, adjust=True, outputs="variance")["variance"][-1]

        assert ours == pytest.approx(2, rel=1e-12)
        assert abs(pd.Series(x).ewm(alpha=0.7).var().iloc[-1] - 2) > 0.1

    def test_pandas_loses_digits_of_long_half_lives(self):
        x = [0.0, 1.0]
        assert ewma(x, half_life=1e15)[1] == pytest.approx(math.log(2) / 1e15, rel=1e-12, abs=0)
        theirs = pd.Series(x).ewm(halflife=1e15, adjust=False).mean()[1]
        assert theirs != pytest.approx(math.log(2) / 1e15, rel=1e-3, abs=0)

    @pytest.mark.parametrize("poison", [math.nan, math.inf])
    def test_polars_is_poisoned_by_nan_and_infinity(self, poison):
        x = pl.Series([1.0, poison, 2.0, 3.0])

        assert ewma(x, alpha=0.3, ignore_na=True).to_list()[-1] == pytest.approx(1.81)
        assert not math.isfinite(x.ewm_mean(alpha=0.3, adjust=False).to_list()[-1])
