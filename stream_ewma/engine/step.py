"""What comes of a step: batches to publish, where to go on, and counts of everything left out.

And what comes of a cut and of a restore.
"""

from dataclasses import dataclass, field

import numpy as np

from stream_ewma.columns import Int64
from stream_ewma.engine.dead_letters import MESSAGES, Reason
from stream_ewma.engine.marker import Marker
from stream_ewma.engine.outgoing import OutgoingBatch
from stream_ewma.engine.sample import Rejected, Sample
from stream_ewma.records.reader import Unreadable
from stream_ewma.records.writer import EncodedBatch

SKIPPED_NULL = "null_value"
SKIPPED_INVALID = "invalid_value"
SKIPPED_TOMBSTONE = "tombstone"
SKIPPED_LATE = "late"
SKIPPED_THINNED = "thinned"
SKIPPED_WARMING_UP = "warming_up"

NOTED_LATE = "late_merged"
NOTED_CLIPPED = "clipped"
NOTED_RESTARTED = "restarted"
NOTED_CLAMPED = "timestamp_clamped"
NOTED_STALE = "stale"
NOTED_EXPIRED = "expired"
NOTED_FIELD_REFUSED = "field_refused"


@dataclass(frozen=True, slots=True)
class Failure:
    """A record that must stop the service (`on_error: fail`)."""

    offset: int
    reason: Reason

    @property
    def message(self) -> str:
        """What is wrong with the record."""
        return MESSAGES[self.reason]


@dataclass(frozen=True, slots=True)
class Seconds:
    """How long the stages of a step took.

    Attributes:
        decode: record batches to columns, and values to numbers.
        update: checks, and the fold into the state.
        encode: outputs and dead letters to record batches.
    """

    decode: float = 0.0
    update: float = 0.0
    encode: float = 0.0


@dataclass(frozen=True, slots=True)
class Step:
    """What came of one call of `PartitionTask.process`.

    Attributes:
        batches: to be published, in this order.
        next_offset: the offset after the last record that the step covers.
        consumed: records read.
        emitted: smoothed records in `batches`, those for silent keys among them.
        rejected: records that could not be smoothed, by reason.
        skipped: records left out on purpose, by cause.
        noted: readings that were absorbed with a remark, records made for silent keys, and keys
            that have expired.
        unreadable: the input batch that parks the partition, if one was met.
        failure: the record that stops the service, if one was met under `on_error: fail`.
        timestamps: int64 (consumed,), those of the records, ascending.
        event_time: the greatest event time among them; None: there were none.
        samples: what was to be watched.
        refusals: the last few of the records that could not be smoothed.
        seconds: by the clock that was given.
    """

    batches: list[OutgoingBatch]
    next_offset: int
    consumed: int
    emitted: int
    rejected: dict[Reason, int]
    skipped: dict[str, int]
    noted: dict[str, int]
    unreadable: Unreadable | None
    failure: Failure | None
    timestamps: Int64 = field(default_factory=lambda: np.empty(0, np.int64))
    event_time: int | None = None
    samples: list[Sample] = field(default_factory=list)
    refusals: list[Rejected] = field(default_factory=list)
    seconds: Seconds = Seconds()


@dataclass(frozen=True, slots=True)
class Cut:
    """What the changelog is to be told.

    Attributes:
        batches: to be written in this order.
        next_offset: offset of the first record that is not in the rows.
        rows: rows among the records.
        tombstones: keys that are gone.
    """

    batches: list[EncodedBatch]
    next_offset: int
    rows: int
    tombstones: int


@dataclass(frozen=True, slots=True)
class Restored:
    """What came of a restore.

    Attributes:
        marker: how far the input is in the rows; None: the changelog is empty.
        keys: how many there are.
        converted: keys whose weights are those of other factors now.
        restarted: keys that begin anew, since their readings are counted by another clock.
    """

    marker: Marker | None
    keys: int
    converted: int
    restarted: int
