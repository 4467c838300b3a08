"""Transactions on the real broker: committed once or not at all, whoever else writes."""

import asyncio
import gc
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from stream_ewma.kafka import producer as producer_module
from stream_ewma.kafka.errors import (
    FencedError,
    OutcomeUnknownError,
    TransactionExpiredError,
)
from stream_ewma.kafka.partition import Partition
from stream_ewma.kafka.transactions import TransactionalProducer
from stream_ewma.settings import Settings, load_settings
from tests.support.batches import Record, encoded
from tests.support.broker import RealBroker
from tests.support.cluster import Cluster
from tests.support.wire_proxy import (
    ADD_OFFSETS_TO_TXN,
    ADD_PARTITIONS_TO_TXN,
    END_TXN,
    INIT_PRODUCER_ID,
    Rule,
    WireProxy,
)

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


@pytest.fixture
async def proxy(own_broker: RealBroker) -> AsyncIterator[WireProxy]:
    """What stands between a broker and the clients that start at its `proxied_bootstrap`."""
    async with WireProxy(own_broker.proxied_bootstrap, own_broker.behind_proxy) as started:
        yield started


@pytest.fixture
def proxied(own_broker: RealBroker) -> Settings:
    """The settings of a client behind `proxy`."""
    return settings_for(own_broker.proxied_bootstrap)


@pytest.fixture
def own_cluster(own_broker: RealBroker) -> Cluster:
    """The broker behind `proxy`, reached beside it."""
    return Cluster(own_broker.bootstrap)


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


@pytest.mark.parametrize("is_announced", [True, False])
async def test_one_request_tells_of_all_partitions_that_are_announced(
    own_cluster: Cluster,
    make: MakeProducer,
    proxy: WireProxy,
    proxied: Settings,
    is_announced: bool,
):
    first, later = own_cluster.create_topic(), own_cluster.create_topic()
    requests = []
    for number in range(3):
        producer = await make(proxied, f"{proxied.application_id}-{number}")
        before = proxy.seen.count(ADD_PARTITIONS_TO_TXN)
        await producer.begin([Partition(later, 0)] if is_announced else ())
        for topic in (first, later):
            await (await producer.send(encoded([Record(b"k", b"v")]), topic, 0))
        await producer.commit({})
        requests.append(proxy.seen.count(ADD_PARTITIONS_TO_TXN) - before)

    # A broker that does not know the topics yet lets the client ask again.
    assert min(requests) == (1 if is_announced else 2)
    for topic in (first, later):
        await shown(own_cluster, topic, [b"v"] * 3)


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


@pytest.mark.parametrize("stage", ["begun", "sent", "offsets", "commit"])
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

    if stage in {"begun", "sent"}:
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


async def test_a_transaction_that_the_broker_gave_up_is_told_from_a_fenced_one(
    own_broker: RealBroker, own_cluster: Cluster, make: MakeProducer
):
    topic = own_cluster.create_topic()
    settings = settings_for(
        own_broker.bootstrap,
        delivery__transaction_timeout="1s",
        delivery__commit_interval="100ms",
        kafka__request_timeout_ms="1000",
    )
    producer = await make(settings)
    await producer.begin()

    async def send_until_refused() -> None:
        while True:  # the broker looks once a second for transactions that are too old
            await (await producer.send(encoded([Record(b"k", b"v")]), topic, 0))
            await asyncio.sleep(0.2)

    with pytest.raises(TransactionExpiredError, match=r"a transaction took \d+ s"):
        await asyncio.wait_for(send_until_refused(), 60)


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


@pytest.mark.parametrize("cut", [True, False], ids=["connection lost", "no answer in time"])
async def test_a_lost_answer_to_a_commit_leaves_it_unknown_and_committed_once(
    own_cluster: Cluster,
    make: MakeProducer,
    proxy: WireProxy,
    own_broker: RealBroker,
    caplog: pytest.LogCaptureFixture,
    cut: bool,
):
    settings = settings_for(own_broker.proxied_bootstrap, kafka__request_timeout_ms=3000)
    topic, source = own_cluster.create_topic(), own_cluster.create_topic()
    producer = await make(settings)
    await producer.begin()
    await producer.send(encoded([Record(b"k", b"first")]), topic, 0)
    proxy.add(Rule(END_TXN, answer="drop", cut=cut))

    with pytest.raises(OutcomeUnknownError):
        await producer.commit({Partition(source, 0): 1})
    with pytest.raises(OutcomeUnknownError):
        await producer.begin()
    assert proxy.seen.count(END_TXN) == 1
    assert "Traceback" not in caplog.text
    await producer.stop()

    successor = await make(settings)
    assert await values(own_cluster, topic) == [b"first"]
    assert own_cluster.committed(settings.application_id, source) == {0: 1}
    await successor.begin()
    await successor.send(encoded([Record(b"k", b"second")]), topic, 0)
    await successor.commit({Partition(source, 0): 2})
    await shown(own_cluster, topic, [b"first", b"second"])


async def test_a_commit_that_arrives_late_ends_no_other_transaction(
    own_cluster: Cluster, make: MakeProducer, proxy: WireProxy, proxied: Settings
):
    topic, source = own_cluster.create_topic(), own_cluster.create_topic()
    producer = await make(proxied)
    await producer.begin()
    await producer.send(encoded([Record(b"k", b"given up")]), topic, 0)
    proxy.add(Rule(END_TXN, request="hold"))

    with pytest.raises(OutcomeUnknownError):
        await producer.commit({Partition(source, 0): 1})
    await producer.stop()
    successor = await make(proxied)
    await successor.begin()
    await (await successor.send(encoded([Record(b"k", b"open")]), topic, 0))
    (answer,) = await proxy.release()

    # correlation id, throttle time, error: INVALID_PRODUCER_EPOCH
    assert answer[8:] == (47).to_bytes(2, "big")
    assert await values(own_cluster, topic) == []
    assert own_cluster.committed(proxied.application_id, source) == {}
    await successor.commit({Partition(source, 0): 1})
    await shown(own_cluster, topic, [b"open"])


async def test_a_commit_ends_within_the_transaction_timeout(
    make: MakeProducer, proxy: WireProxy, own_broker: RealBroker, own_cluster: Cluster
):
    settings = settings_for(
        own_broker.proxied_bootstrap,
        delivery__transaction_timeout="1500ms",
        kafka__request_timeout_ms=1000,
    )
    topic = own_cluster.create_topic()
    producer = await make(settings)
    await producer.begin()
    await producer.send(encoded([Record(b"k", b"first")]), topic, 0)
    rule = proxy.add(Rule(ADD_OFFSETS_TO_TXN, answer="drop", cut=False, times=1000))

    with pytest.raises(KafkaError, match="given up"):
        await producer.commit({Partition("readings", 0): 1})

    assert rule.met.is_set()
    with pytest.raises(KafkaError, match="given up"):
        await producer.begin()


async def test_a_producer_that_cannot_stop_is_killed(
    make: MakeProducer,
    own_broker: RealBroker,
    own_cluster: Cluster,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(producer_module, "_STOP_S", 0.2)
    topic = own_cluster.create_topic()
    before = asyncio.all_tasks()
    settings = settings_for(own_broker.proxied_bootstrap)
    async with WireProxy(own_broker.proxied_bootstrap, own_broker.behind_proxy):
        producer = await make(settings)
        await producer.begin()
        await (await producer.send(encoded([Record(b"k", b"first")]), topic, 0))
    waiting = await producer.send(encoded([Record(b"k", b"second")]), topic, 0)
    commit = asyncio.create_task(producer.commit({}))

    assert not await producer.stop()

    with pytest.raises(KafkaError, match="stopped"):
        await commit
    with pytest.raises(KafkaError, match="killed"):
        await waiting
    assert asyncio.all_tasks() <= before


async def test_a_start_ends_within_its_timeout(
    make: MakeProducer, proxy: WireProxy, own_broker: RealBroker
):
    settings = settings_for(own_broker.proxied_bootstrap, kafka__startup_timeout="1s")
    proxy.add(Rule(INIT_PRODUCER_ID, request="hold", cut=False))

    with pytest.raises(KafkaError, match="given up"):
        await make(settings)


async def test_a_cancelled_call_leaves_only_the_stop(
    own_cluster: Cluster, make: MakeProducer, proxy: WireProxy, proxied: Settings
):
    topic = own_cluster.create_topic()
    producer = await make(proxied)
    await producer.begin()
    await producer.send(encoded([Record(b"k", b"v")]), topic, 0)
    rule = proxy.add(Rule(END_TXN, request="hold", cut=False))
    commit = asyncio.create_task(producer.commit({}))
    await rule.met.wait()

    commit.cancel()
    with pytest.raises(asyncio.CancelledError):
        await commit

    with pytest.raises(OutcomeUnknownError):
        await producer.begin()


async def test_nobody_is_told_of_failures_but_the_sender(cluster: Cluster, make: MakeProducer):
    topic = cluster.create_topic(partitions=2)
    settings = settings_for(cluster.bootstrap)
    reports: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, report: reports.append(report))
    old = TransactionalProducer(settings, settings.application_id)
    await old.start()
    await old.begin()
    await (await old.send(encoded([Record(b"k", b"old")]), topic, 0))
    await make(settings)

    await old.send(encoded([Record(b"k", b"late")]), topic, 1)
    with pytest.raises(FencedError):
        await old.commit({})
    await old.stop()
    del old
    gc.collect()

    assert reports == []
