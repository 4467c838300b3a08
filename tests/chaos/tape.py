"""Reading topics from their beginning, a little at a time, with a client of its own."""

import hashlib
from collections.abc import Iterable, Iterator
from time import monotonic

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

from tests.support.cluster import Cluster, Message, as_message
from tests.support.waiting import wait_until

from .patience import PatientCluster

_TRANSIENT = {
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._TIMED_OUT,
    KafkaError._RESOLVE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError.BROKER_NOT_AVAILABLE,
    KafkaError.NETWORK_EXCEPTION,
    KafkaError.OFFSET_NOT_AVAILABLE,
    KafkaError.KAFKA_STORAGE_ERROR,
}

SILENCE_S = 15.0
"""After so long a new client asks: one that reads without a group is sometimes left without an
answer for good by a broker that comes back (rust-rdkafka's issue 597 has it, too)."""


class Tape:
    """The committed records of some topics, in order within each partition.

    Args:
        cluster: the brokers.
        topics: all their partitions.
        group: only names the client: nothing is committed.
    """

    def __init__(self, cluster: Cluster, topics: Iterable[str], *, group: str = "tape") -> None:
        self._settings = {
            "bootstrap.servers": cluster.bootstrap,
            "group.id": group,
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "auto.offset.reset": "error",
            "fetch.wait.max.ms": 20,
            "enable.partition.eof": True,
            "reconnect.backoff.max.ms": 500,
            "log_level": 0,
        }
        self._next = {
            (topic, partition): OFFSET_BEGINNING
            for topic in topics
            for partition in range(cluster.partitions(topic))
        }
        self._ended: set[tuple[str, int]] = set()
        self._connect()

    def read(self, most: int = 2_000, timeout_s: float = 0.05) -> list[tuple[str, Message]]:
        """The next records with their topics, as many as have come.

        Raises:
            RuntimeError: the client cannot go on.
        """
        found = []
        for got in self._consumer.consume(most, timeout=timeout_s):
            error, place = got.error(), (str(got.topic()), int(got.partition() or 0))
            if error is None:
                message = as_message(got)
                found.append((place[0], message))
                self._next[place] = message.offset + 1
            elif error.code() == KafkaError._PARTITION_EOF:
                self._ended.add(place)
            elif error.code() not in _TRANSIENT:
                raise RuntimeError(f"{place[0]}: {error}")
        if found:
            self._heard = monotonic()
        elif monotonic() - self._heard > SILENCE_S:
            self._consumer.close()
            self._connect()
        return found

    def read_to_end(self) -> Iterator[tuple[str, Message]]:
        """All records up to the present end of every partition."""
        while self._ended != self._next.keys():
            yield from self.read()

    def close(self) -> None:
        """Disconnect."""
        self._consumer.close()

    def _connect(self) -> None:
        self._consumer = Consumer(self._settings)
        self._consumer.assign([TopicPartition(*place, at) for place, at in self._next.items()])
        self._heard = monotonic()


class Digest:
    """What a partition held, in order, in few bytes."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.count = 0

    def add(self, record: Message) -> None:
        """One record more."""
        told = record.offset, record.key, record.value, record.timestamp, record.headers
        self._hash.update(repr(told).encode())
        self.count += 1

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Digest) and self._hash.digest() == other._hash.digest()

    __hash__ = None  # type: ignore[assignment]  # it changes


def wait_settled(
    cluster: PatientCluster, topics: Iterable[str], *, timeout_s: float
) -> dict[str, str]:
    """Wait until no transaction is open on the topics; answers where one still is."""
    hanging: dict[str, str] = {}

    def settled() -> bool:
        hanging.clear()
        for topic in topics:
            stable, end = cluster.stable_offsets(topic), cluster.end_offsets(topic)
            for partition, offset in stable.items():
                if offset != end[partition]:
                    hanging[f"{topic}-{partition}"] = f"LSO {offset}, LEO {end[partition]}"
        return not hanging

    try:
        wait_until(settled, timeout_s=timeout_s)
    except TimeoutError:
        return hanging
    return {}
