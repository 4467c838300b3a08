"""Looking at a partition while it works: some keys' state, and samples of what comes and goes.

Nothing here changes the state, and the effort of each call is bounded by its arguments: a partition
may hold millions of keys, and its next step waits while somebody looks.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from stream_ewma.columns import Int32, Int64, Spans
from stream_ewma.engine.config import TaskConfig
from stream_ewma.engine.dead_letters import Reason
from stream_ewma.engine.index import NO_SLOT
from stream_ewma.engine.sample import KeyPage, KeyState, Rejected, Sample, Scalar, Watched
from stream_ewma.engine.series import Series
from stream_ewma.engine.smoother import Part, Smoothed
from stream_ewma.payloads.columns import NULL_FLAG, NULL_INTEGER, Column, Kind, Status
from stream_ewma.records.columns import RecordColumns
from stream_ewma.smoothing.layout import NO_TIME

_MOST_OF_A_KEY: Final = 100
"""Samples of a key in one step; the newest are kept."""
_MOST_OF_KEYS: Final = 500
"""Samples of all keys that are watched, in one step; the newest are kept."""
_MOST_REJECTED: Final = 8
_PREVIEW_BYTES: Final = 256


def state_of(series: Series, keys: Sequence[bytes]) -> list[KeyState]:
    """The states of those of `keys` that are there."""
    slots = series.find(Spans.of(list(keys)))
    return _states(series, slots[slots != NO_SLOT])


def page_of(series: Series, prefix: bytes, cursor: int, limit: int, effort: int) -> KeyPage:
    """Keys that begin with `prefix`, looking at no more than `effort` slots from `cursor` on."""
    slots, after = series.scan(prefix, cursor, limit, effort)
    return KeyPage(_states(series, slots), after)


def _states(series: Series, slots: Int32) -> list[KeyState]:
    times, columns = series.results(slots)
    keys = series.spans(slots)
    return [
        KeyState(
            keys.item(i) or b"",
            None if times[i] == NO_TIME else int(times[i]),
            {name: scalar(column, i) for name, column in columns.items()},
        )
        for i in range(len(slots))
    ]


def samples_of(
    series: Series, config: TaskConfig, work: Smoothed, watched: Watched
) -> list[Sample]:
    """The rows of `work` that are wanted, in their order."""
    slots = series.find(Spans.of([*sorted(watched.keys)]))
    left = watched.others
    samples: list[Sample] = []
    for part in work.parts:
        chosen = _chosen(work, part, slots[slots != NO_SLOT])
        others = np.linspace(0, len(part.rows) - 1, min(left, len(part.rows))).astype(np.int64)
        left -= len(others)
        rows = np.union1d(chosen, others)
        samples += [_sample(config, work.records, part, int(row)) for row in rows]
    return samples


def _chosen(work: Smoothed, part: Part, slots: Int32) -> Int64:
    """The newest rows of each of `slots`."""
    if part.is_report or len(slots) == 0:
        return np.empty(0, np.int64)
    of_row = work.placed.slots[part.rows]
    rows = np.flatnonzero(np.isin(of_row, slots))
    rows = rows[np.argsort(of_row[rows], kind="stable")]  # by key, the newest of each last
    key = of_row[rows]
    is_newest = np.ones(len(rows), np.bool_)
    is_newest[:-_MOST_OF_A_KEY] = key[:-_MOST_OF_A_KEY] != key[_MOST_OF_A_KEY:]
    return np.sort(rows[is_newest])[-_MOST_OF_KEYS:]


def _sample(config: TaskConfig, records: RecordColumns, part: Part, row: int) -> Sample:
    smoothed, record = part.smoothed, int(part.rows[row])
    raw = None if part.is_report else records.values.item(record)
    values = {
        name or "value": float(numbers.x[row]) if numbers.status[row] == Status.OK else None
        for name, numbers in zip(config.fields, smoothed.numbers, strict=True)
    }
    return Sample(
        int(records.offset[record]),
        smoothed.keys.item(row) or b"",
        int(smoothed.timestamp[row]),
        Kind(int(smoothed.kind[row])),
        None if raw is None else raw[:_PREVIEW_BYTES],
        values,
        {name: scalar(column, row) for name, column in smoothed.outputs.items()},
    )


def rejected_of(records: RecordColumns, rows: Int64, reasons: Sequence[Reason]) -> list[Rejected]:
    """The last few of the records at `rows`, which were rejected for `reasons`."""
    last = list(zip(rows.tolist(), reasons, strict=True))[-_MOST_REJECTED:]
    found = []
    for row, reason in last:
        key, value = records.keys.item(row), records.values.item(row)
        found.append(
            Rejected(
                int(records.offset[row]),
                int(records.timestamp[row]),
                None if key is None else key[:_PREVIEW_BYTES],
                reason,
                None if value is None else value[:_PREVIEW_BYTES],
                0 if value is None else len(value),
            )
        )
    return found


def scalar(column: Column, row: int) -> Scalar:
    """One row of an output, None where a record would have null."""
    if column.dtype.kind == "f":
        number = float(column[row])
        return number if np.isfinite(number) else None
    if column.dtype == np.bool_:
        return bool(column[row])
    value = int(column[row])
    if column.dtype == np.uint8:
        return None if value == NULL_FLAG else bool(value)
    return None if value == NULL_INTEGER else value
