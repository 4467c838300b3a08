"""What the user may do with topics and the group, as far as the brokers tell without a trial."""

from collections.abc import Mapping
from enum import IntEnum
from typing import Final, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupAuthorizationFailedError, GroupIdNotFound, for_code
from aiokafka.protocol.admin import DescribeGroupsResponse_v3
from aiokafka.protocol.api import Request, RequestStruct
from aiokafka.protocol.types import Array, Boolean, Schema, String

from stream_ewma.kafka.ticks import Tick, good, problem, unknown
from stream_ewma.kafka.topic_ids import Sight, told
from stream_ewma.kafka.topic_state import Role
from stream_ewma.settings import Settings


class Operation(IntEnum):
    """Kafka's numbers of what can be allowed."""

    READ = 3
    WRITE = 4
    DESCRIBE_CONFIGS = 10

    @property
    def text(self) -> str:
        """As `kafka-acls.sh` takes it."""
        return "".join(word.capitalize() for word in self.name.split("_"))


WANTED: Final[dict[Role, tuple[Operation, ...]]] = {
    Role.INPUT: (Operation.READ,),
    Role.OUTPUT: (Operation.WRITE,),
    Role.DEAD_LETTERS: (Operation.WRITE,),
    Role.CHANGELOG: (Operation.READ, Operation.WRITE, Operation.DESCRIBE_CONFIGS),
}


class _DescribeGroups3Struct(RequestStruct):  # type: ignore[misc]  # aiokafka has no types
    # aiokafka's own reads the answer as that of version 2, which has no operations.
    API_KEY = 15
    API_VERSION = 3
    RESPONSE_TYPE = DescribeGroupsResponse_v3
    SCHEMA = Schema(("groups", Array(String("utf-8"))), ("include_authorized_operations", Boolean))


class _DescribeGroups3(Request[_DescribeGroups3Struct]):  # type: ignore[misc]  # no types
    API_KEY = 15

    def __init__(self, group: str) -> None:
        self._group = group

    def build(self, request_struct_class: type[_DescribeGroups3Struct]) -> _DescribeGroups3Struct:
        return request_struct_class([self._group], True)


class GroupSight(NamedTuple):
    """The group as this user sees it.

    Attributes:
        operations: see `Sight`.
        state: Kafka's word.
        members: how many it has.
    """

    operations: int | None
    state: str
    members: int


_HIDDEN: Final = GroupSight(0, "", 0)


async def ask_group(admin: AIOKafkaAdminClient, name: str) -> GroupSight:
    """What the user may do with the group, and how it is.

    Raises:
        KafkaError: no broker answers, or they are too old to tell.
    """
    try:
        node = await admin.find_coordinator(name)
    except GroupAuthorizationFailedError:
        return _HIDDEN
    answer = await admin._send_request(_DescribeGroups3(name), node)  # noqa: SLF001  no public way
    (group,) = answer.to_object()["groups"]
    error = for_code(group["error_code"])
    if error is GroupAuthorizationFailedError:
        return _HIDDEN
    if group["error_code"] and error is not GroupIdNotFound:
        raise error(name)
    return GroupSight(told(group["authorized_operations"]), group["state"], len(group["members"]))


def roles_of(settings: Settings) -> list[tuple[str, Role]]:
    """Every topic that the settings name, with what is done with it."""
    topics = settings.input.topics
    roles = [(topic, Role.INPUT) for topic in topics]
    outputs = dict.fromkeys(settings.output_topic(topic) for topic in topics)
    roles += [(topic, Role.OUTPUT) for topic in outputs]
    if settings.dead_letters.on_error == "dlq":
        roles.append((settings.dead_letter_topic, Role.DEAD_LETTERS))
    if settings.state.durable:
        roles += [(settings.changelog_topic(topic), Role.CHANGELOG) for topic in topics]
    return roles


def topic_ticks(settings: Settings, seen: Mapping[str, Sight]) -> list[Tick]:
    """Whether the user may do with each topic what the service does with it."""
    ticks = []
    for name, role in roles_of(settings):
        sight = seen.get(name)
        if sight is None:
            continue  # it does not exist, which is told elsewhere
        ticks.append(_tick(settings, f"--topic {name}", name, sight.operations, WANTED[role]))
        if sight.leaderless:
            ticks.append(
                problem(
                    f"{name}: {sight.leaderless} of its partitions have no leader: start the"
                    " brokers that hold them"
                )
            )
    return ticks


def group_tick(settings: Settings, sight: GroupSight) -> Tick:
    """Whether the user may be a member of the group."""
    name = settings.application_id
    operations = (Operation.READ,)
    return _tick(settings, f"--group {name}", f"group {name}", sight.operations, operations)


def _tick(
    settings: Settings, flag: str, name: str, allowed: int | None, wanted: tuple[Operation, ...]
) -> Tick:
    if allowed is None:
        return unknown(f"{name}: the brokers do not tell what is allowed")
    words = " and ".join(operation.text for operation in wanted)
    missing = [operation for operation in wanted if not allowed >> operation & 1]
    if not missing:
        return good(f"{name}: {words} allowed")
    user = settings.kafka.sasl_username or "NAME"
    flags = " ".join(f"--operation {operation.text}" for operation in missing)
    lacking = " and ".join(operation.text for operation in missing)
    return problem(
        f"{name}: {lacking} not allowed; run: kafka-acls.sh --add"
        f" --allow-principal User:{user} {flags} {flag}"
    )
