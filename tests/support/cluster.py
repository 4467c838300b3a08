"""What a test says to a broker and hears from it, through librdkafka.

The service uses aiokafka; reading and writing here with another client keeps the judge independent
of the judged.
"""

import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from confluent_kafka import (
    OFFSET_BEGINNING,
    TIMESTAMP_NOT_AVAILABLE,
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
)

from .waiting import wait_until

REQUEST_TIMEOUT_S = 30
Header = tuple[str, bytes | None]


@dataclass(frozen=True)
class Message:
    """One record, to be written or as it was read."""

    key: bytes | None
    value: bytes | None
    timestamp: int = 0
    headers: tuple[Header, ...] = ()
    partition: int = 0
    offset: int = field(default=-1, compare=False)


class Cluster:
    """The broker at one address."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self.admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
        self._asking: tuple[str, Consumer] | None = None

    def create_topic(
        self, name: str = "", *, partitions: int = 1, copies: int = 1, **config: str
    ) -> str:
        """Make a topic that keeps records of any age; return its name, by default a new one.

        Args:
            name: its name.
            partitions: how many.
            copies: of each partition, on as many brokers.
            **config: topic settings, underscores for dots.
        """
        name = name or f"readings-{uuid.uuid4().hex[:12]}"
        wanted = {"retention.ms": "-1"} | {k.replace("_", "."): v for k, v in config.items()}
        new = NewTopic(name, partitions, copies, config=wanted)
        for made in self.admin.create_topics([new]).values():
            made.result(REQUEST_TIMEOUT_S)
        wait_until(lambda: self.partitions(name) == partitions, what=f"{name} has no leaders")
        return name

    def configure_topic(self, name: str, **config: str) -> None:
        """Change settings of a topic, underscores for dots; return when the broker has them."""
        wanted = {setting.replace("_", "."): text for setting, text in config.items()}
        entries = [
            ConfigEntry(setting, text, incremental_operation=AlterConfigOpType.SET)
            for setting, text in wanted.items()
        ]
        resource = ConfigResource(ConfigResource.Type.TOPIC, name, incremental_configs=entries)
        for done in self.admin.incremental_alter_configs([resource]).values():
            done.result(REQUEST_TIMEOUT_S)
        # The controller has answered; the broker that is asked next hears of it a little later.
        wait_until(
            lambda: wanted.items() <= self.topic_config(name).items(),
            what=lambda: f"{wanted} is not in {self.topic_config(name)}",
        )

    def topic_config(self, name: str) -> dict[str, str]:
        """Return a topic's settings under Kafka's names."""
        (answer,) = self.admin.describe_configs(
            [ConfigResource(ConfigResource.Type.TOPIC, name)]
        ).values()
        return {entry.name: entry.value for entry in answer.result(REQUEST_TIMEOUT_S).values()}

    def grow_topic(self, name: str, partitions: int) -> None:
        """Give a topic so many partitions and wait until each has a leader."""
        for grown in self.admin.create_partitions([NewPartitions(name, partitions)]).values():
            grown.result(REQUEST_TIMEOUT_S)
        wait_until(lambda: self.partitions(name) == partitions, what=f"{name} has no leaders")

    def delete_topic(self, name: str) -> None:
        """Delete a topic and wait until it is gone."""
        for gone in self.admin.delete_topics([name]).values():
            gone.result(REQUEST_TIMEOUT_S)
        wait_until(lambda: not self.partitions(name), what=f"{name} is still there")

    def delete_records(self, topic: str, before: Mapping[int, int]) -> None:
        """Delete the records before an offset of each partition, as retention does."""
        wanted = [TopicPartition(topic, p, offset) for p, offset in before.items()]
        for done in self.admin.delete_records(wanted).values():
            done.result(REQUEST_TIMEOUT_S)

    def partitions(self, topic: str) -> int:
        """Return the number of partitions that have a leader, 0 where there is no such topic."""
        known = self.admin.list_topics(timeout=REQUEST_TIMEOUT_S).topics.get(topic)
        if known is None:
            return 0
        return sum(1 for each in known.partitions.values() if each.leader >= 0)

    def produce(self, topic: str, messages: Iterable[Message], **config: object) -> None:
        """Write records in order and wait for their acknowledgement.

        Args:
            topic: where to.
            messages: what.
            **config: librdkafka's producer settings, underscores for dots.
        """
        producer = self.producer(**config)
        send(producer, topic, messages)

    def producer(self, **config: object) -> Producer:
        """Return an idempotent producer."""
        dotted = {name.replace("_", "."): text for name, text in config.items()}
        return Producer(
            {
                "bootstrap.servers": self.bootstrap,
                "enable.idempotence": True,
                "linger.ms": 20,
                "log_level": 0,
                "queue.buffering.max.messages": 10_000_000,
            }
            | dotted
        )

    def read(self, topic: str, *, isolation: str = "read_committed") -> list[Message]:
        """Return every record of a topic up to its present end, by partition and offset."""
        consumer = self._reader(isolation)
        partitions = self.partitions(topic)
        consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in range(partitions)])
        found: list[Message] = []
        ended: set[int] = set()
        try:
            while len(ended) < partitions:
                for got in consumer.consume(10_000, timeout=0.2):
                    error = got.error()
                    if error is None:
                        found.append(as_message(got))
                    elif error.code() == KafkaError._PARTITION_EOF:
                        ended.add(got.partition())
                    else:
                        raise RuntimeError(f"{topic}: {error}")
        finally:
            consumer.close()
        return sorted(found, key=lambda each: (each.partition, each.offset))

    def wait_for(self, topic: str, count: int, *, timeout_s: float = 60) -> list[Message]:
        """Wait until a topic holds `count` committed records; return all it then holds."""
        reader = self._reader("read_committed")
        partitions = self.partitions(topic)
        reader.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in range(partitions)])
        total = 0

        def enough() -> bool:
            nonlocal total
            total += sum(got.error() is None for got in reader.consume(10_000, timeout=0.05))
            return total >= count

        try:
            wait_until(
                enough,
                timeout_s=timeout_s,
                what=lambda: f"{topic} holds {total} records after {timeout_s} s, not {count}",
            )
        finally:
            reader.close()
        return self.read(topic)

    def end_offsets(self, topic: str) -> dict[int, int]:
        """Return each partition's high watermark."""
        consumer = self._reader("read_uncommitted")
        ends: dict[int, int] = {}

        def ask() -> bool:
            try:
                for p in range(self.partitions(topic)):
                    _, ends[p] = consumer.get_watermark_offsets(
                        TopicPartition(topic, p), REQUEST_TIMEOUT_S
                    )
            except KafkaException as error:
                # A broker that has just started is named as leader before it leads.
                if error.args[0].code() != KafkaError.NOT_LEADER_FOR_PARTITION:
                    raise
                return False
            return True

        try:
            wait_until(ask, what=f"{topic} has a partition that nobody leads")
        finally:
            consumer.close()
        return ends

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """Return the group's committed offset of each partition that has one."""
        # A consumer that never joins: librdkafka's admin client crashes when the coordinator moves.
        if self._asking is None or self._asking[0] != group:
            if self._asking is not None:
                self._asking[1].close()
            self._asking = group, self._reader("read_uncommitted", group)
        wanted = [TopicPartition(topic, p) for p in range(self.partitions(topic))]
        found = self._asking[1].committed(wanted, REQUEST_TIMEOUT_S) if wanted else []
        return {each.partition: each.offset for each in found if each.offset >= 0}

    def commit(self, group: str, topic: str, offsets: Mapping[int, int]) -> None:
        """Set offsets of a group without members, by partition."""
        wanted = ConsumerGroupTopicPartitions(
            group, [TopicPartition(topic, p, offset) for p, offset in offsets.items()]
        )
        for done in self.admin.alter_consumer_group_offsets([wanted]).values():
            done.result(REQUEST_TIMEOUT_S)

    def members(self, group: str) -> dict[str, int]:
        """Return how many partitions each member of a group holds, by member id."""
        (answer,) = self.admin.describe_consumer_groups([group]).values()
        group_now = answer.result(REQUEST_TIMEOUT_S)
        return {
            member.member_id: len(member.assignment.topic_partitions)
            for member in group_now.members
        }

    def _reader(self, isolation: str, group: str = "") -> Consumer:
        return Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": group or f"judge-{uuid.uuid4().hex}",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "isolation.level": isolation,
                "auto.offset.reset": "error",
                "fetch.wait.max.ms": 20,
                "log_level": 0,
            }
        )


def send(
    producer: Producer,
    topic: str,
    messages: Iterable[Message],
    *,
    timeout_s: float = REQUEST_TIMEOUT_S,
) -> None:
    """Hand records to a producer in order and wait until the broker has them.

    Raises:
        RuntimeError: the broker refused one; the first reason is in the message.
    """
    refused: list[str] = []

    def report(error: KafkaError | None, _message: object) -> None:
        if error is not None:
            refused.append(str(error))

    for each in messages:
        producer.produce(
            topic,
            key=each.key,
            value=each.value,
            partition=each.partition,
            timestamp=each.timestamp,
            headers=list(each.headers),
            on_delivery=report,
        )
        producer.poll(0)
    left = producer.flush(timeout_s)
    if refused or left:
        raise RuntimeError(f"{len(refused)} refused ({refused[:1]}), {left} unanswered")


def as_message(got: object) -> Message:
    """Turn librdkafka's record into ours."""
    kind, timestamp = got.timestamp()
    return Message(
        key=got.key(),
        value=got.value(),
        timestamp=-1 if kind == TIMESTAMP_NOT_AVAILABLE else timestamp,
        headers=tuple((name, text) for name, text in got.headers() or ()),
        partition=got.partition(),
        offset=got.offset(),
    )


def by_partition(messages: Sequence[Message]) -> Mapping[int, list[Message]]:
    """Group records by partition, their order kept."""
    groups: dict[int, list[Message]] = defaultdict(list)
    for each in messages:
        groups[each.partition].append(each)
    return groups
