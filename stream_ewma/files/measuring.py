"""What a reading costs: synthetic readings through the task of a partition, with a clock beside it.

All that the service does to a record between the bytes of a fetch and the bytes to be sent is
measured; Kafka's client and the brokers are not there.
"""

import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from stream_ewma.columns import Float64, Int64, Spans, as_bytes
from stream_ewma.engine.task import PartitionTask
from stream_ewma.errors import DataError
from stream_ewma.files.chunks import nest
from stream_ewma.records.compression import Compression
from stream_ewma.records.fetched import BatchRun, split_runs
from stream_ewma.records.writer import encode
from stream_ewma.service.config import task_config
from stream_ewma.settings import InputSettings, Settings

BATCH_RECORDS: Final = 10_000
"""Records in a batch of the input."""
FETCH_RECORDS: Final = 100_000
"""Records in a fetch; behind each one is a commit."""
_START_MS: Final = 1_767_225_600_000
_PERIOD_MS: Final = 1_000
"""Event time between two readings of a key, on average."""

_UNIT_NS: Final = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}


@dataclass(frozen=True, slots=True)
class Cost:
    """What it took.

    Attributes:
        readings: how many were smoothed while the clock ran.
        keys: how many keys have state.
        emitted: smoothed records.
        rejected: readings that could not be smoothed.
        smoothing_ns: CPU time of input bytes to output bytes.
        changelog_ns: CPU time of the rows for the changelog; None: nothing is kept.
        state_bytes: memory of the keys and their state.
        input_bytes: the size of what was read.
        output_bytes: the size of what would be published.
    """

    readings: int
    keys: int
    emitted: int
    rejected: int
    smoothing_ns: int
    changelog_ns: int | None
    state_bytes: int
    input_bytes: int
    output_bytes: int


def measure(
    settings: Settings, readings: int, keys: int, progress: Callable[[int], None] = lambda _: None
) -> Cost:
    """Smooth `readings` of `keys`, after a first reading of each key, which is not counted.

    Args:
        settings: of the service.
        readings: how many to measure.
        keys: drawn evenly at random from so many.
        progress: told after each fetch how many readings have been measured.

    Raises:
        DataError: the settings stop at these readings.
    """
    run = _Run(settings, keys)
    # The kernels are compiled, and the keys are new, only once.
    warm_up = max(keys, FETCH_RECORDS)
    for first in range(0, warm_up, FETCH_RECORDS):
        run.fetch(np.arange(first, min(first + FETCH_RECORDS, warm_up)) % keys)
    run.restart()
    for first in range(0, readings, FETCH_RECORDS):
        run.fetch(run.draw(min(FETCH_RECORDS, readings - first)))
        progress(run.readings)
    return run.cost()


class _Run:
    """Readings on their way through the task of a partition."""

    def __init__(self, settings: Settings, keys: int) -> None:
        self._config = task_config(settings)
        seed = (secrets.randbits(64), secrets.randbits(64))
        self._task = PartitionTask("bench", 0, 0, self._config, seed)
        self._source = _Source(settings.input, keys)
        self.restart()

    def restart(self) -> None:
        """Count from here on."""
        self.readings = self._emitted = self._rejected = 0
        self._smoothing_ns = self._changelog_ns = self._input = self._output = 0

    def draw(self, count: int) -> Int64:
        """The keys of so many readings."""
        return self._source.draw(count)

    def fetch(self, keys: Int64) -> None:
        """Smooth a reading of each of `keys`, and commit."""
        runs, size = self._source.fetch(keys)
        started = time.process_time_ns()
        step = self._task.process(runs)
        for batch in step.batches:
            batch.encoded.to_bytes(1, 0, 0, is_transactional=True)
        smoothed = time.process_time_ns()
        if self._config.durable:
            self._task.cut()
            self._changelog_ns += time.process_time_ns() - smoothed
        if step.failure is not None:
            raise DataError(f"a reading stops the service: {step.failure.message}")
        self._smoothing_ns += smoothed - started
        self.readings += len(keys)
        self._emitted += step.emitted
        self._rejected += sum(step.rejected.values())
        self._input += size
        self._output += sum(batch.encoded.size for batch in step.batches)

    def cost(self) -> Cost:
        """What it took so far."""
        return Cost(
            self.readings,
            self._task.keys_count,
            self._emitted,
            self._rejected,
            self._smoothing_ns,
            self._changelog_ns if self._config.durable else None,
            self._task.state_bytes,
            self._input,
            self._output,
        )


class _Source:
    """Noisy sensors in the form that the settings read.

    Args:
        read: how records are read.
        keys: how many sensors there are.

    Raises:
        DataError: one path leads into another.
    """

    def __init__(self, read: InputSettings, keys: int) -> None:
        self._random = np.random.default_rng(3)
        self._read, self._keys = read, keys
        self._offset = 0
        if read.format == "json":
            numbers = (read.value,) if read.values is None else tuple(read.values.values())
            paths = (*numbers, read.timestamp, read.key, read.weight)
            self._texts, self._order = nest(tuple(dict.fromkeys(path for path in paths if path)))

    def draw(self, count: int) -> Int64:
        """Sensors, evenly at random."""
        return self._random.integers(0, self._keys, count)

    def fetch(self, sensors: Int64) -> tuple[list[BatchRun], int]:
        """A reading of each of `sensors` as a response to a fetch, and its size."""
        data = b"".join(
            self._batch(sensors[first : first + BATCH_RECORDS])
            for first in range(0, len(sensors), BATCH_RECORDS)
        )
        return split_runs(data), len(data)

    def _batch(self, sensors: Int64) -> bytes:
        n = len(sensors)
        offsets = np.arange(self._offset, self._offset + n)
        time_ms = _START_MS + offsets * _PERIOD_MS // self._keys
        x = np.round(20 + sensors % 97 / 10 + self._random.normal(0, 0.5, n), 4)
        keys = [b"sensor-%06d" % sensor for sensor in sensors.tolist()]
        empty = Spans(as_bytes(b""), np.zeros(n, np.int32), np.zeros(n, np.int32))
        (batch,) = encode(
            time_ms,
            Spans.of(list(keys)),
            Spans.of(list(self._values(keys, time_ms, x))),
            empty,
            np.zeros(n, np.int32),
            max_batch_bytes=1 << 30,
            compression=Compression.NONE,
        )
        data = bytes(batch.to_bytes(-1, -1, -1, is_transactional=False))
        self._offset += n
        return int(offsets[0]).to_bytes(8, "big") + data[8:]

    def _values(self, keys: list[bytes], time_ms: Int64, x: Float64) -> Iterator[bytes]:
        match self._read.format:
            case "double" | "float" as name:
                size = 8 if name == "double" else 4
                data = x.astype(f">f{size}").tobytes()
                return (data[at : at + size] for at in range(0, len(data), size))
            case "text":
                return (b"%a" % each for each in x.tolist())
        numbers = [b"%a" % each for each in x.tolist()]
        columns = dict.fromkeys(self._order, numbers)
        if self._read.weight:
            columns[self._read.weight] = [b"1"] * len(keys)
        if self._read.key:
            columns[self._read.key] = [b'"%b"' % key for key in keys]
        if self._read.timestamp:
            times = time_ms * 1_000_000 // _UNIT_NS[self._read.timestamp_unit]
            columns[self._read.timestamp] = [b"%d" % each for each in times.tolist()]
        form = b"%b".join(text.replace(b"%", b"%%") for text in self._texts)
        return (form % row for row in zip(*(columns[path] for path in self._order), strict=True))
