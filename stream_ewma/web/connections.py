"""Connections: so many, so long, so large. Whoever asks for nothing makes room for who does."""

import asyncio
import socket
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from aiohttp import web

from stream_ewma.web.answers import error_response

MOST_CONNECTIONS: Final = 256
MOST_HEAD_BYTES: Final = 8192
REQUEST_S: Final = 5.0
"""Time for a whole request, from the connection or from its first byte on."""
_IDLE_S: Final = 30.0
_STUCK_S: Final = 60.0
_SEND_BYTES: Final = 1 << 16
_END_OF_HEAD: Final = b"\r\n\r\n"


class Connections:
    """All that are open, the oldest first.

    Args:
        most: so many at a time.
    """

    def __init__(self, most: int = MOST_CONNECTIONS) -> None:
        self._most = most
        self._open: dict[Connection, None] = {}

    def __len__(self) -> int:
        return len(self._open)

    def admit(self, connection: "Connection") -> bool:
        """Take another one in; the least worthy one makes room, if one can."""
        if len(self._open) >= self._most:
            leaving = self._least_worthy()
            if leaving is None:
                return False
            self.remove(leaving)
            leaving.abort()
        self._open[connection] = None
        return True

    def remove(self, connection: "Connection") -> None:
        """It is closed."""
        self._open.pop(connection, None)

    def _least_worthy(self) -> "Connection | None":
        """Of those that wait for no answer, one that never had any; else the oldest."""
        idle = [connection for connection in self._open if not connection.is_busy]
        return next((each for each in idle if not each.was_answered), next(iter(idle), None))


class Connection(web.RequestHandler):
    """One connection, with the limits that aiohttp does not have.

    Requests have no bodies here: what comes in is one head after another, so that it can be seen
    without reading them whether a request is whole.

    Args:
        server: aiohttp's, of the application.
        connections: all of them.

    Attributes:
        is_busy: whether a request is being answered.
        was_answered: whether one has been.
    """

    def __init__(self, server: web.Server, connections: Connections) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=_IDLE_S,
            access_log=None,  # type: ignore[arg-type]  # as aiohttp's own runner allows
            max_line_size=MOST_HEAD_BYTES,
            max_field_size=MOST_HEAD_BYTES,
            lingering_time=0,
        )
        self.is_busy = False
        self.was_answered = False
        self._connections = connections
        self._raw: asyncio.Transport | None = None
        self._unread = b""
        self._timer: asyncio.TimerHandle | None = None
        self._stuck: asyncio.TimerHandle | None = None

    def abort(self) -> None:
        """Close at once, whatever is unsent."""
        if self._raw is not None:
            self._raw.abort()

    # -- what asyncio calls -------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, if there is room."""
        if not isinstance(transport, asyncio.Transport):
            raise TypeError(f"{transport!r} is no stream")
        if not self._connections.admit(self):
            transport.abort()
            return
        self._raw = transport
        # The kernel would hold megabytes for each client that takes nothing.
        connected = transport.get_extra_info("socket")
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BYTES)
        self._timer = _later(REQUEST_S, self.abort)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """End."""
        for timer in (self._timer, self._stuck):
            if timer is not None:
                timer.cancel()
        self._connections.remove(self)
        if self._raw is not None:
            self._raw = None
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Look for the ends of heads, and hand the bytes on."""
        *whole, rest = (self._unread + data).split(_END_OF_HEAD)
        if max(map(len, [*whole, rest])) > MOST_HEAD_BYTES:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            return
        if whole and self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if rest and self._timer is None:
            self._timer = _later(REQUEST_S, self.abort)
        self._unread = rest
        super().data_received(data)

    def pause_writing(self) -> None:
        """The client takes nothing: not for ever."""
        super().pause_writing()
        self._stuck = _later(_STUCK_S, self.abort)

    def resume_writing(self) -> None:
        """It takes something again."""
        super().resume_writing()
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None

    # -- what aiohttp calls -------------------------------------------------------------------

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is no HTTP: as all errors, and without a line in the log for each."""
        del message
        if request.writer.output_size > 0:
            raise ConnectionResetError("the answer was cut off") from exc
        response = error_response(status, HTTPStatus(status).phrase.lower())
        response.force_close()
        return response

    def _refuse(self, status: HTTPStatus) -> None:
        """Answer without reading on, where no other answer is under way."""
        if self._raw is None:
            return
        if not self.is_busy:
            response = error_response(status, status.phrase.lower(), Connection="close")
            body = response.body if isinstance(response.body, bytes) else b""
            headers = {**response.headers, "Content-Length": str(len(body))}
            lines = [f"HTTP/1.1 {status} {status.phrase}"]
            lines += [f"{name}: {text}" for name, text in headers.items()]
            self._raw.write("\r\n".join([*lines, "", ""]).encode() + body)
        self._raw.close()


def _later(seconds: float, what: Callable[[], None]) -> asyncio.TimerHandle:
    return asyncio.get_running_loop().call_later(seconds, what)
