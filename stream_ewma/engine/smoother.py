"""Records to smoothed rows: checks, slots, fold, and the keys that fell silent meanwhile.

Recorded data goes through here as records from a topic do, hence with the same bits.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from stream_ewma.columns import NULL, Bytes, Int32, Int64, Spans, UInt8, as_bytes
from stream_ewma.engine.checking import INVALID, Checks, of_status
from stream_ewma.engine.config import TaskConfig
from stream_ewma.engine.dead_letters import Reason
from stream_ewma.engine.series import Folded, Placed, Series, any_with
from stream_ewma.engine.silence import Silence
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
from stream_ewma.smoothing.layout import NO_TIME
from stream_ewma.smoothing.rows import Action, Outcome

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
        self._silence = None if config.stale_after_ms is None else Silence(config.stale_after_ms)

    @property
    def keys_count(self) -> int:
        """Keys that have a slot."""
        return self._series.keys_count

    @property
    def state_bytes(self) -> int:
        """Memory of the keys and their state."""
        return self._series.state_bytes

    @property
    def series(self) -> Series:
        """The keys and their states."""
        return self._series

    @property
    def event_time(self) -> int | None:
        """How far event time has come, ms; None where it is not kept or has not begun."""
        return None if self._silence is None else self._silence.event_time

    def resume(self, event_time: int | None) -> None:
        """Go on from this event time with the keys that there are."""
        if self._silence is not None:
            self._silence.event_time = event_time
            self._hear(self._series.slots, self._silence)

    def smooth(self, records: RecordColumns) -> Smoothed:
        """Fold the records into the state."""
        readings = self._config.decoder.decode(records)
        if self._config.on_missing_key == "topic-partition":
            readings = self._with_key(readings)
        reason = self._checks.reasons(records, readings)
        readings, clamped = self._checks.clamped(records, readings)
        work = Smoothed(records, self._series.place(readings, reason), reason)
        work.noted.update({NOTED_CLAMPED: clamped} if clamped else {})
        if self._silence is None:
            if len(records):
                self._take_up(work, 0, self._series.fold(work.placed, 0, len(records)))
        else:
            self._smooth_by_ticks(work, self._silence)
        return work

    def _smooth_by_ticks(self, work: Smoothed, silence: Silence) -> None:
        """As one fold, but stopping at each tick of event time to look for silent keys.

        So it does not depend on where the stream is cut into batches which keys are found silent,
        and behind which record.
        """
        first = start = 0
        pieces: list[Folded] = []
        for end, event_time in self._ticks(work, silence):
            pieces.append(self._series.fold(work.placed, start, end))
            self._hear(work.placed.slots[start:end], silence)
            start = end
            stale = self._silent_keys(silence, event_time)
            if len(stale) or end == len(work.records):
                self._take_up(work, first, _joined(pieces))
                first, pieces = end, []
            if len(stale) and work.failed_row is None:
                self._report(work, end - 1, stale, event_time)

    def _ticks(self, work: Smoothed, silence: Silence) -> Iterator[tuple[int, int]]:
        """Where to stop: the row after each that moves event time over a tick, and that time."""
        n = len(work.records)
        if n == 0:
            return
        observed = any_with(work.placed.actions, Action.OBSERVE)
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

    def _hear(self, slots: Int32, silence: Silence) -> None:
        heard = np.unique(slots[slots >= 0])
        heard = heard[~self._series.is_reported(heard)]
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

    def _take_up(self, work: Smoothed, first: int, folded: Folded) -> None:
        """Note what came of the rows from `first` on."""
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
