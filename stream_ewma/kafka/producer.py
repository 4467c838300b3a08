"""Publishing one partition's batches: idempotent, acks=all, in order, each one awaited.

After any failed batch aiokafka's sequence numbers no longer fit, so the producer is dropped and a
new one takes over; batches without an acknowledgement are sent again, in their order. A batch that
the broker refuses for what it holds is the caller's to cut smaller.
"""

import asyncio
import logging
from collections.abc import Awaitable
from typing import Any

from aiokafka.errors import KafkaError, UnknownError, UnknownTopicOrPartitionError

from stream_ewma.kafka.connect import client_options
from stream_ewma.kafka.errors import REFUSALS
from stream_ewma.kafka.seams import FinishedBatch, RawProducer
from stream_ewma.records.writer import EncodedBatch
from stream_ewma.settings import Settings

_log = logging.getLogger(__name__)

_STOP_S = 5.0


class PartitionProducer:
    """The producer of one input partition; it can be replaced by a fresh one.

    Args:
        settings: where the brokers are, and how to be let in.
        idempotent: number the batches, so that the broker drops one that is sent twice.
    """

    def __init__(self, settings: Settings, *, idempotent: bool = True) -> None:
        self._options = {
            **client_options(settings),
            "enable_idempotence": idempotent,
            "acks": "all",
            "linger_ms": 0,
        }
        self._producer: RawProducer | None = None

    async def start(self) -> None:
        """Connect and get a producer id.

        Raises:
            KafkaError: no broker answers, or it refuses.
        """
        producer = RawProducer(**self._options)
        try:
            await producer.start()
        except BaseException:
            await end(producer)
            raise
        self._producer = producer

    async def send(
        self, batch: EncodedBatch, topic: str, partition: int
    ) -> "asyncio.Future[object]":
        """Hand a batch over; the future answers when the broker has it, or tells why not.

        Waits while an earlier batch for the same partition is still queued.

        Raises:
            KafkaError: the producer cannot take it.
        """
        if self._producer is None:
            raise KafkaError("the producer is not started")
        return await hand_over(self._producer, FinishedBatch(batch), topic, partition)

    @property
    def refusal(self) -> KafkaError | None:
        """What keeps a batch from getting in, by the brokers' last answer; None: nothing known."""
        return last_refusal(self._producer)

    async def stop(self) -> bool:
        """Stop; a producer that does not end in time is killed. Answers whether it ended."""
        producer, self._producer = self._producer, None
        return producer is None or await end(producer)


def may_be_refusal(error: BaseException | None) -> bool:
    """Whether the broker blames the batch itself, as far as its answer tells.

    aiokafka knows no name for INVALID_RECORD and some others: only trying again shows whether an
    unknown error is one of them.
    """
    return isinstance(error, REFUSALS) or type(error) is UnknownError


def is_refusal(error: BaseException, attempts: int) -> bool:
    """The same, where an unknown error counts once a fresh producer has met it again."""
    return may_be_refusal(error) and (attempts > 1 or type(error) is not UnknownError)


async def hand_over(
    producer: RawProducer, batch: FinishedBatch, topic: str, partition: int
) -> "asyncio.Future[object]":
    """Queue a batch; the future answers when the broker has it, or tells why not.

    Waits while an earlier batch for the same partition is still queued, `request_timeout_ms` long.

    Raises:
        KafkaError: the producer cannot take it.
    """
    try:
        future: asyncio.Future[object] = await producer.send_batch(
            batch, topic, partition=partition
        )
    except AssertionError as error:  # aiokafka's word for it
        raise UnknownTopicOrPartitionError(f"{topic} has no partition {partition}") from error
    return future


def last_refusal(producer: RawProducer | None) -> KafkaError | None:
    """What brokers said last of a batch that is sent again and again; None: nothing known."""
    return None if producer is None else producer._sender.refusal  # noqa: SLF001  no public way


async def end(producer: RawProducer) -> bool:
    """Stop within seconds; one that hangs is killed. Answers whether it stopped by itself."""
    if await _within(producer.stop()):
        return True
    _log.warning("a producer did not stop within %.0f s and was dropped", _STOP_S)
    # A second stop() would return at once and leave the sender alive, able to send.
    await producer._sender.kill()  # noqa: SLF001  no public way to end it
    await _within(producer.client.close())
    return False


async def _within(awaitable: Awaitable[Any]) -> bool:
    """Wait for `awaitable` so long at most; it is left running, not cancelled, after that."""
    task = asyncio.ensure_future(awaitable)
    done, _ = await asyncio.wait({task}, timeout=_STOP_S)
    if not done:
        # Whoever gives up on it must not be told of its end as an unhandled error.
        task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        return False
    return not task.cancelled() and task.exception() is None
