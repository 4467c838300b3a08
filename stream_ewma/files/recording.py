"""All readings of a file in memory, as columns: 20 bytes a reading."""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from stream_ewma.columns import Float64, Int32, Int64
from stream_ewma.engine.keys import KeyTable
from stream_ewma.errors import DataError, SettingsError
from stream_ewma.files.task import Part
from stream_ewma.payloads.columns import Kind
from stream_ewma.settings import (
    DeadLetterSettings,
    OutputSettings,
    Settings,
    SmoothingSettings,
)
from stream_ewma.smoothing.plan import LARGEST_SQUARED


def last_value(settings: Settings) -> Settings:
    """Settings with which the engine's output is the reading itself, whatever would be smoothed.

    Raises:
        SettingsError: a record has several values.
    """
    if settings.input.values is not None:
        raise SettingsError(
            ["input.values: one value at a time can be tuned; name it with --value"]
        )
    changes = {
        "smoothing": SmoothingSettings(alpha=1.0),
        "output": OutputSettings(),
        "dead_letters": DeadLetterSettings(on_error="skip"),
    }
    return settings.model_copy(update=changes)


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
    """The readings among what the engine answered with the settings of `last_value`.

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
