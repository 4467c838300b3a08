"""A member that only tells what a test wrote: its `/v1/events`, from a thread of its own."""

import asyncio
import json
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from aiohttp import web

TOKEN = "a token of sixteen characters"  # noqa: S105  wanted by nobody else
Told = tuple[str, dict[str, Any]]


def sample(key: str, value: float | None = 1.5, *, at: int = 0, **more: object) -> Told:
    """A sample of a key."""
    data = {
        "key": key,
        "topic": "readings",
        "partition": 3,
        "offset": at,
        "timestamp": 1_767_225_600_000,
        "kind": "smoothed",
        "values": {"value": value},
        "outputs": {"ewma": 1.25, "count": at + 1},
        "raw": "1.5",
    }
    return "sample", data | more


def rejected(at: int = 0, **more: object) -> Told:
    """A dead letter."""
    data = {
        "topic": "readings",
        "partition": 3,
        "offset": at,
        "timestamp": 1_767_225_600_000,
        "key": "pump",
        "reason": "decode",
        "preview": "no\x1b[31m\nnumber",
        "size": 14,
    }
    return "rejected", data | more


def partition(number: int = 0, **more: object) -> dict[str, Any]:
    """A partition that is worked on."""
    return {
        "topic": "readings",
        "partition": number,
        "phase": "running",
        "position": 1000,
        "committed": 990,
        "end": 1007,
        "lag": 7,
        "keys": 12,
        "state_bytes": 4096,
        "event_time": 1_767_225_598_000,
        "processed_at": 1_767_225_600.0,
        "restore": None,
    } | more


def status(second: float = 0, **more: object) -> Told:
    """How the member is, so long after the first time."""
    data = {
        "time": 1_767_225_600 + second,
        "unready": {},
        "partitions": [partition(position=1000 + int(100 * second))],
        "consumed": 1000 + int(100 * second),
        "emitted": 900 + int(90 * second),
        "rejected": {"decode": 10 + int(10 * second)},
        "skipped": {},
        "commits": int(5 * second),
        "recoveries": 0,
        "missed": 0,
    }
    return "status", data | more


class FakeMember:
    """Answers each connection with the next of some scripts; the last one is held open.

    Args:
        *scripts: what is told, a list a connection.
        token: wanted of those who ask.

    Attributes:
        queries: the parameters of each request.
        answers: what is answered at first in place of events, as status and text.
        url: where it is.
    """

    def __init__(self, *scripts: Sequence[Told | bytes], token: str | None = None) -> None:
        self._scripts = list(scripts)
        self._token = token
        self._loop = asyncio.new_event_loop()
        self._started, self._done = threading.Event(), asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),))
        self.queries: list[list[tuple[str, str]]] = []
        self.answers: list[tuple[int, str]] = []
        self.url = ""

    @property
    def address(self) -> str:
        return self.url.removeprefix("http://")

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(30)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._done.set)
        self._thread.join(30)
        self._loop.close()

    async def _run(self) -> None:
        app = web.Application()
        app.router.add_get("/v1/events", self._events)
        runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        self._started.set()
        await self._done.wait()
        await runner.cleanup()

    async def _events(self, request: web.Request) -> web.StreamResponse:
        self.queries.append(list(request.query.items()))
        if self._token and request.headers.get("Authorization") != f"Bearer {self._token}":
            raise web.HTTPUnauthorized
        if self.answers:
            code, text = self.answers.pop(0)
            return web.Response(status=code, text=text)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        script = self._scripts.pop(0)
        for told in script:
            await response.write(told if isinstance(told, bytes) else _event(*told))
        if not self._scripts:
            await self._done.wait()
        return response


def _event(name: str, data: dict[str, Any]) -> bytes:
    return f"event: {name}\nid: 1\ndata: {json.dumps(data)}\n\n".encode()
