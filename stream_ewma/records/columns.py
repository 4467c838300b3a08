"""Kafka records as columns: one row per record, no Python object per record."""

from dataclasses import dataclass

from stream_ewma.columns import Int32, Int64, Spans


@dataclass(frozen=True, slots=True)
class RecordColumns:
    """n records of one partition, in the order of their offsets.

    Attributes:
        offset: int64 (n,), the record's offset in its partition.
        timestamp: int64 (n,), milliseconds since the epoch, the broker's append time where the
            topic is set to LogAppendTime; -1 where the record has none.
        keys: n spans, `NULL` where the record has no key.
        values: n spans, `NULL` where the record is a tombstone.
        headers: n spans over the record's headers as Kafka lays them out, without the count in
            front of them; empty where there are none.
        headers_count: int32 (n,), how many headers the span holds.
    """

    offset: Int64
    timestamp: Int64
    keys: Spans
    values: Spans
    headers: Spans
    headers_count: Int32

    def __len__(self) -> int:
        return len(self.offset)

    def take(self, rows: Int64 | Int32) -> "RecordColumns":
        """The records at `rows`, over the same buffers."""
        return RecordColumns(
            self.offset[rows],
            self.timestamp[rows],
            self.keys.take(rows),
            self.values.take(rows),
            self.headers.take(rows),
            self.headers_count[rows],
        )
