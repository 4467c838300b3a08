"""Reading changelogs: one partition to its end, or many for as long as they are written.

Who takes a partition over reads to the end, which is the last stable offset at the time of asking:
ask after the partition's producer was started, which settles what an earlier one left open. What
lies before the end need not be records (a transaction's marker, an aborted transaction, a gap that
compaction left), so it is the position that tells when the end is reached; and where the broker
has nothing more to answer although the position lies before the end, compaction has left nothing
there.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError, KafkaTimeoutError, OffsetOutOfRangeError

from stream_ewma.kafka.connect import client_options
from stream_ewma.kafka.errors import explain
from stream_ewma.kafka.partition import Partition
from stream_ewma.kafka.seams import RawConsumer
from stream_ewma.records.fetched import BatchRun
from stream_ewma.settings import Settings

_MIB: Final = 1 << 20
_POLL_MS: Final = 200
_RETRY_S: Final = 0.2
_STOP_S: Final = 5.0
# A follower is in no hurry: it takes what has gathered in a while in one go.
_FOLLOW_MS: Final = 500
_FOLLOW_BYTES: Final = _MIB

Take = Callable[[list[BatchRun]], Awaitable[None]]
"""What becomes of the runs of one fetch; the next fetch is under way meanwhile."""


class _Answer(NamedTuple):
    """The last answer to a fetch: when it came, and the last stable offset it told."""

    at: int | None
    stable_end: int | None


class PositionLostError(Exception):
    """A changelog does not reach to where it was read before: it is another one by now.

    Attributes:
        partitions: those concerned, as they were named to the reader or the follower.
    """

    def __init__(self, partitions: frozenset[Partition]) -> None:
        super().__init__(", ".join(map(str, sorted(partitions))))
        self.partitions = partitions


class _Client:
    """A consumer of committed rows, outside of any group; it belongs to one task."""

    def __init__(self, settings: Settings, **options: int) -> None:
        self._settings = settings
        self._patience_s = settings.kafka.startup_timeout / 1000
        self._polling: asyncio.Task[Any] | None = None
        self._consumer = RawConsumer(
            **client_options(settings),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            check_crcs=False,
            isolation_level="read_committed",
            **options,
        )

    async def start(self) -> None:
        """Connect.

        Raises:
            StreamEwmaError: no broker answers, or it refuses.
        """
        try:
            await self._consumer.start()
        except (KafkaError, OSError) as error:
            raise explain(error, self._settings) from error

    async def stop(self) -> None:
        """Disconnect; what hangs is left behind after some seconds."""
        closing = asyncio.ensure_future(self._consumer.stop())
        closing.add_done_callback(_retrieve)
        await asyncio.wait({closing}, timeout=_STOP_S)

    def _assign(self, tps: list[TopicPartition]) -> None:
        """Fetch from these from now on, once they are given positions and resumed."""
        self._consumer.assign(tps)
        # Without a position of ours aiokafka would look for one; what it must not fetch is paused.
        for tp in tps:
            self._consumer.seek(tp, 0)
            self._consumer.pause(tp)

    def _resume(self, tp: TopicPartition, position: int) -> None:
        self._consumer.seek(tp, position)
        self._consumer.resume(tp)

    async def _poll(self, timeout_ms: int) -> dict[TopicPartition, list[BatchRun]]:
        """The runs that have arrived.

        Raises:
            KafkaError: the broker refuses, or aiokafka hangs.
        """
        self._polling = asyncio.ensure_future(self._consumer.getmany(timeout_ms=timeout_ms))
        self._polling.add_done_callback(_retrieve)
        await self._poll_ended()
        try:
            answer = self._polling.result()
        except KafkaError as error:
            if not error.retriable:
                raise
            await asyncio.sleep(_RETRY_S)
            return {}
        return {tp: [record.value.run for record in records] for tp, records in answer.items()}

    async def _poll_ended(self) -> None:
        """Wait for the poll under way, if there is one: a poll is never cancelled."""
        if self._polling is None:
            return
        _, alive = await asyncio.wait({self._polling}, timeout=self._patience_s)
        if alive:
            raise KafkaTimeoutError("aiokafka does not end a poll")

    async def _bounds(self, tps: list[TopicPartition]) -> dict[TopicPartition, tuple[int, int]]:
        """First offset and last stable offset of each."""
        deadline = self._deadline()
        while True:
            try:
                first = await self._consumer.beginning_offsets(tps)
                end = await self._consumer.end_offsets(tps)
            except KafkaError as error:
                late = asyncio.get_running_loop().time() + _RETRY_S > deadline
                if late or not error.retriable:
                    raise
            else:
                return {tp: (int(first[tp]), int(end[tp])) for tp in tps}
            await asyncio.sleep(_RETRY_S)

    def _last_answer(self, tp: TopicPartition) -> _Answer:
        return _Answer(
            self._consumer.last_poll_timestamp(tp), self._consumer.last_stable_offset(tp)
        )

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self._patience_s


class ChangelogReader(_Client):
    """Reads one partition after another to its end.

    If `read` is cancelled, the reader can be used again. `start` and `stop` end within seconds and
    a few request timeouts; `read` gives up if nothing arrives for `kafka.startup_timeout`.

    Attributes:
        reach: from which offset to which the last `read` reads.
    """

    def __init__(self, settings: Settings) -> None:
        self.reach = (0, 0)
        super().__init__(
            settings,
            fetch_max_bytes=64 * _MIB,
            max_partition_fetch_bytes=8 * _MIB,
            fetch_max_wait_ms=_POLL_MS,
        )

    async def read(
        self, topic: str, partition: int, take: Take, *, position: int | None = None
    ) -> int:
        """Hand all runs of record batches of a partition to `take`, in order; the end reached.

        Args:
            topic: the changelog.
            partition: of it.
            take: is given the runs.
            position: offset from which to read; None: the first record's.

        Raises:
            PositionLostError: the partition does not reach to `position`.
            StreamEwmaError: the broker refuses, or nothing arrives any more.
            Exception: what `take` raises.
        """
        tp = TopicPartition(topic, partition)
        self._assign([tp])
        try:
            await self._poll_ended()
            first, end = (await self._bounds([tp]))[tp]
            begin = first if position is None else position
            if not first <= begin <= end:
                raise PositionLostError(frozenset({Partition(topic, partition)}))
            self.reach = (begin, end)
            self._resume(tp, begin)
            await self._read_to(tp, begin, end, take)
        except (KafkaError, OSError) as error:
            raise explain(error, self._settings) from error
        finally:
            self._consumer.pause(tp)
        return end

    async def end(self, topic: str, partition: int) -> int:
        """Where the partition ends now, but for transactions that are open.

        Raises:
            StreamEwmaError: the broker refuses, or does not answer.
        """
        tp = TopicPartition(topic, partition)
        try:
            return (await self._bounds([tp]))[tp][1]
        except (KafkaError, OSError) as error:
            raise explain(error, self._settings) from error

    async def _read_to(self, tp: TopicPartition, position: int, end: int, take: Take) -> None:
        before = self._last_answer(tp).at
        deadline = self._deadline()
        while position < end:
            answer = self._last_answer(tp)
            came = (await self._poll(_POLL_MS)).get(tp, [])
            # What has come since may be half a transaction; at `end` none is open.
            runs = [run for run in came if run.base_offset < end]
            if runs:
                await take(runs)
            elif not came and asyncio.get_running_loop().time() > deadline:
                raise KafkaTimeoutError(f"nothing arrives from {tp.topic}-{tp.partition}")
            reached = await self._consumer.position(tp)
            if reached > position:
                position, before, deadline = reached, self._last_answer(tp).at, self._deadline()
            elif answer.at != before and answer.stable_end is not None and answer.stable_end >= end:
                return  # what follows the position was asked for, and there was nothing


class Followed(NamedTuple):
    """What has come of one partition.

    Attributes:
        runs: the next ones, in order.
        position: offset up to which the partition is read with them.
        is_at_end: whether there was nothing more when the broker was last asked.
    """

    runs: list[BatchRun]
    position: int
    is_at_end: bool


class ChangelogFollower(_Client):
    """Reads many partitions as they are written."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(
            settings,
            fetch_max_bytes=16 * _MIB,
            max_partition_fetch_bytes=_MIB,
            fetch_max_wait_ms=_FOLLOW_MS,
            fetch_min_bytes=_FOLLOW_BYTES,
        )
        self._followed: dict[TopicPartition, Partition] = {}
        self._positions: dict[TopicPartition, int] = {}

    async def follow(self, positions: Mapping[Partition, int | None]) -> None:
        """Read these from now on, and no others.

        Args:
            positions: the offset from which to read, by input partition; None: the first record's.

        Raises:
            KafkaError: the broker refuses, or does not answer.
        """
        topics = {
            TopicPartition(self._settings.changelog_topic(each.topic), each.number): each
            for each in positions
        }
        self._assign(list(topics))
        self._followed, self._positions = topics, {}
        bounds = await self._bounds(list(topics))
        for tp, partition in topics.items():
            position = positions[partition]
            self._positions[tp] = bounds[tp][0] if position is None else position
            self._resume(tp, self._positions[tp])

    async def poll(self) -> dict[Partition, Followed]:
        """What has come of each partition since the last time, waiting a while for it.

        Raises:
            PositionLostError: a changelog does not reach to where it was read before.
            KafkaError: the broker refuses, or does not answer.
        """
        answers = {tp: self._last_answer(tp) for tp in self._followed}
        try:
            came = await self._poll(_FOLLOW_MS)
        except OffsetOutOfRangeError as error:
            lost = frozenset(self._followed[tp] for tp in error.args[0] if tp in self._followed)
            raise PositionLostError(lost) from error
        found = {}
        for tp, partition in self._followed.items():
            position = int(await self._consumer.position(tp))
            answer = self._last_answer(tp)
            is_at_end = answer.stable_end is not None and position >= answer.stable_end
            if position > self._positions[tp]:
                self._positions[tp] = position
            elif not came and answer.at != answers[tp].at:
                # What follows the position was asked for, and there was nothing; nor did other
                # partitions fill the answer up.
                is_at_end = True
            found[partition] = Followed(came.get(tp, []), position, is_at_end)
        return found


def _retrieve(task: "asyncio.Future[Any]") -> None:
    """An error that nobody waits for any more needs no report."""
    _ = task.cancelled() or task.exception()
