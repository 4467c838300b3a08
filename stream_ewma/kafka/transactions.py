"""Publishing in transactions: batches and the group's offsets become visible together, or never.

One producer serves one input partition, under a transactional id of its own. Starting it fences
every earlier one with that id: theirs is aborted, or completed if its commit was decided, before
`start` returns. So it is fencing, not the group, that keeps two members from writing one partition.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager

from aiokafka import TopicPartition
from aiokafka.errors import InvalidProducerEpoch, KafkaError, KafkaTimeoutError, ProducerFenced

from stream_ewma.kafka.connect import client_options
from stream_ewma.kafka.errors import FencedError, OutcomeUnknownError, TransactionExpiredError
from stream_ewma.kafka.partition import Partition
from stream_ewma.kafka.producer import end, hand_over, last_refusal
from stream_ewma.kafka.seams import FinishedBatch, RawProducer
from stream_ewma.records.writer import EncodedBatch
from stream_ewma.settings import Settings


def transactional_id(settings: Settings, partition: Partition) -> str:
    """The one under which an input partition is written, whoever writes it."""
    return f"{settings.application_id}-{partition}"


class TransactionalProducer:
    """A producer whose batches count only if their transaction is committed.

    It belongs to one task. Once a call or a batch has failed, or a call was cancelled, every call
    but `stop` raises that failure again: the transaction is settled by the next producer's `start`.

    `start` ends within `kafka.startup_timeout`, `send` within a few request timeouts, `commit` and
    `abort` within the transaction's timeout, `stop` within seconds; `begin` waits for nothing.

    Args:
        settings: where the brokers are, how to be let in, and the group whose offsets are written.
        transactional_id: whose earlier producers are to be fenced.
    """

    def __init__(self, settings: Settings, transactional_id: str) -> None:
        self._settings = settings
        self._id = transactional_id
        self._timeout_ms = settings.delivery.transaction_timeout
        self._producer: RawProducer | None = None
        self._unsettled: set[asyncio.Future[None]] = set()
        self._failure: BaseException | None = None
        self._in_transaction = False
        self._begun_at = 0.0
        self._ending = False
        self._unannounced: tuple[Partition, ...] = ()

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction was begun and neither committed nor aborted."""
        return self._in_transaction

    @property
    def age_s(self) -> float:
        """Seconds since `begin`; 0 without a transaction."""
        if not self._in_transaction:
            return 0.0
        return asyncio.get_running_loop().time() - self._begun_at

    @property
    def refusal(self) -> KafkaError | None:
        """What keeps a batch from getting in, by the brokers' last answer; None: nothing known."""
        return last_refusal(self._producer)

    async def start(self) -> None:
        """Connect and fence every earlier producer of this id; may be tried again if it fails.

        Raises:
            FencedError: another one with this id was started at the same time.
            KafkaError: no broker answers in time, or it refuses.
        """
        producer = RawProducer(
            **client_options(self._settings),
            transactional_id=self._id,
            transaction_timeout_ms=self._timeout_ms,
            acks="all",
            linger_ms=0,
        )
        try:
            async with asyncio.timeout(self._settings.kafka.startup_timeout / 1000):
                await producer.start()
        except BaseException as error:
            await end(producer)
            meaning = self._meaning(error)
            if meaning is error or not isinstance(error, Exception):
                raise
            raise meaning from error
        self._producer = producer

    async def begin(self, also: Iterable[Partition] = ()) -> None:
        """Begin a transaction; the broker learns of it with the first batch.

        Args:
            also: where later batches will go for certain: the first one's request tells of them.

        Raises:
            KafkaError: one is open.
        """
        async with self._step() as producer:
            await producer.begin_transaction()
            self._in_transaction = True
            self._unannounced = tuple(also)
            self._begun_at = asyncio.get_running_loop().time()

    async def send(self, batch: EncodedBatch, topic: str, partition: int) -> "asyncio.Future[None]":
        """Hand a batch over; the future answers when the broker has it, or tells why not.

        It need not be awaited: `commit` does. Waits while an earlier batch for the same partition
        is still queued.

        Raises:
            TransactionExpiredError: this producer is out of force, as the transaction was open for
                too long; of the future too.
            FencedError: it is for another reason; of the future too.
            KafkaError: no transaction is open, or the batch cannot be taken; of the future too.
        """
        async with self._step() as producer:
            theirs = await hand_over(
                producer, FinishedBatch(batch, transactional=True), topic, partition
            )
            # The sender has had no turn since: it asks for both at once.
            later, self._unannounced = self._unannounced, ()
            for each in later:
                producer.announce(TopicPartition(each.topic, each.number))
        ours: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._unsettled.add(ours)
        theirs.add_done_callback(lambda ended: self._settle(ours, ended))
        return ours

    async def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Make all batches since `begin`, and the group's offsets, visible at once.

        Args:
            offsets: for each partition, the offset of the next record to read.

        Raises:
            FencedError: this producer is out of force.
            OutcomeUnknownError: the commit was asked for, and no answer came.
            KafkaError: a batch failed, or the broker refuses; nothing is committed.
        """
        async with self._step(self._timeout_ms) as producer:
            await self._settled()
            if offsets:
                await producer.send_offsets_to_transaction(
                    {TopicPartition(p.topic, p.number): offset for p, offset in offsets.items()},
                    self._settings.application_id,
                )
            self._ending = True
            await producer.commit_transaction()
            self._ending = self._in_transaction = False

    async def abort(self) -> None:
        """Give up all batches since `begin`.

        Raises:
            FencedError: this producer is out of force.
            OutcomeUnknownError: no answer came.
            KafkaError: the broker refuses.
        """
        async with self._step(self._timeout_ms) as producer:
            self._ending = True
            await producer.abort_transaction()
            self._ending = self._in_transaction = False

    async def stop(self) -> bool:
        """Disconnect; an open transaction stays open until the id's next `start`, or times out.

        Answers whether the producer stopped by itself; if not, it was killed.
        """
        producer, self._producer = self._producer, None
        self._failure = self._failure or KafkaError(f"{self._id}: the producer was stopped")
        return producer is None or await end(producer)

    @asynccontextmanager
    async def _step(self, timeout_ms: int | None = None) -> AsyncIterator[RawProducer]:
        """Whatever fails in here is the end of this producer."""
        if self._failure is not None:
            raise self._failure
        if self._producer is None:
            raise KafkaError(f"{self._id}: the producer is not started")
        try:
            async with asyncio.timeout(None if timeout_ms is None else timeout_ms / 1000):
                yield self._producer
        except BaseException as error:
            self._failure = self._failure or self._meaning(error)
            if self._failure is error or not isinstance(error, Exception):
                raise
            raise self._failure from error

    async def _settled(self) -> None:
        """Wait until the broker has all batches; the first failure ends the wait."""
        while self._unsettled and self._failure is None:
            await asyncio.wait(self._unsettled, return_when=asyncio.FIRST_COMPLETED)
        if self._failure is not None:
            raise self._failure

    def _settle(self, ours: "asyncio.Future[None]", theirs: "asyncio.Future[object]") -> None:
        """A batch got in, or did not."""
        error = asyncio.CancelledError() if theirs.cancelled() else theirs.exception()
        self._unsettled.discard(ours)
        if error is not None and self._failure is None:
            self._failure = self._meaning(error)
        if ours.done():
            return
        if error is None:
            ours.set_result(None)
        else:
            _fail(ours, self._meaning(error))

    def _out_of_force(self) -> FencedError:
        """The brokers use one word for both, so the transaction's age has to tell them apart."""
        if self.age_s * 1000 >= self._timeout_ms:
            return TransactionExpiredError(f"{self._id}: a transaction took {self.age_s:.0f} s")
        return FencedError(f"{self._id}: a newer producer took over")

    def _meaning(self, error: BaseException) -> KafkaError:
        """The error to raise for `error`, which aiokafka may have wrapped or named otherwise."""
        manager = self._producer._txn_manager if self._producer is not None else None  # noqa: SLF001
        if manager is not None and manager.failure is not None:
            error = manager.failure
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, FencedError | OutcomeUnknownError):
                return cause
            if isinstance(cause, ProducerFenced | InvalidProducerEpoch):
                return self._out_of_force()
            cause = cause.__cause__
        if isinstance(error, TimeoutError | asyncio.CancelledError):
            if self._ending:
                return OutcomeUnknownError(f"{self._id}: given up without an answer to its end")
            return KafkaTimeoutError(f"{self._id}: given up without an answer")
        while type(error) is KafkaError and isinstance(error.__cause__, KafkaError):
            error = error.__cause__  # the sender's word for whatever ended it
        if isinstance(error, KafkaError):
            return error
        return KafkaError(f"{self._id}: {type(error).__name__}: {error}")


def _fail(future: "asyncio.Future[None]", error: BaseException) -> None:
    future.set_exception(error)
    future.exception()  # nobody need wait for it
