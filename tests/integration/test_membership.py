"""What a member knows of its place in the group."""

from stream_ewma.kafka.consumer import GroupConsumer
from stream_ewma.kafka.partition import Partition
from tests.support.broker import RealBroker
from tests.support.cluster import Cluster
from tests.support.waiting import until

from .test_topics import settings_for

QUICK = {
    "kafka__session_timeout_ms": 6_000,
    "kafka__heartbeat_interval_ms": 500,
    "kafka__request_timeout_ms": 4_000,
}


async def test_a_member_that_hears_nothing_of_the_group_does_not_count_itself_in(
    own_broker: RealBroker,
):
    cluster = Cluster(own_broker.bootstrap)
    source = cluster.create_topic()
    assigned: list[frozenset[Partition]] = []

    async def on_revoked() -> None:
        pass

    settings = settings_for(cluster, source, **QUICK)
    member = GroupConsumer(settings, on_revoked, assigned.append)
    assert not member.is_member
    await member.start()
    try:
        await until(lambda: assigned and member.is_member)
        own_broker.pause()
        try:
            await until(lambda: not member.is_member)
        finally:
            own_broker.resume()
        await until(lambda: member.is_member)
    finally:
        await member.stop()
