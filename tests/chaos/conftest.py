"""The chaos suite's own broker and services."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.cluster import Cluster

from .configurations import PLAIN, Configuration
from .service import Chaos
from .settings import Guarantee

MakeChaos = Callable[..., Chaos]


@pytest.fixture
def make_chaos(cluster: Cluster, tmp_path: Path) -> Iterator[MakeChaos]:
    """Start streams that are smoothed and judged; all is ended with the test."""
    with ExitStack() as stack:

        def make(
            configuration: Configuration = PLAIN,
            guarantee: Guarantee = "exactly_once",
            *,
            seed: int = 1,
            **options: object,
        ) -> Chaos:
            chaos = Chaos(cluster, tmp_path, configuration, guarantee, seed=seed, **options)
            return stack.enter_context(chaos)

        yield make
