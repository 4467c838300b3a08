"""Tokens, sessions, and names that browsers were sent to."""

import pytest

from stream_ewma.web import access
from tests.support.window import free_port, site

TOKEN = "a-token-of-16-characters"  # noqa: S105
BEARER = f"Bearer {TOKEN}"
OPEN = ("/livez", "/healthz", "/readyz", "/metrics", "/version")
CLOSED = ("/", "/config", "/openapi.json", "/v1/keys", "/v1/keys/a", "/v1/partitions", "/v1/events")


@pytest.fixture
async def subject():
    async with site(token=TOKEN) as found:
        yield found


@pytest.mark.parametrize("path", OPEN)
async def test_probes_and_metrics_need_no_token(subject, path):
    assert (await subject.get(path)).status == 200


@pytest.mark.parametrize("path", CLOSED)
async def test_everything_else_does(subject, path):
    reply = await subject.get(path)

    assert reply.status == 401
    assert reply.headers["Www-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "given",
    [
        *("", "Bearer", "Bearer ", f"Basic {TOKEN}", TOKEN, f"{BEARER}x", f"Bearer {TOKEN[:-1]}"),
        *("Bearer \udcff\udcfe", f"Bearer {TOKEN.upper()}", "Bearer " + "a" * 4000),
    ],
)
async def test_a_wrong_token_is_refused(subject, given):
    assert (await subject.get("/config", Authorization=given)).status == 401


@pytest.mark.parametrize("given", [BEARER, f"bearer {TOKEN}", f"BEARER  {TOKEN}"])
async def test_the_right_one_opens(subject, given):
    assert (await subject.get("/config", Authorization=given)).status == 200


async def test_a_browser_trades_the_token_for_a_cookie(subject):
    entered = await subject.get(f"/?token={TOKEN}")

    assert (entered.status, entered.headers["Location"]) == (303, "/")
    (cookie,) = entered.cookies
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert "Path=/" in cookie
    assert TOKEN not in cookie
    assert entered.body == b""

    session = cookie.partition(";")[0]
    assert (await subject.get("/", Cookie=session)).status == 200
    assert (await subject.get("/v1/keys", Cookie=f"other=1; {session}")).status == 200
    assert (await subject.get("/v1/keys", Cookie=session[:-1])).status == 401
    assert (await subject.get("/v1/keys", Cookie="stream_ewma_0=")).status == 401


async def test_a_session_ends_with_the_process(subject):
    cookie = (await subject.get(f"/?token={TOKEN}")).cookies[0].partition(";")[0]
    async with site(token=TOKEN) as another:
        assert (await another.get("/", Cookie=cookie)).status == 401


@pytest.mark.parametrize(
    "path", ["/?token=wrong", "/?token=", f"/config?token={TOKEN}", "/?token=%ff"]
)
async def test_the_address_bar_opens_nothing_else(subject, path):
    reply = await subject.get(path)

    assert reply.status == 401
    assert reply.cookies == []


async def test_without_a_token_the_address_may_have_one():
    async with site() as subject:
        assert (await subject.get("/?token=x")).status == 200


async def test_tokens_are_compared_in_constant_time(subject, monkeypatch):
    compared = []
    real = access.hmac.compare_digest
    monkeypatch.setattr(
        access.hmac, "compare_digest", lambda a, b: compared.append((a, b)) or real(a, b)
    )

    await subject.get("/config", Authorization="Bearer wrong")
    await subject.get("/?token=guess", Cookie="stream_ewma_0=guess")

    assert (b"wrong", TOKEN.encode()) in compared
    assert [a for a, _ in compared].count(b"guess") == 2


# -- names ------------------------------------------------------------------------------------


@pytest.fixture
async def named():
    names = {"http__hosts": ["ewma.example.org"], "http__advertised": "pod-1.ewma:9464"}
    async with site(http__port=free_port(), **names) as found:
        yield found


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "localhost:9464", "LOCALHOST:1", "127.0.0.1", "127.0.0.1:80", "[::1]"),
        *("[::1]:9464", "10.1.2.3:9464", "ewma.example.org", "Ewma.Example.Org.:443"),
        *("pod-1.ewma", "pod-1.ewma:9464"),
    ],
)
async def test_own_names_and_addresses_are_answered(named, host):
    assert (await named.get("/v1/keys", Host=host)).status == 200


@pytest.mark.parametrize(
    "host",
    [
        *(
            "evil.example.org",
            "localhost.evil.org",
            "ewma.example.org.evil.org",
            "127.0.0.1.nip.io",
        ),
        *("", "evil.org:9464", "localhost@evil.org", "0x7f.1", "[::1].evil.org", "pod-2.ewma"),
        "127.0.0.1:80:evil.org",
    ],
)
async def test_a_name_that_was_made_to_lead_here_is_not(named, host):
    reply = await named.get("/v1/keys", Host=host)

    assert reply.status in {400, 403}
    assert (await named.get("/metrics", Host=host)).status in {200, 400}


async def test_probes_do_not_mind_names(named):
    for path in OPEN:
        assert (await named.get(path, Host="stream-ewma.monitoring.svc")).status == 200


async def test_no_host_or_two_are_refused(named):
    none = await named.raw(b"GET /config HTTP/1.1\r\nConnection: close\r\n\r\n")
    two = await named.raw(
        b"GET /config HTTP/1.1\r\nHost: localhost\r\nHost: evil.org\r\nConnection: close\r\n\r\n"
    )

    assert none.split()[1] in {b"400", b"403"}
    assert two.split()[1] in {b"400", b"403"}


async def test_who_has_the_token_may_use_any_name(subject):
    assert (await subject.get("/config", Host="pod-9", Authorization=BEARER)).status == 200
    cookie = (await subject.get(f"/?token={TOKEN}")).cookies[0].partition(";")[0]
    assert (await subject.get("/config", Host="evil.org", Cookie=cookie)).status == 403
