"""Jobs on the real broker."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.cluster import Cluster
from tests.support.job import Job

MakeJob = Callable[..., Job]


@pytest.fixture
def make_job(cluster: Cluster, tmp_path: Path) -> Iterator[MakeJob]:
    """Make jobs with topics of their own; whatever they started is ended with the test."""
    jobs: list[Job] = []

    def make(**options: object) -> Job:
        jobs.append(Job(cluster, tmp_path, **options))
        return jobs[-1]

    yield make
    for job in jobs:
        job.close()
