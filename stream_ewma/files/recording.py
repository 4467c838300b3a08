"""All readings of a file in memory, as columns: 20 bytes a reading."""

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from stream_ewma.columns import Float64, Int32, Int64
from stream_ewma.engine.keys import KeyTable
from stream_ewma.errors import DataError, SettingsError
from stream_ewma.files.task import Part
from stream_ewma.payloads.columns import Kind
from stream_ewma.settings import Settings
from stream_ewma.smoothing.plan import LARGEST_SQUARED

LAST_VALUE: Final[Mapping[str, dict[str, object]]] = {
    "smoothing": {"alpha": 1.0},
    "output": {},
    "dead_letters": {"on_error": "skip"},
}
"""Settings with which the engine's output is the reading itself, whatever would be smoothed."""


def require_one_value(settings: Settings) -> None:
    """Refuse records of several values: each would have a factor of its own.

    Raises:
        SettingsError: there are several.
    """
    if settings.input.values is not None:
        raise SettingsError(["input.values: tune one value at a time; name it with --value"])


@dataclass(frozen=True, slots=True)
class Recording:
    """n readings in the order of the file.

    Attributes:
        slot: int32 (n,), the key of each.
        time: int64 (n,), event time in ms.
        x: float64 (n,).
        keys: name of each key.
    """

    slot: Int32
    time: Int64
    x: Float64
    keys: list[str]

    def __len__(self) -> int:
        return len(self.x)

    def gaps(self) -> Int64:
        """Times between two readings that follow one another in a key; those above 0."""
        order = np.lexsort((self.time, self.slot))
        step = np.diff(self.time[order])
        gaps: Int64 = step[(np.diff(self.slot[order]) == 0) & (step > 0)]
        return gaps


def record(parts: Iterable[Part], name: str, max_keys: int) -> Recording:
    """The readings among what the engine answered with the settings `LAST_VALUE`.

    Args:
        parts: of a whole file.
        name: of the file.
        max_keys: as in `state.max_keys`.

    Raises:
        DataError: a reading is too large for its error to be squared.
    """
    table = KeyTable((secrets.randbits(64), secrets.randbits(64)), max_keys)
    slots, times, numbers = [], [], []
    for part in parts:
        for columns in (each.smoothed for each in part.smoothed.parts):
            rows = np.flatnonzero(columns.kind == Kind.SMOOTHED)
            x = np.asarray(columns.outputs["ewma"], np.float64)[rows]
            if len(x) and np.abs(x).max() > LARGEST_SQUARED:
                raise DataError(
                    f"{name}: a reading is beyond {LARGEST_SQUARED:g}, its error cannot be squared"
                )
            slots.append(table.find(columns.keys.take(rows), np.ones(len(rows), np.uint8)).slots)
            times.append(columns.timestamp[rows])
            numbers.append(x)
    names = [table.key(slot).decode(errors="replace") for slot in range(len(table))]
    return Recording(
        np.concatenate([np.zeros(0, np.int32), *slots]),
        np.concatenate([np.zeros(0, np.int64), *times]),
        np.concatenate([np.zeros(0), *numbers]),
        names,
    )
