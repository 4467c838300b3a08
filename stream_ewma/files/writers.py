"""Smoothed rows to files: lines as the service publishes them, or columns beside the originals."""

import csv
import io
from collections.abc import Mapping
from typing import Any, BinaryIO, Final, Protocol

import numpy as np
import orjson

from stream_ewma.errors import DataError
from stream_ewma.files.chunks import Source
from stream_ewma.files.csv_rows import CsvSource
from stream_ewma.files.opening import FileFormat
from stream_ewma.files.parquet import ParquetSource, arrow
from stream_ewma.files.task import FileTask, Part

_TIMESTAMP: Final = "timestamp"


class Writer(Protocol):
    """Writes one file."""

    def write(self, part: Part) -> None:
        """Write the outputs of some rows.

        Raises:
            DataError: they do not fit beside the original columns.
        """
        ...

    def close(self) -> None:
        """Write what is still missing, also where there was no row."""
        ...


def writer_of(target: BinaryIO, to: FileFormat, source: Source, task: FileTask) -> Writer:
    """What writes the format `to`.

    The input's own format keeps its columns and has the outputs behind them; another one has the
    fields of the record that the service would publish.
    """
    if to == "jsonl":
        return _LinesWriter(target, task)
    if to == "csv":
        if isinstance(source, CsvSource):
            return _CsvAppender(target, source, task)
        return _CsvTable(target, task)
    if isinstance(source, ParquetSource):
        return _ParquetAppender(target, source, task)
    return _ParquetTable(target, task)


class _LinesWriter:
    def __init__(self, target: BinaryIO, task: FileTask) -> None:
        self._target, self._task = target, task

    def write(self, part: Part) -> None:
        self._target.write(b"".join(each + b"\n" for each in _documents(self._task, part)))
        self._target.flush()

    def close(self) -> None:
        pass


class _CsvAppender:
    """The rows as they are, each followed by its outputs."""

    def __init__(self, target: BinaryIO, source: CsvSource, task: FileTask) -> None:
        self._target, self._source, self._task = target, source, task
        self._mark = source.delimiter.encode()
        self._has_header = False

    def write(self, part: Part) -> None:
        lines = []
        if not self._has_header:
            self._has_header = True
            columns = self._task.no_outputs()
            refuse_taken(self._source, columns)
            names = self._mark.join(name.encode() for name in columns)
            lines = [self._source.header, self._mark, names, b"\n"]
        text = part.chunk.text
        data = text.buffer.tobytes()
        starts, lengths = text.start.tolist(), text.length.tolist()
        for rows, columns in part.results():
            outputs = zip(*(number_texts(column) for column in columns.values()), strict=True)
            for row, cells in zip(rows.tolist(), outputs, strict=True):
                lines.append(data[starts[row] : starts[row] + lengths[row]])
                lines += (self._mark, self._mark.join(cells), b"\n")
        self._target.write(b"".join(lines))
        self._target.flush()

    def close(self) -> None:
        pass


class _CsvTable:
    """The fields of the published records."""

    def __init__(self, target: BinaryIO, task: FileTask) -> None:
        self._target, self._task = target, task
        self._has_header = False

    def write(self, part: Part) -> None:
        rows = [orjson.loads(each) for each in _documents(self._task, part)]
        if not rows:
            return
        text = io.StringIO()
        out = csv.writer(text, lineterminator="\n")
        if not self._has_header:
            self._has_header = True
            out.writerow(rows[0])
        out.writerows([_cell(value) for value in row.values()] for row in rows)
        self._target.write(text.getvalue().encode())
        self._target.flush()

    def close(self) -> None:
        pass


class _ParquetAppender:
    """The columns as they are, and the outputs."""

    def __init__(self, target: BinaryIO, source: ParquetSource, task: FileTask) -> None:
        self._arrow, self._target, self._source, self._task = arrow(), target, source, task
        self._writer: Any = None

    def write(self, part: Part) -> None:
        none = self._task.no_outputs()
        if self._writer is None:
            refuse_taken(self._source, none)
        for rows, columns in part.results() or [(np.empty(0, np.int64), none)]:
            batch = part.chunk.batch.take(self._arrow.array(rows))
            for name, column in columns.items():
                batch = batch.append_column(name, self._arrow.array(column, from_pandas=True))
            if self._writer is None:
                self._writer = self._arrow.parquet.ParquetWriter(self._target, batch.schema)
            self._writer.write_batch(batch)

    def close(self) -> None:
        self._writer.close()


class _ParquetTable:
    """The fields of the published records: numbers as doubles, counts as integers, times in UTC."""

    def __init__(self, target: BinaryIO, task: FileTask) -> None:
        self._arrow, self._target, self._task = arrow(), target, task
        self._writer: Any = None

    def write(self, part: Part) -> None:
        rows = [orjson.loads(each) for each in _documents(self._task, part)]
        if not rows:
            return
        if self._writer is None:
            schema = self._schema(rows[0])
            self._writer = self._arrow.parquet.ParquetWriter(self._target, schema)
        columns = [
            self._arrow.array([row.get(field.name) for row in rows], self._plain(field.type))
            for field in self._writer.schema
        ]
        columns = [
            column.cast(field.type)
            for column, field in zip(columns, self._writer.schema, strict=True)
        ]
        batch = self._arrow.RecordBatch.from_arrays(columns, schema=self._writer.schema)
        self._writer.write_batch(batch)

    def close(self) -> None:
        if self._writer is None:
            empty = self._arrow.schema([])
            self._writer = self._arrow.parquet.ParquetWriter(self._target, empty)
        self._writer.close()

    def _plain(self, kind: Any) -> Any:
        """What Python values become first: JSON's times are integers."""
        return self._arrow.int64() if self._arrow.types.is_timestamp(kind) else kind

    def _schema(self, row: dict[str, object]) -> Any:
        pa = self._arrow
        outputs = self._task.no_outputs()
        fields = []
        for name, value in row.items():
            kind = pa.float64()
            if name in outputs:
                kind = pa.from_numpy_dtype(outputs[name].dtype)
            elif name == _TIMESTAMP:
                kind = pa.timestamp("ms", "UTC")
            elif isinstance(value, str):
                kind = pa.string()
            fields.append((name, kind))
        return pa.schema(fields)


def refuse_taken(source: Source, outputs: Mapping[str, Any]) -> None:
    """Raise where a column of the file has the name of an output.

    Raises:
        DataError: with the column's name.
    """
    taken = [name for name in outputs if name in (source.columns or ())]
    if taken:
        raise DataError(
            f"{source.name}: has a column '{taken[0]}' already; rename it, or write --to jsonl for"
            " the smoothed records alone"
        )


def number_texts(column: Any) -> list[bytes]:
    """Numbers as text, each the fewest digits that read back to the same double; none for NaN."""
    if len(column) == 0:
        return []
    whole = np.ascontiguousarray(column)
    texts = orjson.dumps(whole, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].split(b",")
    return [b"" if text == b"null" else text for text in texts]


def _documents(task: FileTask, part: Part) -> list[bytes]:
    documents = []
    for spans in task.documents(part):
        data = spans.buffer.tobytes()
        places = zip(spans.start.tolist(), spans.length.tolist(), strict=True)
        documents += [data[start : start + length] for start, length in places if length >= 0]
    return documents


def _cell(value: object) -> object:
    return str(value).lower() if isinstance(value, bool) else value
