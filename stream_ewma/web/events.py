"""Server-sent events: samples of the keys asked for, and how the member is, each second."""

import asyncio
import time
from collections.abc import AsyncIterator
from functools import lru_cache
from typing import Any

import orjson
from aiohttp import web

from stream_ewma.engine.sample import Watched
from stream_ewma.engine.stored import key_bytes
from stream_ewma.service.overview import Overview
from stream_ewma.service.watching import (
    MOST_KEYS,
    Seen,
    SeenRejected,
    TooManyWatchersError,
    Watcher,
)
from stream_ewma.web.answers import partition_json, rejected_json, sample_json
from stream_ewma.web.queries import number_of
from stream_ewma.web.window import window_of

_STATUS_S = 1.0
_PACE_S = 0.1
_PING_S = 15.0
_MOST_OTHERS = 100


async def events(request: web.Request) -> web.StreamResponse:
    """A stream of `sample`, `rejected` and `status` events until the client leaves.

    What a client does not take in time is pushed out by what is newer.
    """
    overview = window_of(request).running()
    wanted = _wanted(request)
    if request.method == "HEAD":
        return web.Response(content_type="text/event-stream")
    try:
        watcher = overview.watchers.join(wanted)
    except TooManyWatchersError:
        raise web.HTTPServiceUnavailable(text="too many are watching") from None
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
    )
    try:
        await response.prepare(request)
        async for chunk in _chunks(overview, watcher):
            await response.write(chunk)
    except ConnectionResetError:
        pass
    finally:
        overview.watchers.leave(watcher)
    return response


def _wanted(request: web.Request) -> Watched:
    keys = frozenset(key_bytes(text) for text in request.query.getall("key", []))
    if len(keys) > MOST_KEYS:
        raise web.HTTPBadRequest(text=f"at most {MOST_KEYS} keys")
    return Watched(keys, number_of(request, "others", 0, 0, _MOST_OTHERS))


async def _chunks(overview: Overview, watcher: Watcher) -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    told: SeenRejected | None = None
    status_at = ping_at = loop.time()
    while not overview.is_stopping:
        seen = await watcher.take(max(min(status_at, ping_at) - loop.time(), 0.0))
        parts = [_sample(each) for each in seen]
        now = loop.time()
        if now >= status_at:
            status_at = now + _STATUS_S
            news = _after(list(overview.watchers.rejected), told)
            told = news[-1] if news else told
            parts += [_event("rejected", rejected_json(each)) for each in news]
            parts.append(_event("status", status_json(overview, watcher)))
        if now >= ping_at:
            ping_at = now + _PING_S
            parts.append(b": ping\n\n")
        if parts:
            yield b"".join(parts)
        await asyncio.sleep(_PACE_S)


def _after(rejected: list[SeenRejected], told: SeenRejected | None) -> list[SeenRejected]:
    """What came after the last one that was told; all, where that is gone."""
    for place, each in enumerate(rejected):
        if each is told:
            return rejected[place + 1 :]
    return rejected


def status_json(overview: Overview, watcher: Watcher) -> dict[str, Any]:
    """The member's state, and its counts, for rates."""
    total = overview.counters.total
    return {
        "time": round(time.time(), 3),
        "unready": overview.unready(),
        "partitions": [partition_json(status) for status in overview.status()],
        "consumed": total.consumed,
        "emitted": total.emitted,
        "rejected": dict(total.rejected),
        "skipped": dict(total.skipped),
        "commits": overview.counters.commits,
        "recoveries": overview.counters.recoveries,
        "missed": watcher.missed,
    }


@lru_cache(maxsize=4096)
def _sample(seen: Seen) -> bytes:
    """The event of a sample, which is written once for all who watch."""
    return _event("sample", sample_json(seen), f"{seen.partition}-{seen.sample.offset}")


def _event(name: str, body: dict[str, Any], ident: str = "") -> bytes:
    head = f"event: {name}\n" + (f"id: {ident}\n" if ident else "")
    return head.encode() + b"data: " + orjson.dumps(body) + b"\n\n"
