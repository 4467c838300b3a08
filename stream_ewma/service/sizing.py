"""How many records one transaction of a partition takes in, so that it ends before its time."""

from typing import Final

LEAST_RECORDS: Final = 100
_SLOW: Final = 1 / 2
_QUICK: Final = 1 / 8


class TransactionSize:
    """The most records of one transaction: fewer where transactions become slow, then more again.

    Without a bound, what has come meanwhile makes the next transaction the larger the slower the
    last one was, until the brokers give one up: with it all of its work, and the same once more.

    Args:
        most: records that are never exceeded.
        timeout_s: seconds after which the brokers give a transaction up.

    Attributes:
        limit: records after which a transaction takes in nothing more.
    """

    def __init__(self, most: int, timeout_s: float) -> None:
        self._most = most
        self._timeout_s = timeout_s
        self.limit = most

    @property
    def is_least(self) -> bool:
        """Whether it cannot become less."""
        return self.limit <= min(LEAST_RECORDS, self._most)

    def committed(self, records: int, seconds: float) -> None:
        """A transaction of so many records was open for so long."""
        if seconds > self._timeout_s * _SLOW:
            self._reduce(min(records, self.limit) // 2)
        elif seconds < self._timeout_s * _QUICK:
            self.limit = min(self.limit * 2, self._most)

    def expired(self, records: int) -> None:
        """A transaction of about so many records did not end in time."""
        # Offsets are counted, of which some have no record, and what is computed already.
        self._reduce(min(records, self.limit) // 4)

    def _reduce(self, records: int) -> None:
        self.limit = min(self.limit, max(records, LEAST_RECORDS))
