"""Sessions by the calendar: which day, at which place, a moment belongs to."""

from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from stream_ewma.engine.sessions import DailySessions


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def beginnings(sessions: DailySessions, moments: list[str]) -> list[str]:
    found = sessions.of(np.array([ms(moment) for moment in moments], np.int64))
    return [datetime.fromtimestamp(each / 1000, UTC).strftime("%m-%dT%H:%M") for each in found]


def test_a_session_begins_at_its_time_and_place() -> None:
    sessions = DailySessions(time(6), ZoneInfo("Europe/Zurich"))

    found = beginnings(
        sessions,
        ["2026-01-10T04:59:59Z", "2026-01-10T05:00:00Z", "2026-01-11T04:00:00Z"],
    )

    assert found == ["01-09T05:00", "01-10T05:00", "01-10T05:00"]


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2026-03-28T12:00:00Z", "03-28T05:00"),
        ("2026-03-29T03:59:59Z", "03-28T05:00"),  # the short night: 23 hours
        ("2026-03-29T04:00:00Z", "03-29T04:00"),
        ("2026-10-25T04:59:59Z", "10-24T04:00"),  # the long night: 25 hours
        ("2026-10-25T05:00:00Z", "10-25T05:00"),
    ],
)
def test_summer_time_makes_days_shorter_and_longer(moment: str, expected: str) -> None:
    sessions = DailySessions(time(6), ZoneInfo("Europe/Zurich"))
    assert beginnings(sessions, [moment]) == [expected]


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago", "UTC"])
@pytest.mark.parametrize("hour", [0, 12, 23])
def test_every_moment_lies_in_the_session_that_began_last(zone: str, hour: int) -> None:
    sessions = DailySessions(time(hour, 30), ZoneInfo(zone))
    moments = np.arange(ms("2026-05-01T00:00:00Z"), ms("2026-05-04T00:00:00Z"), 1_234_567)

    begins = sessions.of(moments)

    assert (begins <= moments).all()
    assert (moments - begins < 86_400_000).all()
    local = datetime.fromtimestamp(int(begins[0]) / 1000, ZoneInfo(zone))
    assert (local.hour, local.minute) == (hour, 30)


def test_beyond_the_calendar_a_session_is_a_day_of_utc() -> None:
    sessions = DailySessions(time(6), ZoneInfo("Europe/Zurich"))
    day = 86_400_000
    far = np.array([2**53 - 1, -(2**53) + 1], np.int64)
    assert sessions.of(far).tolist() == [(t // day) * day for t in far.tolist()]
    assert sessions.of(np.empty(0, np.int64)).tolist() == []


def test_days_are_remembered_but_not_for_ever() -> None:
    sessions = DailySessions(time(6), ZoneInfo("UTC"))
    days = np.arange(5000, dtype=np.int64) * 86_400_000 + 7 * 3_600_000
    assert (sessions.of(days) == days - 3_600_000).all()
    assert len(sessions._known) <= 4096
