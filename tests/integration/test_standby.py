"""A member that keeps a warm copy goes on from it, exactly, when the owner is gone."""

import re
import signal

from tests.support.flow import Flow
from tests.support.job import ALPHA, readings
from tests.support.oracle import expected_outputs, parsed
from tests.support.waiting import wait_until

SETTINGS = {
    "kafka": {"session_timeout_ms": 6000, "heartbeat_interval_ms": 500},
    "state": {"standbys": 1},
}
KEYS = 300_000


def owner_and_standby(job, *services):
    """The service that has the partition, and the one that has its copy."""
    wait_until(
        lambda: any("a warm copy is kept" in service.log for service in services),
        timeout_s=120,
        what=lambda: "\n".join(service.log for service in services),
    )
    standby = next(each for each in services if "a warm copy is kept" in each.log)
    return next(each for each in services if each is not standby), standby


def rows_read(service):
    """What it read of the changelog when it took the partition over, beyond the copy."""
    return [int(rows) for rows in re.findall(r": warm copy: (\d+) rows read", service.log)]


def exactly(count, keys):
    """What one partition holds after so many readings."""
    return parsed(expected_outputs(readings(count, keys=keys), ALPHA))


def test_the_standby_of_a_killed_owner_reads_only_what_it_lacks(make_job):
    job = make_job(settings=SETTINGS)
    first = job.start()
    job.produce(readings(KEYS, keys=KEYS))
    job.outputs(KEYS, timeout_s=120)
    second = job.start()
    owner, standby = owner_and_standby(job, first, second)
    job.produce(readings(1_000, keys=KEYS, first=KEYS))
    job.outputs(KEYS + 1_000)
    owner.kill()

    job.produce(readings(2_000, keys=KEYS, first=KEYS + 1_000))
    outputs = job.outputs(KEYS + 3_000)

    (rows,) = rows_read(standby)
    assert rows <= 1_000
    assert "keys restored" not in standby.log
    assert parsed(outputs) == exactly(KEYS + 3_000, KEYS)


def test_an_owner_that_stops_hands_over_to_its_standby_and_back(make_job):
    job = make_job(settings=SETTINGS)
    first, second = job.start(), job.start()
    job.produce(readings(5_000, keys=500))
    job.outputs(5_000)
    owner, standby = owner_and_standby(job, first, second)
    owner.stop()
    job.produce(readings(5_000, keys=500, first=5_000))
    job.outputs(10_000)
    assert len(rows_read(standby)) == 1

    third = job.launch()
    third.wait_log("a warm copy is kept")
    standby.stop()
    job.produce(readings(5_000, keys=500, first=10_000))
    outputs = job.outputs(15_000)

    assert len(rows_read(third)) == 1
    assert parsed(outputs) == exactly(15_000, 500)


def test_an_owner_that_sleeps_past_its_session_comes_back_to_a_standby_that_has_gone_on(make_job):
    job = make_job(settings=SETTINGS)
    first, second = job.start(), job.start()
    with Flow(job, keys=500, partitions=1) as flow:
        flow.wait_sent(5_000)
        owner, standby = owner_and_standby(job, first, second)
        owner.process.send_signal(signal.SIGSTOP)
        try:
            standby.wait_log(": warm copy: ")
            flow.wait_sent(flow.sent_count + 2_000)
        finally:
            owner.process.send_signal(signal.SIGCONT)
        wait_until(lambda: len(job.cluster.members(job.group)) == 2)
        flow.wait_sent(flow.sent_count + 2_000)
        standby.kill()
        wait_until(lambda: len(job.cluster.members(job.group)) == 1)
        flow.wait_sent(flow.sent_count + 2_000)
    outputs = job.outputs(flow.sent_count)

    assert parsed(outputs) == parsed(expected_outputs(flow.sent, ALPHA))


def test_a_copy_that_is_still_being_read_is_read_on(make_job):
    job = make_job(settings=SETTINGS)
    first = job.start()
    job.produce(readings(KEYS, keys=KEYS))
    job.outputs(KEYS, timeout_s=120)
    job.launch()
    wait_until(lambda: len(job.cluster.members(job.group)) == 2)
    first.kill()
    job.produce(readings(1_000, keys=KEYS, first=KEYS))
    outputs = job.outputs(KEYS + 1_000)

    assert parsed(outputs) == exactly(KEYS + 1_000, KEYS)
