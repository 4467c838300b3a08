"""`Ewma`: one reading at a time, readout, times, merging, changing, bytes."""

import copy
import datetime as dt
import itertools
import math
import pickle

import numpy as np
import pandas as pd
import pytest

from stream_ewma import Ewma, ewma, smooth
from stream_ewma.smoothing import single
from stream_ewma.smoothing.layout import Places
from stream_ewma.smoothing.mode import Mode, Outliers
from stream_ewma.smoothing.parameters import Factor
from stream_ewma.smoothing.plan import Plan, Terms

READINGS = [10, 12, 15, 18, 22]
AGED = pytest.approx((10 / 2 + 20) / 1.5, rel=1e-15)  # of 10 and, a half life later, 20


def fed(series: Ewma, x, times=None) -> Ewma:
    for i, each in enumerate(x):
        series.update(each, None if times is None else times[i])
    return series


def test_an_update_answers_the_mean_and_get_gives_it_again():
    series = Ewma(alpha=0.2)

    means = [series.update(x) for x in READINGS]

    assert means == [10, 10.4, 11.32, 12.656, 14.5248]
    assert series.get() == series.mean == 14.5248
    assert type(series.update(3)) is float


def test_nothing_is_known_before_the_first_reading():
    series = Ewma(half_life=3)

    assert series.count == 0
    for value in (series.get(), series.mean, series.at(5), series.std, series.n_eff, series.slope):
        assert math.isnan(value)
    assert math.isnan(series.zscore(1.0))
    assert math.isnan(series.forecast(1))
    assert math.isnan(Ewma(alpha=1).mean)


def test_the_moments_are_those_of_pandas():
    series = fed(Ewma(alpha=0.2, adjust=True), READINGS)
    expected = pd.Series(READINGS).ewm(alpha=0.2)

    assert series.variance == pytest.approx(expected.var().iloc[-1])
    assert series.std == pytest.approx(expected.std().iloc[-1])
    assert series.count == 5
    biased = fed(Ewma(alpha=0.2, adjust=True, biased=True), READINGS)
    assert biased.variance == pytest.approx(expected.var(bias=True).iloc[-1])


def test_a_straight_line_is_found_and_followed():
    series = fed(Ewma(half_life=3.0), np.arange(10) * 2.0 + 1, np.arange(10) * 0.5)

    assert series.slope == pytest.approx(4)
    assert series.level == pytest.approx(19)
    assert series.forecast() == series.level
    assert series.forecast(2.5) == pytest.approx(29)
    assert series.forecast(0) == series.level
    counted = fed(Ewma(alpha=0.3), range(10))
    assert counted.forecast(3) == pytest.approx(12)


def test_a_zscore_compares_with_what_was_known_and_absorbs_nothing():
    series = fed(Ewma(alpha=0.2, adjust=True), READINGS)
    before = series.to_bytes()

    columns = smooth([*READINGS, 30], alpha=0.2, adjust=True, outputs="zscore")

    assert series.zscore(30) == columns["zscore"][-1]
    assert series.to_bytes() == before


@pytest.mark.parametrize("missing", [None, math.nan, math.inf, 1e200])
def test_the_mean_stands_where_a_reading_is_missing(missing):
    series = fed(Ewma(alpha=0.25), [4.0, missing])

    assert (series.mean, series.count) == (4.0, 1)
    assert series.update(8.0) == ewma([4.0, None, 8.0], alpha=0.25)[-1]


def test_readings_may_have_weights():
    series = Ewma(half_life=1)
    series.update(10, 0)

    assert series.update(20, 0, weight=3) == 17.5
    for weight in (0, -1, math.nan, math.inf):
        with pytest.raises(ValueError, match="weight: write a number greater than 0"):
            series.update(1, 0, weight)
    assert fed(Ewma(alpha=0.5, seed={"readings": 2}), [1, 3, 8]).mean == 5
    with pytest.raises(ValueError, match=r"weight: .* with event weights"):
        Ewma(half_life=1, weighting="interval_prev").update(1, 0, 2.0)


def test_a_silent_sensor_moves_to_its_last_reading_where_that_stands():
    series = fed(Ewma(half_life=10.0, weighting="interval_prev"), [0.0, 100.0], [0, 10])

    assert series.at(10) == series.mean == 0.0
    assert series.at(20) == pytest.approx(200 / 3)
    assert series.at(1000) == pytest.approx(100)
    assert series.mean == 0.0
    steady = fed(Ewma(half_life=10.0), [0.0, 100.0], [0, 10])
    assert steady.at(1000) == steady.mean == steady.at(5)


def test_the_control_chart_is_read_off_by_name():
    series = Ewma(alpha=0.3, seed={"value": 50.0}, limits={"centre": 50.0, "sigma": 2.0})
    series.update(60.0)

    assert series.get("centre") == 50
    assert series.get("ucl") == pytest.approx(50 + 3 * 2 * 0.3)
    assert series.get("out_of_control") == 1.0
    with pytest.raises(ValueError, match=r"output: write one of ewma, count, .* not 'ucl'"):
        Ewma(alpha=0.3).get("ucl")


class TestTimes:
    def test_a_number_counts_readings_or_time_as_the_first_reading_shows(self):
        assert fed(Ewma(half_life=1), [10, 20]).mean == 15
        assert fed(Ewma(half_life=1), [10, 20], [0, 1]).mean == AGED

    @pytest.mark.parametrize(
        "times",
        [
            [dt.datetime(2026, 1, 1, tzinfo=dt.UTC), dt.datetime(2026, 1, 1, 0, 1, tzinfo=dt.UTC)],
            [dt.datetime(2026, 1, 1), dt.datetime(2026, 1, 1, 0, 1)],  # noqa: DTZ001
            [pd.Timestamp("2026-01-01"), pd.Timestamp("2026-01-01 00:01")],
            [np.datetime64("2026-01-01"), np.datetime64("2026-01-01T00:01")],
            [dt.timedelta(0), dt.timedelta(minutes=1)],
            [pd.Timedelta(0), np.timedelta64(1, "m")],
        ],
    )
    @pytest.mark.parametrize(
        "half_life",
        ["60s", "1m", "0.5 min 30s", dt.timedelta(minutes=1), pd.Timedelta("1min"),
         np.timedelta64(60, "s")],
    )  # fmt: skip
    def test_dates_of_every_kind_go_with_durations(self, times, half_life):
        assert fed(Ewma(half_life=half_life), [10, 20], times).mean == AGED
        assert ewma([10, 20], half_life=half_life, times=times)[-1] == AGED

    def test_days_are_dates(self):
        days = [dt.date(1960, 2, 28), dt.date(1960, 2, 29)]
        assert fed(Ewma(half_life="1d"), [10, 20], days).mean == AGED

    @pytest.mark.parametrize("unit", [1, 1000, 10**6, 10**9])
    def test_the_unit_of_whole_times_changes_no_bit(self, unit):
        generator = np.random.default_rng(unit)
        seconds = 1_767_225_600 + np.cumsum(generator.integers(0, 50, 100))
        x = generator.normal(size=100)

        plain = ewma(x, half_life=30, times=seconds)
        floats = ewma(x, half_life=30.0, times=seconds.astype(float))
        one_by_one = Ewma(half_life=30 * unit)

        np.testing.assert_array_equal(ewma(x, half_life=30 * unit, times=seconds * unit), plain)
        np.testing.assert_array_equal(floats, plain)
        for each, second, mean in zip(x, seconds.tolist(), plain, strict=True):
            assert one_by_one.update(each, second * unit) == mean

    def test_fractions_of_a_unit_are_kept(self):
        series = fed(Ewma(half_life=1.0), [10.0, 20.0], [0, 0.25])
        assert series.mean == ewma([10.0, 20.0], half_life=1000, times=[0, 250])[-1]

    @pytest.mark.parametrize(
        "options",
        [
            {},
            {"trend": {"method": "holt", "beta_half_life": 2.0}, "late": "drop"},
            {"weighting": "interval_prev", "reorder": 3},
            {"reset_after": 2.0**54},
        ],
    )
    def test_a_time_far_from_the_first_is_reached_with_longer_ticks(self, options):
        x = [1.0, 4.0, 2.0, 8.0, 3.0]
        given = {"half_life": 2.0**20, **options}
        for far in (2**52, 2.0**55, 2**62 + 2**61):
            times = [0, 2**18, 2**19, far, far + 2**19]
            outputs = ["ewma", "slope"]

            series = fed(Ewma(**given), x, times)
            columns = smooth(x, None, times, outputs=outputs, **given)

            assert [series.mean, series.slope] == pytest.approx(
                [columns[name][-1] for name in outputs], rel=1e-9
            )
            assert math.isfinite(series.at(2**62))

    def test_nanoseconds_since_1970_are_exact(self):
        start = 1_767_225_600_000_000_001
        series = fed(Ewma(half_life=2), [10, 20], [start, start + 2])
        assert series.mean == AGED

    @pytest.mark.parametrize(
        ("series", "t", "message"),
        [
            (Ewma(alpha=0.5), 1, "t: a time comes with every reading or with none"),
            (Ewma(half_life="1s"), None, "half_life: '1s' needs times"),
            (Ewma(half_life="1s"), 5, "half_life: times are numbers; write a number"),
            (Ewma(half_life=1), dt.date(2020, 1, 1), "half_life: times are dates; write a dura"),
            (Ewma(half_life=1), math.nan, "t: write a finite time, not nan"),
            (Ewma(half_life="1s"), pd.NaT, "t: write a time, not a missing one"),
            (Ewma(half_life="1s"), np.datetime64("NaT"), "times: row 0 has none"),
            (Ewma(alpha=1, reset_after=5), None, "reset_after: needs times"),
        ],
    )
    def test_what_is_wrong_with_a_first_time_is_said(self, series, t, message):
        with pytest.raises(ValueError, match=message):
            series.update(1.0, t)

    @pytest.mark.parametrize(
        ("t", "message"),
        [
            (None, "t: a time comes with every reading or with none"),
            (dt.date(2020, 1, 1), "t: write a number, not"),
            (2**63, r"t: write a time below 2\^63 in size, not 9223372036854775808"),
            (-1e300, r"t: write a time below 2\^63 in size, not -1e\+300"),
        ],
    )
    def test_what_is_wrong_with_a_later_time_is_said(self, t, message):
        series = fed(Ewma(half_life=1.0), [1.0], [0])

        with pytest.raises(ValueError, match=message):
            series.update(1.0, t)
        assert series.count == 1

    def test_a_date_stays_a_date(self):
        series = fed(Ewma(half_life="1s"), [1.0], [dt.date(2020, 1, 1)])
        with pytest.raises(ValueError, match="t: write a date, not 5"):
            series.update(1.0, 5)
        with pytest.raises(ValueError, match="horizon: times are dates"):
            series.forecast(5)
        with pytest.raises(TypeError, match="t: write a number or a date, not 'now'"):
            series.at("now")

    def test_intervals_ask_for_order(self):
        for options in ({"adjust": False}, {"weighting": "interval_linear"}):
            series = fed(Ewma(half_life=1.0, **options), [1.0], [5])
            with pytest.raises(ValueError, match="t: 4 is earlier than the last one; sort"):
                series.update(1.0, 4)
        dropping = fed(Ewma(half_life=1.0, adjust=False, late="drop"), [1.0], [5])
        assert math.isnan(dropping.update(1.0, 4))
        assert (dropping.mean, dropping.count) == (1.0, 1)

    def test_a_silence_may_forget_whatever_the_clock_is(self):
        assert fed(Ewma(alpha=0.5, reset_after=4), [1, 2, 9], [0, 1, 9]).count == 1
        assert fed(Ewma(half_life=9, reset_after=4), [1, 2, 9], [0, 1, 9]).mean == 9
        days = [dt.date(2020, 1, 1), dt.date(2020, 1, 5)]
        assert fed(Ewma(alpha=0.5, reset_after="3d"), [1, 2], days).mean == 2


class TestMerge:
    @pytest.mark.parametrize("scale", [1, 1000.5])
    def test_shards_become_one(self, scale):
        generator = np.random.default_rng(4)
        x, times = generator.normal(size=60), np.sort(generator.uniform(0, 50, 60)) * scale
        whole = fed(Ewma(half_life=7 * scale), x, times)
        shard = generator.integers(0, 3, 60)

        parts = [fed(Ewma(half_life=7 * scale), x[shard == k], times[shard == k]) for k in range(3)]
        merged = Ewma(half_life=7 * scale)
        for part in parts:
            assert merged.merge(part) is merged

        assert merged.count == 60
        for name in ("mean", "variance", "n_eff", "slope", "level"):
            assert getattr(merged, name) == pytest.approx(getattr(whole, name), rel=1e-9)
        assert parts[0].count == np.sum(shard == 0)

    def test_ticks_of_different_length_meet(self):
        for order, start in itertools.product((1, -1), (1e9, 2.8e8)):
            first, later = [0.0, 3.0], [start, start + 4]
            a, b = [fed(Ewma(half_life=2.0), [1.0, 5.0], times) for times in (first, later)][
                ::order
            ]
            merged = a.merge(b)
            assert merged.count == 4
            assert merged.mean == pytest.approx(fed(Ewma(half_life=2.0), [1.0, 5], later).mean)
            merged.update(9.0, start + 8)
            assert merged.count == 5
        near, far = ([1.0, 5.0], [2.0, 6.5]), ([3.0], [1e7])
        merged = fed(Ewma(half_life=1e5), *near).merge(fed(Ewma(half_life=1e5), *far))
        whole = fed(Ewma(half_life=1e5), [1.0, 5.0, 3.0], [2.0, 6.5, 1e7])
        assert merged.slope == pytest.approx(whole.slope, rel=1e-9)

    def test_readings_and_time_do_not_mix(self):
        counted, timed = fed(Ewma(half_life=7), [1, 2]), fed(Ewma(half_life=7), [1, 2], [0, 1])
        for one, other in ((counted, timed), (timed, counted)):
            before = one.to_bytes()
            with pytest.raises(ValueError, match=r"merge: only one of .* measures time"):
                one.merge(other)
            assert one.to_bytes() == before

    def test_an_object_without_readings_adds_nothing(self):
        series = fed(Ewma(half_life=7.0), [1, 2], [0, 1])
        before = series.to_bytes()
        assert series.merge(Ewma(half_life=7.0)).to_bytes() == before
        assert Ewma(half_life=7.0).merge(series).to_bytes() == before

    @pytest.mark.parametrize(
        ("one", "other", "message"),
        [
            ({"half_life": 7.0}, {"half_life": 8.0}, "merge: .*8.0.* has other parameters than"),
            ({"half_life": 7.0}, {"half_life": 7.0, "min_periods": 3}, "has other parameters"),
            ({"alpha": 0.5}, {"alpha": 0.5}, "merge: on the count clock"),
            ({"half_life": 7}, {"alpha": 0.5}, "other parameters"),
        ],
    )
    def test_what_cannot_be_merged_is_said(self, one, other, message):
        a, b = (
            fed(Ewma(**given), [1, 2], [0, 1] if "half_life" in given else None)
            for given in (one, other)
        )
        with pytest.raises(ValueError, match=message):
            a.merge(b)


class TestChange:
    def test_mean_and_spread_are_kept_and_the_next_reading_weighs_anew(self):
        series = fed(Ewma(alpha=0.2), READINGS)
        mean, std = series.mean, series.std

        assert series.change(alpha=0.5)

        assert (series.mean, series.std, series.count) == (mean, std, 5)
        assert series.update(20) == mean + 0.5 * (20 - mean)
        assert repr(series) == "Ewma(alpha=0.5)"

    def test_time_goes_on_with_the_new_half_life(self):
        series = fed(Ewma(half_life=1.0), [10.0], [0])
        assert series.change(half_life=2.0)
        assert series.update(20.0, 2) == AGED

    def test_another_clock_begins_anew(self):
        series = fed(Ewma(half_life=1.0), [10.0], [0])
        assert not series.change(alpha=0.5)
        assert series.count == 0
        assert series.update(3.0) == 3
        assert not series.change(half_life="30s")
        assert series.update(4.0, dt.date(2020, 1, 1)) == 4

    def test_before_the_first_reading_anything_may_change(self):
        series = Ewma(half_life=1.0)
        assert series.change(alpha=0.5)
        assert fed(series, [1, 2]).mean == 1.5

    def test_a_wrong_change_changes_nothing(self):
        series = fed(Ewma(half_life=1.0), [10.0], [0])
        before = series.to_bytes()
        for factor, message in (
            ({"alpha": 2}, "alpha"),
            ({"half_life": "1s"}, "times are numbers"),
        ):
            with pytest.raises(ValueError, match=message):
                series.change(**factor)
        assert series.to_bytes() == before


class TestBytes:
    @pytest.mark.parametrize(
        ("given", "times"),
        [
            ({"alpha": 0.2}, None),
            ({"half_life": 2}, None),
            ({"half_life": 2}, [0, 0.5, 3, 9, 9]),
            ({"half_life": "2s"}, [np.datetime64(i, "s") for i in range(5)]),
            ({"half_life": 2, "weighting": "interval_prev", "reorder": 2}, [0, 3, 2, 4, 5]),
        ],
    )
    def test_copies_of_every_kind_go_on_with_the_same_bits(self, given, times):
        series = fed(Ewma(**given), READINGS, times)

        copies = [
            pickle.loads(pickle.dumps(series)),  # noqa: S301
            copy.copy(series),
            copy.deepcopy(series),
            Ewma(**given).from_bytes(series.to_bytes()),
        ]

        t = None if times is None else times[-1]
        for other in copies:
            assert (other.mean, other.std, other.count) == (series.mean, series.std, series.count)
            other.update(1.0, t)
            assert other.count == series.count + 1
        assert series.count == 5

    def test_what_has_no_readings_has_no_bytes(self):
        assert Ewma(half_life=3).to_bytes() == b""
        assert fed(Ewma(half_life=3), [1]).from_bytes(b"").count == 0
        assert pickle.loads(pickle.dumps(Ewma(half_life=3))).count == 0  # noqa: S301

    @pytest.mark.parametrize(
        ("damage", "message"),
        [
            (lambda data: b"x" + data[1:], "from_bytes: these are not the bytes of an Ewma"),
            (lambda data: data[:10], "from_bytes: these are not the bytes of an Ewma"),
            (lambda data: data[:4] + b"\x09" + data[5:], "from_bytes: version 9 is not known"),
            (lambda data: data[:-1], "the state has .* bytes where the settings need"),
        ],
    )
    def test_damaged_bytes_are_refused(self, damage, message):
        series = fed(Ewma(alpha=0.2), READINGS)
        with pytest.raises(ValueError, match=message):
            series.from_bytes(damage(series.to_bytes()))
        assert series.mean == 14.5248

    def test_more_readings_held_back_than_there_is_room_for_are_refused(self):
        series = fed(Ewma(half_life=2, weighting="interval_prev", reorder=2), [5, 6], [0, 1])
        data = series.to_bytes()
        at = len(data) - 8 * (len(series._block.row) - series._block.plan.places.held)
        assert data[at] == 2

        for held in (3, -1):
            damaged = data[:at] + held.to_bytes(8, "little", signed=True) + data[at + 8 :]
            with pytest.raises(ValueError, match=f"it holds {held} readings back"):
                series.from_bytes(damaged)

    @pytest.mark.parametrize("given", [{"alpha": 0.3}, {"alpha": 0.2, "adjust": True}])
    def test_other_parameters_are_refused(self, given):
        data = fed(Ewma(alpha=0.2), READINGS).to_bytes()
        with pytest.raises(ValueError, match="from_bytes: the state is one of other parameters"):
            Ewma(**given).from_bytes(data)

    def test_the_bytes_are_the_same_on_every_machine(self):
        data = fed(Ewma(alpha=0.5), [1.0, 3.0]).to_bytes()
        assert data[:8] == b"EWMA\x01\x00\x00\x00"
        assert data[24:].hex().startswith("010200000000000000" + "0000000000000040")


@pytest.mark.parametrize("factor", [Factor(alpha=0.3), Factor(half_life=5.0)])
def test_a_kernel_finds_the_plan_in_the_block(factor):
    mode = Mode(min_periods=3, outliers=Outliers(lowest=-4, deviations=2.5), weighted=True)
    plan = Plan.of(factor, mode)
    block = single.Block(plan)

    places = single._places(block.words, single._PLACES)
    terms = single._terms(block.words, block.numbers, single._TERMS)

    assert (type(places), type(terms)) == (Places, Terms)
    assert places == plan.places
    np.testing.assert_array_equal(np.array(terms, float), np.array(plan.program.terms, float))


def test_the_parameters_are_shown():
    assert repr(Ewma(half_life="30s", min_periods=3)) == "Ewma(half_life='30s', min_periods=3)"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "write exactly one of alpha, span, com, half_life"),
        ({"alpha": 2}, "alpha: write a number greater than 0"),
        ({"half_life": -1}, "half_life: write a number greater than 0"),
        ({"half_life": "1s", "seed": {"readings": 3}}, "seed.readings: only on"),
        ({"alpha": 0.5, "weighting": "interval_prev"}, "weighting: interval_prev needs half_life"),
        ({"half_life": 5, "weighting": "interval_prev", "min_n_eff": -1}, "min_n_eff"),
    ],
)
def test_a_wrong_parameter_is_refused_at_once(given, message):
    with pytest.raises(ValueError, match=message):
        Ewma(**given)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ({"span": 9}, {"span": 9.0}),
        ({"alpha": np.float64(0.5)}, {"alpha": 0.5}),
        ({"alpha": 0.5, "seed": {"value": 50}}, {"alpha": 0.5, "seed": {"value": 50.0}}),
        ({"alpha": 0.5, "min_periods": 3}, {"alpha": 0.5, "min_periods": np.int64(3)}),
    ],
)
def test_a_parameter_is_the_same_whatever_kind_of_number_it_is(written, read):
    series = fed(Ewma(**written), READINGS)

    assert Ewma(**read).from_bytes(series.to_bytes()).to_bytes() == series.to_bytes()


def test_what_a_clip_made_of_readings_depends_on_their_order_and_is_not_merged():
    clipped = {"half_life": 10.0, "outliers": {"deviations": 2.5}}
    one, other = (fed(Ewma(**clipped), [1.0, 2.0], [at, at + 1]) for at in (0, 5))
    with pytest.raises(ValueError, match=r"merge: what outliers\.deviations clips depends on"):
        one.merge(other)

    bounded = {"half_life": 10.0, "outliers": {"lowest": 0, "highest": 9}}
    one, other = (fed(Ewma(**bounded), [1.0, 20.0], [at, at + 1]) for at in (0, 5))
    assert one.merge(other).count == 4
