"""The topics that the service needs: which are there, which are missing, and making those.

Smoothed records go to the partition number of their input record, and so do dead letters: an
output topic has exactly as many partitions as its input, the dead-letter topic at least as many
as the largest input. State is kept by partition too: a changelog has as many as its input.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    KafkaError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    for_code,
)
from aiokafka.protocol.metadata import MetadataRequest

from stream_ewma.errors import AccessDeniedError, TopicError
from stream_ewma.kafka.connect import client_options
from stream_ewma.kafka.errors import explain
from stream_ewma.kafka.topic_ids import ABSENT, ask_topic_ids
from stream_ewma.kafka.topic_state import Role, TopicState
from stream_ewma.settings import Settings

_RETRY_S: Final = 0.1
_BROKERS_MAX_MESSAGE_BYTES: Final = 1_048_588
_CHANGELOG_SEGMENT_BYTES: Final = 100 * (1 << 20)
_TOMBSTONES_MS: Final = 24 * 3600 * 1000
"""How long a tombstone stays; a warm copy that was behind for longer is begun anew."""


async def describe(settings: Settings) -> list[TopicState]:
    """Every topic that `settings` names: inputs, their outputs, dead letters, changelogs.

    Raises:
        BrokerUnavailableError: no broker answers.
        AccessDeniedError: the broker does not let this user see the topics.
    """
    outputs = {name: settings.output_topic(name) for name in settings.input.topics}
    names = [*outputs, *outputs.values()]
    if settings.dead_letters.on_error == "dlq":
        names.append(settings.dead_letter_topic)
    changelogs = _changelogs(settings)
    names += changelogs.values()
    async with _admin(settings) as admin:
        replicas = await _replicas(admin, list(dict.fromkeys(names)))
        # Where no state is kept, nothing rests on the settings of a topic.
        rested_on = replicas.keys() - outputs.keys() if changelogs else ()
        present = sorted(name for name in rested_on if replicas[name] is not None)
        configs = await _topic_settings(admin, present, needed=changelogs.values())
    counts = _lengths(replicas)
    states = _states(settings, outputs, counts)
    inputs = {state.name: state for state in states if state.role is Role.INPUT}
    for topic, name in changelogs.items():
        unfit = _unfit(settings, name, configs[name]) if name in configs else ""
        own = _counts([inputs[topic]])
        states.append(TopicState(name, Role.CHANGELOG, counts[name], own, unfit))
    may_grow = settings.state.durable and settings.state.repartition == "rebuild"
    return [
        replace(
            _with_safety(state, replicas[state.name] or [], configs.get(state.name, {})),
            may_grow=may_grow and state.role is not Role.INPUT,
        )
        for state in states
    ]


async def topic_ids(settings: Settings, names: Iterable[str]) -> dict[str, str | None]:
    """Kafka's id of each topic; None where the brokers know no ids, or no such topic.

    Raises:
        BrokerUnavailableError: no broker answers.
        AccessDeniedError: the broker does not let this user see the topics.
    """
    wanted = list(names)
    async with _admin(settings) as admin:
        found = await ask_topic_ids(admin, wanted)
    return {name: found.get(name) for name in wanted}


async def partition_counts(settings: Settings, names: Iterable[str]) -> dict[str, int | None]:
    """How many partitions each topic has; None where there is no such topic.

    Raises:
        BrokerUnavailableError: no broker answers.
        AccessDeniedError: the broker does not let this user see the topics.
    """
    async with _admin(settings) as admin:
        return await _partition_counts(admin, list(names))


async def identities(settings: Settings) -> dict[str, tuple[str | None, int | None]]:
    """Kafka's id of each input and changelog, and its number of partitions; None: not known.

    Raises:
        BrokerUnavailableError: no broker answers.
        AccessDeniedError: the broker does not let this user see the topics.
    """
    async with _admin(settings) as admin:
        names = [*settings.input.topics, *_changelogs(settings).values()]
        ids = await ask_topic_ids(admin, names)
        counts = await _partition_counts(admin, names)
    return {name: (ids.get(name), count) for name, count in counts.items()}


async def verify(settings: Settings) -> dict[str, int]:
    """The partition count of each input topic, if every topic is there and fits.

    Raises:
        TopicError: one is missing or has another number of partitions, with one line for each.
        BrokerUnavailableError: no broker answers.
        AccessDeniedError: the broker does not let this user see the topics.
    """
    states = await describe(settings)
    require_fit(states)
    return {s.name: s.partitions for s in states if s.role is Role.INPUT and s.partitions}


def require_fit(states: Iterable[TopicState]) -> None:
    """Return if every topic is there and fits.

    Raises:
        TopicError: one is missing or has another number of partitions, with one line for each.
    """
    problems = [state.problem for state in states if state.problem]
    if problems:
        raise TopicError("\n".join(problems))


async def create(settings: Settings, states: Sequence[TopicState]) -> list[TopicState]:
    """Make those of `states` that are missing and are not inputs; returns once they can be seen.

    Raises:
        TopicError: the broker refuses one, with its reason, or it cannot be seen afterwards.
        BrokerUnavailableError: no broker answers.
        AccessDeniedError: the user may not create topics.
    """
    missing = [state for state in states if state.can_be_made]
    if not missing:
        return []
    async with _admin(settings) as admin:
        answer = await admin.create_topics([_new_topic(settings, state) for state in missing])
        for name, code, message in answer.topic_errors:
            _refuse(name, code, message)
        await _wait_until_seen(admin, missing, settings.kafka.request_timeout_ms / 1000)
    return missing


async def grow(settings: Settings, states: Sequence[TopicState]) -> list[TopicState]:
    """Give those of `states` more partitions that need and may have them.

    Raises:
        TopicError: the broker refuses one, with its reason.
        BrokerUnavailableError: no broker answers.
        AccessDeniedError: the user may not alter topics.
    """
    small = [state for state in states if state.can_be_grown]
    if small:
        async with _admin(settings) as admin:
            wanted = {state.name: NewPartitions(state.wanted) for state in small}
            await admin.create_partitions(wanted)
    return small


def topic_configs(settings: Settings, role: Role) -> dict[str, str]:
    """Kafka's own names and texts of the settings of a new topic.

    A changelog is compacted, as Kafka Streams' are, and never loses a row to time: the section's
    retention is not for it. Further settings are not left to the broker. Its segments are as
    small as those of `__consumer_offsets`, since what is in the last one is not compacted and all
    of it is read by a restore. And its timestamps are the broker's, since rows have none of their
    own, and a broker refuses times far from its clock.
    """
    configs: dict[str, object] = {"min.insync.replicas": settings.topics.min_insync_replicas}
    if role is Role.CHANGELOG:
        configs |= {
            "cleanup.policy": "compact",
            "delete.retention.ms": _TOMBSTONES_MS,
            "segment.bytes": _CHANGELOG_SEGMENT_BYTES,
            "message.timestamp.type": "LogAppendTime",
            "max.message.bytes": max(_BROKERS_MAX_MESSAGE_BYTES, settings.output.max_batch_bytes),
        }
    else:
        configs["retention.ms"] = settings.topics.retention
    return {name: str(value) for name, value in configs.items() if value is not None}


def _changelogs(settings: Settings) -> dict[str, str]:
    """The changelog of each input topic."""
    if not settings.state.durable:
        return {}
    return {topic: settings.changelog_topic(topic) for topic in settings.input.topics}


def _unfit(settings: Settings, name: str, config: Mapping[str, str]) -> str:
    """What is wrong with the settings of a changelog, or nothing."""
    policies = {policy.strip() for policy in config["cleanup.policy"].split(",")}
    limit = int(config["max.message.bytes"])
    change = f"kafka-configs.sh --alter --topic {name} --add-config"
    if policies != {"compact"}:
        return (
            f"its cleanup.policy is {config['cleanup.policy']}, which deletes state;"
            f" run: {change} cleanup.policy=compact"
        )
    if limit < settings.output.max_batch_bytes:
        return (
            f"its max.message.bytes ({limit}) is less than output.max_batch_bytes"
            f" ({settings.output.max_batch_bytes});"
            f" run: {change} max.message.bytes={settings.output.max_batch_bytes}"
        )
    return ""


def _with_safety(
    state: TopicState, replicas: Sequence[int], config: Mapping[str, str]
) -> TopicState:
    """A topic with what keeps its records when brokers are lost, as far as it can be seen."""
    least = config.get("min.insync.replicas")
    return replace(
        state,
        copies=min(replicas, default=None),
        least_in_sync=None if least is None else int(least),
        is_unclean=config.get("unclean.leader.election.enable") == "true",
    )


async def _topic_settings(
    admin: AIOKafkaAdminClient, names: Sequence[str], *, needed: Collection[str]
) -> dict[str, dict[str, str]]:
    """Kafka's names and texts of the settings of each topic.

    Those that are not `needed` are left out where the broker does not tell them.
    """
    if not names:
        return {}
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    found = {}
    for answer in await admin.describe_configs(resources):
        for code, message, _, name, entries in answer.resources:
            if code and name not in needed:
                continue
            if for_code(code) is TopicAuthorizationFailedError:
                raise AccessDeniedError(f"{name}: not authorized: allow DESCRIBE_CONFIGS")
            if code:
                raise for_code(code)(f"{name}: {message}")
            found[name] = {entry[0]: entry[1] for entry in entries}
    return found


def _states(
    settings: Settings, outputs: Mapping[str, str], counts: Mapping[str, int | None]
) -> list[TopicState]:
    inputs = [TopicState(name, Role.INPUT, counts[name]) for name in outputs]
    states = list(inputs)
    for output in dict.fromkeys(outputs.values()):
        own = _counts(state for state in inputs if outputs[state.name] == output)
        states.append(TopicState(output, Role.OUTPUT, counts[output], own))
    if settings.dead_letters.on_error == "dlq":
        name = settings.dead_letter_topic
        states.append(TopicState(name, Role.DEAD_LETTERS, counts[name], _counts(inputs)))
    return states


def _counts(inputs: Iterable[TopicState]) -> tuple[int, ...]:
    return tuple(sorted(state.partitions for state in inputs if state.partitions))


@asynccontextmanager
async def _admin(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    """A connected admin client, whose errors are explained."""
    admin = AIOKafkaAdminClient(**client_options(settings))
    try:
        await admin.start()
        yield admin
    except (KafkaError, OSError) as error:
        raise explain(error, settings) from error
    finally:
        await admin.close()


async def _partition_counts(
    admin: AIOKafkaAdminClient, names: Sequence[str]
) -> dict[str, int | None]:
    return _lengths(await _replicas(admin, names))


def _lengths(replicas: Mapping[str, list[int] | None]) -> dict[str, int | None]:
    return {name: None if each is None else len(each) for name, each in replicas.items()}


async def _replicas(
    admin: AIOKafkaAdminClient, names: Sequence[str]
) -> dict[str, list[int] | None]:
    """How many replicas each partition of a topic has; None where there is no such topic."""
    # The admin client's own question would let the broker create what it is asked about.
    question = MetadataRequest(list(names), allow_auto_topic_creation=False)
    answer = (await admin._send_request(question)).to_object()  # noqa: SLF001  see above
    found: dict[str, list[int] | None] = {}
    for topic in answer["topics"]:
        error = for_code(topic["error_code"])
        if error in ABSENT:
            found[topic["topic"]] = None
        elif topic["error_code"]:
            raise error(topic["topic"])
        else:
            found[topic["topic"]] = [len(each["replicas"]) for each in topic["partitions"]]
    return found


def _new_topic(settings: Settings, state: TopicState) -> NewTopic:
    factor = settings.topics.replication_factor
    return NewTopic(
        state.name,
        state.wanted,
        factor,
        # aiokafka takes the broker's default (-1) only beside an assignment, which may be empty.
        replica_assignments={} if factor == -1 else None,
        topic_configs=topic_configs(settings, state.role),
    )


def _refuse(name: str, code: int, message: str | None) -> None:
    error = for_code(code)
    if code == 0 or error is TopicAlreadyExistsError:  # another member was quicker
        return
    text = message or error.__name__
    if "Authorization" in error.__name__:
        raise AccessDeniedError(f"{name}: not authorized to create it ({text}): allow CREATE")
    raise TopicError(f"{name}: not created ({text}): mend the section topics of the settings")


async def _wait_until_seen(
    admin: AIOKafkaAdminClient, states: Sequence[TopicState], seconds: float
) -> None:
    """A broker answers before every broker knows of a new topic."""
    names = [state.name for state in states]
    try:
        async with asyncio.timeout(seconds):
            # No broker tells when it has learned of a topic.
            while None in (await _partition_counts(admin, names)).values():  # noqa: ASYNC110
                await asyncio.sleep(_RETRY_S)
    except TimeoutError:
        raise TopicError(
            f"{', '.join(names)}: created, but not to be seen after {seconds:.0f} s:"
            " run: stream-ewma topics plan"
        ) from None
