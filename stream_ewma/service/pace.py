"""When partitions may commit, and when the brokers are asked: never for too much of a core."""

import math
from collections.abc import Callable
from typing import Final

COMMIT_COST_S: Final = 0.0025
"""CPU that a transaction's requests cost the client, in seconds: 0.4 to 5 ms are measured."""
ROW_COST_S: Final = 1e-6
"""CPU that a row of state costs on its way into the changelog, in seconds, at most."""
COMMIT_SHARE: Final = 0.25
"""Most of one core that commits may take."""
AT_ONCE: Final = 8
"""Commits under way together that no broker minds."""
STUCK_S: Final = 2.0
"""A commit under way for longer waits for something else than its turn, and holds up no other."""
STEP_SHARE: Final = 0.2
"""Most of the time that steps over few records may take."""
LEAST_PAUSE_S: Final = 0.01
MOST_PAUSE_S: Final = 1.0
MANY_RECORDS: Final = 1_000
"""Records of a partition that are worth a step of their own."""


class CommitPace:
    """Hands out the moments at which the partitions of a process may commit.

    Each commit takes up its cost's share of the future, so that with many busy partitions the time
    between two commits of one partition grows instead of the CPU time that commits take.

    And no more are under way together than the pace leads to where brokers answer as fast as they
    ever did, twice over (Little's law). Brokers that cannot keep up have nothing of a longer queue,
    and whoever else asks them waits behind it.
    """

    def __init__(self) -> None:
        self._free_at = 0.0
        self._under_way: dict[object, float] = {}
        self._waiting: dict[object, Callable[[], None]] = {}
        self._least_s = 0.0

    @staticmethod
    def spacing_s(rows: int) -> float:
        """What a commit of so many rows takes up of the future."""
        return (COMMIT_COST_S + ROW_COST_S * rows) / COMMIT_SHARE

    def reserve(self, earliest: float, rows: int) -> float:
        """The moment of the next commit, at or after `earliest`; it is taken by this call.

        Args:
            earliest: not before.
            rows: how many it is expected to write.
        """
        moment = max(earliest, self._free_at)
        self._free_at = moment + self.spacing_s(rows)
        return moment

    @property
    def most_at_once(self) -> int:
        """Commits that may be under way together."""
        return max(math.ceil(2 * self._least_s / self.spacing_s(0)), AT_ONCE)

    def has_room(self, who: object, now: float, wake: Callable[[], None]) -> bool:
        """Whether one more commit may be under way.

        Args:
            who: would begin it.
            now: the loop's time.
            wake: called when it may have become possible, if it is not.
        """
        self._waiting.pop(who, None)
        moving = sum(now - began < STUCK_S for began in self._under_way.values())
        if moving < self.most_at_once:
            return True
        self._waiting[who] = wake
        return False

    def begin(self, who: object, now: float) -> None:
        """A commit is under way from now on; one that goes before it counts for both."""
        self._under_way.setdefault(who, now)

    def end(self, who: object, committed_at: float | None) -> None:
        """The commit that was begun, if any, is no longer under way.

        Args:
            who: began it.
            committed_at: the loop's time; None: it is not committed.
        """
        self._waiting.pop(who, None)
        began = self._under_way.pop(who, None)
        if began is None:
            return
        if committed_at is not None:
            self._least_s = min(self._least_s or math.inf, committed_at - began)
        if self._waiting:
            self._waiting.pop(next(iter(self._waiting)))()


class PollPace:
    """How long what comes drop by drop is gathered, as Kafka's producers linger.

    A step, and what goes before and after it here and at the brokers, costs about the same for one
    record as for hundreds. A record that comes alone does not wait: the pause is behind it.
    """

    def __init__(self) -> None:
        self._spent_s = 0.0

    def pause_s(self, most_records: int, spent_s: float) -> float:
        """Seconds until the brokers are asked again.

        Args:
            most_records: of any one partition in the last answer.
            spent_s: seconds that all steps took until now.
        """
        recently_s, self._spent_s = spent_s - self._spent_s, spent_s
        if not 0 < most_records < MANY_RECORDS:
            return 0.0
        return min(max(recently_s * (1 / STEP_SHARE - 1), LEAST_PAUSE_S), MOST_PAUSE_S)
