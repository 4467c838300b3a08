"""Fixtures shared by every room's tests.

Kernels are compiled with their array bounds checked, unless the environment says otherwise: a
kernel that leaves its array fails the test that made it do so.
"""

import os
from collections.abc import Iterator

import pytest

os.environ.setdefault("NUMBA_BOUNDSCHECK", "1")

from .support.broker import ForeignBroker, RealBroker, find_broker
from .support.cluster import Cluster


def pytest_addoption(parser: pytest.Parser) -> None:
    """Tests must fail if the service does without something that keeps it right."""
    parser.addoption("--without", default="", help="a guard of tests/chaos/guards.py to remove")


def pytest_configure(config: pytest.Config) -> None:
    """Remove a guard from this process, too: some tests need no service."""
    name = config.getoption("--without")
    if name:
        from .chaos.guards import GUARDS

        GUARDS[name].remove()


@pytest.fixture(scope="session")
def without(request: pytest.FixtureRequest) -> str:
    """The guard that services are to do without; none, usually."""
    return str(request.config.getoption("--without"))


@pytest.fixture(scope="session")
def broker() -> Iterator[RealBroker | ForeignBroker]:
    """A real Apache Kafka: the one STREAM_EWMA_TEST_BOOTSTRAP names, else one of our own."""
    found = find_broker(secure=True)
    yield found
    found.close()


@pytest.fixture(scope="session")
def own_broker(broker: RealBroker | ForeignBroker) -> Iterator[RealBroker]:
    """A broker of our own, with TLS and SCRAM, that a test may stop, kill and damage."""
    if isinstance(broker, RealBroker):
        yield broker
    else:
        with RealBroker(secure=True) as started:
            yield started


@pytest.fixture(scope="session")
def cluster(broker: RealBroker | ForeignBroker) -> Cluster:
    """The real broker, to write to and read from."""
    return Cluster(broker.bootstrap)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Show the end of the broker's log with a failed test that used it."""
    report = yield
    broker = getattr(item, "funcargs", {}).get("broker")
    if report.failed and broker is not None:
        report.sections.append(("broker", broker.log_tail()))
    return report
