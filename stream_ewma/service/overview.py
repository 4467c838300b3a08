"""What a member of the group can say of itself, for whoever asks: metrics, HTTP, a terminal.

Everything is read from what is in memory already: to ask costs the brokers nothing, and the stream
next to nothing.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, TypeVar

from stream_ewma.engine.sample import KeyState
from stream_ewma.engine.task import PartitionTask
from stream_ewma.kafka.consumer import GroupConsumer
from stream_ewma.kafka.kept import partition_of
from stream_ewma.kafka.partition import Partition
from stream_ewma.service.counters import Counters
from stream_ewma.service.opening import Opening, RestoreProgress
from stream_ewma.service.partitions import Partitions
from stream_ewma.service.pipeline import NotThereError, Pipeline
from stream_ewma.service.watchdog import Watchdog
from stream_ewma.service.watching import Watchers
from stream_ewma.settings import Settings

T = TypeVar("T")

SCAN_EFFORT: Final = 1 << 16
"""Keys looked at for one page: about a millisecond."""
_MOST_LOOKING: Final = 4


class Phase(Enum):
    """What a member does with a partition."""

    OPENING = "opening"
    """Fencing its former owner, restoring its state, looking for its position."""
    RUNNING = "running"
    PARKED = "parked"
    """The next batch cannot be read."""
    PAUSED = "paused"
    """The group is rebalancing, or a failed commit is being settled."""


@dataclass(frozen=True, slots=True)
class PartitionStatus:
    """One partition, as it is.

    Attributes:
        partition: the input partition.
        phase: what this member does with it.
        position: offset of the next record to process.
        committed: offset up to which everything is committed.
        end: end of the partition as last fetched.
        keys: keys that have state.
        state_bytes: memory of the keys and their state.
        event_time_ms: the greatest event time since it was taken over.
        processed_at: when records were last processed, in seconds since the epoch.
        restore: how far the state is read back, while it is.
    """

    partition: Partition
    phase: Phase
    position: int | None = None
    committed: int | None = None
    end: int | None = None
    keys: int = 0
    state_bytes: int = 0
    event_time_ms: int | None = None
    processed_at: float | None = None
    restore: RestoreProgress | None = None

    @property
    def lag(self) -> int | None:
        """Records that are there and not processed."""
        if self.position is None or self.end is None:
            return None
        return max(self.end - self.position, 0)


@dataclass(frozen=True, slots=True)
class FoundKey:
    """A key's state, and how much of the input it includes.

    Attributes:
        partition: the input partition.
        state: of the key.
        offset: of the first record that is not in it.
        is_committed: whether all records before `offset` are committed.
    """

    partition: Partition
    state: KeyState
    offset: int
    is_committed: bool


@dataclass(frozen=True, slots=True)
class Searched:
    """Where a key was looked for.

    Attributes:
        found: its states.
        partitions: of this member, that were looked at.
    """

    found: list[FoundKey]
    partitions: frozenset[Partition]


@dataclass(frozen=True, slots=True)
class FoundPage:
    """Some keys of one partition.

    Attributes:
        keys: as they are.
        cursor: where to go on in the partition; None: at the next one.
        looked_at: keys of any name that it took.
    """

    keys: list[FoundKey]
    cursor: int | None
    looked_at: int


@dataclass(slots=True)
class Overview:
    """Everything that may be asked of a running member.

    Attributes:
        settings: as given.
        counters: what it has done.
        watchers: who watches its stream.
        consumer: the group's member.
        partitions: what it works on.
        opening: what it takes over.
        watchdog: knows whether the brokers answer.
        started_at: in seconds since the epoch.
        is_stopping: whether it is about to leave.
        has_joined: whether the group has given it partitions, if only none.
    """

    settings: Settings
    counters: Counters
    watchers: Watchers
    consumer: GroupConsumer
    partitions: Partitions
    opening: Opening
    watchdog: Watchdog
    started_at: float = field(default_factory=time.time)
    is_stopping: bool = False
    has_joined: bool = False
    _looking: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_MOST_LOOKING))

    # -- how it is ----------------------------------------------------------------------------

    @property
    def standby_count(self) -> int:
        """Partitions of which a warm copy is kept, or being made."""
        return len(self.consumer.standby_partitions)

    def status(self) -> list[PartitionStatus]:
        """The assigned partitions, in order."""
        return [
            self._status(partition) for partition in sorted(self.partitions.assigned_partitions)
        ]

    def _status(self, partition: Partition) -> PartitionStatus:
        pipeline = self.partitions.pipelines.get(partition)
        if pipeline is None:
            restore = self.opening.progress.get(partition)
            return PartitionStatus(partition, Phase.OPENING, restore=restore)
        since = pipeline.processed_at
        return PartitionStatus(
            partition,
            _phase(pipeline),
            pipeline.position,
            pipeline.committed,
            self.consumer.end(partition),
            pipeline.keys_count,
            pipeline.state_bytes,
            pipeline.event_time,
            None if since is None else time.time() - asyncio.get_running_loop().time() + since,
        )

    def unready(self) -> dict[str, str]:
        """What stands against being ready, by check; nothing: it is ready."""
        if self.is_stopping:
            return {"service": "stopping"}
        if not self.has_joined:
            return {"group": "not joined yet"}
        found: dict[str, str] = {}
        if self.watchdog.are_brokers_silent:
            found["brokers"] = "no answer"
        for status in self.status():
            if status.phase in (Phase.OPENING, Phase.PARKED):
                found[str(status.partition)] = _words(status)
        return found

    # -- keys ---------------------------------------------------------------------------------

    async def search(self, key: bytes) -> Searched:
        """The key's state in each of the member's partitions that has it."""
        found: list[FoundKey] = []
        looked: set[Partition] = set()
        for pipeline in self._running():
            try:
                answer = await self._look(pipeline, lambda task: task.look_up([key]))
            except NotThereError:
                continue
            states, end, committed = answer
            looked.add(pipeline.partition)
            found += [FoundKey(pipeline.partition, state, end, committed) for state in states]
        return Searched(found, frozenset(looked))

    def homes(self, key: bytes) -> list[Partition]:
        """Where Kafka's default partitioner puts a key, in each input topic."""
        counts = {
            topic: self.consumer.partition_count(topic) for topic in self.settings.input.topics
        }
        return [Partition(topic, partition_of(key, n)) for topic, n in counts.items() if n]

    def owner(self, partition: Partition) -> str | None:
        """host:port of the member that has it, by the last assignment; None: not known."""
        return self.consumer.owner(partition)

    def advertise(self, address: str) -> None:
        """Tell the group where this member answers, when it joins."""
        self.consumer.advertise(address)

    async def page(self, partition: Partition, prefix: bytes, cursor: int, limit: int) -> FoundPage:
        """Keys of one partition that begin with `prefix`; a bounded number is looked at.

        Raises:
            NotThereError: the partition is not this member's, or not yet.
        """
        pipeline = self.partitions.pipelines.get(partition)
        if pipeline is None:
            raise NotThereError
        page, end, committed = await self._look(
            pipeline, lambda task: task.page(prefix, cursor, limit, SCAN_EFFORT)
        )
        keys = [FoundKey(partition, state, end, committed) for state in page.keys]
        following = pipeline.keys_count if page.cursor is None else page.cursor
        return FoundPage(keys, page.cursor, max(following - cursor, 0))

    def running_partitions(self) -> list[Partition]:
        """The partitions whose keys can be asked for, in order."""
        return [pipeline.partition for pipeline in self._running()]

    def _running(self) -> list[Pipeline]:
        pipelines = self.partitions.pipelines
        return [pipelines[partition] for partition in sorted(pipelines)]

    async def _look(
        self, pipeline: Pipeline, at: Callable[[PartitionTask], T]
    ) -> tuple[T, int, bool]:
        """What `at` finds, the offset that it includes, and whether that is committed."""
        async with self._looking:
            found, end = await pipeline.look(lambda task: (at(task), task.position))
        return found, end, pipeline.committed is not None and pipeline.committed >= end


def _phase(pipeline: Pipeline) -> Phase:
    if pipeline.parked:
        return Phase.PARKED
    return Phase.RUNNING if pipeline.active else Phase.PAUSED


def _words(status: PartitionStatus) -> str:
    if status.restore is not None:
        return f"restoring: {status.restore.rows} rows read, {status.restore.share:.0%}"
    return f"parked at offset {status.position}" if status.phase is Phase.PARKED else "opening"
