"""For machines: is it alive, is it ready, how much of everything; what runs, and with what."""

import time
from typing import Final

from aiohttp import web
from prometheus_client.exposition import choose_encoder

from stream_ewma.service.metrics import config_hash, versions
from stream_ewma.web.answers import error_response, json_response, rfc3339
from stream_ewma.web.window import window_of

_FRESH_S: Final = 0.25


async def livez(_request: web.Request) -> web.Response:
    """Alive: the event loop turns, or this would not be answered; brokers do not matter."""
    return json_response({"status": "ok", "checks": {"loop": "ok"}})


async def readyz(request: web.Request) -> web.Response:
    """Ready: in the group, and every assigned partition is being worked on."""
    overview = window_of(request).overview
    failing = {"service": "starting"} if overview is None else overview.unready()
    body = {"status": "ok" if not failing else "unready", "checks": failing}
    return json_response(body, 503 if failing else 200)


async def metrics(request: web.Request) -> web.Response:
    """What Prometheus reads, in the form that it asks for."""
    window = window_of(request)
    if window.registry is None:
        return error_response(503, "starting", **{"Retry-After": "1"})
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    # Asked for by many at once, they are written down once.
    made_at, body = window.exposed.get(content_type, (0.0, b""))
    if time.monotonic() - made_at > _FRESH_S:
        body = encode(window.registry)
        window.exposed = {content_type: (time.monotonic(), body)}
    return web.Response(body=body, headers={"Content-Type": content_type})


async def version(request: web.Request) -> web.Response:
    """What runs."""
    window = window_of(request)
    started = None if window.overview is None else rfc3339(window.overview.started_at)
    return json_response(
        {**versions(), "config_hash": config_hash(window.settings), "started_at": started}
    )


async def config(request: web.Request) -> web.Response:
    """The settings in force; secrets are stars."""
    return json_response(window_of(request).settings.model_dump(mode="json"))
