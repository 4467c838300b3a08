"""Taking a partition over: fence whoever had it, read its state back, find where to begin.

The order is what makes it safe. Once the producer is started, no transaction of another member can
end any more; only then is the changelog complete, and only then are the offsets final.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from stream_ewma.engine.changelog import ChangelogError
from stream_ewma.engine.config import TaskConfig
from stream_ewma.engine.configuration import Configuration
from stream_ewma.engine.marker import Marker
from stream_ewma.engine.stored import Head, LiveKeys
from stream_ewma.engine.task import PartitionTask
from stream_ewma.errors import StateError
from stream_ewma.events import fields
from stream_ewma.kafka.changelog import ChangelogFollower, ChangelogReader, PositionLostError
from stream_ewma.kafka.consumer import GroupConsumer
from stream_ewma.kafka.errors import FencedError
from stream_ewma.kafka.partition import Partition
from stream_ewma.kafka.transactions import TransactionalProducer, transactional_id
from stream_ewma.records.fetched import BatchRun
from stream_ewma.service.counters import Counters
from stream_ewma.service.positions import (
    Known,
    Start,
    TopicIdentity,
    first_start,
    reset_command,
    start_with_state,
    start_without_state,
)
from stream_ewma.service.standby import Copy, Standbys
from stream_ewma.settings import Settings

_log = logging.getLogger(__name__)

_MOST_AT_ONCE = 16
_MOST_READERS = 4
_PROGRESS_S = 5.0
_GROUP_S = 0.1
_UNKNOWN = TopicIdentity(None, None)


@dataclass(frozen=True, slots=True)
class Parts:
    """The classes that the service is put together from."""

    consumer: type[GroupConsumer] = GroupConsumer
    producer: type[TransactionalProducer] = TransactionalProducer
    reader: type[ChangelogReader] = ChangelogReader
    follower: type[ChangelogFollower] = ChangelogFollower
    task: type[PartitionTask] = PartitionTask


@dataclass(frozen=True, slots=True)
class RestoreProgress:
    """How far a partition's state is read back.

    Attributes:
        rows: read so far.
        share: of what there is to read, 0 to 1.
    """

    rows: int
    share: float


@dataclass(frozen=True, slots=True)
class Opened:
    """A partition that is ready to go on.

    Attributes:
        task: its state, positioned.
        producer: of its transactions, started; None: nothing is kept.
        kept: the position that the changelog holds; None: none yet.
        committed: the group's offset.
    """

    task: PartitionTask
    producer: TransactionalProducer | None
    kept: int | None
    committed: int | None


@dataclass(slots=True)
class Opening:
    """Opens partitions, several at once.

    Attributes:
        settings: everything.
        config: what the partitions' tasks have in common.
        parts: the classes to use.
        consumer: whom to ask for offsets.
        identities: the input topics as they were at the start.
        threads: where rows are read.
        hash_seed: of the key tables.
        counters: what is counted.
        standbys: has warm copies of some partitions; None: of none.
        progress: how far the state of partitions is read back that are being taken over.
        last_restore_s: seconds that the last one took to read back; None: there was none.
    """

    settings: Settings
    config: TaskConfig
    parts: Parts
    consumer: GroupConsumer
    identities: Mapping[str, TopicIdentity]
    threads: ThreadPoolExecutor
    hash_seed: tuple[int, int]
    counters: Counters
    standbys: Standbys | None = None
    progress: dict[Partition, RestoreProgress] = field(default_factory=dict)
    last_restore_s: float | None = None
    _slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_MOST_AT_ONCE))
    _reading: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_MOST_READERS))
    _readers: list[ChangelogReader] = field(default_factory=list)

    def producer(self, partition: Partition) -> TransactionalProducer:
        """A producer of the partition's transactions, not started."""
        return self.parts.producer(self.settings, transactional_id(self.settings, partition))

    async def open(self, partition: Partition) -> Opened:
        """Take a partition over.

        Raises:
            StateError: its state does not fit the input, the group or the settings.
            FencedError: another member takes it over at the same time.
            KafkaError: the brokers do not answer, or refuse.
        """
        async with self._slots:
            if not self.settings.state.durable:
                known = await self._known(partition, None, await self._committed(partition))
                start = start_without_state(partition, known, self.settings)
                return await self._begin(partition, self.new_task(partition), None, known, start)
            while True:
                await self._counted_in(partition)
                producer = self.producer(partition)
                try:
                    await producer.start()
                    opened = await self._with_state(partition, producer)
                except BaseException:
                    await producer.stop()
                    raise
                if opened is not None:
                    return opened
                await producer.stop()

    async def _counted_in(self, partition: Partition) -> None:
        """Wait for a word of the group: without one, another member may own the partition by now.

        The fence does not need the group's coordinator. Who reaches all brokers but that one would
        fence the partition's new owner again and again.
        """
        is_told = False
        while True:
            if self.consumer.is_member:
                return
            if not is_told:
                _log.warning("%s: not taken over before the group answers", partition)
            is_told = True
            await asyncio.sleep(_GROUP_S)

    async def _with_state(
        self, partition: Partition, producer: TransactionalProducer
    ) -> Opened | None:
        """Go on with what is kept; None where that was void, and is forgotten now.

        A commit is answered before all partitions of its transaction know of it. Only the next
        producer's start waits for that: until then the group may still answer the offset before.
        """
        # Before the rows are read: an offset of whoever takes the partition over meanwhile would be
        # ahead of them, as if rows had been lost. The first commit here fails then.
        committed = await self._committed(partition)
        task, marker = await self._restored(partition)
        known = await self._known(partition, marker, committed)
        start = start_with_state(partition, known, self.settings)
        if start.is_rebuild:
            _log.warning("%s: %s", partition, start.warning)
            await self._forget(partition, producer, known)
            return None
        return await self._begin(partition, task, producer, known, start)

    async def _forget(
        self, partition: Partition, producer: TransactionalProducer, known: Known
    ) -> None:
        """Take away what is kept of a partition, which then stands at the topic's beginning."""
        live = LiveKeys(self.hash_seed)
        await self._read(partition, live.read)
        identity = known.identity
        head = Head.of(
            Configuration.of(self.config),
            partition.topic,
            identity.topic_id,
            partition.number,
            identity.partitions or 0,
            known.first,
        )
        changelog = self.settings.changelog_topic(partition.topic)
        most = self.settings.output.max_batch_bytes
        await producer.begin()
        for batches in (*live.tombstones(most), head.batches(most)):
            for batch in batches:
                await producer.send(batch, changelog, partition.number)
        await producer.commit({partition: known.first})

    def new_task(self, partition: Partition) -> PartitionTask:
        """A task of the partition that knows nothing yet."""
        identity = self.identities.get(partition.topic, _UNKNOWN)
        return self.parts.task(
            partition.topic,
            partition.number,
            0,
            self.config,
            self.hash_seed,
            topic_id=identity.topic_id,
            partitions=identity.partitions,
        )

    async def stop(self) -> None:
        """Disconnect the readers that are idle."""
        idle, self._readers = self._readers, []
        await asyncio.gather(*(reader.stop() for reader in idle))

    async def _restored(self, partition: Partition) -> tuple[PartitionTask, Marker | None]:
        """The partition's task with its state, from a warm copy if there is one; its position."""
        copy = await self.standbys.take(partition) if self.standbys is not None else None
        if self.standbys is not None and copy is not None:
            try:
                return copy.task, await self._restore(partition, copy.task, copy)
            except PositionLostError:
                _log.warning("%s: the changelog is another one than the warm copy's", partition)
            except BaseException:
                self.standbys.give_back(partition, copy)
                raise
        task = self.new_task(partition)
        return task, await self._restore(partition, task, None)

    async def _restore(
        self, partition: Partition, task: PartitionTask, copy: Copy | None
    ) -> Marker | None:
        """Read the partition's state back, or what a copy lacks; answers where it stands."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        if copy is None:
            rows = await self._read(partition, task.restore)
        else:
            rows = await self._read(partition, copy.restore, copy.position)
            copy.is_sound = False  # it is this member's own from here on
        try:
            restored = await loop.run_in_executor(self.threads, task.restored)
        except ChangelogError as error:
            raise self._explained(partition, error) from error
        self.last_restore_s = seconds = loop.time() - began
        where = {"topic": partition.topic, "partition": partition.number}
        if copy is not None:
            what = fields("state_restored", **where, records=rows, duration_s=round(seconds, 3))
            _log.info("%s: warm copy: %d rows read in %.1f s", partition, rows, seconds, extra=what)
        elif rows:
            what = fields("state_restored", **where, records=rows, duration_s=round(seconds, 3))
            _log.info(
                "%s: %d keys restored in %.1f s", partition, restored.keys, seconds, extra=what
            )
        if restored.converted or restored.restarted:
            _log.info(
                "%s: the settings have changed: %d keys converted, %d begin anew",
                partition,
                restored.converted,
                restored.restarted,
            )
        self.counters.restored += restored.keys
        return restored.marker

    async def _read(
        self,
        partition: Partition,
        absorb: Callable[[list[BatchRun]], int],
        position: int | None = None,
    ) -> int:
        """Hand the partition's changelog to `absorb`, on a thread; answers how many rows it took.

        Raises:
            StateError: a record cannot be read.
            PositionLostError: the changelog does not have `position`.
            FencedError: somebody has written to it since this member's fence.
        """
        loop = asyncio.get_running_loop()
        changelog = self.settings.changelog_topic(partition.topic)
        rows = 0
        told = loop.time()

        async def take(runs: list[BatchRun]) -> None:
            nonlocal rows, told
            rows += await loop.run_in_executor(self.threads, absorb, runs)
            first, end = reader.reach
            share = (runs[-1].next_offset - first) / max(end - first, 1)
            self.progress[partition] = RestoreProgress(rows, min(share, 1.0))
            if loop.time() - told >= _PROGRESS_S:
                told = loop.time()
                _log.info("%s: reading the state back: %d rows so far", partition, rows)

        async with self._reading:
            reader = await self._reader()
            try:
                end = await reader.read(changelog, partition.number, take, position=position)
                end_now = await reader.end(changelog, partition.number)
            except BaseException as error:
                # Where a connection is dead, those of the idle readers may be, too.
                await asyncio.gather(reader.stop(), self.stop())
                if isinstance(error, ChangelogError):
                    raise self._explained(partition, error) from error
                raise
            finally:
                self.progress.pop(partition, None)
            self._readers.append(reader)
        # Compaction may have removed rows in favour of those behind the end, which are not read.
        if end_now != end:
            raise FencedError(f"{changelog}-{partition.number}: written to after the fence")
        return rows

    def _explained(self, partition: Partition, error: ChangelogError) -> StateError:
        changelog = self.settings.changelog_topic(partition.topic)
        line = f"{partition}: {changelog}: {error}"
        if "stream-ewma" not in str(error):  # else it says itself what to do
            line += f"; to begin anew: {reset_command(partition)}"
        return StateError(line)

    async def _reader(self) -> ChangelogReader:
        if self._readers:
            return self._readers.pop()
        reader = self.parts.reader(self.settings)
        try:
            await reader.start()
        except BaseException:
            await reader.stop()
            raise
        return reader

    async def _committed(self, partition: Partition) -> int | None:
        return (await self.consumer.committed([partition]))[partition]

    async def _known(
        self, partition: Partition, marker: Marker | None, committed: int | None
    ) -> Known:
        first, end = (await self.consumer.bounds([partition]))[partition]
        identity = self.identities.get(partition.topic, _UNKNOWN)
        return Known(marker, committed, first, end, identity)

    async def _begin(
        self,
        partition: Partition,
        task: PartitionTask,
        producer: TransactionalProducer | None,
        known: Known,
        start: Start,
    ) -> Opened:
        if start.warning:
            _log.warning("%s: %s", partition, start.warning)
            self.counters.odd_starts += 1
            self.counters.lost += start.lost
        if start.position is None:
            task.position = await first_start(self.consumer, self.settings, partition, known)
        else:
            task.position = start.position
        # Where the group's offset is another one, the first commit mends it.
        is_kept = known.marker is not None and known.committed == task.position
        kept = task.position if is_kept else None
        return Opened(task, producer, kept, known.committed)
