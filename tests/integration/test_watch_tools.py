"""`stream-ewma tap` and `top` at a running member, on the real broker."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.cluster import Message
from tests.support.job import readings
from tests.support.service import COMMAND, Service, clean_environment

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a command at a member; what still runs is ended with the test."""
    started: list[subprocess.Popen[str]] = []

    def command(service: Service, *arguments: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [str(COMMAND), *arguments, "--address", service.address],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=clean_environment(),
            cwd=tmp_path,
        )
        started.append(process)
        return process

    yield command
    for each in started:
        each.kill()
        each.communicate()


def test_tap_shows_exactly_the_published_outputs_of_a_key(make_job, start: Start):
    job = make_job(partitions=2)
    service = job.start()
    tap = start(service, "tap", "--key", "sensor-3", "--limit", "30", "--format", "json")
    assert tap.stderr.readline().startswith("watching ")

    sent = [*readings(300, partitions=2), Message(b"k", b"no number", partition=0)]
    job.produce(sent)
    out, err = tap.communicate(timeout=60)
    letters = start(service, "tap", "--rejected", "--limit", "1").communicate(timeout=60)[0]

    assert (tap.returncode, err) == (0, "")
    shown = [json.loads(line) for line in out.splitlines()]
    published = [json.loads(m.value) for m in job.outputs(300) if m.key == b"sensor-3"]
    assert len(published) == 30
    assert [each["outputs"] for each in shown] == [
        {name: record[name] for name in ("ewma", "count")} for record in published
    ]
    assert [each["raw"].encode() for each in shown] == [
        m.value for m in sent if m.key == b"sensor-3"
    ]
    assert letters == f"{job.topic}-0@150  k  decode: no number\n"


def test_a_snapshot_of_top_agrees_with_what_the_member_answers(make_job, start: Start):
    job = make_job(partitions=2)
    service = job.start()
    job.produce(readings(100, partitions=2))
    job.outputs(100)
    job.wait_committed({0: 50, 1: 50})

    out, err = start(service, "top", "--once", "--json").communicate(timeout=60)
    plain = start(service, "top").communicate(timeout=60)[0]  # its output is no terminal
    answered = service.get("/v1/partitions").json["partitions"]

    assert err == ""
    snapshot = json.loads(out)
    rates = [each.pop("per_second") for each in snapshot["partitions"]]
    assert snapshot["partitions"] == answered
    assert rates == [0, 0]
    assert (snapshot["consumed"], snapshot["emitted"], snapshot["unready"]) == (100, 100, {})
    assert "ready" in plain.splitlines()[0]
    assert "since start: 100 in, 100 smoothed" in plain
    for number in (0, 1):
        assert f"{job.topic}-{number}" in plain
