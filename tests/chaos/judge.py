"""The verdict: every output recomputed from the input, and compared bit for bit as it comes.

It reads the topics as any consumer would, read_committed, while the faults go on: what it has
seen must be the beginning of what is there in the end.
"""

import sys
import threading
import traceback
from collections import defaultdict
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from tests.support.cluster import Message
from tests.support.waiting import wait_until

from .configurations import Configuration
from .feeder import monotonic
from .matching import Sequence
from .oracle import DeadLetter, PartitionOracle
from .patience import PatientCluster
from .settings import Guarantee
from .tape import Digest, Tape

DRAIN_S = 180.0
LOOK_S = 1.0
DEAD_LETTER_HEADERS = (
    "__streams.errors.exception",
    "__streams.errors.message",
    "__streams.errors.stacktrace",
    "__streams.errors.topic",
    "__streams.errors.partition",
    "__stream_ewma.errors.reason",
    "__streams.errors.offset",
)

Record = tuple[object, ...]


@dataclass(frozen=True)
class Look:
    """A look at the input: outputs seen before it stem from records before its end.

    Attributes:
        ends: of each partition of the input.
        seen: how many records of each sequence had come.
    """

    at: float
    ends: dict[int, int]
    seen: list[int]


@dataclass(frozen=True)
class Topics:
    """The topics of one service."""

    input: str
    output: str
    dead: str
    changelog: str


@dataclass
class Arrivals:
    """When outputs were seen, to measure recoveries.

    Attributes:
        offset: of the last output of each partition.
        at: when it was seen.
    """

    offset: dict[int, int] = field(default_factory=dict)
    at: dict[int, float] = field(default_factory=dict)


class Judge:
    """Follows one service's topics in a thread, from entering the context to leaving it.

    Args:
        cluster: the brokers, not behind a proxy.
        topics: the service's.
        configuration: what it is to compute.
        guarantee: what is promised.
    """

    def __init__(
        self,
        cluster: PatientCluster,
        topics: Topics,
        configuration: Configuration,
        guarantee: Guarantee,
    ) -> None:
        self._cluster = cluster
        self._topics = topics
        partitions = range(cluster.partitions(topics.input))
        self.oracles = [PartitionOracle(configuration, topics.input, p) for p in partitions]
        repeats = guarantee != "exactly_once"
        self.outputs = [Sequence[Record](f"output {p}", repeats) for p in partitions]
        self.dead = [Sequence[DeadLetter](f"dead letters {p}", repeats) for p in partitions]
        self._tape = Tape(cluster, [topics.input, topics.output, topics.dead])
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="judge")
        self._digests: dict[tuple[str, int], Digest] = defaultdict(Digest)
        self._look: Look | None = None
        self.arrivals = Arrivals()
        self.input_count = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()
        self._tape.close()

    @property
    def sequences(self) -> list[Sequence[Record] | Sequence[DeadLetter]]:
        """All that is compared."""
        return [*self.outputs, *self.dead]

    @property
    def differences(self) -> list[str]:
        """What is wrong so far."""
        return [each for sequence in self.sequences for each in sequence.differences]

    def online_problems(self) -> list[str]:
        """What was seen while the faults went on must be what is there in the end, all of it."""
        topics = (self._topics.output, self._topics.dead)
        again: dict[tuple[str, int], Digest] = defaultdict(Digest)
        tape = Tape(self._cluster, topics)
        for topic, record in tape.read_to_end():
            again[topic, record.partition].add(record)
        tape.close()
        return [
            f"{topic}-{partition}: {self._digests[topic, partition].count} records were seen,"
            f" {again[topic, partition].count} are there, and they are not the same"
            for topic, partition in self._digests.keys() | again.keys()
            if self._digests[topic, partition] != again[topic, partition]
        ]

    def check(self) -> None:
        """Raise what has ended the thread."""
        if self._error is not None:
            raise self._error

    def place(self) -> str:
        """How far it has read, and where its thread stands."""
        frame = sys._current_frames().get(self._thread.ident or 0)
        stands = "".join(traceback.format_stack(frame, 3)) if frame else "nowhere"
        return f"the judge has read {self.input_count} readings and stands\n{stands}"

    def wait_drained(self, timeout_s: float = DRAIN_S) -> None:
        """Wait until everything in the input has come out.

        Raises:
            TimeoutError: something is missing.
            RuntimeError: something else has come.
        """
        end = self._cluster.end_offsets(self._topics.input)

        def drained() -> bool:
            self.check()
            if self.differences:
                raise RuntimeError(f"it goes wrong: {self.differences[0]}")
            read = all(each.next_offset >= end[each.partition] for each in self.oracles)
            return read and not any(sequence.pending for sequence in self.sequences)

        wait_until(drained, timeout_s=timeout_s, what=self._missing)
        with self._lock:
            for sequence in self.sequences:
                sequence.compare(sequence.seen)

    def _missing(self) -> str:
        lines = [
            f"{sequence.name}: {sequence.matched} came, {sequence.pending} are missing"
            for sequence in self.sequences
            if sequence.pending
        ]
        return "\n".join([*lines, *self.differences])

    def _run(self) -> None:
        try:
            while not self._ended.is_set():
                self._take(self._tape.read())
                self._decide()
        except Exception as error:  # noqa: BLE001 (told by `check`)
            self._error = error

    def _take(self, records: list[tuple[str, Message]]) -> None:
        now = monotonic()
        inputs = defaultdict(list)
        with self._lock:
            for topic, record in records:
                if topic == self._topics.input:
                    inputs[record.partition].append(record)
                    continue
                self._digests[topic, record.partition].add(record)
                if topic == self._topics.output:
                    content = record.key, record.value, record.timestamp, record.headers
                    self.outputs[record.partition].see(record.offset, content)
                    self.arrivals.offset[record.partition] = record.offset
                    self.arrivals.at[record.partition] = now
                else:
                    self.dead[record.partition].see(record.offset, dead_letter(record))
            for partition, new in inputs.items():
                self._recompute(partition, new)
            for sequence in self.sequences:
                sequence.compare()

    def _decide(self) -> None:
        """What came out and is still not expected once its input is known, is wrong."""
        if self._look is None:
            if any(each.undecided for each in self.sequences):
                ends = self._cluster.end_offsets(self._topics.input)
                self._look = Look(monotonic(), ends, [each.seen for each in self.sequences])
            return
        if all(each.next_offset >= self._look.ends[each.partition] for each in self.oracles):
            with self._lock:
                for sequence, seen in zip(self.sequences, self._look.seen, strict=True):
                    sequence.compare(seen)
            self._look = None

    def _recompute(self, partition: int, records: list[Message]) -> None:
        oracle = self.oracles[partition]
        oracle.take_all(records)
        self.input_count += len(records)
        self.outputs[partition].expect([each.content for each in oracle.outputs])
        self.dead[partition].expect(oracle.dead_letters)
        oracle.outputs, oracle.dead_letters = [], []


def dead_letter(record: Message) -> DeadLetter:
    """A dead letter as it came out, its coordinates and reason taken from the headers.

    Raises:
        ValueError: the headers are not those of a dead letter.
    """
    own, added = record.headers[:-7], record.headers[-7:]
    if tuple(name for name, _ in added) != DEAD_LETTER_HEADERS:
        raise ValueError(f"a dead letter with the headers {record.headers}")
    told = {name: (text or b"").decode() for name, text in added}
    return DeadLetter(
        int(told["__streams.errors.offset"]),
        record.key,
        record.value,
        record.timestamp,
        own,
        told["__streams.errors.topic"],
        int(told["__streams.errors.partition"]),
        told["__stream_ewma.errors.reason"],
    )
