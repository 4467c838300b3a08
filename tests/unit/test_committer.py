"""What is told of a transaction that does not end."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaTimeoutError, NotEnoughReplicasError

from stream_ewma.engine.outgoing import Destination
from stream_ewma.engine.step import Cut
from stream_ewma.kafka.committer import Committer
from stream_ewma.kafka.errors import TransactionExpiredError, is_passing
from stream_ewma.kafka.partition import Partition
from stream_ewma.settings import load_settings


class Producer:
    """Stands in for the producer of a transaction that gets no further."""

    in_transaction = True

    def __init__(self, error: Exception, refusal: Exception | None) -> None:
        self._error = error
        self.refusal = refusal

    async def send(self, *_batch: object) -> None:
        raise self._error


REFUSAL = NotEnoughReplicasError("out-0")


class Outputs:
    """Stands in for a delivery that gets no further (at_least_once)."""

    delivered_offset = 0

    def __init__(self, refusal: Exception | None, answers: int = 0) -> None:
        self.refusal = refusal
        self.answers = 0
        self._left = answers

    async def wait_delivered(self, _offset: int) -> None:
        if self._left:
            self._left -= 1
            self.answers += 1
        await asyncio.Event().wait()


def committer_of(producer: Any, outputs: Any = None) -> Committer:
    settings = load_settings(
        overrides={"input.topics": ["readings"], "smoothing.alpha": 0.5}, env={}
    )
    return Committer(
        settings,
        Partition("readings", 0),
        producer,
        0,
        outputs,
        lambda *_: None,
        lambda: None,
        lambda *_: None,
    )


@pytest.mark.parametrize(
    ("late", "refusal", "told"),
    [
        (TimeoutError(), REFUSAL, NotEnoughReplicasError),
        (KafkaTimeoutError(), REFUSAL, NotEnoughReplicasError),
        (TimeoutError(), None, TransactionExpiredError),
        (KafkaTimeoutError(), None, KafkaTimeoutError),
    ],
)
async def test_who_refuses_is_told_and_not_only_that_time_is_over(
    late: Exception, refusal: Exception | None, told: type[Exception]
) -> None:
    committer = committer_of(Producer(late, refusal))
    committer._deadline = float("inf")
    batch: Any = SimpleNamespace(encoded=SimpleNamespace(size=1), destination=Destination.OUTPUT)
    committer.publish([batch])

    with pytest.raises(told) as caught:
        await committer.run()
    assert type(caught.value) is told
    assert refusal in (None, caught.value)


async def test_outputs_of_which_some_arrive_are_waited_for() -> None:
    outputs = Outputs(REFUSAL, answers=3)
    committer = committer_of(Producer(TimeoutError(), None), outputs)
    committer._most_s = 0.0
    committer.commit(Cut([], 1, 0, 0))

    with pytest.raises(NotEnoughReplicasError):
        await committer.run()
    assert outputs.answers == 3, "it has given up before nothing came any more"


@pytest.mark.parametrize("refusal", [REFUSAL, None])
async def test_outputs_that_never_arrive_are_told_of_as_what_keeps_them(
    refusal: Exception | None,
) -> None:
    committer = committer_of(Producer(TimeoutError(), None), Outputs(refusal))
    committer._most_s = 0.0
    committer.commit(Cut([], 1, 0, 0))

    with pytest.raises(type(refusal or KafkaTimeoutError())) as caught:
        await committer.run()
    assert refusal in (None, caught.value)
    assert is_passing(caught.value), "it would count as a failure that no other attempt settles"
