"""The two places where whole record batches pass through aiokafka instead of single records.

Reading: the fetcher looks up the name `MemoryRecords` and iterates batches, each batch yielding
records. `RawConsumer` runs aiokafka's own code with that one name replaced, in copies of the two
functions concerned, so that other consumers in the same process keep what they have. A batch then
yields one pseudo-record whose value is the `BatchRun`; positions, aborted transactions and
control batches stay aiokafka's business.

Writing: `send_batch` takes any object that answers as its `BatchBuilder` does. `FinishedBatch`
holds encoded records and fills in the producer's identity when it is sent.

Consumer and producer here have the connections of `frames`, which do not copy what is large.

`tests/integration/test_seams.py` fails, saying what moved, when a new aiokafka breaks a seam.
"""

import math
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.consumer import consumer as consumer_module
from aiokafka.consumer import fetcher as fetcher_module
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import (
    IllegalGenerationError,
    NoError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)
from aiokafka.producer import producer as producer_module
from aiokafka.protocol.group import HeartbeatRequest, SyncGroupRequest
from aiokafka.record.default_records import DefaultRecordBatch

from stream_ewma.kafka.frames import RawClient, with_replaced
from stream_ewma.kafka.sending import RawAccumulator, RawSender, RawTransactionManager
from stream_ewma.records.fetched import BatchRun, RunKind, split_runs
from stream_ewma.records.writer import EncodedBatch


class PseudoRecord:
    """What a run looks like to the fetcher: one record at the run's last offset."""

    __slots__ = ("offset", "value")

    timestamp = -1
    timestamp_type = 0
    key = None
    headers = ()
    checksum = None

    def __init__(self, run: BatchRun) -> None:
        self.offset = run.next_offset - 1
        self.value = _Sized(run)


class _Sized:
    """A run that answers `len`, which the fetcher asks of every value."""

    __slots__ = ("run",)

    def __init__(self, run: BatchRun) -> None:
        self.run = run

    def __len__(self) -> int:
        return self.run.end - self.run.start


class RawBatch:
    """A run as the fetcher reads a batch."""

    __slots__ = ("base_offset", "is_transactional", "next_offset", "producer_id", "run")

    is_control_batch = False

    def __init__(self, run: BatchRun) -> None:
        self.run = run
        self.base_offset = run.base_offset
        self.next_offset = run.next_offset
        self.producer_id = run.producer_id if run.producer_id >= 0 else None
        self.is_transactional = run.is_transactional

    def validate_crc(self) -> bool:
        """True: `records.reader` checks each batch on a worker thread, and says which is bad."""
        return True

    def __iter__(self) -> Iterator[PseudoRecord]:
        return iter((PseudoRecord(self.run),))


class RawRecords:
    """Stands in for aiokafka's `MemoryRecords`: a fetch response as runs of batches."""

    def __init__(self, data: bytes | memoryview) -> None:
        self._size = len(data)
        self._runs = split_runs(data)
        self._next = 0

    def size_in_bytes(self) -> int:
        """Bytes in the response; more than 0 without a whole batch means it was too large."""
        return self._size

    def has_next(self) -> bool:
        """Whether another run follows."""
        return self._next < len(self._runs)

    def next_batch(self) -> Any:
        """The next run, or a control batch in aiokafka's own form: it reads the marker itself."""
        run = self._runs[self._next]
        self._next += 1
        if run.kind is RunKind.CONTROL:
            control = DefaultRecordBatch(bytes(memoryview(run.data)[run.start : run.end]))
            if control.validate_crc():
                return control
            # Read wrongly, a marker would let aborted records in, or leave committed ones out.
            run = replace(
                run,
                kind=RunKind.UNREADABLE,
                producer_id=-1,
                is_transactional=False,
                reason="the control batch's CRC-32C is wrong",
            )
        return RawBatch(run)


class RawFetcher(fetcher_module.Fetcher):  # type: ignore[misc]  # aiokafka has no types
    """aiokafka's fetcher on whole batches."""

    _proc_fetch_request = with_replaced(
        fetcher_module.Fetcher._proc_fetch_request,  # noqa: SLF001  the seam
        MemoryRecords=RawRecords,
    )


_COUNTED_IN = {
    HeartbeatRequest: (NoError.errno, RebalanceInProgressError.errno),
    SyncGroupRequest: (NoError.errno,),
}
"""Requests to a group's coordinator and the answers to them that only members get."""
_COUNTED_OUT = (UnknownMemberIdError.errno, IllegalGenerationError.errno)


class HeardCoordinator(GroupCoordinator):  # type: ignore[misc]  # aiokafka has no types
    """aiokafka's member of a group, which knows when the group has heard of it last.

    Attributes:
        heard_at: monotonic time at which that was asked for which the group's coordinator has
            counted this member in.
    """

    heard_at = -math.inf

    async def _send_req(self, request: Any) -> Any:
        asked_at = time.monotonic()
        answer = await super()._send_req(request)
        if counted_in := _COUNTED_IN.get(type(request)):
            if answer.error_code in counted_in:
                self.heard_at = asked_at
            elif answer.error_code in _COUNTED_OUT:
                self.heard_at = -math.inf
        return answer


class RawConsumer(AIOKafkaConsumer):  # type: ignore[misc]  # aiokafka has no types
    """aiokafka's consumer on whole batches: `getmany` answers one record per run."""

    __init__ = with_replaced(consumer_module.AIOKafkaConsumer.__init__, AIOKafkaClient=RawClient)
    start = with_replaced(
        consumer_module.AIOKafkaConsumer.start,
        Fetcher=RawFetcher,
        GroupCoordinator=HeardCoordinator,
    )

    @property
    def heard_at(self) -> float:
        """Monotonic time at which this was surely a member of its group last."""
        return getattr(self._coordinator, "heard_at", -math.inf)


class RawProducer(AIOKafkaProducer):  # type: ignore[misc]  # aiokafka has no types
    """aiokafka's producer, whose batches reach the socket as they stand; see `sending`."""

    __init__ = with_replaced(
        producer_module.AIOKafkaProducer.__init__,
        AIOKafkaClient=RawClient,
        Sender=RawSender,
        MessageAccumulator=RawAccumulator,
        TransactionManager=RawTransactionManager,
    )

    def announce(self, partition: TopicPartition) -> None:
        """The transaction will write to `partition`, too: one request tells of several."""
        self._txn_manager.maybe_add_partition_to_txn(partition)


class FinishedBatch:
    """An encoded batch as the producer's accumulator and sender use a `BatchBuilder`."""

    __slots__ = ("_buffer", "_encoded", "_state", "_transactional")

    def __init__(self, encoded: EncodedBatch, *, transactional: bool = False) -> None:
        self._encoded = encoded
        self._transactional = transactional
        self._state = (-1, -1, -1)
        self._buffer: memoryview | None = None

    def _set_producer_state(self, producer_id: int, epoch: int, base_sequence: int) -> None:
        self._state = (producer_id, epoch, base_sequence)
        self._buffer = None

    def _build(self) -> memoryview:
        if self._buffer is None:
            self._buffer = self._encoded.to_bytes(*self._state, self._transactional)
        return self._buffer

    def record_count(self) -> int:
        """Records in the batch: by so many the producer's sequence advances."""
        return self._encoded.row_count

    def size(self) -> int:
        """Bytes on the wire."""
        return self._encoded.size

    def close(self) -> None:
        """Nothing to do: a finished batch takes no more records."""

    def closed(self) -> bool:
        """True: it need not linger."""
        return True
