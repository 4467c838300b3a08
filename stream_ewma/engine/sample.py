"""What can be seen of a partition while it works, as plain values."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from stream_ewma.engine.dead_letters import Reason
from stream_ewma.payloads.columns import Kind

Scalar: TypeAlias = float | int | bool | None
"""One output of one row; None where a record would have null."""


@dataclass(frozen=True, slots=True)
class Watched:
    """What samples are wanted.

    Attributes:
        keys: all smoothed rows of these keys, the newest of each step.
        others: besides, up to so many rows of each step, of whatever keys.
    """

    keys: frozenset[bytes] = frozenset()
    others: int = 0

    def __bool__(self) -> bool:
        return bool(self.keys) or self.others > 0


@dataclass(frozen=True, slots=True)
class Sample:
    """A smoothed row, and what it was made of.

    Attributes:
        offset: of the record; of a report, of the one that moved event time on.
        key: the series.
        timestamp: event time, in milliseconds since the epoch.
        kind: what kind of record it became.
        raw: the record's value as it came in, cut short; None: it has none.
        values: the numbers that came in, by their names.
        outputs: by their names in the output record.
    """

    offset: int
    key: bytes
    timestamp: int
    kind: Kind
    raw: bytes | None
    values: Mapping[str, Scalar]
    outputs: Mapping[str, Scalar]


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that could not be smoothed.

    Attributes:
        offset: of the record.
        timestamp: of the record, in milliseconds since the epoch.
        key: of the record, cut short.
        reason: why.
        preview: the first bytes of its value; None: it has none.
        size: bytes of its value.
    """

    offset: int
    timestamp: int
    key: bytes | None
    reason: Reason
    preview: bytes | None
    size: int


@dataclass(frozen=True, slots=True)
class KeyState:
    """One series as it stands.

    Attributes:
        key: its bytes.
        timestamp: event time of its last reading; None: it has none, or its clock keeps no time.
        outputs: as its last reading left them, by their names in the output record.
    """

    key: bytes
    timestamp: int | None
    outputs: Mapping[str, Scalar]


@dataclass(frozen=True, slots=True)
class KeyPage:
    """Some keys.

    Attributes:
        keys: their states.
        cursor: where to go on looking; None: there are no more.
    """

    keys: list[KeyState]
    cursor: int | None
