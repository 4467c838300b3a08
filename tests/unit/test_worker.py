"""The worker's part in the group: assignments one upon another, refusals, the last commit."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka.errors import GroupAuthorizationFailedError

from stream_ewma.errors import AccessDeniedError
from stream_ewma.kafka import delivery
from stream_ewma.kafka.partition import Partition
from stream_ewma.service.config import task_config
from stream_ewma.service.opening import Parts
from stream_ewma.service.worker import Worker
from stream_ewma.settings import load_settings

FIRST, SECOND = Partition("readings", 0), Partition("readings", 1)


class Group:
    """Stands in for the consumer: everything is assigned when a test says so, nothing arrives."""

    has_died = False

    def __init__(self, *_arguments: object) -> None:
        self.begun: list[Partition] = []
        self.commits: list[dict[Partition, int]] = []
        self.refusal: Exception | None = None
        self.standby_partitions: frozenset[Partition] = frozenset()
        self.may_commit = asyncio.Event()
        self.may_commit.set()

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def park(self, partition: Partition) -> None: ...

    def begin(self, partition: Partition, _position: int) -> bool:
        self.begun.append(partition)
        return True

    async def check(self) -> None:
        if self.refusal is not None:
            raise self.refusal

    async def poll(self, _partitions: object, _timeout_ms: int) -> dict[Partition, Any]:
        await asyncio.sleep(0.001)
        return {}

    async def position(self, _partition: Partition) -> int:
        return 5

    async def commit(self, offsets: dict[Partition, int]) -> None:
        self.commits.append(offsets)
        await self.may_commit.wait()

    async def committed(self, partitions: list[Partition]) -> dict[Partition, int]:
        return dict.fromkeys(partitions, 5)

    async def bounds(self, partitions: list[Partition]) -> dict[Partition, tuple[int, int]]:
        return dict.fromkeys(partitions, (0, 9))


class Producer:
    """Stands in for a partition's producer; it stops only when a test lets it."""

    may_stop: asyncio.Event

    def __init__(self, _settings: object) -> None: ...

    async def start(self) -> None: ...

    async def stop(self) -> None:
        await self.may_stop.wait()


@pytest.fixture
async def subject(monkeypatch: pytest.MonkeyPatch) -> Worker:
    monkeypatch.setattr(delivery, "PartitionProducer", Producer)
    Producer.may_stop = asyncio.Event()
    Producer.may_stop.set()
    overrides = {
        "input.topics": ["readings"],
        "smoothing.alpha": 0.5,
        "delivery.commit_interval": "30s",
        "state.durable": False,
    }
    settings = load_settings(overrides=overrides, env={})
    return Worker(settings, task_config(settings), {}, None, parts=Parts(consumer=Group))


@asynccontextmanager
async def running(subject: Worker) -> AsyncIterator[None]:
    stop = asyncio.Event()
    work = asyncio.create_task(subject.run(stop))
    try:
        yield
    finally:
        stop.set()
        await work


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110  what is waited for sets no event
            await asyncio.sleep(0.001)


def active(subject: Worker) -> set[Partition]:
    return {partition for partition, p in subject._pipelines.items() if p.active}


async def test_assignments_that_come_while_the_last_one_is_taken_over_all_count(
    subject: Worker,
) -> None:
    async with running(subject):
        subject._assigned(frozenset({FIRST, SECOND}))
        await until(lambda: active(subject) == {FIRST, SECOND})
        Producer.may_stop.clear()
        subject._assigned(frozenset())
        await until(lambda: not subject._pipelines)
        subject._assigned(frozenset())
        subject._assigned(frozenset({FIRST, SECOND}))
        await asyncio.sleep(0.01)
        Producer.may_stop.set()
        await until(lambda: active(subject) == {FIRST, SECOND})

        assert active(subject) == {FIRST, SECOND}


async def test_an_outdated_assignment_begins_nothing(subject: Worker) -> None:
    async with running(subject):
        subject._assigned(frozenset({FIRST}))
        await subject._revoked()
        subject._assigned(frozenset({SECOND}))
        await until(lambda: active(subject) == {SECOND})

    assert subject._consumer.begun == [SECOND]


async def test_a_refusal_by_the_group_ends_a_member_without_partitions(subject: Worker) -> None:
    subject._consumer.refusal = GroupAuthorizationFailedError("a group")

    with pytest.raises(AccessDeniedError, match="READ on the consumer group"):
        await subject.run(asyncio.Event())


async def test_a_revocation_commits_what_the_commit_under_way_does_not_know(
    subject: Worker,
) -> None:
    async with running(subject):
        subject._assigned(frozenset({FIRST}))
        await until(lambda: active(subject) == {FIRST})
        subject._consumer.may_commit.clear()
        subject._pipelines[FIRST].delivery.publish([], 7)
        await until(lambda: subject._pipelines[FIRST].delivery.delivered_offset == 7)
        subject._commit_progress()
        subject._pipelines[FIRST].delivery.publish([], 9)
        revoked = asyncio.create_task(subject._revoked())
        await until(lambda: subject._pipelines[FIRST].delivery.delivered_offset == 9)
        subject._consumer.may_commit.set()
        await revoked

        assert subject._consumer.commits == [{FIRST: 7}, {FIRST: 9}]
