"""Grids, the search, and how flat an optimum is."""

import numpy as np
import pytest

from stream_ewma.smoothing.tuning import Scores, flat_range, golden_section, log_spaced


def test_three_readings_are_scored_by_hand():
    scores = Scores(np.array([[0.5, 1.0]]), event_time=False)

    scores.add(np.zeros(3, np.int32), np.zeros(3, np.int64), np.array([1.0, 3.0, 6.0]))

    # alpha 1/2 predicts 1, then 2; alpha 1 predicts 1, then 3
    assert scores.squared.tolist() == [[4.0 + 16.0, 4.0 + 9.0]]
    assert scores.absolute.tolist() == [[2.0 + 4.0, 2.0 + 3.0]]
    assert scores.scored.tolist() == [2]


def test_an_infinite_half_life_predicts_the_mean_of_all_before():
    x = np.array([1.0, 2.0, 6.0, 7.0])
    scores = Scores(np.array([[np.inf]]), event_time=True)

    scores.add(np.zeros(4, np.int32), np.array([0, 5, 5, 9], np.int64), x)

    assert scores.absolute[0, 0] == pytest.approx(1.0 + 4.5 + 4.0)


def test_a_silence_of_a_thousand_half_lives_begins_anew():
    scores = Scores(np.array([[1.0]]), event_time=True)

    scores.add(np.zeros(3, np.int32), np.array([0, 1001, 1001], np.int64), np.array([9.0, 1, 1]))

    assert scores.absolute.tolist() == [[8.0]]


@pytest.mark.parametrize("slot", [-1, 1])
def test_a_slot_beyond_the_keys_is_refused(slot: int):
    scores = Scores(np.array([[0.5]]), event_time=False)

    with pytest.raises(IndexError, match="no key's"):
        scores.add(np.array([slot], np.int32), np.zeros(1, np.int64), np.zeros(1))


def test_a_grid_has_both_ends_and_even_ratios():
    grid = log_spaced(0.001, 1.0, 3)

    assert (grid[0], grid[-1], len(grid)) == (0.001, 1.0, 31)
    assert np.ptp(grid[1:] / grid[:-1]) < 1e-9


def test_a_narrow_grid_still_has_some_factors():
    assert len(log_spaced(1.0, 1.1, 3)) == 5


def test_minima_in_several_brackets_are_found_side_by_side():
    wanted = np.array([0.01, 0.3, 7.0, 1.0])

    def evaluate(factors):
        return np.abs(np.log(factors / wanted))

    low, high = wanted / np.array([2, 1.1, 5, 1.0]), wanted * np.array([3, 8, 1.01, 1.5])
    found, errors = golden_section(evaluate, low, high, 30)

    assert found == pytest.approx(wanted, rel=1e-4)
    assert errors.max() < 1e-4


def test_each_step_of_the_search_evaluates_once():
    calls = []

    def evaluate(factors):
        calls.append(factors)
        return (factors - 2.0) ** 2

    golden_section(evaluate, np.array([1.0]), np.array([4.0]), 10)

    assert len(calls) == 12


@pytest.mark.parametrize(
    ("errors", "best", "expected"),
    [
        ([1.5, 1.1, 1.0, 1.1, 1.5], 2, (2.0**0.5, 2.0**1.5)),  # 5 % is half way to 10 %
        ([1.0, 1.01, 1.02, 1.03, 1.04], 0, (0.5, 8.0)),
        ([1.2, 1.2, 1.2, 1.1, 1.0], 4, (8.0 / 2**0.5, 8.0)),
        ([9.0, 9.0, 1.0, 9.0, 1.0], 2, (2.0 * 2 ** (-0.05 / 8), 2.0 * 2 ** (0.05 / 8))),
    ],
)
def test_the_flat_range_ends_where_the_error_passes_the_bound(errors, best, expected):
    factors = np.array([0.5, 1.0, 2.0, 4.0, 8.0])

    assert flat_range(factors, np.array(errors), best, 0.05) == pytest.approx(expected)
