"""The way to one broker, step by step: name, connection, certificate, login, requests.

Every step has its deadline, and nothing after one that fails is tried.
"""

import asyncio
import ipaddress
import socket
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, Final

from aiokafka.conn import create_conn
from aiokafka.errors import KafkaError
from aiokafka.protocol.commit import OffsetCommitRequest, OffsetFetchRequest
from aiokafka.protocol.coordination import FindCoordinatorRequest
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.group import (
    HeartbeatRequest,
    JoinGroupRequest,
    LeaveGroupRequest,
    SyncGroupRequest,
)
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.offset import OffsetRequest
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import (
    AddOffsetsToTxnRequest,
    AddPartitionsToTxnRequest,
    EndTxnRequest,
    InitProducerIdRequest,
    TxnOffsetCommitRequest,
)

from stream_ewma.errors import StreamEwmaError
from stream_ewma.kafka.connect import security_options
from stream_ewma.kafka.errors import explain
from stream_ewma.kafka.ticks import Tick, good, problem, problems_of, warning
from stream_ewma.settings import Settings

_MOST_STEP_S: Final = 15.0
_DAY_S: Final = 86_400
_FEWEST_DAYS: Final = 14
_TOPIC_IDS: Final = 10
"""The version of the Metadata API from which on brokers tell topic ids."""
_NEEDED: Final[dict[type[Any], int]] = {
    # Message format 2, with transactions, is read and written from these versions on.
    FetchRequest: 4,
    ProduceRequest: 3,
    MetadataRequest: 4,
    FindCoordinatorRequest: 1,
    **dict.fromkeys((OffsetRequest, OffsetCommitRequest, OffsetFetchRequest, JoinGroupRequest), 1),
    **dict.fromkeys((SyncGroupRequest, HeartbeatRequest, LeaveGroupRequest), 0),
    **dict.fromkeys((InitProducerIdRequest, AddPartitionsToTxnRequest, AddOffsetsToTxnRequest), 0),
    **dict.fromkeys((EndTxnRequest, TxnOffsetCommitRequest), 0),
}
"""The requests that the service cannot do without, and their least versions."""

Versions = dict[int, tuple[int, int]]
"""The least and the greatest version that a broker knows, by the number of the API."""


def step_seconds(settings: Settings) -> float:
    """How long one step may take."""
    return min(settings.kafka.startup_timeout, settings.kafka.request_timeout_ms) / 1000


class Way:
    """The way to one address.

    Args:
        settings: how to be let in.
        address: `host:port`.

    Attributes:
        has_arrived: whether the broker has let this client in, once all ticks were read.
    """

    def __init__(self, settings: Settings, address: str) -> None:
        self.has_arrived = False
        self._settings = settings
        self._address = address
        host, _, self._port = address.rpartition(":")
        self._host = host.strip("[]")
        self._deadline_s = min(step_seconds(settings), _MOST_STEP_S)

    async def ticks(self) -> AsyncIterator[Tick]:
        """What each step finds, the last one where it fails."""
        try:
            options = security_options(self._settings)
            if not _is_address(self._host):
                yield await self._name()
            yield await self._connection()
            context = options.get("ssl_context")
            if context is not None:
                yield await self._certificate(context)
            versions = await self._versions(options)
        except StreamEwmaError as error:
            for tick in problems_of(error):
                yield tick
            return
        except (KafkaError, OSError, TimeoutError, ValueError) as error:
            for tick in problems_of(explain(error, self._settings, self._address)):
                yield tick
            return
        self.has_arrived = True
        yield good(f"{self._address}: {self._login()}")
        for tick in version_ticks(self._address, versions):
            yield tick

    def _login(self) -> str:
        kafka = self._settings.kafka
        if kafka.security_protocol.startswith("SASL"):
            return f"lets {kafka.sasl_username} in by {kafka.sasl_mechanism}"
        return f"lets this client in ({kafka.security_protocol})"

    async def _name(self) -> Tick:
        async with asyncio.timeout(self._deadline_s):
            found = await asyncio.get_running_loop().getaddrinfo(
                self._host, int(self._port), type=socket.SOCK_STREAM
            )
        addresses = dict.fromkeys(str(each[4][0]) for each in found)
        return good(f"{self._host}: is {', '.join(addresses)}")

    async def _connection(self) -> Tick:
        await self._open(None)
        return good(f"{self._address}: accepts connections")

    async def _certificate(self, context: ssl.SSLContext) -> Tick:
        peer = await self._open(context)
        expires = ssl.cert_time_to_seconds(str(peer["notAfter"]))
        return certificate_tick(self._address, int((expires - time.time()) // _DAY_S))

    async def _open(self, context: ssl.SSLContext | None) -> dict[str, Any]:
        """Connect and disconnect; the broker's certificate, if there is one."""
        async with asyncio.timeout(self._deadline_s):
            _, writer = await asyncio.open_connection(self._host, int(self._port), ssl=context)
        peer: dict[str, Any] = writer.get_extra_info("peercert") or {}
        writer.close()
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(self._deadline_s):
                await writer.wait_closed()
        return peer

    async def _versions(self, options: dict[str, Any]) -> Versions:
        async with asyncio.timeout(2 * self._deadline_s):
            connection = await create_conn(
                self._host,
                int(self._port),
                client_id=self._settings.client_id,
                request_timeout_ms=int(self._deadline_s * 1000),
                **options,
            )
        versions: Versions = dict(connection._versions)  # noqa: SLF001  no public way
        connection.close()
        return versions


def certificate_tick(address: str, days: int) -> Tick:
    """What is to be said of a certificate that is good for so many days."""
    what = f"{address}: its certificate is verified and good for {days} day{'s' * (days != 1)}"
    if days < _FEWEST_DAYS:
        return warning(f"{what}: renew it now")
    return good(what)


def version_ticks(address: str, versions: Versions) -> list[Tick]:
    """Whether a broker and aiokafka have a version of each request in common."""
    missing = [
        request.__name__.removesuffix("Request")
        for request, least in _NEEDED.items()
        if not _is_known(request, least, versions)
    ]
    if missing:
        return [
            problem(
                f"{address}: does not know {', '.join(missing)} in a version that this client"
                " knows: the brokers must be Apache Kafka 2.1 or newer, or speak all of its"
                " protocol"
            )
        ]
    ticks = [good(f"{address}: knows all {len(_NEEDED)} kinds of requests that are needed")]
    if versions[MetadataRequest.API_KEY][1] < _TOPIC_IDS:
        ticks.append(
            warning(
                f"{address}: tells no topic ids, so a topic that is deleted and made anew is not"
                " noticed by its id: Apache Kafka 2.8 or newer tells them"
            )
        )
    return ticks


def _is_known(request: type[Any], least: int, versions: Versions) -> bool:
    low, high = versions.get(request.API_KEY, (0, -1))
    known = (each.API_VERSION for each in request._CLASSES)  # noqa: SLF001  no public way
    return any(max(low, least) <= version <= high for version in known)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
