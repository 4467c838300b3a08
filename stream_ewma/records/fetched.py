"""A partition's bytes in a fetch response, cut into runs of whole record batches."""

from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stream_ewma.columns import Bytes, Int64, as_bytes
from stream_ewma.jit import kernel
from stream_ewma.records import layout
from stream_ewma.records.layout import BATCH, read_int

_MOST_RUN_BYTES: Final = 4 << 20
"""A run becomes one set of columns: large enough to spread the cost of a call, small enough for
the processor's cache and for a steady pace."""
_MOST_RUN_RECORDS: Final = 1 << 16
"""The same for compressed batches, whose bytes say little."""

_LAST_OFFSET: Final = (1 << 63) - 1
_MOST_OFFSET_DELTA: Final = (1 << 31) - 1

_READABLE: Final = 0
_OTHER_MAGIC: Final = 1
_BAD_LENGTH: Final = 2
_BAD_HEADER: Final = 3
_BACKWARDS: Final = 4

_REASON: Final = {
    _OTHER_MAGIC: "message format version {magic} is not supported: only version 2 is "
    "(Kafka 0.11 and later)",
    _BAD_LENGTH: "the batch's length of {length} bytes is impossible",
    _BAD_HEADER: "the batch's header has impossible offsets or counts",
    _BACKWARDS: "the batch's offset {base_offset} is not after the batch before it",
}


class RunKind(Enum):
    """What a run of batches holds."""

    DATA = "data"
    CONTROL = "control"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True, eq=False)
class BatchRun:
    """One or several whole batches, one after another in a fetch response.

    Attributes:
        kind: what the batches hold; a control batch is a run of its own.
        data: the whole response.
        start: index in `data` of the run's first byte.
        end: index in `data` after the run's last byte.
        base_offset: the first batch's offset; of an unreadable run, the first offset that cannot
            be read.
        next_offset: the offset after the last batch; `base_offset` + 1 of an unreadable run.
        producer_id: of transactional and control batches; else -1.
        is_transactional: all of the batches belong to one transaction of `producer_id`.
        record_count: sum of the batches' own counts, not verified yet.
        reason: why an unreadable run is so, in one line; else empty.
        batches: `BATCH` (n,), the batches' headers.
    """

    kind: RunKind
    data: bytes | memoryview
    start: int
    end: int
    base_offset: int
    next_offset: int
    producer_id: int
    is_transactional: bool
    record_count: int
    reason: str
    batches: NDArray[np.void]


def divide(run: BatchRun, most_records: int) -> list[BatchRun]:
    """Cut a run between batches, so that no part has more records, unless one batch has.

    Args:
        run: of any kind.
        most_records: by the batches' own counts.
    """
    parts: list[BatchRun] = []
    first = records = 0
    for i, count in enumerate(run.batches["record_count"].tolist()):
        if i > first and records + count > most_records:
            parts.append(_run(run.data, run.batches[first:i]))
            first, records = i, 0
        records += count
    if not parts:
        return [run]
    return [*parts, _run(run.data, run.batches[first:])]


def split_runs(data: bytes | memoryview) -> list[BatchRun]:
    """Find the batches in `data` and put together those that can be decoded together.

    Any bytes are accepted. A batch cut short at the end, as brokers send it where a response is
    full, is left out. Where something else than a batch stands, the last run is an unreadable one
    and nothing after it is returned. Offsets always rise from run to run.

    Args:
        data: one partition's records of a fetch response, shorter than 2 GiB.
    """
    buffer = as_bytes(data)
    batches = np.empty(len(buffer) // layout.HEADER_BYTES + 1, BATCH)
    count, stop, expected_offset, problem = _scan(buffer, batches)
    batches = batches[:count].copy()  # there was room for many more, and the runs keep it
    first_batch = np.empty(count + 1, np.int64)
    run_count = _cut(batches, first_batch)
    bounds = first_batch[: run_count + 1].tolist()
    runs = [_run(data, batches[bounds[i] : bounds[i + 1]]) for i in range(run_count)]
    if problem != _READABLE:
        runs.append(_unreadable(data, stop, expected_offset, problem))
    return runs


@kernel
def _scan(buffer: Bytes, batches: NDArray[np.void]) -> tuple[int, int, int, int]:
    """Fill `batches`, which must have room for one batch in each `HEADER_BYTES` bytes.

    Returns:
        The number of batches, the position after them, the lowest offset that may follow them,
        and the problem with what stands there.
    """
    size = len(buffer)
    count = 0
    at = 0
    expected_offset = 0
    while size - at >= layout.MAGIC_END:
        if buffer[at + layout.MAGIC_AT] != layout.MAGIC:
            return count, at, expected_offset, _OTHER_MAGIC
        length = read_int(buffer, at + layout.LENGTH_AT, 4)
        if length < layout.HEADER_BYTES - layout.LENGTH_END:
            return count, at, expected_offset, _BAD_LENGTH
        end = at + layout.LENGTH_END + length
        if end > size:
            break
        batch = batches[count]
        batch["start"] = at
        batch["end"] = end
        problem = _read_header(buffer, at, batch)
        if problem != _READABLE:
            return count, at, expected_offset, problem
        if batch["base_offset"] < expected_offset:
            return count, at, expected_offset, _BACKWARDS
        expected_offset = batch["base_offset"] + batch["last_offset_delta"] + 1
        count += 1
        at = end
    return count, at, expected_offset, _READABLE


@kernel
def _read_header(buffer: Bytes, at: int, batch: Any) -> int:
    """Fill one row of `BATCH` from the header at `at`, all of which is there."""
    batch["base_offset"] = read_int(buffer, at, 8)
    batch["crc"] = read_int(buffer, at + layout.CRC_AT, 4) & 0xFFFFFFFF
    batch["attributes"] = read_int(buffer, at + layout.ATTRIBUTES_AT, 2)
    batch["last_offset_delta"] = read_int(buffer, at + layout.LAST_OFFSET_DELTA_AT, 4)
    batch["base_timestamp"] = read_int(buffer, at + layout.BASE_TIMESTAMP_AT, 8)
    batch["max_timestamp"] = read_int(buffer, at + layout.MAX_TIMESTAMP_AT, 8)
    batch["producer_id"] = read_int(buffer, at + layout.PRODUCER_ID_AT, 8)
    batch["record_count"] = read_int(buffer, at + layout.RECORD_COUNT_AT, 4)
    if batch["base_offset"] < 0 or batch["base_offset"] > _LAST_OFFSET - _MOST_OFFSET_DELTA - 1:
        return _BAD_HEADER
    if batch["last_offset_delta"] < 0 or batch["record_count"] < 0:
        return _BAD_HEADER
    return _READABLE


@kernel
def _cut(batches: NDArray[np.void], first_batch: Int64) -> int:
    """Cut `batches` into runs: run i is `batches[first_batch[i] : first_batch[i + 1]]`.

    Returns:
        The number of runs; `first_batch` has room for one more than there are batches.
    """
    runs = 0
    records = 0
    for i in range(len(batches)):
        records += batches[i]["record_count"]
        if (
            i == 0
            or records > _MOST_RUN_RECORDS
            or not _continues(batches[first_batch[runs - 1]], batches[i - 1], batches[i])
        ):
            first_batch[runs] = i
            runs += 1
            records = batches[i]["record_count"]
    first_batch[runs] = len(batches)
    return runs


@kernel
def _continues(first: Any, previous: Any, batch: Any) -> bool:
    """Whether `batch` belongs to the run that begins with `first` and ends with `previous`."""
    if (first["attributes"] | batch["attributes"]) & layout.CONTROL_BIT:
        return False
    if batch["end"] - first["start"] > _MOST_RUN_BYTES:
        return False
    if (first["attributes"] ^ batch["attributes"]) & layout.TRANSACTIONAL_BIT:
        return False
    if not batch["attributes"] & layout.TRANSACTIONAL_BIT:
        return True
    # A marker between two transactions takes an offset. Compaction may have removed the marker,
    # but then there is a gap, and one transaction may be committed and the other aborted.
    return bool(
        batch["producer_id"] == first["producer_id"]
        and batch["base_offset"] == previous["base_offset"] + previous["last_offset_delta"] + 1
    )


def _run(data: bytes | memoryview, batches: NDArray[np.void]) -> BatchRun:
    first, last = batches[0], batches[-1]
    attributes = int(first["attributes"])
    is_control = bool(attributes & layout.CONTROL_BIT)
    is_transactional = bool(attributes & layout.TRANSACTIONAL_BIT)
    return BatchRun(
        kind=RunKind.CONTROL if is_control else RunKind.DATA,
        data=data,
        start=int(first["start"]),
        end=int(last["end"]),
        base_offset=int(first["base_offset"]),
        next_offset=int(last["base_offset"] + last["last_offset_delta"]) + 1,
        producer_id=int(first["producer_id"]) if is_control or is_transactional else -1,
        is_transactional=is_transactional,
        record_count=int(batches["record_count"].sum()),
        reason="",
        batches=batches,
    )


def _unreadable(data: bytes | memoryview, at: int, expected_offset: int, problem: int) -> BatchRun:
    stated_offset = int.from_bytes(data[at : at + layout.LENGTH_AT], "big", signed=True)
    # What is stated may be garbage; positions must never go back.
    base_offset = min(max(stated_offset, expected_offset), _LAST_OFFSET - 1)
    length = data[at + layout.LENGTH_AT : at + layout.LENGTH_END]
    return BatchRun(
        kind=RunKind.UNREADABLE,
        data=data,
        start=at,
        end=len(data),
        base_offset=base_offset,
        next_offset=base_offset + 1,
        producer_id=-1,
        is_transactional=False,
        record_count=0,
        reason=_REASON[problem].format(
            magic=data[at + layout.MAGIC_AT],
            length=int.from_bytes(length, "big", signed=True),
            base_offset=stated_offset,
        ),
        batches=np.empty(0, BATCH),
    )
