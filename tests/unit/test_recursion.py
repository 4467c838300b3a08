"""The fold, row by row: seeds, time, late readings, silences, bad numbers, actions."""

import math

import pytest

from stream_ewma.smoothing.parameters import Factor
from stream_ewma.smoothing.rows import Action, Outcome
from tests.support.folding import fold_rows, new_state, state_bits

COUNT = Factor(alpha=0.2)
MINUTE = Factor(half_life=60_000)
OBSERVE, HOLD, RESET, IGNORE, AGE = Action
EMITTED, NO_STATE, NOT_FINITE = tuple(Outcome)[:3]


def means(factor: Factor, x: list[float], times_ms: list[int] | None = None) -> list[float]:
    return fold_rows(new_state(1), [factor], x, times_ms=times_ms).mean.tolist()


def test_count_clock_is_simple_exponential_smoothing() -> None:
    result = fold_rows(new_state(1), [COUNT], [10, 12, 15, 18, 22])

    assert result.mean == pytest.approx([10, 10.4, 11.32, 12.656, 14.5248], rel=1e-15)
    assert result.count.tolist() == [1, 2, 3, 4, 5]
    assert result.outcome.tolist() == [EMITTED] * 5


def test_alpha_one_gives_the_reading_itself() -> None:
    x = [0.1, 1e300, 0.3, -1e17, 7.0, 1.7e308]
    assert means(Factor(alpha=1), x) == x


def test_event_time_weighs_by_age() -> None:
    two = means(MINUTE, [10.0, 20.0], [0, 60_000])
    assert two == pytest.approx([10, (0.5 * 10 + 20) / 1.5], rel=1e-15)


def test_readings_of_one_instant_are_averaged() -> None:
    assert means(MINUTE, [1.0, 2.0, 6.0], [5, 5, 5]) == pytest.approx([1, 1.5, 3], rel=1e-15)


def test_a_late_reading_is_merged_as_if_it_had_come_in_time() -> None:
    in_order = means(MINUTE, [10.0, 50.0, 20.0], [0, 30_000, 60_000])
    late = fold_rows(new_state(1), [MINUTE], [10.0, 20.0, 50.0], times_ms=[0, 60_000, 30_000])

    assert late.mean[-1] == pytest.approx(in_order[-1], rel=1e-15)
    assert late.count.tolist() == [1, 2, 3]


def test_a_late_reading_does_not_turn_back_the_time() -> None:
    state = new_state(1)
    fold_rows(state, [MINUTE], [10.0, 20.0], times_ms=[60_000, 0])
    assert state.reference[0] == 60_000
    assert state.weight[0] == 1.5


def test_a_reading_too_late_to_weigh_anything_is_only_counted() -> None:
    state = new_state(1)
    result = fold_rows(state, [MINUTE], [10.0, 99.0], times_ms=[2_000 * 60_000, 0])

    assert result.mean.tolist() == [10.0, 10.0]
    assert result.count.tolist() == [1, 2]
    assert state.weight[0] == 1.0


def test_after_a_silence_of_over_1000_half_lives_the_row_starts_anew() -> None:
    state = new_state(1)
    gap = 1002 * 60_000
    result = fold_rows(state, [MINUTE], [1e9, 2e9, 0.1, 0.3], times_ms=[0, 1, gap, gap])

    assert result.mean[2:].tolist() == pytest.approx([0.1, 0.2], rel=1e-15)
    assert result.count.tolist() == [1, 2, 1, 2]
    assert state.weight[0] == 2.0


def test_a_silence_just_short_of_that_keeps_the_count() -> None:
    result = fold_rows(new_state(1), [MINUTE], [1.0, 3.0], times_ms=[0, 999 * 60_000])
    assert result.mean.tolist() == [1.0, 3.0]
    assert result.count.tolist() == [1, 2]


def test_a_weight_lost_in_rounding_leaves_exactly_the_reading() -> None:
    """Not (x - m) + m, which is 0 here."""
    assert means(MINUTE, [1e20, 1.0], [0, 60 * 60_000]) == [1e20, 1.0]


def test_milliseconds_count_at_any_distance_from_the_epoch() -> None:
    far = 2**62 + 1  # doubles are 1024 apart there
    assert means(Factor(half_life=1), [1.0, 4.0], [far, far + 1]) == [1.0, 3.0]


@pytest.mark.parametrize("half_life", [2.0**63, 2.0**64])
def test_the_widest_span_of_times_does_not_wrap_around(half_life: float) -> None:
    age = (2.0**64 - 1) / half_life
    expected = [2.0, (2.0 * 0.5**age + 5.0) / (1 + 0.5**age)]
    factor = Factor(half_life=half_life)

    forward = means(factor, [2.0, 5.0], [-(2**63), 2**63 - 1])
    backward = means(factor, [5.0, 2.0], [2**63 - 1, -(2**63)])

    assert forward == pytest.approx(expected, rel=1e-15)
    assert backward[1] == pytest.approx(expected[1], rel=1e-15)


@pytest.mark.parametrize("factor", [COUNT, MINUTE])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("readings", [0, 1, 3])
def test_a_number_that_is_not_finite_leaves_the_state_untouched(
    factor: Factor, bad: float, readings: int
) -> None:
    state = new_state(1)
    fold_rows(state, [factor], [3.0] * readings)
    before = state_bits(state)

    result = fold_rows(state, [factor], [bad], times_ms=[99])

    assert state_bits(state) == before
    assert result.outcome.tolist() == [NOT_FINITE]
    assert math.isnan(result.mean[0])
    assert result.count.tolist() == [0]


@pytest.mark.parametrize("factor", [COUNT, MINUTE])
def test_a_reading_that_would_overflow_the_mean_leaves_the_state_untouched(factor: Factor) -> None:
    state = new_state(1)
    fold_rows(state, [factor], [-1.7e308])
    before = state_bits(state)

    result = fold_rows(state, [factor], [1.7e308], times_ms=[1])

    assert state_bits(state) == before
    assert result.outcome.tolist() == [NOT_FINITE]


@pytest.mark.parametrize("factor", [COUNT, MINUTE, Factor(half_life_samples=7.3)])
@pytest.mark.parametrize("x", [0.1, -1e300, 5e-324, 1.7e308])
def test_a_constant_series_stays_exact(factor: Factor, x: float) -> None:
    times = [0, 1, 17, 3, 70_000, 200_000_000, 199_000_000]
    assert means(factor, [x] * 7, times) == [x] * 7


def test_hold_emits_what_there_is_and_changes_nothing() -> None:
    state = new_state(1)
    fold_rows(state, [MINUTE], [10.0, 20.0], times_ms=[0, 60_000])
    before = state_bits(state)

    result = fold_rows(state, [MINUTE], [math.nan], times_ms=[10**9], actions=[HOLD])

    assert state_bits(state) == before
    assert (result.mean[0], result.count[0]) == (state.mean[0], 2)
    assert result.outcome.tolist() == [EMITTED]


def test_hold_of_an_empty_row_has_nothing_to_emit() -> None:
    result = fold_rows(new_state(1), [COUNT], [1.0], actions=[HOLD])
    assert result.outcome.tolist() == [NO_STATE]
    assert math.isnan(result.mean[0])


@pytest.mark.parametrize("factor", [COUNT, MINUTE])
def test_reset_makes_the_next_reading_the_first(factor: Factor) -> None:
    state = new_state(1)
    actions = [OBSERVE, OBSERVE, RESET, HOLD, OBSERVE]
    result = fold_rows(state, [factor], [1.0, 2.0, 9.0, 9.0, 5.0], actions=actions)

    assert result.outcome.tolist() == [EMITTED, EMITTED, NO_STATE, NO_STATE, EMITTED]
    assert result.mean[4] == 5.0
    assert result.count.tolist() == [1, 2, 0, 0, 1]


def test_reset_leaves_a_row_as_if_never_used() -> None:
    state = new_state(1)
    fold_rows(state, [MINUTE], [1.0, 2.0], times_ms=[5, 6], actions=[OBSERVE, RESET])
    assert state_bits(state) == state_bits(new_state(1))


def test_an_ignored_row_needs_no_slot() -> None:
    state = new_state(1)
    result = fold_rows(
        state, [COUNT], [1.0, 5.0, 2.0], slots=[0, -1, 0], actions=[OBSERVE, IGNORE, OBSERVE]
    )
    assert result.outcome.tolist() == [EMITTED, NO_STATE, EMITTED]
    assert result.count.tolist() == [1, 0, 2]


def test_keys_do_not_touch_each_other() -> None:
    state = new_state(3, [0, 1, 0])
    x, slots, times = [1.0, 10.0, 2.0, 20.0, 3.0], [0, 1, 0, 1, 2], [0, 0, 1, 60_000, 2]

    result = fold_rows(state, [COUNT, MINUTE], x, slots=slots, times_ms=times)

    assert result.mean[[0, 2]].tolist() == means(COUNT, [1.0, 2.0])
    assert result.mean[[1, 3]].tolist() == means(MINUTE, [10.0, 20.0], [0, 60_000])
    assert result.mean[4] == 3.0
    assert result.count.tolist() == [1, 1, 2, 2, 1]


def test_no_rows_are_no_error() -> None:
    assert len(fold_rows(new_state(0), [COUNT], []).mean) == 0


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="same length"):
        fold_rows(new_state(1), [COUNT], [1.0, 2.0], slots=[0])


@pytest.mark.parametrize("slot", [-1, 1024, 2**31 - 1])
@pytest.mark.parametrize("action", [OBSERVE, HOLD, RESET])
def test_a_slot_without_a_row_is_refused(slot: int, action: Action) -> None:
    with pytest.raises(IndexError, match=f"row 1: slot {slot} "):
        fold_rows(new_state(1), [COUNT], [1.0, 2.0], slots=[0, slot], actions=[OBSERVE, action])


def test_an_unknown_factor_is_refused() -> None:
    with pytest.raises(IndexError, match="unknown factor"):
        fold_rows(new_state(1, [9]), [COUNT], [1.0])
