"""Dead letters: the records that could not be smoothed, unchanged, with the reason in headers.

The six headers of Kafka Streams' KIP-1034 tell where the record came from and what was wrong;
one more carries the reason as it stands in the metrics.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np

from stream_ewma.columns import Int32, Int64, Spans
from stream_ewma.payloads.columns import Status
from stream_ewma.records.columns import RecordColumns
from stream_ewma.records.headers import Header, decode_headers
from stream_ewma.records.writer import encode_headers

_EXCEPTION: Final = "__streams.errors.exception"
_MESSAGE: Final = "__streams.errors.message"
_STACKTRACE: Final = "__streams.errors.stacktrace"
_TOPIC: Final = "__streams.errors.topic"
_PARTITION: Final = "__streams.errors.partition"
_REASON: Final = "__stream_ewma.errors.reason"
_OFFSET: Final = "__streams.errors.offset"
_ADDED: Final = (_EXCEPTION, _MESSAGE, _STACKTRACE, _TOPIC, _PARTITION, _REASON, _OFFSET)
"""In the order in which they follow a record's own headers."""


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
                (_EXCEPTION, b"stream_ewma.BadRecord"),
                (_MESSAGE, MESSAGES[reason].encode()),
                # Nothing was raised for one record among a batch, so there is no trace to show.
                (_STACKTRACE, b""),
                (_TOPIC, topic.encode()),
                (_PARTITION, str(partition).encode()),
                (_REASON, reason.label.encode()),
            ]
        )
        for reason in set(reasons)
    }
    blocks = [
        (records.headers.item(row) or b"")
        + constant[reason]
        + encode_headers([(_OFFSET, str(offset).encode())])
        for row, (reason, offset) in enumerate(zip(reasons, records.offset.tolist(), strict=True))
    ]
    count: Int32 = records.headers_count + np.int32(len(_ADDED))
    return Headers(Spans.of(list(blocks)), count)


def reasons_of(codes: Int64) -> list[Reason]:
    """The reasons named by their numbers."""
    return [Reason(code) for code in codes.tolist()]


@dataclass(frozen=True, slots=True, order=True)
class Origin:
    """The record that a dead letter was."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition}@{self.offset}"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One dead letter, as it lies in its topic.

    Attributes:
        row: where its key and value are among the records it was read from.
        offset: its own.
        timestamp: ms since the epoch, the record's; -1 where it has none.
        reason: the label; empty where this service did not write the letter.
        message: the reason in words.
        origin: the record it was; None where this service did not write the letter.
        headers: the record's own.
        header_bytes: the record's own, as they lay in it.
    """

    row: int
    offset: int
    timestamp: int
    reason: str
    message: str
    origin: Origin | None
    headers: tuple[Header, ...]
    header_bytes: bytes


def letters_of(records: RecordColumns) -> Iterator[DeadLetter]:
    """Each record of a topic of dead letters.

    The seven headers count only where they are the last ones: a record may have come with some of
    the same name, which are its own.
    """
    for row, (offset, timestamp) in enumerate(
        zip(records.offset.tolist(), records.timestamp.tolist(), strict=True)
    ):
        data = records.headers.item(row) or b""
        headers = tuple(decode_headers(data, int(records.headers_count[row])))
        own = len(headers) - len(_ADDED)
        added = {name.decode("utf-8", "replace"): value or b"" for name, value, _ in headers[own:]}
        origin = _origin(added) if own >= 0 and tuple(added) == _ADDED else None
        if origin is None:
            yield DeadLetter(row, offset, timestamp, "", "", None, headers, data)
            continue
        yield DeadLetter(
            row,
            offset,
            timestamp,
            added[_REASON].decode("utf-8", "replace"),
            added[_MESSAGE].decode("utf-8", "replace"),
            origin,
            headers[:own],
            data[: headers[own - 1].end] if own else b"",
        )


def _origin(added: dict[str, bytes]) -> Origin | None:
    """What the headers say of the record; None where they are not what this service writes."""
    partition, offset = added[_PARTITION], added[_OFFSET]
    # 19 digits: the most that an offset has, and more than an int may be asked to read.
    if not all(text.isdigit() and len(text) <= 19 for text in (partition, offset)):
        return None
    return Origin(added[_TOPIC].decode("utf-8", "replace"), int(partition), int(offset))
