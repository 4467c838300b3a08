"""`state export` and `state import`: kept state to files and back, bit for bit."""

import sys
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

from stream_ewma.cli.output_file import writing as writing_file
from stream_ewma.cli.state_reset import require_fit
from stream_ewma.cli.state_show import progress
from stream_ewma.cli.tables import counted
from stream_ewma.engine.quantities import Column
from stream_ewma.engine.stored import EachOnce, Head, key_text
from stream_ewma.errors import DataError, StateError
from stream_ewma.files.opening import Blocks, format_of, open_blocks
from stream_ewma.files.states import (
    FilePart,
    LinesWriter,
    ParquetWriter,
    StateWriter,
    no_rows,
    read_lines,
    read_parquet,
)
from stream_ewma.kafka.admin import GroupAdmin, Topic, group_admin, partition_of
from stream_ewma.kafka.kept import KeptState, PartitionWriter, hash_seed, kept_state, writing
from stream_ewma.kafka.partition import Partition
from stream_ewma.settings import Settings

_Read = Callable[[Blocks], Iterator[FilePart]]


async def export(settings: Settings, name: str, file: str) -> int:
    """Write all that is kept of a topic's keys to a file.

    Raises:
        StreamEwmaError: the state cannot be read, or the file not be written.
    """
    is_parquet = _is_parquet(file)
    keys = partitions = 0
    async with group_admin(settings) as admin, kept_state(settings, progress()) as kept:
        topic = await admin.topic(name)
        columns = await _columns(kept, topic) if is_parquet else {}
        with writing_file(None if file == "-" else Path(file)) as target:
            writer: StateWriter = (
                ParquetWriter(target, columns) if is_parquet else LinesWriter(target)
            )
            for partition in topic.kept_partitions:
                stored = await kept.read(partition)
                if stored is not None:
                    writer.write(stored)
                    keys += len(stored)
                    partitions += 1
            writer.close()
    sys.stdout.flush()
    sys.stderr.write(
        f"{name}: {counted(keys, 'key')} of {counted(partitions, 'partition')} exported\n"
    )
    return 0


async def import_(settings: Settings, name: str, file: str) -> int:
    """Write the state in a file into the empty changelog of a topic.

    Raises:
        ServiceRunningError: members of the group are there.
        StateError: the changelog is not empty.
        StreamEwmaError: the file is not good, or the brokers refuse.
    """
    read: _Read = read_parquet if _is_parquet(file) else read_lines
    async with group_admin(settings) as admin, kept_state(settings, progress()) as kept:
        await admin.refuse_members()
        topic = await admin.topic(name)
        require_fit(settings, topic)
        for partition in topic.kept_partitions:  # before anything is written
            await _refuse_kept(settings, kept, partition)
        with open_blocks(file) as blocks:
            parts = _alike(read(blocks), file)
            first = next(parts, None)
            if first is None:
                raise DataError(f"{file}: holds no state")
            importing = _Import(settings, admin, kept, topic, first.head, file)
            if importing.is_same_count:
                await importing.by_partition(first, parts)
            else:
                await importing.by_key(first, parts)
    sys.stdout.write(importing.told())
    return 0


class _Import:
    """The way of a file's rows into a changelog.

    Args:
        settings: everything.
        admin: to ask for offsets.
        kept: to see that nothing is kept.
        topic: where they go.
        head: what the file's first partition says of itself.
        file: its name.
    """

    def __init__(
        self,
        settings: Settings,
        admin: GroupAdmin,
        kept: KeptState,
        topic: Topic,
        head: Head,
        file: str,
    ) -> None:
        self._settings = settings
        self._kept = kept
        self._most = settings.output.max_batch_bytes
        self._admin = admin
        self._topic = topic
        self._file = file
        self._was = head.marker
        self.is_same_count = head.marker.partitions == topic.partitions
        self._is_same_topic = (
            self.is_same_count
            and topic.topic_id is not None
            and head.marker.topic_id == topic.topic_id
        )
        self._keys = 0
        self._positions: dict[int, int] = {}

    async def by_partition(self, first: FilePart, others: Iterator[FilePart]) -> None:
        """Each partition's rows to the partition of the same number, in one transaction."""
        for part in _chained(first, others):
            marker = part.head.marker
            partition = Partition(self._topic.name, marker.partition)
            if not 0 <= marker.partition < self._topic.partitions:
                raise DataError(f"{self._file}: there is no partition {marker.partition}")
            if marker.partition in self._positions:
                raise DataError(f"{self._file}: partition {marker.partition} is there twice")
            async with writing(self._settings, partition) as writer:
                await _refuse_kept(self._settings, self._kept, partition)
                once = EachOnce(hash_seed())
                for rows in part.rows:
                    self._refuse_twice(once.first_again(rows.keys))
                    await writer.write(rows.batches(self._most))
                    self._keys += len(rows.keys)
                await self._commit(writer, partition, part.head)

    async def by_key(self, first: FilePart, others: Iterator[FilePart]) -> None:
        """Each key to the partition where Java's default partitioner puts it."""
        once = EachOnce(hash_seed())
        head = first.head
        async with AsyncExitStack() as stack:
            writers = [
                await stack.enter_async_context(writing(self._settings, partition))
                for partition in self._topic.kept_partitions
            ]
            for partition in self._topic.kept_partitions:
                await _refuse_kept(self._settings, self._kept, partition)
            for part in _chained(first, others):
                if part.head.text != head.text:
                    raise DataError(
                        f"{self._file}: its partitions were written with different settings, so"
                        " that their keys cannot be shared out anew: let the service smooth a"
                        " reading in each partition, then export again"
                    )
                head = _later(head, part.head)
                for rows in part.rows:
                    self._refuse_twice(once.first_again(rows.keys))
                    homes = [partition_of(key, len(writers)) for key in rows.keys]
                    for number in sorted(set(homes)):
                        some = rows.take([i for i, home in enumerate(homes) if home == number])
                        await writers[number].write(some.batches(self._most))
                    self._keys += len(rows.keys)
            for partition, writer in zip(self._topic.kept_partitions, writers, strict=True):
                await self._commit(writer, partition, head)

    async def _commit(self, writer: PartitionWriter, partition: Partition, head: Head) -> None:
        """Write what the partition says of itself, and set the group's offset with it."""
        position = head.marker.next_offset
        if not self._is_same_topic:
            committed = (await self._admin.committed([partition]))[partition]
            first, _ = (await self._admin.bounds([partition]))[partition]
            position = first if committed is None else committed
        moved = head.moved(
            self._topic.name,
            self._topic.topic_id,
            partition.number,
            self._topic.partitions,
            position,
        )
        await writer.write(moved.batches(self._most))
        await writer.commit(position)
        self._positions[partition.number] = position

    def _refuse_twice(self, key: bytes | None) -> None:
        if key is not None:
            raise DataError(f"{self._file}: the key {key_text(key)} is there twice")

    def told(self) -> str:
        """What was done."""
        partitions = len(self._positions)
        offsets = ", ".join(f"{number}: {at:,}" for number, at in sorted(self._positions.items()))
        why = (
            "as exported"
            if self._is_same_topic
            else f"it is another topic than {self._was.topic} was when it was exported: the"
            " group's offset, or else the earliest"
        )
        how = "" if self.is_same_count else ", each to the partition of its key (murmur2)"
        return (
            f"{self._topic.name}: {counted(self._keys, 'key')} imported into"
            f" {counted(partitions, 'partition')}{how}\n"
            f"the next start begins at these offsets by partition ({why}): {offsets}\n"
        )


async def _refuse_kept(settings: Settings, kept: KeptState, partition: Partition) -> None:
    """Return if nothing is kept of a partition.

    Raises:
        StateError: something is.
    """
    if len(await kept.live(partition)):
        raise StateError(
            f"{settings.changelog_topic(partition.topic)}: holds state already; to replace it,"
            f" first run: stream-ewma state reset --topic {partition.topic}"
        )


async def _columns(kept: KeptState, topic: Topic) -> dict[str, Column]:
    """The quantities that the partitions keep, together."""
    found: dict[str, Column] = {}
    for partition in topic.kept_partitions:
        stored = await kept.read(partition, [])
        if stored is not None:
            found |= no_rows(stored.head.configuration)
    return found


def _alike(parts: Iterator[FilePart], file: str) -> Iterator[FilePart]:
    """The parts, which are of one topic."""
    known = None
    for part in parts:
        marker = part.head.marker
        own = (marker.topic, marker.topic_id, marker.partitions)
        if known not in (None, own):
            raise DataError(f"{file}: holds the state of several topics")
        known = own
        yield part


def _later(head: Head, other: Head) -> Head:
    """The one whose event time is further."""
    times = [each.marker.event_time for each in (head, other)]
    if times[1] is None or (times[0] is not None and times[0] >= times[1]):
        return head
    return other


def _chained(first: FilePart, others: Iterator[FilePart]) -> Iterator[FilePart]:
    yield first
    yield from others


def _is_parquet(file: str) -> bool:
    """Whether a file's name says Parquet, and not JSON lines.

    Raises:
        DataError: it says neither.
    """
    kind = "jsonl" if file == "-" else format_of(Path(file))
    if kind not in ("jsonl", "parquet") or (kind == "parquet" and file.endswith(".gz")):
        raise DataError(f"{file}: write a name that ends with .jsonl, .jsonl.gz or .parquet")
    return kind == "parquet"
