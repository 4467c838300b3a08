"""The transactions of one input partition: what belongs together is committed together.

A transaction holds the rows of state that have changed, the position that they stand for and the
group's offset; under exactly_once the smoothed records and dead letters too. Nothing is ever sent
twice: after any failure the partition is given up, and whoever takes it up again begins at the
last committed position.
"""

import asyncio
from collections import deque
from collections.abc import Callable

from aiokafka.errors import KafkaError, KafkaTimeoutError

from stream_ewma.engine.outgoing import OutgoingBatch
from stream_ewma.engine.step import Cut
from stream_ewma.kafka.delivery import Delivery, destinations
from stream_ewma.kafka.errors import TransactionExpiredError
from stream_ewma.kafka.partition import Partition
from stream_ewma.kafka.producer import may_be_refusal
from stream_ewma.kafka.transactions import TransactionalProducer
from stream_ewma.records.writer import EncodedBatch
from stream_ewma.settings import Settings

_MOST_PENDING_BYTES = 4 << 20
# Of the transaction's own time: beyond it the brokers may have given the transaction up.
_COMMIT_SHARE = 0.8


class RefusedError(Exception):
    """The broker refuses a batch for what it holds: what it holds must be published otherwise."""

    def __init__(self, batch: OutgoingBatch, reason: BaseException | None) -> None:
        super().__init__(f"the broker refuses a batch: {reason!r}")
        self.batch = batch


class Committer:
    """Brings the work on one input partition into transactions, in order.

    Args:
        settings: names and times.
        partition: the input partition; outputs, dead letters and rows keep its number.
        producer: started, and not used for anything else.
        position: offset up to which everything was committed before.
        outputs: where the outputs that a cut covers go at once (at_least_once); None: they are
            published here (exactly_once).
        on_committed: called after each commit, with the seconds that its transaction was open.
        on_room: called when `has_room` may have become true.
        on_sent: called with the topic and the seconds that a batch took to be acknowledged.
    """

    def __init__(
        self,
        settings: Settings,
        partition: Partition,
        producer: TransactionalProducer,
        position: int,
        outputs: Delivery | None,
        on_committed: Callable[[Cut, float], None],
        on_room: Callable[[], None],
        on_sent: Callable[[str, float], None],
    ) -> None:
        self._partition = partition
        self._producer = producer
        self._outputs = outputs
        self._on_committed = on_committed
        self._on_room = on_room
        self._on_sent = on_sent
        self._topics = destinations(settings, partition)
        self._changelog = settings.changelog_topic(partition.topic)
        self._deadline = 0.0
        self._most_s = settings.delivery.transaction_timeout / 1000 * _COMMIT_SHARE
        self._queue: deque[OutgoingBatch | Cut] = deque()
        self._sent: deque[tuple[OutgoingBatch | None, asyncio.Future[None]]] = deque()
        self._pending_bytes = 0
        self._cuts = 0
        self._ended = False
        self._wake = asyncio.Event()
        self._progress = asyncio.Event()
        self.committed_offset = position

    @property
    def has_room(self) -> bool:
        """Whether more may be published without piling up."""
        return self._pending_bytes < _MOST_PENDING_BYTES

    @property
    def is_committing(self) -> bool:
        """Whether a cut is on its way."""
        return self._cuts > 0

    def publish(self, batches: list[OutgoingBatch]) -> None:
        """Queue a step's batches for the transaction that the next cut ends."""
        self._queue.extend(batches)
        self._pending_bytes += sum(batch.encoded.size for batch in batches)
        self._wake.set()

    def commit(self, cut: Cut) -> None:
        """End the transaction with the rows, and the position, that all published before led to."""
        self._queue.append(cut)
        self._cuts += 1
        self._wake.set()

    async def drain(self) -> None:
        """Return as soon as every cut is committed, or none will be any more."""
        while self._cuts and not self._ended:
            self._progress.clear()
            await self._progress.wait()

    async def run(self) -> None:
        """Send and commit what is queued, for ever; cancel it to end.

        Raises:
            RefusedError: the broker refuses a batch of outputs or dead letters.
            TransactionExpiredError: the transaction has been open for too long.
            FencedError: another producer with this partition's transactional id has begun.
            OutcomeUnknownError: it cannot be told whether the transaction was committed.
            KafkaError: anything else; this transaction is not committed.
        """
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                self._check_sent()
                while self._queue:
                    await self._forward(self._queue.popleft())
                    self._check_sent()
        finally:
            self._ended = True
            self._progress.set()

    async def stop(self) -> None:
        """Disconnect; an open transaction is given up."""
        await self._producer.stop()

    async def _forward(self, item: OutgoingBatch | Cut) -> None:
        if isinstance(item, Cut) and self._outputs is not None:
            await self._wait_outputs(self._outputs, item.next_offset)
        if not self._producer.in_transaction:
            await self._producer.begin([Partition(self._changelog, self._partition.number)])
            self._deadline = asyncio.get_running_loop().time() + self._most_s
        try:
            async with asyncio.timeout_at(self._deadline):
                if isinstance(item, Cut):
                    await self._end(item)
                else:
                    await self._send(item, item.encoded, self._topics[item.destination])
        except (TimeoutError, KafkaTimeoutError) as error:
            refusal = self._producer.refusal
            if refusal is not None:  # the time went by with asking again: less work is no help
                raise refusal from error
            if isinstance(error, KafkaTimeoutError):
                raise
            raise TransactionExpiredError(
                f"no end of a transaction within {self._most_s:.0f} s"
            ) from error

    async def _wait_outputs(self, outputs: Delivery, offset: int) -> None:
        """Wait for the outputs that a commit covers, as long as any of them get in.

        Their producer asks for ever. Without a word of it this would count as work that hangs.
        """
        while True:
            before = outputs.answers
            try:
                async with asyncio.timeout(self._most_s):
                    await outputs.wait_delivered(offset)
                break
            except TimeoutError as error:
                if outputs.answers != before:
                    continue
                late = KafkaTimeoutError(f"outputs not acknowledged within {self._most_s:.0f} s")
                raise outputs.refusal or late from error
        if outputs.delivered_offset < offset:
            raise KafkaError("the outputs that the commit covers were not delivered")

    async def _send(self, batch: OutgoingBatch | None, encoded: EncodedBatch, topic: str) -> None:
        began = asyncio.get_running_loop().time()
        future = await self._producer.send(encoded, topic, self._partition.number)
        self._sent.append((batch, future))
        future.add_done_callback(lambda ended: self._settled(ended, topic, began))

    async def _end(self, cut: Cut) -> None:
        """Commit: every batch acknowledged first, for aiokafka would commit without it."""
        for encoded in cut.batches:
            await self._send(None, encoded, self._changelog)
        while self._sent:
            await asyncio.wait({self._sent[0][1]})
            self._check_sent()
        await self._producer.commit({self._partition: cut.next_offset})
        began = self._deadline - self._most_s
        self.committed_offset = cut.next_offset
        self._cuts -= 1
        self._on_committed(cut, asyncio.get_running_loop().time() - began)
        self._progress.set()

    def _settled(self, ended: "asyncio.Future[None]", topic: str, began: float) -> None:
        failed = ended.cancelled() or ended.exception()  # retrieved: `_check_sent` raises it
        if not failed:
            self._on_sent(topic, asyncio.get_running_loop().time() - began)
        self._wake.set()

    def _check_sent(self) -> None:
        """Forget what is acknowledged at the front.

        Raises:
            RefusedError: the broker refuses a batch for what it holds.
            KafkaError: a batch did not get in.
        """
        while self._sent and self._sent[0][1].done():
            batch, future = self._sent.popleft()
            error = future.exception()
            if may_be_refusal(error) and batch is not None:  # whether it is, the pieces show
                raise RefusedError(batch, error)
            if error is not None:
                raise error
            if batch is not None:
                self._pending_bytes -= batch.encoded.size
                self._on_room()
