"""One input partition as a state machine: runs of record batches in, finished batches out.

    runs -> records -> readings -> checks -> slots -> fold -> smoothed rows -> record batches

Time, randomness and limits come in as arguments; nothing here waits, logs or knows Kafka's client.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from stream_ewma.columns import NULL, Bytes, Int32, Int64, Spans, UInt8, as_bytes
from stream_ewma.engine.checking import Checks, of_status
from stream_ewma.engine.config import TaskConfig
from stream_ewma.engine.dead_letters import Reason, reasons_of
from stream_ewma.engine.outgoing import Destination, Outgoing, OutgoingBatch, dead_letters
from stream_ewma.engine.series import Folded, Placed, Series
from stream_ewma.engine.silence import NO_TIME, Silence
from stream_ewma.engine.step import (
    NOTED_CLAMPED,
    NOTED_CLIPPED,
    NOTED_FIELD_REFUSED,
    NOTED_LATE,
    NOTED_RESTARTED,
    NOTED_STALE,
    SKIPPED_INVALID,
    SKIPPED_LATE,
    SKIPPED_NULL,
    SKIPPED_THINNED,
    SKIPPED_TOMBSTONE,
    SKIPPED_WARMING_UP,
    Failure,
    Step,
)
from stream_ewma.payloads.columns import (
    Column,
    Kind,
    NumberColumns,
    ReadingColumns,
    SmoothedColumns,
    Status,
)
from stream_ewma.records.columns import RecordColumns
from stream_ewma.records.fetched import BatchRun
from stream_ewma.records.reader import decode
from stream_ewma.smoothing.rows import Action, Outcome

_NOTHING: Final[Bytes] = as_bytes(b"")


@dataclass(slots=True)
class _Work:
    """A step at work: its rows, and what has come of them so far."""

    records: RecordColumns
    placed: Placed
    reason: Int64
    batches: list[OutgoingBatch] = field(default_factory=list)
    emitted: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    noted: Counter[str] = field(default_factory=Counter)
    failed_row: int | None = None


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
        self._checks = Checks(config)
        self._series = Series(config, hash_seed)
        self._silence = None if config.stale_after_ms is None else Silence(config.stale_after_ms)

    @property
    def keys_count(self) -> int:
        """Keys that have a slot."""
        return self._series.keys_count

    @property
    def state_bytes(self) -> int:
        """Memory of the keys and their state."""
        return self._series.state_bytes

    def process(self, runs: Sequence[BatchRun]) -> Step:
        """Smooth the records of `runs` and advance the position past them."""
        decoded = decode(runs, self.position)
        work = self._smooth(decoded.records)
        failure = None
        next_offset = decoded.next_offset
        rows = len(work.records)
        if work.failed_row is not None:
            rows = work.failed_row
            reason = Reason(int(work.reason[rows]))
            failure = Failure(int(work.records.offset[rows]), reason)
            next_offset = failure.offset
        self.position = next_offset
        rejected_rows = np.flatnonzero(work.reason[:rows] >= 0)
        rejected = reasons_of(work.reason[rejected_rows])
        if rejected and self._config.on_error == "dlq":
            letters = self._dead_letters(work.records.take(rejected_rows), rejected)
            work.batches += letters.batches()
        return Step(
            work.batches,
            next_offset,
            rows,
            work.emitted,
            {reason: rejected.count(reason) for reason in set(rejected)},
            dict(work.skipped),
            dict(work.noted),
            decoded.unreadable if failure is None else None,
            failure,
        )

    def refused(self, batch: OutgoingBatch) -> list[OutgoingBatch]:
        """The dead letter of the only record of a batch that the broker refuses."""
        return self._dead_letters(batch.source(), [Reason.OUTPUT_REFUSED]).batches()

    def _smooth(self, records: RecordColumns) -> _Work:
        """Take the records through checks, fold and encoding."""
        readings = self._config.decoder.decode(records)
        if self._config.on_missing_key == "topic-partition":
            readings = self._with_partition_key(readings)
        reason = self._checks.reasons(records, readings)
        readings, clamped = self._checks.clamped(records, readings)
        work = _Work(records, self._series.place(readings, reason), reason)
        work.noted.update({NOTED_CLAMPED: clamped} if clamped else {})
        if self._silence is None:
            if len(records):
                self._publish(work, 0, self._series.fold(work.placed, 0, len(records)))
        else:
            self._smooth_by_ticks(work, self._silence)
        return work

    def _smooth_by_ticks(self, work: _Work, silence: Silence) -> None:
        """As one fold, but stopping at each tick of event time to look for silent keys.

        So it does not depend on where the stream is cut into batches which keys are found silent,
        and behind which record.
        """
        first = start = 0
        pieces: list[Folded] = []
        for end, event_time in self._ticks(work, silence):
            pieces.append(self._series.fold(work.placed, start, end))
            self._hear(work.placed, start, end, silence)
            start = end
            stale = self._silent_keys(silence, event_time)
            if len(stale) or end == len(work.records):
                self._publish(work, first, _joined(pieces))
                first, pieces = end, []
            if len(stale) and work.failed_row is None:
                self._publish_stale(work, end - 1, stale, event_time)

    def _ticks(self, work: _Work, silence: Silence) -> Iterator[tuple[int, int]]:
        """Where to stop: the row after each that moves event time over a tick, and that time."""
        n = len(work.records)
        if n == 0:
            return
        observed = np.zeros(n, np.bool_)
        for action in work.placed.actions:
            observed |= action == Action.OBSERVE
        before = NO_TIME if silence.event_time is None else silence.event_time
        times = np.where(observed, work.placed.readings.timestamp, NO_TIME)
        times = np.maximum(np.maximum.accumulate(times), before)
        ticks = silence.tick_of(times)
        moved = np.flatnonzero(np.diff(ticks, prepend=silence.tick_of(np.array([before])))) + 1
        stops = moved.tolist()
        if not stops or stops[-1] != n:
            stops.append(n)
        for stop in stops:
            yield stop, int(times[stop - 1])

    def _hear(self, placed: Placed, start: int, end: int, silence: Silence) -> None:
        slots = placed.slots[start:end]
        heard = slots[slots >= 0]
        last = self._series.last_time(heard)
        spoken = last != NO_TIME
        silence.heard(heard[spoken], last[spoken])

    def _silent_keys(self, silence: Silence, event_time: int) -> Int32:
        """Slots of the keys that are silent now and were not before."""
        if event_time == NO_TIME:
            return np.empty(0, np.int32)
        slots = silence.due(event_time)
        last = self._series.last_time(slots)
        slots, last = slots[last != NO_TIME], last[last != NO_TIME]
        silent = silence.is_silent(last)
        silence.heard(slots[~silent], last[~silent])
        fallen_silent: Int32 = slots[silent]
        return fallen_silent

    def _publish(self, work: _Work, first: int, folded: Folded) -> None:
        """Take up what came of the rows from `first` on, and encode the smoothed ones."""
        if work.failed_row is not None:
            return
        n = len(folded.outcome)
        reason = work.reason[first : first + n]
        status = work.placed.readings.status[first : first + n]
        if folded.outcome.any():
            reason[np.flatnonzero(folded.outcome == Outcome.NOT_FINITE)] = Reason.STATE_OVERFLOW
            if self._config.on_late == "dlq":
                reason[np.flatnonzero(folded.outcome == Outcome.LATE)] = Reason.LATE
        emitted = folded.outcome == Outcome.EMITTED
        if self._config.on_tombstone == "reset":
            emitted |= (status == Status.TOMBSTONE) & (reason < 0)
        rows = np.flatnonzero(emitted)
        if self._config.on_error == "fail" and (reason >= 0).any():
            failed = int(np.flatnonzero(reason >= 0)[0])
            work.failed_row = first + failed
            rows, status, reason = rows[rows < failed], status[:failed], reason[:failed]
        _count(work, status, folded, reason, rows)
        work.batches += self._output(work, first, n, rows, folded.columns)
        work.emitted += len(rows)

    def _output(
        self, work: _Work, first: int, n: int, rows: Int64, columns: dict[str, Column]
    ) -> list[OutgoingBatch]:
        if len(rows) == 0:
            return []
        records, readings = work.records, work.placed.readings
        if len(rows) != len(records):
            records, readings = records.take(rows + first), readings.take(rows + first)
        if len(rows) != n:
            columns = {name: column[rows] for name, column in columns.items()}
        smoothed = SmoothedColumns(
            readings.keys,
            readings.timestamp,
            readings.numbers,
            of_status(_KIND_OF_STATUS, readings.status),
            columns,
            _originals(records, readings) if self._config.enriches else None,
        )
        return self._encoded(records, records.timestamp, smoothed, self._config.pass_headers)

    def _publish_stale(self, work: _Work, row: int, slots: Int32, event_time: int) -> None:
        """A record for each key that fell silent, behind the record that moved event time on."""
        keys, columns = self._series.silent(slots, event_time)
        n = len(slots)
        time = np.full(n, event_time, np.int64)
        nothing = Spans(_NOTHING, np.zeros(n, np.int32), np.full(n, NULL, np.int32))
        empty = Spans(_NOTHING, np.zeros(n, np.int32), np.zeros(n, np.int32))
        numbers = NumberColumns(np.zeros(n), empty, np.full(n, Status.NULL, np.uint8))
        smoothed = SmoothedColumns(
            keys,
            time,
            (numbers,) * len(self._config.fields),
            np.full(n, Kind.STALE, np.uint8),
            columns,
            nothing if self._config.enriches else None,
        )
        # No record stands behind them: should the broker refuse one, its dead letter names the
        # record that moved event time on.
        offset = np.full(n, work.records.offset[row], np.int64)
        source = RecordColumns(offset, time, keys, nothing, empty, np.zeros(n, np.int32))
        work.batches += self._encoded(source, time, smoothed, False)
        work.emitted += n
        work.noted[NOTED_STALE] += n

    def _encoded(
        self, source: RecordColumns, timestamp: Int64, smoothed: SmoothedColumns, headers: bool
    ) -> list[OutgoingBatch]:
        n = len(source)
        spans, count = source.headers, source.headers_count
        if not headers:
            spans = Spans(_NOTHING, np.zeros(n, np.int32), np.zeros(n, np.int32))
            count = np.zeros(n, np.int32)
        return Outgoing(
            Destination.OUTPUT,
            source,
            timestamp,
            smoothed.keys,
            self._config.encoder.encode(smoothed),
            spans,
            count,
            self._config.max_batch_bytes,
            self._config.compression,
        ).batches()

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
        return replace(readings, keys=joined)

    def _dead_letters(self, records: RecordColumns, reasons: list[Reason]) -> Outgoing:
        return dead_letters(
            records,
            reasons,
            self.topic,
            self.partition,
            max_batch_bytes=self._config.max_batch_bytes,
            compression=self._config.compression,
        )


def _count(work: _Work, status: UInt8, folded: Folded, reason: Int64, emitted: Int64) -> None:
    """Count the rows left out on purpose, by cause; rejected rows are counted elsewhere."""
    noted = {
        NOTED_LATE: folded.late,
        NOTED_CLIPPED: folded.clipped,
        NOTED_RESTARTED: folded.restarted,
        NOTED_FIELD_REFUSED: folded.refused,
    }
    work.noted.update({name: count for name, count in noted.items() if count})
    if len(emitted) == len(status):
        return
    left_out = reason < 0
    left_out[emitted] = False
    outcome = folded.outcome[: len(status)]
    causes = {
        SKIPPED_NULL: status == Status.NULL,
        SKIPPED_TOMBSTONE: status == Status.TOMBSTONE,
        SKIPPED_INVALID: np.isin(status, _INVALID),
        SKIPPED_LATE: outcome == Outcome.LATE,
        SKIPPED_THINNED: outcome == Outcome.THINNED,
        SKIPPED_WARMING_UP: outcome == Outcome.WARMING_UP,
    }
    for cause, rows in causes.items():
        count = int((rows & left_out).sum())
        if count:
            work.skipped[cause] += count
            left_out &= ~rows


def _joined(pieces: list[Folded]) -> Folded:
    """The pieces as one."""
    if len(pieces) == 1:
        return pieces[0]
    return Folded(
        {
            name: np.concatenate([piece.columns[name] for piece in pieces])
            for name in pieces[0].columns
        },
        np.concatenate([piece.outcome for piece in pieces]),
        *(
            sum(getattr(piece, name) for piece in pieces)
            for name in ("refused", "late", "clipped", "restarted")
        ),
    )


def _originals(records: RecordColumns, readings: ReadingColumns) -> Spans:
    """The values that came in; none where it is not certain that they are JSON."""
    doubtful = np.flatnonzero(np.isin(readings.status, _INVALID))
    if len(doubtful) == 0:
        return records.values
    length = records.values.length.copy()
    length[doubtful] = NULL
    return Spans(records.values.buffer, records.values.start, length)


_INVALID: Final = (Status.MISSING_VALUE, Status.NOT_NUMERIC, Status.NON_FINITE)


def _kinds() -> UInt8:
    kinds: UInt8 = np.full(len(Status), Kind.SMOOTHED, np.uint8)
    for status in (Status.NULL, *_INVALID):
        kinds[status] = Kind.HELD
    kinds[Status.TOMBSTONE] = Kind.TOMBSTONE
    return kinds


_KIND_OF_STATUS: Final = _kinds()
