"""The fold against exact arithmetic, against pandas, and against itself cut and shuffled."""

import os
import subprocess
import sys
from decimal import Context, Decimal, localcontext
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_ewma.smoothing.parameters import Factor
from stream_ewma.smoothing.recursion import FoldResult
from stream_ewma.smoothing.rows import Action, Outcome
from tests.support.folding import (
    STATE_COLUMNS,
    fold_rows,
    new_state,
    result_bits,
    state_bits,
)

U = Fraction(1, 2**53)
TINY = Fraction(1, 2**1074)

alphas = st.floats(1e-6, 1.0)
half_lives = st.floats(0.5, 1e7)
reasonable = st.floats(-1e150, 1e150)
any_number = st.floats() | st.sampled_from([1.7e308, -1.7e308, 5e-324, -0.0, np.nan, np.inf])
any_time = st.integers(-(2**63), 2**63 - 1) | st.integers(-3000, 3000)


def readings(times: st.SearchStrategy[int]) -> st.SearchStrategy[list[tuple[int, float]]]:
    return st.lists(st.tuples(times, reasonable), min_size=1, max_size=40)


@given(alphas, st.lists(reasonable, min_size=1, max_size=40))
def test_count_clock_stays_within_its_bound_of_exact_smoothing(
    alpha: float, x: list[float]
) -> None:
    result = fold_rows(new_state(1), [Factor(alpha=alpha)], x)

    a = Fraction(alpha)
    largest = max(abs(Fraction(value)) for value in x)
    bound = (U * largest * (1 / a + 4) + TINY / a) * (1 + 16 * U / a)
    exact = Fraction(x[0])
    for row, value in enumerate(x):
        exact += a * (Fraction(value) - exact)
        assert abs(Fraction(result.mean[row]) - exact) <= bound
        assert result.count[row] == row + 1


def exact_mean(readings: list[tuple[int, float]], half_life: float) -> Decimal:
    """The weighted mean by its definition, to 60 digits."""
    with localcontext(Context(prec=60)):
        latest = max(time for time, _ in readings)
        rate = -Decimal(2).ln() / Decimal(half_life)
        weights = [(rate * (latest - time)).exp() for time, _ in readings]
        products = [w * Decimal(x) for w, (_, x) in zip(weights, readings, strict=True)]
        return sum(products) / sum(weights)


@given(half_lives, readings(st.integers(0, 60_000)))
def test_event_time_is_the_weighted_mean_whatever_the_order_of_arrival(
    half_life: float, rows: list[tuple[int, float]]
) -> None:
    factor = Factor(half_life=max(half_life, 100.0))  # no silence is a restart
    times, x = zip(*rows, strict=True)
    result = fold_rows(new_state(1), [factor], x, times_ms=times)

    for end in range(1, len(rows) + 1):
        largest = max(abs(value) for value in x[:end])
        exact = float(exact_mean(rows[:end], factor.half_life))
        assert result.mean[end - 1] == pytest.approx(exact, rel=0, abs=1e-13 * largest)
        assert result.count[end - 1] == end


@given(half_lives, readings(st.integers(0, 60_000)), st.randoms(use_true_random=False))
def test_order_of_arrival_does_not_matter(
    half_life: float, rows: list[tuple[int, float]], source: object
) -> None:
    factor = Factor(half_life=max(half_life, 100.0))
    states = []
    for _ in range(2):
        times, x = zip(*rows, strict=True)
        states.append(new_state(1))
        fold_rows(states[-1], [factor], x, times_ms=times)
        source.shuffle(rows)

    one, other = states
    largest = max(abs(x) for _, x in rows)
    assert other.mean[0] == pytest.approx(one.mean[0], rel=0, abs=1e-12 * largest)
    assert other.weight[0] == pytest.approx(one.weight[0], rel=1e-12)
    assert (other.count[0], other.reference[0]) == (one.count[0], one.reference[0])


@given(alphas, st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60))
def test_count_clock_equals_pandas(alpha: float, x: list[float]) -> None:
    theirs = pd.Series(x).ewm(alpha=alpha, adjust=False).mean()
    ours = fold_rows(new_state(1), [Factor(alpha=alpha)], x).mean
    # pandas' alpha x + (1 - alpha) m drifts, since the rounded weights do not sum to 1.
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-13 * max(map(abs, x)))


@given(
    st.integers(100, 10**7),
    st.lists(st.tuples(st.integers(0, 60_000), st.floats(-1e6, 1e6)), min_size=1, max_size=60).map(
        sorted
    ),
)
def test_event_time_equals_pandas(half_life: int, rows: list[tuple[int, float]]) -> None:
    times, x = zip(*rows, strict=True)
    theirs = (
        pd.Series(x)
        .ewm(
            halflife=pd.Timedelta(half_life, "ms"),
            times=pd.to_datetime(np.array(times), unit="ms"),
        )
        .mean()
    )
    factor = Factor(half_life=half_life)
    ours = fold_rows(new_state(1), [factor], x, times_ms=times).mean
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12 * max(map(abs, x)))


FACTORS = [
    Factor(alpha=0.2),
    Factor(alpha=1.0),
    Factor(half_life_samples=3.7),
    Factor(half_life=1000.0),
    Factor(half_life=5e-324),
]
KEYS = 4
rows_of_any_kind = st.lists(
    st.tuples(st.integers(0, KEYS - 1), any_time, any_number, st.sampled_from(Action)), max_size=40
)
factor_of_each_key = st.lists(st.integers(0, len(FACTORS) - 1), min_size=KEYS, max_size=KEYS)


def fold_tuples(state: object, rows: list[tuple[int, int, float, Action]]) -> FoldResult:
    slots, times, x, actions = zip(*rows, strict=True) if rows else ((), (), (), ())
    return fold_rows(state, FACTORS, x, slots=slots, times_ms=times, actions=actions)


@given(factor_of_each_key, rows_of_any_kind, st.lists(st.integers(0, 40), max_size=5))
def test_any_split_of_the_stream_gives_the_same_bits(
    assigned: list[int], rows: list[tuple[int, int, float, Action]], cuts: list[int]
) -> None:
    whole, split, single = (new_state(KEYS, assigned) for _ in range(3))
    edges = [0, *sorted(cuts), len(rows)]

    at_once = fold_tuples(whole, rows)
    in_parts = [fold_tuples(split, rows[a:b]) for a, b in pairwise(edges)]
    one_by_one = [fold_tuples(single, [row]) for row in rows]

    assert state_bits(whole) == state_bits(split) == state_bits(single)
    assert result_bits(at_once) == result_bits(*in_parts)
    if rows:
        assert result_bits(at_once) == result_bits(*one_by_one)


@given(factor_of_each_key, rows_of_any_kind)
def test_no_input_makes_the_state_or_an_emitted_mean_other_than_finite(
    assigned: list[int], rows: list[tuple[int, int, float, Action]]
) -> None:
    state = new_state(KEYS, assigned)

    result = fold_tuples(state, rows)

    emitted = result.outcome == Outcome.EMITTED
    assert np.isfinite(state.mean).all()
    assert np.isfinite(state.weight).all()
    assert np.isfinite(result.mean[emitted]).all()
    assert (result.count[emitted] > 0).all()
    assert np.isnan(result.mean[~emitted]).all()
    for row, (_, _, x, action) in enumerate(rows):
        if action is Action.OBSERVE and not np.isfinite(x):
            assert result.outcome[row] == Outcome.NOT_FINITE


@given(factor_of_each_key, rows_of_any_kind)
def test_each_key_sees_only_its_own_rows(
    assigned: list[int], rows: list[tuple[int, int, float, Action]]
) -> None:
    together = new_state(KEYS, assigned)
    fold_tuples(together, rows)

    for key in range(KEYS):
        alone = new_state(KEYS, assigned)
        fold_tuples(alone, [row for row in rows if row[0] == key])
        for name in STATE_COLUMNS:
            assert getattr(alone, name)[key] == getattr(together, name)[key]


@given(
    st.sampled_from(FACTORS),
    st.floats(-1.7e308, 1.7e308),
    st.lists(any_time, min_size=1, max_size=20),
)
def test_a_constant_series_stays_exact(factor: Factor, x: float, times: list[int]) -> None:
    result = fold_rows(new_state(1), [factor], [x] * len(times), times_ms=times)
    assert (result.mean == x).all()


def test_compiled_and_interpreted_code_give_the_same_bits(pytestconfig) -> None:
    code = "from tests.support.folding import digest; print(digest())"
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
