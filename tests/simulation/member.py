"""A member of the group: the protocol of design and service, one step at a time.

Between any two steps it may crash, be stopped and go on later as a zombie, or lose an answer.
"""

from collections.abc import Iterator, Sequence

from stream_ewma.engine.config import TaskConfig
from stream_ewma.engine.outgoing import Destination
from stream_ewma.engine.task import PartitionTask
from stream_ewma.kafka.partition import Partition
from stream_ewma.service.positions import Known, TopicIdentity, start_with_state
from stream_ewma.settings import Settings
from tests.simulation.broker import Broker
from tests.support.batches import Published, Record, published, read, runs_of

PARTITION = Partition("a", 0)
IDENTITY = TopicIdentity("id", 1)


class Member:
    """One process.

    Args:
        broker: shared with the others.
        config: the engine's.
        settings: for the checks at the start, and the guarantee.
        rows: the input partition.
        number: which life this is; key tables are seeded with it.
    """

    def __init__(
        self,
        broker: Broker,
        config: TaskConfig,
        settings: Settings,
        rows: Sequence[Record],
        number: int,
    ) -> None:
        self._broker = broker
        self._rows = rows
        self._exactly_once = settings.is_exactly_once
        self._settings = settings
        self._epoch = 0
        self.task = PartitionTask(
            "a", 0, 0, config, (number, 2), topic_id=IDENTITY.topic_id, partitions=1
        )

    @property
    def is_at_end(self) -> bool:
        """Whether all of the input is processed."""
        return self.task.position >= len(self._rows)

    def whole(self, counts: Sequence[int]) -> Iterator[str]:
        """All of its life: take over, and work to the end of the input, so much at a time."""
        yield from self.take_over()
        while not self.is_at_end:
            yield from self.work(counts)
        yield from self.work([])

    def take_over(self) -> Iterator[str]:
        """Fence, restore, compare, position."""
        self._epoch = self._broker.init_producer()
        yield "fenced"
        committed = self._broker.committed
        yield "offset read"
        for run in self._broker.changelog.runs:
            self.task.restore([run])
        yield "restored"
        marker = self.task.restored().marker
        known = Known(marker, committed, 0, len(self._rows), IDENTITY)
        start = start_with_state(PARTITION, known, self._settings)
        assert start.warning == ""
        self.task.position = start.position or 0
        yield "positioned"

    def work(self, counts: Sequence[int]) -> Iterator[str]:
        """Process some records in so many steps, and commit them."""
        begun = False
        for count in counts:
            first = self.task.position
            step = self.task.process(runs_of(self._rows[first : first + count], first))
            yield "processed"
            for destination in Destination:
                for record in published(step, destination):
                    if self._exactly_once and not begun:
                        self._broker.begin(self._epoch)
                        begun = True
                        yield "begun"
                    self._publish(destination, record)
                    yield "published"
        cut = self.task.cut()
        if not begun:
            self._broker.begin(self._epoch)
            yield "begun"
        for batch in cut.batches:
            records = read(bytes(batch.to_bytes(-1, -1, -1, False)))
            self._broker.write([(each.key, each.value) for each in records], self._epoch)
            yield "rows written"
        self._broker.send_offset(cut.next_offset, self._epoch)
        yield "offset sent"
        self._broker.commit(self._epoch)
        yield "committed"

    def _publish(self, destination: Destination, record: Published) -> None:
        self._broker.publish(destination, record, self._epoch if self._exactly_once else None)
