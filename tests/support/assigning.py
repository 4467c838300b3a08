"""A consumer group on paper: members that join with what they hold, and a leader that assigns."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from aiokafka.coordinator.protocol import (
    ConsumerProtocolMemberAssignment,
    ConsumerProtocolMemberMetadata,
)

from stream_ewma.kafka.assignor import StandbyAssignor


class Topics:
    """Stands in for aiokafka's metadata of the cluster: topics with so many partitions."""

    def __init__(self, counts: Mapping[str, int]) -> None:
        self.counts = counts

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        return set(range(self.counts[topic])) if topic in self.counts else None


class Group:
    """Members by id, each with an assignor of its own; `rebalance` is one generation."""

    def __init__(self, counts: Mapping[str, int], *, standbys: int = 0) -> None:
        self.cluster = Topics(counts)
        self.standbys = standbys
        self.members: dict[str, StandbyAssignor] = {}
        self.subscriptions: dict[str, Sequence[str]] = {}
        self.generation = 0

    def join(self, member: str, topics: Sequence[str] | None = None) -> StandbyAssignor:
        """A member comes, subscribed to all topics unless told otherwise."""
        self.members[member] = StandbyAssignor(self.standbys)
        self.subscriptions[member] = list(self.cluster.counts) if topics is None else topics
        return self.members[member]

    def leave(self, member: str) -> StandbyAssignor:
        return self.members.pop(member)

    def metadata(self) -> dict[str, ConsumerProtocolMemberMetadata]:
        return {
            member: through_wire(assignor.metadata(self.subscriptions[member]))
            for member, assignor in self.members.items()
        }

    def rebalance(self) -> None:
        """All join, the first leads, each is told."""
        self.generation += 1
        leader = next(iter(self.members.values()))
        answer = leader.assign(self.cluster, self.metadata())
        assert answer.keys() == self.members.keys()
        for member, assignor in self.members.items():
            assignor.on_assignment(through_wire(answer[member]))
            assignor.joined(self.generation)

    def warm_all(self) -> None:
        """Every copy has been read to its end."""
        for assignor in self.members.values():
            assignor.warmed(assignor.holding.standbys)

    @property
    def owners(self) -> dict[tuple[str, int], str]:
        """Who has each partition; fails where two have it."""
        return single_owners(
            {member: assignor.holding.owned for member, assignor in self.members.items()}
        )

    @property
    def copies(self) -> dict[tuple[str, int], set[str]]:
        """Who keeps a copy of each partition."""
        found: dict[tuple[str, int], set[str]] = {}
        for member, assignor in self.members.items():
            for partition in assignor.holding.standbys:
                found.setdefault(partition, set()).add(member)
        return found


Sent = TypeVar("Sent", ConsumerProtocolMemberMetadata, ConsumerProtocolMemberAssignment)


def through_wire(sent: Sent) -> Sent:
    """As the other side gets it."""
    return type(sent).decode(sent.encode())


def single_owners(owned: Mapping[str, Iterable[tuple[str, int]]]) -> dict[tuple[str, int], str]:
    found: dict[tuple[str, int], str] = {}
    for member, partitions in owned.items():
        for partition in partitions:
            assert partition not in found, f"{partition} twice: {found[partition]} and {member}"
            found[partition] = member
    return found
