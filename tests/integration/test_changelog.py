"""Reading a partition of a changelog to its end, whatever that end is made of, and following it."""

import uuid
from collections.abc import AsyncIterator

import pytest

from stream_ewma.kafka.changelog import ChangelogFollower, ChangelogReader, PositionLostError
from stream_ewma.kafka.consumer import Partition
from stream_ewma.kafka.transactions import TransactionalProducer
from stream_ewma.records.fetched import BatchRun
from stream_ewma.settings import Settings, load_settings
from tests.support.batches import Record, encoded, read
from tests.support.cluster import Cluster, Message


@pytest.fixture
def settings(cluster: Cluster) -> Settings:
    return load_settings(
        env={},
        overrides={
            "application_id": f"app-{uuid.uuid4().hex[:12]}",
            "kafka.bootstrap_servers": cluster.bootstrap,
            "input.topics": ["readings"],
            "smoothing.alpha": 0.1,
        },
    )


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


async def test_a_partition_can_be_read_from_where_one_was(
    cluster: Cluster, reader: ChangelogReader, producer: TransactionalProducer
):
    topic = cluster.create_topic(cleanup_policy="compact")
    await write(producer, topic, b"1", b"2")
    await producer.commit({})
    rows, rest, nothing = Rows(), Rows(), Rows()
    position = await reader.read(topic, 0, rows.take)
    await write(producer, topic, b"3")
    await producer.commit({})

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
