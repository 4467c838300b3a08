"""Keys: what is answered, in which writing, and where others have them."""

import asyncio
from base64 import urlsafe_b64encode

import pytest

from stream_ewma.kafka.kept import partition_of
from stream_ewma.kafka.partition import Partition
from stream_ewma.service.watching import SeenRejected
from stream_ewma.web import keys as module
from tests.support.window import free_port, rejected, site

TOKEN = "a-token-of-16-characters"  # noqa: S105
SCRIPT = b"<script>alert(1)</script>"
ODD = [
    SCRIPT,
    b"a/b",
    b"..",
    b"\xff\x00\x01",
    b"\\xff",
    b"100%",
    b"a+b c",
    "größe".encode(),
    b"{}?#",
]


def escaped(key: bytes) -> str:
    return "".join(f"%{byte:02X}" for byte in key)


def base64(key: bytes) -> str:
    return urlsafe_b64encode(key).decode()


@pytest.fixture
async def subject():
    async with site() as found:
        found.member.keys = {0: {key: {"ewma": float(i)} for i, key in enumerate(ODD)}}
        yield found


@pytest.mark.parametrize("key", [key for key in ODD if key not in {b"..", b"\\xff"}], ids=repr)
async def test_any_key_can_be_asked_for_by_its_bytes(subject, key):
    reply = await subject.get(f"/v1/keys/{escaped(key)}")

    assert reply.status == 200
    assert reply.json["ewma"] == ODD.index(key)


@pytest.mark.parametrize("key", ODD, ids=repr)
async def test_any_key_can_be_asked_for_in_base64(subject, key):
    for written in (base64(key), base64(key).rstrip("=")):
        reply = await subject.get(f"/v1/keys/{written}?encoding=base64")
        assert reply.status == 200
        assert reply.json["key"] == base64(key)
        assert reply.json["ewma"] == ODD.index(key)


async def test_what_is_shown_can_be_asked_for_again(subject):
    for shown in (await subject.get("/v1/keys")).json["keys"]:
        if shown["key"] != "..":
            reply = await subject.get(f"/v1/keys/{escaped(shown['key'].encode())}")
            assert reply.json["key"] == shown["key"]


async def test_a_page_can_be_in_base64_too(subject):
    page = (await subject.get(f"/v1/keys?encoding=base64&prefix={base64(b'a')}")).json["keys"]

    assert [shown["key"] for shown in page] == [base64(b"a/b"), base64(b"a+b c")]


async def test_keys_and_payloads_come_out_as_plain_json_text(subject):
    for path in (f"/v1/keys/{escaped(SCRIPT)}", "/v1/keys"):
        reply = await subject.get(path)
        assert reply.headers["Content-Type"] == "application/json"
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert reply.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert SCRIPT in reply.body  # as text, which no browser takes for anything else
    assert all(byte >= 0x20 or byte == 0x0A for byte in (await subject.get("/v1/keys")).body)


async def test_control_characters_of_payloads_stay_in_their_line_of_events(subject):
    preview = b"\r\n\r\nevent: sample\ndata: {}\x00\x1b[31m\xff"
    subject.member.watchers.rejected.append(SeenRejected(Partition("air", 0), rejected(preview)))
    reader, writer = await subject.connect()
    writer.write(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    text = await reader.readuntil(b"event: status")
    writer.close()

    assert b"Content-Type: text/event-stream" in head
    assert b"X-Content-Type-Options: nosniff" in head
    assert text.count(b"\nevent: ") == 2  # `rejected` and `status`
    assert b"\x00" not in text
    assert b"\x1b" not in text
    assert rb"\r\n\r\nevent: sample\ndata: {}" in text


@pytest.mark.parametrize(
    "query",
    [
        *("limit=0", "limit=1001", "limit=a", "limit=-1", "limit=1e3", "limit=" + "0" * 4000 + "1"),
        *("limit=", "limit=%D9%A3", "encoding=hex", "encoding=base64&prefix=%", "cursor=a"),
        *("cursor=a:0", "cursor=:0:0", "cursor=a:-1:0", "cursor=a:0:" + "9" * 19, "cursor=a:b:c"),
    ],
)
async def test_what_cannot_be_meant_is_refused(subject, query):
    reply = await subject.get(f"/v1/keys?{query}")

    assert reply.status == 400
    assert reply.json.keys() == {"error"}


@pytest.mark.parametrize(
    "query",
    [
        "others=101",
        "others=a",
        "others=" + "0" * 4000 + "1",
        "&".join(f"key={n}" for n in range(201)),
    ],
)
async def test_who_wants_to_watch_too_much_is_refused(subject, query):
    assert (await subject.get(f"/v1/events?{query}")).status == 400


async def test_too_many_watchers_are_refused(subject, monkeypatch):
    monkeypatch.setattr("stream_ewma.service.watching.MOST_WATCHERS", 0)
    reply = await subject.get("/v1/events?key=a")

    assert (reply.status, reply.json) == (503, {"error": "too many are watching"})


async def test_pages_lead_through_all_partitions():
    async with site() as subject:
        subject.member.owned, subject.member.count = {0, 2}, 3
        subject.member.keys = {n: {f"{n}-{i}".encode(): {} for i in range(5)} for n in (0, 2)}
        found, cursor = [], ""
        while cursor is not None:
            page = (await subject.get(f"/v1/keys?limit=2&cursor={cursor}")).json
            found += [shown["key"] for shown in page["keys"]]
            cursor = page["cursor"]

        assert sorted(found) == sorted(f"{n}-{i}" for n in (0, 2) for i in range(5))


async def test_a_page_is_filled_from_one_partition_after_the_other(monkeypatch):
    async with site() as subject:
        subject.member.owned = set(range(40))
        subject.member.keys = {n: {b"k%d" % n: {}} for n in (20, 30, 39)}

        page = (await subject.get("/v1/keys?limit=2")).json
        assert ([shown["key"] for shown in page["keys"]], page["cursor"]) == (
            ["k20", "k30"],
            "air:31:0",
        )
        page = (await subject.get("/v1/keys?cursor=air:31:0")).json
        assert ([shown["key"] for shown in page["keys"]], page["cursor"]) == (["k39"], None)
        assert (await subject.get("/v1/keys?prefix=z")).json == {"keys": [], "cursor": "air:32:0"}

        monkeypatch.setattr(module, "SCAN_EFFORT", 1)  # what is looked at is bounded, too
        page = (await subject.get("/v1/keys?prefix=z")).json
        assert page == {"keys": [], "cursor": "air:21:0"}


async def test_a_partition_that_leaves_meanwhile_is_the_next_requests():
    async with site() as subject:
        subject.member.owned = {0, 1}
        subject.member.keys = {0: {b"a": {}}}
        subject.member.leaving_numbers = {1}

        assert (await subject.get("/v1/keys")).json["cursor"] == "air:1:0"
        assert (await subject.get("/v1/keys?cursor=air:1:0")).status == 503


async def test_after_a_rebalance_a_cursor_goes_on_with_what_is_left():
    async with site() as subject:
        subject.member.owned = {2}
        subject.member.keys = {2: {b"a": {}}}

        assert (await subject.get("/v1/keys?cursor=air:1:7")).json["keys"][0]["key"] == "a"
        assert (await subject.get("/v1/keys?cursor=air:3:0")).json == {"keys": [], "cursor": None}


# -- where a key is ---------------------------------------------------------------------------

HERE = next(f"k{n}" for n in range(99) if partition_of(f"k{n}".encode(), 2) == 0)
THERE = next(f"k{n}" for n in range(99) if partition_of(f"k{n}".encode(), 2) == 1)


@pytest.fixture
async def two():
    """Two members with one of two partitions each; the first knows the second's address."""
    async with site(token=TOKEN) as first, site(token=TOKEN) as second:
        for number, each in enumerate((first, second)):
            each.member.count, each.member.owned = 2, {number}
            each.member.owners = {0: first.window.address, 1: second.window.address}
        second.member.keys = {1: {THERE.encode(): {"ewma": 2.5}}}
        yield first, second


async def asked(subject, path, **headers):
    return await subject.get(path, Authorization=f"Bearer {TOKEN}", **headers)


async def test_a_key_of_an_own_partition_that_is_not_there_is_not_found(two):
    assert (await asked(two[0], f"/v1/keys/{HERE}")).status == 404
    assert (await asked(two[0], f"/v1/keys/{HERE}?forward=1")).status == 404


async def test_a_key_of_another_member_leads_there(two):
    reply = await asked(two[0], f"/v1/keys/{THERE}")

    assert reply.status == 421
    assert reply.json == {
        "error": "another member has the partition of this key",
        "topic": "air",
        "partition": 1,
        "owned": [0],
        "owner": two[1].window.address,
    }


async def test_an_owner_that_is_not_known_is_null(two):
    two[0].member.owners = {}

    for query in ("", "?forward=1"):
        reply = await asked(two[0], f"/v1/keys/{THERE}{query}")
        assert (reply.status, reply.json["owner"]) == (421, None)


async def test_the_owner_is_asked_where_that_is_wanted(two):
    reply = await asked(two[0], f"/v1/keys/{THERE}?forward=1")

    assert reply.status == 200
    assert (reply.json["ewma"], reply.json["partition"]) == (2.5, 1)
    assert reply.headers["X-Content-Type-Options"] == "nosniff"


async def test_what_the_owner_has_not_is_not_found_there(two):
    two[1].member.keys = {}

    assert (await asked(two[0], f"/v1/keys/{THERE}?forward=1")).status == 404


async def test_odd_keys_reach_the_owner_as_they_are(two):
    for key in ODD:
        two[1].member.keys[1][key] = {"ewma": 1.0}
        two[0].member.homes = lambda _key: [Partition("air", 1)]
        reply = await asked(two[0], f"/v1/keys/{base64(key)}?encoding=base64&forward=1")
        assert (reply.status, reply.json["key"]) == (200, base64(key))
        if key != b".." and not key.startswith(b"\\"):
            reply = await asked(two[0], f"/v1/keys/{escaped(key)}?forward=1")
            assert reply.status == 200


async def test_two_members_that_take_each_other_for_the_owner_do_not_play_ball(two):
    two[1].member.owned = {5}
    two[1].member.owners = {1: two[0].window.address}
    asked_of_first = []
    two[0].member.search = counting(two[0].member.search, asked_of_first)

    reply = await asked(two[0], f"/v1/keys/{THERE}?forward=1")

    assert reply.status == 421
    assert len(asked_of_first) == 1


def counting(search, calls):
    async def counted(key):
        calls.append(key)
        return await search(key)

    return counted


async def test_a_request_that_was_forwarded_is_not_forwarded_again(two):
    reply = await asked(two[0], f"/v1/keys/{THERE}?forward=1", X_Stream_Ewma_Forwarded="1")

    assert reply.status == 421


async def test_a_member_does_not_ask_itself(two):
    two[0].member.owners = {1: two[0].window.address}

    assert (await asked(two[0], f"/v1/keys/{THERE}?forward=1")).status == 421


async def test_an_owner_that_does_not_answer_is_a_bad_gateway(two):
    two[0].member.owners[1] = f"127.0.0.1:{free_port()}"
    reply = await asked(two[0], f"/v1/keys/{THERE}?forward=1")

    assert reply.status == 502
    assert reply.json["error"].endswith("has the partition of this key, and does not answer")


def address_of(server):
    return f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n[" + b"1," * (1 << 20),
    ],
)
async def test_what_another_program_answers_there_is_not_handed_on(two, said):
    async def talk(reader, writer):
        assert f"Bearer {TOKEN}".encode() in await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        two[0].member.owners[1] = address_of(server)
        reply = await asked(two[0], f"/v1/keys/{THERE}?forward=1")

    assert reply.status == 502


async def test_an_owner_that_is_silent_is_waited_for_two_seconds(two):
    async def talk(reader, writer):
        await reader.read()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        two[0].member.owners[1] = address_of(server)
        began = asyncio.get_running_loop().time()
        reply = await asked(two[0], f"/v1/keys/{THERE}?forward=1")

    assert reply.status == 502
    assert 1.9 < asyncio.get_running_loop().time() - began < 20


async def test_a_partition_that_is_being_taken_over_says_nothing_about_its_keys(two):
    two[1].member.opening_numbers = {1}

    for path in (f"/v1/keys/{THERE}", f"/v1/keys/{THERE}?forward=1"):
        reply = await asked(two[1], path)
        assert reply.status == 503
        assert reply.json == {"error": "air-1 is being taken over"}
        assert reply.headers["Retry-After"] == "1"
    assert (await asked(two[0], f"/v1/keys/{THERE}?forward=1")).status == 503


async def test_a_member_tells_where_it_answers():
    async with site() as subject:
        assert subject.member.advertised == f"127.0.0.1:{subject.port}"
        assert subject.port != 0
    async with site(http__advertised="pod-1.ewma:9464") as subject:
        assert subject.member.advertised == "pod-1.ewma:9464"
