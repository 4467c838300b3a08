"""Reading a partition of a changelog to its end, whatever that end is made of, and following it."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from stream_ewma.errors import BrokerUnavailableError
from stream_ewma.kafka.changelog import ChangelogFollower, ChangelogReader, PositionLostError
from stream_ewma.kafka.partition import Partition
from stream_ewma.kafka.transactions import TransactionalProducer
from stream_ewma.records.fetched import BatchRun
from stream_ewma.settings import Settings
from tests.support.batches import Record, encoded, read
from tests.support.broker import RealBroker
from tests.support.cluster import Cluster, Message
from tests.support.waiting import until
from tests.support.wire_proxy import FETCH, Rule, WireProxy

from .test_topics import settings_for


@pytest.fixture
def settings(cluster: Cluster) -> Settings:
    return settings_for(cluster, "readings")


@pytest.fixture
async def reader(settings: Settings) -> AsyncIterator[ChangelogReader]:
    made = ChangelogReader(settings)
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def producer(settings: Settings) -> AsyncIterator[TransactionalProducer]:
    made = TransactionalProducer(settings, settings.application_id)
    await made.start()
    yield made
    await made.stop()


class Rows:
    """What a reader handed over."""

    def __init__(self) -> None:
        self.values: list[bytes | None] = []

    async def take(self, runs: list[BatchRun]) -> None:
        for run in runs:
            data = bytes(memoryview(run.data)[run.start : run.end])
            self.values += [each.value for each in read(data)]


async def write(
    producer: TransactionalProducer, topic: str, *values: bytes, partition: int = 0
) -> None:
    await producer.begin()
    for value in values:
        await (await producer.send(encoded([Record(b"k" + value, value)]), topic, partition))


async def test_a_marker_of_a_transaction_at_the_end_is_the_end(
    cluster: Cluster, reader: ChangelogReader, producer: TransactionalProducer
):
    topic = cluster.create_topic(partitions=2, cleanup_policy="compact")
    await write(producer, topic, b"1", b"2")
    await producer.commit({})
    await write(producer, topic, b"3", partition=1)
    await producer.commit({})
    await write(producer, topic, b"4")  # settles the markers of the commit before
    rows, others = Rows(), Rows()

    assert await reader.read(topic, 0, rows.take) == 3
    assert rows.values == [b"1", b"2"]
    assert await reader.read(topic, 1, others.take) == 2
    assert others.values == [b"3"]


async def test_an_empty_partition_is_read_at_once(cluster: Cluster, reader: ChangelogReader):
    topic = cluster.create_topic(cleanup_policy="compact")

    async def fail(runs: list[BatchRun]) -> None:
        raise AssertionError(runs)

    assert await reader.read(topic, 0, fail) == 0


async def test_an_aborted_transaction_at_the_end_is_not_read_and_does_not_delay_the_end(
    cluster: Cluster, reader: ChangelogReader, producer: TransactionalProducer, settings: Settings
):
    topic = cluster.create_topic(cleanup_policy="compact")
    await write(producer, topic, b"1")
    await producer.commit({})
    await write(producer, topic, b"aborted", b"aborted too")
    await producer.abort()
    await start_again(settings)  # returns when the abort's marker is written
    rows = Rows()

    assert await reader.read(topic, 0, rows.take) == 5
    assert rows.values == [b"1"]


async def test_a_zombies_open_transaction_bounds_the_end_until_it_is_fenced(
    cluster: Cluster, reader: ChangelogReader, producer: TransactionalProducer, settings: Settings
):
    topic = cluster.create_topic(cleanup_policy="compact")
    await write(producer, topic, b"1")
    await producer.commit({})
    await write(producer, topic, b"of the zombie")
    cluster.produce(topic, [Message(b"k", b"of another")])
    before, after = Rows(), Rows()

    assert await reader.read(topic, 0, before.take) == 2
    assert before.values == [b"1"]
    await start_again(settings)
    assert await reader.read(topic, 0, after.take) == 5
    assert after.values == [b"1", b"of another"]


async def test_a_compacted_tail_does_not_delay_the_end(
    cluster: Cluster, reader: ChangelogReader, producer: TransactionalProducer, settings: Settings
):
    topic = cluster.create_topic(
        cleanup_policy="compact",
        min_cleanable_dirty_ratio="0.001",
        delete_retention_ms="0",
        segment_ms="100",
    )
    for value in (b"old", b"new"):
        cluster.produce(topic, [Message(b"k", value), Message(b"gone", value)])
    cluster.produce(topic, [Message(b"gone", None)])
    await write(producer, topic, b"aborted")
    # The marker's time is the broker's, so that it begins a segment of its own: the last one, and
    # all before it is compacted.
    await producer.abort()
    await start_again(settings)
    await until(lambda: len(cluster.read(topic)) <= 2)
    rows = Rows()

    assert await reader.read(topic, 0, rows.take) == 7
    assert [value for value in rows.values if value is not None] == [b"new"]


async def test_a_read_that_was_cancelled_or_failed_leaves_the_reader_useful(
    cluster: Cluster,
    reader: ChangelogReader,
    producer: TransactionalProducer,
    monkeypatch: pytest.MonkeyPatch,
):
    topic = cluster.create_topic(partitions=2, cleanup_policy="compact")
    await write(producer, topic, b"1")
    await producer.commit({})
    await write(producer, topic, b"2", partition=1)
    await producer.commit({})
    await write(producer, topic, b"3", partition=1)
    stuck = asyncio.Event()

    async def hang(_runs: list[BatchRun]) -> None:
        stuck.set()
        await asyncio.Event().wait()

    async def fail(_runs: list[BatchRun]) -> None:
        raise ValueError("not to be understood")

    reading = asyncio.create_task(reader.read(topic, 0, hang))
    await stuck.wait()
    reading.cancel()
    await asyncio.wait({reading})
    assert reading.cancelled()
    with pytest.raises(ValueError, match="not to be understood"):
        await reader.read(topic, 0, fail)
    polled = asyncio.Event()
    getmany = reader._consumer.getmany

    async def tell(*tps: object, timeout_ms: int) -> object:
        polled.set()
        return await getmany(*tps, timeout_ms=timeout_ms)

    monkeypatch.setattr(reader._consumer, "getmany", tell)
    polling = asyncio.create_task(reader.read(topic, 0, fail))
    await polled.wait()
    assert reader._polling is not None
    polling.cancel()
    await asyncio.wait({polling})
    assert not reader._polling.cancelled()

    rows, others = Rows(), Rows()
    assert await reader.read(topic, 1, others.take) == 2
    assert others.values == [b"2"]
    assert await reader.read(topic, 0, rows.take) == 2
    assert rows.values == [b"1"]


async def test_a_partition_from_which_nothing_arrives_is_given_up(
    own_broker: RealBroker,
):
    own = Cluster(own_broker.bootstrap)
    topic = own.create_topic(cleanup_policy="compact")
    own.produce(topic, [Message(b"k", b"v")])
    async with WireProxy(own_broker.proxied_bootstrap, own_broker.behind_proxy) as proxy:
        reader = ChangelogReader(
            settings_for(
                own,
                "readings",
                kafka__bootstrap_servers=own_broker.proxied_bootstrap,
                kafka__startup_timeout="1s",
                kafka__request_timeout_ms=1000,
                kafka__session_timeout_ms=900,
                kafka__heartbeat_interval_ms=300,
            )
        )
        await reader.start()
        proxy.add(Rule(FETCH, answer="drop", cut=False, times=1000))
        with pytest.raises(BrokerUnavailableError, match="nothing arrives"):
            await reader.read(topic, 0, Rows().take)
        await reader.stop()


async def start_again(settings: Settings) -> None:
    """Fence the producer: nothing of it is open or on its way afterwards."""
    successor = TransactionalProducer(settings, settings.application_id)
    await successor.start()
    await successor.stop()


async def test_a_partition_can_be_read_from_where_one_was(
    cluster: Cluster, reader: ChangelogReader, producer: TransactionalProducer
):
    topic = cluster.create_topic(cleanup_policy="compact")
    await write(producer, topic, b"1", b"2")
    await producer.commit({})
    rows, rest, nothing = Rows(), Rows(), Rows()
    # A commit is answered before its marker stands in the log; who fences first, waits for that.
    await asyncio.to_thread(cluster.wait_for, topic, 2)
    position = await reader.read(topic, 0, rows.take)
    await write(producer, topic, b"3")
    await producer.commit({})
    await asyncio.to_thread(cluster.wait_for, topic, 3)

    end = await reader.read(topic, 0, rest.take, position=position)
    assert rest.values == [b"3"]
    assert await reader.read(topic, 0, nothing.take, position=end) == end
    assert nothing.values == []


async def test_a_position_that_a_partition_does_not_have_is_lost(
    cluster: Cluster, reader: ChangelogReader
):
    topic = cluster.create_topic()
    cluster.produce(topic, [Message(b"k", b"v") for _ in range(3)])
    cluster.delete_records(topic, {0: 2})
    rows = Rows()

    for position in (1, 4):
        with pytest.raises(PositionLostError):
            await reader.read(topic, 0, rows.take, position=position)
    assert rows.values == []
    assert await reader.read(topic, 0, rows.take, position=2) == 3


@pytest.fixture
async def follower(settings: Settings) -> AsyncIterator[ChangelogFollower]:
    made = ChangelogFollower(settings)
    await made.start()
    yield made
    await made.stop()


async def follow_to_end(
    follower: ChangelogFollower, rows: dict[Partition, Rows]
) -> dict[Partition, int]:
    """Poll until all partitions are at their end; the positions then."""
    positions: dict[Partition, int] = {}
    ends: set[Partition] = set()
    while ends != rows.keys():
        for partition, followed in (await follower.poll()).items():
            await rows[partition].take(followed.runs)
            assert followed.position >= positions.get(partition, 0)
            positions[partition] = followed.position
            if followed.is_at_end:
                ends.add(partition)
    return positions


async def test_partitions_are_followed_as_they_are_written(
    cluster: Cluster,
    settings: Settings,
    follower: ChangelogFollower,
    producer: TransactionalProducer,
):
    topic = cluster.create_topic(settings.changelog_topic("readings"), partitions=3)
    rows = {Partition("readings", number): Rows() for number in range(3)}
    first, second, empty = rows
    await write(producer, topic, b"1", b"2")
    await producer.commit({})
    await follower.follow(dict.fromkeys(rows))
    await follow_to_end(follower, rows)
    assert rows[first].values == [b"1", b"2"]

    await write(producer, topic, b"3")
    await producer.abort()
    await write(producer, topic, b"b", partition=1)
    await producer.commit({})
    while not rows[second].values:
        positions = await follow_to_end(follower, rows)
    await write(producer, topic, b"4")  # is not committed
    positions = await follow_to_end(follower, rows)

    assert [rows[each].values for each in rows] == [[b"1", b"2"], [b"b"], []]
    assert positions[empty] == 0
    assert positions[second] == 2, "the transaction's marker is passed"
    again = {second: Rows(), empty: Rows()}
    await follower.follow({second: 1, empty: 0})
    assert (await follow_to_end(follower, again)).keys() == {second, empty}
    assert again[second].values == []


async def test_who_follows_a_changelog_that_is_another_one_is_told(
    cluster: Cluster, settings: Settings, follower: ChangelogFollower
):
    topic = cluster.create_topic(settings.changelog_topic("readings"), partitions=2)
    cluster.produce(topic, [Message(b"k", b"v", partition=p) for p in range(2)])
    rows = {Partition("readings", number): Rows() for number in range(2)}
    first, second = rows
    await follower.follow({first: 1, second: 7})

    with pytest.raises(PositionLostError) as lost:
        await follow_to_end(follower, rows)

    assert lost.value.partitions == {second}
