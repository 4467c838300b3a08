"""Values that are the bytes of a number: Kafka's DoubleSerializer and FloatSerializer."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stream_ewma.columns import NULL, Bytes, Float64, Int64, Spans, as_bytes
from stream_ewma.payloads.columns import (
    Kind,
    ReadingColumns,
    ReadingOptions,
    SmoothedColumns,
    Status,
)
from stream_ewma.payloads.plain import plain_readings, refuse_paths
from stream_ewma.records.columns import RecordColumns

_DOUBLE: Final = np.dtype(">f8")
_FLOAT: Final = np.dtype(">f4")


class BinaryDecoder:
    """Reads big-endian IEEE 754 numbers; the key and the event time are the record's.

    Args:
        format_name: `double`: 8 bytes; `float`: 4 bytes, widened without rounding.
        options: bounds; the paths have no meaning here.

    Raises:
        SettingsError: The options name a key, weight or reset path, or several numbers.
    """

    def __init__(self, format_name: str, options: ReadingOptions) -> None:
        refuse_paths(format_name, options)
        self._dtype = _DOUBLE if format_name == "double" else _FLOAT
        self._options = options

    def decode(self, records: RecordColumns) -> ReadingColumns:
        """The readings of `records`, one row each, whatever their bytes are."""
        values = records.values
        n = len(records)
        status = np.full(n, Status.DECODE, np.uint8)
        status[values.length == NULL] = Status.TOMBSTONE
        status[values.length > self._options.max_value_bytes] = Status.TOO_LARGE
        whole = np.flatnonzero((values.length == self._dtype.itemsize) & (status == Status.DECODE))
        numbers = _numbers(values.buffer, values.start[whole].astype(np.int64), self._dtype)
        finite = np.isfinite(numbers)
        x = np.zeros(n)
        x[whole[finite]] = numbers[finite]
        status[whole] = np.where(finite, Status.OK, Status.NON_FINITE)
        no_text = Spans(values.buffer, np.zeros(n, np.int32), np.zeros(n, np.int32))
        return plain_readings(records, self._options, x, no_text, status)


def _numbers(buffer: Bytes, start: Int64, dtype: np.dtype[Any]) -> Float64:
    """The numbers of type `dtype` that begin at `start`, as doubles."""
    rows: NDArray[np.uint8] = buffer[start[:, np.newaxis] + np.arange(dtype.itemsize)]
    with np.errstate(invalid="ignore"):  # widening a signalling NaN
        return rows.view(dtype)[:, 0].astype(np.float64)


class DoubleEncoder:
    """Writes the first output as 8 bytes, big-endian, NaN as a NaN."""

    def encode(self, smoothed: SmoothedColumns) -> Spans:
        """The values of the output records, `NULL` for tombstones."""
        first = next(iter(smoothed.outputs.values()))
        n = len(smoothed)
        length = np.where(smoothed.kind == Kind.TOMBSTONE, NULL, _DOUBLE.itemsize)
        return Spans(
            as_bytes(first.astype(_DOUBLE).view(np.uint8)),
            np.arange(0, n * _DOUBLE.itemsize, _DOUBLE.itemsize, dtype=np.int32),
            length.astype(np.int32),
        )
