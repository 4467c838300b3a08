"""Asking brokers that may be away: again, through a new connection, until they answer."""

from collections.abc import Callable, Mapping
from typing import TypeVar

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from tests.support.cluster import REQUEST_TIMEOUT_S, Cluster
from tests.support.waiting import wait_until

T = TypeVar("T")

PATIENCE_S = 90.0
ATTEMPT_MS = 8_000


class PatientCluster(Cluster):
    """The brokers at one address, asked until they answer."""

    def __init__(self, bootstrap: str) -> None:
        super().__init__(bootstrap)
        self._plain = _plain(bootstrap)

    def ask(self, work: Callable[[Cluster], T]) -> T:
        """Do `work` until it succeeds.

        Raises:
            TimeoutError: it does not; with what it failed of last.
        """
        answers: list[T] = []
        failures: list[Exception] = []

        def try_once() -> bool:
            plain = self._plain
            try:
                answers.append(work(plain))
            except (KafkaException, TimeoutError) as error:
                failures.append(error)
                self._plain = _plain(self.bootstrap)  # an old one may wait for a dead connection
            return bool(answers)

        wait_until(try_once, timeout_s=PATIENCE_S, what=lambda: f"no answer: {failures[-1]!r}")
        return answers[0]

    def partitions(self, topic: str) -> int:
        """Return the number of partitions that have a leader, 0 where there is no such topic."""
        return self.ask(lambda plain: plain.partitions(topic))

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """Return the group's committed offset of each partition that has one."""
        return self.ask(lambda plain: plain.committed(group, topic))

    def members(self, group: str) -> dict[str, int]:
        """Return how many partitions each member of a group holds, by member id."""
        return self.ask(lambda plain: plain.members(group))

    def owners(self, group: str) -> dict[int, str]:
        """Return the client id of the member that has each partition."""

        def work(plain: Cluster) -> dict[int, str]:
            (answer,) = plain.admin.describe_consumer_groups([group]).values()
            return {
                tp.partition: member.client_id
                for member in answer.result(REQUEST_TIMEOUT_S).members
                for tp in member.assignment.topic_partitions
            }

        return self.ask(work)

    def delete_group(self, group: str) -> None:
        """Delete a group that has no members, with its offsets."""

        def work(plain: Cluster) -> None:
            (done,) = plain.admin.delete_consumer_groups([group]).values()
            try:
                done.result(REQUEST_TIMEOUT_S)
            except KafkaException as error:
                # An attempt before may have done it, though its answer never came.
                if error.args[0].code() != KafkaError.GROUP_ID_NOT_FOUND:
                    raise

        self.ask(work)

    def stable_offsets(self, topic: str) -> dict[int, int]:
        """Return the last stable offset of each partition."""
        return self._latest(topic, IsolationLevel.READ_COMMITTED)

    def end_offsets(self, topic: str) -> dict[int, int]:
        """Return each partition's high watermark."""
        return self._latest(topic, IsolationLevel.READ_UNCOMMITTED)

    def leaders(self, topic: str) -> dict[int, int]:
        """Return the node that leads each partition."""

        def work(plain: Cluster) -> dict[int, int]:
            known = plain.admin.list_topics(topic, timeout=REQUEST_TIMEOUT_S)
            return {n: each.leader for n, each in known.topics[topic].partitions.items()}

        return self.ask(work)

    def in_sync(self, topic: str) -> dict[int, int]:
        """Return how many copies of each partition are in sync."""

        def work(plain: Cluster) -> dict[int, int]:
            known = plain.admin.list_topics(topic, timeout=REQUEST_TIMEOUT_S)
            return {n: len(each.isrs) for n, each in known.topics[topic].partitions.items()}

        return self.ask(work)

    def _latest(self, topic: str, isolation: IsolationLevel) -> dict[int, int]:
        def work(plain: Cluster) -> dict[int, int]:
            latest: Mapping[TopicPartition, OffsetSpec] = {
                TopicPartition(topic, p): OffsetSpec.latest()
                for p in range(plain.partitions(topic))
            }
            found = plain.admin.list_offsets(dict(latest), isolation_level=isolation)
            return {
                tp.partition: done.result(REQUEST_TIMEOUT_S).offset for tp, done in found.items()
            }

        return self.ask(work)


def _plain(bootstrap: str) -> Cluster:
    plain = Cluster(bootstrap)
    plain.admin = AdminClient(
        {"bootstrap.servers": bootstrap, "socket.timeout.ms": ATTEMPT_MS, "log_level": 0}
    )
    return plain
