"""What aiokafka's producer does behind its back, mended: its sender, its batches, its transactions.

aiokafka asks for a transaction's end again, under the same epoch, where no answer came. The first
request may still be on its way, and would then end a later transaction before its time. Here the
end is asked for once: without an answer its outcome is unknown, and a producer started anew under
the same transactional id puts the late request out of force.

Requests under way outlive a sender that has ended; `RawSender.kill` ends them too. What failed is
told to whoever sent it, so that asyncio has no "exception was never retrieved" to report.

`seams.RawProducer` is made of these.
"""

import asyncio
import logging
import sys
from typing import Any, Final

from aiokafka.errors import (
    KafkaError,
    NodeNotReadyError,
    RequestTimedOutError,
    UnknownError,
    for_code,
)
from aiokafka.producer.message_accumulator import MessageAccumulator
from aiokafka.producer.sender import EndTxnHandler, Sender, SendProduceReqHandler
from aiokafka.producer.transaction_manager import TransactionManager
from aiokafka.util import create_future

from stream_ewma.kafka.errors import OutcomeUnknownError
from stream_ewma.kafka.frames import with_replaced

_log = logging.getLogger(__name__)

_KILL_S: Final = 5.0


class EndTransactionOnce(EndTxnHandler):  # type: ignore[misc]  # aiokafka has no types
    """The request that ends a transaction, sent again only after an answer that allows it."""

    async def do(self, node_id: int) -> bool:
        """Ask once; False if it is to be asked again.

        Raises:
            OutcomeUnknownError: the request may have had its effect.
            KafkaError: the coordinator refuses.
        """
        client = self._sender.client
        try:
            answer = await client.send(node_id, self.create_request(), group=self.group)
        except NodeNotReadyError:  # without a connection nothing was sent
            backoff = self.handle_error()
        except KafkaError as error:
            raise OutcomeUnknownError("no answer to the end of a transaction") from error
        else:
            try:
                backoff = self.handle_response(answer)
            except UnknownError as error:
                raise OutcomeUnknownError("the end of a transaction failed midway") from error
        if backoff is None:
            return True
        await asyncio.sleep(backoff)
        return False


class ProduceTold(SendProduceReqHandler):  # type: ignore[misc]  # aiokafka has no types
    """The request that hands batches over; what it is answered is told to the sender."""

    def handle_response(self, response: Any) -> None:
        """Note the answers, of which aiokafka only logs those that it asks again for."""
        for topic, partitions in response.topics:
            for partition, code, *_ in partitions:
                self._sender.answers[topic, partition] = for_code(code)
        super().handle_response(response)


class _Plain:
    """Logs the end of a sender as one line, where aiokafka logs a stack trace."""

    def exception(self, text: str) -> None:
        _log.warning("%s: %r", text, sys.exception())


class RawSender(Sender):  # type: ignore[misc]  # aiokafka has no types
    """aiokafka's sender, ending transactions once, and itself entirely.

    Attributes:
        answers: the last one to a batch, by topic and partition.
    """

    _sender_routine = with_replaced(
        Sender._sender_routine,  # noqa: SLF001  the seam
        log=_Plain(),
    )
    _do_txn_commit = with_replaced(
        Sender._do_txn_commit,  # noqa: SLF001  the seam
        EndTxnHandler=EndTransactionOnce,
    )
    _hand_over = with_replaced(
        Sender._send_produce_req,  # noqa: SLF001  the seam
        SendProduceReqHandler=ProduceTold,
    )

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._requests: set[asyncio.Task[Any]] = set()
        self.answers: dict[tuple[str, int], type[KafkaError]] = {}

    @property
    def refusal(self) -> KafkaError | None:
        """What brokers said last of a batch that aiokafka sends again and again; None: nothing.

        That an acknowledgement took too long is not counted: there, less in a batch may help.
        """
        for (topic, partition), answer in self.answers.items():
            if answer.retriable and not issubclass(answer, RequestTimedOutError):
                return answer(f"{topic}-{partition}")
        return None

    def _maybe_do_transactional_request(self) -> "asyncio.Task[Any] | None":
        task: asyncio.Task[Any] | None = super()._maybe_do_transactional_request()
        if task is not None:
            self._remember(task)
        return task

    async def _send_produce_req(self, node_id: int, batches: Any) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._remember(task)
        await self._hand_over(node_id, batches)

    def _remember(self, task: "asyncio.Task[Any]") -> None:
        self._requests.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: "asyncio.Task[Any]") -> None:
        self._requests.discard(task)
        _ = task.cancelled() or task.exception()  # the sender was told, if it still lived

    async def kill(self) -> bool:
        """End at once, with every request under way; answers whether all ended in time."""
        tasks = set(self._requests)
        if self.sender_task is not None:
            tasks.add(self.sender_task)
        for task in tasks:
            task.cancel()
        alive = (await asyncio.wait(tasks, timeout=_KILL_S))[1] if tasks else set()
        self._message_accumulator.fail_all(KafkaError("the producer was killed"))
        return not alive


class _Pending(set[Any]):
    """Batches on their way; one that fails while it waits to be sent again has left already."""

    def remove(self, batch: Any) -> None:
        """Take a batch out, if it is there."""
        self.discard(batch)


class RawAccumulator(MessageAccumulator):  # type: ignore[misc]  # aiokafka has no types
    """aiokafka's queue of batches, which fail without a report of their own."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._pending_batches: set[Any] = _Pending()

    def fail_all(self, exception: BaseException) -> None:
        """Fail every batch with `exception`."""
        super().fail_all(exception)
        for batches in self._batches.values():
            for batch in batches:
                batch._drain_waiter.exception()  # noqa: SLF001  the batch's own future tells it


class RawTransactionManager(TransactionManager):  # type: ignore[misc]  # aiokafka has no types
    """aiokafka's state of a transaction, which remembers what it failed of.

    Attributes:
        failure: why no transaction can be committed any more; None as long as one can.
    """

    _transaction_waiter: "asyncio.Future[None] | None"

    def __init__(self, transactional_id: str | None, transaction_timeout_ms: int) -> None:
        super().__init__(transactional_id, transaction_timeout_ms)
        self.failure: BaseException | None = None

    def add_offsets_to_txn(self, offsets: object, group_id: str) -> "asyncio.Future[None]":
        """Take offsets into the transaction; the future answers when the broker has them."""
        future: asyncio.Future[None] = super().add_offsets_to_txn(offsets, group_id)
        # Whoever has given up waiting need not be told.
        future.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        return future

    def error_transaction(self, exc: BaseException) -> None:
        """The transaction can only be aborted."""
        super().error_transaction(exc)
        self._told(exc)

    def fatal_error(self, exc: BaseException) -> None:
        """The producer can do nothing more."""
        if self._transaction_waiter is None:  # its sender ended before the first transaction
            self._transaction_waiter = create_future()
        super().fatal_error(exc)
        self._told(exc)

    def _told(self, failure: BaseException) -> None:
        self.failure = failure
        if self._transaction_waiter is not None:
            self._transaction_waiter.exception()  # nobody may be waiting
