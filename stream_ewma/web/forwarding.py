"""A key that another member has: who that is, and asking it."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import orjson
from aiohttp import (
    ClientError,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    TCPConnector,
    web,
)
from yarl import URL

from stream_ewma.kafka.partition import Partition
from stream_ewma.service.overview import Overview
from stream_ewma.web.access import Access
from stream_ewma.web.answers import error_response, json_response
from stream_ewma.web.window import window_of

_FORWARDED: Final = "X-Stream-Ewma-Forwarded"
"""A request that has it is answered here or nowhere: two members cannot play ball with it."""
_TIMEOUT_S: Final = 2.0
_MOST_AT_ONCE: Final = 16
_MOST_BYTES: Final = 1 << 20
_MISDIRECTED: Final = 421


class Forwarder:
    """Asks other members; one for the process.

    Args:
        access: what to show them.
    """

    def __init__(self, access: Access) -> None:
        self._session = ClientSession(
            connector=TCPConnector(limit=_MOST_AT_ONCE),
            timeout=ClientTimeout(total=_TIMEOUT_S),
            headers={**access.authorization, _FORWARDED: "1"},
            raise_for_status=False,
            auto_decompress=False,
        )

    async def close(self) -> None:
        """End what is under way."""
        await self._session.close()

    async def ask(self, owner: str, path: str) -> web.Response:
        """What a member answers; 502 where it does not.

        Args:
            owner: host:port, as the group named it.
            path: with the query, as it came.
        """
        with suppress(ClientError, OSError, TimeoutError, ValueError):
            # As it came: taken apart and put together again it might not be the same path.
            url = URL(f"http://{owner}{path}", encoded=True)
            async with self._session.get(url, allow_redirects=False) as answer:
                found = orjson.loads(await _bounded(answer))
                if isinstance(found, dict):
                    return json_response(found, answer.status)
        return error_response(502, f"{owner} has the partition of this key, and does not answer")


async def _bounded(answer: ClientResponse) -> bytes:
    """The body.

    Raises:
        ValueError: it is too large for an answer about a key.
    """
    body = b""
    async for part in answer.content.iter_any():
        body += part
        if len(body) > _MOST_BYTES:
            raise ValueError("too large")
    return body


FORWARDER = web.AppKey("forwarder", Forwarder)


async def ask_owner(request: web.Request, elsewhere: Sequence[Partition]) -> web.Response | None:
    """What the owners of `elsewhere` answer; None: not to be asked for, or nobody known."""
    if request.query.get("forward") != "1" or _FORWARDED in request.headers:
        return None
    window = window_of(request)
    overview = window.running()
    owners = dict.fromkeys(overview.owner(partition) for partition in elsewhere)
    answer: web.Response | None = None
    for owner in owners:
        # Its own address: the group has changed, and has not told yet.
        if owner is not None and owner != window.address:
            answer = await request.app[FORWARDER].ask(owner, request.raw_path)
            if answer.status == 200:
                break
    return answer


def misdirected(overview: Overview, partition: Partition) -> web.Response:
    """Where to ask instead."""
    owned = [p.number for p in overview.running_partitions() if p.topic == partition.topic]
    return json_response(
        {
            "error": "another member has the partition of this key",
            "topic": partition.topic,
            "partition": partition.number,
            "owned": owned,
            "owner": overview.owner(partition),
        },
        _MISDIRECTED,
    )
