"""What a running member answers, on the real broker."""

import contextlib
import json
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator

import psutil
import pytest

from stream_ewma.kafka.kept import partition_of
from tests.support.cluster import Message
from tests.support.job import ALPHA, EPOCH_MS, reading, readings
from tests.support.oracle import expected_outputs, parsed
from tests.support.service import Service
from tests.support.waiting import wait_until


def test_a_key_is_shown_with_its_live_state_and_the_offset_that_it_includes(make_job):
    job = make_job(partitions=2)
    job.produce(readings(100, partitions=2))
    service = job.start()
    job.outputs(100)
    job.wait_committed({0: 50, 1: 50})

    last = expected_outputs(readings(100, partitions=2), ALPHA)[-1]
    expected = json.loads(last.value)
    shown = service.get(f"/v1/keys/{last.key.decode()}").json

    assert shown["ewma"] == expected["ewma"]
    assert shown["count"] == expected["count"]
    assert shown["timestamp"] is None  # the clock of readings keeps no time
    assert (shown["offset"], shown["committed"]) == (49, True)
    assert service.get("/v1/keys/nobody").status == 404


def test_probes_metrics_partitions_and_pages_of_keys(make_job):
    job = make_job(partitions=2)
    job.produce([*readings(100, partitions=2), Message(b"k", b"no number", partition=0)])
    service = job.start()
    job.outputs(100)
    job.dead_letters(1)

    assert service.get("/livez").status == 200
    assert service.get("/readyz").json == {"status": "ok", "checks": {}}
    text = service.get("/metrics").body.decode()
    assert "stream_ewma_ready 1.0" in text
    page = service.get("/v1/keys?limit=3").json
    assert len(page["keys"]) == 3
    partitions = service.get("/v1/partitions").json["partitions"]
    assert [each["keys"] for each in partitions] == [5, 5]


# -- several members --------------------------------------------------------------------------

KEYS = [f"sensor-{n}" for n in range(10)]
HOME = {key: partition_of(key.encode(), 2) for key in KEYS}


def spread(count: int, first: int = 0) -> list[Message]:
    """Readings of `KEYS`, each key where Kafka's default partitioner puts it."""
    keys = [KEYS[i % len(KEYS)] for i in range(first, first + count)]
    return [reading(key, i / 4, i, partition=HOME[key]) for i, key in enumerate(keys, first)]


def owned(service: Service) -> list[int]:
    partitions = service.get("/v1/partitions").json["partitions"]
    return [each["partition"] for each in partitions if each["phase"] == "running"]


def settled(*services: Service) -> None:
    """Wait until each has one partition of two."""
    wait_until(
        lambda: sorted(map(owned, services)) == [[0], [1]],
        what=lambda: "\n".join(service.log for service in services),
    )


def last_outputs(messages: list[Message]) -> dict[str, dict]:
    return {m.key.decode(): json.loads(m.value) for m in expected_outputs(messages, ALPHA)}


def assert_shows(service: Service, messages: list[Message], query: str = "") -> None:
    """Every key's state is that of its last output, committed."""
    ends = Counter(HOME[message.key.decode()] for message in messages)
    for key, output in last_outputs(messages).items():
        shown = wait_until(lambda key=key: asked(service, key, query), what=service.log)
        assert (shown["ewma"], shown["count"]) == (output["ewma"], output["count"])
        assert (shown["partition"], shown["offset"]) == (HOME[key], ends[HOME[key]] - 1)


def asked(service: Service, key: str, query: str) -> dict | None:
    answer = service.get(f"/v1/keys/{key}{query}")
    if answer.status == 503:  # it is being taken over
        return None
    assert answer.status == 200, answer
    return answer.json if answer.json["committed"] else None


def test_each_member_knows_who_has_a_key_and_asks_there(make_job):
    job = make_job(partitions=2)
    first = job.start()
    second = job.start()
    settled(first, second)
    job.produce(spread(200))
    job.outputs(200)
    ends = Counter(HOME[KEYS[i % len(KEYS)]] for i in range(200))
    job.wait_committed(ends)

    members = {owned(service)[0]: service for service in (first, second)}
    for key, number in HOME.items():
        away = members[1 - number]
        refused = away.get(f"/v1/keys/{key}")
        assert refused.status == 421
        assert refused.json["partition"] == number
        assert refused.json["owned"] == [1 - number]
        assert f"http://{refused.json['owner']}" == members[number].address
        assert (
            away.get(f"/v1/keys/{key}?forward=1").json
            == members[number].get(f"/v1/keys/{key}").json
        )
    for service in members.values():
        assert_shows(service, spread(200), "?forward=1")
    nobody = next(f"no-{n}" for n in range(99) if partition_of(f"no-{n}".encode(), 2) == 0)
    assert members[0].get(f"/v1/keys/{nobody}").status == 404
    assert members[1].get(f"/v1/keys/{nobody}").status == 421
    assert members[1].get(f"/v1/keys/{nobody}?forward=1").status == 404


def test_states_are_live_and_right_after_a_rebalance(make_job):
    job = make_job(partitions=2)
    first = job.start()
    job.produce(spread(100))
    job.outputs(100)
    assert_shows(first, spread(100))

    second = job.start()
    settled(first, second)
    job.produce(spread(100, 100))
    job.outputs(200)
    for service in (first, second):
        assert_shows(service, spread(200), "?forward=1")

    first.stop()
    # Until the group has told it, the second one names the first as the owner.
    wait_until(lambda: owned(second) == [0, 1], what=second.log)
    assert_shows(second, spread(200))
    assert second.get("/v1/keys/nobody").status == 404


# -- samples ----------------------------------------------------------------------------------


class Events:
    """A stream of server-sent events, read when a test says so."""

    def __init__(self, service: Service, query: str, *, buffer: int | None = None) -> None:
        host, port = service.address.removeprefix("http://").rsplit(":", 1)
        self._socket = socket.socket()
        if buffer is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self._socket.settimeout(60)
        self._socket.connect((host, int(port)))
        self._socket.sendall(f"GET /v1/events?{query} HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
        self._lines = self._socket.makefile("rb")
        assert b"200 OK" in self._lines.readline()
        while self._lines.readline() != b"\r\n":
            pass

    def __iter__(self) -> Iterator[tuple[str, dict]]:
        name = ""
        for line in self._lines:
            if line.startswith(b"event: "):
                name = line[7:-1].decode()
            elif line.startswith(b"data: "):
                yield name, json.loads(line[6:])

    def until(self, condition: Callable[[str, dict], bool]) -> list[tuple[str, dict]]:
        found, deadline = [], time.monotonic() + 60
        for event in self:
            found.append(event)
            if condition(*event):
                return found
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(found)} events, at last {found[-3:]}")
        raise AssertionError("the stream has ended")

    def close(self) -> None:
        self._lines.close()
        self._socket.close()


@pytest.fixture
def watch() -> Iterator[Callable[..., Events]]:
    with contextlib.ExitStack() as opened:

        def begin(*arguments: object, **options: object) -> Events:
            events = Events(*arguments, **options)
            opened.callback(events.close)
            return events

        yield begin


def test_samples_of_a_key_have_exactly_the_published_outputs(make_job, watch):
    job = make_job()
    service = job.start()
    events = watch(service, "key=sensor-3&key=nobody")
    events.until(lambda name, _: name == "status")
    messages = [*readings(300), Message(b"sensor-3", b"no number", EPOCH_MS)]
    job.produce(messages)
    published = [m for m in job.outputs(300) if m.key == b"sensor-3"]

    seen = events.until(lambda name, data: name == "status" and data["rejected"])
    samples = [data for name, data in seen if name == "sample"]

    assert len(samples) == len(published) == 30
    for sample, output in zip(samples, published, strict=True):
        expected = json.loads(output.value)
        assert sample["key"] == expected["key"] == "sensor-3"
        assert sample["outputs"] == {"ewma": expected["ewma"], "count": expected["count"]}
        assert sample["values"] == {"value": expected["value"]}
        assert json.loads(sample["raw"]) == {"value": expected["value"]}
    offsets = [i for i, message in enumerate(messages[:300]) if message.key == b"sensor-3"]
    assert [sample["offset"] for sample in samples] == offsets
    (rejected,) = [data for name, data in seen if name == "rejected"]
    assert (rejected["offset"], rejected["reason"]) == (300, "decode")
    assert rejected["preview"] == "no number"


def position(service: Service) -> int:
    return service.get("/v1/partitions").json["partitions"][0]["position"]


def test_a_slow_reader_never_slows_the_stream_and_misses_the_oldest(make_job, watch):
    job = make_job()
    service = job.start()
    keys = 100
    slow = watch(service, "&".join(f"key=sensor-{n}" for n in range(keys)), buffer=65_536)
    for first in range(0, 40_000, 1_000):  # while nobody reads; a step brings 500 samples at most
        job.produce(readings(1_000, keys=keys, first=first))
        wait_until(lambda end=first + 1_000: position(service) >= end, what=service.log)
    job.outputs(40_000)

    def is_last(name: str, data: dict) -> bool:
        return name == "sample" and data["offset"] == 39_999

    seen = slow.until(is_last)
    status = next(data for name, data in slow if name == "status")
    offsets = [data["offset"] for name, data in seen if name == "sample"]
    assert status["missed"] > 0
    assert offsets == sorted(set(offsets))
    assert offsets[-1_000] > 35_000  # the newest were kept
    assert service.get("/readyz").status == 200


def test_a_thousand_idle_sockets_change_nothing(make_job):
    job = make_job()
    service = job.start()
    host, port = service.address.removeprefix("http://").rsplit(":", 1)
    with contextlib.ExitStack() as opened:
        for _ in range(1000):
            opened.enter_context(socket.create_connection((host, int(port)), timeout=30))
        for first in range(0, 500, 100):
            job.produce(readings(100, first=first))
            job.outputs(first + 100)
            assert service.get("/livez").status == 200
            assert service.get("/readyz").status == 200
        job.wait_committed({0: 500})
        connections = [
            each
            for each in psutil.Process(service.process.pid).net_connections()
            if each.laddr.port == int(port) and each.status == psutil.CONN_ESTABLISHED
        ]
        assert len(connections) <= 256
    assert parsed(job.outputs(500)) == parsed(expected_outputs(readings(500), ALPHA))


def test_the_command_asks_the_member_on_this_machine(make_job):
    job = make_job()
    service = job.start()
    port = service.address.rsplit(":", 1)[1]

    assert job.command("healthcheck", "--http.port", port) == "ok\n"
    assert job.command("healthcheck", "--live", "--http.port", port) == "ok\n"
