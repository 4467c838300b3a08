"""A TCP proxy in front of a broker that knows Kafka's frames and may change an answer."""

import asyncio
import struct
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

OFFSET_FETCH = 9
OFFSET_FETCH_LAST_PLAIN_VERSION = 5
READ_BUFFER = 1 << 22

Change = Callable[[int, bytes], bytes]


class ThreadedServer:
    """Listens in a thread and loop of its own, from entering the context to leaving it.

    Args:
        listen: `host:port` for the clients.
    """

    def __init__(self, listen: str) -> None:
        self._listen = split(listen)
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"server at {listen}")
        self._stop: asyncio.Event | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        raise NotImplementedError

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self.serve())

    async def serve(self) -> None:
        """Listen until the context is left."""
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self.accept, *self._listen, limit=READ_BUFFER)
        self._ready.set()
        await self._stop.wait()
        server.close()


class Proxy(ThreadedServer):
    """Carries bytes between clients and a broker.

    Args:
        listen: `host:port` for the clients.
        target: `host:port` of the broker.
        api_key: whose answers to change.
        change: given a request's version and the answer's body, returns the body to deliver.
    """

    def __init__(self, listen: str, target: str, api_key: int, change: Change) -> None:
        super().__init__(listen)
        self._target = split(target)
        self._api_key = api_key
        self._change = change

    async def accept(self, client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        try:
            broker, forth = await asyncio.open_connection(*self._target)
        except OSError:
            back.close()
            return
        asked: dict[int, int] = {}
        try:
            await asyncio.gather(
                self._requests(client, forth, asked), self._answers(broker, back, asked)
            )
        except asyncio.CancelledError:
            pass  # the proxy ends before its clients
        finally:
            back.close()
            forth.close()

    async def _requests(
        self, client: asyncio.StreamReader, forth: asyncio.StreamWriter, asked: dict[int, int]
    ) -> None:
        while (frame := await read_frame(client)) is not None:
            api_key, version, correlation = struct.unpack_from(">hhi", frame)
            if api_key == self._api_key:
                asked[correlation] = version
            write_frame(forth, frame)
        forth.close()

    async def _answers(
        self, broker: asyncio.StreamReader, back: asyncio.StreamWriter, asked: dict[int, int]
    ) -> None:
        while (frame := await read_frame(broker)) is not None:
            (correlation,) = struct.unpack_from(">i", frame)
            if correlation in asked:
                frame = frame[:4] + self._change(asked.pop(correlation), frame[4:])
            write_frame(back, frame)
        back.close()


async def read_frame(reader: asyncio.StreamReader) -> bytes | None:
    """Return the next length-prefixed frame, None at the end of the connection."""
    try:
        (size,) = struct.unpack(">i", await reader.readexactly(4))
        return await reader.readexactly(size)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


def write_frame(writer: asyncio.StreamWriter, frame: bytes) -> None:
    """Send a frame with its length before it."""
    writer.write(struct.pack(">i", len(frame)) + frame)


def split(address: str) -> tuple[str, int]:
    """Return host and port of `host:port`."""
    host, _, port = address.rpartition(":")
    return host, int(port)


def offset_fetch_refused(version: int, error_code: int) -> bytes:
    """Return the body of an OffsetFetch answer that is an error of the whole group.

    No partition is named: this is what a broker says while the group's coordinator moves or loads.
    """
    assert 2 <= version <= OFFSET_FETCH_LAST_PLAIN_VERSION, version
    throttle = b"" if version == 2 else struct.pack(">i", 0)
    return throttle + struct.pack(">ih", 0, error_code)
