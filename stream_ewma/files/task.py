"""Between files and the engine: the one place that knows both.

A file is one partition: its rows are records, its state one `Smoother`, and the settings are
those of the service but for what a file has not: the cluster, record timestamps, record keys.
"""

import secrets
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stream_ewma.columns import Int64, Spans
from stream_ewma.engine.config import TaskConfig
from stream_ewma.engine.dead_letters import Reason
from stream_ewma.engine.smoother import Smoothed, Smoother
from stream_ewma.errors import DataError
from stream_ewma.files.chunks import Chunk, Fields, Source, as_records
from stream_ewma.files.opening import nearest
from stream_ewma.files.parquet import ParquetSource
from stream_ewma.payloads.columns import Column
from stream_ewma.service.config import task_config
from stream_ewma.settings import Settings
from stream_ewma.settings.names import settings as all_settings
from stream_ewma.smoothing.layout import NOWHERE
from stream_ewma.smoothing.outputs import Quantity

_UNTIMED = 0
"""Event time of rows without one where no clock asks for it."""
_MISSING = -1


def fields_of(settings: Settings, source: Source, *, utc: bool) -> Fields:
    """What is read of each row.

    Where the settings name nothing, columns named `key` and `timestamp` are taken if they exist.

    Raises:
        DataError: a column does not exist.
    """
    read = settings.input
    plain = source.format == "jsonl" and read.format == "text"
    key = read.key or ("key" if source.has("key") and not plain else None)
    time = read.timestamp
    is_default = time == _default("timestamp") and source.columns is not None
    if time is not None and is_default and not source.has(time):
        time = None
    numbers = (read.value,) if read.values is None else tuple(read.values.values())
    weight = () if read.weight is None else (read.weight,)
    fields = Fields((*numbers, *weight), key, time, utc)
    if source.columns is not None:
        if read.reset is not None:
            raise DataError(f"{source.name}: input.reset is for JSON lines; leave it out")
        flags = dict.fromkeys(numbers, "value" if read.values is None else "input.values")
        flags |= dict.fromkeys(weight, "input.weight")
        flags |= {path: flag for path, flag in ((key, "key"), (time, "time")) if path}
        for path in fields.paths:
            if path not in source.columns:
                raise DataError(_unknown_column(source, path, flags[path]))
    elif utc:
        raise DataError(f"{source.name}: --utc is for CSV and Parquet; write times with an offset")
    return fields


def _default(name: str) -> object:
    return all_settings()[f"input.{name}"].field.default


def _unknown_column(source: Source, path: str, flag: str) -> str:
    columns = source.columns or []
    close = nearest(path, columns)
    advice = f"write --{flag} {close}" if close else f"write --{flag} with one of its columns"
    shown = ", ".join(columns[:12]) + (", ..." if len(columns) > 12 else "")
    return f"{source.name}: has no column '{path}'; {advice} (it has {shown})"


def fitted(settings: Settings, source: Source, fields: Fields) -> Settings:
    """The settings as they apply to the rows of `source`.

    Raises:
        DataError: the settings ask for what the file cannot give.
    """
    changes: dict[str, object] = {
        "key": fields.key,
        "timestamp": fields.time,
        "max_future_skew": None,  # compares with the record's own timestamp, which no row has
    }
    if source.format != "jsonl":
        # Every cell of CSV is text; numbers in the text columns of Parquet only if so set.
        is_csv = source.format == "csv"
        changes |= {"format": "json", "coerce_strings": is_csv or settings.input.coerce_strings}
    elif settings.input.format in ("double", "float"):
        raise DataError(f"{source.name}: lines are no {settings.input.format}s; write format: json")
    if isinstance(source, ParquetSource) and fields.time and source.is_moment(fields.time):
        changes["timestamp_unit"] = "ms"
    read = settings.input.model_copy(update=changes)
    return settings.model_copy(update={"input": read})


@dataclass(frozen=True, slots=True)
class Part:
    """A chunk and what became of it."""

    chunk: Chunk
    smoothed: Smoothed

    @property
    def smoothed_rows(self) -> int:
        """How many rows have a result."""
        return sum(len(each.rows) for each in self.smoothed.parts if not each.is_report)

    def results(self) -> list[tuple[Int64, dict[str, Column]]]:
        """Rows of the chunk, and their outputs; reports of silent keys belong to no row."""
        return [
            (each.rows, dict(each.smoothed.outputs))
            for each in self.smoothed.parts
            if not each.is_report
        ]

    def rejected(self) -> list[tuple[int, Reason]]:
        """The rejected rows of the chunk, and why; of those that were looked at."""
        reasons = self.smoothed.reason[: self.smoothed.failed_row]
        return [(row, Reason(int(reasons[row]))) for row in np.flatnonzero(reasons >= 0).tolist()]

    @property
    def failure(self) -> tuple[int, Reason] | None:
        """The row that stops the work under `on_error: fail`, and why."""
        row = self.smoothed.failed_row
        return None if row is None else (row, Reason(int(self.smoothed.reason[row])))


class FileTask:
    """The smoothing of one file.

    Args:
        name: of its series, where rows have no keys.
        settings: as `fitted` answers them.

    Attributes:
        config: what the engine works by.
        rows: how many have been smoothed or refused.
    """

    def __init__(self, name: str, settings: Settings) -> None:
        self.config: TaskConfig = task_config(settings)
        series = "stdin" if name == "-" else Path(name).name.partition(".")[0] or name
        seed = (secrets.randbits(64), secrets.randbits(64))
        self._smoother = Smoother(self.config, seed, series.encode())
        self._key = None if settings.input.key else series.encode()
        self._timestamp = _MISSING if self.uses_event_time else _UNTIMED
        self.rows = 0

    def require_time(self) -> None:
        """Refuse rows without event time, whatever the clock."""
        self._timestamp = _MISSING

    @property
    def uses_event_time(self) -> bool:
        """Whether anything is asked for that event time decides."""
        return self.config.plan.places.reference != NOWHERE or self.config.sessions is not None

    @property
    def keys_count(self) -> int:
        """Keys seen so far."""
        return self._smoother.keys_count

    def smooth(self, chunk: Chunk) -> Part:
        """Smooth the next rows."""
        records = as_records(chunk.values, self._key, self._timestamp, self.rows)
        position, self.rows = self.rows, self.rows + len(chunk)
        return Part(chunk, self._smoother.smooth(records, position, self.rows))

    def documents(self, part: Part) -> list[Spans]:
        """The values that the service would publish."""
        return [self.config.encoder.encode(each.smoothed) for each in part.smoothed.parts]

    def no_outputs(self) -> dict[str, Column]:
        """The outputs of no rows: what a file has for a header before there is a result."""
        kinds: dict[str, type[np.generic]] = {}
        for series in self.config.fields:
            for output in self.config.outputs:
                kind: type[np.generic] = np.bool_ if output.quantity.is_flag else np.float64
                if output.quantity is Quantity.COUNT:
                    kind = np.int64
                kinds[self.config.column_name(series, output.name)] = kind
        return {name: np.empty(0, kind) for name, kind in kinds.items()}
