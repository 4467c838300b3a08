"""Where reading begins, and where it goes on after a stop."""

import json

from tests.support.job import ALPHA, EPOCH_MS, reading, readings
from tests.support.oracle import expected_outputs, parsed
from tests.support.waiting import wait_until


def values(messages):
    return [json.loads(each.value)["value"] for each in messages]


def test_earliest_begins_with_the_first_record_there_is(make_job):
    job = make_job()
    job.produce([reading("a", 1.0), reading("a", 2.0)])

    job.start()

    assert values(job.outputs(2)) == [1.0, 2.0]


def test_latest_begins_with_the_first_record_after_the_start(make_job):
    job = make_job(settings={"input": {"start": "latest"}})
    job.produce([reading("a", 1.0)])

    job.start()
    job.produce([reading("a", 2.0)])

    assert values(job.outputs(1)) == [2.0]


def test_latest_does_not_skip_what_came_while_the_service_was_down(make_job):
    job = make_job(settings={"input": {"start": "latest"}})
    job.start().stop()
    job.produce([reading("a", 1.0)])

    job.start()

    assert values(job.outputs(1)) == [1.0]


def test_a_timestamp_begins_with_the_first_record_of_that_time(make_job):
    # EPOCH_MS + 2 s
    job = make_job(partitions=2, settings={"input": {"start": "2026-01-01T00:00:02Z"}})
    job.produce([reading("a", float(i), i * 1000) for i in range(5)])
    job.produce([reading("b", 9.0, 0, partition=1)])

    job.start()
    outputs = job.outputs(3)
    job.produce([reading("b", 10.0, 0, partition=1)])

    assert values(outputs) == [2.0, 3.0, 4.0]
    # Partition 1 has no record of that time or later: it begins at its end.
    assert values(m for m in job.outputs(4) if m.partition == 1) == [10.0]


def test_the_start_applies_only_where_the_group_has_no_offset(make_job):
    job = make_job()
    job.produce(readings(100))
    first = job.start()
    job.outputs(100)
    first.stop()
    assert job.cluster.committed(job.group, job.topic) == {0: 100}
    job.produce(readings(50, first=100))

    second = job.start()
    job.outputs(150)
    second.stop()
    outputs = job.cluster.read(job.output)

    assert [m.timestamp - EPOCH_MS for m in outputs] == list(range(150))
    assert parsed(outputs) == parsed(expected_outputs(readings(150), ALPHA))


def test_a_stop_without_input_ends_well(make_job):
    service = make_job(partitions=3).start()

    service.stop()


def test_a_partition_without_records_is_committed_at_its_beginning_or_not_at_all(make_job):
    job = make_job(partitions=2)
    job.produce(readings(10))

    service = job.start()
    job.outputs(10)
    service.stop()

    committed = job.cluster.committed(job.group, job.topic)
    assert committed[0] == 10
    assert committed.get(1, 0) == 0


def test_an_offset_the_broker_no_longer_has_is_an_error_and_not_a_silent_jump(make_job):
    job = make_job()
    job.produce(readings(100))
    first = job.start()
    job.outputs(100)
    first.stop()
    job.cluster.delete_records(job.topic, {0: 100})
    job.produce(readings(10))
    job.cluster.delete_records(job.topic, {0: 105})

    service = job.launch()
    wait_until(
        lambda: service.process.poll() is not None or "ERROR" in service.log,
        what=lambda: service.log,
    )

    assert "100" in service.log
    assert job.topic in service.log
    assert len(job.cluster.read(job.output)) == 100


def test_progress_is_committed_while_running_not_only_at_the_end(make_job):
    job = make_job()
    job.start()

    job.produce(readings(10))

    job.wait_committed({0: 10})
