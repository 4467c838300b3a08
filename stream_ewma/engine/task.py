"""One input partition as a state machine: runs of record batches in, finished batches out.

    runs -> records -> readings -> checks -> slots -> fold -> smoothed rows -> record batches

Time, randomness and limits come in as arguments; nothing here waits, logs or knows Kafka's client.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from stream_ewma.columns import NULL, Bytes, Int64, Spans, UInt8, as_bytes
from stream_ewma.engine.dead_letters import MESSAGES, REASON_OF_STATUS, Reason, reasons_of
from stream_ewma.engine.keys import NO_SLOT, KeyTable
from stream_ewma.engine.outgoing import Destination, Outgoing, OutgoingBatch, dead_letters
from stream_ewma.payloads.columns import (
    Decoder,
    Encoder,
    Kind,
    ReadingColumns,
    SmoothedColumns,
    Status,
)
from stream_ewma.records.columns import RecordColumns
from stream_ewma.records.compression import Compression
from stream_ewma.records.fetched import BatchRun
from stream_ewma.records.reader import Unreadable, decode
from stream_ewma.smoothing.parameters import KeyRules
from stream_ewma.smoothing.plan import Plan
from stream_ewma.smoothing.recursion import FoldResult, fold
from stream_ewma.smoothing.rows import Action, Outcome
from stream_ewma.smoothing.state import KeyedState

_T = TypeVar("_T", bound=np.generic)

_NO_REASON: Final = -1
_ACTION_OF_NULL: Final = {"skip": Action.IGNORE, "hold": Action.HOLD, "reset": Action.RESET}

SKIPPED_NULL: Final = "null_value"
SKIPPED_TOMBSTONE: Final = "tombstone"


@dataclass(frozen=True, slots=True)
class TaskConfig:
    """What every partition of the service has in common.

    Attributes:
        decoder: reads the record values.
        encoder: writes the output values.
        rules: which factor a key gets.
        max_keys: keys one partition may hold.
        max_key_bytes: longer keys are refused.
        max_future_skew_ms: how far event time may be ahead of the record's timestamp; None: any.
        on_null: what a JSON null does to its key.
        on_tombstone: what a null record value does to its key.
        on_missing_key: dead-letter the record, or smooth all such records as one series.
        on_error: what becomes of a record that cannot be smoothed.
        pass_headers: copy the input record's headers to the output record.
        max_batch_bytes: output batches are cut at this size, uncompressed.
        compression: codec of the output batches.
    """

    decoder: Decoder
    encoder: Encoder
    rules: KeyRules
    max_keys: int = 10_000_000
    max_key_bytes: int = 1024
    max_future_skew_ms: int | None = None
    on_null: Literal["skip", "hold", "reset"] = "skip"
    on_tombstone: Literal["reset", "ignore"] = "reset"
    on_missing_key: Literal["dlq", "topic-partition"] = "dlq"
    on_error: Literal["dlq", "skip", "fail"] = "dlq"
    pass_headers: bool = True
    max_batch_bytes: int = 900_000
    compression: Compression = Compression.NONE


@dataclass(frozen=True, slots=True)
class Failure:
    """A record that must stop the service (`on_error: fail`)."""

    offset: int
    reason: Reason

    @property
    def message(self) -> str:
        """What is wrong with the record."""
        return MESSAGES[self.reason]


@dataclass(frozen=True, slots=True)
class Step:
    """What came of one call of `PartitionTask.process`.

    Attributes:
        batches: to be published, in this order.
        next_offset: the offset after the last record that the step covers.
        consumed: records read.
        emitted: smoothed records in `batches`.
        rejected: records that could not be smoothed, by reason.
        skipped: records left out on purpose, by cause.
        unreadable: the input batch that parks the partition, if one was met.
        failure: the record that stops the service, if one was met under `on_error: fail`.
    """

    batches: list[OutgoingBatch]
    next_offset: int
    consumed: int
    emitted: int
    rejected: dict[Reason, int]
    skipped: dict[str, int]
    unreadable: Unreadable | None
    failure: Failure | None


@dataclass(frozen=True, slots=True)
class Smoothed:
    """What became of n records, as columns.

    Attributes:
        rows: int64 (m,), the records that have an output, in their order.
        columns: the m outputs.
        reason: int64 (n,), the `Reason` against each record, negative where it was not rejected;
            only of the records before `failure`, if there is one.
        skipped: records left out on purpose, by cause.
        failure: the record that stops the service, if one was met under `on_error: fail`.
    """

    rows: Int64
    columns: SmoothedColumns
    reason: Int64
    skipped: dict[str, int]
    failure: Failure | None


@dataclass(frozen=True, slots=True)
class _Folded:
    """Rows after the fold: what to emit, and why the others are not."""

    result: FoldResult
    emitted: Int64
    reason: Int64


class PartitionTask:
    """The state of one input partition, and its processing.

    Args:
        topic: input topic.
        partition: input partition.
        position: offset of the first record to process.
        config: see `TaskConfig`.
        hash_seed: two 64-bit words nobody outside can know.
    """

    def __init__(
        self,
        topic: str,
        partition: int,
        position: int,
        config: TaskConfig,
        hash_seed: tuple[int, int],
    ) -> None:
        self.topic = topic
        self.partition = partition
        self.position = position
        self._config = config
        self._actions = _actions(config)
        self._plan = Plan(sets=config.rules.factors)
        self._keys = KeyTable(hash_seed, config.max_keys)
        self._state = KeyedState(self._plan.places)

    @property
    def keys_count(self) -> int:
        """Keys that have a slot."""
        return len(self._keys)

    @property
    def state_bytes(self) -> int:
        """Memory of the keys and their state."""
        return self._keys.nbytes + self._state.bytes

    def process(self, runs: Sequence[BatchRun]) -> Step:
        """Smooth the records of `runs` and advance the position past them."""
        decoded = decode(runs, self.position)
        records = decoded.records
        smoothed = self.smooth(records)
        failure = smoothed.failure
        self.position = decoded.next_offset
        if failure is not None:
            self.position = failure.offset
            records = records.take(np.arange(len(smoothed.reason)))
        rejected_rows = np.flatnonzero(smoothed.reason >= 0)
        rejected = reasons_of(smoothed.reason[rejected_rows])
        batches = self._output(records, smoothed)
        if len(rejected_rows) and self._config.on_error == "dlq":
            batches += self._dead_letters(records.take(rejected_rows), rejected).batches()
        return Step(
            batches,
            self.position,
            len(records),
            len(smoothed.rows),
            {reason: rejected.count(reason) for reason in set(rejected)},
            smoothed.skipped,
            decoded.unreadable if failure is None else None,
            failure,
        )

    def smooth(self, records: RecordColumns) -> Smoothed:
        """Fold the records into the state: all of `process` but for batches and position.

        Recorded data goes through here as well, hence with the same bits.
        """
        readings = self._config.decoder.decode(records)
        if self._config.on_missing_key == "topic-partition":
            readings = self._with_partition_key(readings)
        folded = self._fold(readings, self._check(records, readings))
        failure = None
        if self._config.on_error == "fail" and (folded.reason >= 0).any():
            row = int(np.flatnonzero(folded.reason >= 0)[0])
            failure = Failure(int(records.offset[row]), Reason(int(folded.reason[row])))
            folded = _before(folded, row)
        skipped = _skipped(readings.status[: len(folded.reason)], folded)
        columns = _smoothed_columns(readings, folded)
        return Smoothed(folded.emitted, columns, folded.reason, skipped, failure)

    def refused(self, batch: OutgoingBatch) -> list[OutgoingBatch]:
        """The dead letter of the only record of a batch that the broker refuses."""
        return self._dead_letters(batch.source(), [Reason.OUTPUT_REFUSED]).batches()

    def _with_partition_key(self, readings: ReadingColumns) -> ReadingColumns:
        """Readings without a key become one series, named after the partition."""
        missing = readings.keys.length == NULL
        if not missing.any():
            return readings
        name = f"{self.topic}-{self.partition}".encode()
        keys = readings.keys
        start, length = keys.start.copy(), keys.length.copy()
        start[missing] = len(keys.buffer)
        length[missing] = len(name)
        joined = Spans(as_bytes(keys.buffer.tobytes() + name), start, length)
        status = readings.status.copy()
        return ReadingColumns(readings.x, readings.x_text, readings.timestamp, joined, status)

    def _check(self, records: RecordColumns, readings: ReadingColumns) -> Int64:
        """The reason against each row, `_NO_REASON` where there is none: key, value, event time."""
        reason = _of_status(_REASON_OF_STATUS, readings.status)
        skew = self._config.max_future_skew_ms
        if skew is not None:
            # Against the record's own timestamp, never the clock: a replay must decide alike.
            ahead = np.flatnonzero(readings.timestamp - records.timestamp > skew)
            known = (readings.status[ahead] == Status.OK) & (records.timestamp[ahead] >= 0)
            reason[ahead[known]] = Reason.FUTURE_TIMESTAMP
        lengths = readings.keys.length
        reason[np.flatnonzero(lengths > self._config.max_key_bytes)] = Reason.TOO_LARGE
        missing = np.flatnonzero(lengths == NULL)
        if readings.keys is not records.keys:
            # Taken from the value: one that fails shows no key, and its own reason says more.
            missing = missing[reason[missing] == _NO_REASON]
        reason[missing] = Reason.MISSING_KEY
        return reason

    def _fold(self, readings: ReadingColumns, reason: Int64) -> _Folded:
        action = _of_status(self._actions, readings.status)
        action[np.flatnonzero(reason >= 0)] = Action.IGNORE
        # A reset or a hold of a key never seen must not take up a slot.
        insert = (action == Action.OBSERVE).view(np.uint8)
        keys = readings.keys
        ignored = np.flatnonzero(action == Action.IGNORE)
        if len(ignored):
            length = keys.length.copy()
            length[ignored] = NULL
            keys = Spans(keys.buffer, keys.start, length)
        found = self._keys.find(keys, insert)
        self._admit(found.new_from, found.new_to)
        homeless = np.flatnonzero(found.slots == NO_SLOT)
        reason[homeless[action[homeless] == Action.OBSERVE]] = Reason.TOO_MANY_KEYS
        action[homeless] = Action.IGNORE
        result = fold(self._state, self._plan, found.slots, readings.timestamp, readings.x, action)
        reason[np.flatnonzero(result.outcome == Outcome.NOT_FINITE)] = Reason.STATE_OVERFLOW
        emitted = result.outcome == Outcome.EMITTED
        if self._config.on_tombstone == "reset":
            emitted |= (readings.status == Status.TOMBSTONE) & (reason < 0)
        return _Folded(result, np.flatnonzero(emitted), reason)

    def _admit(self, first: int, end: int) -> None:
        """Give the slots from `first` to `end` a row and, once for all, their factor."""
        if first == end:
            return
        self._state.grow(end)
        if not self._config.rules.rules:
            return
        texts = (self._keys.key(slot).decode("utf-8", "replace") for slot in range(first, end))
        factors = [self._config.rules.resolve(text) for text in texts]
        self._state.assign(np.arange(first, end), np.array(factors, np.uint16))

    def _output(self, records: RecordColumns, smoothed: Smoothed) -> list[OutgoingBatch]:
        rows = smoothed.rows
        if len(rows) == 0:
            return []
        if len(rows) != len(records):
            records = records.take(rows)
        values = self._config.encoder.encode(smoothed.columns)
        headers, headers_count = records.headers, records.headers_count
        if not self._config.pass_headers:
            headers = Spans(_NOTHING, np.zeros(len(rows), np.int32), np.zeros(len(rows), np.int32))
            headers_count = np.zeros(len(rows), np.int32)
        return Outgoing(
            Destination.OUTPUT,
            records,
            records.timestamp,
            smoothed.columns.keys,
            values,
            headers,
            headers_count,
            self._config.max_batch_bytes,
            self._config.compression,
        ).batches()

    def _dead_letters(self, records: RecordColumns, reasons: list[Reason]) -> Outgoing:
        return dead_letters(
            records,
            reasons,
            self.topic,
            self.partition,
            max_batch_bytes=self._config.max_batch_bytes,
            compression=self._config.compression,
        )


def _smoothed_columns(readings: ReadingColumns, folded: _Folded) -> SmoothedColumns:
    """The outputs of the rows that have one."""
    rows = folded.emitted
    mean, count = folded.result.mean, folded.result.count
    if len(rows) != len(readings):
        readings = readings.take(rows)
        mean, count = mean[rows], count[rows]
    return SmoothedColumns(
        readings.keys,
        readings.timestamp,
        readings.x,
        readings.x_text,
        _of_status(_KIND_OF_STATUS, readings.status),
        {"ewma": mean, "count": count},
    )


def _skipped(status: UInt8, folded: _Folded) -> dict[str, int]:
    """Rows left out on purpose, by cause; rejected rows are counted elsewhere."""
    left_out = folded.reason < 0
    left_out[folded.emitted] = False
    status = status[left_out]
    causes = {SKIPPED_NULL: Status.NULL, SKIPPED_TOMBSTONE: Status.TOMBSTONE}
    counts = {cause: int((status == of).sum()) for cause, of in causes.items()}
    return {cause: count for cause, count in counts.items() if count}


def _before(folded: _Folded, row: int) -> _Folded:
    """Only the rows before `row`."""
    return _Folded(folded.result, folded.emitted[folded.emitted < row], folded.reason[:row])


def _of_status(table: NDArray[_T], status: UInt8) -> NDArray[_T]:
    """The entry of `table` for each row's status; nearly always all rows are OK."""
    if status.any():
        return table[status]
    return np.full(len(status), table[Status.OK])


def _reasons() -> Int64:
    codes: Int64 = np.full(len(Status), _NO_REASON, np.int64)
    for status, reason in REASON_OF_STATUS.items():
        codes[status] = reason
    return codes


def _kinds() -> UInt8:
    kinds: UInt8 = np.full(len(Status), Kind.SMOOTHED, np.uint8)
    kinds[Status.NULL] = Kind.HELD
    kinds[Status.TOMBSTONE] = Kind.TOMBSTONE
    return kinds


def _actions(config: TaskConfig) -> UInt8:
    actions: UInt8 = np.full(len(Status), Action.IGNORE, np.uint8)
    actions[Status.OK] = Action.OBSERVE
    actions[Status.NULL] = _ACTION_OF_NULL[config.on_null]
    if config.on_tombstone == "reset":
        actions[Status.TOMBSTONE] = Action.RESET
    return actions


_REASON_OF_STATUS: Final = _reasons()
_KIND_OF_STATUS: Final = _kinds()
_NOTHING: Final[Bytes] = as_bytes(b"")
