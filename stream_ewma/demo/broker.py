"""An embedded Kafka broker: librdkafka's mock cluster, out of the confluent-kafka wheel.

Good for a demo and for nothing else: one group member, no transactions, four partitions a topic,
about 5 MiB of records kept in each, everything forgotten at the end.
"""

from types import TracebackType
from typing import Any, Final, Self

import confluent_kafka

from stream_ewma.errors import BrokerUnavailableError

MAX_BACKLOG: Final = 20_000
"""Records that may be under way at once; at some 200 bytes each they stay within what one
partition keeps, even when all are in one."""

_QUIET: Final[dict[str, Any]] = {"log_level": 0}
_TIMEOUT_S: Final = 10.0


class MockBroker:
    """One broker on a free port of this machine, alive inside the `with` block."""

    def __init__(self) -> None:
        # The cluster belongs to this producer and ends with it.
        self._owner = confluent_kafka.Producer({"test.mock.num.brokers": 1} | _QUIET)
        broker = next(iter(self._owner.list_topics(timeout=_TIMEOUT_S).brokers.values()))
        self.bootstrap = f"{broker.host}:{broker.port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        del self._owner

    def create_topic(self, topic: str) -> None:
        """Make `topic`: asking for an unknown topic makes it, there is no other way here."""
        self._owner.list_topics(topic, timeout=_TIMEOUT_S)


def connect_producer(bootstrap: str) -> confluent_kafka.Producer:
    """A producer that partitions by key as Java's does and reports only what failed."""
    return confluent_kafka.Producer(
        {
            "bootstrap.servers": bootstrap,
            "linger.ms": 5,
            "acks": "all",
            "enable.idempotence": True,
            "partitioner": "murmur2_random",
            "delivery.report.only.error": True,
        }
        | _QUIET
    )


def connect_consumer(bootstrap: str, topic: str) -> confluent_kafka.Consumer:
    """A consumer at the start of every partition of `topic`, outside any group's book-keeping."""
    consumer = confluent_kafka.Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "stream-ewma-demo-view",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 50,
        }
        | _QUIET
    )
    partitions = consumer.list_topics(topic, timeout=_TIMEOUT_S).topics[topic].partitions
    consumer.assign([confluent_kafka.TopicPartition(topic, number, 0) for number in partitions])
    return consumer


def check_topic(producer: confluent_kafka.Producer, bootstrap: str, topic: str) -> None:
    """See that the broker answers and has `topic`.

    Raises:
        BrokerUnavailableError: it does not.
    """
    try:
        found = producer.list_topics(topic, timeout=_TIMEOUT_S).topics[topic]
    except confluent_kafka.KafkaException as error:
        raise BrokerUnavailableError(
            f"no broker answers at {bootstrap}: start it, or name another with --bootstrap"
        ) from error
    if found.error is not None:
        raise BrokerUnavailableError(f"topic {topic} at {bootstrap}: {found.error.str()}")
