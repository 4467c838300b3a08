"""The loop an engineer writes today with confluent-kafka: librdkafka's threads, Python records."""

import signal
import sys
import time
from collections import defaultdict

import orjson
from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition
from harness import job as limits
from harness.job import Job, job_from_arguments

State = dict[bytes, tuple[float, int]]


def main(job: Job) -> None:
    stop: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: stop.append(number))
    consumer = Consumer(
        {
            "bootstrap.servers": job.bootstrap,
            "group.id": job.group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "check.crcs": True,  # as aiokafka does
            "max.partition.fetch.bytes": limits.MAX_PARTITION_FETCH_BYTES,
            "fetch.max.bytes": limits.FETCH_MAX_BYTES,
            "fetch.wait.max.ms": limits.FETCH_MAX_WAIT_MS,
        }
    )
    producer = Producer(
        {
            "bootstrap.servers": job.bootstrap,
            "enable.idempotence": True,
            "acks": "all",
            # Records are handed over one by one here, so a batch needs time to fill: librdkafka's
            # own default. With 0 the loop sends small batches and is slower.
            "linger.ms": 5,
            "batch.size": limits.MAX_BATCH_BYTES,
            "batch.num.messages": 1_000_000,
            "queue.buffering.max.messages": 1_000_000,
            "delivery.report.only.error": True,
        }
    )
    consumer.subscribe([job.input_topic], on_assign=lambda *_: print(limits.READY, flush=True))
    smooth(job, consumer, producer, stop)
    consumer.close()


def smooth(job: Job, consumer: Consumer, producer: Producer, stop: list[int]) -> None:
    states: defaultdict[int, State] = defaultdict(dict)
    positions: dict[int, int] = {}
    committed_at = time.monotonic()
    while not stop:
        for message in consumer.consume(num_messages=10_000, timeout=0.2):
            if message.error():
                sys.exit(str(message.error()))
            partition = message.partition()
            publish(job, producer, message, states[partition])
            positions[partition] = message.offset() + 1
        producer.poll(0)
        if positions and time.monotonic() - committed_at >= limits.COMMIT_INTERVAL_S:
            if producer.flush(30):
                sys.exit("outputs not acknowledged within 30 s")
            offsets = [TopicPartition(job.input_topic, p, o) for p, o in positions.items()]
            consumer.commit(offsets=offsets, asynchronous=False)
            positions.clear()
            committed_at = time.monotonic()


def publish(job: Job, producer: Producer, message: Message, state: State) -> None:
    key = message.key()
    reading = orjson.loads(message.value())
    x = reading["value"]
    known = state.get(key)
    if known is None:
        mean, count = x, 1
    else:
        mean, count = known
        mean += limits.ALPHA * (x - mean)
        count += 1
    state[key] = (mean, count)
    value = orjson.dumps(
        {
            "key": key.decode(),
            "timestamp": reading["timestamp"],
            "value": x,
            "ewma": mean,
            "count": count,
        }
    )
    arguments = {
        "value": value,
        "key": key,
        "partition": message.partition(),
        "timestamp": message.timestamp()[1],
        "on_delivery": refuse,
    }
    try:
        producer.produce(job.output_topic, **arguments)
    except BufferError:  # the queue is full: let deliveries make room
        producer.poll(1.0)
        producer.produce(job.output_topic, **arguments)


def refuse(error: KafkaError | None, _message: Message) -> None:
    if error is not None:
        sys.exit(str(error))


if __name__ == "__main__":
    main(job_from_arguments())
