"""Records to smoothed rows: checks, slots, fold, and the keys that fell silent meanwhile.

Recorded data goes through here as records from a topic do, hence with the same bits.
"""

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from stream_ewma.columns import NULL, Bytes, Int32, Int64, Spans, UInt8, as_bytes
from stream_ewma.engine.checking import INVALID, Checks, of_status
from stream_ewma.engine.config import TaskConfig
from stream_ewma.engine.dead_letters import Reason
from stream_ewma.engine.results import Folded
from stream_ewma.engine.series import Placed, Series
from stream_ewma.engine.step import (
    NOTED_CLAMPED,
    NOTED_CLIPPED,
    NOTED_EXPIRED,
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
)
from stream_ewma.engine.upkeep import Upkeep
from stream_ewma.payloads.columns import (
    Column,
    Kind,
    NumberColumns,
    ReadingColumns,
    SmoothedColumns,
    Status,
)
from stream_ewma.records.columns import RecordColumns
from stream_ewma.smoothing.rows import Outcome

_NOTHING: Final[Bytes] = as_bytes(b"")


@dataclass(frozen=True, slots=True)
class Part:
    """Smoothed rows that belong together: those of records, or reports of silent keys.

    Attributes:
        rows: int64 (m,), the record behind each row; of a report, the one that moved event time.
        smoothed: the m rows.
        is_report: whether the rows are reports, which no record stands behind.
    """

    rows: Int64
    smoothed: SmoothedColumns
    is_report: bool


@dataclass(slots=True)
class Smoothed:
    """What has come of n records.

    Attributes:
        records: the same.
        placed: their readings.
        reason: int64 (n,), the `Reason` against each record, negative where there is none.
        parts: smoothed rows, in the order in which they are to be published.
        skipped: records left out on purpose, by cause.
        noted: readings absorbed with a remark, and reports of silent keys.
        failed_row: the record that stops the service under `on_error: fail`; what comes behind it
            is in none of the others.
    """

    records: RecordColumns
    placed: Placed
    reason: Int64
    parts: list[Part] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    noted: Counter[str] = field(default_factory=Counter)
    failed_row: int | None = None


class Smoother:
    """The state of one partition, or of one recorded stream.

    Args:
        config: see `TaskConfig`.
        hash_seed: two 64-bit words nobody outside can know.
        keyless: key of the readings that have none, under `on_missing_key: topic-partition`.
    """

    def __init__(self, config: TaskConfig, hash_seed: tuple[int, int], keyless: bytes) -> None:
        self._config = config
        self._keyless = keyless
        self._checks = Checks(config)
        self._series = Series(config, self._checks, hash_seed)
        self._upkeep = Upkeep(config, self._series)

    @property
    def keys_count(self) -> int:
        """Keys that have a slot."""
        return self._series.keys_count

    @property
    def state_bytes(self) -> int:
        """Memory of the keys and their state."""
        return self._series.state_bytes + self._upkeep.nbytes

    @property
    def series(self) -> Series:
        """The keys and their states."""
        return self._series

    @property
    def event_time(self) -> int | None:
        """The greatest event time so far; None before the first, or if nothing depends on it."""
        return self._upkeep.event_time

    def resume(self, event_time: int | None) -> None:
        """Go on with restored series.

        Args:
            event_time: as it was when their states were.
        """
        self._upkeep.resume(event_time)

    def read(self, records: RecordColumns) -> ReadingColumns:
        """What the records' values say."""
        return self._config.decoder.decode(records)

    def smooth(
        self,
        records: RecordColumns,
        position: int,
        next_offset: int,
        readings: ReadingColumns | None = None,
    ) -> Smoothed:
        """Fold the records into the state.

        Args:
            records: n records.
            position: the offset from which on they were read: the last `next_offset`.
            next_offset: the offset up to which they were read; not all offsets have a record.
            readings: what `read` found in them; None: it is asked here.
        """
        if readings is None:
            readings = self.read(records)
        if self._config.on_missing_key == "topic-partition":
            readings = self._with_key(readings)
        reason = self._checks.reasons(records, readings)
        readings, clamped = self._checks.clamped(records, readings)
        placed = self._series.decide(readings, reason)
        work = Smoothed(records, placed, reason)
        work.noted.update({NOTED_CLAMPED: clamped} if clamped else {})
        self._smooth_by_stops(work, position, next_offset)
        return work

    def _smooth_by_stops(self, work: Smoothed, position: int, next_offset: int) -> None:
        """As one fold, but stopping where something may become of keys without a reading."""
        placed, upkeep = work.placed, self._upkeep
        first = start = 0
        pieces: list[Folded] = []
        for stop in upkeep.stops(placed, work.records.offset, position, next_offset):
            here, end = stop, stop.end
            if start < end:
                self._series.place(placed, work.reason, start, end)
                work.failed_row = self._failing_row(work, start, end)
                if work.failed_row is not None:
                    here = upkeep.stop_at(placed, start, work.failed_row)
                    end = here.end
                pieces.append(self._series.fold(placed, start, end))
                upkeep.took(placed, start, pieces[-1].outcome, here)
                start = end
            stale = upkeep.silent()
            failed = work.failed_row is not None
            if pieces and (len(stale) or failed or end == len(work.records)):
                self._take_up(work, first, _joined(pieces))
                first, pieces = end, []
            if failed:
                return
            if len(stale):
                self._report(work, end - 1, stale, stop.event_time)
            expired = upkeep.expired()
            if len(expired):
                self._series.release(expired)
                work.noted[NOTED_EXPIRED] += len(expired)
            if stop.sweeps:
                self._series.release(upkeep.empty())

    def _failing_row(self, work: Smoothed, start: int, end: int) -> int | None:
        """The first row that stops the service, if any from `start` to `end` does.

        Nothing of it, nor of what is behind it, may get into the state: the service begins there.
        """
        if self._config.on_error != "fail":
            return None
        reason = work.reason[start:end]
        self._judge(self._series.rehearse(work.placed, start, end), reason)
        failing = np.flatnonzero(reason >= 0)
        return start + int(failing[0]) if len(failing) else None

    def _judge(self, outcome: UInt8, reason: Int64) -> None:
        """Note the reason against each row that the fold has refused."""
        if outcome.any():
            reason[np.flatnonzero(outcome == Outcome.NOT_FINITE)] = Reason.STATE_OVERFLOW
            if self._config.on_late == "dlq":
                reason[np.flatnonzero(outcome == Outcome.LATE)] = Reason.LATE

    def _take_up(self, work: Smoothed, first: int, folded: Folded) -> None:
        """Note what came of the rows from `first` on."""
        n = len(folded.outcome)
        reason = work.reason[first : first + n]
        status = work.placed.readings.status[first : first + n]
        self._judge(folded.outcome, reason)
        emitted = folded.outcome == Outcome.EMITTED
        if self._config.on_tombstone == "reset":
            emitted |= (status == Status.TOMBSTONE) & (reason < 0)
        rows = np.flatnonzero(emitted)
        _count(work, status, folded, reason, rows)
        if len(rows):
            work.parts.append(self._part(work, rows + first, rows, n, folded.columns))

    def _part(
        self, work: Smoothed, records: Int64, rows: Int64, n: int, columns: dict[str, Column]
    ) -> Part:
        """The smoothed rows of `records`, whose outputs are `rows` of the n in `columns`."""
        readings, values = work.placed.readings, work.records.values
        if len(records) != len(work.records):
            readings, values = readings.take(records), values.take(records)
        if len(rows) != n:
            columns = {name: column[rows] for name, column in columns.items()}
        smoothed = SmoothedColumns(
            readings.keys,
            readings.timestamp,
            readings.numbers,
            of_status(_KIND_OF_STATUS, readings.status),
            columns,
            _originals(values, readings.status) if self._config.enriches else None,
        )
        return Part(records, smoothed, is_report=False)

    def _report(self, work: Smoothed, row: int, slots: Int32, event_time: int) -> None:
        """A row for each key that fell silent, behind the record that moved event time on."""
        keys, columns = self._series.silent(slots, event_time)
        n = len(slots)
        nothing = Spans(_NOTHING, np.zeros(n, np.int32), np.full(n, NULL, np.int32))
        empty = Spans(_NOTHING, np.zeros(n, np.int32), np.zeros(n, np.int32))
        numbers = NumberColumns(np.zeros(n), empty, np.full(n, Status.NULL, np.uint8))
        smoothed = SmoothedColumns(
            keys,
            np.full(n, event_time, np.int64),
            (numbers,) * len(self._config.fields),
            np.full(n, Kind.STALE, np.uint8),
            columns,
            nothing if self._config.enriches else None,
        )
        work.parts.append(Part(np.full(n, row, np.int64), smoothed, is_report=True))
        work.noted[NOTED_STALE] += n

    def _with_key(self, readings: ReadingColumns) -> ReadingColumns:
        """Readings without a key become one series."""
        missing = readings.keys.length == NULL
        if not missing.any():
            return readings
        name = self._keyless
        keys = readings.keys
        start, length = keys.start.copy(), keys.length.copy()
        start[missing] = len(keys.buffer)
        length[missing] = len(name)
        joined = Spans(as_bytes(keys.buffer.tobytes() + name), start, length)
        return replace(readings, keys=joined)


def _count(work: Smoothed, status: UInt8, folded: Folded, reason: Int64, emitted: Int64) -> None:
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
        SKIPPED_INVALID: np.isin(status, INVALID),
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


def _originals(values: Spans, status: UInt8) -> Spans:
    """The values that came in; none where it is not certain that they are JSON."""
    doubtful = np.flatnonzero(np.isin(status, INVALID))
    if len(doubtful) == 0:
        return values
    length = values.length.copy()
    length[doubtful] = NULL
    return Spans(values.buffer, values.start, length)


def _kinds() -> UInt8:
    kinds: UInt8 = np.full(len(Status), Kind.SMOOTHED, np.uint8)
    for status in (Status.NULL, *INVALID):
        kinds[status] = Kind.HELD
    kinds[Status.TOMBSTONE] = Kind.TOMBSTONE
    return kinds


_KIND_OF_STATUS: Final = _kinds()
