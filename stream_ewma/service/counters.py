"""What the service has done since it started, as plain numbers."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from stream_ewma.engine.step import Step
from stream_ewma.kafka.partition import Partition
from stream_ewma.service.distributions import RECORDS, Distribution


@dataclass(slots=True)
class Tally:
    """What has become of the records of one partition.

    Attributes:
        consumed: input records processed.
        consumed_bytes: their batches, as they came over the network.
        emitted: smoothed records made of them.
        rejected: records that could not be smoothed, by reason label.
        skipped: records left out on purpose, by cause.
        noted: readings absorbed with a remark, and records made for silent keys.
    """

    consumed: int = 0
    consumed_bytes: int = 0
    emitted: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    noted: Counter[str] = field(default_factory=Counter)

    @staticmethod
    def of(step: Step, consumed_bytes: int = 0) -> "Tally":
        """What came of a step."""
        rejected = Counter({reason.label: count for reason, count in step.rejected.items()})
        skipped, noted = Counter(step.skipped), Counter(step.noted)
        return Tally(step.consumed, consumed_bytes, step.emitted, rejected, skipped, noted)

    def add(self, other: "Tally") -> None:
        """Count what another one has counted, too."""
        self.consumed += other.consumed
        self.consumed_bytes += other.consumed_bytes
        self.emitted += other.emitted
        self.rejected.update(other.rejected)
        self.skipped.update(other.skipped)
        self.noted.update(other.noted)


@dataclass(slots=True)
class Counters:
    """Counts of the process; nothing is dropped without one of them rising.

    Records count once what came of them is committed, so that the sums over all members are those
    of the records themselves, whatever was done twice.

    Attributes:
        partitions: what has become of the records.
        commits: successful commits.
        failures: commits that failed, by outcome: `failed` or `fenced`.
        rows: rows of state written by commits.
        restored: keys whose state was read back.
        assignments: times the group has given this member partitions.
        revocations: times it has taken them away, if only to give them anew.
        odd_starts: partitions taken over with a warning.
        lost: records that retention removed unread (`input.on_gap: accept`).
        recoveries: times a partition was given up after a failure and taken over anew.
        publish_errors: failed batches and commits, by topic and class of the error.
        latency: seconds from a record's timestamp until its output is published, by input topic.
        publish_duration: seconds from sending a batch until it is acknowledged, by topic.
        stage_duration: seconds that a step takes, by stage.
        step_records: records of a step.
        commit_duration: seconds that a transaction is open.
        loop_lag: seconds that the event loop comes late.
    """

    partitions: defaultdict[Partition, Tally] = field(default_factory=lambda: defaultdict(Tally))
    commits: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    rows: int = 0
    restored: int = 0
    assignments: int = 0
    revocations: int = 0
    odd_starts: int = 0
    lost: int = 0
    recoveries: int = 0
    publish_errors: Counter[tuple[str, str]] = field(default_factory=Counter)
    latency: defaultdict[str, Distribution] = field(
        default_factory=lambda: defaultdict(Distribution)
    )
    publish_duration: defaultdict[str, Distribution] = field(
        default_factory=lambda: defaultdict(Distribution)
    )
    stage_duration: defaultdict[str, Distribution] = field(
        default_factory=lambda: defaultdict(Distribution)
    )
    step_records: Distribution = field(default_factory=lambda: Distribution(RECORDS))
    commit_duration: Distribution = field(default_factory=Distribution)
    loop_lag: Distribution = field(default_factory=Distribution)

    @property
    def step_seconds(self) -> float:
        """Seconds that all steps took."""
        return sum(stage.total for stage in self.stage_duration.values())

    @property
    def total(self) -> Tally:
        """What has become of the records of all partitions."""
        whole = Tally()
        for tally in self.partitions.values():
            whole.add(tally)
        return whole
