"""CSV: a header, then rows whose wanted cells become the fields of a record's value."""

import csv
from collections.abc import Iterator
from typing import Final

import numpy as np

from stream_ewma.columns import Int64, Spans, as_bytes
from stream_ewma.errors import DataError
from stream_ewma.files.chunks import Chunk, Fields, check_time, nest
from stream_ewma.files.opening import Blocks, FileFormat
from stream_ewma.payloads.delimited import (
    PLAIN_CELL,
    TIME_CELL,
    UTC_CELL,
    Rows,
    row_objects,
    scan_rows,
)

_LF: Final = 10


class CsvSource:
    """A CSV file with a header.

    Args:
        blocks: its bytes.
        delimiter: between two cells; None: a comma, or what the header has instead.

    Attributes:
        header: the header's bytes, without the line end.
        delimiter: between two cells.

    Raises:
        DataError: there is no header.
    """

    format: FileFormat = "csv"

    def __init__(self, blocks: Blocks, delimiter: str | None) -> None:
        self.name = blocks.name
        self._blocks = blocks
        first = blocks.first_line()
        self.delimiter = delimiter or _delimiter_of(first)
        self.header = first.rstrip(b"\r")
        blocks.left = blocks.left[len(first) + 1 :]
        try:
            text = self.header.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise DataError(f"{self.name}: is not text in UTF-8; save it as UTF-8") from None
        if not text.strip():
            raise DataError(f"{self.name}: is empty; its first line must name the columns")
        try:
            (self.columns,) = csv.reader([text], delimiter=self.delimiter)
        except csv.Error as error:
            raise DataError(f"{self.name}: its first line names no columns ({error})") from None

    @property
    def share(self) -> float | None:
        """How much of the file has been read, 0 to 1; None where it is not known."""
        return self._blocks.share

    def has(self, path: str) -> bool:
        """Whether there is a column of that name."""
        return path in self.columns

    def chunks(self, fields: Fields) -> Iterator[Chunk]:
        """All rows, in order.

        Raises:
            DataError: a row is too long, or times have no offset from UTC.
        """
        literals, order = nest(fields.paths)
        places = np.full(len(self.columns), -1, np.int64)
        for place, path in enumerate(order):
            places[self.columns.index(path)] = place
        time_form = UTC_CELL if fields.utc else TIME_CELL
        forms = [time_form if path == fields.time else PLAIN_CELL for path in order]
        line, is_last, has_any = 2, False, False
        is_first = fields.time is not None and not fields.utc
        while not is_last:
            data, is_last = self._blocks.next()
            rows, rest = scan_rows(data, ord(self.delimiter), places, len(order), is_last=is_last)
            self._blocks.left = data[rest:]
            if is_first and fields.time is not None and len(rows.start):
                is_first = False
                self._check_time(data, rows, order.index(fields.time), fields.time)
            # Also of a file without rows there is one chunk: writers learn from it what there is.
            if len(rows.start) or (is_last and not has_any):
                has_any = True
                values = row_objects(data, rows, len(self.columns), forms, literals)
                text = Spans(as_bytes(data), rows.start, rows.length)
                yield Chunk(values, text, _LineOf(data, rows, line))
            line += data.count(b"\n", 0, rest)

    def _check_time(self, data: bytes, rows: Rows, place: int, column: str) -> None:
        start, length = int(rows.cell_start[place]), int(rows.cell_length[place])
        text = data[start : start + length].decode(errors="replace")
        check_time(f"{self.name}: {column}", text, has_utc_flag=True)


class _LineOf:
    """The line of a row; lines are only counted where one is asked for."""

    def __init__(self, data: bytes, rows: Rows, first: int) -> None:
        self._data, self._rows, self._first = data, rows, first
        self._ends: Int64 | None = None

    def __call__(self, row: int) -> int:
        if self._ends is None:
            self._ends = np.flatnonzero(as_bytes(self._data) == _LF)
        return self._first + int(np.searchsorted(self._ends, self._rows.start[row]))


def _delimiter_of(header: bytes) -> str:
    for mark in (b",", b"\t", b";"):
        if mark in header:
            return mark.decode()
    return ","
