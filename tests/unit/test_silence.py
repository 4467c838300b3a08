"""Which keys have fallen silent, by event time alone."""

import numpy as np

from stream_ewma.engine.silence import Silence
from stream_ewma.smoothing.layout import NO_TIME


def heard(silence: Silence, slots: list[int], last: list[int], now: int = NO_TIME) -> None:
    silence.heard(np.array(slots, np.int32), np.array(last, np.int64), now)


def due(silence: Silence, event_time: int) -> list[int]:
    return silence.due(event_time).tolist()


def stops(silence: Silence, times: list[int], before: int = NO_TIME) -> list[int]:
    """The stops for readings at these times, if nothing is done at them."""
    time = np.array(times, np.int64)
    event_time = np.maximum(np.maximum.accumulate(time), before)
    return list(silence.stops(time, event_time, before))


def test_a_key_is_looked_at_once_its_silence_may_be_over_the_allowed_one() -> None:
    silence = Silence(1000)
    heard(silence, [3, 1], [0, 50])

    assert due(silence, 999) == []
    assert due(silence, 1000) == [3]
    assert due(silence, 1099) == []
    assert due(silence, 1100) == [1]
    assert due(silence, 10**9) == []


def test_a_key_that_is_waited_for_is_not_entered_twice() -> None:
    silence = Silence(1000)
    heard(silence, [5], [0])
    heard(silence, [5], [700])

    assert due(silence, 1000) == [5]
    assert due(silence, 9000) == []


def test_a_key_heard_again_waits_anew() -> None:
    silence = Silence(1000)
    heard(silence, [5], [0])
    assert due(silence, 1000) == [5]
    heard(silence, [5], [800], 1000)

    assert due(silence, 1799) == []
    assert due(silence, 1800) == [5]


def test_a_late_reading_is_due_at_the_next_tick_not_at_one_that_has_gone() -> None:
    silence = Silence(1000)
    heard(silence, [0], [2], 50_000)

    assert due(silence, 50_099) == []
    assert due(silence, 50_100) == [0]


def test_a_key_forgotten_and_heard_anew_with_an_old_reading_is_due_sooner() -> None:
    silence = Silence(1000)
    heard(silence, [0, 1], [900, 900])
    heard(silence, [0], [200], 900)

    assert due(silence, 1200) == [0]
    heard(silence, [0], [1150], 1200)
    assert due(silence, 1899) == []
    assert due(silence, 1900) == [1]
    assert due(silence, 2200) == [0]
    assert due(silence, 9000) == []


def test_silence_is_measured_at_the_tick_that_was_reached() -> None:
    silence = Silence(1000)

    assert silence.is_silent(np.array([0]), NO_TIME).tolist() == [False]
    assert silence.is_silent(np.array([500, 501]), 1599).tolist() == [True, False]


def test_nothing_heard_is_nothing_entered() -> None:
    silence = Silence(1)
    heard(silence, [], [])
    assert due(silence, 10) == []


def test_many_keys_cost_one_list_a_tick() -> None:
    silence = Silence(10_000)
    slots = np.arange(100_000, dtype=np.int32)
    silence.heard(slots, np.arange(100_000, dtype=np.int64) % 5000, NO_TIME)

    found = [len(silence.due(time)) for time in range(10_000, 16_000, 1000)]

    assert found == [20, *[20_000] * 4, 19_980]
    assert sum(found) == 100_000
    assert silence.nbytes < 100_000 * 8 * 1.2


def test_ticks_are_passed_over_while_nobody_can_be_due() -> None:
    silence = Silence(1000)

    assert stops(silence, [0, 100, 500, 999]) == []
    assert stops(silence, [0, 500, 999, 1000, 1001]) == [4]


def test_stops_where_one_who_waits_may_be_due() -> None:
    silence = Silence(1000)
    heard(silence, [0], [0])

    assert stops(silence, [910, 950, 1020, 1030], 900) == [3]


def test_stops_where_a_late_reading_among_the_rows_is_due() -> None:
    silence = Silence(1000)

    assert stops(silence, [5000, 10, 5050, 5110, 5250]) == [4]


def test_rows_that_are_not_heard_are_not_waited_for() -> None:
    silence = Silence(1000)

    assert stops(silence, [0, NO_TIME, NO_TIME], 0) == []
    assert stops(silence, [NO_TIME] * 3) == []
