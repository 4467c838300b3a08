"""The errors of many factors at once against the plain statement, and against the fold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_ewma.smoothing.parameters import Factor
from stream_ewma.smoothing.tuning import Scores
from tests.support.folding import fold_rows, new_state
from tests.support.scoring import plain_scores

readings = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.integers(-3000, 3000) | st.integers(-(2**53), 2**53),
        st.floats(-1e150, 1e150) | st.floats(-100, 100),
    ),
    max_size=40,
)
alphas = st.floats(1e-6, 1.0)
half_lives = st.floats(0.5, 1e9) | st.just(np.inf)


def columns(rows: list[tuple[int, int, float]]):
    return (
        np.array([key for key, _, _ in rows], np.int32),
        np.array([time for _, time, _ in rows], np.int64),
        np.array([x for _, _, x in rows], np.float64),
    )


@pytest.mark.parametrize("event_time", [False, True])
@given(data=st.data())
def test_every_factor_has_the_errors_of_the_plain_statement(event_time: bool, data) -> None:
    rows = data.draw(readings)
    kinds = half_lives if event_time else alphas
    factors = data.draw(st.lists(kinds, min_size=1, max_size=4))
    cut = data.draw(st.integers(0, len(rows)))
    scores = Scores(np.tile(np.array(factors), (3, 1)), event_time=event_time)

    for part in (rows[:cut], rows[cut:]):
        scores.add(*columns(part))

    for place, factor in enumerate(factors):
        plain = plain_scores(rows, factor, event_time=event_time)
        for key, (squared, absolute) in plain.items():
            assert scores.squared[key, place] == squared
            assert scores.absolute[key, place] == absolute
    counts = np.bincount(columns(rows)[0], minlength=3)
    assert scores.scored.tolist() == [max(0, count - 1) for count in counts]


@pytest.mark.parametrize("event_time", [False, True])
@given(data=st.data())
def test_predictions_are_the_means_of_the_fold(event_time: bool, data) -> None:
    rows = data.draw(readings)
    value = data.draw(st.floats(0.5, 1e9) if event_time else alphas)
    slot, time, x = columns(rows)
    factor = Factor(half_life=value) if event_time else Factor(alpha=value)

    result = fold_rows(
        new_state(3), [factor], x.tolist(), slots=slot.tolist(), times_ms=time.tolist()
    )
    scores = Scores(np.full((3, 1), value), event_time=event_time)
    scores.add(slot, time, x)

    for key in range(3):
        mine = slot == key
        squared = 0.0
        for error in (x[mine][1:] - result.mean[mine][:-1]).tolist():
            squared += error * error
        assert scores.squared[key, 0] == squared
