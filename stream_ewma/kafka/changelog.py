"""Reading one partition of a changelog from its first record to its end.

The end is the last stable offset at the time of asking: ask after the partition's producer was
started, which settles what an earlier one left open. What lies before the end need not be records
(a transaction's marker, an aborted transaction, a gap that compaction left), so it is the position
that tells when the end is reached; and where the broker has nothing more to answer although the
position lies before the end, compaction has left nothing there.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError, KafkaTimeoutError

from stream_ewma.kafka.connect import client_options
from stream_ewma.kafka.errors import explain
from stream_ewma.kafka.seams import RawConsumer
from stream_ewma.records.fetched import BatchRun
from stream_ewma.settings import Settings

_MIB: Final = 1 << 20
_POLL_MS: Final = 200
_RETRY_S: Final = 0.2
_STOP_S: Final = 5.0

Take = Callable[[list[BatchRun]], Awaitable[None]]
"""What becomes of the runs of one fetch; the next fetch is under way meanwhile."""


class _Answer(NamedTuple):
    """The last answer to a fetch: when it came, and the last stable offset it told."""

    at: int | None
    stable_end: int | None


class ChangelogReader:
    """Reads the committed rows of one partition after another, outside of any group.

    It belongs to one task. If `read` is cancelled, the reader can be used again.

    `start` and `stop` end within seconds and a few request timeouts; `read` gives up if nothing
    arrives for `kafka.startup_timeout`.
    """

    def __init__(self, settings: Settings) -> None:
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
            fetch_max_bytes=64 * _MIB,
            max_partition_fetch_bytes=8 * _MIB,
            fetch_max_wait_ms=_POLL_MS,
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

    async def read(self, topic: str, partition: int, take: Take) -> int:
        """Hand all runs of record batches of a partition to `take`, in order; the end reached.

        Raises:
            StreamEwmaError: the broker refuses, or nothing arrives any more.
            Exception: what `take` raises.
        """
        tp = TopicPartition(topic, partition)
        self._consumer.assign([tp])
        # Without a position of ours aiokafka would look for one; what it must not fetch is paused.
        self._consumer.seek(tp, 0)
        self._consumer.pause(tp)
        try:
            await self._poll_ended()
            first, end = await self._bounds(tp)
            self._consumer.seek(tp, first)
            self._consumer.resume(tp)
            await self._read_to(tp, first, end, take)
        except (KafkaError, OSError) as error:
            raise explain(error, self._settings) from error
        finally:
            self._consumer.pause(tp)
        return end

    async def _read_to(self, tp: TopicPartition, position: int, end: int, take: Take) -> None:
        before = self._last_answer(tp).at
        deadline = self._deadline()
        while position < end:
            answer = self._last_answer(tp)
            runs = await self._poll(tp, deadline)
            if runs:
                await take(runs)
            reached = await self._consumer.position(tp)
            if reached > position:
                position, before, deadline = reached, self._last_answer(tp).at, self._deadline()
            elif answer.at != before and answer.stable_end is not None and answer.stable_end >= end:
                return  # what follows the position was asked for, and there was nothing

    async def _poll(self, tp: TopicPartition, deadline: float) -> list[BatchRun]:
        """The runs that have arrived; the empty list if none did before `deadline`.

        Raises:
            KafkaError: the broker refuses, or nothing arrived although the deadline has passed.
        """
        self._polling = asyncio.ensure_future(self._consumer.getmany(tp, timeout_ms=_POLL_MS))
        self._polling.add_done_callback(_retrieve)
        await self._poll_ended()
        try:
            records = self._polling.result().get(tp, [])
        except KafkaError as error:
            if not error.retriable:
                raise
            await asyncio.sleep(_RETRY_S)
            records = []
        if not records and asyncio.get_running_loop().time() > deadline:
            raise KafkaTimeoutError(f"nothing arrives from {tp.topic}-{tp.partition}")
        return [record.value.run for record in records]

    async def _poll_ended(self) -> None:
        """Wait for the poll under way, if there is one: a poll is never cancelled."""
        if self._polling is None:
            return
        _, alive = await asyncio.wait({self._polling}, timeout=self._patience_s)
        if alive:
            raise KafkaTimeoutError("aiokafka does not end a poll")

    async def _bounds(self, tp: TopicPartition) -> tuple[int, int]:
        """First offset and last stable offset."""
        deadline = self._deadline()
        while True:
            try:
                first = await self._consumer.beginning_offsets([tp])
                end = await self._consumer.end_offsets([tp])
            except KafkaError as error:
                late = asyncio.get_running_loop().time() + _RETRY_S > deadline
                if late or not error.retriable:
                    raise
            else:
                return int(first[tp]), int(end[tp])
            await asyncio.sleep(_RETRY_S)

    def _last_answer(self, tp: TopicPartition) -> _Answer:
        return _Answer(
            self._consumer.last_poll_timestamp(tp), self._consumer.last_stable_offset(tp)
        )

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self._patience_s


def _retrieve(task: "asyncio.Future[Any]") -> None:
    """An error that nobody waits for any more needs no report."""
    _ = task.cancelled() or task.exception()
