"""When partitions may commit: not oftener than asked for, and never for too much of a core."""

from typing import Final

COMMIT_COST_S: Final = 0.001
"""CPU that a transaction costs the client, in seconds: 0.4 to 1.3 ms are measured."""
COMMIT_SHARE: Final = 0.25
"""Most of one core that commits may take."""


class CommitPace:
    """Hands out the moments at which the partitions of a process may commit.

    Each commit takes up its cost's share of the future, so that with many busy partitions the time
    between two commits of one partition grows instead of the CPU time that commits take.
    """

    def __init__(self) -> None:
        self._free_at = 0.0

    @staticmethod
    def spacing_s(partitions: int) -> float:
        """Time between two commits of one of so many busy partitions, at the least."""
        return partitions * COMMIT_COST_S / COMMIT_SHARE

    def reserve(self, earliest: float) -> float:
        """The moment of the next commit, at or after `earliest`; it is taken by this call."""
        moment = max(earliest, self._free_at)
        self._free_at = moment + COMMIT_COST_S / COMMIT_SHARE
        return moment
