"""Dead letters: the records that could not be smoothed, unchanged, with the reason in headers.

The six headers of Kafka Streams' KIP-1034 tell where the record came from and what was wrong;
one more carries the reason as it stands in the metrics.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from stream_ewma.columns import Int32, Int64, Spans
from stream_ewma.payloads.columns import Status
from stream_ewma.records.columns import RecordColumns
from stream_ewma.records.writer import encode_headers


class Reason(IntEnum):
    """Why a record was not smoothed; the lower-case name is the metric label."""

    DECODE = 0
    MISSING_VALUE = 1
    NOT_NUMERIC = 2
    NON_FINITE = 3
    MISSING_KEY = 4
    BAD_TIMESTAMP = 5
    TOO_LARGE = 6
    FUTURE_TIMESTAMP = 7
    TOO_MANY_KEYS = 8
    STATE_OVERFLOW = 9
    OUTPUT_REFUSED = 10
    BAD_WEIGHT = 11
    NAME_TAKEN = 12
    LATE = 13
    NULL_VALUE = 14

    @property
    def label(self) -> str:
        """The name in headers, logs and metrics."""
        return self.name.lower()


MESSAGES: dict[Reason, str] = {
    Reason.DECODE: "the value cannot be read in the configured input format",
    Reason.MISSING_VALUE: "the value has no field at the configured path",
    Reason.NOT_NUMERIC: "the field is there but is not a number",
    Reason.NON_FINITE: "the number is NaN, infinite or beyond the range of a double",
    Reason.MISSING_KEY: "the record has no key",
    Reason.BAD_TIMESTAMP: "the event time is missing, not a time, or out of range",
    Reason.TOO_LARGE: "the key or the value is larger than the configured bound",
    Reason.FUTURE_TIMESTAMP: "the event time is too far ahead of the record's own timestamp",
    Reason.TOO_MANY_KEYS: "the key is new and the partition already holds max_keys keys",
    Reason.STATE_OVERFLOW: "the number would make the smoothed value overflow a double",
    Reason.OUTPUT_REFUSED: "the broker refused the smoothed record",
    Reason.BAD_WEIGHT: "the weight is there but is not a finite number above 0",
    Reason.NAME_TAKEN: "the value has a field already that would be added to it",
    Reason.LATE: "the event time is too far behind the key's",
    Reason.NULL_VALUE: "the field is null",
}

REASON_OF_STATUS: dict[Status, Reason] = {
    Status.DECODE: Reason.DECODE,
    Status.MISSING_VALUE: Reason.MISSING_VALUE,
    Status.NOT_NUMERIC: Reason.NOT_NUMERIC,
    Status.NON_FINITE: Reason.NON_FINITE,
    Status.MISSING_KEY: Reason.MISSING_KEY,
    Status.BAD_TIMESTAMP: Reason.BAD_TIMESTAMP,
    Status.TOO_LARGE: Reason.TOO_LARGE,
    Status.BAD_WEIGHT: Reason.BAD_WEIGHT,
    Status.NAME_TAKEN: Reason.NAME_TAKEN,
}


@dataclass(frozen=True, slots=True)
class Headers:
    """Header bytes of n records and how many headers each span holds."""

    spans: Spans
    count: Int32


def dead_letter_headers(
    records: RecordColumns, reasons: Sequence[Reason], topic: str, partition: int
) -> Headers:
    """The records' own headers followed by the seven that say what happened.

    Args:
        records: n records as they were read.
        reasons: n reasons.
        topic: input topic.
        partition: input partition.
    """
    constant = {
        reason: encode_headers(
            [
                ("__streams.errors.exception", b"stream_ewma.BadRecord"),
                ("__streams.errors.message", MESSAGES[reason].encode()),
                # Nothing was raised for one record among a batch, so there is no trace to show.
                ("__streams.errors.stacktrace", b""),
                ("__streams.errors.topic", topic.encode()),
                ("__streams.errors.partition", str(partition).encode()),
                ("__stream_ewma.errors.reason", reason.label.encode()),
            ]
        )
        for reason in set(reasons)
    }
    blocks = [
        (records.headers.item(row) or b"")
        + constant[reason]
        + encode_headers([("__streams.errors.offset", str(offset).encode())])
        for row, (reason, offset) in enumerate(zip(reasons, records.offset.tolist(), strict=True))
    ]
    count: Int32 = records.headers_count + np.int32(7)
    return Headers(Spans.of(list(blocks)), count)


def reasons_of(codes: Int64) -> list[Reason]:
    """The reasons named by their numbers."""
    return [Reason(code) for code in codes.tolist()]
