"""The rows of the keys: room, factors, forgetting."""

import numpy as np
import pytest

from stream_ewma.smoothing.parameters import Factor
from stream_ewma.smoothing.plan import Plan
from stream_ewma.smoothing.rows import Action
from stream_ewma.smoothing.state import KeyedState
from tests.support.folding import STATE_COLUMNS, fold_rows, new_state


def test_growing_gives_empty_rows_and_keeps_the_others() -> None:
    state = new_state(3)
    fold_rows(state, [Factor(half_life=10)], [5.0, 7.0], slots=[0, 2], times_ms=[100, 200])
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
    state = KeyedState(new_state(0).places)
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


@pytest.mark.parametrize(
    ("factor", "size"), [(Factor(alpha=0.2), 2 * 8 + 2), (Factor(half_life=1), 4 * 8 + 2)]
)
def test_a_row_has_only_the_words_that_its_clock_needs(factor: Factor, size: int) -> None:
    state = KeyedState(Plan.of(factor).places)
    state.grow(100_000)
    assert state.bytes == size * state.rows


def test_factors_are_assigned_one_for_all_or_one_for_each() -> None:
    state = new_state(6)
    state.assign(np.array([1, 4], np.int32), 7)
    state.assign(np.array([2, 3], np.int32), np.array([8, 65_535], np.uint16))
    assert state.factor[:6].tolist() == [0, 7, 8, 65_535, 7, 0]


def test_a_row_is_a_view_of_its_words() -> None:
    state = new_state(3)
    fold_rows(state, [Factor(alpha=0.5)], [5.0, 7.0], slots=[0, 2])
    assert state.row(2)[0] == 1
    assert not state.row(1).any()
    state.row(2)[:] = 0
    assert state.count[:3].tolist() == [1, 0, 0]


def test_a_reset_forgets_the_readings_and_keeps_the_factor() -> None:
    state = new_state(2, [0, 1])
    factors = [Factor(alpha=0.5), Factor(half_life=10)]
    fold_rows(state, factors, [5.0, 7.0], slots=[0, 1], times_ms=[100, 200])

    fold_rows(state, factors, [0.0], slots=[1], actions=[Action.RESET])

    row = {name: getattr(state, name)[1].item() for name in STATE_COLUMNS}
    assert row == {"weight": 0.0, "mean": 0.0, "count": 0, "reference": 0, "factor": 1}
    assert state.count[0] == 1


def test_a_slot_without_a_row_is_refused() -> None:
    state = new_state(1)
    with pytest.raises(IndexError):
        state.row(state.rows)
    with pytest.raises(IndexError):
        state.assign(np.array([state.rows]), 0)
