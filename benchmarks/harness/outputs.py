"""Are two contestants' outputs the same records, in the same order, byte for byte?"""

import time
from typing import Final, TypeAlias

import numpy as np
from confluent_kafka import Consumer, KafkaError, TopicPartition
from numpy.typing import NDArray

from harness.job import PARTITIONS

SILENCE_S: Final = 10.0

Fingerprints: TypeAlias = list[NDArray[np.int64]]
"""A 64-bit hash of each record's key, value and timestamp; one array a partition."""


def end_offsets(consumer: Consumer, topic: str) -> list[int]:
    return [
        consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=10)[1]
        for p in range(PARTITIONS)
    ]


def reader(bootstrap: str) -> Consumer:
    """A consumer outside any group, for looking at topics."""
    return Consumer(
        {
            "bootstrap.servers": bootstrap,
            "log_level": 4,
            "group.id": "benchmark-reader",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
        }
    )


def fingerprints(bootstrap: str, topic: str) -> Fingerprints:
    """Read `topic` back whole with a client that none of our code is part of."""
    consumer = reader(bootstrap)
    try:
        return [
            _fingerprint_partition(consumer, TopicPartition(topic, p, 0), end)
            for p, end in enumerate(end_offsets(consumer, topic))
        ]
    finally:
        consumer.close()


def _fingerprint_partition(
    consumer: Consumer, partition: TopicPartition, end: int
) -> NDArray[np.int64]:
    """The hashes up to the end, `end` at most: transactions' markers take offsets, too."""
    hashes = np.empty(end, np.int64)
    consumer.assign([partition])
    n = 0
    heard_at = time.monotonic()
    while True:
        # It waits so long for the last of so many, too: at a partition's end, always.
        messages = consumer.consume(num_messages=10_000, timeout=0.2)
        if messages:
            heard_at = time.monotonic()
        elif time.monotonic() > heard_at + SILENCE_S:
            raise TimeoutError(
                f"{partition.topic} {partition.partition}: no record at {n} of {end}"
            )
        for message in messages:
            error = message.error()
            if error is not None and error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
                return hashes[:n]
            if error is not None:
                raise RuntimeError(str(error))
            hashes[n] = hash((message.key(), message.value(), message.timestamp()[1]))
            n += 1


def first_difference(ours: Fingerprints, theirs: Fingerprints) -> tuple[int, int] | None:
    """(partition, offset) of the first record that differs; None where all are equal."""
    for partition, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        shared = min(len(a), len(b))
        differs = np.flatnonzero(a[:shared] != b[:shared])
        if len(differs):
            return partition, int(differs[0])
        if len(a) != len(b):
            return partition, shared
    return None


def show(bootstrap: str, topic: str, partition: int, offset: int) -> str:
    """One record as text, for the message that says what differs."""
    consumer = reader(bootstrap)
    try:
        consumer.assign([TopicPartition(topic, partition, offset)])
        message = consumer.poll(5)
        if message is None or message.error():
            return f"{topic} {partition}@{offset}: no record"
        return f"{topic} {partition}@{offset}: {message.key()} {message.value()}"
    finally:
        consumer.close()
