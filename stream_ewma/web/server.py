"""The HTTP server: which paths there are, where it listens, and how it begins and ends."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib.resources import files
from ipaddress import ip_address
from typing import Final

from aiohttp import web

from stream_ewma.errors import SettingsError
from stream_ewma.events import fields
from stream_ewma.settings import Settings
from stream_ewma.web import events, keys, openapi, probes
from stream_ewma.web.access import Access
from stream_ewma.web.connections import Connection, Connections
from stream_ewma.web.forwarding import FORWARDER, Forwarder
from stream_ewma.web.guard import Guard, add_safe_headers
from stream_ewma.web.queries import KEYS_PATH
from stream_ewma.web.window import WINDOW, Window

_log = logging.getLogger(__name__)

_STATIC: Final = files("stream_ewma.web") / "static"
_INDEX: Final = "index.html"
_TYPES: Final = {
    "html": "text/html",
    "js": "text/javascript",
    "css": "text/css",
    "svg": "image/svg+xml",
    "png": "image/png",
    "txt": "text/plain",
}
_BACKLOG: Final = 512

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
    access = Access(settings.http)
    forwarder = Forwarder(access)
    app = _application(window, forwarder)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    listener: asyncio.Server | None = None
    try:
        listener = await _listen(_guarded(runner, app, access), window)
        yield window
    finally:
        if listener is not None:
            listener.close()
        await runner.cleanup()
        await forwarder.close()


def _application(window: Window, forwarder: Forwarder) -> web.Application:
    app = web.Application()
    app[WINDOW], app[FORWARDER] = window, forwarder
    app.on_response_prepare.append(add_safe_headers)
    for path, handler in routes(window.settings).items():
        app.router.add_get(path, handler)
    if window.settings.http.ui and window.settings.http.query:
        for path, handler in _pages():
            app.router.add_get(path, handler)
    return app


def routes(settings: Settings) -> dict[str, Handler]:
    """What is answered, the page aside."""
    found: dict[str, Handler] = {
        "/livez": probes.livez,
        "/healthz": probes.livez,
        "/readyz": probes.readyz,
        "/version": probes.version,
        "/config": probes.config,
        "/openapi.json": openapi.document,
    }
    if settings.http.metrics:
        found["/metrics"] = probes.metrics
    if settings.http.query:
        found |= {
            "/v1/partitions": keys.partitions,
            "/v1/keys": keys.keys,
            KEYS_PATH + "{key:[^/]+}": keys.key,
            "/v1/events": events.events,
        }
    return found


def _pages() -> list[tuple[str, Handler]]:
    """The files of the live page, read once."""
    found = []
    for file in _STATIC.iterdir():
        kind = _TYPES.get(file.name.rpartition(".")[2])
        if kind is not None:
            path = "/" if file.name == _INDEX else f"/{file.name}"
            found.append((path, _page(file.read_bytes(), kind)))
    return found


def _page(body: bytes, kind: str) -> Handler:
    async def page(_request: web.Request) -> web.Response:
        charset = None if kind == "image/png" else "utf-8"
        return web.Response(body=body, content_type=kind, charset=charset)

    return page


def _guarded(
    runner: web.AppRunner, app: web.Application, access: Access
) -> Callable[[], Connection]:
    """What makes connections: aiohttp's own would have neither the guard nor the limits."""
    server = runner.server
    if server is None:
        raise RuntimeError("the runner is not set up")
    paths = {resource.canonical for resource in app.router.resources()}
    has_keys = any(path.startswith(KEYS_PATH) for path in paths)
    fixed = {path for path in paths if not path.startswith(KEYS_PATH)}
    server.request_handler = Guard(server.request_handler, access, fixed, has_keys=has_keys)
    connections = Connections()
    return lambda: Connection(server, connections)


async def _listen(factory: Callable[[], Connection], window: Window) -> asyncio.Server | None:
    http = window.settings.http
    loop = asyncio.get_running_loop()
    try:
        listener = await loop.create_server(factory, http.host, http.port, backlog=_BACKLOG)
    except OSError as error:
        problem = f"http: cannot listen on {http.host}:{http.port} ({error.strerror})"
        if http.model_fields_set & {"host", "port"}:
            raise SettingsError([f"{problem}: set another http.port; 0 is any free one"]) from None
        _log.warning("%s: there is no HTTP; set http.port, 0 is any free one", problem)
        return None
    host, port = listener.sockets[0].getsockname()[:2]
    window.url = f"http://{_joined(host, port)}"
    _log.info("%s", window.url, extra=fields("http_listening", address=window.url))
    window.address = http.advertised or await loop.run_in_executor(None, _reachable, host, port)
    return listener


def _reachable(host: str, port: int) -> str | None:
    """host:port for others; None where it listens everywhere and this machine has but a name."""
    if ip_address(host).is_unspecified:
        try:
            host = socket.gethostbyname(socket.gethostname())
        except OSError:
            return None
        if ip_address(host).is_loopback:  # of every machine, and so of none
            return None
    return _joined(host, port)


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
