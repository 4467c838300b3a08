"""What the service has done since it started, as plain numbers."""

from collections import Counter
from dataclasses import dataclass, field

from stream_ewma.engine.step import Step


@dataclass(slots=True)
class Counters:
    """Counts over all partitions; nothing is dropped without one of them rising.

    Attributes:
        consumed: input records processed.
        emitted: smoothed records handed to the producer.
        rejected: records that could not be smoothed, by reason label.
        skipped: records left out on purpose, by cause.
        noted: readings absorbed with a remark, and records made for silent keys.
        commits: successful commits.
        rows: rows of state written by them.
        restored: keys whose state was read back.
        rebalances: assignments received.
        recoveries: times a partition was given up after a failure and taken over anew.
        resends: times a producer was replaced after a failed batch.
    """

    consumed: int = 0
    emitted: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    noted: Counter[str] = field(default_factory=Counter)
    commits: int = 0
    rows: int = 0
    restored: int = 0
    rebalances: int = 0
    recoveries: int = 0
    resends: int = 0

    def add(self, step: Step) -> None:
        """Count what came of a step."""
        self.consumed += step.consumed
        self.emitted += step.emitted
        for reason, count in step.rejected.items():
            self.rejected[reason.label] += count
        self.skipped.update(step.skipped)
        self.noted.update(step.noted)
