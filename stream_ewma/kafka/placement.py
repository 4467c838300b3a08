"""Who takes what: every row to one member, evenly, and then as cheaply as can be.

A matter of minimum-cost flow. Each row begins where it costs least; then rows go along chains of
members, from one with too many to one with too few, always along the cheapest chain, which keeps
the whole as cheap as its loads allow.
"""

from collections.abc import Iterable
from typing import Final

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

FORBIDDEN: Final = 1 << 40
"""Cost of a row at a member that may not have it; all other costs of a table add up to less."""
NOBODY: Final = -1
_UNREACHABLE: Final = FORBIDDEN // 2


def place(costs: Ints, loads: Ints, groups: Ints) -> Ints:
    """The member of each row, NOBODY where all are forbidden.

    Loads come out even: no row can go anywhere, directly or by a chain of others that make room,
    so that two members' loads come nearer to each other. Among all even placements the sum of the
    costs is the least. The same arguments give the same answer.

    Args:
        costs: (rows, members), not negative; FORBIDDEN where a member may not have the row.
        loads: (members,) what each has already; not changed.
        groups: (rows,) from 0; rows of one group are spread where that costs nothing.
    """
    state = _Placement(costs, loads.copy(), _cheapest(costs, loads, groups))
    state.even_out()
    state.cheapen()
    return state.places


def _cheapest(costs: Ints, loads: Ints, groups: Ints) -> Ints:
    """Each row where it costs least; among equals where there are fewest, of its group too."""
    places = np.full(len(costs), NOBODY, np.int64)
    if not costs.size:
        return places
    least = costs.min(axis=1)
    candidates = costs == least[:, None]
    total = loads.copy()
    of_group = np.zeros((int(groups.max()) + 1, costs.shape[1]), np.int64)
    for row in range(len(costs)):
        if least[row] >= FORBIDDEN:
            continue
        members = np.flatnonzero(candidates[row])
        group = of_group[groups[row]]
        best = members[np.lexsort((group[members], total[members]))[0]]
        places[row] = best
        total[best] += 1
        group[best] += 1
    return places


class _Placement:
    """A placement while it is made even.

    Attributes:
        places: the member of each row.
    """

    def __init__(self, costs: Ints, loads: Ints, places: Ints) -> None:
        members = len(loads)
        self._costs = costs
        self.places = places
        self._loads = loads + np.bincount(places[places != NOBODY], minlength=members)
        # What it costs to hand the best suited row from one member to another, and which it is.
        self._steps = np.full((members, members), FORBIDDEN, np.int64)
        self._rows = np.zeros((members, members), np.int64)
        self._update(range(members))

    def even_out(self) -> None:
        """Hand rows on until no two loads can come nearer to each other."""
        while any(self._hand_on(source) for source in np.argsort(-self._loads, kind="stable")):
            pass

    def cheapen(self) -> None:
        """Let members whose loads differ by one change roles, where that costs less."""
        while any(self._hand_on(source, 1) for source in range(len(self._loads))):
            pass

    def _hand_on(self, source: int, difference: int = 2) -> bool:
        """One row from `source` along the cheapest chain; False if there is none that helps."""
        ends = self._loads <= self._loads[source] - difference
        if not ends.any():
            return False
        distance, before = self._chains(source)
        distance = np.where(ends, distance, FORBIDDEN)
        target = int(distance.argmin())
        if distance[target] >= (_UNREACHABLE if difference > 1 else 0):
            return False
        chain = [target]
        while chain[-1] != source:
            chain.append(int(before[chain[-1]]))
        for giver, taker in zip(chain[1:], chain, strict=False):
            self.places[self._rows[giver, taker]] = taker
        self._loads[source] -= 1
        self._loads[target] += 1
        self._update(chain)
        return True

    def _chains(self, source: int) -> tuple[Ints, Ints]:
        """The least cost from `source` to each member, and the member before it (Bellman-Ford)."""
        members = np.arange(len(self._loads))
        distance = np.full(len(members), FORBIDDEN, np.int64)
        distance[source] = 0
        before = np.full(len(members), source, np.int64)
        for _ in members:
            through = distance[:, None] + self._steps
            best = through.argmin(axis=0)
            shorter = through[best, members] < distance
            if not shorter.any():
                break
            distance = np.where(shorter, through[best, members], distance)
            before = np.where(shorter, best, before)
        return distance, before

    def _update(self, members: Iterable[int]) -> None:
        for member in members:
            rows = np.flatnonzero(self.places == member)
            if not len(rows):
                self._steps[member] = FORBIDDEN
                continue
            more = self._costs[rows] - self._costs[rows, member][:, None]
            best = more.argmin(axis=0)
            self._steps[member] = more[best, np.arange(more.shape[1])]
            self._rows[member] = rows[best]
