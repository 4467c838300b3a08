"""The rows of the keys: room, factors, forgetting."""

import numpy as np
import pytest

from stream_ewma.smoothing.parameters import Factor
from stream_ewma.smoothing.state import KeyedState
from tests.support.folding import STATE_COLUMNS, fold_rows, new_state


def test_growing_gives_empty_rows_and_keeps_the_others() -> None:
    state = new_state(3)
    fold_rows(state, [Factor(half_life_ms=10)], [5.0, 7.0], slots=[0, 2], times_ms=[100, 200])
    before = {name: getattr(state, name)[:3].tolist() for name in STATE_COLUMNS}

    state.grow(500_000)

    assert state.rows >= 500_000
    for name in STATE_COLUMNS:
        assert getattr(state, name)[:3].tolist() == before[name]
        assert len(getattr(state, name)) == state.rows
        assert not getattr(state, name)[3:].any()


def test_there_is_no_growth_where_there_is_room() -> None:
    state = new_state(10)
    rows = state.rows
    state.grow(rows)
    state.grow(0)
    assert state.rows == rows


def test_steps_double_while_small_and_are_bounded_once_large() -> None:
    state = KeyedState()
    rows = []
    while state.rows < 1_000_000:
        state.grow(state.rows + 1)
        rows.append(state.rows)

    steps = np.diff([0, *rows])
    assert rows[:4] == [1024, 2048, 4096, 8192]
    assert steps.max() <= max(rows[-1] // 8, 65_536)
    assert len(rows) < 30


def test_a_reference_to_a_column_does_not_hinder_growth() -> None:
    state = new_state(1)
    _column = state.mean
    state.grow(state.rows + 1)
    assert len(state.mean) == state.rows


def test_a_row_takes_34_bytes() -> None:
    state = new_state(100_000)
    assert state.bytes == 34 * state.rows


def test_factors_are_assigned_one_for_all_or_one_for_each() -> None:
    state = new_state(6)
    state.assign(np.array([1, 4], np.int32), 7)
    state.assign(np.array([2, 3], np.int32), np.array([8, 65_535], np.uint16))
    assert state.factor[:6].tolist() == [0, 7, 8, 65_535, 7, 0]


def test_a_reset_forgets_the_readings_and_keeps_the_factor() -> None:
    state = new_state(2, [0, 1])
    factors = [Factor(alpha=0.5), Factor(half_life_ms=10)]
    fold_rows(state, factors, [5.0, 7.0], slots=[0, 1], times_ms=[100, 200])

    state.reset(1)

    row = {name: getattr(state, name)[1].item() for name in STATE_COLUMNS}
    assert row == {"weight": 0.0, "mean": 0.0, "count": 0, "reference_ms": 0, "factor": 1}
    assert state.count[0] == 1


def test_a_slot_without_a_row_is_refused() -> None:
    state = new_state(1)
    with pytest.raises(IndexError):
        state.reset(state.rows)
    with pytest.raises(IndexError):
        state.assign(np.array([state.rows]), 0)
