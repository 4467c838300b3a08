"""Which member of the group gets which partition, and who keeps a warm copy of its state.

The group's leader decides from what each member tells when it joins: what it owned, since which
generation, and of what it holds copies. A partition stays where it is as far as an even
distribution allows; one that must move goes to a member with a warm copy of its state. Members also
tell where they answer HTTP, and the leader tells all who has what.

aiokafka's own sticky assignor does not know of copies, and keeps its memory in class attributes,
where two consumers in one process overwrite each other's. An instance of this one belongs to one
consumer.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from aiokafka import TopicPartition
from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.coordinator.protocol import (
    ConsumerProtocolMemberAssignment,
    ConsumerProtocolMemberMetadata,
)

from stream_ewma.kafka.placement import FORBIDDEN, NOBODY, Ints, place

_PROTOCOL_VERSION: Final = 0
_VERSION: Final = 1
_MAX_GENERATION: Final = 2**31 - 1
# What is still to be read of the state where a partition goes: little, a part, all of it.
_WARM, _PARTLY, _NOTHING = 0, 2, 3
# The brokers keep what all members are told as one record, of a megabyte as it comes.
_MOST_TOLD_BYTES: Final = 256 << 10
_ADDRESS: Final = re.compile(r"(?:[A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\]):[0-9]{1,5}")

Partitions = frozenset[TopicPartition]


@dataclass(frozen=True, slots=True)
class Holding:
    """What a member has when it joins.

    Attributes:
        generation: of the group, at the member's last assignment; -1: it never had one.
        owned: partitions assigned to it then.
        standbys: partitions whose state it follows.
        warm: those of them that it has followed to the end.
        address: host:port where it answers HTTP; None: nowhere.
    """

    generation: int = -1
    owned: Partitions = frozenset()
    standbys: Partitions = frozenset()
    warm: Partitions = frozenset()
    address: str | None = None

    def to_bytes(self) -> bytes:
        """The user data of a member's metadata."""
        # Members of a former release pass over the names that they do not know.
        more = {} if self.address is None else {"address": self.address}
        return _to_json(
            **more,
            generation=self.generation,
            owned=_by_topic(self.owned),
            standbys=_by_topic(self.standbys),
            warm=_by_topic(self.warm),
        )

    @classmethod
    def from_bytes(cls, data: bytes | None) -> "Holding":
        """The same from user data; of an unknown or damaged one, nothing."""
        found = _from_json(data)
        generation, address = found.get("generation"), _address(found)
        if type(generation) is not int or not 0 <= generation <= _MAX_GENERATION:
            return cls(address=address)
        owned, standbys, warm = (_partitions(found, n) for n in ("owned", "standbys", "warm"))
        return cls(generation, owned, standbys, warm, address)


class StandbyAssignor(AbstractPartitionAssignor):  # type: ignore[misc]  # aiokafka has no types
    """Even, sticky, with standbys; one for each consumer.

    Args:
        standbys: members that keep a warm copy of each partition, where this one is the leader.

    Attributes:
        holding: what this member has.
        addresses: where the owner of each partition answers HTTP, as far as it is known.
    """

    name = "stream-ewma-sticky"

    def __init__(self, standbys: int) -> None:
        self._standbys = standbys
        self.holding = Holding()
        self.addresses: dict[TopicPartition, str] = {}

    def advertise(self, address: str) -> None:
        """Where this member answers HTTP."""
        self.holding = replace(self.holding, address=address)

    def joined(self, generation: int) -> None:
        """The group's generation to which the last assignment belongs."""
        self.holding = replace(self.holding, generation=generation)

    def warmed(self, warm: Iterable[TopicPartition]) -> None:
        """These of the standbys are warm, and no others."""
        warm_now = self.holding.standbys.intersection(warm)
        self.holding = replace(self.holding, warm=warm_now)

    # -- what aiokafka calls ------------------------------------------------------------------

    def metadata(self, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
        """What this member tells when it joins."""
        return ConsumerProtocolMemberMetadata(
            _PROTOCOL_VERSION, sorted(topics), self.holding.to_bytes()
        )

    def on_assignment(self, assignment: ConsumerProtocolMemberAssignment) -> None:
        """Take note of what the leader has decided."""
        told = _from_json(assignment.user_data)
        standbys = _partitions(told, "standbys")
        self.addresses = _addresses(told)
        self.holding = replace(
            self.holding,
            owned=frozenset(assignment.partitions()),
            standbys=standbys,
            warm=self.holding.warm & standbys,
        )

    def assign(
        self,
        cluster: ClusterMetadata,
        members: Mapping[str, ConsumerProtocolMemberMetadata],
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        """Decide as the group's leader: the assignment of each member, by member id."""
        topics = {
            topic: frozenset(cluster.partitions_for_topic(topic) or ())
            for metadata in members.values()
            for topic in metadata.subscription
        }
        table = _Table(topics, members)
        owners = table.owners()
        owned = table.by_member(owners)
        standbys: dict[str, list[TopicPartition]] = defaultdict(list)
        for holders in table.standbys(owners, self._standbys):
            for member, partitions in table.by_member(holders).items():
                standbys[member] += partitions
        told = _told(members, owned)
        return {
            member: ConsumerProtocolMemberAssignment(
                _PROTOCOL_VERSION,
                sorted(_by_topic(owned[member]).items()),
                _to_json(standbys=_by_topic(standbys[member]), **told),
            )
            for member in members
        }


class _Table:
    """Partitions and members of one assignment, as rows and columns in a fixed order."""

    def __init__(
        self,
        topics: Mapping[str, frozenset[int]],
        members: Mapping[str, ConsumerProtocolMemberMetadata],
    ) -> None:
        self._members = sorted(members)
        self._partitions = sorted(
            TopicPartition(topic, number) for topic in topics for number in topics[topic]
        )
        rows = {partition: row for row, partition in enumerate(self._partitions)}
        shape = (len(self._partitions), len(self._members))
        self._missing = np.full(shape, _NOTHING, np.int64)
        self._forbidden = np.zeros(shape, np.bool_)
        self._previous = np.full(shape[0], NOBODY, np.int64)
        number = {topic: index for index, topic in enumerate(sorted(topics))}
        self._topic = np.array([number[each.topic] for each in self._partitions], np.int64)
        generations = np.full(shape[0], -1, np.int64)
        for column, member in enumerate(self._members):
            metadata = members[member]
            mine = [number[topic] for topic in metadata.subscription]
            self._forbidden[:, column] = ~np.isin(self._topic, mine)
            holding = Holding.from_bytes(metadata.user_data)
            for held, missing in ((holding.standbys, _PARTLY), (holding.warm, _WARM)):
                found = [rows[each] for each in held if each in rows]
                self._missing[found, column] = missing
            owned = [rows[each] for each in holding.owned if each in rows]
            # Of two who claim a partition, one was away when it was given to the other.
            newer = [row for row in owned if holding.generation > generations[row]]
            self._previous[newer] = column
            generations[newer] = holding.generation

    def owners(self) -> Ints:
        """The member that gets each partition."""
        costs = self._missing.copy()
        had = np.flatnonzero(self._previous != NOBODY)
        # To keep one more partition in place is worth more than the copies of all others.
        costs[had] += 1 + _NOTHING * len(costs)
        costs[had, self._previous[had]] = 0
        costs[self._forbidden] = FORBIDDEN
        return place(costs, np.zeros(costs.shape[1], np.int64), self._topic)

    def standbys(self, owners: Ints, count: int) -> Iterable[Ints]:
        """The members that keep copies: for each copy, the member of each partition."""
        costs = np.where(self._forbidden, FORBIDDEN, self._missing)
        loads = np.zeros(costs.shape[1], np.int64)
        taken = owners
        for _ in range(min(count, costs.shape[1] - 1)):
            had = np.flatnonzero(taken != NOBODY)
            costs[had, taken[had]] = FORBIDDEN
            # The partitions of one owner are spread: when it dies, they have to be.
            taken = place(costs, loads, owners)
            loads += np.bincount(taken[taken != NOBODY], minlength=len(loads))
            yield taken

    def by_member(self, places: Ints) -> dict[str, list[TopicPartition]]:
        """The partitions of each member."""
        found: dict[str, list[TopicPartition]] = {member: [] for member in self._members}
        for partition, column in zip(self._partitions, places, strict=True):
            if column != NOBODY:
                found[self._members[column]].append(partition)
        return found


def _by_topic(partitions: Iterable[TopicPartition]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for topic, number in sorted(partitions):
        found[topic].append(number)
    return dict(found)


def _told(
    members: Mapping[str, ConsumerProtocolMemberMetadata],
    owned: Mapping[str, Iterable[TopicPartition]],
) -> dict[str, object]:
    """Who has what and where they answer HTTP; nothing, where that is too much to tell all."""
    found = [
        {"address": address, "owned": _by_topic(owned[member])}
        for member, metadata in sorted(members.items())
        if (address := Holding.from_bytes(metadata.user_data).address) is not None
    ]
    size = len(_to_json(members=found)) * len(members)
    return {"members": found} if found and size <= _MOST_TOLD_BYTES else {}


def _addresses(told: Mapping[str, Any]) -> dict[TopicPartition, str]:
    """The same as the members read it."""
    members = told.get("members")
    found: dict[TopicPartition, str] = {}
    for member in members if isinstance(members, list) else []:
        address = _address(member) if isinstance(member, dict) else None
        if address is not None:
            found |= dict.fromkeys(_partitions(member, "owned"), address)
    return found


def _address(found: Mapping[str, Any]) -> str | None:
    """host:port, and nothing that would lead elsewhere in a URL."""
    address = found.get("address")
    return address if isinstance(address, str) and _ADDRESS.fullmatch(address) else None


def _to_json(**values: object) -> bytes:
    return json.dumps({"version": _VERSION, **values}, separators=(",", ":")).encode()


def _from_json(data: bytes | None) -> dict[str, Any]:
    """What another member wrote; nothing if it is no object of this version."""
    try:
        found = json.loads(data or b"null")
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict) or found.get("version") != _VERSION:
        return {}
    return found


def _partitions(found: Mapping[str, Any], name: str) -> Partitions:
    by_topic = found.get(name)
    if not isinstance(by_topic, dict):
        return frozenset()
    return frozenset(
        TopicPartition(topic, number)
        for topic, numbers in by_topic.items()
        if isinstance(numbers, list)
        for number in numbers
        if type(number) is int
    )
