"""The identity of a topic: one that was deleted and made anew has the same name and another id.

aiokafka speaks no version of Kafka's Metadata API that tells topic ids; this is version 10.
"""

import base64
import uuid
from collections.abc import Iterable
from io import BytesIO
from typing import Final, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    IncompatibleBrokerVersion,
    LeaderNotAvailableError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    AbstractType,
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

_NO_ID: Final = uuid.UUID(int=0)
_NOT_TOLD: Final = -(2**31)

ABSENT: Final = frozenset({UnknownTopicOrPartitionError, LeaderNotAvailableError})
"""What a broker answers about a topic that does not exist, or does not yet."""


class _Uuid(AbstractType[uuid.UUID]):  # type: ignore[misc]  # aiokafka has no types
    @classmethod
    def encode(cls, value: uuid.UUID) -> bytes:
        return value.bytes

    @classmethod
    def decode(cls, data: BytesIO) -> uuid.UUID:
        return uuid.UUID(bytes=data.read(16))


class _Metadata10Response(Response):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 3
    API_VERSION = 10
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString("utf-8")),
                ("port", Int32),
                ("rack", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", CompactString("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", CompactString("utf-8")),
                ("topic_id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("authorized_operations", Int32),
        ("tags", TaggedFields),
    )


class _Metadata10Struct(RequestStruct):  # type: ignore[misc]  # aiokafka has no types
    FLEXIBLE_VERSION = True
    API_KEY = 3
    API_VERSION = 10
    RESPONSE_TYPE = _Metadata10Response
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(
                ("topic_id", _Uuid), ("name", CompactString("utf-8")), ("tags", TaggedFields)
            ),
        ),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class _Metadata10(Request[_Metadata10Struct]):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 3

    def __init__(self, names: Iterable[str], *, operations: bool = False) -> None:
        self._names = list(names)
        self._operations = operations

    def build(self, request_struct_class: type[_Metadata10Struct]) -> _Metadata10Struct:
        topics: list[tuple[uuid.UUID, str, dict[int, bytes]]]
        topics = [(_NO_ID, name, {}) for name in self._names]
        return request_struct_class(topics, False, False, self._operations, {})


async def ask_topic_ids(admin: AIOKafkaAdminClient, names: Iterable[str]) -> dict[str, str | None]:
    """The id of each topic that exists, as Kafka's tools write it; None where brokers know no ids.

    Raises:
        KafkaError: a topic may not be seen, or no broker answers.
    """
    wanted = list(names)
    try:
        answer = await admin._send_request(_Metadata10(wanted))  # noqa: SLF001  no public way
    except (IncompatibleBrokerVersion, NotImplementedError):  # aiokafka's words for: too old
        return dict.fromkeys(wanted)
    ids: dict[str, str | None] = {}
    for topic in answer.to_object()["topics"]:
        error = for_code(topic["error_code"])
        if topic["error_code"] and error not in ABSENT:
            raise error(topic["name"])
        if error not in ABSENT:
            ids[topic["name"]] = _text(topic["topic_id"])
    return ids


class Sight(NamedTuple):
    """A topic as this user sees it.

    Attributes:
        operations: bit n stands for Kafka's operation of number n, which the user may do; None
            where the brokers do not tell.
        leaderless: how many of its partitions have no leader.
    """

    operations: int | None
    leaderless: int


async def ask_sight(admin: AIOKafkaAdminClient, names: Iterable[str]) -> dict[str, Sight]:
    """What the user may do with each topic that exists; nothing with one that it may not see.

    Raises:
        KafkaError: no broker answers, or they are too old to tell.
    """
    answer = await admin._send_request(_Metadata10(names, operations=True))  # noqa: SLF001  see above
    found = {}
    for topic in answer.to_object()["topics"]:
        error = for_code(topic["error_code"])
        if error is TopicAuthorizationFailedError:
            found[topic["name"]] = Sight(0, 0)
        elif topic["error_code"] and error not in ABSENT:
            raise error(topic["name"])
        elif error not in ABSENT:
            leaderless = sum(partition["leader"] < 0 for partition in topic["partitions"])
            found[topic["name"]] = Sight(told(topic["authorized_operations"]), leaderless)
    return found


def told(operations: int) -> int | None:
    """Kafka's operations in an answer; None where it does not tell them."""
    return None if operations == _NOT_TOLD else operations


def _text(topic_id: uuid.UUID) -> str | None:
    if topic_id == _NO_ID:
        return None
    return base64.urlsafe_b64encode(topic_id.bytes).decode().rstrip("=")
