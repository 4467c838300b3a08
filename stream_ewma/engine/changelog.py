"""The records of a changelog partition: rows of state, tombstones, and how to read them.

A record's key begins with one byte that tells what it is, so that no key of the input can be taken
for anything else:

    1, key               a row: a version byte, then the key's words as little-endian integers;
                         no value: the key is gone
    0, "position"        the marker: how far the input is in the rows
    0, "configuration"   what gives the rows their meaning

Marker and configuration may be taken away, too: without value they are as if never written.

Timestamps are 0 throughout: the clock is not deterministic, and an event time may be further ahead
than a broker accepts.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream_ewma.columns import NULL, Bytes, Int32, Spans, UInt8, as_bytes
from stream_ewma.engine.index import same_key
from stream_ewma.jit import kernel
from stream_ewma.records.columns import RecordColumns
from stream_ewma.records.compression import Compression
from stream_ewma.records.fetched import BatchRun
from stream_ewma.records.reader import Decoded, decode
from stream_ewma.records.writer import EncodedBatch, encode
from stream_ewma.words import WORD

ROW_PREFIX: Final = b"\x01"
POSITION_KEY: Final = b"\x00position"
CONFIGURATION_KEY: Final = b"\x00configuration"
ROW_VERSION: Final = 1

ROW, TOMBSTONE, POSITION, CONFIGURATION = 0, 1, 2, 3
"""What a record is."""

_SOUND, _UNKNOWN_KEY, _OTHER_VERSION, _BAD_LENGTH = 0, 1, 2, 3
_REASON: Final = {
    _UNKNOWN_KEY: "its key is of no known kind; a newer version may have written it",
    _OTHER_VERSION: f"its row has another version than {ROW_VERSION}; a newer one may have "
    "written it",
    _BAD_LENGTH: "the length of its row is impossible",
}

_MOST_BYTES: Final = 1 << 28
"""Records are encoded so many bytes at a time: spans are 31 bits wide."""

_POSITION: Final[Bytes] = as_bytes(POSITION_KEY)
_CONFIGURATION: Final[Bytes] = as_bytes(CONFIGURATION_KEY)
_NOTHING: Final[Bytes] = as_bytes(b"")


class ChangelogError(ValueError):
    """A changelog does not fit: damaged, of a newer version, or of other settings; one sentence."""


Part = tuple[Spans, Spans]
"""Keys, prefix included, and values of some records."""


def tombstones(keys: Spans) -> Part:
    """The records for keys, prefix included, that are gone."""
    n = len(keys)
    return keys, Spans(_NOTHING, np.zeros(n, np.int32), np.full(n, NULL, np.int32))


def row_values(rows: NDArray[np.int64]) -> Spans:
    """The values of rows.

    Args:
        rows: int64 (n, words).
    """
    n, words = rows.shape
    size = 1 + WORD * words
    data = np.empty((n, size), np.uint8)
    data[:, 0] = ROW_VERSION
    data[:, 1:] = rows.astype("<i8", copy=False).view(np.uint8)
    start = np.arange(n, dtype=np.int32) * np.int32(size)
    return Spans(as_bytes(data.reshape(-1)), start, np.full(n, size, np.int32))


def pieces(slots: Int32, key_bytes: Int32, value_bytes: int) -> Iterator[Int32]:
    """`slots` in pieces whose records can be encoded in one go.

    Args:
        slots: int32 (n,).
        key_bytes: int32 (n,), bytes of each one's key.
        value_bytes: bytes of a value.
    """
    ends = np.cumsum(key_bytes.astype(np.int64) + (1 + value_bytes))
    first = 0
    while first < len(slots):
        before = int(ends[first - 1]) if first else 0
        last = max(first + 1, int(np.searchsorted(ends, before + _MOST_BYTES, "right")))
        yield slots[first:last]
        first = last


def write(parts: Iterable[Part], max_batch_bytes: int) -> list[EncodedBatch]:
    """The records of all parts, in order, in as few batches as there is room for.

    Args:
        parts: each of no more bytes than `pieces` allows.
        max_batch_bytes: the size of a batch.
    """
    batches: list[EncodedBatch] = []
    gathered: list[Part] = []
    size = 0
    for part in parts:
        own = sum(len(spans.buffer) for spans in part)
        if gathered and size + own > _MOST_BYTES:
            batches += _encode(gathered, max_batch_bytes)
            gathered, size = [], 0
        gathered.append(part)
        size += own
    return batches + _encode(gathered, max_batch_bytes)


def _encode(parts: list[Part], max_batch_bytes: int) -> list[EncodedBatch]:
    keys, values = (_joined([part[side] for part in parts]) for side in (0, 1))
    n = len(keys)
    nothing = np.zeros(n, np.int32)
    return encode(
        np.zeros(n, np.int64),
        keys,
        values,
        Spans(_NOTHING, nothing, nothing),
        nothing,
        max_batch_bytes=max_batch_bytes,
        compression=Compression.NONE,
    )


def _joined(all_spans: list[Spans]) -> Spans:
    """The spans of each, one after another."""
    if len(all_spans) == 1:
        return all_spans[0]
    sizes = [len(spans.buffer) for spans in all_spans]
    before = np.cumsum([0, *sizes[:-1]]).astype(np.int32)
    return Spans(
        as_bytes(np.concatenate([spans.buffer for spans in all_spans])),
        np.concatenate([spans.start + at for spans, at in zip(all_spans, before, strict=True)]),
        np.concatenate([spans.length for spans in all_spans]),
    )


def decoded_from(runs: Sequence[BatchRun], position: int) -> Iterator[Decoded]:
    """The records of `runs` from an offset on, as many at a time as fit into memory at once.

    Raises:
        ChangelogError: a batch cannot be read.
    """
    end = max((run.next_offset for run in runs), default=position)
    while position < end:
        decoded = decode(runs, position)
        if decoded.unreadable is not None:
            raise ChangelogError(
                f"the batch at offset {decoded.unreadable.offset}: {decoded.unreadable.reason}"
            )
        position = decoded.next_offset
        yield decoded


def kinds_of(records: RecordColumns) -> UInt8:
    """What each record is.

    Raises:
        ChangelogError: one is nothing that belongs into a changelog.
    """
    keys, values = records.keys, records.values
    kinds = np.empty(len(records), np.uint8)
    row, problem = _classify(
        keys.buffer, keys.start, keys.length, values.start, values.length, kinds
    )
    if problem != _SOUND:
        raise ChangelogError(f"the record at offset {records.offset[row]}: {_REASON[problem]}")
    return kinds


@kernel
def _classify(
    buffer: Bytes,
    key_start: Int32,
    key_length: Int32,
    value_start: Int32,
    value_length: Int32,
    kinds: UInt8,
) -> tuple[int, int]:
    """Fill in `kinds`; answers the first record that is none, and why."""
    for i in range(len(kinds)):
        at, size = int(key_start[i]), int(key_length[i])
        if size >= 1 and buffer[at] == 1:
            if value_length[i] < 0:
                kinds[i] = TOMBSTONE
                continue
            if value_length[i] == 0 or buffer[value_start[i]] != ROW_VERSION:
                return i, _OTHER_VERSION
            if value_length[i] == 1 or (value_length[i] - 1) % WORD != 0:
                return i, _BAD_LENGTH
            kinds[i] = ROW
            continue
        if same_key(buffer, at, size, _POSITION, 0, len(_POSITION)):
            kinds[i] = POSITION
        elif same_key(buffer, at, size, _CONFIGURATION, 0, len(_CONFIGURATION)):
            kinds[i] = CONFIGURATION
        else:
            return i, _UNKNOWN_KEY
    return len(kinds), _SOUND
