"""What `top` knows of a member: its last status, rates, and the keys seen in its samples."""

import math
import re
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from stream_ewma.web.client import LOST, OPEN, Event

_RATE_S: Final = 5.0
"""Rates are means over so long."""
_MOST_KEYS: Final = 2_000
_MOST_VALUES: Final = 120
_FORGET_S: Final = 20.0
"""How busy a key is counts its samples, those of so long ago 1/e."""

Place = tuple[str, int]


@dataclass(slots=True)
class SeenKey:
    """One key, as its last sample shows it.

    Attributes:
        key: its text.
        at: when the sample came, on the board's clock.
        value: what came in; None: no number.
        smoothed: the first output.
        count: of its readings, if that is published.
        values: the last numbers that came in, the newest last.
        busy: its samples, the older ones counting less.
    """

    key: str
    at: float = 0.0
    value: float | None = None
    smoothed: float | None = None
    count: int | None = None
    values: deque[float] = field(default_factory=lambda: deque(maxlen=_MOST_VALUES))
    busy: float = 0.0

    def add(self, data: Mapping[str, Any], now: float) -> None:
        """Take in a sample."""
        outputs: dict[str, Any] = data["outputs"]
        self.busy = self.busy_at(now) + 1.0
        self.at = now
        self.value = next(iter(data["values"].values()), None)
        self.smoothed = outputs.get(first_output(outputs))
        count = outputs.get("count")
        self.count = count if isinstance(count, int) else None
        if self.value is not None:
            self.values.append(self.value)

    def busy_at(self, now: float) -> float:
        """How busy it is by now."""
        return self.busy * math.exp(min(self.at - now, 0.0) / _FORGET_S)


@dataclass(frozen=True, slots=True)
class Rates:
    """What happens each second, by the last few of them.

    Attributes:
        consumed: records read.
        emitted: records published.
        rejected: records that could not be smoothed.
        commits: commits.
        partitions: records processed, by partition.
    """

    consumed: float
    emitted: float
    rejected: float
    commits: float
    partitions: Mapping[Place, float]


def first_output(outputs: Mapping[str, Any]) -> str:
    """Name of the output that is shown: the first that is a number and no count."""
    numbers = [
        name
        for name, value in outputs.items()
        if name != "count" and not isinstance(value, (bool, str))
    ]
    return numbers[0] if numbers else "ewma"


class Board:
    """What is known of a member by now.

    Args:
        address: where it is.

    Attributes:
        address: the same.
        status: as told last; None: not yet.
        trouble: why nothing is heard of it; empty: it is.
        keys: those seen, by their text.
        output: name of the output that is shown of keys.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.status: dict[str, Any] | None = None
        self.trouble = "connecting"
        self.keys: dict[str, SeenKey] = {}
        self.output = "ewma"
        self._past: deque[dict[str, Any]] = deque()

    def take(self, event: Event, now: float) -> None:
        """Take in what the member told."""
        if event.name == OPEN:
            # What answers may have been started anew, and counts from nothing.
            self._past.clear()
            self.trouble = ""
        elif event.name == LOST:
            self.trouble = str(event.data["reason"])
        elif event.name == "status":
            self._take_status(event.data)
        elif event.name == "sample":
            self._take_sample(event.data, now)

    def _take_status(self, status: dict[str, Any]) -> None:
        self.status = status
        self._past.append(status)
        while len(self._past) > 2 and self._past[1]["time"] <= status["time"] - _RATE_S:
            self._past.popleft()

    def _take_sample(self, data: dict[str, Any], now: float) -> None:
        if data["kind"] == "tombstone":
            self.keys.pop(data["key"], None)
            return
        key = self.keys.get(data["key"])
        if key is None:
            if len(self.keys) >= _MOST_KEYS:
                self._forget(now)
            key = self.keys[data["key"]] = SeenKey(data["key"])
        if data["kind"] != "stale":
            key.add(data, now)
            self.output = first_output(data["outputs"])

    def _forget(self, now: float) -> None:
        """Make room: the idler half of the keys goes."""
        busiest = sorted(self.keys.values(), key=lambda key: -key.busy_at(now))
        self.keys = {key.key: key for key in busiest[: _MOST_KEYS // 2]}

    @property
    def rates(self) -> Rates | None:
        """What happens each second; None: not known yet."""
        if len(self._past) < 2:
            return None
        first, last = self._past[0], self._past[-1]
        seconds = last["time"] - first["time"]
        if seconds <= 0:
            return None

        def rate(name: str) -> float:
            per_second: float = max(last[name] - first[name], 0) / seconds
            return per_second

        positions = {place(each): each["position"] for each in first["partitions"]}
        moved = {
            place(each): max(each["position"] - positions[place(each)], 0) / seconds
            for each in last["partitions"]
            if each["position"] is not None and positions.get(place(each)) is not None
        }
        rejected = (sum(last["rejected"].values()) - sum(first["rejected"].values())) / seconds
        return Rates(
            rate("consumed"),
            rate("emitted"),
            float(max(rejected, 0.0)),
            rate("commits"),
            moved,
        )

    def busiest(
        self, now: float, most: int, prefix: str = "", skip: int = 0
    ) -> tuple[list[SeenKey], int]:
        """Some keys that begin with `prefix`, by their names, and how many there are.

        Args:
            now: on the board's clock.
            most: so many are wanted.
            prefix: of their names.
            skip: so many that are busier are not, as long as there are others.
        """
        found = [key for key in self.keys.values() if key.key.startswith(prefix)]
        found.sort(key=lambda key: (-key.busy_at(now), key.key))
        skip = max(min(skip, len(found) - most), 0)
        return sorted(found[skip:][:most], key=lambda key: _natural(key.key)), len(found)

    def document(self, now: float) -> dict[str, Any]:
        """All of it, for programs."""
        status, rates = self.status or {}, self.rates
        by_place = {} if rates is None else rates.partitions
        partitions = [
            {**each, "per_second": _rounded(by_place.get(place(each)))}
            for each in status.get("partitions", ())
        ]
        totals = None
        if rates is not None:
            names = ("consumed", "emitted", "rejected", "commits")
            totals = {name: _rounded(getattr(rates, name)) for name in names}
        return {
            "address": self.address,
            **status,
            "partitions": partitions,
            "per_second": totals,
            "keys": [
                {
                    "key": key.key,
                    "value": key.value,
                    self.output: key.smoothed,
                    "count": key.count,
                    "age_s": round(now - key.at, 3),
                }
                for key in self.busiest(now, _MOST_KEYS)[0]
            ],
        }


def place(partition: Mapping[str, Any]) -> Place:
    """What tells a partition from others."""
    return partition["topic"], partition["partition"]


def by_trouble(partitions: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Partitions in order, those first that are not being worked on."""
    return sorted(partitions, key=lambda each: each["phase"] == "running")


def _natural(text: str) -> list[tuple[int, str]]:
    """What sorts pump-2 before pump-10."""
    parts = re.split(r"([0-9]{1,18})", text)
    return [(int(part), "") if part.isdecimal() else (0, part) for part in parts]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
