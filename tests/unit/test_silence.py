"""Which keys have fallen silent, by event time alone."""

import numpy as np

from stream_ewma.engine.silence import Silence


def heard(silence: Silence, slots: list[int], last: list[int]) -> None:
    silence.heard(np.array(slots, np.int32), np.array(last, np.int64))


def due(silence: Silence, event_time: int) -> list[int]:
    return silence.due(event_time).tolist()


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
    heard(silence, [5, 5], [0, 10])
    heard(silence, [5], [700])

    assert due(silence, 5000) == [5]
    assert due(silence, 9000) == []


def test_a_key_heard_again_waits_anew() -> None:
    silence = Silence(1000)
    heard(silence, [5], [0])
    assert due(silence, 1000) == [5]
    heard(silence, [5], [800])

    assert due(silence, 1799) == []
    assert due(silence, 1800) == [5]


def test_a_late_reading_is_due_at_the_next_tick_not_at_one_that_has_gone() -> None:
    silence = Silence(1000)
    assert due(silence, 50_000) == []
    heard(silence, [0], [2])

    assert due(silence, 50_099) == []
    assert due(silence, 50_100) == [0]


def test_silence_is_measured_at_the_event_time_that_was_reached() -> None:
    silence = Silence(1000)
    assert silence.is_silent(np.array([0])).tolist() == [False]
    due(silence, 1500)
    assert silence.is_silent(np.array([500, 501])).tolist() == [True, False]


def test_nothing_heard_is_nothing_entered() -> None:
    silence = Silence(1)
    heard(silence, [], [])
    assert due(silence, 10) == []


def test_many_keys_cost_one_list_a_tick() -> None:
    silence = Silence(10_000)
    slots = np.arange(100_000, dtype=np.int32)
    silence.heard(slots, np.arange(100_000, dtype=np.int64) % 5000)

    found = [len(silence.due(time)) for time in range(10_000, 16_000, 1000)]

    assert found == [20, *[20_000] * 4, 19_980]
    assert sum(found) == 100_000
