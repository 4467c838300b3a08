"""Running services with brokers of their own."""

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from .brokers import Brokers
from .configurations import Configuration
from .scene import Scene
from .service import Chaos
from .settings import Guarantee

MakeScene = Callable[..., Scene]


@pytest.fixture(scope="module")
def make_scene(tmp_path_factory: pytest.TempPathFactory, without: str) -> Iterator[MakeScene]:
    """Prepare services that are fed and judged; all is ended with the module."""
    with ExitStack() as stack:

        def make(
            configuration: Configuration,
            guarantee: Guarantee,
            *,
            seed: int,
            brokers: Brokers | None = None,
            size: int = 2,
            **options: Any,
        ) -> Scene:
            cluster = brokers or stack.enter_context(Brokers())
            chaos = Chaos(
                cluster.cluster,
                tmp_path_factory.mktemp("members"),
                configuration,
                guarantee,
                seed=seed,
                bootstrap=cluster.proxied_bootstrap,
                copies=cluster.copies,
                without=without,
                **options,
            )
            return Scene(stack.enter_context(chaos), cluster, random.Random(seed), size)

        yield make


@pytest.fixture(scope="module")
def brokers() -> Iterator[Brokers]:
    """One broker for all tests of a module."""
    with Brokers() as started:
        yield started
