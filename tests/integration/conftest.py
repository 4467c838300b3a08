"""Jobs on the real broker, what breaks their input, and who watches them."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.broker import RealBroker
from tests.support.cluster import Cluster
from tests.support.job import Job
from tests.support.prometheus import RULES, Prometheus
from tests.support.waiting import wait_until

MakeJob = Callable[..., Job]
StartPrometheus = Callable[..., Prometheus]
BreakBatch = Callable[[str, int, int, int, int], None]


@pytest.fixture
def make_job(cluster: Cluster, tmp_path: Path, without: str) -> Iterator[MakeJob]:
    """Make jobs with topics of their own; whatever they started is ended with the test."""
    jobs: list[Job] = []

    def make(**options: object) -> Job:
        jobs.append(Job(cluster, tmp_path, without=without, **options))
        return jobs[-1]

    yield make
    for job in jobs:
        job.close()


@pytest.fixture
def broken_batches(own_broker: RealBroker) -> BreakBatch:
    """Change bytes of a partition's log while its broker is down."""

    def change(topic: str, partition: int, batch_index: int, at: int, mask: int) -> None:
        cluster = Cluster(own_broker.bootstrap)
        partitions = cluster.partitions(topic)
        own_broker.stop()
        log = min((own_broker.data / f"{topic}-{partition}").glob("*.log"))  # the first segment
        content = bytearray(log.read_bytes())
        start = 0
        for _ in range(batch_index):
            start += 12 + int.from_bytes(content[start + 8 : start + 12])
        content[start + at] ^= mask
        log.write_bytes(content)
        own_broker.start()
        wait_until(lambda: cluster.partitions(topic) == partitions, what=f"{topic} has no leaders")

    return change


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[StartPrometheus]:
    """Start one that reads the member at an address; it ends with the test."""
    with ExitStack() as started:

        def start(address: str, rules: Path = RULES) -> Prometheus:
            return started.enter_context(Prometheus(tmp_path, address, rules))

        yield start
