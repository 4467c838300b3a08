"""Members of a real group come, go and die: who has which partition, and who its copies."""

import asyncio
import json
import sys
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable

import pytest

from stream_ewma.kafka.consumer import GroupConsumer, Partition
from stream_ewma.settings import Settings
from tests.support.cluster import Cluster
from tests.support.given import load
from tests.support.waiting import until

PARTITIONS = 8
MEMBER = """
import asyncio, json, sys

from stream_ewma.kafka.consumer import GroupConsumer
from stream_ewma.settings import load_settings

async def main():
    async def revoked(): pass
    settings = load_settings(env={}, overrides=json.loads(sys.argv[1]))
    consumer = GroupConsumer(settings, revoked, lambda _: None)
    await consumer.start()
    await asyncio.Event().wait()

asyncio.run(main())
"""


class Member:
    """A consumer and what it was assigned; None while it is rejoining."""

    def __init__(self, settings: Settings) -> None:
        self.owned: frozenset[Partition] | None = None
        self.consumer = GroupConsumer(settings, self._revoked, self._assigned)

    @property
    def standbys(self) -> frozenset[Partition]:
        return self.consumer.standby_partitions

    async def _revoked(self) -> None:
        self.owned = None

    def _assigned(self, partitions: frozenset[Partition]) -> None:
        self.owned = partitions


class RealGroup:
    """Members in this process, of a group of their own on an input topic of its own."""

    def __init__(self, cluster: Cluster) -> None:
        self.overrides = {
            "application_id": f"group-{uuid.uuid4().hex[:12]}",
            "kafka.bootstrap_servers": cluster.bootstrap,
            "kafka.session_timeout_ms": "6000",
            "kafka.heartbeat_interval_ms": "100",
            "input.topics": cluster.create_topic(partitions=PARTITIONS),
            "smoothing.alpha": "0.1",
            "state.standbys": "1",
        }
        self.settings = load(dict(self.overrides))
        self.members: list[Member] = []

    @property
    def all(self) -> set[Partition]:
        return {Partition(*self.settings.input.topics, number) for number in range(PARTITIONS)}

    async def join(self) -> Member:
        self.members.append(Member(self.settings))
        await self.members[-1].consumer.start()
        return self.members[-1]

    async def leave(self, member: Member) -> None:
        self.members.remove(member)
        await member.consumer.stop()

    async def settled(self, *, elsewhere: int = 0) -> dict[Partition, Member]:
        """Wait until all partitions are assigned once, `elsewhere` to members not in here."""

        def settled() -> bool:
            owned = [member.owned for member in self.members]
            if None in owned:
                return False
            numbers = Counter(partition for each in owned for partition in each)
            return max(numbers.values()) == 1 and len(numbers) == PARTITIONS - elsewhere

        await until(settled, what=lambda: f"{[member.owned for member in self.members]}")
        return {partition: member for member in self.members for partition in member.owned}

    async def stop(self) -> None:
        await asyncio.gather(*(member.consumer.stop() for member in self.members))


@pytest.fixture
async def group(cluster: Cluster) -> AsyncIterator[RealGroup]:
    group = RealGroup(cluster)
    yield group
    await group.stop()


async def test_over_1_2_3_2_1_members_partitions_stay_where_they_can(group):
    first = await group.join()
    last = await group.settled()
    assert first.standbys == frozenset(), "a copy beside its owner is none"

    async def moved(change: Callable) -> int:
        nonlocal last
        before = last
        await change()
        last = await group.settled()
        loads = Counter(last.values())
        assert max(loads.values()) - min(loads.values()) <= 1
        if len(group.members) > 1:
            copied = Counter(p for member in group.members for p in member.standbys)
            assert copied == dict.fromkeys(group.all, 1)
            assert not any(member.standbys & member.owned for member in group.members)
        return sum(before[partition] is not last[partition] for partition in last)

    assert await moved(group.join) == 4
    assert await moved(group.join) == 2
    third, second = group.members[2], group.members[1]
    assert await moved(lambda: group.leave(third)) == 2
    assert await moved(lambda: group.leave(second)) == 4
    assert first.standbys == frozenset()


async def test_a_member_that_dies_is_replaced_by_its_standby(group, tmp_path):
    script = tmp_path / "member.py"
    script.write_text(MEMBER)
    for _ in range(2):
        await group.join()
    victim = await asyncio.create_subprocess_exec(
        sys.executable, str(script), json.dumps(group.overrides)
    )
    try:
        kept = await group.settled(elsewhere=2)
        lost = group.all - kept.keys()
        copies = {p: member for member in group.members for p in member.standbys if p in lost}
        assert copies.keys() == lost
        for member in group.members:
            member.consumer.warmed(member.standbys)
    finally:
        victim.kill()
        await victim.wait()

    now = await group.settled()

    assert {partition: now[partition] for partition in kept} == kept
    held = Counter(copies.values())
    room = {member: 4 - Counter(kept.values())[member] for member in group.members}
    expected = sum(min(held[member], room[member]) for member in group.members)
    assert sum(copies[partition] is now[partition] for partition in lost) == expected >= 1
