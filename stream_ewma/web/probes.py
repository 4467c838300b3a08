"""For machines: is it alive, is it ready, how much of everything; what runs, and with what."""

from aiohttp import web
from prometheus_client.exposition import choose_encoder

from stream_ewma.service.metrics import config_hash, versions
from stream_ewma.web.answers import json_response, rfc3339
from stream_ewma.web.window import window_of


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
    registry = window_of(request).registry
    if registry is None:
        return json_response({"error": "starting"}, 503)
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return web.Response(body=encode(registry), headers={"Content-Type": content_type})


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
