"""Files of kept state: JSON lines or Parquet, the exact bits beside numbers that can be read.

What a partition says of itself stands before its rows: in JSON lines as an object of its own, in
Parquet in the metadata of the file.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, BinaryIO, Final, Protocol

import numpy as np
import orjson

from stream_ewma.engine.changelog import ChangelogError
from stream_ewma.engine.configuration import Configuration, fingerprint
from stream_ewma.engine.marker import Marker
from stream_ewma.engine.quantities import Column, quantities
from stream_ewma.engine.stored import Head, Rows, StoredPartition, key_bytes, key_text
from stream_ewma.errors import DataError
from stream_ewma.files.opening import Blocks
from stream_ewma.files.parquet import arrow
from stream_ewma.words import WORD

_VERSION: Final = 1
_METADATA: Final = b"stream_ewma_state"
_ROWS: Final = 1 << 14
_EXACT: Final = ("key", "partition", "row")
_HEXADECIMAL: Final = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class FilePart:
    """A partition in a file.

    Attributes:
        head: what it says of itself.
        rows: its rows, some at a time; raises DataError where they are not all there.
    """

    head: Head
    rows: Iterator[Rows]


class StateWriter(Protocol):
    """Writes one file."""

    def write(self, part: StoredPartition) -> None:
        """Write all that is kept of a partition; partitions in ascending order."""
        ...

    def close(self) -> None:
        """Write what is still missing."""
        ...


class LinesWriter:
    """Writes JSON lines.

    Args:
        target: the file.
    """

    def __init__(self, target: BinaryIO) -> None:
        self._target = target

    def write(self, part: StoredPartition) -> None:
        """Write all that is kept of a partition."""
        self._target.write(orjson.dumps(_described(part)) + b"\n")
        partition = part.head.marker.partition
        for rows in part.rows():
            columns = quantities(part.head.configuration, rows.keys, rows.words)
            exact = [
                {"key": key_text(key), "partition": partition, "row": row.hex()}
                for key, row in zip(rows.keys, _bytes(rows), strict=True)
            ]
            documents = as_documents(columns, exact)
            self._target.write(b"".join(orjson.dumps(each) + b"\n" for each in documents))

    def close(self) -> None:
        """Nothing is missing."""


class ParquetWriter:
    """Writes a Parquet file.

    Args:
        target: the file.
        columns: the quantities of all partitions, without rows.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """

    def __init__(self, target: BinaryIO, columns: Mapping[str, Column]) -> None:
        self._arrow = arrow()
        pa = self._arrow
        kinds = {"key": pa.string(), "partition": pa.int32(), "row": pa.binary()}
        kinds |= {name: self._kind(name, column) for name, column in columns.items()}
        self._schema = pa.schema(list(kinds.items()))
        self._writer = pa.parquet.ParquetWriter(target, self._schema)
        self._parts: list[dict[str, Any]] = []

    def _kind(self, name: str, column: Column) -> Any:
        if column.values.dtype.kind == "O":
            item = self._arrow.int64() if name.endswith("_times") else self._arrow.float64()
            return self._arrow.list_(item)
        return self._arrow.from_numpy_dtype(column.values.dtype)

    def write(self, part: StoredPartition) -> None:
        """Write all that is kept of a partition."""
        self._parts.append(_described(part))
        partition = part.head.marker.partition
        for rows in part.rows():
            n = len(rows.keys)
            found: dict[str, list[Any]] = {
                "key": [key_text(key) for key in rows.keys],
                "partition": [partition] * n,
                "row": _bytes(rows),
            }
            columns = quantities(part.head.configuration, rows.keys, rows.words)
            found |= {name: column.to_list() for name, column in columns.items()}
            arrays = [
                self._arrow.array(found.get(field.name, [None] * n), field.type)
                for field in self._schema
            ]
            batch = self._arrow.RecordBatch.from_arrays(arrays, schema=self._schema)
            self._writer.write_batch(batch)

    def close(self) -> None:
        """Write what the partitions say of themselves."""
        self._writer.add_key_value_metadata({_METADATA: orjson.dumps(self._parts)})
        self._writer.close()


def no_rows(configuration: Configuration) -> dict[str, Column]:
    """The quantities that its rows have, without rows."""
    return quantities(configuration, [], np.empty((0, configuration.words), np.int64))


def as_documents(
    columns: Mapping[str, Column], first: Iterable[Mapping[str, object]]
) -> list[dict[str, object]]:
    """Rows as objects, each with the quantities behind what comes first."""
    names = list(columns)
    values = zip(*(column.to_list() for column in columns.values()), strict=True)
    return [
        {**start, **dict(zip(names, row, strict=True))}
        for start, row in zip(first, values, strict=True)
    ]


def read_lines(blocks: Blocks) -> Iterator[FilePart]:
    """The partitions of a file of JSON lines; each is to be read to its end before the next.

    Raises:
        DataError: it is no such file, or damaged.
    """
    lines = _Lines(blocks)
    while lines.document is not None:
        head, keys = _head(lines.document, lines.place)
        lines.advance()
        yield FilePart(head, _complete(lines.rows(head), keys, blocks.name, head))


class _Lines:
    """The objects of a file, one ahead."""

    def __init__(self, blocks: Blocks) -> None:
        self._name = blocks.name
        self._lines = enumerate(blocks.stream, 1)
        self.place = blocks.name
        self.document: dict[str, Any] | None = None
        self.advance()

    def advance(self) -> None:
        """Go on to the next object; None where there is none."""
        self.document = None
        try:
            number, line = next(self._lines, (0, b""))
        except (OSError, EOFError) as error:
            raise DataError(f"{self._name}: is damaged ({error})") from None
        if not line:
            return
        self.place = f"{self._name}: line {number}"
        try:
            document = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise DataError(f"{self.place}: is no JSON object ({error})") from None
        if not isinstance(document, dict):
            raise DataError(f"{self.place}: is no JSON object")
        self.document = document

    def rows(self, head: Head) -> Iterator[Rows]:
        """The rows up to the next partition."""
        keys: list[bytes] = []
        data: list[bytes] = []
        while self.document is not None and "row" in self.document:
            key, row = self.document.get("key"), self.document["row"]
            if self.document.get("partition") != head.marker.partition:
                raise DataError(f"{self.place}: is a row of another partition")
            if not isinstance(key, str) or not isinstance(row, str) or set(row) - _HEXADECIMAL:
                raise DataError(f"{self.place}: key or row is damaged")
            keys.append(key_bytes(key))
            data.append(bytes.fromhex(row) if len(row) % 2 == 0 else b"")
            if len(keys) == _ROWS:
                yield _rows(keys, data, head, self.place)
                keys, data = [], []
            self.advance()
        if keys:
            yield _rows(keys, data, head, self.place)


def read_parquet(blocks: Blocks) -> Iterator[FilePart]:
    """The partitions of a Parquet file; each is to be read to its end before the next.

    Raises:
        MissingExtraError: pyarrow is not installed.
        DataError: it is no such file, or damaged.
    """
    pa = arrow()
    try:
        file = pa.parquet.ParquetFile(blocks.stream)
    except pa.ArrowInvalid as error:
        raise DataError(f"{blocks.name}: is no Parquet file ({error})") from None
    text = (file.schema_arrow.metadata or {}).get(_METADATA) or file.metadata.metadata.get(
        _METADATA
    )
    if text is None or not set(_EXACT) <= set(file.schema_arrow.names):
        raise DataError(f"{blocks.name}: was not written by `stream-ewma state export`")
    batches = _Batches(file.iter_batches(batch_size=_ROWS, columns=list(_EXACT)), blocks.name)
    for document in orjson.loads(text):
        head, keys = _head(document, blocks.name)
        yield FilePart(head, _complete(batches.rows(head), keys, blocks.name, head))


class _Batches:
    """The rows of a Parquet file by partition, in the order of the file."""

    def __init__(self, batches: Iterator[Any], name: str) -> None:
        self._batches = batches
        self._name = name
        self._left: dict[str, list[Any]] | None = None

    def rows(self, head: Head) -> Iterator[Rows]:
        """The rows of the partition that comes next."""
        while True:
            if self._left is None:
                batch = next(self._batches, None)
                if batch is None:
                    return
                self._left = batch.to_pydict()
            numbers = self._left["partition"]
            own = next(
                (i for i, number in enumerate(numbers) if number != head.marker.partition),
                len(numbers),
            )
            if own:
                keys = [key_bytes(key) for key in self._left["key"][:own]]
                yield _rows(keys, self._left["row"][:own], head, self._name)
            if own < len(numbers):
                self._left = {name: column[own:] for name, column in self._left.items()}
                return
            self._left = None


def _described(part: StoredPartition) -> dict[str, Any]:
    """What a partition says of itself, as JSON."""
    marker = asdict(part.head.marker)
    del marker["configuration"]
    configuration = json.loads(part.head.text)
    return {"version": _VERSION, **marker, "keys": len(part), "configuration": configuration}


def _head(document: Mapping[str, Any], place: str) -> tuple[Head, int]:
    """The same read back, and the number of keys."""
    if document.get("version") != _VERSION or not isinstance(document.get("keys"), int):
        raise DataError(
            f"{place}: does not say what partition follows: was it written by `stream-ewma state"
            " export`, of this version?"
        )
    # The text whose hash the marker has: the same as `Configuration.to_bytes` writes.
    text = json.dumps(document.get("configuration"), sort_keys=True, separators=(",", ":"))
    data = text.encode()
    marker = {**document, "version": 1, "configuration": fingerprint(data)}
    try:
        return (
            Head(Marker.from_bytes(orjson.dumps(marker)), Configuration.from_bytes(data), data),
            int(document["keys"]),
        )
    except ChangelogError as error:
        raise DataError(f"{place}: {error}") from None


def _complete(rows: Iterator[Rows], keys: int, name: str, head: Head) -> Iterator[Rows]:
    """All rows, if they are as many as there are to be."""
    count = 0
    for some in rows:
        count += len(some.keys)
        yield some
    if count != keys:
        raise DataError(
            f"{name}: partition {head.marker.partition} has {count} rows of {keys}: the file is cut"
            " short or was changed"
        )


def _rows(keys: list[bytes], data: list[bytes], head: Head, place: str) -> Rows:
    words = head.configuration.words
    if any(len(row) != words * WORD for row in data):
        raise DataError(f"{place}: a row has not the {words} words that its configuration says")
    found = np.frombuffer(b"".join(data), "<i8").astype(np.int64, copy=False)
    return Rows(keys, found.reshape(len(keys), words))


def _bytes(rows: Rows) -> list[bytes]:
    """The words of each row, little-endian."""
    return [row.tobytes() for row in rows.words.astype("<i8", copy=False)]
