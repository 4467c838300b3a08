"""A changelog partition for whoever looks at it, copies it or takes it away.

What it holds is read by its own configuration, not by the settings of a service.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream_ewma.columns import Int32, Int64, Spans, UInt8, extend, grown_size
from stream_ewma.engine.changelog import (
    CONFIGURATION_KEY,
    POSITION_KEY,
    ROW_PREFIX,
    decoded_from,
    kinds_of,
    row_values,
    tombstones,
    write,
)
from stream_ewma.engine.configuration import Configuration
from stream_ewma.engine.keys import KeyTable
from stream_ewma.engine.marker import Marker
from stream_ewma.engine.restoring import Loader
from stream_ewma.records.fetched import BatchRun
from stream_ewma.records.writer import EncodedBatch

_NO_BOUND: Final = 1 << 62
_ROWS: Final = 1 << 14
"""Rows that are handed on or written at a time."""

_ESCAPE: Final = re.compile(rb"\\(\\|x[0-9A-Fa-f]{2})")


def key_text(key: bytes) -> str:
    r"""A key as text: UTF-8, each byte that is none as `\xNN`, and a backslash as two."""
    return key.replace(b"\\", rb"\\").decode("utf-8", "backslashreplace")


def key_bytes(text: str) -> bytes:
    r"""The key that `key_text` gave, or that was typed: a backslash may stand alone, too.

    Bytes of the command line that are no UTF-8 are taken as they are.
    """

    def meant(escape: "re.Match[bytes]") -> bytes:
        found = escape[1]
        return found if found == b"\\" else bytes.fromhex(found[1:].decode())

    return _ESCAPE.sub(meant, text.encode("utf-8", "surrogateescape"))


@dataclass(frozen=True, slots=True)
class Head:
    """What a changelog partition says of its rows.

    Attributes:
        marker: how far the input is in them.
        configuration: what gives them their meaning.
        text: the same as it was written.
    """

    marker: Marker
    configuration: Configuration
    text: bytes

    @staticmethod
    def of(
        configuration: Configuration,
        topic: str,
        topic_id: str | None,
        partition: int,
        partitions: int,
        next_offset: int,
    ) -> "Head":
        """That of a partition without rows, which begins at an offset."""
        marker = Marker(
            next_offset, None, configuration.fingerprint, topic, topic_id, partition, partitions
        )
        return Head(marker, configuration, configuration.to_bytes())

    def moved(
        self, topic: str, topic_id: str | None, partition: int, partitions: int, next_offset: int
    ) -> "Head":
        """The same for rows that belong to another partition from now on."""
        marker = replace(
            self.marker,
            topic=topic,
            topic_id=topic_id,
            partition=partition,
            partitions=partitions,
            next_offset=next_offset,
        )
        return replace(self, marker=marker)

    def at(self, next_offset: int) -> "Head":
        """The same with another position."""
        return replace(self, marker=replace(self.marker, next_offset=next_offset))

    def batches(self, max_batch_bytes: int) -> list[EncodedBatch]:
        """The records that say it."""
        texts = [(CONFIGURATION_KEY, self.text), (POSITION_KEY, self.marker.to_bytes())]
        keys, values = (Spans.of([text[side] for text in texts]) for side in (0, 1))
        return write([(keys, values)], max_batch_bytes)


@dataclass(frozen=True, slots=True)
class Rows:
    """Some keys and their rows.

    Attributes:
        keys: n keys.
        words: int64 (n, words of a key).
    """

    keys: list[bytes]
    words: NDArray[np.int64]

    def take(self, places: list[int]) -> "Rows":
        """The rows at `places`."""
        return Rows([self.keys[place] for place in places], self.words[np.array(places, np.int64)])

    def batches(self, max_batch_bytes: int) -> list[EncodedBatch]:
        """The records of the changelog that hold them."""
        keys = Spans.of([ROW_PREFIX + key for key in self.keys])
        return write([(keys, row_values(self.words))], max_batch_bytes)


class StoredPartition:
    """All that is kept of a partition, or of some of its keys.

    Args:
        head: what it says of itself.
        keys: the keys by slot.
        words: int64 (slots * words of a key,).
    """

    def __init__(self, head: Head, keys: KeyTable, words: Int64) -> None:
        self.head = head
        self._keys = keys
        self._words = words

    def __len__(self) -> int:
        return len(self._keys)

    def rows(self) -> Iterator[Rows]:
        """All rows, in the order in which the keys were first met, some at a time."""
        by_key = self._words.reshape(-1, self.head.configuration.words)
        slots = self._keys.slots
        for first in range(0, len(slots), _ROWS):
            some = slots[first : first + _ROWS]
            yield Rows([self._keys.key(slot) for slot in some.tolist()], by_key[some])


class StoredReader:
    """Reads a changelog partition.

    Args:
        hash_seed: two 64-bit words nobody outside can know.
        only: the keys whose rows are wanted; None: all.
    """

    def __init__(self, hash_seed: tuple[int, int], only: Sequence[bytes] | None = None) -> None:
        self._keys = KeyTable(hash_seed, _NO_BOUND)
        if only is not None:
            self._keys.find(Spans.of(list(only)), np.ones(len(only), np.uint8))
        self._loader = Loader(self._keys, None, known_only=only is not None)

    def read(self, runs: Sequence[BatchRun]) -> int:
        """Take in the records of `runs`, which follow those before; answers how many rows.

        Raises:
            ChangelogError: a record cannot be read or does not belong here.
        """
        return self._loader.read(runs)

    def finish(self) -> StoredPartition | None:
        """All that was read; None where nothing is kept.

        Raises:
            ChangelogError: the parts of it do not go together, or a newer version wrote them.
        """
        loaded = self._loader.finish()
        if loaded is None or loaded.configuration is None:
            return None
        self._keys.release(loaded.gone)
        head = Head(loaded.marker, loaded.configuration, loaded.text)
        return StoredPartition(head, self._keys, loaded.words)


class LiveKeys:
    """Which records of a changelog partition are in force, whether they go together or not.

    Args:
        hash_seed: two 64-bit words nobody outside can know.
    """

    def __init__(self, hash_seed: tuple[int, int]) -> None:
        self._keys = KeyTable(hash_seed, _NO_BOUND)
        self._is_live: UInt8 = np.zeros(0, np.uint8)
        self._position = 0

    def read(self, runs: Sequence[BatchRun]) -> int:
        """Take in the records of `runs`, which follow those before; answers how many.

        Raises:
            ChangelogError: a record cannot be read or does not belong here: no tombstone behind it
                would make a restore pass over it.
        """
        count = 0
        for decoded in decoded_from(runs, self._position):
            self._position = decoded.next_offset
            records = decoded.records
            kinds_of(records)
            slots = self._keys.find(records.keys, np.ones(len(records), np.uint8)).slots
            self._note(slots, records.values.length)
            count += len(records)
        return count

    def _note(self, slots: Int32, lengths: Int32) -> None:
        needed = int(slots.max(initial=-1)) + 1
        if needed > len(self._is_live):
            extend(self._is_live, grown_size(len(self._is_live), needed - len(self._is_live)))
        # The last record of a key counts; which of several assignments does, numpy leaves open.
        last, place = np.unique(slots[::-1], return_index=True)
        self._is_live[last] = lengths[::-1][place] >= 0

    @property
    def _live(self) -> Int32:
        return np.flatnonzero(self._is_live).astype(np.int32)

    def __len__(self) -> int:
        return len(self._live)

    @property
    def rows(self) -> int:
        """How many of them are rows of keys."""
        texts = (POSITION_KEY, CONFIGURATION_KEY)
        found = self._keys.find(Spans.of(list(texts)), np.zeros(len(texts), np.uint8)).slots
        return len(self) - int(self._is_live[found[found >= 0]].sum())

    def tombstones(self, max_batch_bytes: int) -> Iterator[list[EncodedBatch]]:
        """The records that take them all away, some at a time."""
        live = self._live
        for first in range(0, len(live), _ROWS):
            keys = self._keys.spans(live[first : first + _ROWS])
            yield write([tombstones(keys)], max_batch_bytes)


class EachOnce:
    """Finds keys that come twice.

    Args:
        hash_seed: two 64-bit words nobody outside can know.
    """

    def __init__(self, hash_seed: tuple[int, int]) -> None:
        self._keys = KeyTable(hash_seed, _NO_BOUND)

    def first_again(self, keys: Sequence[bytes]) -> bytes | None:
        """The first of `keys` that was there before; None: all are new."""
        found = self._keys.find(Spans.of(list(keys)), np.ones(len(keys), np.uint8))
        if len(found.new) == len(keys):
            return None
        is_first = np.zeros(len(keys), np.bool_)
        _, place = np.unique(found.slots, return_index=True)
        is_first[place] = np.isin(found.slots[place], found.new)
        return keys[int(np.flatnonzero(~is_first)[0])]
