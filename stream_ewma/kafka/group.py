"""The group's offsets from outside of the group: for tools that look at it, or put it right.

The brokers themselves refuse to change the offsets of a group that has members.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final, NamedTuple, TypeVar

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    BrokerResponseError,
    GroupIdNotFound,
    KafkaError,
    NonEmptyGroup,
    UnknownMemberIdError,
    for_code,
)
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.commit import OffsetCommitRequest
from aiokafka.protocol.types import Array, Int16, Int32, Schema, String

from stream_ewma.errors import AccessDeniedError, BrokerUnavailableError, ServiceRunningError
from stream_ewma.kafka.connect import client_options
from stream_ewma.kafka.errors import explain
from stream_ewma.kafka.partition import Partition
from stream_ewma.kafka.seams import RawConsumer
from stream_ewma.records.reader import Unreadable, decode
from stream_ewma.settings import Settings

_T = TypeVar("_T")

_RETRY_S: Final = 0.2
_POLL_MS: Final = 200
_UNSET: Final = -1
_NO_GENERATION: Final = -1
_SUBSCRIBED: Final = 86  # GROUP_SUBSCRIBED_TO_TOPIC, for which aiokafka has no name


class _OffsetDeleteResponse(Response):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 47
    API_VERSION = 0
    SCHEMA = Schema(
        ("error_code", Int16),
        ("throttle_time_ms", Int32),
        (
            "topics",
            Array(
                ("topic", String("utf-8")),
                ("partitions", Array(("partition", Int32), ("error_code", Int16))),
            ),
        ),
    )


class _OffsetDeleteStruct(RequestStruct):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 47
    API_VERSION = 0
    RESPONSE_TYPE = _OffsetDeleteResponse
    SCHEMA = Schema(
        ("group", String("utf-8")),
        (
            "topics",
            Array(("topic", String("utf-8")), ("partitions", Array(Int32))),
        ),
    )


class _OffsetDelete(Request[_OffsetDeleteStruct]):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 47

    def __init__(self, group: str, topics: list[tuple[str, list[int]]]) -> None:
        self._group = group
        self._topics = topics

    def build(self, request_struct_class: type[_OffsetDeleteStruct]) -> _OffsetDeleteStruct:
        return request_struct_class(self._group, self._topics)


class Noted(NamedTuple):
    """A committed offset, and the text that was committed with it."""

    offset: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class Stuck:
    """A batch that cannot be read.

    Attributes:
        offset: its first offset.
        next_offset: the offset after it.
        reason: one line.
    """

    offset: int
    next_offset: int
    reason: str


class Group:
    """The group `application_id`, seen by a client that is no member of it; see `group_of`.

    Every method raises AccessDeniedError, or BrokerUnavailableError after `kafka.startup_timeout`.
    """

    def __init__(
        self, settings: Settings, admin: AIOKafkaAdminClient, consumer: RawConsumer
    ) -> None:
        self._settings = settings
        self._name = settings.application_id
        self._admin = admin
        self._consumer = consumer

    async def refuse_members(self) -> None:
        """Return if the group has no members now.

        Raises:
            ServiceRunningError: it has some.
        """
        members = await self.members()
        if members:
            raise self._is_running("1 member is" if members == 1 else f"{members} members are")

    def _is_running(self, who: str) -> ServiceRunningError:
        return ServiceRunningError(
            f"{who} in the group {self._name}: stop the service first; one that was killed leaves"
            f" after {self._settings.kafka.session_timeout_ms / 1000:g} s"
        )

    async def members(self) -> int:
        """How many members the group has now; 0 for a group that does not exist."""

        async def ask() -> int:
            (answer,) = await self._admin.describe_consumer_groups([self._name])
            (group,) = answer.to_object()["groups"]
            error = for_code(group["error_code"])
            if group["error_code"] and error is not GroupIdNotFound:
                raise error(self._name)
            return len(group["members"])

        return await ask_again(self._settings, ask, "the members of the group")

    async def committed(self, partitions: Iterable[Partition]) -> dict[Partition, int | None]:
        """The group's committed offsets, None where there truly is none.

        `AIOKafkaConsumer.committed` answers None for a passing error of the coordinator too. The
        admin client names every partition it was asked for, with -1 where nothing is committed,
        so that a partition missing from the answer is an error and is asked for again.
        """
        found = await self.noted(partitions)
        return {partition: noted and noted.offset for partition, noted in found.items()}

    async def noted(self, partitions: Iterable[Partition]) -> dict[Partition, Noted | None]:
        """The same, with what was noted beside each offset."""
        tps = {TopicPartition(p.topic, p.number): p for p in partitions}

        async def ask() -> dict[Partition, Noted | None]:
            answer = await self._admin.list_consumer_group_offsets(self._name, partitions=list(tps))
            if any(tp not in answer for tp in tps):
                raise KafkaError("the coordinator left a partition out of its answer")
            return {
                partition: None
                if answer[tp].offset == _UNSET
                else Noted(int(answer[tp].offset), answer[tp].metadata or "")
                for tp, partition in tps.items()
            }

        return await ask_again(self._settings, ask, "the group's committed offsets") if tps else {}

    async def bounds(self, partitions: Iterable[Partition]) -> dict[Partition, tuple[int, int]]:
        """First offset and end offset of each partition."""
        tps = {TopicPartition(p.topic, p.number): p for p in partitions}

        async def ask() -> dict[Partition, tuple[int, int]]:
            first = await self._consumer.beginning_offsets(list(tps))
            end = await self._consumer.end_offsets(list(tps))
            return {partition: (first[tp], end[tp]) for tp, partition in tps.items()}

        return await ask_again(self._settings, ask, "the bounds of the partitions") if tps else {}

    async def offset_at(self, partition: Partition, timestamp_ms: int) -> int | None:
        """Offset of the first record at or after a time; None where there is none."""
        tp = TopicPartition(partition.topic, partition.number)

        async def ask() -> int | None:
            answer: dict[TopicPartition, Any] = await self._consumer.offsets_for_times(
                {tp: timestamp_ms}
            )
            return None if answer[tp] is None else int(answer[tp].offset)

        return await ask_again(self._settings, ask, "the offset of a time")

    async def stuck_at(self, partition: Partition, position: int, end: int) -> Stuck | None:
        """The batch at `position`, if it cannot be read; `end` lies after it."""
        tp = TopicPartition(partition.topic, partition.number)
        self._consumer.assign([tp])
        self._consumer.seek(tp, position)
        deadline = asyncio.get_running_loop().time() + self._settings.kafka.startup_timeout / 1000
        while await self._consumer.position(tp) < end:
            answer = await self._consumer.getmany(tp, timeout_ms=_POLL_MS)
            runs = [record.value.run for record in answer.get(tp, [])]
            if runs:
                unreadable = decode(runs[:1], position).unreadable
                return _stuck(unreadable, runs[0].batches, position) if unreadable else None
            if asyncio.get_running_loop().time() > deadline:
                return None
        return None

    async def note(self, offsets: Mapping[Partition, Noted], *, keep_ms: int = _UNSET) -> None:
        """Commit offsets with a note beside each.

        Args:
            offsets: what to commit.
            keep_ms: how long it is kept; by default as long as the brokers keep the offsets of
                groups without members, which is a week.

        Raises:
            ServiceRunningError: the group has members.
        """
        topics = [
            (topic, [(p.number, *offsets[p]) for p in group]) for topic, group in _by_topic(offsets)
        ]
        request = OffsetCommitRequest(self._name, _NO_GENERATION, "", keep_ms, topics)

        async def ask() -> None:
            for _, partitions in (await self._ask_coordinator(request)).topics:
                for _, code in partitions:
                    self._refuse(code)

        if topics:
            await ask_again(self._settings, ask, "a change of the group's offsets")

    async def delete_committed(self, partitions: Iterable[Partition]) -> None:
        """Forget what was committed for each partition; nothing is an answer too.

        Raises:
            ServiceRunningError: the group has members.
        """
        topics = [(topic, [p.number for p in group]) for topic, group in _by_topic(partitions)]
        request = _OffsetDelete(self._name, topics)

        async def ask() -> None:
            answer = await self._ask_coordinator(request)
            if for_code(answer.error_code) is GroupIdNotFound:
                return
            self._refuse(answer.error_code)
            for _, codes in answer.topics:
                for _, code in codes:
                    self._refuse(code)

        if topics:
            await ask_again(self._settings, ask, "a change of the group's offsets")

    async def _ask_coordinator(self, request: Any) -> Any:
        node = await self._admin.find_coordinator(self._name)
        return await self._admin._send_request(request, node)  # noqa: SLF001  no public way

    def _refuse(self, code: int) -> None:
        error: type[BrokerResponseError] = for_code(code)
        if code == _SUBSCRIBED or error in {UnknownMemberIdError, NonEmptyGroup}:
            raise self._is_running("a member is")
        if code:
            raise error(self._name)


async def ask_again(settings: Settings, ask: Callable[[], Awaitable[_T]], what: str) -> _T:
    """What `ask` answers, asked again for `kafka.startup_timeout` as long as it fails.

    Raises:
        AccessDeniedError: the broker does not let this user know.
        BrokerUnavailableError: it failed to the end.
    """
    deadline = asyncio.get_running_loop().time() + settings.kafka.startup_timeout / 1000
    while True:
        try:
            return await ask()
        except KafkaError as error:
            meaning = explain(error, settings)
            if isinstance(meaning, AccessDeniedError):
                raise meaning from error
            if asyncio.get_running_loop().time() + _RETRY_S > deadline:
                raise BrokerUnavailableError(f"no answer about {what}: {meaning}") from error
        await asyncio.sleep(_RETRY_S)


@asynccontextmanager
async def group_of(settings: Settings) -> AsyncIterator[Group]:
    """Connect without joining the group.

    Raises:
        StreamEwmaError: no broker answers, or it refuses.
    """
    admin = AIOKafkaAdminClient(**client_options(settings))
    consumer = RawConsumer(
        **client_options(settings),
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level=settings.input.isolation_level,
    )
    try:
        try:
            await admin.start()
            await consumer.start()
        except (KafkaError, OSError) as error:
            raise explain(error, settings) from error
        yield Group(settings, admin, consumer)
    finally:
        await consumer.stop()
        await admin.close()


def _stuck(unreadable: Unreadable, batches: Any, position: int) -> Stuck | None:
    """The unreadable batch, if it is the one at `position`."""
    for batch in batches:
        first = int(batch["base_offset"])
        end = first + int(batch["last_offset_delta"]) + 1
        if first == unreadable.offset:
            is_there = first <= position < end
            return Stuck(first, end, unreadable.reason) if is_there else None
    if unreadable.offset > position:
        return None
    return Stuck(unreadable.offset, position + 1, unreadable.reason)


def _by_topic(partitions: Iterable[Partition]) -> list[tuple[str, list[Partition]]]:
    return [
        (topic, list(group)) for topic, group in groupby(sorted(partitions), key=lambda p: p.topic)
    ]
