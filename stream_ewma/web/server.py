"""The HTTP server: which paths there are, and who may ask."""

import hmac
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Final

from aiohttp import web

from stream_ewma.errors import SettingsError
from stream_ewma.events import fields
from stream_ewma.settings import Settings
from stream_ewma.web import events, keys, probes
from stream_ewma.web.window import WINDOW, Window

_log = logging.getLogger(__name__)

_STATIC: Final = files("stream_ewma.web") / "static"
_TYPES: Final = {
    "html": "text/html",
    "js": "text/javascript",
    "css": "text/css",
    "svg": "image/svg+xml",
}
_OPEN: Final = {"/livez", "/healthz", "/readyz", "/metrics", "/version"}
_SAFE: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[Window]:
    """Answer requests meanwhile; show the member by `Window.show` once it has started.

    Raises:
        SettingsError: the address cannot be listened on, though it was asked for.
    """
    window = Window(settings)
    if not settings.http.enabled:
        yield window
        return
    runner = web.AppRunner(_application(window), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        window.address = await _listen(runner, settings)
        yield window
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, settings: Settings) -> str | None:
    http = settings.http
    try:
        await web.TCPSite(runner, http.host, http.port).start()
    except OSError as error:
        problem = f"http: cannot listen on {http.host}:{http.port} ({error.strerror})"
        if http.model_fields_set & {"host", "port"}:
            raise SettingsError([f"{problem}: set another http.port; 0 is any free one"]) from None
        _log.warning("%s: there is no HTTP; set http.port, 0 is any free one", problem)
        return None
    host, port = runner.addresses[0][:2]
    address = f"http://{host}:{port}"
    _log.info("%s", address, extra=fields("http_listening", address=address))
    return address


def _application(window: Window) -> web.Application:
    app = web.Application(middlewares=[_guard], client_max_size=8192)
    app[WINDOW] = window
    http = window.settings.http
    app.router.add_get("/livez", probes.livez)
    app.router.add_get("/healthz", probes.livez)
    app.router.add_get("/readyz", probes.readyz)
    app.router.add_get("/version", probes.version)
    app.router.add_get("/config", probes.config)
    if http.metrics:
        app.router.add_get("/metrics", probes.metrics)
    if http.query:
        app.router.add_get("/v1/partitions", keys.partitions)
        app.router.add_get("/v1/keys", keys.keys)
        app.router.add_get("/v1/keys/{key:.*}", keys.key)
        app.router.add_get("/v1/events", events.events)
    if http.ui and http.query:
        for name in sorted(file.name for file in _STATIC.iterdir()):
            if _ending(name) in _TYPES:
                app.router.add_get("/" if name == "index.html" else f"/{name}", _page(name))
    return app


def _page(name: str) -> Handler:
    async def page(_request: web.Request) -> web.Response:
        body = (_STATIC / name).read_bytes()
        return web.Response(body=body, content_type=_TYPES[_ending(name)], charset="utf-8")

    return page


def _ending(name: str) -> str:
    return name.rpartition(".")[2]


@web.middleware
async def _guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Headers for browsers, and the token where one is wanted."""
    token = request.app[WINDOW].settings.http.token
    if token is not None and request.path not in _OPEN:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(given.encode(), token.get_secret_value().encode()):
            raise web.HTTPUnauthorized(headers={"WWW-Authenticate": "Bearer", **_SAFE})
    try:
        response = await handler(request)
    except web.HTTPException as error:
        error.headers.update(_SAFE)
        raise
    if not response.prepared:
        response.headers.update(
            {name: text for name, text in _SAFE.items() if name not in response.headers}
        )
    return response
