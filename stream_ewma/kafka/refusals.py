"""Finding the record for which a broker refuses a batch, without publishing anything.

The batch is sent in halves of halves in transactions that are always aborted. A refusal spoils the
sequence numbers of its producer, hence a fresh one for each.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from aiokafka.errors import KafkaError, UnknownError

from stream_ewma.engine.outgoing import Destination, OutgoingBatch
from stream_ewma.kafka.errors import REFUSALS
from stream_ewma.kafka.transactions import TransactionalProducer


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
) -> Refusal:
    """Find out what of a refused batch the broker refuses.

    Args:
        make_producer: makes a producer; each is started and stopped here.
        topics: where batches go.
        partition: the partition's number.
        batch: what was refused.

    Raises:
        KafkaError: the broker has another complaint.
    """
    refused: list[OutgoingBatch] = []
    taken: list[int] = []
    todo = [(batch, 0)]
    while todo:
        producer = make_producer()
        try:
            await producer.start()
            await producer.begin()
            while todo:
                piece, halvings = todo[-1]
                topic = topics[piece.destination]
                await (await producer.send(piece.encoded, topic, partition))
                taken.append(halvings)
                todo.pop()
            await producer.abort()
        except KafkaError as error:
            if not (isinstance(error, REFUSALS) or type(error) is UnknownError):
                raise
            piece, halvings = todo.pop()
            if len(piece) == 1:
                refused.append(piece)
            else:
                todo.extend((half, halvings + 1) for half in reversed(piece.halves()))
        finally:
            await producer.stop()
    return Refusal(refused, min(taken, default=0))
