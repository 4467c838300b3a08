"""What is known of a topic that the service needs, and what is wrong with it."""

from dataclasses import dataclass
from enum import Enum


class Role(Enum):
    """What the service does with a topic."""

    INPUT = "input"
    OUTPUT = "output"
    DEAD_LETTERS = "dead letters"
    CHANGELOG = "changelog"


@dataclass(frozen=True, slots=True)
class TopicState:
    """One topic that the service needs.

    Attributes:
        partitions: how many it has; None where the topic does not exist.
        inputs: how many the inputs have that it gets records from, ascending; of an input topic,
            and where no input exists, empty.
        unfit: what is wrong with its settings and how to mend it, or nothing.
        may_grow: whether it may be given more partitions (`state.repartition: rebuild`).
        copies: replicas of the partition that has the fewest; None where the topic does not exist.
        least_in_sync: its min.insync.replicas; None: not asked for, or not to be seen.
        is_unclean: whether a replica that has missed records may come to lead
            (unclean.leader.election.enable), as far as can be seen.
    """

    name: str
    role: Role
    partitions: int | None
    inputs: tuple[int, ...] = ()
    unfit: str = ""
    may_grow: bool = False
    copies: int | None = None
    least_in_sync: int | None = None
    is_unclean: bool = False

    @property
    def wanted(self) -> int | None:
        """How many partitions it must have, where that can be said."""
        if not self.inputs or (self.role is Role.OUTPUT and self.inputs[0] != self.inputs[-1]):
            return None
        return self.inputs[-1]

    @property
    def can_be_made(self) -> bool:
        """Whether it is missing and may be created here."""
        return self.partitions is None and self.wanted is not None

    @property
    def can_be_grown(self) -> bool:
        """Whether it has too few partitions and may be given more here."""
        wanted, own = self.wanted, self.partitions
        return self.may_grow and None not in (wanted, own) and own < wanted  # type: ignore[operator]

    @property
    def problem(self) -> str:
        """What is wrong with it and what to do, or nothing."""
        if self.role is Role.INPUT and self.partitions is None:
            return f"{self.name}: the input topic does not exist; create it, or mend input.topics"
        if not self.inputs:
            return ""
        if self.wanted is None:
            return (
                f"{self.name}: is the output of inputs with {self.inputs[0]} and"
                f" {self.inputs[-1]} partitions, which would scatter equal keys;"
                " leave output.topic out, so that each input has an output of its own"
            )
        return self._misfit(self.wanted)

    def _misfit(self, wanted: int) -> str:
        if self.can_be_grown:
            return (
                f"{self.name}: has {_partitions(self.partitions or 0)} where its input has {wanted}"
                " now; run: stream-ewma topics create"
            )
        if self.partitions is None:
            return (
                f"{self.name}: the topic for {self.role.value} does not exist;"
                " run: stream-ewma topics create"
            )
        if self.role is Role.OUTPUT and self.partitions != wanted:
            return (
                f"{self.name}: has {_partitions(self.partitions)} where its input has {wanted};"
                " write another output.topic, or create it anew with that number"
            )
        if self.role is Role.CHANGELOG and self.partitions != wanted:
            gained = "gained" if self.partitions < wanted else "lost"
            return (
                f"{self.name}: has {_partitions(self.partitions)} where its input has {wanted}: the"
                f" input {gained} partitions, so keys may now be in another partition than their"
                " state; to read the input again from its beginning, write state.repartition:"
                " rebuild and run: stream-ewma topics create; to begin anew without the state:"
                " stream-ewma state reset, or another application_id"
            )
        if self.partitions < wanted:
            return (
                f"{self.name}: has {_partitions(self.partitions)} where an input has {wanted};"
                f" run: kafka-topics.sh --alter --topic {self.name} --partitions {wanted}"
            )
        return self.unfit and f"{self.name}: {self.unfit}"

    def __str__(self) -> str:
        if self.partitions is not None:
            found = _partitions(self.partitions)
        elif self.role is Role.INPUT:
            found = "does not exist"
        elif self.wanted is None:
            found = "missing; how many partitions it needs cannot be said"
        else:
            found = f"missing, to be made with {_partitions(self.wanted)}"
        return f"{self.role.value:<13}{self.name}: {found}"


def _partitions(count: int) -> str:
    return f"{count} partition{'s' * (count != 1)}"
