"""The other side of the HTTP API: what asks a running member."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Self

import aiohttp
import orjson

from stream_ewma.errors import AccessDeniedError, MemberUnavailableError

LOST: Final = "lost"
"""Name of the event that tells that a stream was interrupted, with its `reason`."""
OPEN: Final = "open"
"""Name of the event that a stream begins with, also after an interruption."""

_CONNECT_S: Final = 5.0
_SILENCE_S: Final = 10.0
"""The member tells its status each second: this long without means that it hangs."""
_PAUSE_S: Final = 1.0
_MOST_PENDING: Final = 1 << 24
_FIRST_WORDS: Final = 80


class _StartingError(MemberUnavailableError):
    """The member answers, but has not begun."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that a member told.

    Attributes:
        name: `sample`, `rejected` or `status`; `open` and `lost` are of the connection.
        data: what it told.
    """

    name: str
    data: dict[str, Any] = field(default_factory=dict)


class Member:
    """A running member at an address; use it as an async context.

    Args:
        url: where it answers, as `http://127.0.0.1:9464`.
        token: of its settings, if it wants one.

    Attributes:
        address: the same without `http://`.
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        self._url = url
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._session: aiohttp.ClientSession | None = None
        self.address = url.removeprefix("http://")

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=_CONNECT_S, connect=_CONNECT_S, sock_read=_SILENCE_S
        )
        self._session = aiohttp.ClientSession(headers=self._headers, timeout=timeout)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def events(
        self, keys: Sequence[str] = (), *, others: int = 0
    ) -> AsyncGenerator[Event, None]:
        """What the member tells, without end: an interruption is told, and waited out.

        Args:
            keys: those of which every sample is wanted, within reason.
            others: besides, samples of each step, of whatever keys.

        Raises:
            MemberUnavailableError: nobody has answered there yet, or somebody else did.
            AccessDeniedError: the token is not the member's.
        """
        query = [("key", key) for key in keys] + [("others", str(others))]
        was_there = False
        while True:
            reason = f"{self.address}: the member has left"
            try:
                async with aclosing(self._stream(query)) as stream:
                    async for event in stream:
                        was_there = was_there or event.name != OPEN
                        yield event
            except _StartingError as error:
                was_there, reason = True, str(error)
            except MemberUnavailableError as error:
                if not was_there:
                    raise
                reason = str(error).partition(";")[0]  # without what to do at the first time
            yield Event(LOST, {"reason": reason})
            await asyncio.sleep(_PAUSE_S)

    async def _stream(self, query: list[tuple[str, str]]) -> AsyncGenerator[Event, None]:
        """The events until the member leaves."""
        async with self._asked("/v1/events", query) as response:
            yield Event(OPEN)
            pending = b""
            async for chunk in response.content.iter_any():
                *blocks, pending = (pending + chunk).split(b"\n\n")
                if len(pending) > _MOST_PENDING:
                    raise self._stranger("one of its events does not end")
                for block in blocks:
                    for event in self._read(block):
                        yield event

    def _read(self, block: bytes) -> Iterator[Event]:
        """The event in the lines of a block, if it is none to keep the line open only."""
        fields = dict(line.partition(b": ")[::2] for line in block.split(b"\n"))
        if b"event" not in fields:
            return
        try:
            data = orjson.loads(fields.get(b"data", b""))
        except orjson.JSONDecodeError:
            raise self._stranger("its events are no JSON") from None
        if not isinstance(data, dict):
            raise self._stranger("its events are no JSON objects")
        yield Event(fields[b"event"].decode(errors="replace"), data)

    @asynccontextmanager
    async def _asked(
        self, path: str, query: list[tuple[str, str]]
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The member's good answer, while it is read."""
        assert self._session is not None  # noqa: S101  used as a context
        try:
            request = self._session.get(self._url + path, params=query, allow_redirects=False)
            async with request as response:
                await self._refuse(response)
                yield response
        except TimeoutError:
            raise MemberUnavailableError(
                f"{self.address}: does not answer in time; check that it runs: stream-ewma"
                " healthcheck"
            ) from None
        except aiohttp.ClientConnectorError as error:
            words = (error.os_error.strerror or str(error.os_error)).lower()
            raise MemberUnavailableError(
                f"{self.address}: {words}; no member listens there: start it with stream-ewma run,"
                " or write --address HOST:PORT as its log names it"
            ) from None
        except (aiohttp.ClientError, OSError) as error:
            words = str(error) or type(error).__name__
            raise MemberUnavailableError(f"{self.address}: {words}") from None

    async def _refuse(self, response: aiohttp.ClientResponse) -> None:
        """Return if the answer is a stream of events."""
        status = response.status
        if status == 401:
            raise AccessDeniedError(
                f"{self.address}: wants the http.token of its settings; set STREAM_EWMA_HTTP__TOKEN"
                " or take its --config"
            )
        if status in (400, 503):
            words = (await response.content.read(_FIRST_WORDS)).decode(errors="replace")
            if status == 503 and words == "starting":
                raise _StartingError(f"{self.address}: is starting")
            raise MemberUnavailableError(f"{self.address}: {words}")
        if status == 404:
            raise self._stranger("has no /v1/events")
        if status != 200 or response.content_type != "text/event-stream":
            raise self._stranger(f"status {status}, {response.content_type}")

    def _stranger(self, what: str) -> MemberUnavailableError:
        return MemberUnavailableError(
            f"{self.address}: answers, but not as a member with http.query does ({what}); write"
            " --address HOST:PORT as its log names it"
        )
