"""A broker in memory, as far as transactions go: epochs, fences, markers, and lost answers.

A transaction's records lie in the logs as soon as they are sent; whether they count is decided by
its end. Nothing here is atomic but that decision: the order in which members do things is theirs.
"""

from dataclasses import dataclass, field
from enum import Enum

from stream_ewma.engine.outgoing import Destination
from tests.support.batches import Published
from tests.support.changelog import Entry, Log


class Fenced(Exception):  # noqa: N818  named as the client's error is
    """The transactional id has a newer producer."""


class End(Enum):
    """What became of a transaction."""

    OPEN = "open"
    COMMITTED = "committed"
    ABORTED = "aborted"


@dataclass(eq=False)
class Transaction:
    """What one transaction holds."""

    end: End = End.OPEN
    rows: list[Entry] = field(default_factory=list)
    offset: int | None = None


@dataclass
class Output:
    """A published record and the transaction it stands and falls with; None: it stands."""

    destination: Destination
    record: Published
    transaction: Transaction | None


class Broker:
    """The logs of one input partition, and the producers of its transactional id.

    Attributes:
        outputs: everything published, in order, whether it counts or not.
        changelog: the committed rows.
        committed: the group's offset.
    """

    def __init__(self) -> None:
        self.outputs: list[Output] = []
        self.changelog = Log()
        self.committed: int | None = None
        self._epoch = 0
        self._open: Transaction | None = None

    def init_producer(self) -> int:
        """Fence every earlier producer; what it left open is aborted."""
        self._epoch += 1
        if self._open is not None:
            self._end(End.ABORTED)
        return self._epoch

    def begin(self, epoch: int) -> Transaction:
        """Begin a transaction."""
        self._check(epoch)
        self._open = Transaction()
        return self._open

    def publish(self, destination: Destination, record: Published, epoch: int | None) -> None:
        """Append an output: in the open transaction of `epoch`, or for good."""
        if epoch is not None:
            self._check(epoch)
        transaction = self._open if epoch is not None else None
        self.outputs.append(Output(destination, record, transaction))

    def write(self, entries: list[Entry], epoch: int) -> None:
        """Append rows in the open transaction."""
        self._check(epoch)
        assert self._open is not None
        self._open.rows += entries

    def send_offset(self, offset: int, epoch: int) -> None:
        """Note the group's offset in the open transaction."""
        self._check(epoch)
        assert self._open is not None
        self._open.offset = offset

    def commit(self, epoch: int) -> None:
        """End the open transaction; a producer that is out of force is refused."""
        self._check(epoch)
        self._end(End.COMMITTED)

    def counting(self, destination: Destination) -> list[Published]:
        """What a read_committed reader sees."""
        return [
            output.record
            for output in self.outputs
            if output.destination is destination
            and (output.transaction is None or output.transaction.end is End.COMMITTED)
        ]

    @property
    def is_hanging(self) -> bool:
        """Whether a transaction is open."""
        return self._open is not None

    def _check(self, epoch: int) -> None:
        if epoch != self._epoch:
            raise Fenced

    def _end(self, end: End) -> None:
        transaction, self._open = self._open, None
        assert transaction is not None
        transaction.end = end
        if end is End.COMMITTED:
            self.changelog.append(transaction.rows)
            if transaction.offset is not None:
                self.committed = transaction.offset
        self.changelog.append([])
