"""The fold against its definitions in 60 digits, and against itself: shuffled, split, merged."""

import math
import os
import subprocess
import sys
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stream_ewma.smoothing.joining import merge, row_from_bytes, row_to_bytes
from stream_ewma.smoothing.layout import COUNT
from stream_ewma.smoothing.mode import Limits, Seed, Weighting
from stream_ewma.smoothing.parameters import Factor
from stream_ewma.smoothing.plan import Plan
from stream_ewma.smoothing.recursion import FoldResult, fold
from stream_ewma.smoothing.rows import Action, Outcome
from tests.support.exact import Exact, count_parts, event_parts, exactly, interval_parts
from tests.support.grid import MODES, Readings, new_state, plan_named, readings, used_words
from tests.support.smoothing import Series, last, plan_of, result_bits, run

WIDTH = 1.0
CHART = Limits(width=WIDTH, centre=0.0, sigma=1.0)
NAMES = ("ewma", "variance", "n_eff", "weight_sum", "slope", "level", "lag", "ucl")

TINY = sys.float_info.min
"""Below it doubles are equally spaced, and have no relative precision."""

numbers = st.floats(-1e6, 1e6)
own_weights = st.floats(0.01, 100)
alphas = st.floats(1e-3, 1.0)
half_lives = st.floats(100.0, 1e5)
times = st.integers(-30_000, 30_000)
seeds = st.none() | st.tuples(numbers, st.floats(0.01, 100))


def compare(result: FoldResult, exact: Exact, readings_so_far: int, largest: float) -> None:
    """The last row of `NAMES` against exact values; all errors are relative to what is added up."""
    found = {name: last(result, name) for name in NAMES}
    mean, square = max(1e-12 * largest, TINY), max(1e-12 * largest**2, TINY)
    assert found["ewma"] == pytest.approx(float(exact.mean), rel=0, abs=mean)
    assert found["n_eff"] == pytest.approx(float(1 / (1 - exact.spread)), rel=1e-11)
    assert found["weight_sum"] == pytest.approx(float(exact.weight), rel=1e-12, abs=1e-300)
    assert found["ucl"] == pytest.approx(WIDTH * math.sqrt(exact.own), rel=1e-11, abs=1e-9)
    lag = float(exact.lag)
    assert found["lag"] == pytest.approx(lag, rel=1e-11, abs=1e-11 * (1 + lag))
    if readings_so_far >= 2 and exact.spread > Decimal("1e-9"):
        variance = float(exact.variance / exact.spread)
        room = square / float(exact.spread)
        assert found["variance"] == pytest.approx(variance, rel=1e-9, abs=room)
    width = math.sqrt(exact.of_time)
    if 1 / (1 - exact.spread) > Decimal("3.0001") and width > 1e-3:
        assert found["slope"] == pytest.approx(float(exact.slope), rel=1e-9, abs=10 * mean / width)
        level = float(exact.mean + exact.slope * exact.lag)
        room = mean * (1 + 10 * lag / width)
        assert found["level"] == pytest.approx(level, rel=1e-9, abs=room)


def largest_of(x: list[float], seed: tuple[float, float] | None) -> float:
    return max([abs(value) for value in x] + ([abs(seed[0])] if seed else []))


def seed_mode(seed: tuple[float, float] | None) -> dict[str, Any]:
    return {"seed": Seed(value=seed[0], weight=seed[1])} if seed else {}


@given(half_lives, st.lists(st.tuples(times, numbers, own_weights), min_size=1, max_size=12), seeds)
def test_event_weights_are_their_definition_in_any_order(
    half_life: float, rows: list[tuple[int, float, float]], seed: tuple[float, float] | None
) -> None:
    plan = plan_of(
        Factor(half_life=half_life), *NAMES, weighted=True, limits=CHART, **seed_mode(seed)
    )
    series = Series(plan)
    for n, (time, x, weight) in enumerate(rows, start=1):
        result = series.feed([x], [time], weights=[weight])
        with exactly():
            now = max(each[0] for each in rows[:n])
            exact = Exact.of(event_parts(rows[:n], half_life, seed), now)
        compare(result, exact, n, largest_of([row[1] for row in rows[:n]], seed))


@given(
    alphas,
    st.lists(st.tuples(st.none() | numbers, own_weights), min_size=1, max_size=12),
    st.booleans(),
    st.booleans(),
    seeds,
)
def test_count_weights_are_their_definition(
    alpha: float,
    rows: list[tuple[float | None, float]],
    adjust: bool,
    ignore_na: bool,
    seed: tuple[float, float] | None,
) -> None:
    plan = plan_of(
        Factor(alpha=alpha),
        *NAMES,
        adjust=adjust,
        ignore_na=ignore_na,
        weighted=True,
        limits=CHART,
        **seed_mode(seed),
    )
    series = Series(plan)
    for n, (x, weight) in enumerate(rows, start=1):
        result = series.feed([x], weights=[weight])
        count = sum(value is not None for value, _ in rows[:n])
        if count == 0:
            assert result.outcome[0] == Outcome.NO_STATE
            continue
        with exactly():
            parts = count_parts(rows[:n], alpha, adjust=adjust, ignore_na=ignore_na, seed=seed)
            if not sum(part.weight for part in parts):
                return  # alpha 1, and all of it is gone
            exact = Exact.of(parts, 0)
        compare(result, exact, count, largest_of([v for v, _ in rows[:n] if v is not None], seed))


@example(alpha=0.5, x=[0.0, 3.3004189447699025e-158], seed_readings=1)  # squares below TINY
@given(alphas, st.lists(numbers, min_size=1, max_size=12), st.integers(1, 8))
def test_a_seed_of_first_readings_is_its_definition(
    alpha: float, x: list[float], seed_readings: int
) -> None:
    plan = plan_of(Factor(alpha=alpha), *NAMES, seed=Seed(readings=seed_readings), limits=CHART)
    series = Series(plan)
    for n, value in enumerate(x, start=1):
        result = series.feed([value])
        with exactly():
            rows = [(each, 1.0) for each in x[:n]]
            parts = count_parts(
                rows, alpha, adjust=False, ignore_na=True, seed_readings=seed_readings
            )
            exact = Exact.of(parts, 0)
        compare(result, exact, n, largest_of(x[:n], None))


@given(
    half_lives,
    st.lists(st.tuples(times, numbers), min_size=1, max_size=10).map(sorted),
    st.sampled_from(list(Weighting)[1:]),
    st.booleans(),
    st.integers(0, 30_000),
)
def test_interval_weights_are_their_definition(
    half_life: float,
    rows: list[tuple[int, float]],
    weighting: Weighting,
    adjust: bool,
    silence: int,
) -> None:
    """In all but the second reading of one time with a hold: its own time is none then."""
    plan = plan_of(
        Factor(half_life=half_life), *NAMES, weighting=weighting, adjust=adjust, limits=CHART
    )
    series = Series(plan)
    names = [name for name in NAMES if weighting is Weighting.INTERVAL_PREV or name != "level"]
    for n in range(1, len(rows) + 1):
        time, x = rows[n - 1]
        results = [(time, series.feed([x], [time]))]
        if weighting is Weighting.INTERVAL_PREV:
            results.append((time + silence, series.feed([None], [time + silence])))
        for now, result in results:
            assert set(names) <= set(result.columns)
            with exactly():
                parts = interval_parts(rows[:n], half_life, weighting, adjust=adjust, now=now)
                exact = Exact.of(parts, now)
            if last(result, "weight_sum") > 0:  # else no reading has a weight of its own yet
                compare(result, exact, n, largest_of([row[1] for row in rows[:n]], None))


EVENT_NAMES = ("ewma", "count", "variance", "n_eff", "weight_sum", "slope", "lag", "ucl", "lcl")
many_readings = st.lists(
    st.tuples(st.integers(0, 60_000), st.floats(-100, 100)), min_size=2, max_size=30
)


def same(one: FoldResult, other: FoldResult) -> None:
    for name in EVENT_NAMES:
        ours, theirs = last(one, name), last(other, name)
        # What is added up has numbers up to 100, and squares up to 10,000.
        room = {"ewma": 1e-10, "variance": 1e-8, "slope": 1e-8}.get(name, 0.0)
        assert ours == pytest.approx(theirs, rel=1e-12, abs=room, nan_ok=True), name


@given(half_lives, many_readings, st.randoms(use_true_random=False), st.integers(1, 5))
def test_neither_order_nor_shards_matter_in_the_event_family(
    half_life: float, rows: list[tuple[int, float]], source: Any, shards: int
) -> None:
    plan = plan_of(
        (Factor(half_life=half_life), Factor(half_life=3 * half_life)), *EVENT_NAMES, limits=CHART
    )
    now = max(time for time, _ in rows)

    def look(series: Series) -> FoldResult:
        return series.feed([None], [now])

    in_order, shuffled = Series(plan), Series(plan)
    in_order.feed([x for _, x in sorted(rows)], [t for t, _ in sorted(rows)])
    source.shuffle(rows)
    shuffled.feed([x for _, x in rows], [t for t, _ in rows])
    same(look(shuffled), look(in_order))

    parts = [Series(plan) for _ in range(shards)]
    for time, x in rows:
        source.choice(parts).feed([x], [time])
    for part in parts[1:]:
        merge(plan, parts[0].row(), part.row())
    same(look(parts[0]), look(in_order))


KEYS = 4
in_every_mode = pytest.mark.parametrize("name", MODES)


@in_every_mode
def test_any_split_and_a_way_through_bytes_give_the_same_bits(name: str) -> None:
    plan = plan_named(name)
    columns = readings(11, 300, KEYS)
    whole = new_state(plan, KEYS)
    at_once = columns.fold(whole, plan)
    edges = np.unique(np.random.default_rng(5).integers(1, 300, 12))
    state, found = new_state(plan, KEYS), []
    for rows in np.split(np.arange(300), edges):
        restored = new_state(plan, KEYS)
        for key in range(KEYS):
            data = row_to_bytes(state.row(key))
            restored.row(key)[:] = row_from_bytes(data, plan.places.width).words
        state = restored
        found.append(columns.part(rows).fold(state, plan))
    assert used_words(state, KEYS).tobytes() == used_words(whole, KEYS).tobytes()
    for column, values in at_once.columns.items():
        joined = np.concatenate([part.columns[column] for part in found])
        assert joined.tobytes() == values.tobytes(), column
    assert np.concatenate([part.notes for part in found]).tobytes() == at_once.notes.tobytes()


@in_every_mode
def test_each_key_sees_only_its_own_rows_though_they_are_in_one_batch(name: str) -> None:
    plan = plan_named(name)
    columns = readings(12, 200, KEYS)
    together = new_state(plan, KEYS)
    columns.fold(together, plan)
    for key in range(KEYS):
        alone = new_state(plan, KEYS)
        columns.part(columns.slot == key).fold(alone, plan)
        assert alone.row(key).tobytes() == together.row(key).tobytes()


@in_every_mode
def test_readings_that_are_refused_leave_no_trace(name: str) -> None:
    """NaN, infinities and, where they do not fit, numbers too large, at every position."""
    plan = plan_named(name)
    columns = readings(13, 60, 1, extremes=False)
    state, clean = new_state(plan, 1), new_state(plan, 1)
    bad = [math.nan, math.inf, -math.inf] + [1e200, -1e200] * (plan.program.terms.most < 1e200)
    for row in range(60):
        one = columns.part(slice(row, row + 1))
        before = used_words(state, 1).tobytes()
        for number in bad:
            hostile = Readings(
                one.slot, one.time, np.array([number]), np.array([0], np.uint8), one.weight,
                one.session, one.restart,
            )  # fmt: skip
            outcome = hostile.fold(state, plan).outcome[0]
            assert outcome == Outcome.NOT_FINITE
            assert used_words(state, 1).tobytes() == before
        first, second = one.fold(state, plan), one.fold(clean, plan)
        assert result_bits(first) == result_bits(second)


@in_every_mode
@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1))
def test_no_input_makes_a_state_or_a_result_other_than_finite(name: str, seed: int) -> None:
    plan = plan_named(name)
    state = new_state(plan, KEYS)
    result = readings(seed, 60, KEYS).fold(state, plan)
    emitted = result.outcome == Outcome.EMITTED
    rows = used_words(state, KEYS).reshape(KEYS, -1)
    places = plan.places
    floats = rows[:, places.first_factor :].copy().view(np.float64)
    assert np.isfinite(floats).all()
    if places.weight >= 0:
        assert (floats[:, places.weight :: places.stride] >= 0).all()
    if places.spread >= 0:
        spread = floats[:, places.spread :: places.stride]
        assert ((spread >= 0) & (spread < 1)).all()
        assert (floats[:, places.spread + 1 :: places.stride] >= 0).all()
    assert (rows[:, COUNT] >= 0).all()
    for column, values in result.columns.items():
        assert not np.isinf(values).any(), column
        if values.dtype.kind == "f":
            assert np.isnan(values[~emitted]).all(), column
    ready = emitted & result.columns["ready0"]
    assert np.isfinite(result.columns["ewma0"][ready]).all()


@in_every_mode
@pytest.mark.parametrize("x", [0.1, -1e150, 5e-324, 3.7])
def test_a_constant_series_stays_exact_in_every_mode(name: str, x: float) -> None:
    plan = plan_named(name)
    seed = plan.mode.seed
    outliers = plan.mode.outliers
    if (seed and seed.value is not None) or (outliers and outliers.lowest > x):
        x = 20.0
    columns = readings(14, 80, 1, extremes=False)
    same_x = Readings(
        columns.slot, columns.time, np.full(80, x), columns.action, columns.weight,
        columns.session, columns.restart,
    )  # fmt: skip
    result = same_x.fold(new_state(plan, 1), plan)
    known = np.isfinite(result.columns["ewma0"])
    assert known.any()
    assert (result.columns["ewma0"][known] == x).all()
    assert (result.columns["difference0"][known] == 0).all()
    variance = result.columns["variance1"]
    assert (variance[np.isfinite(variance)] == 0).all()


@given(st.integers(0, 2**32 - 1), st.sampled_from(["count", "event", "both"]))
def test_the_general_kernel_equals_the_short_one_bit_for_bit(seed: int, clocks: str) -> None:
    count, event = (Factor(alpha=0.2),), (Factor(half_life=700.0),)
    sets = {"count": (count,), "event": (event,), "both": (count, event)}[clocks]
    plan = Plan(sets=sets)
    assert plan.is_plain
    columns = readings(seed, 80, KEYS)
    short, general = new_state(plan, KEYS), new_state(plan, KEYS)
    arguments = (columns.slot, columns.time, columns.x, columns.action)
    one = fold(short, plan, *arguments)
    other = fold(general, plan, *arguments, restart=np.zeros(80, np.uint8))
    assert one.outcome.tolist() == other.outcome.tolist()
    for column in ("ewma", "count"):
        assert one.columns[column].tobytes() == other.columns[column].tobytes()
        assert (
            short.floats(plan.places.mean).tobytes() == general.floats(plan.places.mean).tobytes()
        )


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("gap", [*range(1, 70), 100, 500, 900, 999, 1000, 1001, 1100, 1500, 2000])
def test_the_variance_of_two_readings_is_half_the_square_at_any_gap(
    gap: int, weighted: bool
) -> None:
    plan = plan_of(Factor(half_life=10), "ewma", "count", "variance", "n_eff", weighted=weighted)
    more = {"weights": [1.0, 1.0, 1.0]} if weighted else {}
    result = run(plan, [10.0, 12.0, 13.0], [0, 10 * gap, 10 * gap], **more)
    variance = result.columns["variance"].tolist()
    if gap <= 1000:
        assert variance[1] == pytest.approx(2.0, rel=1e-12)
        assert result.count.tolist() == [1, 2, 3]
        return
    assert math.isnan(variance[1])
    assert result.count.tolist() == [1, 1, 2]
    assert result.mean.tolist() == [10.0, 12.0, 12.5]
    assert variance[2] == 0.5
    assert result.columns["n_eff"].tolist() == [1, 1, 2]


@pytest.mark.parametrize("missing", [1, 30, 34, 60, 500, 999, 1002, 2000])
@pytest.mark.parametrize("adjust", [True, False])
def test_the_variance_of_two_readings_across_missing_ones(missing: int, adjust: bool) -> None:
    """pandas gives 1.6 for 33 missing ones, and nothing for more."""
    plan = plan_of(Factor(alpha=0.5), "variance", "ewma", adjust=adjust, ignore_na=False)
    series = Series(plan)
    series.feed([10.0])
    series.feed([math.nan] * missing, actions=[Action.AGE] * missing)
    result = series.feed([12.0, 13.0])
    if missing < 1000:
        assert result.columns["variance"][0] == pytest.approx(2.0, rel=1e-12)
    else:
        assert math.isnan(result.columns["variance"][0])
        assert result.columns["variance"][1] == pytest.approx(0.5, rel=1e-12)


@given(half_lives, many_readings)
def test_a_z_score_is_computed_before_the_update(
    half_life: float, rows: list[tuple[int, float]]
) -> None:
    plan = plan_of(Factor(half_life=half_life), "ewma", "std", "n_eff", "zscore")
    result = run(plan, [x for _, x in rows], [t for t, _ in rows])
    columns = {name: values.tolist() for name, values in result.columns.items()}
    assert math.isnan(columns["zscore"][0])
    for row in range(1, len(rows)):
        std, n_eff = columns["std"][row - 1], columns["n_eff"][row - 1]
        if not std > 1e-6:
            continue
        noise = std * math.sqrt(1 + 1 / n_eff)
        expected = (rows[row][1] - columns["ewma"][row - 1]) / noise
        assert columns["zscore"][row] == pytest.approx(expected, rel=1e-12)


def test_compiled_and_interpreted_code_give_the_same_bits_in_every_mode(
    pytestconfig: pytest.Config,
) -> None:
    code = "from tests.support.grid import digest; print(digest())"
    digests = []
    for disabled in ("0", "1"):
        child = subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            cwd=pytestconfig.rootpath,
            env={**os.environ, "NUMBA_DISABLE_JIT": disabled},
            capture_output=True,
            text=True,
            check=False,
        )
        assert child.returncode == 0, child.stderr
        digests.append(child.stdout)
    assert len(digests[0]) == 65
    assert digests[0] == digests[1]
