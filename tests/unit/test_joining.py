"""Late readings, shards that merge, factors that change while a key lives, rows as bytes."""

import math
from typing import Any

import numpy as np
import pytest

from stream_ewma.smoothing.absorbing import NOTE_LATE
from stream_ewma.smoothing.joining import (
    Change,
    change_factors,
    merge,
    row_from_bytes,
    row_to_bytes,
)
from stream_ewma.smoothing.mode import Limits, Mode, Seed, Trend, Weighting
from stream_ewma.smoothing.parameters import Factor
from stream_ewma.smoothing.plan import Plan, Row
from stream_ewma.smoothing.rows import Outcome
from tests.support.smoothing import HOLD, Series, column, last, plan_of, run

HALF = Factor(alpha=0.5)
TEN = Factor(half_life=10)
FIVE = Factor(half_life=5)
EMITTED, NO_STATE, NOT_FINITE, LATE = tuple(Outcome)[:4]
NAMES = ("ewma", "count", "variance", "n_eff", "weight_sum", "slope", "level", "lag")


def test_a_late_reading_is_merged_and_noted() -> None:
    result = run(plan_of(TEN), [1.0, 4.0, 2.0], [0, 20, 10])
    assert last(result) == pytest.approx((1 / 4 + 4 + 2 / 2) / 1.75, rel=1e-15)
    assert run(plan_of(TEN, *NAMES), [1.0, 4.0, 2.0], [0, 20, 10]).notes.tolist() == [
        0,
        0,
        NOTE_LATE,
    ]


def test_late_readings_can_be_refused() -> None:
    result = run(plan_of(TEN, late="refuse"), [1.0, 4.0, 2.0, 3.0], [0, 20, 19, 20])
    assert result.outcome.tolist() == [EMITTED, EMITTED, LATE, EMITTED]
    assert np.isnan(result.mean).tolist() == [False, False, True, False]


def test_late_readings_can_be_refused_beyond_a_cut_off() -> None:
    series = Series(plan_of(TEN, late_cutoff=10))
    result = series.feed([1.0, 4.0, 2.0, 3.0], [0, 20, 10, 9])
    assert result.outcome.tolist() == [EMITTED, EMITTED, EMITTED, LATE]


def test_on_the_count_clock_no_reading_is_late() -> None:
    result = run(plan_of(HALF, late="refuse"), [1.0, 4.0], [20, 0])
    assert result.outcome.tolist() == [EMITTED, EMITTED]
    assert result.notes.tolist() == [0, 0]


def test_a_late_reading_in_several_factors() -> None:
    both = Plan.of((TEN, FIVE), None, plan_of(TEN, *NAMES).outputs)
    swapped = Plan.of((FIVE, TEN), None, plan_of(TEN, *NAMES).outputs)
    readings = ([1.0, 4.0, 2.0, 3.0], [0, 20, 10, -4])
    for plan, factor in ((both, TEN), (swapped, FIVE)):
        alone = run(plan_of(factor, *NAMES), *readings)
        together = run(plan, *readings)
        for name in NAMES:
            assert column(together, name) == pytest.approx(column(alone, name), nan_ok=True)


def halves(plan: Plan, x: list[float], times: list[int], first: list[int]) -> tuple[Series, Series]:
    shards = Series(plan), Series(plan)
    for index, (value, time) in enumerate(zip(x, times, strict=True)):
        shards[index not in first].feed([value], [time])
    return shards


X = [3.0, 1.0, 4.0, 1.0, 5.0, 9.0]
TIMES = [0, 4, 5, 11, 12, 20]


@pytest.mark.parametrize("first", [[0, 1, 2], [5], [0, 2, 4], [1, 3, 5], [0, 5]])
def test_two_shards_are_one_stream(first: list[int]) -> None:
    plan = plan_of((TEN, FIVE), *NAMES)
    one, other = halves(plan, X, TIMES, first)
    kept = other.bits()
    merge(plan, one.row(), other.row())
    whole = run(plan, X, TIMES)
    result = one.feed([None], [20])
    for name in NAMES:
        assert last(result, name) == pytest.approx(last(whole, name), rel=1e-13), name
    assert other.bits() == kept


def test_an_empty_shard_adds_nothing_and_takes_all() -> None:
    plan = plan_of(TEN, *NAMES)
    full, empty = Series(plan), Series(plan)
    full.feed(X, TIMES)
    bits = full.bits()
    merge(plan, full.row(), empty.row())
    assert full.bits() == bits
    merge(plan, empty.row(), full.row())
    assert empty.bits() == bits


def test_a_constant_stays_exact() -> None:
    plan = plan_of(TEN, "ewma", "variance")
    one, other = Series(plan), Series(plan)
    one.feed([0.1] * 3, [0, 3, 5])
    other.feed([0.1] * 3, [1, 7, 30])
    merge(plan, one.row(), other.row())
    assert column(one.feed([None], [30]))[0] == 0.1
    assert last(one.feed([None], [30]), "variance") == 0.0


def test_nothing_is_left_of_a_shard_long_gone_by() -> None:
    """Not even its rounding errors: 1e20 + 1 (1 - 1e20) is 0."""
    plan = plan_of(TEN, *NAMES)
    for order in (0, 1):
        shards = Series(plan), Series(plan)
        shards[order].feed([1e20, 3e20], [0, 1])
        shards[1 - order].feed([1.0, 2.0, 3.0], [10**9, 10**9 + 1, 10**9 + 2])
        merge(plan, shards[0].row(), shards[1].row())
        result = shards[0].feed([None], [10**9 + 2])
        alone = run(plan, [1.0, 2.0, 3.0], [10**9, 10**9 + 1, 10**9 + 2])
        for name in NAMES:
            if name != "count":
                assert last(result, name) == last(alone, name), (order, name)


def test_the_mean_of_extremes_stays_finite() -> None:
    plan = plan_of(TEN)
    one, other = Series(plan), Series(plan)
    one.feed([-1.7e308], [0])
    other.feed([1.7e308], [0])
    merge(plan, one.row(), other.row())
    assert one.feed([None], [0]).mean[0] == 0.0


def test_extreme_times_merge() -> None:
    plan = plan_of(Factor(half_life=2.0**64), *NAMES)
    one, other = Series(plan), Series(plan)
    one.feed([1.0], [-(2**63)])
    other.feed([4.0], [2**63 - 1])
    merge(plan, one.row(), other.row())
    assert last(one.feed([None], [2**63 - 1])) == pytest.approx((0.5 + 4) / 1.5, rel=1e-14)


@pytest.mark.parametrize(("one_session", "other_session"), [(1, 2), (2, 1), (2, 2)])
def test_of_two_sessions_only_the_later_one_counts(one_session: int, other_session: int) -> None:
    plan = plan_of(TEN, sessions=True)
    one, other = Series(plan), Series(plan)
    one.feed([1.0, 3.0], [0, 0], sessions=[one_session] * 2)
    other.feed([7.0, 9.0], [0, 0], sessions=[other_session] * 2)
    merge(plan, one.row(), other.row())
    found = one.feed([None], [0], sessions=[2])
    expected = {(1, 2): 8.0, (2, 1): 2.0, (2, 2): 5.0}[one_session, other_session]
    assert last(found) == expected
    assert last(found, "count") == (4 if one_session == other_session else 2)


@pytest.mark.parametrize(
    ("factor", "mode", "names", "words"),
    [
        (HALF, {}, (), "on the count clock"),
        (TEN, {"weighting": Weighting.INTERVAL_NEXT}, (), "interval_next weights"),
        (
            TEN,
            {"trend": Trend(method="holt", beta_half_life=5), "late": "refuse"},
            ("level",),
            "Holt's trend",
        ),
        (TEN, {"seed": Seed(value=1.0)}, (), "both states start"),
        (TEN, {"limits": Limits(baseline=5)}, (), "a baseline of first"),
        (TEN, {"reset_after": 5}, (), "whether reset_after"),
    ],
)
def test_what_depends_on_the_order_does_not_merge(
    factor: Factor, mode: dict[str, Any], names: tuple[str, ...], words: str
) -> None:
    plan = plan_of(factor, *names, **mode)
    with pytest.raises(ValueError, match=f"^merge: {words}"):
        merge(plan, Row.empty(plan.places.width), Row.empty(plan.places.width))


def changed(plan: Plan, new: list[tuple[Factor, ...]], series: Series) -> tuple[Series, list[int]]:
    """Move a series to other factors."""
    used = series.state.factor[: series.keys]
    changes = change_factors(series.state, series.keys, plan.sets, new, used, plan.mode)
    after = Series(Plan(sets=tuple(new), mode=plan.mode, outputs=plan.outputs), keys=series.keys)
    after.state = series.state
    return after, changes.tolist()


def test_a_new_half_life_keeps_what_is_known_and_forgets_at_its_own_pace() -> None:
    plan = plan_of(TEN, *NAMES)
    series = Series(plan)
    series.feed(X, TIMES)
    before = {name: last(series.feed([None], [20]), name) for name in NAMES}
    after, changes = changed(plan, [(FIVE,)], series)
    assert changes == [Change.CONVERTED]
    now, later = (after.feed([None], [time]) for time in (20, 25))
    assert {name: last(now, name) for name in NAMES} == before
    assert last(later, "weight_sum") == before["weight_sum"] / 2


def test_a_new_alpha_keeps_the_mean_and_weighs_new_readings_by_itself() -> None:
    plan = plan_of(HALF, "ewma", "count", "weight_sum", "std")
    series = Series(plan)
    series.feed([1.0, 2.0, 4.0])
    std = last(series.feed([None]), "std")
    after, changes = changed(plan, [(Factor(alpha=0.1),)], series)
    assert changes == [Change.CONVERTED]
    kept = after.feed([None])
    assert (last(kept), last(kept, "count"), last(kept, "std")) == (2.75, 3, std)
    assert last(kept, "weight_sum") == 10.0
    assert last(after.feed([12.75])) == pytest.approx(3.75, rel=1e-15)


@pytest.mark.parametrize(("alpha", "weight"), [(0.1, 1.75), (0.8, 1.25)])
def test_bias_corrected_weights_are_bounded_by_the_new_steady_one(
    alpha: float, weight: float
) -> None:
    plan = plan_of(HALF, "ewma", "weight_sum", adjust=True)
    series = Series(plan)
    series.feed([1.0, 2.0, 4.0])
    after, _ = changed(plan, [(Factor(alpha=alpha),)], series)
    assert last(after.feed([None]), "weight_sum") == weight
    assert last(after.feed([None])) == 3.0


def test_a_new_alpha_where_no_weight_is_kept() -> None:
    series = Series(plan_of(HALF))
    series.feed([1.0, 2.0])
    after, changes = changed(series.plan, [(Factor(alpha=0.1),)], series)
    assert changes == [Change.CONVERTED]
    assert last(after.feed([11.5])) == pytest.approx(2.5, rel=1e-15)


def test_another_clock_restarts_the_key_and_only_those_that_have_it() -> None:
    plan = Plan(sets=((HALF,), (TEN,), (FIVE,)))
    series = Series(plan, keys=4)
    series.state.assign(np.arange(4), np.array([0, 1, 2, 0], np.uint16))
    series.feed([1.0, 2.0, 3.0], [5] * 3, slots=[0, 1, 2])
    after, changes = changed(plan, [(FIVE,), (TEN,), (Factor(half_life=1),)], series)
    assert changes == [Change.RESTARTED, Change.NONE, Change.CONVERTED, Change.NONE]
    result = after.feed([None] * 4, [5] * 4, slots=[0, 1, 2, 3])
    assert result.outcome.tolist() == [NO_STATE, EMITTED, EMITTED, NO_STATE]


@pytest.mark.parametrize("new", [[], [(TEN,), (TEN,)], [(TEN, FIVE)], [()]])
def test_new_factors_must_be_as_many(new: list[tuple[Factor, ...]]) -> None:
    plan = plan_of(TEN)
    with pytest.raises(ValueError, match=r"^factors: the new sets must be as many"):
        change_factors(Series(plan).state, 1, plan.sets, new, np.zeros(1, np.uint8), plan.mode)


def test_a_row_as_bytes_goes_on_where_it_was() -> None:
    plan = plan_of((TEN, FIVE), *NAMES)
    series, restored = Series(plan), Series(plan)
    series.feed(X[:4], TIMES[:4])
    data = row_to_bytes(series.row().words)
    assert len(data) == 1 + 8 * plan.places.width
    restored.row().words[:] = row_from_bytes(data, plan.places.width).words
    for each in (series, restored):
        each.feed(X[4:], TIMES[4:])
    assert restored.bits() == series.bits()


def test_a_row_is_little_endian_wherever_it_is_written() -> None:
    assert row_to_bytes(np.array([1, -2])) == b"\x01" + b"\x01" + 7 * b"\0" + b"\xfe" + 7 * b"\xff"
    row = row_from_bytes(b"\x01" + np.array([1.5]).astype("<f8").tobytes(), 1)
    assert row.numbers.tolist() == [1.5]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "the state has version none, not 1"),
        (b"\x02" + bytes(16), "the state has version 02, not 1"),
        (b"\x01" + bytes(8), "the state has 8 bytes where the settings need 16"),
        (b"\x01" + bytes(17), "the state has 17 bytes where the settings need 16"),
    ],
)
def test_other_bytes_are_refused(data: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=f"^{words}"):
        row_from_bytes(data, 2)


def test_merging_leaves_modes_that_do_not_touch_the_moments_alone() -> None:
    plan = Plan.of(TEN, Mode(min_periods=3, warm_up="hold", late_cutoff=100))
    one, other = Series(plan), Series(plan)
    one.feed([1.0, 2.0], [0, 0])
    other.feed([6.0], [0])
    merge(plan, one.row(), other.row())
    assert one.feed([math.nan], [0], actions=[HOLD]).mean.tolist() == [3.0]
