"""CSV to records: rows and cells by a kernel, the wanted cells of a row as one JSON object.

A row then is to the settings what a flat JSON object is, and the JSON decoder reads it: a number
is text that Python's float reads, a time an epoch integer or RFC 3339 text, an empty cell null.
RFC 4180: cells may stand in double quotes, which then hold delimiters, line ends and doubled
quotes. A line ends with LF or CR LF; empty lines are no rows.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from stream_ewma.columns import Bytes, Int32, Int64, Spans, UInt8, as_bytes
from stream_ewma.jit import inner_kernel, kernel
from stream_ewma.words import signed

PLAIN_CELL: Final = 0
"""A cell that becomes a JSON string."""
TIME_CELL: Final = 1
"""A cell that becomes a JSON integer where it is one, else a string."""
UTC_CELL: Final = 2
"""As `TIME_CELL`, and a time without an offset from UTC is given the offset zero."""

_LF: Final = 10
_CR: Final = 13
_QUOTE: Final = 34
_BACKSLASH: Final = 92
_DATE: Final = 10
"""Characters in YYYY-MM-DD."""
_LONGEST_INTEGER: Final = 18
_MOST_PER_BYTE: Final = 6
"""Bytes that one byte takes in a JSON string: \\u001f."""
_MOST_PER_CELL: Final = 16
"""Quotes, and what is added to a time."""
_ESCAPE: Final = as_bytes(b"\\u00")
_DIGITS: Final = as_bytes(b"0123456789abcdef")
_NULL: Final = as_bytes(b"null")
_MIDNIGHT: Final = as_bytes(b"T00:00:00")


class Rows(NamedTuple):
    """The n rows of a piece of CSV.

    Attributes:
        start: int32 (n,), of each row.
        length: int32 (n,), without the line end.
        fields: int32 (n,), how many cells the row has.
        cell_start: int32 (n * wanted,), of the wanted cells' content.
        cell_length: int32 (n * wanted,), of the content, without quotes around it.
        is_quoted: uint8 (n * wanted,), 1 where quotes in the content are doubled.
    """

    start: Int32
    length: Int32
    fields: Int32
    cell_start: Int32
    cell_length: Int32
    is_quoted: UInt8


@kernel
def _scan(
    buffer: Bytes, delimiter: int, is_last: bool, places: Int64, wanted: int, rows: Rows
) -> tuple[int, int]:
    """Find rows and cells.

    Args:
        buffer: the bytes, from the beginning of a row.
        delimiter: between two cells.
        is_last: the bytes end where the data ends, so the last row needs no line end.
        places: int64, place among the wanted cells of each column, negative where not wanted.
        wanted: how many are.
        rows: room for as many rows as there are line ends, and one more.

    Returns:
        How many rows are whole, and where the rest begins.
    """
    count, row_at, at, end = 0, 0, 0, len(buffer)
    while row_at < end:
        fields = 0
        ended = False
        while not ended:
            cell, is_quoted = at, 0
            if at < end and buffer[at] == _QUOTE:
                is_quoted = 1
                at += 1
                while at < end and (
                    buffer[at] != _QUOTE or (at + 1 < end and buffer[at + 1] == _QUOTE)
                ):
                    at += 2 if buffer[at] == _QUOTE else 1
            closed = at
            while at < end and buffer[at] != delimiter and buffer[at] != _LF:
                at += 1
            if at >= end and not is_last:
                return count, row_at
            ended = at >= end or buffer[at] == _LF
            stop = at - 1 if ended and at > cell and buffer[at - 1] == _CR else at
            place = signed(places[fields]) if fields < len(places) else -1
            if place >= 0:
                i = count * wanted + place
                rows.cell_start[i] = cell + is_quoted
                rows.cell_length[i] = (closed if is_quoted else stop) - cell - is_quoted
                rows.is_quoted[i] = is_quoted
            fields += 1
            at = min(at + 1, end)
        if stop > row_at:
            rows.start[count], rows.length[count] = row_at, stop - row_at
            rows.fields[count] = fields
            count += 1
        row_at = at
    return count, end


def scan_rows(
    data: bytes, delimiter: int, places: Int64, wanted: int, *, is_last: bool
) -> tuple[Rows, int]:
    """The whole rows in `data` and where what is left of it begins; see `_scan`."""
    most = data.count(b"\n") + 1
    rows = Rows(
        np.empty(most, np.int32),
        np.empty(most, np.int32),
        np.empty(most, np.int32),
        np.zeros(most * wanted, np.int32),
        np.zeros(most * wanted, np.int32),
        np.zeros(most * wanted, np.uint8),
    )
    count, rest = _scan(as_bytes(data), delimiter, is_last, places, wanted, rows)
    cells = count * wanted
    whole = Rows(
        rows.start[:count],
        rows.length[:count],
        rows.fields[:count],
        rows.cell_start[:cells],
        rows.cell_length[:cells],
        rows.is_quoted[:cells],
    )
    return whole, rest


@inner_kernel
def _put(target: Bytes, at: int, text: Bytes) -> int:
    for i in range(len(text)):
        target[at + i] = text[i]
    return at + len(text)


@inner_kernel
def _is_integer(buffer: Bytes, start: int, length: int) -> bool:
    """Whether the bytes are an integer in JSON's grammar."""
    first = start + 1 if buffer[start] == 45 else start  # -
    digits = start + length - first
    if digits < 1 or digits > _LONGEST_INTEGER or (buffer[first] == 48 and digits > 1):
        return False
    at = first
    while at < first + digits and 48 <= buffer[at] <= 57:
        at += 1
    return at == first + digits


@inner_kernel
def _has_offset(buffer: Bytes, start: int, length: int) -> bool:
    """Whether a time ends in Z or has a sign after its date."""
    at, end = start + _DATE, start + length
    while at < end and buffer[at] not in (43, 45):  # + -
        at += 1
    return at < end or buffer[end - 1] in (90, 122)  # Z z


@inner_kernel
def _put_string(target: Bytes, at: int, buffer: Bytes, start: int, end: int, doubled: bool) -> int:
    """Write the inside of a JSON string."""
    while start < end:
        byte = signed(buffer[start])
        if byte < 32:
            at = _put(target, at, _ESCAPE)
            target[at], target[at + 1] = _DIGITS[byte >> 4], _DIGITS[byte & 15]
            at += 2
        else:
            if byte in (_QUOTE, _BACKSLASH):
                target[at] = _BACKSLASH
                at += 1
            target[at] = byte
            at += 1
        start += 2 if byte == _QUOTE and doubled else 1
    return at


@inner_kernel
def _put_cell(
    target: Bytes, at: int, buffer: Bytes, start: int, length: int, doubled: bool, form: int
) -> int:
    """Write one cell as a JSON value."""
    if length <= 0:
        return _put(target, at, _NULL)
    if form != PLAIN_CELL and _is_integer(buffer, start, length):
        return _put(target, at, buffer[start : start + length])
    target[at] = _QUOTE
    at = _put_string(target, at + 1, buffer, start, start + length, doubled)
    if form == UTC_CELL and length >= _DATE and not _has_offset(buffer, start, length):
        if length == _DATE:
            at = _put(target, at, _MIDNIGHT)
        target[at] = 90  # Z
        at += 1
    target[at] = _QUOTE
    return at + 1


@kernel
def _write(
    target: Bytes,
    buffer: Bytes,
    rows: Rows,
    fields: int,
    forms: Int64,
    literals: Bytes,
    ends: Int64,
    start: Int32,
    length: Int32,
) -> int:
    """Write one object for each row, none for a row with too few or too many cells.

    Args:
        target: room for all.
        buffer: holds the cells.
        rows: where they are.
        fields: how many cells a row must have.
        forms: int64 (wanted,), what becomes of each cell.
        literals: the text before each cell and after the last.
        ends: int64 (wanted + 2,), where each piece of it ends, after a zero.
        start: int32 (n,), filled in.
        length: int32 (n,), filled in.

    Returns:
        How much of `target` is filled.
    """
    at, wanted = 0, len(forms)
    for row in range(len(start)):
        start[row] = at
        if rows.fields[row] == fields:
            for place in range(wanted):
                at = _put(target, at, literals[ends[place] : ends[place + 1]])
                i = row * wanted + place
                first, size = signed(rows.cell_start[i]), signed(rows.cell_length[i])
                doubled = rows.is_quoted[i] != 0
                at = _put_cell(target, at, buffer, first, size, doubled, signed(forms[place]))
            at = _put(target, at, literals[ends[wanted] : ends[wanted + 1]])
        length[row] = at - start[row]
    return at


def row_objects(
    data: bytes, rows: Rows, fields: int, forms: Sequence[int], literals: Sequence[bytes]
) -> Spans:
    """The wanted cells of each row as a JSON object; empty text for a row of another width.

    Args:
        data: holds the cells.
        rows: where they are.
        fields: how many cells a row must have.
        forms: of the wanted cells: `PLAIN_CELL`, `TIME_CELL` or `UTC_CELL`.
        literals: the JSON text before each of them, and after the last.
    """
    n = len(rows.start)
    text = b"".join(literals)
    ends = np.cumsum([0, *map(len, literals)], dtype=np.int64)
    cells = int(np.maximum(rows.cell_length, 0).sum(dtype=np.int64))
    room = n * (len(text) + _MOST_PER_CELL * len(forms)) + _MOST_PER_BYTE * cells
    target = np.empty(room, np.uint8)
    start, length = np.empty(n, np.int32), np.empty(n, np.int32)
    used = _write(
        target,
        as_bytes(data),
        rows,
        fields,
        np.array(forms, np.int64),
        as_bytes(text),
        ends,
        start,
        length,
    )
    return Spans(as_bytes(target[:used]), start, length)
