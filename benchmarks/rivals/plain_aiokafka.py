"""The loop an engineer writes today with aiokafka: a Python object for each record.

Written with care: orjson both ways, one dict a partition, whole batches handed to the producer.
"""

import asyncio
import signal
import time
from collections import defaultdict

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import ConsumerRecord
from harness import job as limits
from harness.job import Job, job_from_arguments

State = dict[bytes, tuple[float, int]]


async def main(job: Job) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    consumer = AIOKafkaConsumer(
        job.input_topic,
        bootstrap_servers=job.bootstrap,
        group_id=job.group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        isolation_level="read_committed",
        max_partition_fetch_bytes=limits.MAX_PARTITION_FETCH_BYTES,
        fetch_max_bytes=limits.FETCH_MAX_BYTES,
        fetch_max_wait_ms=limits.FETCH_MAX_WAIT_MS,
    )
    producer = AIOKafkaProducer(
        bootstrap_servers=job.bootstrap,
        enable_idempotence=True,
        acks="all",
        linger_ms=0,
        max_batch_size=limits.MAX_BATCH_BYTES,
        max_request_size=limits.FETCH_MAX_BYTES,
    )
    await producer.start()
    await consumer.start()
    print(limits.READY, flush=True)
    await smooth(job, consumer, producer, stop)
    await consumer.stop()
    await producer.stop()


async def smooth(
    job: Job, consumer: AIOKafkaConsumer, producer: AIOKafkaProducer, stop: asyncio.Event
) -> None:
    states: defaultdict[TopicPartition, State] = defaultdict(dict)
    sent: list[asyncio.Future] = []
    committed_at = time.monotonic()
    while not stop.is_set():
        fetched = await consumer.getmany(timeout_ms=200)
        for partition, records in fetched.items():
            sent += await publish(job, producer, partition, records, states[partition])
        if sent and time.monotonic() - committed_at >= limits.COMMIT_INTERVAL_S:
            await asyncio.gather(*sent)
            sent.clear()
            await consumer.commit()
            committed_at = time.monotonic()


async def publish(
    job: Job,
    producer: AIOKafkaProducer,
    partition: TopicPartition,
    records: list[ConsumerRecord],
    state: State,
) -> list[asyncio.Future]:
    """Smooth the records of one partition and send them as full batches."""
    sent = []
    batch = producer.create_batch()
    for record in records:
        reading = orjson.loads(record.value)
        x = reading["value"]
        known = state.get(record.key)
        if known is None:
            mean, count = x, 1
        else:
            mean, count = known
            mean += limits.ALPHA * (x - mean)
            count += 1
        state[record.key] = (mean, count)
        value = orjson.dumps(
            {
                "key": record.key.decode(),
                "timestamp": reading["timestamp"],
                "value": x,
                "ewma": mean,
                "count": count,
            }
        )
        if batch.append(timestamp=record.timestamp, key=record.key, value=value) is None:
            batch.close()
            sent.append(
                await producer.send_batch(batch, job.output_topic, partition=partition.partition)
            )
            batch = producer.create_batch()
            batch.append(timestamp=record.timestamp, key=record.key, value=value)
    batch.close()
    sent.append(await producer.send_batch(batch, job.output_topic, partition=partition.partition))
    return sent


if __name__ == "__main__":
    asyncio.run(main(job_from_arguments()))
