"""Brokers that go away, and processes that are told to stop or killed, under load."""

import signal
from collections import Counter

import pytest

from tests.support.cluster import by_partition
from tests.support.flow import Flow
from tests.support.job import ALPHA, readings
from tests.support.oracle import expected_outputs, parsed
from tests.support.waiting import wait_until

PARTITIONS = 4


@pytest.mark.parametrize("kill", [False, True], ids=["stopped", "killed"])
def test_a_broker_restart_under_load_leaves_no_trace(make_job, own_broker, kill):
    job = job_on(make_job, own_broker)
    service = job.start()
    with Flow(job, keys=40, partitions=PARTITIONS) as flow:
        flow.wait_sent(3_000)
        job.outputs(1)
        own_broker.restart(kill=kill)
        flow.wait_sent(flow.sent_count + 3_000)

    assert_done(job, flow.sent)
    service.stop()


def test_a_broker_frozen_for_longer_than_the_session_leaves_no_trace(make_job, own_broker):
    job = job_on(
        make_job,
        own_broker,
        kafka={
            "session_timeout_ms": 3000,
            "heartbeat_interval_ms": 500,
            "request_timeout_ms": 4000,
        },
    )
    service = job.start()
    with Flow(job, keys=40, partitions=PARTITIONS) as flow:
        flow.wait_sent(2_000)
        job.outputs(1)
        frozen_at = len(service.log)
        own_broker.pause()
        try:
            # Its first complaint comes when a request has timed out.
            wait_until(lambda: len(service.log) > frozen_at, what="it never noticed")
        finally:
            own_broker.resume()
        flow.wait_sent(flow.sent_count + 2_000)

    assert_done(job, flow.sent)
    service.stop()


@pytest.mark.parametrize("ask", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_stop_under_load_ends_with_0_and_offsets_equal_to_outputs(make_job, ask):
    job = make_job(partitions=PARTITIONS)
    service = job.start()
    with Flow(job, keys=40, partitions=PARTITIONS, pause_s=0.0) as flow:
        flow.wait_sent(5_000)
        job.outputs(1_000)
        service.process.send_signal(ask)
        code = service.wait_exit()
    outputs = job.cluster.read(job.output)

    assert code == 0, service.log
    done = dict(Counter(m.partition for m in outputs))
    assert job.cluster.committed(job.group, job.topic) == done
    assert_same(outputs, [m for p, one in by_partition(flow.sent).items() for m in one[: done[p]]])
    assert job.cluster.members(job.group) == {}, "it did not leave the group"


def test_a_kill_under_load_neither_repeats_nor_loses_a_record(make_job):
    job = make_job(
        partitions=PARTITIONS,
        settings={"kafka": {"session_timeout_ms": 3000, "heartbeat_interval_ms": 500}},
    )
    victim = job.start()
    with Flow(job, keys=40, partitions=PARTITIONS) as flow:
        flow.wait_sent(3_000)
        job.outputs(500)
        victim.kill()

    successor = job.start()
    assert_done(job, flow.sent)
    successor.stop()
    assert " keys restored in " in successor.log


def test_a_stop_while_the_broker_is_away_ends_within_its_deadline(make_job, own_broker):
    seldom = {"commit_interval": "5m", "transaction_timeout": "15m"}
    job = job_on(make_job, own_broker, delivery={"shutdown_timeout": "3s", **seldom})
    service = job.start()
    job.wait_committed(dict.fromkeys(range(PARTITIONS), 0))
    job.produce(readings(1_000, keys=10, partitions=PARTITIONS))
    wait_until(lambda: keys_of(service) == 10, what="nothing was processed")
    own_broker.stop()  # what was processed is not committed yet
    try:
        service.process.terminate()
        code = service.wait_exit(30)
    finally:
        own_broker.start()

    assert code == 75, service.log
    assert "commit" in service.complaints[-1]


def test_a_service_started_before_its_broker_waits_for_it(make_job, own_broker):
    job = job_on(make_job, own_broker)
    job.produce(readings(100, partitions=PARTITIONS))
    own_broker.stop()
    try:
        service = job.launch()
    finally:
        own_broker.start()
    service.wait_ready()

    assert len(job.outputs(100)) == 100


def test_no_broker_at_all_is_one_clear_line_and_exit_code_69(make_job):
    nowhere = {"bootstrap_servers": "127.0.0.1:9", "startup_timeout": "2s"}
    service = make_job(settings={"kafka": nowhere}).launch()

    assert service.wait_exit() == 69
    (line,) = service.complaints
    assert "127.0.0.1:9: no broker answers" in line


def keys_of(service):
    return sum(each["keys"] for each in service.get("/v1/partitions").json["partitions"])


def job_on(make_job, own_broker, **sections):
    job = make_job(partitions=PARTITIONS, settings=sections)
    if job.cluster.bootstrap != own_broker.bootstrap:
        pytest.fail("unset STREAM_EWMA_TEST_BOOTSTRAP: this test must stop its broker")
    return job


def assert_done(job, sent):
    """Insist that all that was sent comes out once, in order, exactly, and is committed.

    What the topic holds is what was sent: a client whose broker was killed may send a batch twice.
    """
    held = job.cluster.read(job.topic)
    assert set(held) == set(sent)
    job.wait_committed(dict(Counter(m.partition for m in held)))
    assert_same(job.outputs(len(held)), held)


def assert_same(outputs, sent):
    """Insist on every output, once, in order and with the exact value."""
    expected = by_partition(expected_outputs(sent, ALPHA))
    got = by_partition(outputs)
    assert got.keys() == expected.keys()
    for partition, messages in expected.items():
        assert parsed(got[partition]) == parsed(messages)
