"""Each alert fires when what it is about is broken, and the member itself says the same.

Prometheus is a real one, with the project's own rules, whose minutes are some seconds long.
"""

import asyncio
import json
import re
import signal
import subprocess
import time
from collections.abc import Callable
from functools import partial

import pytest
from aiokafka import AIOKafkaConsumer

from stream_ewma.kafka.assignor import StandbyAssignor
from stream_ewma.records.layout import HEADER_BYTES
from tests.chaos import links, refusals
from tests.chaos.proxy import Proxy
from tests.support.cluster import REQUEST_TIMEOUT_S, Message
from tests.support.job import readings
from tests.support.prometheus import hurried_rules
from tests.support.service import COMMAND, clean_environment
from tests.support.waiting import wait_until

ALERT_TIMEOUT_S = 150
# Prometheus judges once a second: to ask without a pause only takes the processor from others.
ASK_PAUSE_S = 0.5
MINUTE_S = 2
# What is refused is asked again for as long as a transaction may take, and then all is begun anew:
# its minute must be long enough for this to happen as often in it as with the settings' defaults.
REFUSED_MINUTE_S = 4
FREEZE_S = 1.5
NOT_ENOUGH_REPLICAS = 19
QUICK_GROUP = {"session_timeout_ms": 6000, "heartbeat_interval_ms": 500}


@pytest.fixture
def watch(prometheus, tmp_path):
    """Have a member watched, and insist that there is nothing to be said against it."""

    def start(service, *, minute_s=MINUTE_S, is_well=True):
        rules = tmp_path / "hurried.yml"
        rules.write_text(hurried_rules(minute_s))
        seen = prometheus(service.address, rules)
        wait_until(lambda: seen.value("up") == 1, what="the member was never read")
        if is_well:
            wait_until(lambda: not seen.firing(), what=lambda: f"{seen.firing()}")
        return seen

    return start


def raised(seen, *names: str, meanwhile: Callable[[], None] = lambda: None):
    """Wait until these alerts fire, together; return the labels of all that fire, by name."""

    def fire():
        meanwhile()
        time.sleep(ASK_PAUSE_S)
        firing = seen.firing()
        return firing if firing.keys() >= set(names) else None

    return wait_until(
        fire, timeout_s=ALERT_TIMEOUT_S, what=lambda: f"{seen.ask('alerts')}, not {names}"
    )


def top(service) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [str(COMMAND), "top", "--once", "--json", "--address", service.address],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def story(service):
    """What a member says of itself, by `top`; insist that its probe and its API say the same."""
    shown = top(service)
    assert shown.returncode == 0, shown.stderr
    told = json.loads(shown.stdout)
    ready = service.get("/readyz?verbose")
    assert ready.json["checks"] == told["unready"]
    assert ready.status == (503 if told["unready"] else 200)
    answered = service.get("/v1/partitions").json["partitions"]
    named = ("topic", "partition", "phase", "committed", "keys")
    assert [[each[name] for name in named] for each in answered] == [
        [each[name] for name in named] for each in told["partitions"]
    ]
    return told


def now_ms() -> int:
    return int(time.time() * 1000)


def test_bad_input_and_too_many_keys_and_then_nobody_there(make_job, watch):
    job = make_job(settings={"state": {"max_keys": 50}})
    service = job.start()
    seen = watch(service)
    good, bad = readings(98, keys=45), [Message(b"sensor-1", b"no number")] * 2

    firing = raised(
        seen, "Rejecting", "KeysNearLimit", meanwhile=lambda: job.produce([*good, *bad])
    )

    assert firing["Rejecting"]["topic"] == job.topic
    assert firing["KeysNearLimit"]["topic"] == job.topic
    dead = job.cluster.end_offsets(job.topic)[0] // 50
    assert len(job.dead_letters(dead)) == dead
    wait_until(lambda: story(service)["rejected"] == {"decode": dead}, what="not all is counted")
    (partition,) = story(service)["partitions"]
    assert (partition["phase"], partition["keys"], partition["lag"]) == ("running", 45, 0)

    service.stop()

    assert raised(seen, "Absent")["Absent"]["instance"] in service.address
    gone = top(service)
    assert gone.returncode == 69
    assert service.address.removeprefix("http://") in gone.stderr


def test_a_damaged_batch(make_job, own_broker, broken_batches, watch):
    job = make_job(partitions=2)
    assert job.cluster.bootstrap == own_broker.bootstrap, (
        "this test damages files of the broker, which must be our own"
    )
    for first in (0, 100):
        # A long linger makes each call one batch per partition.
        job.produce(readings(100, partitions=2, first=first), linger_ms=500)
    broken_batches(job.topic, 1, 1, HEADER_BYTES + 20, 0x01)
    service = job.launch()
    service.wait_log("http://")
    seen = watch(service, is_well=False)
    job.wait_committed({0: 100, 1: 50})

    firing = raised(seen, "PartitionParked", "NotReady")

    parked = firing["PartitionParked"]
    assert (parked["topic"], parked["partition"]) == (job.topic, "1")
    assert "Stalled" not in firing
    told = story(service)
    assert told["unready"] == {f"{job.topic}-1": "parked at offset 50"}
    assert [each["phase"] for each in told["partitions"]] == ["running", "parked"]
    assert f"{job.topic}-1 is parked at offset 50" in service.log


def test_a_transaction_of_the_producer_that_stays_open(make_job, watch):
    job = make_job()
    service = job.start()
    seen = watch(service)
    job.produce([Message(b"a", b"1", now_ms())])
    job.outputs(1)
    upstream = job.cluster.producer(transactional_id=job.topic)
    upstream.init_transactions()
    upstream.begin_transaction()
    upstream.produce(job.topic, b"2", b"a")
    upstream.flush()
    sent = 1

    def go_on():
        nonlocal sent
        job.produce([Message(b"a", b"3", now_ms())])
        sent += 1

    firing = raised(seen, "Stalled", "FallingBehind", meanwhile=go_on)

    for name in ("Stalled", "FallingBehind"):
        assert (firing[name]["topic"], firing[name]["partition"]) == (job.topic, "0")
    told = story(service)
    (partition,) = told["partitions"]
    assert (partition["phase"], partition["position"], told["unready"]) == ("running", 1, {})
    assert partition["lag"] > 0
    assert told["per_second"]["consumed"] == 0

    upstream.abort_transaction()

    job.outputs(sent)
    wait_until(lambda: "Stalled" not in seen.firing(), what="it stands still no more")


@pytest.mark.parametrize("guarantee", ["exactly_once", "at_least_once"])
def test_brokers_that_refuse_what_is_written(make_job, own_broker, watch, guarantee):
    proxied = {"bootstrap_servers": own_broker.proxied_bootstrap, "request_timeout_ms": 2000}
    delivery = {"guarantee": guarantee, "transaction_timeout": "2s"}
    job = make_job(partitions=2, settings={"kafka": proxied, "delivery": delivery})
    with Proxy(own_broker.proxied_bootstrap, own_broker.behind_proxy) as proxy:
        service = job.start()
        seen = watch(service, minute_s=REFUSED_MINUTE_S)
        job.produce(readings(100, partitions=2))
        committed = job.outputs(100)
        job.wait_committed({0: 50, 1: 50})
        # `min.insync.replicas` does not do it: Kafka 4 wants no more of them than there are copies.
        rule = proxy.add(
            links.PRODUCE,
            links.Deed.REFUSE,
            times=1_000_000,
            answer=partial(refusals.refusal, links.PRODUCE, code=NOT_ENOUGH_REPLICAS),
        )
        job.produce(readings(100, partitions=2, first=100))

        firing = raised(seen, "PublishErrors", "Recovering")

        assert firing["PublishErrors"]["topic"] == job.output
        assert firing["PublishErrors"]["error"] == "NotEnoughReplicasError"
        told = json.loads(top(service).stdout)
        assert told["recoveries"] > 3
        assert (told["consumed"], told["per_second"]["emitted"]) == (100, 0)
        assert {each["committed"] for each in told["partitions"]} <= {50, None}
        told_of = r"not committed \(\[Error 19\] NotEnoughReplicasError: \S+-\d\): going back"
        assert re.search(told_of, service.log)

        proxy.remove(rule)

        job.wait_committed({0: 100, 1: 100})
        outputs = job.outputs(200)
        # What was refused may get in while its producer ends, and again by the one after it: at
        # least once. What was committed before does not come again.
        assert len(set(outputs)) == 200
        assert len(outputs) == 200 or guarantee == "at_least_once"
        assert all(outputs.count(each) == 1 for each in committed)
        wait_until(lambda: service.get("/readyz").status == 200, what=lambda: service.log)
        service.stop()


def test_brokers_that_are_gone_while_there_is_nothing_to_do(make_job, own_broker, watch):
    proxied = {"bootstrap_servers": own_broker.proxied_bootstrap, "request_timeout_ms": 2000}
    job = make_job(settings={"kafka": proxied})
    with Proxy(own_broker.proxied_bootstrap, own_broker.behind_proxy) as proxy:
        service = job.start()
        seen = watch(service)
        job.produce(readings(10))
        job.outputs(10)
        job.wait_committed({0: 10})
        with proxy.closed():
            raised(seen, "NotReady")

            assert story(service)["unready"]["brokers"] == "no answer"
            assert service.get("/livez").status == 200

        wait_until(lambda: service.get("/readyz").status == 200, what=lambda: service.log)
        job.produce(readings(10, first=10))
        job.outputs(20)
        service.stop()


def test_offsets_of_the_group_that_are_gone(make_job, watch):
    job = make_job(partitions=2)
    before = job.start()
    job.produce(readings(100, partitions=2))
    job.outputs(100)
    job.wait_committed({0: 50, 1: 50})
    before.stop()
    wait_until(lambda: not job.cluster.members(job.group), what="the group still has members")
    (deleted,) = job.cluster.admin.delete_consumer_groups([job.group]).values()
    deleted.result(REQUEST_TIMEOUT_S)
    service = job.start()
    seen = watch(service, is_well=False)

    raised(seen, "OddStart")

    assert seen.value("stream_ewma_odd_starts_total") == 2
    assert service.log.count("the group has no offset: going on where the kept state stands") == 2
    assert story(service)["unready"] == {}
    job.produce(readings(100, partitions=2, first=100))
    assert len(job.outputs(200)) == 200
    service.stop()


def test_members_that_come_and_go_and_a_machine_that_stops_again_and_again(make_job, watch):
    job = make_job(partitions=2, settings={"kafka": QUICK_GROUP})
    service = job.start()
    seen = watch(service)

    raised(seen, "Rebalancing", meanwhile=lambda: asyncio.run(come_and_go(job)))

    assert service.log.count(" assigned: ") > 5
    raised(seen, "LoopLag", meanwhile=lambda: freeze(service))

    wait_until(lambda: service.get("/readyz").status == 200, what=lambda: service.log)
    told = story(service)
    assert [each["phase"] for each in told["partitions"]] == ["running", "running"]


async def come_and_go(job) -> None:
    """Be a member of the group until it has given out its partitions."""
    given = asyncio.Event()

    class Assignor(StandbyAssignor):
        def on_assignment(self, assignment) -> None:
            super().on_assignment(assignment)
            given.set()

    member = AIOKafkaConsumer(
        job.topic,
        bootstrap_servers=job.cluster.bootstrap,
        group_id=job.group,
        enable_auto_commit=False,
        partition_assignment_strategy=(Assignor(0),),
        **QUICK_GROUP,
    )
    await member.start()
    try:
        await asyncio.wait_for(given.wait(), 60)
    finally:
        await member.stop()


def freeze(service) -> None:
    """Let the member's process stand still for a moment."""
    service.process.send_signal(signal.SIGSTOP)
    time.sleep(FREEZE_S)
    service.process.send_signal(signal.SIGCONT)
