"""What is told of a transaction that does not end."""

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaTimeoutError, NotEnoughReplicasError

from stream_ewma.engine.outgoing import Destination
from stream_ewma.kafka.committer import Committer
from stream_ewma.kafka.errors import TransactionExpiredError
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
    settings = load_settings(
        overrides={"input.topics": ["readings"], "smoothing.alpha": 0.5}, env={}
    )
    producer: Any = Producer(late, refusal)
    committer = Committer(
        settings,
        Partition("readings", 0),
        producer,
        0,
        None,
        lambda *_: None,
        lambda: None,
        lambda *_: None,
    )
    committer._deadline = float("inf")
    batch: Any = SimpleNamespace(encoded=SimpleNamespace(size=1), destination=Destination.OUTPUT)
    committer.publish([batch])

    with pytest.raises(told) as caught:
        await committer.run()
    assert type(caught.value) is told
    assert refusal in (None, caught.value)
