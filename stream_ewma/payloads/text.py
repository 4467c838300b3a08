"""Values that are a number as text: whatever Python's float reads, but for underscores.

ASCII only, ASCII white space around it allowed. `nan`, `inf` and `infinity` in any case, and
numbers beyond the range of doubles, are numbers that are not finite.
"""

import re
from math import isfinite
from typing import Final

import numpy as np

from stream_ewma.columns import NULL, Bytes, Float64, Int32, Spans, UInt8, UInt64, as_bytes
from stream_ewma.jit import inner_kernel, kernel
from stream_ewma.payloads.columns import (
    Kind,
    ReadingColumns,
    ReadingOptions,
    SmoothedColumns,
    Status,
)
from stream_ewma.payloads.decimal import SHORTEST, nearest_double, read_number
from stream_ewma.payloads.numerals import digit_word
from stream_ewma.payloads.plain import plain_readings, refuse_paths
from stream_ewma.payloads.shortest import NOT_FINITE, NUMBER_ROOM, append_decimal, decimal_of
from stream_ewma.records.columns import RecordColumns
from stream_ewma.words import signed, store_word

UNSURE: Final = 255
"""Status of a row that a kernel leaves to the library; never leaves this package."""

_OK: Final = int(Status.OK)
_TOMBSTONE: Final = int(Status.TOMBSTONE)
_TOO_LARGE: Final = int(Status.TOO_LARGE)
_TOMBSTONE_ROW: Final = int(Kind.TOMBSTONE)
_NAN: Final = np.uint64(int.from_bytes(b"NaN     ", "little"))

_NUMBER: Final = re.compile(
    rb"[ \t\n\r\v\f]*([+-]?(?:(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|nan|inf(?:inity)?))[ \t\n\r\v\f]*",
    re.IGNORECASE,
)


def read_text(text: bytes) -> tuple[Status, float]:
    """The number that `text` is: OK, NON_FINITE or DECODE; 0.0 unless OK."""
    match = _NUMBER.fullmatch(text)
    if match is None:
        return Status.DECODE, 0.0
    x = float(match[1])
    return (Status.OK, x) if isfinite(x) else (Status.NON_FINITE, 0.0)


@inner_kernel
def read_plain_number(buffer: Bytes, at: int, end: int) -> tuple[float, int, bool]:
    """The number in JSON's grammar that fills [at, end), its form bits, and whether it is certain.

    Where it is, `read_text` says the same.
    """
    stop, mantissa, exponent, form = read_number(buffer, at, end)
    if stop != end:
        return 0.0, 0, False
    x, sure = nearest_double(mantissa, exponent, form)
    return x, form, sure


@inner_kernel
def _is_space(byte: int) -> bool:
    return byte == 32 or 9 <= byte <= 13


@kernel
def _read_texts(
    buffer: Bytes,
    start: Int32,
    length: Int32,
    max_value_bytes: int,
    x: Float64,
    text_start: Int32,
    text_length: Int32,
    status: UInt8,
) -> None:
    """Read every row that is certain, mark the others UNSURE."""
    for row in range(len(start)):
        if length[row] < 0:
            status[row] = _TOMBSTONE
            continue
        if length[row] > max_value_bytes:
            status[row] = _TOO_LARGE
            continue
        at = signed(start[row])
        end = at + length[row]
        while at < end and _is_space(buffer[at]):
            at += 1
        while at < end and _is_space(buffer[end - 1]):
            end -= 1
        number, form, sure = read_plain_number(buffer, at, end)
        if not sure:
            status[row] = UNSURE
            continue
        status[row] = _OK
        x[row] = number
        if form & SHORTEST:
            text_start[row] = at
            text_length[row] = end - at


class TextDecoder:
    """Reads numbers written as text; the key and the event time are the record's.

    Args:
        options: bounds; the paths have no meaning here.

    Raises:
        SettingsError: The options name a key, weight or reset path, or several numbers.
    """

    def __init__(self, options: ReadingOptions) -> None:
        refuse_paths("text", options)
        self._options = options

    def decode(self, records: RecordColumns) -> ReadingColumns:
        """The readings of `records`, one row each, whatever their bytes are."""
        values = records.values
        n = len(records)
        x = np.zeros(n)
        text = Spans(values.buffer, np.zeros(n, np.int32), np.zeros(n, np.int32))
        status = np.empty(n, np.uint8)
        with np.errstate(over="ignore"):  # interpreted kernels wrap around on purpose
            _read_texts(
                values.buffer,
                values.start,
                values.length,
                self._options.max_value_bytes,
                x,
                text.start,
                text.length,
                status,
            )
        for row in np.flatnonzero(status == UNSURE).tolist():
            status[row], x[row] = read_text(values.item(row) or b"")
        return plain_readings(records, self._options, x, text, status)


@kernel
def _write_texts(target: Bytes, bits: UInt64, kind: UInt8, start: Int32, length: Int32) -> int:
    """Write every row's number; answers how much of `target`, `NUMBER_ROOM` a row, is filled."""
    at = 0
    for row in range(len(bits)):
        start[row] = at
        if kind[row] == _TOMBSTONE_ROW:
            length[row] = NULL
            continue
        head, first, second = decimal_of(bits[row])
        if head & NOT_FINITE:
            store_word(target, at, _NAN)
            at += 3
        else:
            at = append_decimal(target, at, head, digit_word(first), digit_word(second))
        length[row] = at - start[row]
    return at


class TextEncoder:
    """Writes the first output as the fewest digits that read back to the same double.

    What is not finite is `NaN`.
    """

    def encode(self, smoothed: SmoothedColumns) -> Spans:
        """The values of the output records, `NULL` for tombstones."""
        first = next(iter(smoothed.outputs.values())).astype(np.float64)
        n = len(smoothed)
        target = np.empty(n * NUMBER_ROOM, np.uint8)
        start = np.empty(n, np.int32)
        length = np.empty(n, np.int32)
        with np.errstate(over="ignore"):  # interpreted kernels wrap around on purpose
            used = _write_texts(target, first.view(np.uint64), smoothed.kind, start, length)
        return Spans(as_bytes(target[:used]), start, length)
