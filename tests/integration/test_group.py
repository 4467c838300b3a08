"""Members that come and go while readings flow: nothing is lost, nothing is wrong.

At least once: a record may come out twice around a handover, and a partition that moved begins a
new state. A partition that never moved must be exact.
"""

import json
from collections import Counter

from tests.support.cluster import by_partition
from tests.support.flow import Flow
from tests.support.job import ALPHA, readings
from tests.support.oracle import expected_outputs, parsed
from tests.support.waiting import wait_until

PARTITIONS = 8
QUICK = {"kafka": {"session_timeout_ms": 6000, "heartbeat_interval_ms": 500}}


def wait_members(job, count):
    """Wait until so many members share all partitions."""

    def shared():
        members = job.cluster.members(job.group)
        return len(members) == count and sum(members.values()) == PARTITIONS

    wait_until(shared, what=lambda: f"{job.cluster.members(job.group)}")


def coordinates(messages):
    return Counter((m.partition, m.key, m.timestamp) for m in messages)


def test_a_second_member_joins_and_leaves_under_load_and_no_record_is_missing(make_job):
    job = make_job(partitions=PARTITIONS, settings=QUICK)
    first = job.start()
    with Flow(job, keys=80, partitions=PARTITIONS) as flow:
        flow.wait_sent(5_000)
        job.outputs(1)
        second = job.start()
        wait_members(job, 2)
        flow.wait_sent(flow.sent_count + 5_000)
        second.stop()
        wait_members(job, 1)
        flow.wait_sent(flow.sent_count + 5_000)
    sent = flow.sent

    job.wait_committed(dict(Counter(m.partition for m in sent)))
    first.stop()
    outputs = job.cluster.read(job.output)

    missing = coordinates(sent) - coordinates(outputs)
    assert not missing, f"{missing.total()} of {len(sent)} records never came out"
    stayed = partitions_that_stayed(outputs)
    assert stayed, "every partition moved: the assignment is not sticky"
    expected = by_partition(expected_outputs(sent, ALPHA))
    for partition in stayed:
        assert parsed(by_partition(outputs)[partition]) == parsed(expected[partition])


def test_a_member_killed_under_load_is_replaced_and_no_record_is_missing(make_job):
    job = make_job(partitions=PARTITIONS, settings=QUICK)
    survivor, victim = job.start(), job.start()
    wait_members(job, 2)
    with Flow(job, keys=80, partitions=PARTITIONS) as flow:
        flow.wait_sent(5_000)
        job.outputs(1)
        victim.kill()
        wait_members(job, 1)
        flow.wait_sent(flow.sent_count + 5_000)
    sent = flow.sent

    job.wait_committed(dict(Counter(m.partition for m in sent)))
    survivor.stop()

    missing = coordinates(sent) - coordinates(job.cluster.read(job.output))
    assert not missing, f"{missing.total()} of {len(sent)} records never came out"


def test_a_partition_keeps_its_state_when_another_member_comes_and_goes(make_job):
    job = make_job(partitions=PARTITIONS, settings=QUICK)
    first = job.start()
    job.produce(readings(800, keys=80, partitions=PARTITIONS))
    job.outputs(800)
    second = job.start()
    wait_members(job, 2)
    second.stop()
    wait_members(job, 1)

    job.produce(readings(800, keys=80, partitions=PARTITIONS, first=800))
    job.outputs(1600)
    first.stop()
    outputs = job.cluster.read(job.output)

    assert len(outputs) == 1600
    assert len(partitions_that_stayed(outputs)) >= PARTITIONS // 2


def test_an_idle_member_takes_over_when_the_owner_leaves(make_job):
    job = make_job(partitions=1, settings=QUICK)
    first, idle = job.start(), job.launch()
    wait_until(lambda: len(job.cluster.members(job.group)) == 2, what="the second never joined")
    job.produce(readings(100))
    job.outputs(100)

    for each in (first, idle):
        holder = max(job.cluster.members(job.group).values(), default=0)
        assert holder == 1
        if each is first:
            each.stop()
            wait_until(lambda: list(job.cluster.members(job.group).values()) == [1])
            job.produce(readings(100, first=100))
            assert parsed(job.outputs(200)) == parsed(expected_outputs(readings(200), ALPHA))


def partitions_that_stayed(outputs):
    """Partitions whose counts never began anew: their state was never rebuilt."""
    stayed = set()
    for partition, messages in by_partition(outputs).items():
        counts = Counter()
        for each in messages:
            counts[each.key] += 1
            if json.loads(each.value)["count"] != counts[each.key]:
                break
        else:
            stayed.add(partition)
    return stayed
