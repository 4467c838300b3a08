"""Delivering one partition's batches: every one acknowledged, in order, none lost.

The order of an output partition is the order of its input. After a failed batch a fresh producer
takes over and everything not acknowledged is sent again, in order. A batch that the broker refuses
for what it holds is halved until the refused record stands alone and becomes a dead letter.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from aiokafka.errors import KafkaError

from stream_ewma.engine.outgoing import Destination, OutgoingBatch
from stream_ewma.errors import BrokerUnavailableError, FatalError, StreamEwmaError
from stream_ewma.kafka.errors import explain, is_passing
from stream_ewma.kafka.partition import Partition
from stream_ewma.kafka.producer import PartitionProducer, is_refusal
from stream_ewma.settings import Settings

_log = logging.getLogger(__name__)

_MOST_PENDING_BYTES = 2 << 20
_MOST_ATTEMPTS = 3
_RETRY_S = 0.25

OnRefused = Callable[[OutgoingBatch], list[OutgoingBatch]]
"""What to publish in place of a batch of one record that the broker refuses."""


def destinations(settings: Settings, partition: Partition) -> dict[Destination, str]:
    """The topics that the records made from an input partition go to."""
    return {
        Destination.OUTPUT: settings.output_topic(partition.topic),
        Destination.DEAD_LETTERS: settings.dead_letter_topic,
    }


@dataclass(slots=True, eq=False)
class _Item:
    """A batch on its way, or (without a batch) the mark that all before it is delivered."""

    batch: OutgoingBatch | None
    next_offset: int
    future: "asyncio.Future[object] | None" = None
    error: BaseException | None = None
    attempts: int = 0

    @property
    def size(self) -> int:
        return self.batch.encoded.size if self.batch else 0

    @property
    def delivered(self) -> bool:
        if self.batch is None:
            return True
        return self.future is not None and self.future.done() and self.failure is None

    @property
    def failure(self) -> BaseException | None:
        """Why the batch did not get in; None as long as nothing is known against it."""
        if self.future is None or not self.future.done():
            return self.error
        if self.future.cancelled():
            return asyncio.CancelledError()
        return self.future.exception()


class Delivery:
    """The way out of one input partition.

    Args:
        settings: names and security.
        partition: the input partition; outputs and dead letters keep its number.
        position: offset up to which everything was delivered before.
        on_refused: called with a batch of one refused record, on the event loop.
        on_failed: called with the topic and the error of a batch that failed.
        on_room: called when `has_room` may have become true.
        on_sent: called with the topic and the seconds that a batch took to be acknowledged.

    Attributes:
        delivered_offset: offset up to which everything is delivered.
        answers: batches, and pieces of batches, that the brokers have taken or refused for good.
    """

    def __init__(
        self,
        settings: Settings,
        partition: Partition,
        position: int,
        on_refused: OnRefused,
        on_failed: Callable[[str, BaseException], None],
        on_room: Callable[[], None],
        on_sent: Callable[[str, float], None],
    ) -> None:
        self._settings = settings
        self._partition = partition
        self._on_refused = on_refused
        self._on_failed = on_failed
        self._on_room = on_room
        self._on_sent = on_sent
        self._topics = destinations(settings, partition)
        self._producer = PartitionProducer(settings)
        self._unsent: deque[_Item] = deque()
        self._sent: deque[_Item] = deque()
        self._pending_bytes = 0
        self._begun_topics: set[str] = set()
        self._failed = False
        self._ended = False
        self._wake = asyncio.Event()
        self._progress = asyncio.Event()
        self.delivered_offset = position
        self.answers = 0

    @property
    def has_room(self) -> bool:
        """Whether more may be published without piling up."""
        return self._pending_bytes < _MOST_PENDING_BYTES

    @property
    def refusal(self) -> KafkaError | None:
        """What keeps a batch from getting in, by the brokers' last answer; None: nothing known."""
        return self._producer.refusal

    def publish(self, batches: list[OutgoingBatch], next_offset: int) -> None:
        """Queue a step's batches; `delivered_offset` reaches `next_offset` once all are in."""
        for batch in batches:
            self._unsent.append(_Item(batch, next_offset))
            self._pending_bytes += batch.encoded.size
        self._unsent.append(_Item(None, next_offset))
        self._wake.set()

    async def wait_delivered(self, offset: int) -> None:
        """Return as soon as `delivered_offset` has reached `offset`, or never will."""
        while self.delivered_offset < offset and not self._ended:
            self._progress.clear()
            await self._progress.wait()

    async def drain(self) -> None:
        """Return as soon as everything queued is delivered, or nothing more will be."""
        while not self._ended and (self._unsent or self._sent):
            self._progress.clear()
            await self._progress.wait()

    async def run(self) -> None:
        """Send what is queued, for ever; cancel it to end.

        Raises:
            FatalError: a dead letter was refused, or a fresh producer does not help.
            StreamEwmaError: the broker denies access.
        """
        try:
            await self._start(self._producer)
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._failed or self._unsent:
                    if self._failed:
                        await self._recover()
                    else:
                        await self._send(self._unsent.popleft())
        finally:
            self._ended = True
            self._progress.set()

    async def stop(self) -> None:
        """Disconnect; what is not delivered is given up."""
        await self._producer.stop()

    async def _send(self, item: _Item) -> None:
        self._sent.append(item)
        if item.batch is None:
            self._advance()
            return
        topic = self._topics[item.batch.destination]
        began = asyncio.get_running_loop().time()
        try:
            future = await self._producer.send(item.batch.encoded, topic, self._partition.number)
        except KafkaError as error:
            item.error = error
            self._failed = True
            return
        item.future = future
        future.add_done_callback(lambda ended: self._settled(item, ended, topic, began))
        if topic not in self._begun_topics:
            # A broker takes any sequence number from a producer it does not know: with the first
            # batch refused, the second would get in before it.
            await asyncio.wait({future})
            self._begun_topics.add(topic)

    def _settled(
        self, item: _Item, ended: "asyncio.Future[object]", topic: str, began: float
    ) -> None:
        if item.future is not ended:
            # Given up on and on its way again; no word of a producer that is gone counts.
            _ = ended.cancelled() or ended.exception()
        elif item.delivered:
            self.answers += 1
            self._on_sent(topic, asyncio.get_running_loop().time() - began)
            self._advance()
        else:
            self._failed = True
            self._wake.set()

    def _advance(self) -> None:
        """Forget the delivered items at the front."""
        while self._sent and self._sent[0].delivered:
            item = self._sent.popleft()
            self._pending_bytes -= item.size
            if item.batch is None:
                self.delivered_offset = item.next_offset
        self._progress.set()
        self._on_room()

    async def _recover(self) -> None:
        """Replace the producer; the first failed batch is cut or sent again, then all behind it."""
        on_the_way = [i.future for i in self._sent if i.future is not None and not i.future.done()]
        if on_the_way:
            await asyncio.wait(on_the_way, timeout=self._settings.kafka.request_timeout_ms / 1000)
        self._advance()
        first = next(item for item in self._sent if not item.delivered)
        error = first.failure or TimeoutError("no answer to a batch")
        first.attempts += 1
        await self._producer.stop()
        if first.batch is not None:
            self._on_failed(self._topics[first.batch.destination], error)
        if first.batch is not None and is_refusal(error, first.attempts):
            await self._deliver_piecewise(first.batch)
            first.future, first.error = _done(), None
        elif first.attempts >= _MOST_ATTEMPTS:
            raise self._lasting(error) from error
        else:
            _log.warning("%s: a batch failed (%r): sending it again", self._partition, error)
        again = [item for item in self._sent if not item.delivered or item.batch is None]
        for item in again:
            item.future, item.error = None, None
        self._pending_bytes -= sum(
            i.size for i in self._sent if i.batch is not None and i.delivered
        )
        self._sent.clear()
        self._unsent.extendleft(reversed(again))
        self._failed = False
        self._begun_topics.clear()
        await self._start(self._producer)

    async def _deliver_piecewise(self, refused: OutgoingBatch) -> None:
        """Deliver a refused batch in halves of halves, each acknowledged before the next.

        A producer without sequence numbers serves: after a refused batch, theirs would not fit.
        """
        producer = PartitionProducer(self._settings, idempotent=False)
        todo = [refused]
        attempts = 0
        try:
            await self._start(producer)
            while todo:
                batch = todo.pop()
                topic = self._topics[batch.destination]
                try:
                    await (await producer.send(batch.encoded, topic, self._partition.number))
                    attempts = 0
                    self.answers += 1
                except KafkaError as error:
                    if is_refusal(error, _MOST_ATTEMPTS):
                        self.answers += 1
                        todo.extend(reversed(self._smaller(batch, error)))
                        continue
                    attempts += 1
                    if attempts >= _MOST_ATTEMPTS:
                        raise self._lasting(error) from error
                    todo.append(batch)
                    await producer.stop()
                    await self._start(producer)
        finally:
            await producer.stop()

    def _lasting(self, error: BaseException) -> StreamEwmaError:
        """The error to raise for one that a fresh producer has met again and again."""
        meaning = explain(error, self._settings)
        if is_passing(error) and not isinstance(meaning, BrokerUnavailableError):
            return BrokerUnavailableError(f"{self._partition}: {error!r}, again and again")
        return meaning

    def _smaller(self, batch: OutgoingBatch, error: KafkaError) -> list[OutgoingBatch]:
        if len(batch) > 1:
            return batch.halves()
        offset = int(batch.source().offset[0])
        where = f"{self._partition}@{offset}"
        if batch.destination is Destination.DEAD_LETTERS:
            topic = self._topics[Destination.DEAD_LETTERS]
            raise FatalError(
                f"{where}: the broker refuses the record's dead letter too ({error!r}): raise "
                f"max.message.bytes of {topic}, or set dead_letters.on_error: skip"
            )
        _log.warning("%s: the broker refuses the smoothed record (%r)", where, error)
        return self._on_refused(batch)

    async def _start(self, producer: PartitionProducer) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._settings.kafka.startup_timeout / 1000
        while True:
            try:
                await producer.start()
            except KafkaError as error:
                if loop.time() + _RETRY_S > deadline:
                    raise explain(error, self._settings) from error
                await asyncio.sleep(_RETRY_S)
            else:
                return


def _done() -> "asyncio.Future[object]":
    future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    future.set_result(None)
    return future
