"""Input written in transactions: only what was committed is smoothed."""

import json
from contextlib import suppress

import pytest
from confluent_kafka import KafkaException

from tests.support.cluster import send
from tests.support.job import ALPHA, reading, readings
from tests.support.oracle import expected_outputs, parsed


@pytest.fixture
def transactional(cluster):
    """Transactional producers; a transaction a test leaves open is aborted after it."""
    producers = []

    def make(name):
        producer = cluster.producer(transactional_id=name, transaction_timeout_ms=60_000)
        producer.init_transactions(30)
        producers.append(producer)
        return producer

    yield make
    for producer in producers:
        with suppress(KafkaException):
            producer.abort_transaction(30)


def commit(producer, topic, messages):
    producer.begin_transaction()
    send(producer, topic, messages)
    producer.commit_transaction(30)


def abort(producer, topic, messages):
    producer.begin_transaction()
    send(producer, topic, messages)
    producer.abort_transaction(30)


def test_aborted_records_are_left_out_wherever_they_stand(make_job, transactional):
    job = make_job()
    one, other = transactional(f"{job.topic}-1"), transactional(f"{job.topic}-2")
    good = readings(600)
    aborted = [reading("sensor-1", -1e6, i) for i in range(50)]
    abort(one, job.topic, aborted)
    commit(one, job.topic, good[:100])
    commit(other, job.topic, good[100:200])
    # Two transactions interleaved in one partition, one of them aborted.
    one.begin_transaction()
    other.begin_transaction()
    for first in range(200, 500, 100):
        send(other, job.topic, aborted)
        send(one, job.topic, good[first : first + 100])
    other.abort_transaction(30)
    one.commit_transaction(30)
    job.produce(good[500:])
    abort(one, job.topic, aborted)

    service = job.start()
    outputs = job.outputs(len(good))
    service.stop()

    assert parsed(outputs) == parsed(expected_outputs(good, ALPHA))
    assert job.cluster.read(job.output) == outputs


def test_a_topic_of_aborted_records_alone_gives_nothing_and_does_not_stall(make_job, transactional):
    job = make_job()
    producer = transactional(job.topic)
    for _ in range(20):
        abort(producer, job.topic, readings(10))
    job.start()

    commit(producer, job.topic, [reading("a", 4.0)])

    (only,) = job.outputs(1)
    assert json.loads(only.value)["ewma"] == 4.0


def test_once_ends_where_an_open_transaction_begins(make_job, transactional):
    job = make_job()
    producer = transactional(job.topic)
    commit(producer, job.topic, readings(100))
    abort(producer, job.topic, readings(10))
    producer.begin_transaction()
    send(producer, job.topic, readings(10))

    # The second time there is nothing but markers to pass.
    for _ in range(2):
        once = job.launch("--once")
        assert once.wait_exit() == 0, once.log

    assert len(job.outputs(100)) == 100


def test_records_after_an_open_transaction_wait_for_its_end(make_job, transactional):
    job = make_job()
    producer = transactional(job.topic)
    job.produce([reading("a", 1.0)])
    producer.begin_transaction()
    send(producer, job.topic, [reading("a", 2.0)])
    job.produce([reading("a", 3.0)])

    service = job.start()
    before = job.outputs(1)
    job.wait_committed({0: 1})
    producer.commit_transaction(30)
    after = job.outputs(3)
    service.stop()

    assert [json.loads(each.value)["value"] for each in before] == [1.0]
    assert [json.loads(each.value)["value"] for each in after] == [1.0, 2.0, 3.0]


def test_read_uncommitted_takes_every_record(make_job, transactional):
    job = make_job(settings={"input": {"isolation_level": "read_uncommitted"}})
    producer = transactional(job.topic)
    abort(producer, job.topic, [reading("a", 1.0)])
    producer.begin_transaction()
    send(producer, job.topic, [reading("a", 2.0)])

    job.start()

    assert [json.loads(each.value)["value"] for each in job.outputs(2)] == [1.0, 2.0]


def test_the_position_passes_markers_and_aborted_records_at_the_end(make_job, transactional):
    job = make_job()
    producer = transactional(f"{job.topic}-1")
    good = readings(40)
    commit(producer, job.topic, good)
    abort(producer, job.topic, readings(40))

    service = job.start()
    job.outputs(len(good))
    job.wait_committed(job.cluster.end_offsets(job.topic))
    commit(producer, job.topic, good)
    job.outputs(2 * len(good))
    job.wait_committed(job.cluster.end_offsets(job.topic))
    service.stop()
