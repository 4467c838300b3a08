"""`ewma` and `smooth`: parameters, kinds of columns, missing readings, names, errors."""

import datetime as dt
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from stream_ewma import ewma, smooth

ROOT = Path(__file__).parents[2]
READINGS = [10, 12, 15, 18, 22]
SMOOTHED = [10, 10.4, 11.32, 12.656, 14.5248]


def same(result, expected, rel=1e-14):
    assert list(result) == pytest.approx(list(expected), rel=rel, nan_ok=True)


@pytest.mark.parametrize(
    "given",
    [{"alpha": 0.2}, {"span": 9}, {"com": 4}, {"half_life": 3.1062837195053896}],
    ids=lambda given: next(iter(given)),
)
def test_every_parameter_says_the_same(given):
    same(ewma(READINGS, **given), SMOOTHED)


def test_the_bias_corrected_mean_is_pandas_default():
    same(ewma(READINGS, alpha=0.2, adjust=True), pd.Series(READINGS).ewm(alpha=0.2).mean())


def test_readings_weigh_by_age_where_there_are_times():
    for times in ([0, 1], np.array([0, 1], object), np.array([0, 1.0], np.float32)):
        same(ewma([10, 20], half_life=1.0, times=times), [10, (10 / 2 + 20) / 1.5])


def test_late_readings_are_merged_exactly():
    x, times = np.array([3.0, 1.0, 4.0, 1.0, 5.0]), np.array([0.0, 1.0, 2.5, 4.0, 8.0])
    shuffled = [3, 0, 4, 1, 2]

    in_order, late = (ewma(x[i], half_life=2.0, times=times[i]) for i in (slice(None), shuffled))

    assert late[-1] == pytest.approx(in_order[-1], rel=1e-15)


def test_a_first_reading_may_stand_for_all_before_it_with_times_too():
    x, seconds = [10.0, 20.0, 0.0, 4.0], [0, 1, 1, 5]
    times = pd.to_datetime(seconds, unit="s")

    expected = pd.Series(x).ewm(halflife="3s", times=times, adjust=False).mean()

    same(ewma(x, half_life="3s", times=times, adjust=False), expected)
    by = pl.DataFrame({"t": times, "x": x}).select(
        pl.col("x").ewm_mean_by("t", half_life=dt.timedelta(seconds=3))
    )
    same(ewma(x, half_life=3, times=seconds, adjust=False), by["x"])


def test_weights_of_intervals_ask_for_order():
    with pytest.raises(ValueError, match=r"times: row 2 .* interval_next .* sort .* late='drop'"):
        ewma([1, 2, 3], half_life=1.0, times=[0, 5, 2], adjust=False)

    dropped = smooth([1, 2, 3], None, [0, 5, 2], half_life=1.0, adjust=False, late="drop")
    assert np.isnan(dropped["ewma"]).tolist() == [False, False, True]
    held = {"half_life": 1.0, "weighting": "interval_prev", "reorder": 2}
    assert np.isfinite(smooth([1, 2, 3], None, [0, 5, 2], **held)["ewma"]).all()


@pytest.mark.parametrize("missing", [None, np.nan, np.inf, -np.inf])
def test_the_mean_stands_where_a_reading_is_missing(missing):
    x = [missing, 4.0, missing, 8.0]

    same(ewma(x, alpha=0.5, ignore_na=True), [np.nan, 4, 4, 6])
    same(ewma(x, alpha=0.25), pd.Series(x).ewm(alpha=0.25, adjust=False).mean())
    same(ewma(x, half_life=1, times=[0, 1, 2, 3]), [np.nan, 4, 4, (4 / 4 + 8) / 1.25])


def test_there_is_no_mean_before_min_periods_and_what_came_before_counts():
    assert np.isnan(ewma(READINGS, alpha=0.2, min_periods=3)).tolist() == [True, True] + [False] * 3
    same(ewma(READINGS, alpha=0.2, min_periods=3)[2:], SMOOTHED[2:])


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint64", "bool", ">f8"])
def test_any_real_numbers_do(dtype):
    x = np.array([1, 0, 1, 1], dtype)

    assert ewma(x, alpha=0.5).dtype == np.float64
    same(ewma(x, alpha=0.5), [1, 0.5, 0.75, 0.875])


def test_masked_values_are_missing():
    x = np.ma.array([4, 100, 8], mask=[False, True, False])

    same(ewma(x, alpha=0.5, ignore_na=True), [4, 4, 6])


def test_no_readings_give_no_means():
    assert ewma([], alpha=0.2).shape == (0,)
    assert ewma(np.empty((0, 3)), alpha=0.2).shape == (0, 3)
    assert ewma([], half_life=1, times=[]).shape == (0,)
    assert smooth([], [], alpha=0.2, outputs=["ewma", "std"])["std"].shape == (0,)


def test_series_side_by_side_are_smoothed_along_an_axis():
    generator = np.random.default_rng(3)
    x = generator.normal(size=(40, 3, 2))
    x[generator.random(x.shape) < 0.2] = np.nan
    times = np.cumsum(generator.integers(0, 5, 40))
    read_only = x.copy()
    read_only.flags.writeable = False

    for given in ({"alpha": 0.3}, {"half_life": 4.0, "times": times}):
        down = ewma(read_only, **given)
        across = ewma(np.moveaxis(x, 0, -1), axis=-1, **given)
        for i, j in np.ndindex(3, 2):
            np.testing.assert_array_equal(down[:, i, j], ewma(x[:, i, j], **given))
            np.testing.assert_array_equal(across[i, j], down[:, i, j])


def test_many_series_side_by_side_go_through_in_pieces():
    x = np.random.default_rng(5).normal(size=(7, 30_000))
    times = np.array([0.0, 1.0, 1.5, 4.0, 9.0, 9.0, 20.0])

    means = ewma(x, half_life=3.0, times=times)

    for column in (0, 12_345, 29_999):
        expected = ewma(x[:, column], half_life=3.0, times=times)
        np.testing.assert_array_equal(means[:, column], expected)


class TestPandas:
    def test_a_series_keeps_index_and_name(self):
        x = pd.Series([1, 2, None, 4], index=list("abcd"), name="load")

        pd.testing.assert_series_equal(
            ewma(x, span=4), x.ewm(span=4, adjust=False).mean(), rtol=1e-14
        )

    @pytest.mark.parametrize("dtype", ["Float64", "Int64", "float32", "double[pyarrow]", "object"])
    def test_every_type_of_numbers_does(self, dtype):
        x = pd.Series([1, 2, None, 4], dtype=dtype)

        same(ewma(x, alpha=0.5, ignore_na=True), [1, 1.5, 1.5, 2.75])

    def test_a_frame_is_smoothed_down_its_columns_or_across(self):
        x = pd.DataFrame({"a": [1.0, 2.0, 4.0], "b": [4, None, 1]}, index=[3, 5, 9])
        expected = x.ewm(com=1.5, adjust=False).mean()

        pd.testing.assert_frame_equal(ewma(x, com=1.5), expected, rtol=1e-14)
        pd.testing.assert_frame_equal(ewma(x.T, com=1.5, axis=1), expected.T, rtol=1e-14)

    def test_an_index_gives_an_array(self):
        assert isinstance(ewma(pd.Index([1.0, 2.0]), alpha=0.5), np.ndarray)

    def test_times_may_have_zones(self):
        utc = pd.Series(pd.to_datetime(["2026-03-29 00:30", "2026-03-29 01:30"], utc=True))
        expected = pytest.approx([10, (10 / 2 + 20) / 1.5])

        for times in (
            utc,
            utc.dt.tz_convert("Europe/Berlin"),
            pd.Index(utc),
            utc.dt.tz_localize(None),
        ):
            assert ewma([10, 20], half_life="1h", times=times).tolist() == expected
        assert ewma([10, 20], half_life=3600, times=pl.Series([0, 3600])).tolist() == expected
        zoned = pl.Series(utc.dt.tz_convert("Asia/Tokyo"))
        assert ewma([10, 20], half_life="1h", times=zoned).tolist() == expected

    def test_columns_come_back_as_a_frame_with_the_index(self):
        x = pd.Series([1.0, 2.0, 3.0], index=list("xyz"))

        frame = smooth(x, pd.Series(["a", None, "a"]), alpha=0.5, outputs=["ewma", "count"])

        assert frame.to_dict("list") == {"ewma": [1.0, 2.0, 2.0], "count": [1, 1, 2]}
        assert list(frame.index) == list("xyz")


class TestPolars:
    def test_a_series_keeps_its_name_and_null_is_what_is_not_defined(self):
        smoothed = ewma(pl.Series("load", [None, 1, 2, None, 4]), alpha=0.5, ignore_na=True)

        assert smoothed.name == "load"
        assert smoothed.to_list() == [None, 1.0, 1.5, 1.5, 2.75]

    def test_a_frame_is_smoothed_down_its_columns(self):
        frame = ewma(pl.DataFrame({"a": [1.0, 2.0], "b": [3, 5]}), alpha=0.5)

        assert frame.to_dict(as_series=False) == {"a": [1.0, 1.5], "b": [3.0, 4.0]}

    def test_columns_come_back_as_a_frame(self):
        frame = smooth(pl.Series([1, 3]), pl.Series(["a", "a"]), alpha=0.5, outputs=["ewma", "std"])

        assert frame.to_dict(as_series=False) == {"ewma": [1.0, 2.0], "std": [None, 2**0.5]}

    def test_a_plan_of_columns_is_no_column(self):
        with pytest.raises(TypeError, match="values: write collected values, not a LazyFrame"):
            ewma(pl.LazyFrame({"a": [1]}), alpha=0.5)


class TestKeys:
    def test_each_key_is_a_series_of_its_own_in_the_order_of_the_rows(self):
        generator = np.random.default_rng(8)
        x, keys = generator.normal(size=90_000), generator.integers(-70, 70, 90_000)

        smoothed = smooth(x, keys, alpha=0.1)["ewma"]

        for key in (-70, 0, 69):
            np.testing.assert_array_equal(smoothed[keys == key], ewma(x[keys == key], alpha=0.1))

    def test_without_keys_there_is_one_series(self):
        same(smooth(READINGS, alpha=0.2)["ewma"], SMOOTHED)

    def test_rules_give_keys_factors_of_their_own(self):
        rules = [{"keys": "pump-*", "alpha": 1.0}, {"keys": "*", "span": 3}]
        keys = ["pump-1", "valve", "pump-1", "valve"]

        same(smooth([1, 1, 3, 3], keys, alpha=0.1, rules=rules)["ewma"], [1, 1, 3, 2])
        same(smooth([1, 3], [b"a", b"a"], alpha=1, rules=[{"keys": "a", "com": 1}])["ewma"], [1, 2])
        same(smooth([1, 3], alpha=1, rules=[{"keys": "None", "com": 1}])["ewma"], [1, 2])

    def test_rules_go_for_times_too(self):
        rules = [{"keys": "fast", "half_life": "1s"}]
        times = np.array([0, 0, 2, 2], "M8[s]")
        keys = ["fast", "slow", "fast", "slow"]

        smoothed = smooth([0, 0, 1, 1], keys, times, half_life="2s", rules=rules)["ewma"]

        same(smoothed, [0, 0, 1 / 1.25, 1 / 1.5])


class TestOutputs:
    def test_one_factor_gives_the_names_of_the_quantities(self):
        outputs = ["ewma", "count", "variance", "std", "n_eff", "weight_sum", "zscore"]
        outputs += ["slope", "level", "forecast", "lag", "ready", "late"]

        columns = smooth(READINGS, alpha=0.2, outputs=outputs, adjust=True, horizon=2)

        assert list(columns) == outputs
        assert columns["count"].tolist() == [1, 2, 3, 4, 5]
        assert columns["ready"].dtype == np.bool_
        same(columns["variance"], pd.Series(READINGS).ewm(alpha=0.2).var(), rel=1e-12)
        same(columns["forecast"] - columns["level"], 2 * columns["slope"], rel=1e-12)
        weights = [0.8**age for age in range(5)]
        assert columns["weight_sum"][-1] == pytest.approx(sum(weights))
        assert columns["n_eff"][-1] == pytest.approx(
            sum(weights) ** 2 / sum(w * w for w in weights)
        )

    def test_several_factors_give_a_column_each_and_differences(self):
        factors = {"fast": {"span": 2}, "slow": {"span": 5}}
        outputs = ["ewma", "count", "fast-slow", "std_slow"]

        columns = smooth(READINGS, factors=factors, outputs=outputs)

        assert list(columns) == ["ewma_fast", "ewma_slow", "count", "fast-slow", "std_slow"]
        same(columns["ewma_fast"], ewma(READINGS, span=2))
        same(columns["fast-slow"], ewma(READINGS, span=2) - ewma(READINGS, span=5), rel=1e-12)
        assert list(smooth(READINGS, factors={"only": {"span": 2}})) == ["ewma"]
        (name,) = smooth(READINGS, factors=factors, outputs="ewma_slow")
        assert name == "ewma_slow"

    def test_count_alone_or_last_is_as_good(self):
        assert list(smooth([5, 6], alpha=1, outputs="count")["count"]) == [1, 2]
        assert list(smooth([5, 6], alpha=1, outputs=["count", "ewma"])) == ["count", "ewma"]

    def test_slopes_are_per_second_for_dates_and_per_unit_for_numbers(self):
        seconds = np.arange(8) * 30
        x = 5.0 + seconds * 0.25
        options = {"outputs": ["slope", "lag", "forecast"]}

        dates = smooth(x, None, seconds.astype("M8[s]"), half_life="1m", horizon="10s", **options)
        numbers = smooth(x, None, seconds, half_life=60, horizon=10, **options)

        assert dates["slope"][-1] == pytest.approx(0.25)
        assert dates["forecast"][-1] == pytest.approx(5 + (210 + 10) * 0.25)
        for name in options["outputs"]:
            same(dates[name], numbers[name], rel=1e-12)

    def test_readings_too_large_to_be_squared_are_missing_where_squares_are_needed(self):
        columns = smooth([1.0, 1e200, 3.0], alpha=0.5, outputs=["ewma", "std"], ignore_na=True)

        same(columns["ewma"], [1, 1, 2])
        same(smooth([1.0, 1e200], alpha=0.5)["ewma"], [1.0, 5e199])

    def test_a_mean_that_would_overflow_is_not_given(self):
        same(ewma([-1.7e308, 1.7e308, -1.7e308], alpha=0.5), [-1.7e308, np.nan, -1.7e308])


class TestOptions:
    def test_weights_of_the_readings(self):
        smoothed = smooth([10, 20], None, [0, 0], half_life=1, weights=[1, 3])

        same(smoothed["ewma"], [10, 17.5])

    def test_a_target_as_seed_and_the_control_chart_of_nist(self):
        x = [52.0, 47.0, 53.0, 49.3]
        limits = {"centre": 50.0, "sigma": 2.0539, "width": 3}

        columns = smooth(
            *(x, None), alpha=0.3, seed={"value": 50.0}, limits=limits, outputs=["ewma", "ucl"]
        )

        same(columns["ewma"], [50.6, 49.52, 50.564, 50.1848])
        assert columns["ucl"][0] == pytest.approx(50 + 3 * 2.0539 * 0.3)

    def test_the_mean_of_the_first_readings_as_seed(self):
        same(smooth([1, 3, 8], alpha=0.5, seed={"readings": 2})["ewma"], [1, 2, 5])

    def test_a_long_silence_forgets(self):
        columns = smooth([1, 2, 3], None, [0, 1, 9], half_life=5.0, reset_after=4)
        assert columns["ewma"][2] == 3
        counted = smooth([1, 2, 3], None, [0, 1, 9], alpha=0.5, reset_after=4.5)
        same(counted["ewma"], [1, 1.5, 3])

    def test_spans_of_every_size_do(self):
        times = [0.0, 1.0]
        same(smooth([1, 2], None, times, half_life=1, reset_after=1e308)["ewma"], [1, 2.5 / 1.5])
        same(ewma([1, 2], half_life=1e308, times=times), [1, 1.5])
        same(ewma([1, 2], half_life=1e-308, times=times), [1, 2])
        with pytest.raises(ValueError, match=r"half_life: write a number .* not inf"):
            smooth([1], None, [0], factors={"a": {"half_life": 1}, "b": {"half_life": 1e308}})

    def test_late_readings_may_be_left_out(self):
        times = np.array([10, 60, 20, 50], "M8[s]")

        cut = smooth([1, 2, 3, 4], None, times, half_life="1h", late_cutoff="30s")
        dropped = smooth([1, 2, 3, 4], None, times, half_life="1h", late="drop")

        assert np.isnan(cut["ewma"]).tolist() == [False, False, True, False]
        assert np.isnan(dropped["ewma"]).tolist() == [False, False, True, True]

    def test_outliers_are_moved_closer(self):
        assert smooth([1, 100], alpha=1, outliers={"highest": 5})["ewma"].tolist() == [1, 5]

    def test_holt_in_time_has_its_own_half_life(self):
        trend = {"method": "holt", "beta_half_life": "30s"}
        times = (np.arange(50) * 10).astype("M8[s]")

        columns = smooth(
            np.arange(50.0), None, times, half_life="20s", trend=trend, late="drop", outputs="slope"
        )

        assert columns["slope"][-1] == pytest.approx(0.1)
        counted = {"method": "holt", "beta": 0.5}
        assert smooth([1, 2, 3], alpha=0.5, trend=counted, outputs="slope")["slope"][-1] == 1

    def test_warm_up_by_effective_readings(self):
        columns = smooth([1, 1, 1], alpha=0.5, adjust=True, min_n_eff=1.5, warm_up="emit")
        assert np.isnan(columns["ewma"]).tolist() == [True, False, False]

    def test_options_that_are_none_are_not_given(self):
        options = dict.fromkeys(("seed", "trend", "limits", "outliers", "reset_after", "weighting"))
        same(smooth(READINGS, alpha=0.2, **options)["ewma"], SMOOTHED)

    def test_ignoring_missing_readings_makes_no_difference_with_times(self):
        given = {"half_life": 2, "times": [0, 1, 2]}
        ignored, aged = (ewma([1, None, 3], ignore_na=each, **given) for each in (True, False))
        np.testing.assert_array_equal(ignored, aged)


PAIRS = [
    ({}, "write exactly one of alpha, span, com, half_life; given: none"),
    ({"alpha": 0.1, "span": 3}, "write exactly one .* given: alpha, span"),
    ({"alpha": 0}, "alpha: write a number greater than 0 and at most 1, not 0"),
    ({"alpha": 1.5}, "alpha: write a number greater than 0 and at most 1"),
    ({"alpha": "x"}, "could not convert"),
    ({"alpha": [1]}, r"alpha: write a number, not \[1\]"),
    ({"span": 0.5}, "span: write a number at least 1"),
    ({"com": -1}, "com: write a number at least 0"),
    ({"half_life": 0}, "half_life: write a number greater than 0"),
    ({"half_life": np.nan}, "half_life: write a number greater than 0"),
    ({"half_life": "soon"}, "half_life: 'soon' is not a duration; write 30s"),
    ({"half_life": object()}, "half_life: write a number, a duration or text"),
    ({"half_life": "30s"}, "half_life: '30s' needs times"),
    ({"half_life": "30s", "times": [0, 1]}, "half_life: times are numbers; write a number"),
    ({"half_life": 3, "times": np.array([0, 1], "M8[s]")}, "times are dates; write a duration"),
    ({"alpha": 0.1, "times": [0, 1]}, "times: only a half_life"),
    ({"half_life": 1, "times": [0]}, "times: write one for each of the 2 readings"),
    ({"half_life": 1, "times": [0, np.nan]}, "times: row 1 has none"),
    ({"half_life": 1, "times": [0, 1e300]}, "times: write numbers below"),
    ({"half_life": 1, "times": np.array([0, 2**63], np.uint64)}, "times: write numbers below"),
    ({"half_life": "1s", "times": np.array([0, "NaT"], "M8[s]")}, "times: row 1 has none"),
    ({"half_life": "1s", "times": np.array(["1000", "2000"], "M8[D]")}, "times: write dates from"),
    ({"half_life": 1, "times": [0, dt.date(2020, 1, 1)]}, "times: write either numbers or dates"),
    ({"alpha": 0.1, "min_periods": -1}, "min_periods: write a number at least 0"),
]


@pytest.mark.parametrize(("given", "message"), PAIRS)
def test_what_is_wrong_with_a_parameter_is_said(given, message):
    with pytest.raises(ValueError, match=message):
        ewma([1, 2], **given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"factors": {}}, "factors: write names"),
        ({"factors": {"a": {"alpha": 1}}, "alpha": 1}, "factors: remove it, or alpha"),
        ({"factors": {"a": {"beta": 1}}}, "write exactly one .* given: beta"),
        ({"alpha": 1, "outputs": "emwa"}, "outputs: there is no 'emwa'; did you mean ewma?"),
        ({"alpha": 1, "outputs": "x"}, "outputs: there is no 'x'; there are ewma, count"),
        ({"alpha": 1, "outputs": ["ewma", "ewma"]}, "outputs: ewma is there twice"),
        ({"alpha": 1, "outputs": "ucl"}, "limits: write centre and sigma"),
        ({"alpha": 1, "keys": [1]}, "keys: write one for each of the 2 readings, not 1"),
        ({"alpha": 1, "weights": [1]}, "weights: write one for each of the 2 readings"),
        ({"alpha": 1, "weights": [1, 0]}, "weights: write finite numbers greater than 0"),
        ({"alpha": 1, "rules": [{"alpha": 1}]}, "rules: each needs keys"),
        ({"alpha": 1, "rules": [{"keys": "a", "beta": 1}]}, "rules: besides keys, write factors"),
        ({"alpha": 1, "rules": [{"keys": "a", "factors": {"b": {"alpha": 1}}}]}, "one factor"),
        ({"alpha": 1, "late": "refuse"}, "late: write one of merge, drop, not 'refuse'"),
        ({"alpha": 1, "weighting": "next"}, "weighting: write one of event, interval_next"),
        ({"alpha": 1, "warm_up": "no"}, "warm_up: write one of emit, hold, flag"),
        ({"alpha": 1, "seed": 5.0}, "seed: write a mapping"),
        ({"alpha": 1, "seed": {"valeu": 5.0}}, "seed: there is no valeu; did you mean value?"),
        ({"alpha": 1, "reset_after": 5}, "reset_after: needs times"),
        ({"alpha": 1, "horizon": -1}, "horizon: write a number greater than 0"),
    ],
)
def test_what_is_wrong_with_an_argument_is_said(given, message):
    with pytest.raises(ValueError, match=message):
        smooth([1, 2], **given)


def test_what_is_no_number_no_time_and_no_option_is_said():
    with pytest.raises(TypeError, match="values: write real numbers, not complex128"):
        ewma([1j], alpha=1)
    with pytest.raises(TypeError, match="values: write a sequence of numbers"):
        ewma(5.0, alpha=1)
    with pytest.raises(TypeError, match="values: write one column, not 2 dimensions"):
        smooth([[1.0]], alpha=1)
    with pytest.raises(TypeError, match="times: write numbers or dates, not <U1"):
        ewma([1.0], half_life=1, times=["a"])
    with pytest.raises(TypeError, match="t: write a number or a date, not 'a'"):
        ewma([1.0], half_life=1, times=np.array(["a"], object))
    with pytest.raises(TypeError, match="min_period: there is no such option; did you mean min_pe"):
        smooth([1.0], alpha=1, min_period=3)
    with pytest.raises(TypeError, match="unhashable"):
        smooth([1.0], [[1]], alpha=1)


def test_importing_the_library_brings_neither_the_service_nor_kafka_nor_pandas():
    foreign = ("aiokafka", "pydantic", "pandas", "polars", "asyncio", "stream_ewma.service")
    code = (
        "import sys; from stream_ewma import Ewma, ewma, smooth;"
        f"print([m for m in {foreign} if m in sys.modules])"
    )

    found = subprocess.check_output([sys.executable, "-c", code], text=True, cwd=ROOT)

    assert found.strip() == "[]"


def test_a_flag_of_numpys_is_one_and_what_is_none_is_refused():
    times, x = [0, 0, 3, 3, 10], [1.0, 9, 5, 7, 2]
    plain = ewma(x, half_life=2, times=times, adjust=False)

    assert ewma(x, half_life=2, times=times, adjust=np.False_).tolist() == plain.tolist()
    for wrong in (0, "no", 1.0):
        with pytest.raises(ValueError, match=r"adjust: write True or False, not "):
            ewma(x, half_life=2, times=times, adjust=wrong)
    with pytest.raises(ValueError, match="biased: write True or False, not 'yes'"):
        smooth(x, alpha=0.5, outputs=["variance"], biased="yes")


def test_pandas_columns_that_are_no_numbers_are_refused():
    dates = pd.Series(pd.date_range("2026", periods=3))
    for column in (dates, dates.dt.tz_localize("UTC"), dates - dates[0], pd.Series([1j])):
        with pytest.raises(TypeError, match="values: write real numbers, not "):
            ewma(column, alpha=0.5)
    for column in (
        pd.Series(["1", "2"], dtype=object),
        np.array([1, "2"], object),
        pl.Series(["1"]),
    ):
        with pytest.raises(TypeError, match="values: write real numbers, not "):
            ewma(column, alpha=0.5)
    for column in (pd.Series([1, None], dtype="Int64"), pd.Series([1, None], dtype=object)):
        assert ewma(column, alpha=0.5).tolist() == [1, 1]
    assert ewma(pd.Series([True, False]), alpha=0.5).tolist() == [1, 0.5]


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"halflife": 3}, TypeError, "halflife: there is no such option; did you mean half_life?"),
        ({"alfa": 0.3}, TypeError, "alfa: there is no such option; did you mean alpha?"),
        ({"factors": {"a": 0.3}}, ValueError, "a factor is a mapping, as {'alpha': 0.3}, not 0.3"),
        (
            {"alpha": 0.5, "outputs": ["slope"], "trend": {"method": "hot"}},
            ValueError,
            "trend.method: write fit or holt, not 'hot'",
        ),
        (
            {"alpha": 0.2, "outputs": ["forecast"], "horizon": "2s"},
            ValueError,
            "horizon: '2s' needs a half life and times; else write readings",
        ),
    ],
)
def test_what_is_written_otherwise_elsewhere_is_not_guessed(given, error, message):
    with pytest.raises(error) as caught:
        smooth([1.0, 2.0], **given)
    assert str(caught.value) == message
