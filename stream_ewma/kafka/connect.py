"""How every client of this process connects, and a first connection that says what is wrong."""

import asyncio
import ssl
from typing import Any

from aiokafka.conn import create_conn
from aiokafka.errors import KafkaError
from aiokafka.helpers import create_ssl_context

from stream_ewma.errors import AccessDeniedError, BrokerUnavailableError, StreamEwmaError
from stream_ewma.kafka.errors import explain
from stream_ewma.settings import Settings

_RETRY_S = 0.25


def security_options(settings: Settings) -> dict[str, Any]:
    """The arguments every aiokafka client takes to be let in.

    Raises:
        AccessDeniedError: a certificate or key file does not load.
    """
    kafka = settings.kafka
    options: dict[str, Any] = {"security_protocol": kafka.security_protocol}
    if kafka.security_protocol.endswith("SSL"):
        options["ssl_context"] = _ssl_context(settings)
    if kafka.security_protocol.startswith("SASL"):
        options["sasl_mechanism"] = kafka.sasl_mechanism
        options["sasl_plain_username"] = kafka.sasl_username
        options["sasl_plain_password"] = (
            kafka.sasl_password.get_secret_value() if kafka.sasl_password else None
        )
    return options


def client_options(settings: Settings) -> dict[str, Any]:
    """The arguments that consumers, producers and admin clients have in common."""
    return {
        "bootstrap_servers": settings.kafka.bootstrap_servers,
        "client_id": settings.client_id,
        "request_timeout_ms": settings.kafka.request_timeout_ms,
        "metadata_max_age_ms": 30_000,
        **security_options(settings),
    }


async def wait_for_broker(settings: Settings) -> None:
    """Return as soon as one bootstrap broker lets this client in.

    aiokafka's clients log why a connection failed and then raise the same error for everything,
    so the first connection is made here, where the reason can be told.

    Raises:
        AccessDeniedError: the broker was reached and refused, or its certificate was not accepted.
        BrokerUnavailableError: none answered within `kafka.startup_timeout`.
    """
    deadline = asyncio.get_running_loop().time() + settings.kafka.startup_timeout / 1000
    options = security_options(settings)
    while True:
        problems: list[StreamEwmaError] = []
        for address in settings.kafka.bootstrap_servers.split(","):
            problem = await _try(address.strip(), settings, options)
            if problem is None:
                return
            problems.append(problem)
        denied = [p for p in problems if isinstance(p, AccessDeniedError)]
        if denied:
            raise denied[0]
        if asyncio.get_running_loop().time() + _RETRY_S > deadline:
            raise problems[0]
        await asyncio.sleep(_RETRY_S)


async def _try(address: str, settings: Settings, options: dict[str, Any]) -> StreamEwmaError | None:
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        return BrokerUnavailableError(f"{address}: write the broker's address as host:port")
    try:
        connection = await create_conn(
            host.strip("[]"),
            int(port),
            client_id=settings.client_id,
            request_timeout_ms=settings.kafka.request_timeout_ms,
            **options,
        )
    except (KafkaError, OSError, TimeoutError, ValueError) as error:
        return explain(error, settings, address)
    connection.close()
    return None


def _ssl_context(settings: Settings) -> ssl.SSLContext:
    kafka = settings.kafka
    password = kafka.ssl_password.get_secret_value() if kafka.ssl_password else None
    try:
        context: ssl.SSLContext = create_ssl_context(
            cafile=kafka.ssl_cafile,
            certfile=kafka.ssl_certfile,
            keyfile=kafka.ssl_keyfile,
            password=password,
        )
    except (ssl.SSLError, OSError) as error:
        raise AccessDeniedError(
            "kafka.ssl_cafile, ssl_certfile or ssl_keyfile does not load as PEM "
            f"({getattr(error, 'reason', None) or error}): check the files and kafka.ssl_password"
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
