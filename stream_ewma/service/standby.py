"""Warm copies of partitions that other members own, for the day when one of them is gone.

A copy is a task that is always being restored: it follows the changelog as the owner writes it.
When the group gives its partition to this member, only what the copy has not seen yet is read.
A copy is never right by itself: the owner may have committed since, and may even live. So the
partition is fenced first, as without a copy, and then the changelog is read to its end.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Final

from stream_ewma.engine.changelog import ChangelogError
from stream_ewma.engine.task import PartitionTask
from stream_ewma.kafka.changelog import ChangelogFollower, Followed, PositionLostError
from stream_ewma.kafka.consumer import GroupConsumer
from stream_ewma.kafka.partition import Partition
from stream_ewma.records.fetched import BatchRun
from stream_ewma.settings import Settings

_log = logging.getLogger(__name__)

_RETRY_S: Final = 2.0
_PAUSE_S: Final = 0.2
# Compaction takes tombstones away after `delete.retention.ms`, by default a day: who was behind
# for longer may have missed that a key is gone.
_MOST_BEHIND_S: Final = 6 * 3600


@dataclass(slots=True)
class Copy:
    """What is known of a partition that another member owns.

    Attributes:
        task: takes the rows in.
        up_to_date: when it was at the changelog's end last, or was begun; by the system's clock.
        position: offset of the changelog up to which it has; None: it has none.
        rows: so many.
        is_warm: whether it was at the changelog's end once.
        is_sound: whether all rows that were given to it are in it.
        reading: held while rows are taken in.
    """

    task: PartitionTask
    up_to_date: float
    position: int | None = None
    rows: int = 0
    is_warm: bool = False
    is_sound: bool = True
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    def restore(self, runs: list[BatchRun]) -> int:
        """Take rows in; answers how many. A copy that this fails for is of no more use."""
        self.is_sound = False  # until it is known that all is in it
        return self.task.restore(runs)

    @property
    def is_stale(self) -> bool:
        """Whether it may have missed that keys are gone, though it reads on to the end now."""
        return self.up_to_date < time.time() - _MOST_BEHIND_S


class Standbys:
    """The copies that this member keeps, read one after another beside its own partitions.

    Args:
        settings: everything.
        consumer: told which copies are warm.
        follower: reads changelogs.
        threads: where rows are read, one copy at a time.
        new_task: an empty task of a partition.
        is_busy: whether partitions of this member's own are being taken over: they come first.
    """

    def __init__(
        self,
        settings: Settings,
        consumer: GroupConsumer,
        follower: type[ChangelogFollower],
        threads: Executor,
        new_task: Callable[[Partition], PartitionTask],
        is_busy: Callable[[], bool],
    ) -> None:
        self._settings = settings
        self._consumer = consumer
        self._follower = follower
        self._threads = threads
        self._new_task = new_task
        self._is_busy = is_busy
        self._copies: dict[Partition, Copy] = {}
        self._wanted: AbstractSet[Partition] = frozenset()
        self._changed = asyncio.Event()
        self._has_failed = False

    def assigned(self, standbys: AbstractSet[Partition], owned: AbstractSet[Partition]) -> None:
        """Keep copies of `standbys`; those of `owned` wait to be taken; others are dropped."""
        kept = {p: copy for p, copy in self._copies.items() if p in standbys or p in owned}
        new = {p: self._new_copy(p) for p in sorted(standbys - kept.keys())}
        self._copies = kept | new
        self._wanted = standbys
        self._changed.set()

    async def take(self, partition: Partition) -> Copy | None:
        """The copy of a partition, which is kept no longer; None: there is none that helps."""
        copy = self._copies.pop(partition, None)
        self._changed.set()
        if copy is None:
            return None
        async with copy.reading:
            is_of_use = copy.is_sound and copy.position is not None and not copy.is_stale
            return copy if is_of_use else None

    def give_back(self, partition: Partition, copy: Copy) -> None:
        """A copy that was taken for nothing waits to be taken again, if nothing was read into it.

        The brokers may not have answered in time, just when the copy was wanted.
        """
        if copy.is_sound:
            self._copies.setdefault(partition, copy)

    async def run(self) -> None:
        """Follow the changelogs, for ever; cancel it to end."""
        while True:
            await self._changed.wait()
            if not self._take_stock():
                continue
            try:
                await self._follow()
            except PositionLostError as error:
                _log.warning("%s: the changelog is another one: the warm copy begins anew", error)
                self._begin_anew(error.partitions)
            except Exception as error:  # noqa: BLE001  a copy is a help, never worth the service
                if not self._has_failed:
                    _log.warning("warm copies are not read (%r): trying again", error)
                self._has_failed = True
                self._changed.set()
                await asyncio.sleep(_RETRY_S)

    async def _follow(self) -> None:
        """Read what is wanted until nothing is."""
        follower = self._follower(self._settings)
        try:
            await follower.start()
            while copies := self._take_stock():
                await follower.follow({p: copy.position for p, copy in copies.items()})
                while not self._changed.is_set():
                    if self._is_busy():
                        await asyncio.sleep(_PAUSE_S)
                        continue
                    await self._absorb(copies, await follower.poll())
        finally:
            await follower.stop()

    def _take_stock(self) -> dict[Partition, Copy]:
        """The copies that are to be read; until something changes, there are no others."""
        self._changed.clear()
        return {p: c for p, c in self._copies.items() if p in self._wanted and c.is_sound}

    async def _absorb(
        self, copies: Mapping[Partition, Copy], came: Mapping[Partition, Followed]
    ) -> None:
        self._begin_anew({p for p, copy in copies.items() if copy.is_stale})
        for partition, followed in came.items():
            copy = copies[partition]
            async with copy.reading:
                # Meanwhile it may have been dropped, or taken: then others read on from there.
                if self._copies.get(partition) is copy:
                    await self._read(partition, copy, followed)
        self._has_failed = False
        self._consumer.warmed(p for p, copy in copies.items() if copy.is_warm)

    async def _read(self, partition: Partition, copy: Copy, followed: Followed) -> None:
        if followed.runs:
            loop = asyncio.get_running_loop()
            try:
                copy.rows += await loop.run_in_executor(self._threads, copy.restore, followed.runs)
            except ChangelogError as error:
                _log.warning("%s: no warm copy: %s", partition, error)
                self._changed.set()
                return
            copy.is_sound = True
        copy.position = followed.position
        if followed.is_at_end:
            copy.up_to_date = time.time()
            if not copy.is_warm:
                copy.is_warm = True
                _log.info("%s: a warm copy is kept (%d rows read)", partition, copy.rows)

    def _begin_anew(self, partitions: AbstractSet[Partition]) -> None:
        for partition in partitions & self._copies.keys():
            self._copies[partition] = self._new_copy(partition)
            self._changed.set()

    def _new_copy(self, partition: Partition) -> Copy:
        return Copy(self._new_task(partition), time.time())
