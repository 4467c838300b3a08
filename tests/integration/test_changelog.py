"""Reading a partition of a changelog to its end, whatever that end is made of."""

import uuid
from collections.abc import AsyncIterator

import pytest

from stream_ewma.kafka.changelog import ChangelogReader
from stream_ewma.kafka.transactions import TransactionalProducer
from stream_ewma.records.fetched import BatchRun
from stream_ewma.settings import Settings, load_settings
from tests.support.batches import Record, encoded, read
from tests.support.cluster import Cluster


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
