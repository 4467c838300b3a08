"""How long what comes drop by drop is gathered before the brokers are asked again."""

import pytest

from stream_ewma.service.pace import (
    LEAST_PAUSE_S,
    MANY_RECORDS,
    MOST_PAUSE_S,
    STEP_SHARE,
    PollPace,
)


def test_where_nothing_came_or_much_there_is_no_pause() -> None:
    pace = PollPace()

    assert pace.pause_s(0, 1.0) == 0.0
    assert pace.pause_s(MANY_RECORDS, 2.0) == 0.0


def test_steps_take_a_stated_share_of_the_time() -> None:
    pace = PollPace()
    pace.pause_s(1, 3.0)

    pause_s = pace.pause_s(1, 3.01)

    assert 0.01 / (0.01 + pause_s) == pytest.approx(STEP_SHARE)


def test_a_pause_has_its_bounds() -> None:
    pace = PollPace()

    assert pace.pause_s(1, 0.0) == LEAST_PAUSE_S
    assert pace.pause_s(1, 60.0) == MOST_PAUSE_S
