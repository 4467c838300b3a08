"""A real Prometheus reads a real member, and its rules work on what it reads."""

from tests.support.cluster import Message
from tests.support.job import readings
from tests.support.waiting import wait_until


def test_prometheus_reads_a_member_and_its_rules_work_on_it(make_job, prometheus):
    job = make_job(partitions=2)
    job.produce([*readings(100, partitions=2), Message(b"k", b"no number", partition=0)])
    service = job.start()
    job.outputs(100)
    job.dead_letters(1)
    seen = prometheus(service.address)
    value = seen.value

    wait_until(lambda: value("stream_ewma_ready") == 1, what="it was never read")
    assert value("up") == 1
    assert value("sum(stream_ewma_records_consumed_total)") == 101
    assert value("sum(stream_ewma_records_published_total)") == 100
    assert value('stream_ewma_records_rejected_total{reason="not_numeric"}') is None
    assert value('stream_ewma_records_rejected_total{reason="decode"}') == 1
    assert value("stream_ewma_end_to_end_latency_seconds_count") == 101
    assert value("sum(stream_ewma_consumer_lag)") == 0
    alerts = {rule["name"] for group in seen.ask("rules")["groups"] for rule in group["rules"]}
    assert "StreamEwmaPartitionParked" in alerts
    health = {rule["health"] for group in seen.ask("rules")["groups"] for rule in group["rules"]}
    assert health <= {"ok", "unknown"}
