"""One broker or three, each behind a proxy, for tests that stop, kill and damage them."""

import struct
from collections.abc import Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from confluent_kafka import ElectionType, TopicPartition

from tests.support.broker import Quorum, RealBroker
from tests.support.cluster import REQUEST_TIMEOUT_S
from tests.support.waiting import wait_until

from .patience import PatientCluster
from .proxy import Proxy

REPLICATED = {
    "default.replication.factor": "3",
    "min.insync.replicas": "2",
    "offsets.topic.replication.factor": "3",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
    "replica.lag.time.max.ms": "3000",
    "controlled.shutdown.max.retries": "3",
}
# A broker that was killed may come back only when its session with the controller is over.
QUICK = {"broker.session.timeout.ms": "3000", "broker.heartbeat.interval.ms": "500"}


class Brokers:
    """A cluster of our own, running from entering the context to leaving it.

    Args:
        count: brokers; with three, everything has three copies of which two must be in sync.
        settings: server properties laid over the others.

    Attributes:
        nodes: the brokers; the first has id 1.
        proxies: one before each.
        bootstrap: where they are.
        cluster: to write to and read from, past the proxies.
        proxied_bootstrap: where they are for those who are to stay behind the proxies.
    """

    def __init__(self, count: int = 1, settings: Mapping[str, str] | None = None) -> None:
        quorum = Quorum.new(count)
        wanted = QUICK | (REPLICATED if count > 1 else {}) | dict(settings or {})
        self.copies = min(count, 3)
        self.nodes = [
            RealBroker(settings=wanted, quorum=quorum, node=number + 1) for number in range(count)
        ]
        self.proxies = [Proxy(node.proxied_bootstrap, node.behind_proxy) for node in self.nodes]
        self.bootstrap = ",".join(node.bootstrap for node in self.nodes)
        self.proxied_bootstrap = ",".join(node.proxied_bootstrap for node in self.nodes)
        self.cluster = PatientCluster(self.bootstrap)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        for node in self.nodes:
            self._stack.callback(node.close)
            node.launch()
        for node in self.nodes:
            node.wait_ready()
        for proxy in self.proxies:
            self._stack.enter_context(proxy)
        wait_until(lambda: self._registered() == len(self.nodes), what="a broker did not join")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def group_coordinator(self, group: str) -> RealBroker:
        """The broker that coordinates a group."""
        return self._leader_of("__consumer_offsets", group)

    def transaction_coordinator(self, transactional_id: str) -> RealBroker:
        """The broker that coordinates the transactions of an id."""
        return self._leader_of("__transaction_state", transactional_id)

    def leader(self, topic: str, partition: int) -> RealBroker:
        """The broker that leads a partition."""
        return self.nodes[self.cluster.leaders(topic)[partition] - 1]

    def proxy(self, node: RealBroker) -> Proxy:
        """The one before a broker."""
        return self.proxies[self.nodes.index(node)]

    def elect_preferred(self, topic: str) -> None:
        """Move the leadership of a topic's partitions to where it belongs."""
        partitions = [TopicPartition(topic, p) for p in range(self.cluster.partitions(topic))]
        self.cluster.admin.elect_leaders(ElectionType.PREFERRED, partitions).result(
            REQUEST_TIMEOUT_S
        )

    def wait_in_sync(self, topic: str, timeout_s: float = 120.0) -> None:
        """Wait until every partition has all its copies in sync."""
        wait_until(
            lambda: set(self.cluster.in_sync(topic).values()) == {self.copies},
            timeout_s=timeout_s,
            what=lambda: f"{topic}: in sync {self.cluster.in_sync(topic)}",
        )

    def _leader_of(self, topic: str, key: str) -> RealBroker:
        partitions = self.cluster.partitions(topic)
        return self.leader(topic, abs(java_hash(key)) % partitions)

    def _registered(self) -> int:
        return len(self.cluster.admin.list_topics(timeout=REQUEST_TIMEOUT_S).brokers)


def java_hash(text: str) -> int:
    """Java's `String.hashCode`, by which Kafka places groups and transactional ids."""
    units = struct.unpack(f">{len(text.encode('utf-16-be')) // 2}H", text.encode("utf-16-be"))
    found = 0
    for unit in units:
        found = (found * 31 + unit) & 0xFFFFFFFF
    return found - (1 << 32) if found >> 31 else found
