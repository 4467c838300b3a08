"""Members that come and go: nothing is lost, doubled or wrong, and what stays is not read back."""

import re
from collections import Counter

from tests.support.cluster import by_partition
from tests.support.flow import Flow
from tests.support.job import ALPHA, readings
from tests.support.oracle import expected_outputs, parsed
from tests.support.waiting import wait_until

PARTITIONS = 8
KEYS = 80
QUICK = {"kafka": {"session_timeout_ms": 6000, "heartbeat_interval_ms": 500}}


def wait_members(job, count):
    """Wait until so many members share all partitions."""

    def shared():
        members = job.cluster.members(job.group)
        return len(members) == count and sum(members.values()) == PARTITIONS

    wait_until(shared, what=lambda: f"{job.cluster.members(job.group)}")


def settled(*services):
    """Wait until these members work on all partitions; which each of them has."""
    found = []

    def all_at_work():
        found[:] = [service.get("/v1/partitions").json["partitions"] for service in services]
        everything = [each for part in found for each in part]
        numbers = sorted(each["partition"] for each in everything)
        at_work = all(each["phase"] == "running" for each in everything)
        return at_work and numbers == list(range(PARTITIONS))

    wait_until(all_at_work, what=lambda: f"{found}")
    return [{each["partition"] for each in part} for part in found]


def restored(service):
    """How often it has read the state of each partition back."""
    return Counter(int(number) for number in re.findall(r"-(\d+): \d+ keys restored", service.log))


def keys_restored(service):
    """How many keys it has read back, as its metrics say."""
    text = service.get("/metrics").body.decode()
    found = re.search(r"^stream_ewma_state_restored_records_total (\S+)$", text, re.MULTILINE)
    assert found, text
    return float(found[1])


def assert_exact(job, sent):
    """Insist on every output, once, in order and with the exact value."""
    job.wait_committed(dict(Counter(each.partition for each in sent)))
    outputs = by_partition(job.outputs(len(sent)))
    expected = by_partition(expected_outputs(sent, ALPHA))
    assert outputs.keys() == expected.keys()
    for partition, messages in expected.items():
        assert parsed(outputs[partition]) == parsed(messages)


def test_members_restore_only_what_is_new_to_them(make_job):
    job = make_job(partitions=PARTITIONS, settings=QUICK)
    sent = []

    def more():
        batch = readings(2 * KEYS, keys=KEYS, partitions=PARTITIONS, first=len(sent))
        job.produce(batch)
        sent.extend(batch)
        job.wait_committed(dict.fromkeys(range(PARTITIONS), len(sent) // PARTITIONS))

    first = job.start()
    more()
    second = job.start()
    kept, moved = settled(first, second)
    more()
    third = job.start()
    kept_by_first, kept_by_second, moved_again = settled(first, second, third)
    more()
    third.stop()
    of_first, of_second = settled(first, second)
    more()

    assert len(kept) == len(moved) == PARTITIONS // 2
    assert sorted(map(len, (kept_by_first, kept_by_second, moved_again))) == [2, 3, 3]
    assert kept > kept_by_first < of_first
    assert moved > kept_by_second < of_second
    assert restored(first) == Counter(of_first - kept_by_first)
    assert restored(second) == Counter(moved) + Counter(of_second - kept_by_second)
    assert restored(third) == Counter(moved_again)
    for service in (first, second):
        assert keys_restored(service) == restored(service).total() * KEYS // PARTITIONS
    for service, partitions in ((first, kept), (first, kept_by_first), (second, kept_by_second)):
        assert f"({len(partitions)} kept their state)" in service.log
    assert_exact(job, sent)


def test_a_second_member_joins_and_leaves_under_load(make_job):
    job = make_job(partitions=PARTITIONS, settings=QUICK)
    first = job.start()
    with Flow(job, keys=KEYS, partitions=PARTITIONS) as flow:
        flow.wait_sent(5_000)
        job.outputs(1)
        second = job.start()
        wait_members(job, 2)
        flow.wait_sent(flow.sent_count + 5_000)
        second.stop()
        wait_members(job, 1)
        flow.wait_sent(flow.sent_count + 5_000)

    assert_exact(job, flow.sent)
    moved = restored(second)
    assert len(moved) == PARTITIONS // 2
    assert restored(first) == moved == Counter(set(moved))


def test_a_member_killed_under_load_is_replaced(make_job):
    job = make_job(partitions=PARTITIONS, settings=QUICK)
    survivor = job.start()
    with Flow(job, keys=KEYS, partitions=PARTITIONS) as flow:
        flow.wait_sent(5_000)
        job.outputs(1)
        victim = job.start()
        wait_members(job, 2)
        flow.wait_sent(flow.sent_count + 5_000)
        victim.kill()
        wait_members(job, 1)
        flow.wait_sent(flow.sent_count + 5_000)

    assert_exact(job, flow.sent)
    moved = restored(victim)
    assert len(moved) == PARTITIONS // 2
    assert restored(survivor) == moved == Counter(set(moved))


def test_an_idle_member_takes_over_when_the_owner_leaves(make_job):
    job = make_job(partitions=1, settings=QUICK)
    first, idle = job.start(), job.launch()
    wait_until(lambda: len(job.cluster.members(job.group)) == 2, what="the second never joined")
    job.produce(readings(100))
    job.outputs(100)
    first.stop()
    wait_until(lambda: list(job.cluster.members(job.group).values()) == [1])

    job.produce(readings(100, first=100))
    outputs = job.outputs(200)

    assert parsed(outputs) == parsed(expected_outputs(readings(200), ALPHA))
    assert restored(idle) == {0: 1}
