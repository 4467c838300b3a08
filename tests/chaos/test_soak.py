"""Everything that can be broken, each way once for several seeds: `pytest -m soak tests/chaos`."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.cluster import Message
from tests.support.waiting import wait_until

from . import campaign, network_faults
from .brokers import Brokers
from .campaign import Plan
from .configurations import PLAIN, SORTED
from .conftest import MakeScene
from .fleet import ROOT
from .guards import GUARDS
from .scene import pause
from .settings import Guarantee
from .stream import EPOCH_MS
from .verdict import verdict

pytestmark = pytest.mark.soak

MANY_KEYS = 200_000
EXPIRY_S = 10.0
DISK_BYTES = 96 << 20


@pytest.mark.parametrize("seed", range(1, 4))
@pytest.mark.parametrize("guarantee", ["exactly_once", "at_least_once"])
@pytest.mark.parametrize("configuration", ["plain", "sorted", "guarded"])
def test_every_fault(configuration: str, guarantee: Guarantee, seed: int, tmp_path: Path) -> None:
    check(Plan(seed, 0.0, configuration, guarantee), tmp_path)


@pytest.mark.parametrize("guarantee", ["exactly_once", "at_least_once"])
def test_every_fault_with_warm_copies(guarantee: Guarantee, tmp_path: Path) -> None:
    check(Plan(4, 0.0, guarantee=guarantee, standbys=1), tmp_path)


@pytest.mark.parametrize("seed", range(1, 4))
def test_every_fault_of_three_brokers(seed: int, tmp_path: Path) -> None:
    names = tuple(fault.name for fault in campaign.ALL_FAULTS if fault.brokers == 3)
    check(Plan(seed, 0.0, brokers=3, faults=names), tmp_path)


def test_a_refused_request(tmp_path: Path) -> None:
    names = tuple(fault.name for fault in network_faults.REFUSALS)
    check(Plan(1, 0.0, pause_s=0.5, faults=names), tmp_path)


@pytest.mark.parametrize(
    ("name", "fault"), [(name, fault) for name, guard in GUARDS.items() for fault in guard.faults]
)
def test_what_goes_wrong_without_a_guard_is_noticed(name: str, fault: str, tmp_path: Path) -> None:
    guard = GUARDS[name]
    (brokers,) = {each.brokers for each in campaign.ALL_FAULTS if each.name == fault}
    options = {"brokers": brokers, "pause_s": 1.0, "faults": (fault,), "without": name}
    plan = Plan(1, 0.5, "sorted", guard.guarantee, **options)
    report = campaign.run(plan, tmp_path)
    assert report.verdict == "FAIL", report.document()


@pytest.mark.parametrize(
    ("name", "test"), [(name, test) for name, guard in GUARDS.items() for test in guard.tests]
)
def test_a_test_fails_without_its_guard(name: str, test: str) -> None:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-m", "soak or not soak"]
    done = subprocess.run(
        [*command, "--without", name, f"tests/{test}"],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
    # Not what a test needs, but the test itself.
    assert " failed" in done.stdout.splitlines()[-1], done.stdout


def check(plan: Plan, folder: Path) -> None:
    report = campaign.run(plan, folder)
    assert report.verdict == "PASS", report.document()


def test_a_cold_start_of_many_keys(make_scene: MakeScene) -> None:
    scene = make_scene(PLAIN, "exactly_once", seed=1, size=3)
    chaos = scene.chaos
    chaos.start(1)
    keys = [
        Message(b"key-%d" % n, b'{"value":%d}' % n, EPOCH_MS, partition=n % chaos.partitions)
        for n in range(MANY_KEYS)
    ]
    chaos.cluster.produce(chaos.topics.input, keys)
    with chaos.feeder.held():
        chaos.judge.wait_drained()
    for member in chaos.fleet.living:
        member.kill()

    started = [scene.launch() for _ in range(3)]
    for member in started:
        member.wait_ready()

    assert not verdict(scene)
    assert not chaos.judge.differences
    assert not [member.name for member in started if "session expired" in member.log]


def test_transactional_ids_that_expire(make_scene: MakeScene) -> None:
    settings = {
        "transactional.id.expiration.ms": str(int(EXPIRY_S * 1000)),
        "transaction.remove.expired.transaction.cleanup.interval.ms": "1000",
    }
    with Brokers(settings=settings) as brokers:
        scene = make_scene(SORTED, "exactly_once", seed=2, brokers=brokers)
        scene.chaos.start(2)
        scene.chaos.feeder.wait_sent(2_000)
        for _ in range(2):
            with scene.chaos.feeder.held():
                scene.chaos.judge.wait_drained()
                pause(EXPIRY_S + 5.0)
            scene.wait_outputs(scene.mark())

        assert not verdict(scene)
        assert not scene.chaos.judge.differences


@pytest.mark.skipif(os.geteuid() != 0, reason="a small file system can only be mounted by root")
def test_a_full_disk(make_scene: MakeScene, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    with small_disk(disk), Brokers(settings={"log.dirs": str(disk / "data")}) as brokers:
        scene = make_scene(SORTED, "exactly_once", seed=3, brokers=brokers)
        scene.chaos.start(2)
        scene.wait_outputs(scene.mark())
        (node,) = brokers.nodes
        ballast = disk / "ballast"
        fill(ballast)
        wait_until(lambda: not node.running, timeout_s=120, what="the broker does not mind")
        ballast.unlink()
        node.start()
        scene.fill()
        scene.wait_outputs(scene.mark())

        assert not verdict(scene)
        assert not scene.chaos.judge.differences


def fill(file: Path) -> None:
    """Write until the disk is full."""
    try:
        with file.open("wb", buffering=0) as out:
            while True:
                out.write(bytes(1 << 20))
    except OSError:
        return


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A file system of few megabytes at `folder`."""
    size = f"size={DISK_BYTES}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
