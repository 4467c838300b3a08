"""A broker that has just started knows of no broker, not even of itself."""

import itertools

import pytest
from aiokafka.client import AIOKafkaClient, CoordinationType
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.metadata import MetadataRequest, MetadataResponse_v5

from stream_ewma.kafka.frames import RawClient
from tests.support.broker import RealBroker
from tests.support.proxy import Proxy

NO_BROKERS = MetadataResponse_v5(0, [], None, -1, []).encode()


class Starting(Proxy):
    """Between clients and a broker that for the first answers knows of no broker."""

    def __init__(self, broker: RealBroker, answers: int) -> None:
        self.told = itertools.count()

        def change(version: int, body: bytes) -> bytes:
            assert version == MetadataResponse_v5.API_VERSION
            return NO_BROKERS if next(self.told) < answers else body

        super().__init__(
            broker.proxied_bootstrap, broker.behind_proxy, MetadataRequest.API_KEY, change
        )


async def test_a_broker_that_knows_of_none_is_asked_again(own_broker: RealBroker):
    with Starting(own_broker, 3) as proxy:
        client = RawClient(bootstrap_servers=own_broker.proxied_bootstrap)
        await client.bootstrap()
        assert client.get_random_node() is not None
        await client.close()
    assert next(proxy.told) == 4

    with Starting(own_broker, 3):
        client = AIOKafkaClient(bootstrap_servers=own_broker.proxied_bootstrap)
        await client.bootstrap()
        with pytest.raises(AssertionError):  # else aiokafka has learned it, and ours may go
            await client.coordinator_lookup(CoordinationType.TRANSACTION, "id")
        await client.close()


async def test_one_that_never_knows_any_is_an_error(own_broker: RealBroker):
    with Starting(own_broker, 1_000):
        client = RawClient(bootstrap_servers=own_broker.proxied_bootstrap, request_timeout_ms=1_000)
        with pytest.raises(KafkaConnectionError, match="know of none"):
            await client.bootstrap()
