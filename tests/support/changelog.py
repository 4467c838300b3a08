"""A changelog partition in memory."""

from collections.abc import Sequence

import numpy as np

from stream_ewma.columns import Spans
from stream_ewma.engine.step import Cut
from stream_ewma.records.compression import Compression
from stream_ewma.records.fetched import BatchRun, split_runs
from stream_ewma.records.writer import encode
from tests.support.batches import read

Entry = tuple[bytes | None, bytes | None]
"""Key and value of a record."""


class Log:
    """The records of a changelog, each at its offset.

    Attributes:
        records: (offset, key, value) of each, in order.
    """

    def __init__(self) -> None:
        self.records: list[tuple[int, bytes | None, bytes | None]] = []
        self._end = 0

    def commit(self, cut: Cut) -> None:
        """Write a cut in one transaction, whose marker takes an offset too."""
        for batch in cut.batches:
            records = read(bytes(batch.to_bytes(-1, -1, -1, False)))
            self.append([(record.key, record.value) for record in records])
        self._end += 1

    def append(self, entries: Sequence[Entry]) -> None:
        """Write records."""
        for key, value in entries:
            self.records.append((self._end, key, value))
            self._end += 1

    def compact(self) -> None:
        """Keep the last record of each key, tombstones too."""
        last = {key: offset for offset, key, _ in self.records}
        self.records = [record for record in self.records if last[record[1]] == record[0]]

    @property
    def state(self) -> dict[bytes | None, bytes | None]:
        """The value of each key that is not gone."""
        values = {key: value for _, key, value in self.records}
        return {key: value for key, value in values.items() if value is not None}

    @property
    def runs(self) -> list[BatchRun]:
        """The records as they are fetched, each a batch of its own."""
        return split_runs(b"".join(batch_at(*record) for record in self.records))


def batch_at(offset: int, key: bytes | None, value: bytes | None) -> bytes:
    """A batch with one record at an offset."""
    nothing = np.zeros(1, np.int32)
    (batch,) = encode(
        np.zeros(1, np.int64),
        Spans.of([key]),
        Spans.of([value]),
        Spans.of([b""]),
        nothing,
        max_batch_bytes=1 << 30,
        compression=Compression.NONE,
    )
    return offset.to_bytes(8, "big") + bytes(batch.to_bytes(-1, -1, -1, False))[8:]
