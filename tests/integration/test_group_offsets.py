"""The group's offsets, read and put right by a client that is no member."""

import pytest

from stream_ewma.errors import BrokerUnavailableError, ServiceRunningError
from stream_ewma.kafka.consumer import GroupConsumer
from stream_ewma.kafka.group import Noted, group_of
from stream_ewma.kafka.partition import Partition
from tests.support.cluster import Cluster, Message
from tests.support.waiting import until

from .test_topics import settings_for


async def test_offsets_are_read_set_and_forgotten(cluster: Cluster):
    source, other = cluster.create_topic(partitions=2), cluster.create_topic()
    settings = settings_for(cluster, source, other)
    first, second, third = Partition(source, 0), Partition(source, 1), Partition(other, 0)

    async with group_of(settings) as group:
        assert await group.members() == 0
        assert await group.committed([first, second]) == {first: None, second: None}
        await group.delete_committed([first])
        await group.note({first: Noted(7), third: Noted(9)})
        assert await group.committed([first, second, third]) == {first: 7, second: None, third: 9}
        assert cluster.committed(settings.application_id, source) == {0: 7}
        await group.delete_committed([first])
        assert await group.committed([first, third]) == {first: None, third: 9}
        assert await group.committed([]) == await group.bounds([]) == {}
        await group.note({})
        await group.delete_committed([])


async def test_bounds_are_told_without_joining(cluster: Cluster):
    source = cluster.create_topic()
    settings = settings_for(cluster, source)
    cluster.produce(source, [Message(b"k", b"v")] * 5)
    cluster.delete_records(source, {0: 2})

    async with group_of(settings) as group:
        assert await group.bounds([Partition(source, 0)]) == {Partition(source, 0): (2, 5)}
    assert cluster.members(settings.application_id) == {}


async def test_offsets_of_a_group_with_members_stay_as_they_are(cluster: Cluster):
    source = cluster.create_topic()
    settings = settings_for(cluster, source)
    partition = Partition(source, 0)
    assigned: list[frozenset[Partition]] = []

    async def on_revoked() -> None:
        pass

    async with group_of(settings) as group:
        await group.note({partition: Noted(3)})
        member = GroupConsumer(settings, on_revoked, assigned.append)
        await member.start()
        await until(lambda: assigned)
        assert await group.members() == 1
        with pytest.raises(ServiceRunningError, match=r"in the group .*: stop the service first"):
            await group.note({partition: Noted(4)})
        with pytest.raises(ServiceRunningError, match=r"in the group .*: stop the service first"):
            await group.delete_committed([partition])
        await member.stop()
        assert await group.committed([partition]) == {partition: 3}
        await group.note({partition: Noted(4)})


async def test_a_broker_that_does_not_answer_is_named(cluster: Cluster):
    settings = settings_for(cluster, "readings", kafka__bootstrap_servers="127.0.0.1:1")

    with pytest.raises(BrokerUnavailableError):
        async with group_of(settings):
            pass
