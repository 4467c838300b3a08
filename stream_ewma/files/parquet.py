"""Parquet: batches of columns, those that are wanted written out as record values.

pyarrow is an optional extra: imported here alone, when a Parquet file is met.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final

import numpy as np
import orjson

from stream_ewma.columns import Spans
from stream_ewma.errors import DataError, MissingExtraError
from stream_ewma.files.chunks import Chunk, Fields, check_time, nest
from stream_ewma.files.opening import Blocks, FileFormat

_ROWS: Final = 65_536
_PER_MS: Final = {"s": (1000, 1), "ms": (1, 1), "us": (1, 1000), "ns": (1, 1_000_000)}
_DAY_MS: Final = 86_400_000


def arrow() -> Any:
    """The library.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import pyarrow as pa  # noqa: PLC0415  an optional extra
        import pyarrow.parquet  # noqa: PLC0415
    except ModuleNotFoundError:
        raise MissingExtraError(
            "Parquet needs an extra: pip install 'stream-ewma[files]'"
        ) from None
    del pyarrow
    return pa


class ParquetSource:
    """A Parquet file.

    Raises:
        MissingExtraError: pyarrow is not installed.
        DataError: it is no Parquet file, or comes from a pipe.
    """

    format: FileFormat = "parquet"

    def __init__(self, blocks: Blocks) -> None:
        self.name = blocks.name
        self._arrow = arrow()
        if blocks.size is None:
            raise DataError("standard input: Parquet is read from its end; write the file's name")
        blocks.stream.seek(0)  # it has been looked at
        try:
            self._file = self._arrow.parquet.ParquetFile(blocks.stream)
        except self._arrow.ArrowInvalid as error:
            reason = str(error).partition(".")[0]
            raise DataError(f"{self.name}: is no Parquet file ({reason})") from None
        self.schema = self._file.schema_arrow
        self.columns: list[str] = self.schema.names
        self._read = 0

    @property
    def share(self) -> float | None:
        """How much of the file has been read, 0 to 1."""
        return float(self._read / max(1, self._file.metadata.num_rows))

    def has(self, path: str) -> bool:
        """Whether there is a column of that name."""
        return path in self.columns

    def is_moment(self, column: str) -> bool:
        """Whether the column's type is a time, not a number or text."""
        types = self._arrow.types
        kind = self.schema.field(column).type
        return bool(types.is_timestamp(kind) or types.is_date(kind))

    def chunks(self, fields: Fields) -> Iterator[Chunk]:
        """All rows, in order.

        Raises:
            DataError: times have no offset from UTC, or the file is damaged.
        """
        literals, order = nest(fields.paths)
        if fields.time is not None:
            self._check_zone(fields.time, utc=fields.utc)
        try:
            for batch in self._batches():
                tokens = [self._tokens(batch, path, fields) for path in order]
                values = _objects(tokens, literals)
                yield Chunk(values, values, _RowOf(self._read), batch)
                self._read += len(batch)
        except OSError as error:
            raise DataError(f"{self.name}: is damaged ({error})") from None

    def _batches(self) -> Iterator[Any]:
        """All batches; of a file without rows, an empty one."""
        if self._file.metadata.num_rows == 0:
            yield self._arrow.RecordBatch.from_pylist([], self.schema)
        yield from self._file.iter_batches(batch_size=_ROWS)

    def _check_zone(self, column: str, *, utc: bool) -> None:
        kind = self.schema.field(column).type
        if self.is_moment(column) and getattr(kind, "tz", None) is None and not utc:
            raise DataError(
                f"{self.name}: {column}: the times have no time zone ({kind}); write --utc if they"
                " are in UTC, or store them with their zone"
            )

    def _tokens(self, batch: Any, path: str, fields: Fields) -> list[bytes]:
        """The JSON values of a column."""
        column = batch.column(batch.schema.get_field_index(path))
        types = self._arrow.types
        kind = column.type
        if types.is_dictionary(kind):
            column = column.dictionary_decode()
            kind = column.type
        if path == fields.time:
            return self._times(column, fields)
        if types.is_floating(kind) or types.is_decimal(kind):
            return _doubles(column.cast(self._arrow.float64()))
        if types.is_integer(kind):
            return [b"null" if each is None else b"%d" % each for each in column.to_pylist()]
        return [_token(each) for each in column.to_pylist()]

    def _times(self, column: Any, fields: Fields) -> list[bytes]:
        types, kind = self._arrow.types, column.type
        if types.is_timestamp(kind):
            factor, divisor = _PER_MS[kind.unit]
            ticks = column.cast(self._arrow.int64()).to_pylist()
            return [b"null" if t is None else b"%d" % (t * factor // divisor) for t in ticks]
        if types.is_date(kind):
            days = column.cast(self._arrow.date32()).cast(self._arrow.int32()).to_pylist()
            return [b"null" if day is None else b"%d" % (day * _DAY_MS) for day in days]
        if types.is_integer(kind):
            return [b"null" if each is None else b"%d" % each for each in column.to_pylist()]
        texts = [None if each is None else str(each) for each in column.to_pylist()]
        first = next((text for text in texts if text), None)
        if first is not None and not fields.utc:
            check_time(f"{self.name}: {fields.time}", first, has_utc_flag=True)
        return [_token(_in_utc(text) if text and fields.utc else text) for text in texts]


class _RowOf:
    """The row of the file, from 1 on."""

    def __init__(self, first: int) -> None:
        self._first = first

    def __call__(self, row: int) -> int:
        return self._first + row + 1


def _objects(tokens: Sequence[list[bytes]], literals: Sequence[bytes]) -> Spans:
    """One JSON object for each row of values."""
    start, *others = literals
    parts = [
        [token + text for token in column] for column, text in zip(tokens, others, strict=True)
    ]
    return Spans.of([start + b"".join(row) for row in zip(*parts, strict=True)])


def _doubles(column: Any) -> list[bytes]:
    """Numbers as JSON, each the fewest digits that read back to the same double."""
    numbers = np.ascontiguousarray(column.to_numpy(zero_copy_only=False), np.float64)
    if len(numbers) == 0:
        return []
    texts = orjson.dumps(numbers, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].split(b",")
    is_null = column.is_null().to_numpy(zero_copy_only=False)
    # The library writes null for what is not finite, which is another error than a missing value.
    for row in np.flatnonzero(~np.isfinite(numbers) & ~is_null).tolist():
        texts[row] = _NOT_FINITE[str(numbers[row])]
    return texts


_NOT_FINITE: Final = {"nan": b"NaN", "inf": b"Infinity", "-inf": b"-Infinity"}


def _token(value: object) -> bytes:
    """Text, flags and whatever else a cell holds, as JSON."""
    if value is None or isinstance(value, bool):
        return orjson.dumps(value)
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    return orjson.dumps(str(value))


def _in_utc(text: str) -> str:
    """A time that has no offset from UTC with the offset zero, others unchanged."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return text if moment.tzinfo else f"{moment.isoformat()}Z"
