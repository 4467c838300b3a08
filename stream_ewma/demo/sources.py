"""Where the demo's readings come from: this machine's own metrics, or simulated sensors."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import psutil

from stream_ewma.columns import Float64, Int64


@dataclass(frozen=True, slots=True)
class Series:
    """What one key of the input topic measures."""

    name: str
    unit: str


@dataclass(frozen=True, slots=True)
class Readings:
    """n readings, oldest first.

    Attributes:
        series: int64 (n,), index into the source's `series`.
        timestamp: int64 (n,), event time in ms.
        value: float64 (n,), finite, in the unit of the series.
    """

    series: Int64
    timestamp: Int64
    value: Float64

    def __len__(self) -> int:
        return len(self.series)


class Source(Protocol):
    """Readings as they fall due. The clock belongs to the caller."""

    @property
    def series(self) -> tuple[Series, ...]:
        """What is measured; the set is fixed from the start."""
        ...

    def read(self, now_ms: int) -> Readings:
        """The readings that fell due since the last call, oldest first."""
        ...


def _column(values: list[int]) -> Int64:
    return np.array(values, np.int64)


_RATE_PER_SERIES: Final = 10.0

# --- this machine ------------------------------------------------------------------------------

_FIRST_CORES: Final = 8
"""Cores listed before memory, disk and network; the others come last, so that a view of the first
few series shows some of everything on a machine with many cores."""

_MAX_TEMPERATURES: Final = 4
_TEMPERATURE_INTERVAL_MS: Final = 1000
"""The chips behind the sensors refresh about once a second, and reading them can take
milliseconds each."""

_UNITS: Final[Mapping[str, str]] = {
    "memory": "MiB",
    "disk-read": "MB/s",
    "disk-write": "MB/s",
    "net-received": "kB/s",
    "net-sent": "kB/s",
}
_BYTES_IN: Final[Mapping[str, float]] = {"MB/s": 1e6, "kB/s": 1e3}


class MachineSource:
    """This machine's load: each core, memory, disk and network rates, temperatures.

    What the machine (or the container) does not tell is left out.

    Args:
        rate: readings per second, all series together; None for ten of each. Temperatures come
            once a second at most.
        now_ms: the present, from which the first interval counts.
    """

    def __init__(self, rate: float | None, now_ms: int) -> None:
        self._due_ms = float(now_ms)
        self._measured_ms = now_ms
        self._temperatures_due_ms = now_ms
        self._counters = _byte_counters()
        cores = [Series(f"cpu-{core}", "%") for core in range(psutil.cpu_count() or 1)]
        rates = [Series(name, _UNITS[name]) for name in ("memory", *self._counters)]
        chips = [Series(name, "°C") for name in _temperatures()]
        self._series = (*cores[:_FIRST_CORES], *rates, *chips, *cores[_FIRST_CORES:])
        self._index = {series.name: index for index, series in enumerate(self._series)}
        each = _RATE_PER_SERIES if rate is None else rate / len(self._series)
        self._interval_ms = max(1000.0 / each, 1.0)
        self._primed = False

    @property
    def series(self) -> tuple[Series, ...]:
        """The series found on this machine at the start."""
        return self._series

    def read(self, now_ms: int) -> Readings:
        """One reading of every series when an interval has passed; missed intervals are lost.

        The first call only notes the counters: a rate lies between two looks. (psutil keeps the
        last look at the cores for each thread, so the thread that reads must make both.)
        """
        found: dict[str, float] = {}
        if now_ms >= self._due_ms:
            self._due_ms = max(self._due_ms + self._interval_ms, now_ms - self._interval_ms)
            found = self._measure(now_ms)
        if not self._primed:
            self._primed = bool(found)
            found = {}
        known = [(self._index[name], value) for name, value in found.items() if name in self._index]
        return Readings(
            series=_column([index for index, _ in known]),
            timestamp=np.full(len(known), now_ms, np.int64),
            value=np.array([value for _, value in known], np.float64),
        )

    def _measure(self, now_ms: int) -> dict[str, float]:
        loads = psutil.cpu_percent(percpu=True)
        found = {f"cpu-{core}": load for core, load in enumerate(loads)}
        memory = psutil.virtual_memory()
        found["memory"] = round((memory.total - memory.available) / 2**20, 2)
        before, self._counters = self._counters, _byte_counters()
        seconds = max(now_ms - self._measured_ms, 1) / 1000
        self._measured_ms = now_ms
        for name, total in self._counters.items():
            # A device that went away takes its bytes out of the sum: not a negative rate.
            moved = max(total - before.get(name, total), 0)
            found[name] = round(moved / seconds / _BYTES_IN[_UNITS[name]], 3)
        if now_ms >= self._temperatures_due_ms:
            self._temperatures_due_ms = now_ms + _TEMPERATURE_INTERVAL_MS
            found |= _temperatures()
        return found


def _byte_counters() -> dict[str, int]:
    counters: dict[str, int] = {}
    disk = psutil.disk_io_counters()
    if disk is not None:
        counters |= {"disk-read": disk.read_bytes, "disk-write": disk.write_bytes}
    net = psutil.net_io_counters()
    if net is not None:
        counters |= {"net-received": net.bytes_recv, "net-sent": net.bytes_sent}
    return counters


def _temperatures() -> dict[str, float]:
    found: dict[str, float] = {}
    if not hasattr(psutil, "sensors_temperatures"):  # defined only where the system has it
        return found
    for chip, sensors in sorted(psutil.sensors_temperatures().items()):
        for number, sensor in enumerate(sensors):
            if len(found) < _MAX_TEMPERATURES:
                found[f"{chip}-{number}"] = round(float(sensor.current), 3)
    return found


# --- simulated sensors -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Kind:
    name: str
    unit: str
    level: float
    swing: float
    noise: float


_KINDS: Final = (
    _Kind("temperature", "°C", level=21.0, swing=3.0, noise=0.9),
    _Kind("pressure", "bar", level=4.2, swing=0.4, noise=0.14),
    _Kind("vibration", "mm/s", level=2.4, swing=0.6, noise=0.35),
    _Kind("flow", "l/min", level=120.0, swing=18.0, noise=6.0),
)
_SPIKE_PROBABILITY: Final = 0.004
_SPIKE_NOISES: Final = 8.0
_DIGITS: Final = 4


class SimulatedSource:
    """Noisy sensors: a level, a slow swing, Gaussian noise and now and then a spike.

    Reading i belongs to sensor i mod `keys` and has event time `start_ms` + i / rate. The values
    follow from the seed alone, however the calls cut the stream. A source that was not read for
    over a second leaves out what is older.

    Args:
        keys: number of sensors.
        rate: readings per second, all sensors together; None for ten of each.
        seed: equal seeds give equal values.
        start_ms: event time of the first reading.
    """

    def __init__(self, keys: int, rate: float | None, seed: int, start_ms: int) -> None:
        self._rate = _RATE_PER_SERIES * keys if rate is None else rate
        self._start_ms = start_ms
        self._next = 0
        kinds = [_KINDS[key % len(_KINDS)] for key in range(keys)]
        digits = len(str((keys - 1) // len(_KINDS) + 1))
        self._series = tuple(
            Series(f"{kind.name}-{key // len(_KINDS) + 1:0{digits}d}", kind.unit)
            for key, kind in enumerate(kinds)
        )
        # Apart, so that each is one sequence that does not depend on the other's use.
        traits, self._noise, self._spikes = np.random.default_rng(seed).spawn(3)
        self._level = np.array([k.level for k in kinds]) * traits.uniform(0.9, 1.1, keys)
        self._swing = np.array([k.swing for k in kinds]) * traits.uniform(0.5, 1.5, keys)
        self._sigma = np.array([k.noise for k in kinds]) * traits.uniform(0.7, 1.3, keys)
        self._period_s = traits.uniform(30.0, 120.0, keys)
        self._phase = traits.uniform(0.0, 2 * np.pi, keys)

    @property
    def series(self) -> tuple[Series, ...]:
        """The simulated sensors."""
        return self._series

    def read(self, now_ms: int) -> Readings:
        """The readings with event time before `now_ms` that were not given yet."""
        due = max(int((now_ms - self._start_ms) * self._rate / 1000), 0)
        first = max(self._next, due - max(int(self._rate), 1))
        number = np.arange(first, max(due, first), dtype=np.int64)
        self._next = max(due, first)
        key = number % len(self._series)
        seconds = number / self._rate
        turn = 2 * np.pi * seconds / self._period_s[key] + self._phase[key]
        noise = self._noise.standard_normal(len(number))
        noise[self._spikes.random(len(number)) < _SPIKE_PROBABILITY] *= _SPIKE_NOISES
        value = self._level[key] + self._swing[key] * np.sin(turn) + self._sigma[key] * noise
        return Readings(
            series=key,
            timestamp=self._start_ms + (seconds * 1000).astype(np.int64),
            value=np.round(value, _DIGITS),
        )
