"""Sessions that begin every day at a given time and place: which one each reading belongs to."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from stream_ewma.columns import Int64

_DAY_MS: Final = 86_400_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_FIRST_DAY: Final = -719_000  # some days of room at both ends of what datetime can say
_LAST_DAY: Final = 2_932_000
_MOST_REMEMBERED: Final = 4096


@dataclass(frozen=True, slots=True)
class DailySessions:
    """A session for each day.

    Attributes:
        at: the local time at which one ends and the next begins.
        zone: whose local time; changes of summer time make a session an hour longer or shorter.
    """

    at: time
    zone: ZoneInfo
    _known: dict[int, tuple[int, ...]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def of(self, timestamp: Int64) -> Int64:
        """The beginning of the session of each event time, in milliseconds since the epoch.

        Args:
            timestamp: int64 (n,), milliseconds since the epoch. Outside of the years 2 to 9997 a
                session is a day of UTC.
        """
        day = timestamp // _DAY_MS
        session = day * _DAY_MS
        for number in np.unique(day).tolist():
            if not _FIRST_DAY < number < _LAST_DAY:
                continue
            rows = np.flatnonzero(day == number)
            begins = np.array(self._around(number), np.int64)
            session[rows] = begins[np.searchsorted(begins, timestamp[rows], "right") - 1]
        return session

    def _around(self, day: int) -> tuple[int, ...]:
        """When the sessions begin that can hold a moment of this day of UTC, in order.

        A place's clock may be a day away from UTC: the first of these begins before the day does,
        the last before it ends.
        """
        known = self._known.get(day)  # several partitions ask, each on a thread of its own
        if known is None:
            if len(self._known) >= _MOST_REMEMBERED:
                self._known.clear()
            dates = (date(1970, 1, 1) + timedelta(days=day + shift) for shift in range(-3, 3))
            starts = (datetime.combine(each, self.at, self.zone) for each in dates)
            begins = ((start - _EPOCH) // _MILLISECOND for start in starts)
            known = tuple(begin for begin in begins if begin < (day + 1) * _DAY_MS)
            self._known[day] = known
        return known
