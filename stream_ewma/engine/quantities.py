"""The words of rows as quantities with the names that a user knows from the outputs.

They are those at the key's last reading. With several factors the name of the factor follows, with
several values that of the value comes first, as in the output records.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stream_ewma.columns import Float64, Int64
from stream_ewma.engine.config import MS_PER_SECOND
from stream_ewma.engine.configuration import Configuration
from stream_ewma.smoothing.layout import FLAG_EMITTED, FLAG_STALE
from stream_ewma.smoothing.outputs import column_name
from stream_ewma.smoothing.parameters import Clock

_FEWEST_FOR_SLOPE: Final = 3.0
"""Effective readings below which a slope is noise; it is 0 then."""


@dataclass(frozen=True, slots=True)
class Column:
    """A quantity of n keys.

    Attributes:
        values: (n,) integers, floats or truth values; or (n,) lists of one of these.
        is_null: bool (n,), where there is none.
    """

    values: NDArray[Any]
    is_null: NDArray[np.bool_]

    def to_list(self) -> list[Any]:
        """The values as Python has them, None where there is none."""
        values: list[Any] = self.values.tolist()
        for place in np.flatnonzero(self.is_null).tolist():
            values[place] = None
        return values


def quantities(
    configuration: Configuration, keys: list[bytes], words: NDArray[np.int64]
) -> dict[str, Column]:
    """What rows say, by name.

    Args:
        configuration: what gives the words their meaning.
        keys: n keys.
        words: int64 (n, configuration.words).
    """
    found: dict[str, Column] = {}
    values = configuration.values
    width = configuration.words // len(values)
    for number, value in enumerate(values):
        rows = _Rows(configuration, words[:, number * width : (number + 1) * width])
        is_timed = _is_timed(configuration, keys, value)
        for name, column in rows.of_key().items():
            found[column_name(value, name)] = column
        for place, factor in enumerate(configuration.factors):
            for name, column in rows.of_factor(place, is_timed).items():
                own = f"{name}_{factor}" if factor else name
                found[column_name(value, own)] = column
    return found


def _is_timed(configuration: Configuration, keys: list[bytes], value: str) -> NDArray[np.bool_]:
    """Which keys count in event time (n,)."""
    rules = configuration.rules
    timed = [factors[0].clock is Clock.EVENT_TIME for factors in rules.factors]
    if all(timed) or not any(timed):
        return np.full(len(keys), timed[0], np.bool_)
    texts = [key.decode("utf-8", "replace") for key in keys]
    return np.array([timed[rules.resolve(text, value)] for text in texts], np.bool_)


class _Rows:
    """The rows of one value of the record.

    Args:
        configuration: what gives the words their meaning.
        words: int64 (n, words of a row).
    """

    def __init__(self, configuration: Configuration, words: NDArray[np.int64]) -> None:
        self._layout = configuration.layout
        self._words = np.ascontiguousarray(words)
        self._numbers = self._words.view(np.float64)
        self._count = self._words[:, self._layout.key["count"][0]]
        self._is_empty = self._count == 0

    def of_key(self) -> dict[str, Column]:
        """The quantities of the keys."""
        found = {"count": Column(self._count, np.zeros(len(self._count), np.bool_))}
        for name, (place, _) in self._layout.key.items():
            integers, floats = self._words[:, place], self._numbers[:, place]
            match name:
                case "reference":
                    found["event_time"] = self._integer(integers)
                case "session" | "emitted_time":
                    found[name] = self._integer(integers)
                case "clipped":
                    found["clipped_in_a_row"] = self._integer(integers)
                case "flags":
                    found["emitted"] = self._integer(integers & FLAG_EMITTED != 0)
                    found["stale"] = self._integer(integers & FLAG_STALE != 0)
                case "emitted_mean":
                    found["emitted_ewma"] = self._float(floats)
                case "last":
                    found["last_reading"] = self._float(floats)
                case "baseline":
                    found |= self._baseline(place)
                case "held":
                    found |= self._held(place)
        return found

    def of_factor(self, number: int, is_timed: NDArray[np.bool_]) -> dict[str, Column]:
        """The quantities of a factor.

        Args:
            number: which factor.
            is_timed: bool (n,), whether the key counts in event time.
        """
        places = self._layout.factor
        first = self._layout.first_factor + number * self._layout.stride

        def word(name: str, further: int = 0) -> Float64:
            return self._numbers[:, first + places[name][0] + further]

        found = {"ewma": self._float(word("mean"))}
        if "weight" in places:
            found["weight_sum"] = self._float(word("weight"))
        if "spread" in places:
            found |= self._spread(word("spread"), word("spread", 1))
        if "seeded" in places:
            found["squared_weights"] = self._float(word("seeded"))
        if "share" in places:
            found["last_share"] = self._float(word("share"))
        per_unit = np.where(is_timed, MS_PER_SECOND, 1.0)
        if "line" in places:
            found["lag"] = self._float(word("line") / per_unit)
        if "holt" in places:
            found["level"] = self._float(word("holt"))
            found["slope"] = self._float(word("holt", 1) * per_unit)
        elif "line" in places and "spread" in places:
            slope = self._slope(word("spread"), word("line", 1), word("line", 2))
            found["level"] = self._float(word("mean") + slope * word("line"))
            found["slope"] = self._float(slope * per_unit)
        return found

    def _integer(self, values: NDArray[Any]) -> Column:
        return Column(values, self._is_empty)

    def _float(self, values: Float64) -> Column:
        return Column(values, self._is_empty | ~np.isfinite(values))

    def _spread(self, spread: Float64, biased: Float64) -> dict[str, Column]:
        """Kish's effective number of readings, and the variance without bias."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            variance = np.where(self._count >= 2, biased / spread, np.nan)
            return {"n_eff": self._float(1.0 / (1.0 - spread)), "variance": self._float(variance)}

    def _slope(self, spread: Float64, of_time: Float64, with_time: Float64) -> Float64:
        """Of the weighted line through the readings, per unit of time."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            is_sure = (of_time > 0.0) & (1.0 / (1.0 - spread) >= _FEWEST_FOR_SLOPE)
            return np.where(is_sure, with_time / of_time, 0.0)

    def _baseline(self, place: int) -> dict[str, Column]:
        count, squares = self._words[:, place], self._numbers[:, place + 2]
        with np.errstate(divide="ignore", invalid="ignore"):
            deviation = np.sqrt(np.where(count >= 2, squares / (count - 1), np.nan))
        return {
            "baseline_count": self._integer(count),
            "baseline_mean": self._float(self._numbers[:, place + 1]),
            "baseline_std": self._float(deviation),
        }

    def _held(self, place: int) -> dict[str, Column]:
        """The readings that are held back for sorting, and their times."""
        room = (self._layout.key["held"][1] - 1) // 2
        held: Int64 = np.clip(self._words[:, place], 0, room)
        nothing = np.zeros(len(held), np.bool_)
        columns = {}
        for name, words, first in (
            ("held_times", self._words, place + 1),
            ("held_readings", self._numbers, place + 2),
        ):
            lists = np.empty(len(held), object)
            for row, count in enumerate(held.tolist()):
                lists[row] = words[row, first : first + 2 * count : 2].tolist()
            columns[name] = Column(lists, nothing)
        return columns
