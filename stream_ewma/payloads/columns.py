"""What a payload format turns record values into, and what it is given to write."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from stream_ewma.columns import Float64, Int32, Int64, Spans, UInt8
from stream_ewma.records.columns import RecordColumns

TimestampUnit: TypeAlias = Literal["s", "ms", "us", "ns"]
Column: TypeAlias = NDArray[np.float64] | NDArray[np.integer] | NDArray[np.bool_]
"""An output of n rows: numbers, integers or flags."""

MAX_TIMESTAMP_MS: Final = 2**53 - 1
"""Event times beyond it, either side of 1970, are refused: JSON readers round larger integers."""


NULL_INTEGER: Final = -(1 << 63)
"""In an output of integers, what is written as null."""
NULL_FLAG: Final = 255
"""In an output of flags held as uint8, what is written as null."""


def as_nullable(column: Column, missing: NDArray[np.bool_]) -> Column:
    """An output whose `missing` rows (n,) are written as null; not finite doubles are anyway."""
    if column.dtype.kind == "f":
        return column
    if column.dtype == np.bool_:
        flags: Column = np.where(missing, np.uint8(NULL_FLAG), column.view(np.uint8))
        return flags
    integers: Column = np.where(missing, np.int64(NULL_INTEGER), column)
    return integers


class Status(IntEnum):
    """What came of one record's value; everything from `DECODE` on is a failure.

    The first that applies, in this order: TOMBSTONE, TOO_LARGE, DECODE, MISSING_KEY, then the
    numbers' MISSING_VALUE, NOT_NUMERIC, NON_FINITE, then BAD_WEIGHT, BAD_TIMESTAMP, NAME_TAKEN,
    then NULL or OK. A number that fails fails the record. Of several numbers some may be absent or
    null: the record is OK if one of them is, else NULL if one of them is, else MISSING_VALUE.
    """

    OK = 0
    NULL = 1
    """The number is JSON null; of several, some are and the others absent."""
    TOMBSTONE = 2
    """The record's value is null."""
    DECODE = 3
    """The bytes are not what the format says."""
    MISSING_VALUE = 4
    """Nothing at the value path; of several, at none."""
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
    BAD_WEIGHT = 10
    """What stands at the weight path is not a finite number above 0."""
    NAME_TAKEN = 11
    """The value has a field already that is to be added to it."""


class Kind(IntEnum):
    """What kind of output record a row becomes."""

    SMOOTHED = 0
    HELD = 1
    """No new number: the outputs stand, the values are written as null."""
    TOMBSTONE = 2
    """A null value: the key was reset."""
    STALE = 3
    """Made for a key that fell silent, without a record: values are null, the outputs stand."""


@dataclass(frozen=True, slots=True)
class ReadingOptions:
    """Where in a value the numbers, their event time, key and weight are.

    Attributes:
        value_paths: dotted path of each number; one or more.
        timestamp_path: dotted path of the event time; None: always the record's timestamp.
        key_path: dotted path of the series key; None: the record's key.
        weight_path: dotted path of the reading's weight, absent or null: 1; None: no weights.
        reset_path: dotted path of what restarts the key's smoothing with this record if it is true,
            a number other than 0 or text that is not empty; None: nothing does.
        reserved_names: names that a value, being an object, must not have, since fields of these
            names will be added to it.
        timestamp_unit: unit of an event time that is an integer.
        timestamp_required: absence of the event time in the value is a failure.
        coerce_strings: read numbers and weights out of JSON strings as well.
        max_value_bytes: larger values are not parsed.
    """

    value_paths: tuple[str, ...] = ("value",)
    timestamp_path: str | None = "timestamp"
    key_path: str | None = None
    weight_path: str | None = None
    reset_path: str | None = None
    reserved_names: tuple[str, ...] = ()
    timestamp_unit: TimestampUnit = "ms"
    timestamp_required: bool = False
    coerce_strings: bool = False
    max_value_bytes: int = 1024 * 1024


@dataclass(frozen=True, slots=True)
class WritingOptions:
    """What a smoothed row looks like; the outputs' names come with the rows.

    Attributes:
        shape: `record`: a flat object of key, event time, values and outputs; `enrich`: the value
            that came in, an object, with the outputs added, and a flat object for all other rows.
        key_name: name of the key in a flat object; None: left out.
        timestamp_name: name of the event time in a flat object; None: left out.
        value_names: name of each number in a flat object, in the order of the columns; None: left
            out.
    """

    shape: Literal["record", "enrich"] = "record"
    key_name: str | None = "key"
    timestamp_name: str | None = "timestamp"
    value_names: tuple[str | None, ...] = ("value",)


@dataclass(frozen=True, slots=True)
class NumberColumns:
    """One of the numbers of n readings.

    Attributes:
        x: float64 (n,), always finite; 0.0 unless `status` is `OK`.
        x_text: n spans over the shortest text of `x` where the input already holds it; length 0
            where it is still to be formatted.
        status: uint8 (n,), a `Status`: OK, NULL, MISSING_VALUE or, where the reading failed, the
            reading's.
    """

    x: Float64
    x_text: Spans
    status: UInt8

    def take(self, rows: Int64 | Int32) -> "NumberColumns":
        """The numbers of `rows`."""
        return NumberColumns(self.x[rows], self.x_text.take(rows), self.status[rows])


@dataclass(frozen=True, slots=True)
class ReadingColumns:
    """n readings, row by row those of the records they came from.

    Attributes:
        numbers: one for each value path.
        timestamp: int64 (n,), event time in milliseconds since the epoch: the record's own
            timestamp where the value has none, and on every failure.
        keys: n spans, the series keys; `NULL` where there is none.
        status: uint8 (n,), a `Status`.
        weight: float64 (n,), above 0 and finite, 1.0 where none is given and on every failure;
            None where there is no weight path.
        restart: uint8 (n,), 1 where the key's smoothing is to begin anew with this reading, 0 on
            every failure; None where there is no reset path.
    """

    numbers: tuple[NumberColumns, ...]
    timestamp: Int64
    keys: Spans
    status: UInt8
    weight: Float64 | None = None
    restart: UInt8 | None = None

    def __len__(self) -> int:
        return len(self.status)

    def take(self, rows: Int64 | Int32) -> "ReadingColumns":
        """The readings at `rows`, over the same buffers."""
        return ReadingColumns(
            tuple(numbers.take(rows) for numbers in self.numbers),
            self.timestamp[rows],
            self.keys.take(rows),
            self.status[rows],
            None if self.weight is None else self.weight[rows],
            None if self.restart is None else self.restart[rows],
        )


@dataclass(frozen=True, slots=True)
class SmoothedColumns:
    """n rows to be written as record values.

    Attributes:
        keys: n spans, the series keys.
        timestamp: int64 (n,), event time in milliseconds since the epoch.
        numbers: the numbers that came in; where one's status is not OK, or the row's kind is not
            SMOOTHED, null is written.
        kind: uint8 (n,), a `Kind`.
        outputs: name to a column of (n,), in the order the fields are written: float64 (what is
            not finite is written as null), integers, or flags (bool or uint8); see `as_nullable`.
        originals: n spans, the values that came in; only needed to enrich them. Each is `NULL` or
            strict JSON, since the decoder let it pass.
    """

    keys: Spans
    timestamp: Int64
    numbers: tuple[NumberColumns, ...]
    kind: UInt8
    outputs: Mapping[str, Column]
    originals: Spans | None = None

    def __len__(self) -> int:
        return len(self.kind)


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
