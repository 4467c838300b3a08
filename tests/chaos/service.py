"""One service under test with its topics: feeder, members and judge together."""

import uuid
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from .configurations import Configuration
from .feeder import Feeder
from .fleet import Fleet
from .judge import Judge, Topics
from .patience import PatientCluster
from .settings import Guarantee, settings_of
from .stream import Stream

# So often that every run reads changelogs whose older rows are gone.
COMPACTED = {
    "cleanup_policy": "compact",
    "segment_ms": "5000",
    "min_cleanable_dirty_ratio": "0.01",
    "max_compaction_lag_ms": "5000",
}


class Chaos:
    """A stream to be smoothed and judged, from entering the context to leaving it.

    Args:
        cluster: the brokers, directly.
        folder: for settings and logs.
        configuration: what is computed.
        guarantee: what is promised.
        seed: of the stream.
        bootstrap: where the members find the brokers, through a proxy perhaps.
        partitions: of the input.
        keys: how many different ones.
        rate: records a second.
        over: sections of the settings laid over the others.
        copies: of each topic, on as many brokers.
        topic_config: of all topics.
        without: the guard that the members do without, if any.
    """

    def __init__(
        self,
        cluster: PatientCluster,
        folder: Path,
        configuration: Configuration,
        guarantee: Guarantee,
        *,
        seed: int,
        bootstrap: str = "",
        partitions: int = 4,
        keys: int = 2_000,
        rate: float = 1_500.0,
        over: Mapping[str, Mapping[str, Any]] | None = None,
        copies: int = 1,
        topic_config: Mapping[str, str] | None = None,
        without: str = "",
    ) -> None:
        self.cluster = cluster
        self.guarantee = guarantee
        self.group = f"chaos-{uuid.uuid4().hex[:10]}"
        self.partitions = partitions
        self.topics = make_topics(cluster, self.group, partitions, copies, topic_config or {})
        self.settings = settings_of(
            configuration,
            group=self.group,
            topic=self.topics.input,
            bootstrap=bootstrap or cluster.bootstrap,
            guarantee=guarantee,
            over=over,
        )
        self.fleet = Fleet(folder, self.settings, without)
        stream = Stream(seed, partitions=partitions, keys=keys)
        self.feeder = Feeder(cluster, self.topics.input, stream, seed=seed, rate=rate)
        self.judge = Judge(cluster, self.topics, configuration, guarantee)

    def __enter__(self) -> Self:
        self.judge.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.fleet.close()
        self.feeder.close()
        self.judge.__exit__(kind, error, trace)

    def start(self, count: int) -> None:
        """Start members and, once they are ready, the stream."""
        self.fleet.launch().wait_ready()  # the others find the kernels compiled
        for member in [self.fleet.launch() for _ in range(count - 1)]:
            member.wait_ready()
        self.feeder.start()

    def owners(self) -> dict[int, str]:
        """Which member the group has given each partition to, by name."""
        return self.cluster.owners(self.group)


def make_topics(
    cluster: PatientCluster,
    group: str,
    partitions: int,
    copies: int,
    config: Mapping[str, str],
) -> Topics:
    """Make the topics of a service."""
    name = f"{group}-in"
    topics = Topics(name, f"{name}-ewma", f"{group}-dlq", f"{group}-{name}-changelog")
    for topic in (topics.input, topics.output, topics.dead):
        cluster.create_topic(topic, partitions=partitions, copies=copies, **config)
    cluster.create_topic(
        topics.changelog, partitions=partitions, copies=copies, **COMPACTED, **config
    )
    return topics
