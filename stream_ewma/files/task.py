"""Between files and the engine: the one place that knows both.

A file is one partition: its rows are records, its state one `PartitionTask`, and the settings are
those of the service but for what a file has not: the cluster, record timestamps, record keys.
"""

import secrets
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stream_ewma.columns import Spans
from stream_ewma.engine.dead_letters import Reason
from stream_ewma.engine.task import PartitionTask, Smoothed, TaskConfig
from stream_ewma.errors import DataError
from stream_ewma.files.chunks import Chunk, Fields, Source, as_records
from stream_ewma.files.opening import nearest
from stream_ewma.files.parquet import ParquetSource
from stream_ewma.service.config import task_config
from stream_ewma.settings import Settings
from stream_ewma.settings.names import settings as all_settings
from stream_ewma.smoothing.parameters import Clock

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
    fields = Fields((read.value,), key, time, utc)
    if source.columns is not None:
        flags = {read.value: "value", key: "key", time: "time"}
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

    def rejected(self) -> list[tuple[int, Reason]]:
        """The rejected rows of the chunk, and why."""
        reasons = self.smoothed.reason
        return [(row, Reason(int(reasons[row]))) for row in np.flatnonzero(reasons >= 0).tolist()]


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
        self._task = PartitionTask(series, 0, 0, self.config, seed)
        self._key = None if settings.input.key else series.encode()
        self._timestamp = _MISSING if self.uses_event_time else _UNTIMED
        self.rows = 0

    def require_time(self) -> None:
        """Refuse rows without event time, whatever the clock."""
        self._timestamp = _MISSING

    @property
    def uses_event_time(self) -> bool:
        """Whether any key's factor counts on event time."""
        sets = self.config.rules.factors
        return any(factor.clock is Clock.EVENT_TIME for factors in sets for factor in factors)

    @property
    def keys_count(self) -> int:
        """Keys seen so far."""
        return self._task.keys_count

    def smooth(self, chunk: Chunk) -> Part:
        """Smooth the next rows."""
        records = as_records(chunk.values, self._key, self._timestamp, self.rows)
        self.rows += len(chunk)
        return Part(chunk, self._task.smooth(records))

    def documents(self, part: Part) -> Spans:
        """The values that the service would publish."""
        return self.config.encoder.encode(part.smoothed.columns)
