"""The topics that the service needs: which are there, which are missing, and making those.

Smoothed records go to the partition number of their input record, and so do dead letters: an
output topic has exactly as many partitions as its input, the dead-letter topic at least as many
as the largest input.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import (
    KafkaError,
    LeaderNotAvailableError,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.protocol.metadata import MetadataRequest

from stream_ewma.errors import AccessDeniedError, TopicError
from stream_ewma.kafka.connect import client_options
from stream_ewma.kafka.errors import explain
from stream_ewma.kafka.topic_ids import ask_topic_ids
from stream_ewma.settings import Settings

_RETRY_S = 0.1


class Role(Enum):
    """What the service does with a topic."""

    INPUT = "input"
    OUTPUT = "output"
    DEAD_LETTERS = "dead letters"


@dataclass(frozen=True, slots=True)
class TopicState:
    """One topic that the service needs.

    Attributes:
        partitions: how many it has; None where the topic does not exist.
        inputs: how many the inputs have that it gets records from, ascending; of an input topic,
            and where no input exists, empty.
    """

    name: str
    role: Role
    partitions: int | None
    inputs: tuple[int, ...] = ()

    @property
    def wanted(self) -> int | None:
        """How many partitions it must have, where that can be said."""
        if not self.inputs or (self.role is Role.OUTPUT and self.inputs[0] != self.inputs[-1]):
            return None
        return self.inputs[-1]

    @property
    def can_be_made(self) -> bool:
        """Whether it is missing and may be created here."""
        return self.partitions is None and self.wanted is not None

    @property
    def problem(self) -> str:
        """What is wrong with it and what to do, or nothing."""
        if self.role is Role.INPUT and self.partitions is None:
            return f"{self.name}: the input topic does not exist; create it, or mend input.topics"
        if not self.inputs:
            return ""
        if self.wanted is None:
            return (
                f"{self.name}: is the output of inputs with {self.inputs[0]} and"
                f" {self.inputs[-1]} partitions, which would scatter equal keys;"
                " leave output.topic out, so that each input has an output of its own"
            )
        return self._misfit(self.wanted)

    def _misfit(self, wanted: int) -> str:
        if self.partitions is None:
            return (
                f"{self.name}: the topic for {self.role.value} does not exist;"
                " run: stream-ewma topics create"
            )
        if self.role is Role.OUTPUT and self.partitions != wanted:
            return (
                f"{self.name}: has {_partitions(self.partitions)} where its input has {wanted};"
                " write another output.topic, or create it anew with that number"
            )
        if self.partitions < wanted:
            return (
                f"{self.name}: has {_partitions(self.partitions)} where an input has {wanted};"
                f" run: kafka-topics.sh --alter --topic {self.name} --partitions {wanted}"
            )
        return ""

    def __str__(self) -> str:
        if self.partitions is not None:
            found = _partitions(self.partitions)
        elif self.role is Role.INPUT:
            found = "does not exist"
        elif self.wanted is None:
            found = "missing; how many partitions it needs cannot be said"
        else:
            found = f"missing, to be made with {_partitions(self.wanted)}"
        return f"{self.role.value:<13}{self.name}: {found}"


def _partitions(count: int) -> str:
    return f"{count} partition{'s' * (count != 1)}"


async def describe(settings: Settings) -> list[TopicState]:
    """Every topic that `settings` names: inputs, their outputs, dead letters.

    Raises:
        BrokerUnavailableError: no broker answers.
        AccessDeniedError: the broker does not let this user see the topics.
    """
    outputs = {name: settings.output_topic(name) for name in settings.input.topics}
    names = [*outputs, *outputs.values()]
    if settings.dead_letters.on_error == "dlq":
        names.append(settings.dead_letter_topic)
    async with _admin(settings) as admin:
        counts = await _partition_counts(admin, list(dict.fromkeys(names)))
    return _states(settings, outputs, counts)


async def verify(settings: Settings) -> dict[str, int]:
    """The partition count of each input topic, if every topic is there and fits.

    Raises:
        TopicError: one is missing or has another number of partitions, with one line for each.
        BrokerUnavailableError: no broker answers.
        AccessDeniedError: the broker does not let this user see the topics.
    """
    states = await describe(settings)
    problems = [state.problem for state in states if state.problem]
    if problems:
        raise TopicError("\n".join(problems))
    return {s.name: s.partitions for s in states if s.role is Role.INPUT and s.partitions}


async def identities(settings: Settings) -> dict[str, tuple[str | None, int | None]]:
    """Kafka's id and the partition count of each input topic; None where they are not known.

    Raises:
        BrokerUnavailableError: no broker answers.
        AccessDeniedError: the broker does not let this user see the topics.
    """
    names = settings.input.topics
    async with _admin(settings) as admin:
        ids = await ask_topic_ids(admin, names)
        counts = await _partition_counts(admin, names)
    return {name: (ids[name], counts[name]) for name in names}


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


def topic_configs(settings: Settings) -> dict[str, str]:
    """Kafka's own names and texts of the configured settings of new topics."""
    configs = {
        "min.insync.replicas": settings.topics.min_insync_replicas,
        "retention.ms": settings.topics.retention,
    }
    return {name: str(value) for name, value in configs.items() if value is not None}


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
    # The admin client's own question would let the broker create what it is asked about.
    question = MetadataRequest(list(names), allow_auto_topic_creation=False)
    answer = (await admin._send_request(question)).to_object()  # noqa: SLF001  see above
    counts: dict[str, int | None] = {}
    for topic in answer["topics"]:
        error = for_code(topic["error_code"])
        if error in {UnknownTopicOrPartitionError, LeaderNotAvailableError}:
            counts[topic["topic"]] = None
        elif topic["error_code"]:
            raise error(topic["topic"])
        else:
            counts[topic["topic"]] = len(topic["partitions"])
    return counts


def _new_topic(settings: Settings, state: TopicState) -> NewTopic:
    factor = settings.topics.replication_factor
    return NewTopic(
        state.name,
        state.wanted,
        factor,
        # aiokafka takes the broker's default (-1) only beside an assignment, which may be empty.
        replica_assignments={} if factor == -1 else None,
        topic_configs=topic_configs(settings),
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
