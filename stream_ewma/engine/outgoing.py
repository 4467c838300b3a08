"""What a step hands to the shell: finished batches that can still be cut smaller or given up.

A batch that the broker refuses must not be tried for ever: it is halved until the refused record
stands alone, and that record's input becomes a dead letter.
"""

from dataclasses import dataclass, replace
from enum import Enum

import numpy as np

from stream_ewma.columns import Int32, Int64, Spans
from stream_ewma.engine.dead_letters import Reason, dead_letter_headers
from stream_ewma.records.columns import RecordColumns
from stream_ewma.records.compression import Compression
from stream_ewma.records.fetched import split_runs
from stream_ewma.records.reader import decode
from stream_ewma.records.writer import EncodedBatch, encode


class Destination(Enum):
    """Which topic a batch is for; the shell knows the names."""

    OUTPUT = "output"
    DEAD_LETTERS = "dead_letters"


Origin = tuple[int, bytes | None]
"""What tells an output from all others of its partition: the offset of the input record that it
comes from; and the key it is about, if it reports a silent one, since one record may bring forth
many of those. The same in every replay."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """n records to be published in one partition, as columns.

    Attributes:
        destination: output or dead letters.
        source: the n input records they come from, in the same order.
        timestamp: int64 (n,), ms.
        keys: n spans.
        values: n spans.
        headers: n spans, without the count in front.
        headers_count: int32 (n,).
        max_batch_bytes: batches are cut at this size, uncompressed.
        compression: codec of the batches.
        is_report: whether the records report silent keys.
    """

    destination: Destination
    source: RecordColumns
    timestamp: Int64
    keys: Spans
    values: Spans
    headers: Spans
    headers_count: Int32
    max_batch_bytes: int
    compression: Compression
    is_report: bool = False

    def take(self, rows: Int64) -> "Outgoing":
        """The records at `rows`."""
        return replace(
            self,
            source=self.source.take(rows),
            timestamp=self.timestamp[rows],
            keys=self.keys.take(rows),
            values=self.values.take(rows),
            headers=self.headers.take(rows),
            headers_count=self.headers_count[rows],
        )

    def batches(self) -> "list[OutgoingBatch]":
        """Encode the records into batches."""
        encoded = encode(
            self.timestamp,
            self.keys,
            self.values,
            self.headers,
            self.headers_count,
            max_batch_bytes=self.max_batch_bytes,
            compression=self.compression,
        )
        return [
            OutgoingBatch(
                self.destination,
                self.source,
                batch,
                self.max_batch_bytes,
                self.compression,
                self.is_report,
            )
            for batch in encoded
        ]


@dataclass(frozen=True, slots=True)
class OutgoingBatch:
    """One encoded batch and the input records that it was made from.

    The columns that were encoded are not kept: until it is delivered, a batch would take twice the
    memory for what is hardly ever asked for, and can be read back.

    Attributes:
        destination: output or dead letters.
        step: the input records of all batches of the step, `encoded.first_row` this one's first.
        encoded: the batch.
        max_batch_bytes: its halves are cut at this size.
        compression: their codec.
        is_report: whether the records report silent keys.
    """

    destination: Destination
    step: RecordColumns
    encoded: EncodedBatch
    max_batch_bytes: int
    compression: Compression
    is_report: bool = False

    def __len__(self) -> int:
        return self.encoded.row_count

    def halves(self) -> "list[OutgoingBatch]":
        """The batch's records in two batches; needs at least two records."""
        source = self.source()
        records = decode(split_runs(self.encoded.to_bytes(-1, -1, -1, False)), 0).records
        middle = len(self) // 2
        return [
            batch
            for rows in (np.arange(middle), np.arange(middle, len(self)))
            for batch in self._of(source.take(rows), records.take(rows)).batches()
        ]

    def origins(self) -> list[Origin]:
        """Where each record of the batch comes from."""
        return origins(self.source(), self.is_report)

    def source(self) -> RecordColumns:
        """The input records that this batch's records come from."""
        first = self.encoded.first_row
        return self.step.take(np.arange(first, first + len(self)))

    def _of(self, source: RecordColumns, records: RecordColumns) -> Outgoing:
        return Outgoing(
            self.destination,
            source,
            records.timestamp,
            records.keys,
            records.values,
            records.headers,
            records.headers_count,
            self.max_batch_bytes,
            self.compression,
            self.is_report,
        )


def origins(source: RecordColumns, is_report: bool) -> list[Origin]:
    """The origin of each output made from `source`; reports have their keys in there."""
    offsets = source.offset.tolist()
    if not is_report:
        return [(offset, None) for offset in offsets]
    return [(offset, source.keys.item(row)) for row, offset in enumerate(offsets)]


def dead_letters(
    records: RecordColumns,
    reasons: list[Reason],
    topic: str,
    partition: int,
    *,
    max_batch_bytes: int,
    compression: Compression,
) -> Outgoing:
    """The records unchanged, with the headers of a dead letter.

    Args:
        records: n input records.
        reasons: n reasons.
        topic: input topic.
        partition: input partition.
        max_batch_bytes: where batches are cut.
        compression: codec of the batches.
    """
    headers = dead_letter_headers(records, reasons, topic, partition)
    return Outgoing(
        Destination.DEAD_LETTERS,
        records,
        records.timestamp,
        records.keys,
        records.values,
        headers.spans,
        headers.count,
        max_batch_bytes,
        compression,
    )
