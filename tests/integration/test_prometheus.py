"""A real Prometheus reads a real member, and its rules work on what it reads."""

import json
import shutil
import subprocess
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
import yaml

from tests.support.broker import free_ports
from tests.support.cluster import Message
from tests.support.job import readings
from tests.support.waiting import wait_until

RULES = Path(__file__).parents[2] / "config" / "prometheus" / "rules.yml"


@pytest.fixture
def prometheus(tmp_path):
    """Start one that asks an address each second; answers a function that asks it."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.fail("prometheus is not installed; install it with: apt-get install -y prometheus")
    started: list[subprocess.Popen[bytes]] = []

    def start(address: str):
        target = {"targets": [address.removeprefix("http://")]}
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(RULES)],
            "scrape_configs": [{"job_name": "stream-ewma", "static_configs": [target]}],
        }
        file = tmp_path / "prometheus.yml"
        file.write_text(yaml.safe_dump(config))
        (port,) = free_ports(1)
        started.append(
            subprocess.Popen(
                [
                    program,
                    f"--config.file={file}",
                    f"--storage.tsdb.path={tmp_path / 'tsdb'}",
                    f"--web.listen-address=127.0.0.1:{port}",
                ],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )

        def ask(path: str, **query: str):
            url = f"http://127.0.0.1:{port}/api/v1/{path}?{urllib.parse.urlencode(query)}"
            try:
                with urllib.request.urlopen(url, timeout=10) as answer:
                    return json.load(answer)["data"]
            except OSError:
                return None

        return ask

    yield start
    for process in started:
        process.terminate()
        process.wait(30)


def test_prometheus_reads_a_member_and_its_rules_work_on_it(make_job, prometheus):
    job = make_job(partitions=2)
    job.produce([*readings(100, partitions=2), Message(b"k", b"no number", partition=0)])
    service = job.start()
    job.outputs(100)
    job.dead_letters(1)
    ask = prometheus(service.address)

    def value(expression: str) -> float | None:
        data = ask("query", query=expression)
        return float(data["result"][0]["value"][1]) if data and data["result"] else None

    wait_until(lambda: value("stream_ewma_ready") == 1, what="it was never read")
    assert value("up") == 1
    assert value("sum(stream_ewma_records_consumed_total)") == 101
    assert value("sum(stream_ewma_records_published_total)") == 100
    assert value('stream_ewma_records_rejected_total{reason="not_numeric"}') is None
    assert value('stream_ewma_records_rejected_total{reason="decode"}') == 1
    assert value("stream_ewma_end_to_end_latency_seconds_count") == 101
    assert value("sum(stream_ewma_consumer_lag)") == 0
    alerts = {rule["name"] for group in ask("rules")["groups"] for rule in group["rules"]}
    assert "StreamEwmaPartitionParked" in alerts
    health = {rule["health"] for group in ask("rules")["groups"] for rule in group["rules"]}
    assert health <= {"ok", "unknown"}
