"""What a payload format turns record values into, and what it is given to write."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Literal, Protocol, TypeAlias

from stream_ewma.columns import Float64, Int32, Int64, Spans, UInt8
from stream_ewma.records.columns import RecordColumns

TimestampUnit: TypeAlias = Literal["s", "ms", "us", "ns"]

MAX_TIMESTAMP_MS: Final = 2**53 - 1
"""Event times beyond it, either side of 1970, are refused: JSON readers round larger integers."""


class Status(IntEnum):
    """What came of one record's value; everything from `DECODE` on is a failure.

    The first that applies, in this order: TOMBSTONE, TOO_LARGE, DECODE, MISSING_KEY, then the
    number's MISSING_VALUE, NOT_NUMERIC, NON_FINITE, then BAD_TIMESTAMP, then NULL or OK.
    """

    OK = 0
    NULL = 1
    """The number is JSON null."""
    TOMBSTONE = 2
    """The record's value is null."""
    DECODE = 3
    """The bytes are not what the format says."""
    MISSING_VALUE = 4
    """Nothing at the value path."""
    NOT_NUMERIC = 5
    """What stands at the value path is not a number."""
    NON_FINITE = 6
    """NaN, infinite, or beyond the range of a double."""
    MISSING_KEY = 7
    """Neither a string nor an integer at the key path."""
    BAD_TIMESTAMP = 8
    """The event time is absent though required, or cannot be read, or is out of range."""
    TOO_LARGE = 9
    """The value has more bytes than allowed; it was not looked at."""


class Kind(IntEnum):
    """What kind of output record a row becomes."""

    SMOOTHED = 0
    HELD = 1
    """No new number: the outputs stand, `value` is written as null."""
    TOMBSTONE = 2
    """A null value: the key was reset."""


@dataclass(frozen=True, slots=True)
class ReadingOptions:
    """Where in a value the number, its event time and its key are.

    Attributes:
        value_path: dotted path of the number.
        timestamp_path: dotted path of the event time; None: always the record's timestamp.
        key_path: dotted path of the series key; None: the record's key.
        timestamp_unit: unit of an event time that is an integer.
        timestamp_required: absence of the event time in the value is a failure.
        coerce_strings: read a number out of a JSON string.
        max_value_bytes: larger values are not parsed.
    """

    value_path: str = "value"
    timestamp_path: str | None = "timestamp"
    key_path: str | None = None
    timestamp_unit: TimestampUnit = "ms"
    timestamp_required: bool = False
    coerce_strings: bool = False
    max_value_bytes: int = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ReadingColumns:
    """n readings, row by row those of the records they came from.

    Attributes:
        x: float64 (n,), the number, always finite; 0.0 unless `status` is `OK`.
        x_text: n spans over the shortest text of `x` where the input already holds it; length 0
            where it is still to be formatted.
        timestamp: int64 (n,), event time in milliseconds since the epoch: the record's own
            timestamp where the value has none, and on every failure.
        keys: n spans, the series keys; `NULL` where there is none.
        status: uint8 (n,), a `Status`.
    """

    x: Float64
    x_text: Spans
    timestamp: Int64
    keys: Spans
    status: UInt8

    def __len__(self) -> int:
        return len(self.x)

    def take(self, rows: Int64 | Int32) -> "ReadingColumns":
        """The readings at `rows`, over the same buffers."""
        return ReadingColumns(
            self.x[rows],
            self.x_text.take(rows),
            self.timestamp[rows],
            self.keys.take(rows),
            self.status[rows],
        )


@dataclass(frozen=True, slots=True)
class SmoothedColumns:
    """n rows to be written as record values.

    Attributes:
        keys: n spans, the series keys.
        timestamp: int64 (n,), event time in milliseconds since the epoch.
        x: float64 (n,), the number that came in.
        x_text: n spans, its text as in `ReadingColumns`.
        kind: uint8 (n,), a `Kind`.
        outputs: name to float64 or int64 (n,), in the order the fields are written.
    """

    keys: Spans
    timestamp: Int64
    x: Float64
    x_text: Spans
    kind: UInt8
    outputs: dict[str, Float64 | Int64]

    def __len__(self) -> int:
        return len(self.x)


class Decoder(Protocol):
    """Reads record values of one format."""

    def decode(self, records: RecordColumns) -> ReadingColumns:
        """The readings of `records`, one row each, whatever their bytes are."""
        ...


class Encoder(Protocol):
    """Writes record values of one format."""

    def encode(self, smoothed: SmoothedColumns) -> Spans:
        """The values of the output records, `NULL` for tombstones."""
        ...
