"""What the service must publish and keep for one partition, record by record, in plain Python."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite

import orjson

from tests.support.cluster import Header, Message

from .configurations import MAX_KEY_BYTES, MAX_VALUE_BYTES, Configuration
from .rows import ROWS, Row, Value
from .stream import CATALOGUE

MAX_FUTURE_SKEW_MS = 3_600_000
TICKS = 10


@dataclass(frozen=True, slots=True)
class Output:
    """A record that must come out.

    Attributes:
        cause: offset of the input record behind it.
    """

    cause: int
    key: bytes | None
    value: bytes | None
    timestamp: int
    headers: tuple[Header, ...]

    @property
    def content(self) -> tuple[object, ...]:
        """All but the cause."""
        return self.key, self.value, self.timestamp, self.headers


@dataclass(frozen=True, slots=True)
class Reading:
    """What a record says.

    Attributes:
        status: `ok`, `null`, `tombstone`, or the reason why it is refused.
        time: event time, ms.
        x: the number, if it is ok.
        restart: it asks to forget the key.
    """

    status: str
    time: int
    x: float = 0.0
    restart: bool = False


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that must be refused, as it came in."""

    cause: int
    key: bytes | None
    value: bytes | None
    timestamp: int
    headers: tuple[Header, ...]
    topic: str
    partition: int
    reason: str


@dataclass
class PartitionOracle:
    """The smoothing of one partition from its first record on.

    Attributes:
        outputs: what must have come out, in order.
        dead_letters: what must have been refused, in order.
        rows: the state of each key that is not forgotten, in the order of their first readings.
        expired: how many keys were forgotten.
        event_time: greatest event time heard; None before.
        next_offset: offset after the last record taken in.
    """

    configuration: Configuration
    topic: str
    partition: int
    outputs: list[Output] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    rows: dict[bytes, Row] = field(default_factory=dict)
    expired: int = 0
    event_time: int | None = None
    next_offset: int = 0

    def take_all(self, records: Iterable[Message]) -> None:
        """Take in records, in the order of their offsets."""
        for record in records:
            self.take(record)

    def take(self, record: Message) -> None:
        """Take in the next record."""
        self.next_offset = record.offset + 1
        reading = read(record)
        status, time = reading.status, reading.time
        restart = self.configuration.resets and reading.restart
        reason = refusal(record, status, time)
        if not reason and record.key is not None:
            if status == "tombstone" or (status == "null" and restart):
                self._reset(record.key)
            if status == "tombstone":
                self._emit(record, None)
            elif status == "ok":
                reason = self._observe(record, record.key, reading, restart=restart)
        if reason:
            self.dead_letters.append(
                DeadLetter(
                    record.offset,
                    record.key,
                    record.value,
                    record.timestamp,
                    record.headers,
                    self.topic,
                    self.partition,
                    reason,
                )
            )
        if status == "ok" and (not reason or reason in {"state_overflow", "late"}):
            self._hear(record.offset, time)

    def _reset(self, key: bytes) -> None:
        if key in self.rows:
            self.rows[key] = ROWS[self.configuration.name]()

    def _emit(self, record: Message, value: bytes | None) -> None:
        self.outputs.append(
            Output(record.offset, record.key, value, record.timestamp, record.headers)
        )

    def _observe(self, record: Message, key: bytes, reading: Reading, *, restart: bool) -> str:
        row = self.rows.setdefault(key, ROWS[self.configuration.name]())
        reason = row.observe(reading.x, reading.time, restart=restart)
        results = None if reason else row.results(reading.time)
        if results is not None:
            self._emit(record, self._value(key, reading.time, reading.x, results))
        return reason

    def _hear(self, offset: int, time: int) -> None:
        """Event time moves on: keys that are silent are reported, once, and later forgotten."""
        stale_after_ms, ttl_ms = self.configuration.stale_after_ms, self.configuration.ttl_ms
        if stale_after_ms is None and ttl_ms is None:
            return
        before = self.event_time
        self.event_time = now = time if before is None else max(before, time)
        for key in self._silent(stale_after_ms, before, now):
            row = self.rows[key]
            if not row.stale:
                value = self._value(key, now, None, row.snapshot(), stale=True)
                row.stale = True
                self.outputs.append(Output(offset, key, value, now, ()))
        for key in self._silent(ttl_ms, before, now):
            del self.rows[key]
            self.expired += 1

    def _silent(self, allowed_ms: int | None, before: int | None, now: int) -> list[bytes]:
        """Keys, by their bytes, that are silent for so long; told at ticks of event time alone."""
        if allowed_ms is None:
            return []
        tick_ms = allowed_ms // TICKS
        tick = now // tick_ms
        if before is not None and before // tick_ms == tick:
            return []
        return sorted(
            key
            for key, row in self.rows.items()
            if row.last_time is not None and -(-(row.last_time + allowed_ms) // tick_ms) <= tick
        )

    def _value(
        self,
        key: bytes,
        time: int,
        x: float | None,
        results: Sequence[Value],
        *,
        stale: bool = False,
    ) -> bytes:
        """The JSON object; `orjson` writes the fewest digits that read back to the same double."""
        fields: dict[str, object] = {
            "key": key.decode(errors="replace"),
            "timestamp": time,
            "value": x,
        }
        fields |= zip(self.configuration.outputs, results, strict=True)
        if stale:
            fields["stale"] = True
        return orjson.dumps(fields)


def read(record: Message) -> Reading:
    """What a record says."""
    value, own = record.value, record.timestamp
    if value is None:
        return Reading("tombstone", own)
    if len(value) > MAX_VALUE_BYTES:
        return Reading("too_large", own)
    if value in CATALOGUE:
        return Reading(CATALOGUE[value], own)
    document: Mapping[str, object] = json.loads(value)
    time = document.get("timestamp", own)
    number = document["value"]
    assert isinstance(time, int)
    restart = document.get("restart") is True
    if number is None:
        return Reading("null", time, restart=restart)
    assert isinstance(number, int | float)
    assert isfinite(number)
    return Reading("ok", time, float(number), restart=restart)


def refusal(record: Message, status: str, time: int) -> str:
    """Why a record is refused before its key's state is looked at; nothing if it is not."""
    reason = "" if status in {"ok", "null", "tombstone"} else status
    if status in {"ok", "null"} and time - record.timestamp > MAX_FUTURE_SKEW_MS:
        reason = "future_timestamp"
    if record.key is None:
        return "missing_key"
    return "too_large" if len(record.key) > MAX_KEY_BYTES else reason
