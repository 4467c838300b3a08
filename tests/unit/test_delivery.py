"""Delivering one partition's batches: what goes out when, and whose word counts."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import LeaderNotAvailableError, RequestTimedOutError

from stream_ewma.engine.outgoing import Destination
from stream_ewma.errors import BrokerUnavailableError
from stream_ewma.kafka import delivery as delivery_module
from stream_ewma.kafka.delivery import Delivery
from stream_ewma.kafka.partition import Partition
from stream_ewma.settings import load_settings


class Producer:
    """Stands in for a producer: notes what it is handed, acknowledges when a test says so."""

    sent: list[tuple[Any, "asyncio.Future[object]"]]

    def __init__(self, _settings: object) -> None: ...

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def send(self, batch: Any, _topic: str, _partition: int) -> "asyncio.Future[object]":
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self.sent.append((batch, future))
        return future


@pytest.fixture
async def subject(monkeypatch: pytest.MonkeyPatch) -> Delivery:
    monkeypatch.setattr(delivery_module, "PartitionProducer", Producer)
    Producer.sent = []
    settings = load_settings(
        overrides={
            "input.topics": ["readings"],
            "smoothing.alpha": 0.5,
            "kafka.request_timeout_ms": 1000,
            "kafka.session_timeout_ms": 6000,
        },
        env={},
    )
    return Delivery(
        settings,
        Partition("readings", 0),
        0,
        lambda _batch: [],
        lambda _topic, _error: None,
        lambda: None,
        lambda _topic, _seconds: None,
    )


@asynccontextmanager
async def running(subject: Delivery) -> AsyncIterator[None]:
    work = asyncio.create_task(subject.run())
    try:
        yield
        assert not work.done()
    finally:
        work.cancel()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110  what is waited for sets no event
            await asyncio.sleep(0.001)


def batch(name: str) -> Any:
    return SimpleNamespace(
        destination=Destination.OUTPUT, encoded=SimpleNamespace(size=1, name=name)
    )


def sent() -> list[str]:
    return [encoded.name for encoded, _ in Producer.sent]


async def test_nothing_follows_the_first_batch_before_it_is_in(subject: Delivery) -> None:
    async with running(subject):
        subject.publish([batch("a"), batch("b"), batch("c")], 3)
        await until(lambda: sent() == ["a"])
        await asyncio.sleep(0)
        assert sent() == ["a"]

        Producer.sent[0][1].set_result(None)
        await until(lambda: sent() == ["a", "b", "c"])


async def test_what_failed_is_sent_again_with_all_behind_it_in_order(subject: Delivery) -> None:
    async with running(subject):
        subject.publish([batch("a"), batch("b"), batch("c")], 3)
        await until(lambda: sent() == ["a"])
        Producer.sent[0][1].set_result(None)
        await until(lambda: len(sent()) == 3)
        for _, future in Producer.sent[1:]:
            future.set_exception(RequestTimedOutError())
        await until(lambda: sent()[3:] == ["b"])
        Producer.sent[3][1].set_result(None)
        await until(lambda: sent()[4:] == ["c"])
        assert subject.delivered_offset == 0
        Producer.sent[4][1].set_result(None)
        await subject.drain()

    assert subject.delivered_offset == 3


async def test_a_late_word_of_a_producer_that_was_replaced_changes_nothing(
    subject: Delivery,
) -> None:
    async with running(subject):
        subject.publish([batch("a"), batch("b"), batch("c")], 3)
        await until(lambda: sent() == ["a"])
        Producer.sent[0][1].set_result(None)
        await until(lambda: len(sent()) == 3)
        late = Producer.sent[2][1]
        Producer.sent[1][1].set_exception(RequestTimedOutError())
        await until(lambda: sent()[3:] == ["b"])
        late.set_exception(RequestTimedOutError())
        Producer.sent[3][1].set_result(None)
        await until(lambda: sent()[4:] == ["c"])
        Producer.sent[4][1].set_result(None)
        await subject.drain()

    assert sent() == ["a", "b", "c", "b", "c"]


async def test_brokers_that_fail_again_and_again_are_no_reason_to_end_for_good(
    subject: Delivery,
) -> None:
    work = asyncio.create_task(subject.run())
    subject.publish([batch("a")], 1)
    for attempt in range(1, 4):
        await until(lambda attempt=attempt: len(sent()) == attempt)
        Producer.sent[-1][1].set_exception(LeaderNotAvailableError())

    with pytest.raises(BrokerUnavailableError, match="LeaderNotAvailable"):
        await work
