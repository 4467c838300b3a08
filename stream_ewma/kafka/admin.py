"""What an operator's commands ask of the brokers, and change, from outside of the group."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupIdNotFound, KafkaError, for_code
from aiokafka.partitioner import murmur2

from stream_ewma.errors import BrokerUnavailableError, ServiceRunningError, TopicError
from stream_ewma.kafka.connect import client_options, wait_for_broker
from stream_ewma.kafka.errors import explain
from stream_ewma.kafka.offset_delete import OffsetDeleteRequest
from stream_ewma.kafka.partition import Partition
from stream_ewma.kafka.seams import RawConsumer
from stream_ewma.kafka.topic_ids import ask_topic_ids
from stream_ewma.kafka.topics import partition_counts
from stream_ewma.records.reader import Unreadable, decode
from stream_ewma.settings import Settings

_T = TypeVar("_T")

_RETRY_S: Final = 0.2
_POLL_MS: Final = 200
_UNSET: Final = -1


def partition_of(key: bytes, partitions: int) -> int:
    """Where Java's default partitioner puts a key."""
    return int(murmur2(key) & 0x7FFFFFFF) % partitions


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


@dataclass(frozen=True, slots=True)
class Topic:
    """An input topic.

    Attributes:
        name: its name.
        topic_id: Kafka's own; None where the brokers know none.
        partitions: how many it has.
        kept: how many its changelog has.
    """

    name: str
    topic_id: str | None
    partitions: int
    kept: int

    @property
    def kept_partitions(self) -> list[Partition]:
        """The partitions whose state is kept."""
        return [Partition(self.name, number) for number in range(self.kept)]


class GroupAdmin:
    """Questions and changes from outside of the group; made by `group_admin`.

    Args:
        settings: where the brokers are, how to be let in, and which group.
        admin: started.
        consumer: started, without a group.
    """

    def __init__(
        self, settings: Settings, admin: AIOKafkaAdminClient, consumer: RawConsumer
    ) -> None:
        self._settings = settings
        self._group = settings.application_id
        self._admin = admin
        self._consumer = consumer

    async def refuse_members(self) -> None:
        """Return if no member of the group is there.

        Raises:
            ServiceRunningError: there are some.
        """
        members = await self._retry(self._members, "the members of the group")
        if members:
            were = "member is" if members == 1 else "members are"
            raise ServiceRunningError(
                f"{members} {were} in the group {self._group}: stop the service first; one that was"
                f" killed leaves after {self._settings.kafka.session_timeout_ms / 1000:g} s"
            )

    async def _members(self) -> int:
        (answer,) = await self._admin.describe_consumer_groups([self._group])
        (group,) = answer.to_object()["groups"]
        if group["error_code"] == GroupIdNotFound.errno:
            return 0
        _raise_for(group["error_code"], self._group)
        return len(group["members"])

    async def topic(self, name: str) -> Topic:
        """What is known of an input topic and its changelog.

        Raises:
            TopicError: one of them does not exist.
        """
        changelog = self._settings.changelog_topic(name)
        counts = await partition_counts(self._admin, [name, changelog])
        partitions, kept = counts[name], counts[changelog]
        if partitions is None:
            raise TopicError(f"{name}: the topic does not exist; mend input.topics or --topic")
        if kept is None and self._settings.state.durable:
            raise TopicError(
                f"{changelog}: the topic that keeps the state of {name} does not exist: the service"
                f" has not run as {self._group}, or run: stream-ewma topics create"
            )
        ids = await ask_topic_ids(self._admin, [name])
        return Topic(name, ids[name], partitions, kept or 0)

    async def committed(self, partitions: Iterable[Partition]) -> dict[Partition, int | None]:
        """The group's offsets, None where there is none."""
        tps = [_tp(partition) for partition in partitions]

        async def ask() -> dict[Partition, int | None]:
            answer = await self._admin.list_consumer_group_offsets(self._group, partitions=tps)
            if any(tp not in answer for tp in tps):
                raise KafkaError("the coordinator left a partition out of its answer")
            offsets = {tp: int(answer[tp].offset) for tp in tps}
            return {_partition(tp): None if at == _UNSET else at for tp, at in offsets.items()}

        return await self._retry(ask, "the group's offsets")

    async def bounds(self, partitions: Iterable[Partition]) -> dict[Partition, tuple[int, int]]:
        """First offset and end offset of each partition."""
        tps = [_tp(partition) for partition in partitions]

        async def ask() -> dict[Partition, tuple[int, int]]:
            first = await self._consumer.beginning_offsets(tps)
            end = await self._consumer.end_offsets(tps)
            return {_partition(tp): (int(first[tp]), int(end[tp])) for tp in tps}

        return await self._retry(ask, "the bounds of the partitions")

    async def offset_at(self, partition: Partition, timestamp_ms: int) -> int | None:
        """Offset of the first record at or after a time; None where there is none."""
        tp = _tp(partition)

        async def ask() -> int | None:
            answer: dict[TopicPartition, Any] = await self._consumer.offsets_for_times(
                {tp: timestamp_ms}
            )
            return None if answer[tp] is None else int(answer[tp].offset)

        return await self._retry(ask, "the offset of a time")

    async def delete_offsets(self, partitions: Iterable[Partition]) -> None:
        """Forget the group's offsets of partitions.

        Raises:
            KafkaError: the group has members, or the broker refuses.
        """
        by_topic: defaultdict[str, list[int]] = defaultdict(list)
        for partition in partitions:
            by_topic[partition.topic].append(partition.number)

        async def ask() -> None:
            node = await self._admin.find_coordinator(self._group)
            request = OffsetDeleteRequest(self._group, by_topic)
            answer = await self._admin._send_request(request, node)  # noqa: SLF001  no public way
            found = answer.to_object()
            if found["error_code"] == GroupIdNotFound.errno:  # then it has no offsets
                return
            _raise_for(found["error_code"], self._group)
            for topic in found["topics"]:
                for each in topic["partitions"]:
                    _raise_for(each["error_code"], topic["name"])

        await self._retry(ask, "deleting the group's offsets")

    async def stuck_at(self, partition: Partition, position: int, end: int) -> Stuck | None:
        """The batch at `position`, if it cannot be read; `end` lies after it."""
        tp = _tp(partition)
        self._consumer.assign([tp])
        self._consumer.seek(tp, position)
        deadline = asyncio.get_running_loop().time() + self._patience_s
        while await self._consumer.position(tp) < end:
            answer = await self._consumer.getmany(tp, timeout_ms=_POLL_MS)
            runs = [record.value.run for record in answer.get(tp, [])]
            if runs:
                unreadable = decode(runs[:1], position).unreadable
                return _stuck(unreadable, runs[0].batches, position) if unreadable else None
            if asyncio.get_running_loop().time() > deadline:
                return None
        return None

    @property
    def _patience_s(self) -> float:
        return self._settings.kafka.startup_timeout / 1000

    async def _retry(self, ask: Callable[[], Awaitable[_T]], what: str) -> _T:
        deadline = asyncio.get_running_loop().time() + self._patience_s
        while True:
            try:
                return await ask()
            except KafkaError as error:
                if not error.retriable:
                    raise
                if asyncio.get_running_loop().time() + _RETRY_S > deadline:
                    raise BrokerUnavailableError(f"no answer about {what}: {error!r}") from error
            await asyncio.sleep(_RETRY_S)


@asynccontextmanager
async def group_admin(settings: Settings) -> AsyncIterator[GroupAdmin]:
    """Questions and changes while this lasts.

    Raises:
        StreamEwmaError: no broker answers, or it refuses.
    """
    await wait_for_broker(settings)
    admin = AIOKafkaAdminClient(**client_options(settings))
    consumer = RawConsumer(
        **client_options(settings),
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="none",
        check_crcs=False,
        isolation_level=settings.input.isolation_level,
    )
    try:
        await admin.start()
        await consumer.start()
        yield GroupAdmin(settings, admin, consumer)
    except (KafkaError, OSError) as error:
        raise explain(error, settings) from error
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


def _raise_for(code: int, what: str) -> None:
    if code:
        raise for_code(code)(what)


def _tp(partition: Partition) -> TopicPartition:
    return TopicPartition(partition.topic, partition.number)


def _partition(tp: TopicPartition) -> Partition:
    return Partition(tp.topic, tp.partition)
