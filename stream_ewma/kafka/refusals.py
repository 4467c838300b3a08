"""Finding the record for which a broker refuses a batch, without publishing anything.

The batch is sent in halves of halves in transactions that are always aborted. A refusal spoils the
sequence numbers of its producer, hence a fresh one for each.
"""

from collections.abc import Callable, Mapping

from aiokafka.errors import KafkaError, UnknownError

from stream_ewma.engine.outgoing import Destination, OutgoingBatch
from stream_ewma.kafka.errors import REFUSALS
from stream_ewma.kafka.transactions import TransactionalProducer


async def refused_records(
    make_producer: Callable[[], TransactionalProducer],
    topics: Mapping[Destination, str],
    partition: int,
    batch: OutgoingBatch,
) -> list[OutgoingBatch]:
    """The records of a refused batch that the broker refuses by themselves, as batches of one.

    Args:
        make_producer: makes a producer; each is started and stopped here.
        topics: where batches go.
        partition: the partition's number.
        batch: what was refused.

    Raises:
        KafkaError: the broker has another complaint.
    """
    found: list[OutgoingBatch] = []
    todo = [batch]
    while todo:
        producer = make_producer()
        try:
            await producer.start()
            await producer.begin()
            await _try_all(producer, topics, partition, todo)
        except KafkaError as error:
            if not (isinstance(error, REFUSALS) or type(error) is UnknownError):
                raise
            refused = todo.pop()
            if len(refused) == 1:
                found.append(refused)
            else:
                todo.extend(reversed(refused.halves()))
        finally:
            await producer.stop()
    return found


async def _try_all(
    producer: TransactionalProducer,
    topics: Mapping[Destination, str],
    partition: int,
    todo: list[OutgoingBatch],
) -> None:
    """Send the last of `todo`, again and again, and take it off where the broker takes it."""
    while todo:
        topic = topics[todo[-1].destination]
        await (await producer.send(todo[-1].encoded, topic, partition))
        todo.pop()
    await producer.abort()
