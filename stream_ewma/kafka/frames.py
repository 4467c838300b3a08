"""Large requests and responses between aiokafka and the socket, without copies on the way.

aiokafka's connection gathers a response in a buffer that grows with every packet, copies it out
whole, and copies each partition's records out of that; it joins a request's bytes anew at each of
the eight levels of its schema. `RawConnection` is that connection with this replaced:

- a large response is received straight into a buffer of its size, and the records in a fetch
  response are views of it;
- a produce request is written in pieces, its batch as it stands.

What is small, and every other request, goes the old way. `RawClient` makes such connections.
"""

import asyncio
import types
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
from aiokafka import client as client_module
from aiokafka import conn as conn_module
from aiokafka import errors
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.types import Array, Bytes, Int32, Schema
from aiokafka.util import wait_for

from stream_ewma.records import layout

_LARGE_BYTES: Final = 1 << 16
"""From here on a copy costs more than doing without it."""
_SIZE_BYTES: Final = 4


def with_replaced(function: Callable[..., Any], **names: object) -> Any:
    """A copy of `function` that sees `names` in place of its module's."""
    copy = types.FunctionType(
        function.__code__,
        {**function.__globals__, **names},
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


class FrameReader(asyncio.StreamReader):
    """A stream reader that receives what is large where it is to stay."""

    def __init__(self, limit: int, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(limit, loop)
        self._loop_of_target = loop
        self._scratch = memoryview(bytearray(_LARGE_BYTES))
        self._target: memoryview | None = None
        self._filled = 0
        self._complete: asyncio.Future[None] | None = None

    def get_buffer(self) -> memoryview:
        """Where the next bytes of the stream are to be put."""
        return self._scratch if self._target is None else self._target[self._filled :]

    def buffer_updated(self, count: int) -> None:
        """Take the `count` bytes that were put there."""
        if self._target is None:
            self.feed_data(self._scratch[:count])
            return
        self._filled += count
        if self._filled == len(self._target):
            self._end(None)

    async def readexactly(self, n: int) -> Any:
        """The next `n` bytes: as bytes where they are few, else as a view of their own buffer.

        Raises:
            asyncio.IncompleteReadError: the stream ended before.
        """
        if n < _LARGE_BYTES:
            return await super().readexactly(n)
        head = await self.read(n)  # what is there already: at least one byte, or it is the end
        frame = np.empty(n, np.uint8).data
        frame[: len(head)] = head
        if len(head) == n:
            return frame
        error = self.exception()
        if error is not None:
            raise error
        if self.at_eof():
            raise asyncio.IncompleteReadError(head, n)
        self._target, self._filled = frame, len(head)
        self._complete = self._loop_of_target.create_future()
        await self._complete
        return frame

    def feed_eof(self) -> None:
        """The other side has closed the stream."""
        super().feed_eof()
        if self._target is not None:
            self._end(asyncio.IncompleteReadError(b"", len(self._target)))

    def set_exception(self, exc: Exception) -> None:
        """The connection is broken."""
        super().set_exception(exc)
        if self._target is not None:
            self._end(exc)

    def _end(self, error: Exception | None) -> None:
        """What is received from now on belongs to the next frame."""
        complete, self._target, self._complete = self._complete, None, None
        if complete is None or complete.done():
            return
        if error is None:
            complete.set_result(None)
        else:
            complete.set_exception(error)


class _Protocol(conn_module.AIOKafkaProtocol, asyncio.BufferedProtocol):  # type: ignore[misc]  # aiokafka has no types
    """aiokafka's protocol, told by the transport where to put what it receives."""

    def __init__(
        self,
        closed: "asyncio.Future[None]",
        reader: FrameReader,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__(closed, reader, loop=loop)
        self._frames = reader

    def get_buffer(self, _sizehint: int) -> memoryview:
        return self._frames.get_buffer()

    def buffer_updated(self, nbytes: int) -> None:
        self._frames.buffer_updated(nbytes)


class _Frame:
    """A large response as aiokafka's decoder reads it: what is large in it stays where it is."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._at = 0

    def read(self, size: int) -> Any:
        """The next `size` bytes, fewer at the end."""
        piece = self._data[self._at : self._at + size]
        self._at += len(piece)
        return piece if size >= _LARGE_BYTES else bytes(piece)


class RawConnection(conn_module.AIOKafkaConnection):  # type: ignore[misc]  # aiokafka has no types
    """aiokafka's connection without copies of what is large."""

    connect = with_replaced(
        conn_module.AIOKafkaConnection.connect,
        asyncio=types.SimpleNamespace(StreamReader=FrameReader, StreamWriter=asyncio.StreamWriter),
        AIOKafkaProtocol=_Protocol,
    )
    _handle_large_frame = with_replaced(
        conn_module.AIOKafkaConnection._handle_frame,  # noqa: SLF001  the seam
        io=types.SimpleNamespace(BytesIO=_Frame),
    )

    def _handle_frame(self, resp: Any) -> None:
        if isinstance(resp, bytes):
            super()._handle_frame(resp)
        elif self._requests[0][1].API_KEY == FetchRequest.API_KEY:
            self._handle_large_frame(resp)
        else:
            super()._handle_frame(bytes(resp))

    def send(self, request: Any, expect_response: bool = True) -> Any:
        """Send a request; a future of the answer, if one is expected."""
        if not isinstance(request, ProduceRequest) or not expect_response or self._writer is None:
            return super().send(request, expect_response)
        body = request.prepare(self._versions)
        correlation_id = self._next_correlation_id()
        header = body.build_request_header(correlation_id=correlation_id, client_id=self._client_id)
        try:
            for piece in pieces(header, body):
                self._writer.write(piece)
        except OSError as error:
            self.close(reason=conn_module.CloseReason.CONNECTION_BROKEN)
            raise errors.KafkaConnectionError(
                f"Connection at {self._host}:{self._port} broken: {error}"
            ) from error
        answer = self._loop.create_future()
        self._requests.append((correlation_id, body, answer))
        return wait_for(answer, self._request_timeout)


def pieces(*structs: Any) -> list[bytearray | memoryview]:
    """The bytes of a request with its size in front; what is large stands by itself, uncopied."""
    joined: list[bytearray | memoryview] = [bytearray(Int32.encode(0))]
    for struct in structs:
        for piece in _encoded(
            struct.SCHEMA, [getattr(struct, name) for name in struct.SCHEMA.names]
        ):
            if isinstance(piece, memoryview):
                joined.append(piece)
            elif isinstance(joined[-1], bytearray):
                joined[-1] += piece
            else:
                joined.append(bytearray(piece))
    size = sum(map(len, joined)) - _SIZE_BYTES
    joined[0][:_SIZE_BYTES] = Int32.encode(size)
    return joined


def _encoded(kind: Any, value: Any) -> Iterator[bytes | memoryview]:
    """The bytes of `value`, the large parts as views."""
    if isinstance(kind, Schema):
        for field, item in zip(kind.fields, value, strict=True):
            yield from _encoded(field, item)
    elif type(kind) is Array and value is not None:
        yield Int32.encode(len(value))
        for item in value:
            yield from _encoded(kind.array_of, item)
    elif kind is Bytes and value is not None and len(value) >= _LARGE_BYTES:
        # The batch's header is filled in anew when the batch has to be sent again, and the
        # transport of a connection given up may still hold what was handed to it.
        yield Int32.encode(len(value)) + bytes(value[: layout.HEADER_BYTES])
        yield memoryview(value)[layout.HEADER_BYTES :]
    else:
        yield kind.encode(value)


_make_raw_connection = with_replaced(conn_module.create_conn, AIOKafkaConnection=RawConnection)


class RawClient(client_module.AIOKafkaClient):  # type: ignore[misc]  # aiokafka has no types
    """aiokafka's client with such connections, and with patience for brokers that start."""

    _get_conn = with_replaced(
        client_module.AIOKafkaClient._get_conn,  # noqa: SLF001  the seam
        create_conn=_make_raw_connection,
    )

    async def bootstrap(self) -> None:
        """Find the brokers.

        One that has just started knows of none, not even of itself. aiokafka goes on with that, and
        fails an assertion when it looks for a coordinator; here it is asked again.

        Raises:
            KafkaConnectionError: none is known within the time for a request.
        """
        await super().bootstrap()
        try:
            async with asyncio.timeout(self._request_timeout_ms / 1000):
                while not self.cluster.brokers():
                    await asyncio.sleep(self._retry_backoff)
                    await self.force_metadata_update()
        except TimeoutError:
            await self.close()
            raise errors.KafkaConnectionError("the brokers know of none among them yet") from None
