"""The same input as bytes in memory: what a fetch response holds, without a broker."""

from collections.abc import Iterator
from itertools import islice

import numpy as np

from harness.load import Load, Row, rows
from stream_ewma.columns import Spans
from stream_ewma.records import layout
from stream_ewma.records.writer import Compression, encode


def batches(load: Load) -> Iterator[bytes]:
    """Record batches with the records of `load`, all of one partition, at rising offsets."""
    source = rows(load)
    offset = 0
    while chunk := list(islice(source, load.batch_records)):
        yield offset.to_bytes(8, "big") + _encode(chunk)[layout.LENGTH_AT :]
        offset += len(chunk)


def _encode(chunk: list[Row]) -> bytes:
    n = len(chunk)
    [batch] = encode(
        np.array([row.timestamp_ms for row in chunk], np.int64),
        Spans.of([row.key for row in chunk]),
        Spans.of([row.value for row in chunk]),
        Spans.of([b""] * n),
        np.zeros(n, np.int32),
        max_batch_bytes=1 << 30,
        compression=Compression.NONE,
    )
    return batch.to_bytes(-1, -1, -1, False)
