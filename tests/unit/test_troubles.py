"""Failures in a row: which end the service, and which another attempt may settle."""

from types import SimpleNamespace
from typing import Any

import pytest

from stream_ewma.errors import FatalError
from stream_ewma.kafka.errors import FencedError, TransactionExpiredError
from stream_ewma.kafka.partition import Partition
from stream_ewma.service.troubles import MOST_TROUBLES, Troubles
from stream_ewma.settings import load_settings

PARTITION = Partition("readings", 0)


def troubles() -> Troubles:
    settings = load_settings(
        overrides={
            "input.topics": ["readings"],
            "smoothing.alpha": 0.5,
            "kafka.heartbeat_interval_ms": 1,
        },
        env={},
    )
    return Troubles(settings, SimpleNamespace())  # type: ignore[arg-type]


def pipeline(*, has_committed: bool = False) -> Any:
    return SimpleNamespace(partition=PARTITION, has_committed=has_committed, uncommitted=100)


async def fenced(subject: Troubles, times: int, **pipelines: bool) -> None:
    for _ in range(times):
        await subject.meet(pipeline(**pipelines), FencedError("epoch 3"), lambda: True)


async def test_fences_without_a_word_of_the_group_mean_two_services() -> None:
    subject = troubles()
    await fenced(subject, MOST_TROUBLES - 1)

    with pytest.raises(FatalError, match="readings-0: fenced again and again"):
        await fenced(subject, 1)


async def test_a_group_that_gives_its_partitions_to_and_fro_accuses_nobody() -> None:
    subject = troubles()

    for _ in range(3):
        await fenced(subject, MOST_TROUBLES - 1)
        subject.assigned()


async def test_who_commits_in_between_is_not_fenced_in_a_row() -> None:
    await fenced(troubles(), 2 * MOST_TROUBLES, has_committed=True)


async def test_transactions_that_never_end_in_time_are_told_of_and_end_no_process(
    caplog: pytest.LogCaptureFixture,
) -> None:
    subject = troubles()
    for _ in range(3 * MOST_TROUBLES):
        await subject.meet(pipeline(), TransactionExpiredError("60 s"), lambda: True)

    advice = "readings-0: even transactions of 100 records take longer than"
    assert caplog.text.count(advice) == 2 * MOST_TROUBLES
    assert subject.size(PARTITION).is_least
