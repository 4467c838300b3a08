"""Reading the input topics as a member of the group, with positions that this service owns.

aiokafka never chooses where to start (`auto_offset_reset="none"`): it takes a passing error of the
coordinator for "no offset committed" and would rewind or skip. A newly assigned partition is
paused at once, its start is found here, and only then it is resumed.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from stream_ewma.errors import BrokerUnavailableError
from stream_ewma.kafka.connect import client_options
from stream_ewma.kafka.errors import explain
from stream_ewma.kafka.seams import RawConsumer
from stream_ewma.records.fetched import BatchRun
from stream_ewma.settings import Settings

_T = TypeVar("_T")

_RETRY_S = 0.2
_UNSET = -1
# Asking for this one leaves the records of all others where they are.
_NO_PARTITION = TopicPartition("", -1)
# aiokafka leaves the group when getmany was not called for this long; backpressure is no reason to.
_MAX_POLL_INTERVAL_MS = 24 * 60 * 60 * 1000


@dataclass(frozen=True, slots=True, order=True)
class Partition:
    """One partition of an input topic."""

    topic: str
    number: int

    def __str__(self) -> str:
        return f"{self.topic}-{self.number}"


OnRevoked = Callable[[], Awaitable[None]]
OnAssigned = Callable[[frozenset[Partition]], None]


class CommitRefusedError(Exception):
    """The group has moved on: these offsets are not ours to commit any more."""


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    def __init__(self, owner: "GroupConsumer") -> None:
        self._owner = owner

    async def on_partitions_revoked(self, revoked: object) -> None:
        del revoked  # always all of them
        await self._owner.revoked()

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        # Synchronous on purpose: aiokafka sends no heartbeats while this runs.
        self._owner.assigned(assigned)


class GroupConsumer:
    """A member of the consumer group `application_id`.

    Args:
        settings: names, limits, security.
        on_revoked: awaited before the group is left or rejoined; must be short.
        on_assigned: told the partitions, which are paused until `begin` is called for them.
    """

    def __init__(self, settings: Settings, on_revoked: OnRevoked, on_assigned: OnAssigned) -> None:
        self._settings = settings
        self._on_revoked = on_revoked
        self._on_assigned = on_assigned
        kafka = settings.kafka
        # aiokafka's sticky assignor remembers in class attributes: a class of one's own keeps
        # several services in one process apart.
        assignor = type("OwnStickyAssignor", (StickyPartitionAssignor,), {})
        self._consumer = RawConsumer(
            **client_options(settings),
            group_id=settings.application_id,
            enable_auto_commit=False,
            auto_offset_reset="none",
            check_crcs=False,
            isolation_level=settings.input.isolation_level,
            session_timeout_ms=kafka.session_timeout_ms,
            rebalance_timeout_ms=min(
                kafka.session_timeout_ms + 2_000, max(kafka.request_timeout_ms - 2_000, 1_000)
            ),
            heartbeat_interval_ms=kafka.heartbeat_interval_ms,
            max_poll_interval_ms=_MAX_POLL_INTERVAL_MS,
            fetch_max_bytes=kafka.fetch_max_bytes,
            max_partition_fetch_bytes=kafka.max_partition_fetch_bytes,
            fetch_max_wait_ms=kafka.fetch_max_wait_ms,
            partition_assignment_strategy=(assignor,),
        )
        self._admin = AIOKafkaAdminClient(**client_options(settings))

    async def start(self) -> None:
        """Connect and join the group; assignments arrive through the callbacks.

        Raises:
            StreamEwmaError: no broker answers, or it refuses.
        """
        try:
            await self._admin.start()
            await self._consumer.start()
        except (KafkaError, OSError) as error:
            raise explain(error, self._settings) from error
        self._consumer.subscribe(list(self._settings.input.topics), listener=_Listener(self))

    async def stop(self) -> None:
        """Leave the group and disconnect."""
        await self._consumer.stop()
        await self._admin.close()

    async def revoked(self) -> None:
        """Called by aiokafka when it is about to rejoin."""
        await self._on_revoked()

    def assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Called by aiokafka when it has joined."""
        partitions = []
        for tp in assigned:
            self._consumer.seek(tp, 0)
            self._consumer.pause(tp)
            partitions.append(Partition(tp.topic, tp.partition))
        self._on_assigned(frozenset(partitions))

    def begin(self, partition: Partition, position: int) -> bool:
        """Start fetching an assigned partition at `position`; False if it is not assigned now."""
        tp = _tp(partition)
        try:
            self._consumer.seek(tp, position)
            self._consumer.resume(tp)
        except IllegalStateError:
            return False
        return True

    def park(self, partition: Partition) -> None:
        """Fetch nothing more of this partition."""
        try:
            self._consumer.pause(_tp(partition))
        except IllegalStateError:
            return  # it was revoked meanwhile

    async def poll(
        self, partitions: Iterable[Partition], timeout_ms: int
    ) -> dict[Partition, list[BatchRun]]:
        """Runs of record batches of `partitions`, as many as have arrived; never cancel it.

        Raises:
            KafkaError: what the broker refuses for good.
        """
        tps = [_tp(partition) for partition in partitions]
        answer = await self._consumer.getmany(*tps, timeout_ms=timeout_ms)
        return {
            Partition(tp.topic, tp.partition): [record.value.run for record in records]
            for tp, records in answer.items()
            if records
        }

    async def position(self, partition: Partition) -> int | None:
        """The offset that aiokafka fetches next; None if the partition is not assigned now.

        It passes control batches and aborted transactions, of which `poll` answers nothing.
        """
        try:
            return int(await self._consumer.position(_tp(partition)))
        except IllegalStateError:
            return None

    async def check(self) -> None:
        """Stay a member of the group and learn of its errors where there is nothing to `poll`.

        aiokafka holds a refusal by the group back until records are asked for, and takes a member
        that has not asked for `max_poll_interval_ms` out of the group. Never cancel it.

        Raises:
            KafkaError: what the broker refuses for good.
        """
        await self._consumer.getmany(_NO_PARTITION, timeout_ms=0)

    @property
    def has_died(self) -> bool:
        """Whether one of aiokafka's own tasks has ended, which it tells nobody."""
        fetcher, coordinator = self._consumer._fetcher, self._consumer._coordinator  # noqa: SLF001
        tasks = (
            getattr(fetcher, "_fetch_task", None),
            getattr(coordinator, "_coordination_task", None),
        )
        return any(task is not None and task.done() for task in tasks)

    async def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Commit, for each partition, the offset of the next record to read.

        Raises:
            CommitRefusedError: the group has rebalanced, or the partition is not assigned.
            KafkaError: anything else.
        """
        try:
            await self._consumer.commit({_tp(p): offset for p, offset in offsets.items()})
        except (CommitFailedError, IllegalStateError) as error:
            raise CommitRefusedError(str(error)) from error

    async def committed(self, partitions: Iterable[Partition]) -> dict[Partition, int | None]:
        """The group's committed offsets, None where there truly is none.

        `AIOKafkaConsumer.committed` answers None for a passing error of the coordinator too. The
        admin client names every partition it was asked for, with -1 where nothing is committed,
        so that a partition missing from the answer is an error and is asked for again.
        """
        tps = [_tp(partition) for partition in partitions]
        group = self._settings.application_id

        async def ask() -> dict[Partition, int | None]:
            answer = await self._admin.list_consumer_group_offsets(group, partitions=tps)
            if any(tp not in answer for tp in tps):
                raise KafkaError("the coordinator left a partition out of its answer")
            return {
                Partition(tp.topic, tp.partition): None
                if answer[tp].offset == _UNSET
                else int(answer[tp].offset)
                for tp in tps
            }

        return await self._retry(ask, "the group's committed offsets")

    async def bounds(self, partitions: Iterable[Partition]) -> dict[Partition, tuple[int, int]]:
        """First offset and end offset of each partition."""
        tps = [_tp(partition) for partition in partitions]

        async def ask() -> dict[Partition, tuple[int, int]]:
            first = await self._consumer.beginning_offsets(tps)
            end = await self._consumer.end_offsets(tps)
            return {Partition(tp.topic, tp.partition): (first[tp], end[tp]) for tp in tps}

        return await self._retry(ask, "the bounds of the input partitions")

    async def offset_at(self, partition: Partition, timestamp_ms: int) -> int | None:
        """Offset of the first record at or after a time; None when there is none yet."""
        tp = _tp(partition)

        async def ask() -> int | None:
            answer: dict[TopicPartition, Any] = await self._consumer.offsets_for_times(
                {tp: timestamp_ms}
            )
            return None if answer[tp] is None else int(answer[tp].offset)

        return await self._retry(ask, "the offset of the start time")

    async def _retry(self, ask: Callable[[], Awaitable[_T]], what: str) -> _T:
        deadline = asyncio.get_running_loop().time() + self._settings.kafka.startup_timeout / 1000
        while True:
            try:
                return await ask()
            except KafkaError as error:
                if asyncio.get_running_loop().time() + _RETRY_S > deadline:
                    raise BrokerUnavailableError(f"no answer about {what}: {error!r}") from error
            await asyncio.sleep(_RETRY_S)


def _tp(partition: Partition) -> TopicPartition:
    return TopicPartition(partition.topic, partition.number)
