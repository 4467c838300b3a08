"""Partitions whose last commit hangs when the group takes them away: it does not wait for them."""

import asyncio
import re

import pytest

from tests.support.cluster import Cluster, by_partition
from tests.support.job import ALPHA, readings
from tests.support.oracle import expected_outputs, parsed
from tests.support.waiting import until
from tests.support.wire_proxy import END_TXN, Rule, WireProxy

QUICK = {"kafka": {"session_timeout_ms": 6000, "heartbeat_interval_ms": 500}}
INVALID_PRODUCER_EPOCH = 47


def restored(service):
    """The partitions whose state it has read back, as often as it has."""
    return [int(number) for number in re.findall(r"-(\d+): \d+ keys restored", service.log)]


@pytest.mark.parametrize(
    ("request_", "answer"),
    [("hold", "pass"), ("pass", "drop")],
    ids=["the commit is on its way", "the commit's answer is lost"],
)
async def test_what_cannot_be_committed_in_time_is_given_up_and_nothing_shows(
    make_job, own_broker, request_, answer
):
    job = make_job(partitions=2, settings=QUICK)
    cluster = Cluster(own_broker.bootstrap)
    assert job.cluster.bootstrap == own_broker.bootstrap, "it must be a broker behind a proxy"
    sent = readings(100, partitions=2)
    job.produce(sent)
    job.change("kafka", bootstrap_servers=own_broker.proxied_bootstrap)
    async with WireProxy(own_broker.proxied_bootstrap, own_broker.behind_proxy) as proxy:
        first = await asyncio.to_thread(job.start)
        await asyncio.to_thread(job.wait_committed, {0: 50, 1: 50})
        (member,) = cluster.members(job.group)
        rule = proxy.add(Rule(END_TXN, request=request_, answer=answer, cut=False, times=2))
        sent += readings(20, partitions=2, first=100)
        job.produce(sent[100:])
        await until(lambda: rule.times == 0)

        job.change("kafka", bootstrap_servers=own_broker.bootstrap)
        second = await asyncio.to_thread(job.start)
        await until(lambda: restored(first), what=lambda: first.log)
        more = readings(100, partitions=2, first=120)
        job.produce(more)
        sent += more
        await asyncio.to_thread(job.wait_committed, {0: 110, 1: 110})
        refused = await proxy.release()
        outputs = by_partition(await asyncio.to_thread(job.outputs, len(sent)))
        members = cluster.members(job.group)
        # Once the first has stopped, the second reads back what that one had.
        read_back = sorted(restored(first) + restored(second))
        await asyncio.to_thread(first.stop)

    both = f"{job.topic}-0, {job.topic}-1"
    assert f"{both}: not committed within 4.0 s, and given up" in first.log
    assert ": not committed (" not in first.log, "what was given up was still at work"
    assert member in members, "the group did not wait for it"
    assert sorted(members.values()) == [1, 1]
    assert read_back == [0, 1]
    # correlation id, throttle time, error
    assert [each[8:] for each in refused] == (
        [INVALID_PRODUCER_EPOCH.to_bytes(2, "big")] * 2 if request_ == "hold" else []
    )
    for partition, expected in by_partition(expected_outputs(sent, ALPHA)).items():
        assert parsed(outputs[partition]) == parsed(expected)
