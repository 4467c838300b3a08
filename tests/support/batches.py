"""Record batches for the engine's tests, made and read with the package's own wire format.

The wire format itself is judged against aiokafka's in its own tests.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from stream_ewma.columns import Spans
from stream_ewma.engine.outgoing import Destination
from stream_ewma.engine.step import Step
from stream_ewma.records.compression import Compression
from stream_ewma.records.fetched import BatchRun, split_runs
from stream_ewma.records.reader import decode
from stream_ewma.records.writer import EncodedBatch, encode, encode_headers

NOW_MS = 1_767_225_600_000

Headers = Sequence[tuple[str, bytes | None]]


@dataclass(frozen=True)
class Record:
    """One record, as a test writes it down."""

    key: bytes | None
    value: bytes | None
    timestamp: int = NOW_MS
    headers: Headers = field(default=())


def encoded(records: Sequence[Record]) -> EncodedBatch:
    """`records` as one batch that a producer can send."""
    (batch,) = encode(
        np.array([record.timestamp for record in records], np.int64),
        Spans.of([record.key for record in records]),
        Spans.of([record.value for record in records]),
        Spans.of([encode_headers(record.headers) for record in records]),
        np.array([len(record.headers) for record in records], np.int32),
        max_batch_bytes=1 << 30,
        compression=Compression.NONE,
    )
    return batch


def runs_of(records: Sequence[Record], first_offset: int = 0) -> list[BatchRun]:
    """`records` as a fetch response with one batch that begins at `first_offset`."""
    if not records:
        return []
    data = encoded(records).to_bytes(-1, -1, -1, False)
    return split_runs(first_offset.to_bytes(8, "big") + data[8:])


@dataclass(frozen=True)
class Published:
    """One published record, read back."""

    key: bytes | None
    value: bytes | None
    timestamp: int
    headers: dict[str, bytes]


def published(step: Step, destination: Destination) -> list[Published]:
    """The records that a step publishes to one destination, in order."""
    return [
        record
        for batch in step.batches
        if batch.destination is destination
        for record in read(batch.encoded.to_bytes(-1, -1, -1, False))
    ]


def read(data: bytes) -> list[Published]:
    """The records of whole batches."""
    decoded = decode(split_runs(data), 0)
    assert decoded.unreadable is None
    columns = decoded.records
    return [
        Published(
            columns.keys.item(row),
            columns.values.item(row),
            int(columns.timestamp[row]),
            read_headers(columns.headers.item(row) or b"", int(columns.headers_count[row])),
        )
        for row in range(len(columns))
    ]


def read_headers(block: bytes, count: int) -> dict[str, bytes]:
    """The headers of one record, from Kafka's layout."""
    headers, at = {}, 0

    def varint() -> int:
        nonlocal at
        shift = number = 0
        while True:
            byte = block[at]
            at += 1
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return (number >> 1) ^ -(number & 1)

    for _ in range(count):
        size = varint()
        name = block[at : at + size].decode()
        at += size
        size = varint()
        headers[name] = block[at : at + max(size, 0)]
        at += max(size, 0)
    assert at == len(block)
    return headers
