"""What a run has shown, as numbers."""

import json
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HOUR_S = 3600.0
MEBIBYTE = 1 << 20
WARM_UP_S = 900.0
LONG_ENOUGH_S = 900.0  # of a shorter life the slope is that of warming up


@dataclass(frozen=True)
class Struck:
    """A fault as it went.

    Attributes:
        at: seconds after the start of the run.
        seconds: how long it took until everything went on.
    """

    name: str
    at: float
    seconds: float
    hit: bool
    detail: str


@dataclass(frozen=True)
class Sample:
    """What a member takes up at one moment.

    Attributes:
        at: seconds after the start of the run.
        age: seconds since the member's first sample.
    """

    member: str
    at: float
    age: float
    resident_bytes: int
    descriptors: int


@dataclass
class Report:
    """What a run has shown.

    Attributes:
        parameters: what it was started with; with the seed among them, it can be run again.
        problems: whatever is wrong besides differences: state, transactions, traces in logs.
        recovery: seconds, by what is measured.
    """

    parameters: Mapping[str, Any]
    struck: list[Struck] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    recovery: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    differences: list[str] = field(default_factory=list)
    difference_count: int = 0
    problems: list[str] = field(default_factory=list)
    events: int = 0
    outputs: int = 0
    dead_letters: int = 0
    repeated: int = 0
    replays: int = 0
    seconds: float = 0.0

    @property
    def verdict(self) -> str:
        """FAIL if anything is wrong; INVALID if a fault did not strike; else PASS."""
        if self.difference_count or self.problems:
            return "FAIL"
        return "PASS" if self.struck and all(each.hit for each in self.struck) else "INVALID"

    def document(self) -> dict[str, Any]:
        """All of it as JSON."""
        missed = [each.name for each in self.struck if not each.hit]
        return {
            "verdict": self.verdict,
            "parameters": dict(self.parameters),
            "seconds": round(self.seconds, 1),
            "events": self.events,
            "outputs": self.outputs,
            "dead_letters": self.dead_letters,
            "repeated": self.repeated,
            "replays": self.replays,
            "difference_count": self.difference_count,
            "differences": self.differences,
            "problems": self.problems,
            "faults": len(self.struck),
            "missed": missed,
            "recovery_s": {name: quantiles(times) for name, times in self.recovery.items()},
            "memory_mib_per_hour": slopes(self.samples, "resident_bytes", MEBIBYTE),
            "descriptors_per_hour": slopes(self.samples, "descriptors", 1),
            "most_resident_mib": round(
                max((each.resident_bytes for each in self.samples), default=0) / MEBIBYTE
            ),
            "most_descriptors": max((each.descriptors for each in self.samples), default=0),
            "struck": [vars(each) for each in self.struck],
            "samples": [vars(each) for each in self.samples],
        }

    def write(self, file: Path) -> None:
        """Write it down as JSON."""
        file.write_text(json.dumps(self.document(), indent=1) + "\n")


def quantiles(times: Iterable[float]) -> dict[str, float]:
    """Number, median, 99th percentile and maximum."""
    ordered = sorted(times)
    place = min(len(ordered) - 1, int(0.99 * len(ordered)))
    return {
        "n": len(ordered),
        "p50": round(statistics.median(ordered), 3),
        "p99": round(ordered[place], 3),
        "max": round(ordered[-1], 3),
    }


def slopes(samples: Iterable[Sample], what: str, unit: float) -> dict[str, float]:
    """Growth an hour of each member that lived long after warming up, by least squares."""
    series: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for each in samples:
        if each.age > WARM_UP_S:
            series[each.member].append((each.at, getattr(each, what) / unit))
    return {
        member: round(statistics.linear_regression(*zip(*points, strict=True)).slope * HOUR_S, 3)
        for member, points in series.items()
        if points[-1][0] - points[0][0] > LONG_ENOUGH_S
    }
