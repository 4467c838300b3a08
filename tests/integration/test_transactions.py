"""Transactions on the real broker: committed once or not at all, whoever else writes."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from stream_ewma.kafka.consumer import Partition
from stream_ewma.kafka.errors import FencedError
from stream_ewma.kafka.transactions import TransactionalProducer
from stream_ewma.settings import Settings, load_settings
from tests.support.batches import Record, encoded
from tests.support.cluster import Cluster

MakeProducer = Callable[..., Awaitable[TransactionalProducer]]


def settings_for(bootstrap: str, **overrides: object) -> Settings:
    return load_settings(
        env={},
        overrides={
            "application_id": f"app-{uuid.uuid4().hex[:12]}",
            "kafka.bootstrap_servers": bootstrap,
            "input.topics": ["readings"],
            "smoothing.alpha": 0.1,
            **{name.replace("__", "."): value for name, value in overrides.items()},
        },
    )


@pytest.fixture
async def make() -> AsyncIterator[MakeProducer]:
    """Start producers; all end with the test."""
    made: list[TransactionalProducer] = []

    async def start(settings: Settings, transactional_id: str = "") -> TransactionalProducer:
        made.append(TransactionalProducer(settings, transactional_id or settings.application_id))
        await made[-1].start()
        return made[-1]

    yield start
    for producer in made:
        await producer.stop()


async def values(cluster: Cluster, topic: str, isolation: str = "read_committed") -> list[bytes]:
    """The values of the records up to the end of what `isolation` shows."""
    read = await asyncio.to_thread(cluster.read, topic, isolation=isolation)
    return [each.value for each in read if each.value is not None]


async def shown(cluster: Cluster, topic: str, expected: list[bytes]) -> None:
    """Wait until the committed records are `expected`: markers follow the commit's answer."""
    read = await asyncio.to_thread(cluster.wait_for, topic, len(expected))
    assert [each.value for each in read] == expected


async def test_a_commit_shows_batches_and_offsets_at_once(cluster: Cluster, make: MakeProducer):
    topic, source = cluster.create_topic(), cluster.create_topic()
    settings = settings_for(cluster.bootstrap)
    producer = await make(settings)
    expected: list[bytes] = []

    for round_ in (b"1", b"2"):
        await producer.begin()
        assert producer.in_transaction
        for value in (b"a", b"b"):
            await (await producer.send(encoded([Record(b"k", value + round_)]), topic, 0))
        assert await values(cluster, topic) == expected
        await producer.commit({Partition(source, 0): int(round_)})
        assert not producer.in_transaction
        expected += [b"a" + round_, b"b" + round_]
        await shown(cluster, topic, expected)
        assert cluster.committed(settings.application_id, source) == {0: int(round_)}

    assert await producer.stop()


async def test_an_aborted_transaction_shows_nothing_and_the_next_one_counts(
    cluster: Cluster, make: MakeProducer
):
    topic, source = cluster.create_topic(), cluster.create_topic()
    settings = settings_for(cluster.bootstrap)
    producer = await make(settings)

    await producer.begin()
    await (await producer.send(encoded([Record(b"k", b"aborted")]), topic, 0))
    await producer.abort()
    assert not producer.in_transaction
    await producer.begin()
    await producer.send(encoded([Record(b"k", b"committed")]), topic, 0)
    await producer.commit({})

    await shown(cluster, topic, [b"committed"])
    assert cluster.committed(settings.application_id, source) == {}
    assert await values(cluster, topic, "read_uncommitted") == [b"aborted", b"committed"]


@pytest.mark.parametrize("stage", ["begun", "sent", "offsets"])
async def test_a_second_producer_fences_the_first_at_every_stage(
    cluster: Cluster, make: MakeProducer, stage: str
):
    topic, source = cluster.create_topic(partitions=2), cluster.create_topic()
    settings = settings_for(cluster.bootstrap)
    old = await make(settings)
    await old.begin()
    await (await old.send(encoded([Record(b"k", b"first of the old")]), topic, 0))
    await old.commit({})
    await old.begin()
    if stage != "begun":
        await (await old.send(encoded([Record(b"k", b"old")]), topic, 0))

    new = await make(settings)

    if stage != "offsets":
        future = await old.send(encoded([Record(b"k", b"late")]), topic, 1)
        with pytest.raises(FencedError, match="a newer producer took over"):
            await future
        with pytest.raises(FencedError):
            await old.send(encoded([Record(b"k", b"later")]), topic, 0)
    with pytest.raises(FencedError):
        await old.commit({Partition(source, 0): 7} if stage == "offsets" else {})
    with pytest.raises(FencedError):
        await old.begin()
    await new.begin()
    await new.send(encoded([Record(b"k", b"new")]), topic, 0)
    await new.commit({Partition(source, 0): 9})
    await shown(cluster, topic, [b"first of the old", b"new"])
    assert cluster.committed(settings.application_id, source) == {0: 9}
    assert await old.stop()


async def test_a_refused_batch_makes_the_commit_impossible(cluster: Cluster, make: MakeProducer):
    topic = cluster.create_topic(max_message_bytes="1000")
    settings = settings_for(cluster.bootstrap)
    producer = await make(settings)

    await producer.begin()
    await producer.send(encoded([Record(b"k", b"before")]), topic, 0)
    await producer.send(encoded([Record(b"k", b"x" * 2000)]), topic, 0)
    with pytest.raises(MessageSizeTooLargeError):
        await producer.commit({})
    with pytest.raises(MessageSizeTooLargeError):
        await producer.commit({})
    await producer.stop()

    successor = await make(settings)
    await successor.begin()
    await successor.send(encoded([Record(b"k", b"after")]), topic, 0)
    await successor.commit({})
    await shown(cluster, topic, [b"after"])


async def test_what_the_state_does_not_allow_is_an_error_not_an_assertion(
    cluster: Cluster, make: MakeProducer
):
    settings = settings_for(cluster.bootstrap)
    topic = cluster.create_topic()

    with pytest.raises(KafkaError, match="not started"):
        await TransactionalProducer(settings, "x").begin()
    producer = await make(settings)
    with pytest.raises(KafkaError, match="not in transaction"):
        await producer.send(encoded([Record(b"k", b"v")]), topic, 0)
    producer = await make(settings)
    with pytest.raises(KafkaError, match="AssertionError"):
        await producer.commit({})
    producer = await make(settings)
    await producer.begin()
    with pytest.raises(KafkaError, match="has no partition 5"):
        await producer.send(encoded([Record(b"k", b"v")]), topic, 5)
