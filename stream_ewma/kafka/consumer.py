"""Reading the input topics as a member of the group, with positions that this service owns.

aiokafka never chooses where to start (`auto_offset_reset="none"`): it takes a passing error of the
coordinator for "no offset committed" and would rewind or skip. A newly assigned partition is
paused at once, its start is found here, and only then it is resumed.
"""

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping

from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from stream_ewma.kafka.assignor import StandbyAssignor
from stream_ewma.kafka.connect import client_options
from stream_ewma.kafka.errors import explain
from stream_ewma.kafka.group import Group
from stream_ewma.kafka.partition import Partition
from stream_ewma.kafka.seams import RawConsumer
from stream_ewma.records.fetched import BatchRun
from stream_ewma.settings import Settings

# Asking for this one leaves the records of all others where they are.
_NO_PARTITION = TopicPartition("", -1)
# aiokafka leaves the group when getmany was not called for this long; backpressure is no reason to.
_MAX_POLL_INTERVAL_MS = 24 * 60 * 60 * 1000


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


def rebalance_timeout_ms(settings: Settings) -> int:
    """How long the group waits for a member that is to join again, before it goes on without it."""
    kafka = settings.kafka
    return min(kafka.session_timeout_ms + 2_000, max(kafka.request_timeout_ms - 2_000, 1_000))


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
        self._assignor = StandbyAssignor(settings.state.standbys)
        self._consumer = RawConsumer(
            **client_options(settings),
            group_id=settings.application_id,
            enable_auto_commit=False,
            auto_offset_reset="none",
            check_crcs=False,
            isolation_level=settings.input.isolation_level,
            session_timeout_ms=kafka.session_timeout_ms,
            rebalance_timeout_ms=rebalance_timeout_ms(settings),
            heartbeat_interval_ms=kafka.heartbeat_interval_ms,
            max_poll_interval_ms=_MAX_POLL_INTERVAL_MS,
            fetch_max_bytes=kafka.fetch_max_bytes,
            max_partition_fetch_bytes=kafka.max_partition_fetch_bytes,
            fetch_max_wait_ms=kafka.fetch_max_wait_ms,
            # One alone: aiokafka joins the group once for each.
            partition_assignment_strategy=(self._assignor,),
        )
        self._admin = AIOKafkaAdminClient(**client_options(settings))
        self._group = Group(settings, self._admin, self._consumer)

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
        try:
            await self._consumer.stop()
        finally:
            # What one of its tasks has died of is raised there, before it disconnects.
            await self._consumer._client.close()  # noqa: SLF001  no public way
            await self._admin.close()

    async def revoked(self) -> None:
        """Called by aiokafka when it is about to rejoin."""
        await self._on_revoked()

    def assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Called by aiokafka when it has joined."""
        self._assignor.joined(self._consumer._coordinator.generation)  # noqa: SLF001
        partitions = []
        for tp in assigned:
            self._consumer.seek(tp, 0)
            self._consumer.pause(tp)
            partitions.append(Partition(tp.topic, tp.partition))
        self._on_assigned(frozenset(partitions))

    @property
    def standby_partitions(self) -> frozenset[Partition]:
        """Those whose state this member is to follow, by the last assignment."""
        return frozenset(Partition(*tp) for tp in self._assignor.holding.standbys)

    def warmed(self, partitions: Iterable[Partition]) -> None:
        """Whose state has been followed to the end: the next assignment prefers them here."""
        self._assignor.warmed(map(_tp, partitions))

    def advertise(self, address: str) -> None:
        """Tell the others, from the next time of joining on, where this member answers HTTP."""
        self._assignor.advertise(address)

    def owner(self, partition: Partition) -> str | None:
        """Where the member answers that got the partition last; None: not known."""
        return self._assignor.addresses.get(_tp(partition))

    def partition_count(self, topic: str) -> int | None:
        """Partitions of a topic; None: not known."""
        found = self._consumer.partitions_for_topic(topic)
        return len(found) if found else None

    @property
    def is_member(self) -> bool:
        """Whether the group still counts this member in, as far as can be known from here.

        After so long without an answer of the group's coordinator it may have given the partitions
        to others: the session is over, or those who joined again were not waited for any longer.
        """
        settings = self._settings
        patience_ms = min(settings.kafka.session_timeout_ms, rebalance_timeout_ms(settings))
        heard_at: float = self._consumer.heard_at
        return time.monotonic() - heard_at < patience_ms / 1000

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

    def end(self, partition: Partition) -> int | None:
        """End of the partition as the last answer of its broker told it; None: not known.

        What a transaction that is still open holds back is there, too: whoever waits for its end
        is to see that records wait.
        """
        return self._told(partition, self._consumer.highwater)

    def fetchable_end(self, partition: Partition) -> int | None:
        """The same, of what can be fetched now."""
        is_committed_only = self._settings.input.isolation_level == "read_committed"
        client = self._consumer
        return self._told(
            partition, client.last_stable_offset if is_committed_only else client.highwater
        )

    def _told(self, partition: Partition, by: Callable[[TopicPartition], int | None]) -> int | None:
        tp = _tp(partition)
        if tp not in self._consumer.assignment():
            return None
        end = by(tp)
        return None if end is None or end < 0 else int(end)

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
        """The group's committed offsets, None where there truly is none."""
        return await self._group.committed(partitions)

    async def bounds(self, partitions: Iterable[Partition]) -> dict[Partition, tuple[int, int]]:
        """First offset and end offset of each partition."""
        return await self._group.bounds(partitions)

    async def offset_at(self, partition: Partition, timestamp_ms: int) -> int | None:
        """Offset of the first record at or after a time; None when there is none yet."""
        return await self._group.offset_at(partition, timestamp_ms)


def _tp(partition: Partition) -> TopicPartition:
    return TopicPartition(partition.topic, partition.number)
