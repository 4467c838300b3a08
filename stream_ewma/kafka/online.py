"""Everything that the service needs of the brokers, looked at without a change that matters.

One thing is written: a producer is started under a transactional id that no member uses, which the
brokers forget after a week.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import IncompatibleBrokerVersion, KafkaError
from aiokafka.protocol.metadata import MetadataRequest

from stream_ewma.errors import StreamEwmaError
from stream_ewma.kafka.connect import client_options
from stream_ewma.kafka.durability import weakness
from stream_ewma.kafka.errors import explain
from stream_ewma.kafka.group import Group, ask_again, group_of
from stream_ewma.kafka.partition import Partition
from stream_ewma.kafka.permissions import (
    ask_group,
    group_tick,
    roles_of,
    topic_ticks,
)
from stream_ewma.kafka.reaching import Way, step_seconds
from stream_ewma.kafka.ticks import (
    Sign,
    Tick,
    good,
    problem,
    problems_of,
    unknown,
    warning,
)
from stream_ewma.kafka.topic_ids import ask_sight
from stream_ewma.kafka.topic_state import TopicState
from stream_ewma.kafka.topics import describe, partition_counts
from stream_ewma.kafka.transactions import TransactionalProducer
from stream_ewma.settings import Settings

_SPARE_S: Final = 5.0
_Step = Callable[[Settings, AIOKafkaAdminClient], Awaitable[list[Tick]]]


async def bootstrap_ticks(settings: Settings) -> AsyncIterator[tuple[Tick, bool]]:
    """The way to each bootstrap server; with each tick whether one has let this client in yet."""
    has_arrived = False
    for address in settings.kafka.bootstrap_servers.split(","):
        way = Way(settings, address.strip())
        async for tick in way.ticks():
            has_arrived |= way.has_arrived
            yield tick, has_arrived


async def cluster_ticks(settings: Settings) -> AsyncIterator[Tick]:
    """What lies behind the first connection: brokers, topics, permissions, group, transactions."""
    # Here a step that waits for something that is not there is told, not waited for.
    most_ms = int(step_seconds(settings) * 1000)
    kafka = settings.kafka.model_copy(update={"startup_timeout": most_ms})
    hasty = settings.model_copy(update={"kafka": kafka})
    steps: list[_Step] = [_brokers, _permissions, _topics, _group, _lag]
    if settings.state.durable:
        steps.append(_transactions)
    lacks = False
    try:
        async with _admin(hasty) as admin:
            for step in steps:
                found = await _within(hasty, step, admin)
                for tick in found:
                    # A permission that is named with its command already is not told once more.
                    is_known = lacks and tick.is_denied and step in (_topics, _lag)
                    yield unknown(f"not looked at: {tick.what}") if is_known else tick
                lacks |= any(
                    tick.sign is Sign.PROBLEM for tick in found if step in (_permissions, _group)
                )
    except StreamEwmaError as error:
        for tick in problems_of(error):
            yield tick


async def _within(settings: Settings, step: _Step, admin: AIOKafkaAdminClient) -> list[Tick]:
    """The ticks of one step, or of its failure; it ends in time."""
    seconds = 2 * step_seconds(settings) + _SPARE_S
    try:
        async with asyncio.timeout(seconds):
            return await step(settings, admin)
    except StreamEwmaError as error:
        return problems_of(error)
    except (IncompatibleBrokerVersion, NotImplementedError) as error:  # aiokafka's: too old
        return [unknown(f"cannot be asked of these brokers: {error}")]
    except (KafkaError, OSError, TimeoutError) as error:
        return problems_of(explain(error, settings))


@asynccontextmanager
async def _admin(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**client_options(settings))
    try:
        try:
            async with asyncio.timeout(2 * step_seconds(settings) + _SPARE_S):
                await admin.start()
        except (KafkaError, OSError, TimeoutError) as error:
            raise explain(error, settings) from error
        yield admin
    finally:
        await admin.close()


async def _brokers(settings: Settings, admin: AIOKafkaAdminClient) -> list[Tick]:
    """Whether every broker can be reached at the address it tells its clients."""
    question = MetadataRequest([], allow_auto_topic_creation=False)
    answer = (await admin._send_request(question)).to_object()  # noqa: SLF001  no public way
    asked = {address.strip() for address in settings.kafka.bootstrap_servers.split(",")}
    ticks = []
    for broker in answer["brokers"]:
        address = f"{broker['host']}:{broker['port']}"
        if address in asked:
            continue
        way = Way(settings, address)
        found = [tick async for tick in way.ticks()]
        if way.has_arrived:
            ticks.append(good(f"{address}: broker {broker['node_id']} lets this client in there"))
        ticks += [tick for tick in found if tick.sign is Sign.WARNING]
        ticks += [
            problem(
                f"{tick.what}; broker {broker['node_id']} tells its clients that address: mend its"
                " advertised.listeners"
            )
            for tick in found
            if tick.sign is Sign.PROBLEM
        ]
    return ticks


async def _permissions(settings: Settings, admin: AIOKafkaAdminClient) -> list[Tick]:
    names = dict.fromkeys(name for name, _ in roles_of(settings))
    try:
        seen = await ask_sight(admin, names)
    except (IncompatibleBrokerVersion, NotImplementedError):  # aiokafka's words for: too old
        return [unknown("permissions: the brokers are too old to tell; Kafka 2.8 tells them")]
    return topic_ticks(settings, seen)


async def _topics(settings: Settings, admin: AIOKafkaAdminClient) -> list[Tick]:
    del admin  # it has one of its own
    states = await describe(settings)
    ticks = [_topic_tick(state) for state in states]
    weak = weakness(settings, states)
    return [*ticks, warning(weak)] if weak else ticks


def _topic_tick(state: TopicState) -> Tick:
    if state.problem:
        return problem(state.problem)
    if state.partitions is None:
        return unknown(f"{state.name}: {state.role.value}, missing as its inputs are")
    count = f"{state.partitions} partition{'s' * (state.partitions != 1)}"
    return good(f"{state.name}: {state.role.value}, {count}")


async def _group(settings: Settings, admin: AIOKafkaAdminClient) -> list[Tick]:
    name = settings.application_id
    sight = await ask_again(settings, lambda: ask_group(admin, name), "the group")
    allowed = group_tick(settings, sight)
    if allowed.sign is Sign.PROBLEM:
        return [allowed]
    members = "1 member" if sight.members == 1 else f"{sight.members} members"
    if not sight.members:
        return [allowed, good(f"group {name}: no members, the service does not run")]
    if sight.state != "Stable":
        text = f"group {name}: {members}, and it is rebalancing ({sight.state}): look again soon"
        return [allowed, warning(text)]
    return [allowed, good(f"group {name}: {members}, {sight.state.lower()}")]


async def _lag(settings: Settings, admin: AIOKafkaAdminClient) -> list[Tick]:
    del admin  # it has one of its own
    ticks = []
    counts = await partition_counts(settings, settings.input.topics)
    async with group_of(settings) as group:
        for topic, count in counts.items():
            if count is not None:
                ticks.append(await _lag_tick(group, topic, count))
    return ticks


async def _lag_tick(group: Group, topic: str, count: int) -> Tick:
    partitions = [Partition(topic, number) for number in range(count)]
    committed, bounds = await group.committed(partitions), await group.bounds(partitions)
    lag = 0
    for partition, (first, end) in bounds.items():
        at = committed[partition]
        if at is not None and not first <= at <= end:
            where = "retention removed records unread" if at < first else "the topic ends before it"
            return problem(
                f"{partition}: the group stands at {at}, where the topic has {first} to {end}:"
                f" {where}; run: stream-ewma offsets show"
            )
        lag += end - (first if at is None else at)
    if all(at is None for at in committed.values()):
        return good(f"{topic}: the group has read nothing of it yet; it holds {lag:,} offsets")
    return good(f"{topic}: the group is {lag:,} offset{'s' * (lag != 1)} behind its end")


async def _transactions(settings: Settings, admin: AIOKafkaAdminClient) -> list[Tick]:
    del admin  # a producer has a client of its own
    name = settings.application_id
    producer = TransactionalProducer(settings, f"{name}-check")
    try:
        await producer.start()
    finally:
        await producer.stop()
    ticks = [good(f"transactions: allowed and answered (tried as {name}-check)")]
    if settings.kafka.security_protocol != "PLAINTEXT":
        ticks.append(
            unknown(
                f"transactional ids {name}-TOPIC-PARTITION: not tried, it would put a running"
                f" member out of force; allow Write on all that begin with {name}-"
            )
        )
    return ticks
