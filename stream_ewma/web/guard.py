"""What stands before every request and behind every answer."""

import asyncio
import logging
import traceback
from collections.abc import Awaitable, Callable, Collection
from typing import Final
from urllib.parse import unquote

from aiohttp import web

from stream_ewma.web.access import Access
from stream_ewma.web.answers import SAFE_HEADERS, error_of, error_response
from stream_ewma.web.connections import Connection
from stream_ewma.web.pace import BusyError, Rate
from stream_ewma.web.queries import KEYS_PATH

_log = logging.getLogger(__name__)

_METHODS: Final = ("GET", "HEAD")
_A_SECOND: Final = 100
_AT_ONCE: Final = 100
_FREE: Final = frozenset({"/livez", "/healthz", "/readyz", "/version"})
"""They cost nothing, and who probes must not wait for others who do."""

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Guard:
    """Lets through what can be answered; all errors look the same, and tell nothing.

    Args:
        answer: the application.
        access: who may ask.
        paths: those that there are, besides the ones of single keys.
        has_keys: whether there are those.
    """

    def __init__(
        self, answer: Handler, access: Access, paths: Collection[str], *, has_keys: bool
    ) -> None:
        self._answer = answer
        self._access = access
        self._paths = frozenset(paths)
        self._has_keys = has_keys
        # Who asks for keys without end keeps no metrics waiting, and the other way round.
        self._metrics, self._others = (Rate(_A_SECOND, _AT_ONCE) for _ in range(2))

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer."""
        connection = request.protocol
        if not isinstance(connection, Connection):
            return await self._safely(request)
        connection.is_busy = True
        try:
            return await self._safely(request)
        finally:
            connection.is_busy, connection.was_answered = False, True

    async def _safely(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.raw_path.partition("?")[0]
        try:
            if path not in _FREE:
                await (self._metrics if path == "/metrics" else self._others).wait()
            return self._refusal(request, path) or await self._answer(request)
        except BusyError:
            return error_response(429, "too many requests", **{"Retry-After": "1"})
        except web.HTTPException as error:
            return error_of(error)
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception as error:  # noqa: BLE001  nobody else would catch it
            place = traceback.extract_tb(error.__traceback__)[-1]
            _log.error(
                "HTTP: %s failed: %r in %s, line %d",
                f"{KEYS_PATH}{{key}}" if path.startswith(KEYS_PATH) else path,
                error,
                place.name,
                place.lineno or 0,
            )
            if request.writer.output_size > 0:
                raise ConnectionResetError("the answer was cut off") from None
            return error_response(500, "internal error: the log says more")

    def _refusal(self, request: web.BaseRequest, path: str) -> web.Response | None:
        """None: it can be answered."""
        if request.method not in _METHODS:
            return error_response(405, "GET and HEAD only", Allow=", ".join(_METHODS))
        if request.body_exists:
            refusal = error_response(413, "requests have no bodies here")
            refusal.force_close()
            return refusal
        if "Expect" in request.headers:
            return error_response(417, "nothing is promised beforehand")
        # As it came, letter by letter: whatever a path could be turned into, it is not served.
        if path not in self._paths and not (self._has_keys and _is_key_path(path)):
            return error_response(404, "not found")
        return self._access.decide(request, path)


def _is_key_path(path: str) -> bool:
    """`/v1/keys/` and one name, which no client would take for a way up."""
    key = path.removeprefix(KEYS_PATH)
    return key not in {path, ""} and "/" not in key and unquote(key) not in {".", ".."}


async def add_safe_headers(_request: web.Request, response: web.StreamResponse) -> None:
    """Complete an answer before it is sent."""
    for name, text in SAFE_HEADERS.items():
        response.headers.setdefault(name, text)
