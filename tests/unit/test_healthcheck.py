"""The probe as a command."""

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from stream_ewma.cli import main
from tests.support.window import Site, free_port, site


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAM_EWMA_INPUT__TOPICS", "air")
    monkeypatch.setenv("STREAM_EWMA_SMOOTHING__ALPHA", "0.5")


async def checked(subject: Site, *arguments: str) -> int:
    flags = ["--http.port", str(subject.port), *arguments]
    return await asyncio.to_thread(main, ["healthcheck", *flags])


async def test_ready_or_not(capsys):
    async with site() as subject:
        assert await checked(subject) == 0
        assert capsys.readouterr() == ("ok\n", "")

        subject.member.failing = {"air-0": "opening", "air-1": "parked at offset 7"}
        assert await checked(subject) == 1
        assert capsys.readouterr() == ("", "unready: air-0: opening; air-1: parked at offset 7\n")
        assert await checked(subject, "--live") == 0
        assert capsys.readouterr() == ("ok\n", "")


@pytest.mark.parametrize("host", ["0.0.0.0", "localhost", "127.0.0.1"])  # noqa: S104
async def test_who_listens_everywhere_is_asked_here(host, monkeypatch):
    monkeypatch.setenv("STREAM_EWMA_HTTP__TOKEN", "a-token-of-16-characters")
    async with site(token="a-token-of-16-characters") as subject:  # noqa: S106
        assert await checked(subject, "--http.host", host) == 0


def test_nobody_there(capsys):
    port = free_port()

    assert main(["healthcheck", "--http.port", str(port)]) == 1
    assert capsys.readouterr().err.startswith(f"no answer at 127.0.0.1:{port}: ")


@pytest.mark.parametrize(
    ("flag", "value", "cause"),
    [
        ("--http.enabled", "false", "http.enabled is false; write true"),
        ("--http.port", "0", "http.port is 0, any free one; write a port"),
    ],
)
def test_nobody_to_ask(flag, value, cause, capsys):
    assert main(["healthcheck", flag, value]) == 1
    assert capsys.readouterr().err == f"there is nobody to ask: {cause}\n"


@pytest.fixture
def stranger() -> Iterator[HTTPServer]:
    class Handler(BaseHTTPRequestHandler):
        body = b"[]"

        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(self.server.body)

        def log_message(self, *_arguments: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"[]", "what answers at {} is not stream-ewma; mend http.host or http.port\n"),
        (b"{}", "what answers at {} is not stream-ewma; mend http.host or http.port\n"),
        (b"hello", "no answer at {}: "),
    ],
)
def test_somebody_else_there(stranger, body, said, capsys):
    stranger.body = body

    assert main(["healthcheck", "--http.port", str(stranger.server_port)]) == 1
    assert capsys.readouterr().err.startswith(said.format(f"127.0.0.1:{stranger.server_port}"))
