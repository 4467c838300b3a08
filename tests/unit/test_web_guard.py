"""Paths, methods, bodies and errors: what is refused, and how refusals look."""

import logging

import pytest

from stream_ewma.web.answers import SAFE_HEADERS
from tests.support.window import Reply, parsed, site

TOKEN = "a-token-of-16-characters"  # noqa: S105
OPEN = ("/livez", "/healthz", "/readyz", "/metrics", "/version")


def is_error(reply: Reply, status: int) -> bool:
    assert reply.status == status, reply
    assert reply.headers["Content-Type"] == "application/json"
    assert isinstance(reply.json["error"], str)
    return all(reply.headers[name.title()] == text for name, text in SAFE_HEADERS.items())


@pytest.mark.parametrize("path", [*OPEN, "/config", "/openapi.json", "/", "/v1/keys", "/nothing"])
async def test_every_answer_has_the_headers_that_keep_browsers_safe(path):
    async with site() as subject:
        reply = await subject.get(path)

        assert {name.title() for name in SAFE_HEADERS} <= reply.headers.keys()
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert not any(name.startswith("Access-Control") for name in reply.headers)


@pytest.mark.parametrize(
    "path",
    [
        *("/nothing", "//", "//livez", "/livez/", "/livez//", "/./livez", "/../livez"),
        *("/v1/../livez", "/%2e%2e/livez", "/%6civez", "/livez%00", "/livez%0a", "/LIVEZ"),
        *("/livez;a", "/v1/keys/", "/v1/keys//", "/v1/keys/a/b", "/v1/keys/..", "/v1/keys/%2e%2e"),
        *("/v1/keys/%2E.", "/v1/keys/.", "/static/index.html", "/index.html", "/app.js/../livez"),
        *("/v1/events/", "/__init__.py", "/..%2f..%2fetc/passwd", "/\\..\\livez"),
        *("http://localhost/livez", "/v1/keys/../keys"),
    ],
)
async def test_what_is_not_exactly_a_path_is_not_found(path):
    async with site(token="t" * 16) as subject:
        assert is_error(await subject.get(path), 404)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("path", ["/livez", "/v1/keys/a", "/nothing"])
async def test_other_methods_are_refused(method, path):
    async with site() as subject:
        reply = await subject.get(path, method)

        assert is_error(reply, 405)
        assert reply.headers["Allow"] == "GET, HEAD"


async def test_head_is_get_without_the_body():
    async with site() as subject:
        for path in ("/livez", "/v1/events?key=a", "/nothing", "/metrics"):
            got = await subject.get(path, "HEAD")
            assert got.body == b""
            assert got.status == (404 if path == "/nothing" else 200)


@pytest.mark.parametrize("headers", [{"Content_Length": "5"}, {"Transfer_Encoding": "chunked"}])
async def test_a_body_is_refused_unread_and_the_connection_closed(headers):
    async with site() as subject:
        reply = await subject.get("/livez", Connection="keep-alive", **headers)

        assert is_error(reply, 413)
        assert reply.headers["Connection"] == "close"


async def test_expectations_are_refused_as_everything_else():
    async with site() as subject:
        assert is_error(await subject.get("/livez", Expect="100-continue"), 417)
        assert is_error(await subject.get("/livez", Expect="miracles"), 417)


@pytest.mark.parametrize(
    "text",
    [
        b"no http\r\n\r\n",
        b"ODD /livez HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /li\x00vez HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: a\r\n bad: folded\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost : a\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET http://[::1 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_answered_as_an_error_and_not_logged(text, caplog):
    caplog.set_level(logging.DEBUG)
    async with site() as subject:
        answer = parsed(await subject.raw(text))

        assert answer.status in {400, 404}
        assert is_error(answer, answer.status)
        assert "Traceback" not in caplog.text


async def test_a_failure_tells_the_log_in_one_line_and_the_client_nothing(caplog):
    async with site() as subject:
        subject.member.failure = RuntimeError("a secret")
        caplog.clear()
        reply = await subject.get("/v1/keys/a-key%0AERROR%20forged?token=other")

    assert is_error(reply, 500)
    assert b"secret" not in reply.body
    (line,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert "/v1/keys/{key} failed: RuntimeError('a secret') in search" in line.getMessage()
    assert line.exc_info is None
    assert "other" not in line.getMessage()


async def test_while_it_starts_probes_answer_and_the_rest_says_so():
    async with site(starting=True) as subject:
        assert (await subject.get("/livez")).status == 200
        assert (await subject.get("/readyz")).json == {
            "status": "unready",
            "checks": {"service": "starting"},
        }
        assert (await subject.get("/version")).json["started_at"] is None
        assert is_error(await subject.get("/metrics"), 503)
        reply = await subject.get("/v1/keys")
        assert is_error(reply, 503)
        assert reply.headers["Retry-After"] == "1"


async def test_what_is_switched_off_is_not_there():
    async with site(http__query=False, http__metrics=False) as subject:
        for path in ("/v1/keys", "/v1/keys/a", "/v1/events", "/metrics", "/"):
            assert is_error(await subject.get(path), 404)
        assert (await subject.get("/livez")).status == 200
        assert not any(
            path.startswith(("/v1", "/metrics"))
            for path in (await subject.get("/openapi.json")).json["paths"]
        )


async def test_secrets_in_the_settings_are_stars():
    async with site(token=TOKEN) as subject:
        reply = await subject.get("/config", Authorization=f"Bearer {TOKEN}")

        assert reply.json["http"]["token"] == "**********"  # noqa: S105
        assert TOKEN.encode() not in reply.body
