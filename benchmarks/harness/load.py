"""Input for the contestants: noisy sensors as JSON, laid out in batches of a chosen size."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from aiokafka import AIOKafkaProducer
from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from harness.job import PARTITIONS

_START_MS: Final = 1_767_225_600_000
_CHUNK: Final = 40_000


@dataclass(frozen=True, slots=True)
class Load:
    """What to write to an input topic.

    Attributes:
        records: how many.
        keys: drawn evenly at random from so many.
        batch_records: records in each Kafka batch; 1 is a producer that does not linger.
        every_key_first: the first `keys` records name each key once, so that all later ones find
            their state.
    """

    records: int
    keys: int
    batch_records: int
    every_key_first: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One input record, and the partition it belongs in."""

    partition: int
    timestamp_ms: int
    key: bytes
    value: bytes


def create_topic(
    bootstrap: str,
    name: str,
    *,
    may_exist: bool = False,
    partitions: int = PARTITIONS,
    **topic_config: str,
) -> None:
    # No time limit on records: the input's timestamps may be old.
    config = {"retention.ms": "-1"}
    config |= {name.replace("_", "."): text for name, text in topic_config.items()}
    topic = NewTopic(name, partitions, 1, config=config)
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 4})  # must outlive its answer
    try:
        admin.create_topics([topic])[name].result()
    except KafkaException as error:
        if not may_exist or error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise
    while not _has_leaders(admin, name):  # a broker answers before it knows of the topic itself
        time.sleep(0.05)


def _has_leaders(admin: AdminClient, name: str) -> bool:
    found = admin.list_topics(timeout=30).topics.get(name)
    if found is None or not found.partitions:
        return False
    return all(each.leader >= 0 for each in found.partitions.values())


def delete_topic(bootstrap: str, name: str) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 4})
    admin.delete_topics([name])[name].result()


def fill(bootstrap: str, topic: str, load: Load) -> None:
    """Create `topic` and write the records of `load` to it."""
    create_topic(bootstrap, topic)
    if load.batch_records == 1:
        _fill_singly(bootstrap, topic, load)
    else:
        asyncio.run(_fill_in_batches(bootstrap, topic, load))


def rows(load: Load) -> Iterator[Row]:
    """The records, the same at every call: values of 4 decimals around a level of the key's own."""
    random = np.random.default_rng(3)
    for first in range(0, load.records, _CHUNK):
        n = min(_CHUNK, load.records - first)
        key = random.integers(0, load.keys, n)
        if load.every_key_first and first < load.keys:
            key[: load.keys - first] = np.arange(first, min(first + n, load.keys))
        x = np.round(20 + key % 97 / 10 + random.normal(0, 0.5, n), 4)
        for row, (k, v) in enumerate(zip(key.tolist(), x.tolist(), strict=True), first):
            ms = _START_MS + row // 10
            value = b'{"value":%a,"timestamp":%d}' % (v, ms)
            yield Row(k % PARTITIONS, ms, b"sensor-%06d" % k, value)


async def _fill_in_batches(bootstrap: str, topic: str, load: Load) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        enable_idempotence=True,
        max_batch_size=1 << 20,
        max_request_size=1 << 23,
    )
    await producer.start()
    try:
        batches = [producer.create_batch() for _ in range(PARTITIONS)]
        for row in rows(load):
            batch = batches[row.partition]
            batch.append(timestamp=row.timestamp_ms, key=row.key, value=row.value)
            if batch.record_count() == load.batch_records:
                batch.close()
                await producer.send_batch(batch, topic, partition=row.partition)
                batches[row.partition] = producer.create_batch()
        for partition, batch in enumerate(batches):
            batch.close()
            await producer.send_batch(batch, topic, partition=partition)
        await producer.flush()
    finally:
        await producer.stop()


def _fill_singly(bootstrap: str, topic: str, load: Load) -> None:
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "log_level": 4,
            "acks": 1,
            "linger.ms": 0,
            "batch.num.messages": 1,
            "queue.buffering.max.messages": 1_000_000,
        }
    )
    for row in rows(load):
        producer.produce(
            topic, row.value, row.key, partition=row.partition, timestamp=row.timestamp_ms
        )
    if producer.flush(600):
        raise TimeoutError(f"{topic}: the broker did not take the records within 10 minutes")
