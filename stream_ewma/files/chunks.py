"""What a file's rows are on their way to the engine, whatever the file's format is."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import orjson

from stream_ewma.columns import NULL, Int64, Spans, as_bytes
from stream_ewma.errors import DataError
from stream_ewma.files.opening import FileFormat
from stream_ewma.payloads.timestamps import text_ms
from stream_ewma.records.columns import RecordColumns


@dataclass(frozen=True, slots=True)
class Fields:
    """Which columns of a row become fields of its record, by the paths of the settings.

    Attributes:
        numbers: paths of readings, and of whatever else is a number or text.
        key: path of the series' key; None: all rows are one series.
        time: path of the event time; None: there is none.
        utc: times without an offset are in UTC.
    """

    numbers: tuple[str, ...]
    key: str | None
    time: str | None
    utc: bool = False

    @property
    def paths(self) -> tuple[str, ...]:
        """All of them, each once."""
        return tuple(dict.fromkeys(p for p in (self.key, self.time, *self.numbers) if p))


@dataclass(frozen=True, slots=True)
class Chunk:
    """n rows of a file.

    Attributes:
        values: n spans, each row as the record value that it stands for.
        text: n spans, the rows as they stand in the file; of Parquet, the values.
        batch: of Parquet, the rows with all their columns.
        line_of: the line, or the row, of the file that a row of the chunk is.
    """

    values: Spans
    text: Spans
    line_of: Callable[[int], int]
    batch: Any = None

    def __len__(self) -> int:
        return len(self.values)


class Source(Protocol):
    """An open file."""

    @property
    def name(self) -> str:
        """What messages call it."""
        ...

    @property
    def format(self) -> FileFormat:
        """Its format."""
        ...

    @property
    def columns(self) -> list[str] | None:
        """Names of its columns; None where its rows need not be alike."""
        ...

    @property
    def share(self) -> float | None:
        """How much of the file has been read, 0 to 1; None where it is not known."""
        ...

    def has(self, path: str) -> bool:
        """Whether the first row, or the header, has a field at `path`."""
        ...

    def chunks(self, fields: Fields) -> Iterator[Chunk]:
        """All rows, in order.

        Raises:
            DataError: the file is damaged, or not what the fields say.
        """
        ...


def as_records(values: Spans, key: bytes | None, timestamp: int, first: int) -> RecordColumns:
    """Records as a partition would hold them.

    Args:
        values: n spans.
        key: of all records; None: none has a key of its own.
        timestamp: of all records, negative where they have none.
        first: offset of the first one.
    """
    n = len(values)
    nothing = Spans(as_bytes(b""), np.zeros(n, np.int32), np.zeros(n, np.int32))
    length = np.full(n, NULL if key is None else len(key), np.int32)
    offsets: Int64 = np.arange(first, first + n, dtype=np.int64)
    return RecordColumns(
        offsets,
        np.full(n, timestamp, np.int64),
        Spans(as_bytes(key or b""), np.zeros(n, np.int32), length),
        values,
        nothing,
        np.zeros(n, np.int32),
    )


def check_time(place: str, text: str, *, has_utc_flag: bool) -> None:
    """Raise where a time is one but for its offset from UTC: so are all others of its column.

    Raises:
        DataError: with what to write instead.
    """
    if text_ms(text) is not None:
        return
    for ending in ("Z", "T00:00:00Z"):
        if text_ms(text + ending) is not None:
            flag = ", or --utc if all these times are in UTC" if has_utc_flag else ""
            raise DataError(f"{place}: '{text}' has no offset from UTC; write {text}{ending}{flag}")


def nest(paths: tuple[str, ...]) -> tuple[list[bytes], list[str]]:
    """The JSON text before, between and after the values of an object with these dotted paths.

    Returns:
        The texts, one more than there are paths, and the paths in the order of their values.

    Raises:
        DataError: one path leads into what another one names as a value.
    """
    tree: dict[str, Any] = {}
    for path in paths:
        *outer, last = path.split(".")
        place = tree
        for name in outer:
            place = place.setdefault(name, {}) if isinstance(place, dict) else {}
        if not isinstance(place, dict) or last in place:
            raise DataError(f"'{path}' cannot be a column, since a part of it is another column")
        place[last] = path
    texts, order = [b""], []

    def walk(place: dict[str, Any]) -> None:
        for number, (name, inner) in enumerate(place.items()):
            texts[-1] += (b"," if number else b"{") + orjson.dumps(name) + b":"
            if isinstance(inner, dict):
                walk(inner)
            else:
                order.append(inner)
                texts.append(b"")
        texts[-1] += b"}"

    walk(tree)
    return texts, order
