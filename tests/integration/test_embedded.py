"""The service inside a program of somebody else's, on the real broker."""

import asyncio
import json
import logging
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import yaml

from stream_ewma import Smoother, load_settings
from stream_ewma.errors import BrokerUnavailableError, FatalError
from tests.support.broker import free_ports
from tests.support.cluster import Message
from tests.support.job import ALPHA, readings
from tests.support.oracle import expected_outputs, parsed
from tests.support.service import clean_environment

EXAMPLES = Path(__file__).parents[2] / "examples"


def settings_of(job, tmp_path: Path):
    file = tmp_path / "embedded.yaml"
    file.write_text(yaml.safe_dump(job.settings))
    return load_settings(file, env={})


async def test_a_block_is_a_member_that_touches_nothing_global(make_job, tmp_path):
    job = make_job(partitions=2)
    job.produce(readings(100, partitions=2))
    handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    loggers = ("", "stream_ewma", "aiokafka", "asyncio")
    logging_before = [list(logging.getLogger(name).handlers) for name in loggers]

    async with Smoother(settings_of(job, tmp_path)) as smoother:
        assert smoother.is_ready
        async with smoother.watch("sensor-3") as samples:
            await asyncio.to_thread(job.outputs, 100)
            await asyncio.to_thread(job.produce, readings(10, first=100, partitions=2))
            async with asyncio.timeout(60):
                seen = await anext(samples)
                while seen.sample.offset < 51:
                    seen = await anext(samples)
        await asyncio.to_thread(job.outputs, 110)  # the other partition's, too
        last = expected_outputs(readings(110, partitions=2), ALPHA)
        (mine,) = [each for each in last if each.key == b"sensor-3"][-1:]
        value = json.loads(mine.value)
        assert dict(seen.sample.outputs) == {"ewma": value["ewma"], "count": value["count"]}
        assert await smoother.get("sensor-3") == seen.sample.outputs
        assert await smoother.get("nobody") is None
        assert [each.keys for each in smoother.status()] == [5, 5]
        assert [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)] == handlers
        assert [list(logging.getLogger(name).handlers) for name in loggers] == logging_before

    assert not smoother.is_ready
    assert parsed(job.cluster.read(job.output)) == parsed(
        sorted(last, key=lambda each: each.partition)
    )
    assert job.cluster.committed(job.group, job.topic) == {0: 55, 1: 55}
    assert job.cluster.members(job.group) == {}


async def test_what_stands_against_a_start_is_raised_on_entering(make_job, tmp_path):
    job = make_job()
    job.change("kafka", bootstrap_servers="127.0.0.1:1", startup_timeout="1s")
    with pytest.raises(BrokerUnavailableError, match=r"127\.0\.0\.1:1"):
        async with Smoother(settings_of(job, tmp_path)):
            pytest.fail("it has started without a broker")


async def test_what_ends_it_is_raised_on_leaving(make_job, tmp_path):
    job = make_job()
    job.change("dead_letters", on_error="fail")
    smoother = await Smoother(settings_of(job, tmp_path)).__aenter__()
    async with smoother.watch("sensor-1") as samples:
        await asyncio.to_thread(job.produce, [Message(b"k", b"no number")])
        with pytest.raises(FatalError, match="on_error: fail"):
            await asyncio.wait_for(anext(samples), 60)

    with pytest.raises(FatalError, match="on_error: fail"):
        await asyncio.wait_for(smoother.wait(), 60)
    assert not smoother.is_ready
    with pytest.raises(FatalError, match="on_error: fail"):
        await smoother.__aexit__(None, None, None)


def test_the_fastapi_example_answers_with_what_was_smoothed(make_job, tmp_path):
    job = make_job()
    job.produce(readings(20))
    settings_of(job, tmp_path)
    (port,) = free_ports(1)
    server = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "fastapi_app:app", "--port", str(port)],
        cwd=EXAMPLES,
        env={**clean_environment(), "STREAM_EWMA_CONFIG": str(tmp_path / "embedded.yaml")},
    )
    try:
        job.outputs(20)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/sensors/sensor-9") as answer:
            found = json.load(answer)
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/sensors/nobody")
    finally:
        server.terminate()
        server.wait(60)

    last = json.loads(expected_outputs(readings(20), ALPHA)[-1].value)
    assert found == {"sensor": "sensor-9", "ewma": last["ewma"], "count": last["count"]}
    assert job.cluster.members(job.group) == {}
