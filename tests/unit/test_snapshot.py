"""Results read off states as they are at a time, changing nothing."""

import numpy as np
import pytest

from stream_ewma.smoothing.layout import NO_TIME
from stream_ewma.smoothing.mode import Mode, Weighting
from stream_ewma.smoothing.outputs import Output, Quantity
from stream_ewma.smoothing.parameters import Factor
from stream_ewma.smoothing.plan import Plan
from stream_ewma.smoothing.recursion import fold, last_times, snapshot
from stream_ewma.smoothing.rows import Action, Outcome
from stream_ewma.smoothing.state import KeyedState

OUTPUTS = [Output(q.value, q) for q in (Quantity.EWMA, Quantity.COUNT, Quantity.WEIGHT_SUM)]


def int32(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


def int64(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def state_of(plan: Plan, x: list[float], times: list[int]) -> KeyedState:
    state = KeyedState(plan.places)
    state.grow(2)
    n = len(x)
    action = np.full(n, Action.OBSERVE, np.uint8)
    fold(state, plan, np.zeros(n, np.int32), int64(*times), np.array(x), action)
    return state


def test_weights_age_and_the_mean_stands() -> None:
    plan = Plan.of(Factor(half_life=10), Mode(), OUTPUTS)
    state = state_of(plan, [1.0, 4.0], [0, 10])
    before = state.words.tobytes()

    result = snapshot(state, plan, int32(0, 0, 1), int64(10, 20, 20))

    assert state.words.tobytes() == before
    assert result.outcome.tolist() == [Outcome.EMITTED, Outcome.EMITTED, Outcome.NO_STATE]
    assert result.columns["ewma"][:2].tolist() == [3.0, 3.0]
    assert result.columns["weight_sum"][:2].tolist() == [1.5, 0.75]
    assert result.columns["count"].tolist() == [2, 2, 0]


def test_a_reading_that_stands_moves_the_mean_to_itself() -> None:
    mode = Mode(weighting=Weighting.INTERVAL_PREV, adjust=False, reorder=2)
    plan = Plan.of(Factor(half_life=10), mode, OUTPUTS)
    state = state_of(plan, [1.0, 5.0], [0, 10])

    result = snapshot(state, plan, int32(0, 0, 0), int64(10, 20, 10_000))

    assert result.columns["ewma"].tolist() == [1.0, 3.0, 5.0]


def test_a_key_that_warms_up_has_no_results() -> None:
    plan = Plan.of(Factor(alpha=0.5), Mode(min_periods=2), OUTPUTS[:2])
    result = snapshot(state_of(plan, [1.0], [0]), plan, int32(0), int64(0))
    assert np.isnan(result.columns["ewma"][0])


def test_what_does_not_go_together_is_refused() -> None:
    plan, other = Plan.of(Factor(alpha=0.5)), Plan.of(Factor(half_life=10))
    state = state_of(plan, [1.0], [0])
    with pytest.raises(ValueError, match="same length"):
        snapshot(state, plan, int32(0), int64(0, 1))
    with pytest.raises(ValueError, match="another plan's rows"):
        snapshot(state, other, int32(0), int64(0))
    with pytest.raises(IndexError, match="slot 5000 has no row"):
        snapshot(state, plan, int32(0, 5000), int64(0, 0))


def test_the_last_time_is_that_of_a_reading_held_back_too() -> None:
    mode = Mode(weighting=Weighting.INTERVAL_NEXT, reorder=2)
    state = state_of(Plan.of(Factor(half_life=10), mode, OUTPUTS), [1.0, 5.0], [30, 10])
    times = np.empty(2, np.int64)

    last_times(state, int32(0, 1), times)

    assert times.tolist() == [30, NO_TIME]
    with pytest.raises(IndexError, match="slot 5000 has no row"):
        last_times(state, int32(0, 5000), times)
