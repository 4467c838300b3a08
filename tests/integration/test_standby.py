"""A member that keeps a warm copy goes on from it, exactly, when the owner is gone."""

import re

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
    expected = expected_outputs(readings(KEYS + 3_000, keys=KEYS), ALPHA)
    assert parsed(outputs) == parsed(expected)
