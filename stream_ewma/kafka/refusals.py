"""Finding the record for which a broker refuses a batch, without publishing anything.

The batch is sent in halves of halves in transactions that are always aborted. A refusal spoils the
sequence numbers of its producer, hence a fresh one for each.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from aiokafka.errors import KafkaError, KafkaTimeoutError

from stream_ewma.engine.outgoing import Destination, OutgoingBatch
from stream_ewma.kafka.producer import is_refusal, may_be_refusal
from stream_ewma.kafka.transactions import TransactionalProducer

_ANSWER_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a broker refuses of a batch.

    Attributes:
        records: those that it refuses by themselves, as batches of one.
        halvings: how often the batch must be halved until some piece of it is taken.
    """

    records: list[OutgoingBatch]
    halvings: int


async def examine(
    make_producer: Callable[[], TransactionalProducer],
    topics: Mapping[Destination, str],
    partition: int,
    batch: OutgoingBatch,
    is_ours: Callable[[], bool],
) -> Refusal:
    """Find out what of a refused batch the broker refuses.

    Args:
        make_producer: makes a producer; each is started and stopped here.
        topics: where batches go.
        partition: the partition's number.
        batch: what was refused.
        is_ours: whether the partition is still ours: each producer fences whoever else has it.

    Raises:
        KafkaError: the broker has another complaint.
    """
    refused: list[OutgoingBatch] = []
    taken: list[int] = []
    todo = [(batch, 0)]
    attempts = 0
    while todo and is_ours():
        producer = make_producer()
        attempts += 1
        try:
            await producer.start()
            await producer.begin()
            error = None
            while todo and error is None:
                piece, halvings = todo[-1]
                error = await _complaint(producer, piece, topics[piece.destination], partition)
                if error is None:
                    taken.append(halvings)
                    todo.pop()
                    attempts = 1
                elif is_refusal(error, attempts):
                    todo.pop()
                    attempts = 0
                    if len(piece) == 1:
                        refused.append(piece)
                    else:
                        todo.extend((half, halvings + 1) for half in reversed(piece.halves()))
            if error is None:
                with suppress(KafkaError):  # all is known, and the next producer settles it
                    await producer.abort()
        finally:
            await producer.stop()
    return Refusal(refused, min(taken, default=0))


async def _complaint(
    producer: TransactionalProducer, piece: OutgoingBatch, topic: str, partition: int
) -> KafkaError | None:
    """Why the broker refuses a piece, as far as its answer tells; None: it takes it.

    Raises:
        KafkaError: it has another complaint.
    """
    try:
        sent = await producer.send(piece.encoded, topic, partition)
        async with asyncio.timeout(_ANSWER_S):
            await sent
    except TimeoutError as error:
        raise KafkaTimeoutError("no answer to a piece of a refused batch") from error
    except KafkaError as error:
        if not may_be_refusal(error):
            raise
        return error
    return None
