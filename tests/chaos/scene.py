"""What a fault works on, and how long the service takes to get over it."""

import random
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from tests.support.waiting import wait_until

from .brokers import Brokers
from .failpoints import Failpoint
from .feeder import monotonic
from .fleet import Member
from .service import Chaos

BUDGET_S = 120.0


@dataclass
class Outcome:
    """What came of a fault.

    Attributes:
        hit: whether it struck what it was meant to; else the run says nothing about it.
        detail: what it struck.
        recovery: seconds from a fault's end to new outputs, by what is measured.
    """

    hit: bool
    detail: str
    recovery: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Fault:
    """One way to break things.

    Attributes:
        brokers: how many it needs.
        spares_nobody: whether any member may end by it.
    """

    name: str
    inject: Callable[["Scene"], Outcome]
    brokers: int = 1
    spares_nobody: bool = False


@dataclass
class Scene:
    """A running service with its brokers.

    Attributes:
        draw: decides victims, moments and durations.
        size: members that the group is to have.
        spared: the name of a member that is to live to the end, whatever else befalls it.
    """

    chaos: Chaos
    brokers: Brokers
    draw: random.Random
    size: int
    spared: str = ""

    def owner(self, *, ends: bool = False) -> tuple[Member, list[int]]:
        """Some member that has partitions, and which; one that may end, if it is to end."""
        safe = {self.spared} if ends else set()
        owners = wait_until(
            lambda: self._owners(safe), timeout_s=BUDGET_S, what="nobody has partitions"
        )
        name = self.draw.choice(sorted(set(owners.values()) - safe))
        member = next(each for each in self.chaos.fleet.members if each.name == name)
        return member, [number for number, owner in owners.items() if owner == name]

    def _owners(self, safe: set[str]) -> dict[int, str]:
        living = {member.name for member in self.chaos.fleet.living}
        owners = self.chaos.owners()
        names = set(owners.values())
        return owners if names - safe and living.issuperset(names) else {}

    def fill(self) -> None:
        """Start members until there are enough, end some if there are too many."""
        fleet = self.chaos.fleet
        started = [fleet.launch() for _ in range(self.size - len(fleet.living))]
        for member in started:
            member.wait_ready()
        surplus = max(len(fleet.living) - self.size, 0)
        for member in self.draw.sample([m for m in fleet.living if m.name != self.spared], surplus):
            member.terminate()
            member.wait_exit()

    def mark(self) -> dict[int, int]:
        """Where the outputs end now, committed or not."""
        return self.chaos.cluster.end_offsets(self.chaos.topics.output)

    def wait_outputs(
        self,
        mark: Mapping[int, int],
        partitions: Collection[int] | None = None,
        budget_s: float = BUDGET_S,
    ) -> float:
        """Wait for outputs behind `mark` in all partitions; answers when the last one came.

        Raises:
            TimeoutError: there are none.
        """
        wanted = set(mark if partitions is None else partitions)
        times: list[float] = []

        def arrived() -> bool:
            self.chaos.judge.check()
            self.chaos.feeder.check()
            seen = self.chaos.judge.arrivals
            for partition in list(wanted):
                if seen.offset.get(partition, -1) >= mark[partition]:
                    times.append(seen.at[partition])
                    wanted.discard(partition)
            return not wanted

        wait_until(
            arrived,
            timeout_s=budget_s,
            what=lambda: (
                f"no outputs of {sorted(wanted)}; {self.chaos.judge.place()}\n"
                f"{self.chaos.fleet.logs()}"
            ),
        )
        return max(times, default=monotonic())

    def wait_hit(self, member: Member, timeout_s: float = 60.0) -> bool:
        """Wait until a failpoint of a member is hit; answers whether it was."""
        try:
            wait_until(lambda: bool(member.events) or not member.alive, timeout_s=timeout_s)
        except TimeoutError:
            return False
        return bool(member.events)

    def launch(self, *points: Failpoint) -> Member:
        """Start a member without waiting for it."""
        return self.chaos.fleet.launch(*points)


def pause(seconds: float) -> None:
    """Let a fault last."""
    end = monotonic() + seconds
    wait_until(lambda: monotonic() > end, timeout_s=seconds + 5.0)
