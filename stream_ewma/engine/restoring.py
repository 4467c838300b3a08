"""The records of a changelog on their way into the series of a partition.

The rows stay as they were written, the last one of each key, until the log has been read to its
end: what gives them their meaning may come after them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from stream_ewma.columns import Bytes, Int32, Int64, Spans, UInt8, extend, grown_size
from stream_ewma.copying import copy_bytes
from stream_ewma.engine.changelog import (
    CONFIGURATION,
    POSITION,
    ROW,
    TOMBSTONE,
    ChangelogError,
    decoded_from,
    kinds_of,
)
from stream_ewma.engine.configuration import Configuration, fingerprint
from stream_ewma.engine.keys import KeyTable
from stream_ewma.engine.marker import Marker
from stream_ewma.jit import kernel
from stream_ewma.records.columns import RecordColumns
from stream_ewma.records.fetched import BatchRun
from stream_ewma.smoothing.layout import NOWHERE
from stream_ewma.smoothing.state import KeyedState
from stream_ewma.words import WORD

_GONE: Final = 0
_LIVE: Final = 1
_OUTDATED: Final = 2
"""What is known of a slot: no row; a row; a row of an older layout."""

_FEW_KEYS: Final = 4096


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a changelog says of a partition.

    Attributes:
        marker: how far the input is in the rows.
        configuration: what gives them their meaning; None: it is the one that is in force.
        text: the configuration as it was written.
        words: int64 (slots * words of a key,), the rows by slot.
        gone: int32 (m,), slots of keys that the table has but the changelog has no longer.
    """

    marker: Marker
    configuration: Configuration | None
    text: bytes
    words: Int64
    gone: Int32


class Loader:
    """Reads a changelog partition.

    Args:
        keys: an empty table, filled with the keys.
        own: the configuration that is in force; None: that of the rows, whatever it is.
        known_only: nothing is put into the table: only rows of keys that it has are kept.
    """

    def __init__(
        self, keys: KeyTable, own: Configuration | None, *, known_only: bool = False
    ) -> None:
        self._keys = keys
        self._own = own
        self._known_only = known_only
        self._position = 0
        self._row_words = 0 if own is None else own.words
        self._words: Int64 = np.zeros(0, np.int64)
        self._known: UInt8 = np.zeros(0, np.uint8)
        self._marker: bytes | None = None
        self._configuration: bytes | None = None
        self._most_keys = _FEW_KEYS

    def read(self, runs: Sequence[BatchRun]) -> int:
        """Take in the records of `runs`, which follow those before; answers how many rows.

        Raises:
            ChangelogError: a record cannot be read or does not belong here.
        """
        rows = 0
        for decoded in decoded_from(runs, self._position):
            self._position = decoded.next_offset
            rows += self._take(decoded.records)
            self._release()
        return rows

    def _take(self, records: RecordColumns) -> int:
        kinds = kinds_of(records)
        for kind in (POSITION, CONFIGURATION):
            found = np.flatnonzero(kinds == kind)
            if len(found) == 0:
                continue
            text = records.values.item(int(found[-1]))
            if kind == POSITION:
                self._marker = text
            else:
                self._configuration = text
        rows = np.flatnonzero(kinds <= TOMBSTONE)
        if len(rows) < len(records):
            records, kinds = records.take(rows), kinds[rows]
        keys = Spans(
            records.keys.buffer,
            records.keys.start + np.int32(1),
            records.keys.length - np.int32(1),
        )
        inserts = (kinds == ROW) & (not self._known_only)
        slots = self._keys.find(keys, inserts.view(np.uint8), is_bounded=False).slots
        self._load(records, kinds, slots)
        return len(rows)

    def _load(self, records: RecordColumns, kinds: UInt8, slots: Int32) -> None:
        self._grow(int(slots.max(initial=-1)) + 1)
        values = records.values
        row = 0
        while row < len(slots):
            row = _load_rows(
                values.buffer,
                values.start,
                values.length,
                kinds,
                slots,
                row,
                self._row_words * WORD,
                self._words.view(np.uint8),
                self._known,
            )
            if row < len(slots):
                self._change_layout((int(values.length[row]) - 1) // WORD)

    def _grow(self, slots: int) -> None:
        if slots > len(self._known):
            size = grown_size(len(self._known), slots - len(self._known))
            extend(self._known, size)
            extend(self._words, size * self._row_words)

    def _change_layout(self, words: int) -> None:
        """Rows of another length begin: all keys get one, those written before are void."""
        self._known[self._known == _LIVE] = _OUTDATED
        self._row_words = words
        self._words = np.zeros(len(self._known) * words, np.int64)

    def finish(self) -> Loaded | None:
        """All that was read, checked; None where nothing was.

        Raises:
            ChangelogError: the parts of it do not go together, or a newer version wrote them.
        """
        has_rows = bool(self._known.any())
        slots = self._keys.slots
        if self._marker is None:
            if has_rows or self._configuration is not None:
                raise ChangelogError("there are rows without a position marker")
            self._keys.release(slots)  # of keys whose rows were taken away
            return None
        marker = Marker.from_bytes(self._marker)
        stored = self._configuration
        if stored is None or fingerprint(stored) != marker.configuration:
            raise ChangelogError("the configuration that the position marker names is not there")
        configuration = self._own
        if configuration is None or marker.configuration != configuration.fingerprint:
            configuration = Configuration.from_bytes(stored)
        expected = configuration.words
        if not has_rows:
            self._change_layout(expected)
        if expected != self._row_words or bool((self._known == _OUTDATED).any()):
            raise ChangelogError(
                f"there are rows of another length than the {expected} words that the"
                " configuration says"
            )
        self._grow(int(slots.max(initial=-1)) + 1)
        old = None if configuration is self._own else configuration
        return Loaded(marker, old, stored, self._words, self._gone())

    def _gone(self) -> Int32:
        slots = self._keys.slots
        gone: Int32 = slots[self._known[slots] == _GONE]
        return gone

    def _release(self) -> None:
        """Give up keys that are gone, now and then: a log may be followed for months."""
        if len(self._keys) > self._most_keys:
            gone = self._gone()
            self._keys.release(gone)
            self._words.reshape(-1, self._row_words)[gone] = 0  # for the next key that gets a slot
            self._most_keys = max(_FEW_KEYS, 2 * len(self._keys))


def check_held(state: KeyedState, most: int) -> None:
    """Raise where a row claims to hold back more readings than it has room for.

    Kernels go by the number.

    Raises:
        ChangelogError: one does.
    """
    if state.places.held == NOWHERE:
        return
    held = state.integers(state.places.held)
    wrong = held[(held < 0) | (held > most)]
    if len(wrong):
        raise ChangelogError(f"a row is damaged: it holds {wrong[0]} readings back")


@kernel
def _load_rows(
    buffer: Bytes,
    value_start: Int32,
    value_length: Int32,
    kinds: UInt8,
    slots: Int32,
    first: int,
    row_bytes: int,
    words: Bytes,
    known: UInt8,
) -> int:
    """Copy rows to their slots, the last one of a slot wins; tombstones take them away.

    Returns:
        The first row of another length, from which to go on.
    """
    for i in range(first, len(slots)):
        slot = int(slots[i])
        if slot < 0:
            continue
        if kinds[i] == TOMBSTONE:
            known[slot] = _GONE
            continue
        if value_length[i] != 1 + row_bytes:
            return i
        copy_bytes(words, slot * row_bytes, buffer, int(value_start[i]) + 1, row_bytes)
        known[slot] = _LIVE
    return len(slots)
