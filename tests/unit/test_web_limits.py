"""Connections: time for a request, its size, how many at once, and who makes room."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from stream_ewma.kafka.partition import Partition
from stream_ewma.service.watching import Seen
from stream_ewma.web import connections
from stream_ewma.web.connections import MOST_CONNECTIONS, MOST_HEAD_BYTES
from tests.support.window import Site, parsed, sample, site

REQUEST = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture
async def subject(monkeypatch) -> AsyncIterator[Site]:
    monkeypatch.setattr(connections, "REQUEST_S", 0.3)
    async with site() as found:
        yield found


async def is_closed(reader: asyncio.StreamReader, within_s: float) -> bool:
    """Whether the server closes within that time; whatever it says is read away."""
    try:
        async with asyncio.timeout(within_s):
            with suppress(ConnectionResetError):
                while await reader.read(1 << 16):
                    pass
    except TimeoutError:
        return False
    return True


async def answer(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(20):
        return await reader.readuntil(b"}\n")


@asynccontextmanager
async def connected(subject: Site, count: int) -> AsyncIterator[list]:
    opened = [await subject.connect() for _ in range(count)]
    try:
        yield opened
    finally:
        for _, writer in opened:
            writer.close()


async def test_five_seconds_and_256_connections_and_8_kib():
    assert connections.REQUEST_S == 5
    assert MOST_CONNECTIONS == 256
    assert MOST_HEAD_BYTES == 8192


@pytest.mark.parametrize("begun", [b"", b"G", REQUEST[:-2]])
async def test_who_sends_no_whole_request_in_time_is_closed(subject, begun):
    async with connected(subject, 1) as [(reader, writer)]:
        writer.write(begun)

        assert await is_closed(reader, 20)


async def test_bytes_that_trickle_in_gain_no_time(subject):
    async with connected(subject, 1) as [(reader, writer)]:
        closing = asyncio.create_task(is_closed(reader, 20))
        for byte in REQUEST[:-1]:
            writer.write(bytes([byte]))
            await asyncio.sleep(0.05)
            if closing.done():
                break

        assert closing.done()
        assert await closing


async def test_a_second_request_that_is_begun_has_as_long(subject):
    async with connected(subject, 1) as [(reader, writer)]:
        writer.write(REQUEST)
        await answer(reader)
        await asyncio.sleep(0.6)  # between requests there is more time
        writer.write(REQUEST)
        await answer(reader)
        writer.write(b"GET")

        assert await is_closed(reader, 20)


async def test_whole_requests_in_any_pieces_are_answered(subject):
    for size in (1, 7, len(REQUEST) + 3):
        text = REQUEST * 3
        async with connected(subject, 1) as [(reader, writer)]:
            for at in range(0, len(text), size):
                writer.write(text[at : at + size])
                await writer.drain()
                await asyncio.sleep(0)
            for _ in range(3):
                assert b"200 OK" in await answer(reader)


@pytest.mark.parametrize(
    "text",
    [
        b"GET /livez HTTP/1.1\r\nX: " + b"a" * MOST_HEAD_BYTES,
        b"GET /" + b"a" * MOST_HEAD_BYTES,
        b"GET /livez HTTP/1.1\r\n" + b"X: a\r\n" * 2000 + b"\r\n",
        b"a" * 100_000,
        REQUEST.replace(b"\r\n\r\n", b"\r\nX: " + b"a" * MOST_HEAD_BYTES + b"\r\n\r\n"),
    ],
    ids=range(5),
)
async def test_a_head_beyond_8_kib_is_refused(text):
    async with site() as subject:
        reply = parsed(await subject.raw(text))

        assert reply.status == 431
        assert reply.json == {"error": "request header fields too large"}
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert reply.headers["Connection"] == "close"


async def test_up_to_8_kib_it_is_answered():
    async with site() as subject:
        reply = await subject.get("/livez", X="a" * 7900)

        assert reply.status == 200


async def test_a_thousand_idle_sockets_leave_room_for_a_probe():
    async with site() as subject, connected(subject, 1000) as idle:
        assert (await subject.get("/readyz")).status == 200
        reply = await subject.get("/readyz")
        assert reply.status == 200
        closed = [await is_closed(reader, 0.01) for reader, _ in idle[:500]]
        assert all(closed)  # the oldest have made room


async def test_who_was_never_answered_goes_before_who_was(monkeypatch):
    monkeypatch.setattr(connections.Connections.__init__, "__defaults__", (3,))
    async with site() as subject, connected(subject, 1) as [(reader, writer)]:
        writer.write(REQUEST)
        await answer(reader)
        async with connected(subject, 6):
            writer.write(REQUEST)

            assert b"200 OK" in await answer(reader)


async def test_where_all_are_being_answered_another_one_is_closed_at_once(monkeypatch):
    monkeypatch.setattr(connections.Connections.__init__, "__defaults__", (3,))
    events = b"GET /v1/events?key=a HTTP/1.1\r\nHost: localhost\r\n\r\n"
    async with site() as subject, connected(subject, 3) as watching:
        for reader, writer in watching:
            writer.write(events)
            async with asyncio.timeout(20):
                await reader.readuntil(b"event: status")
        async with connected(subject, 1) as [(refused, _)]:
            assert await is_closed(refused, 20)
        watching[0][1].close()
        async with asyncio.timeout(20):
            while not (  # noqa: ASYNC110  what is waited for sets no event
                await subject.raw(REQUEST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            ):
                await asyncio.sleep(0.01)


async def test_a_client_that_takes_nothing_is_closed_in_the_end(monkeypatch):
    monkeypatch.setattr(connections, "_STUCK_S", 0.3)
    async with site() as subject, connected(subject, 1) as [(reader, writer)]:
        writer.write(b"GET /v1/events?key=pump HTTP/1.1\r\nHost: localhost\r\n\r\n")
        async with asyncio.timeout(20):
            await reader.readuntil(b"event: status")
        reader._transport.pause_reading()
        (watcher,) = subject.member.watchers._watchers
        seen = Seen(Partition("air", 0), sample(raw=b"x" * 10_000))
        async with asyncio.timeout(60):
            while watcher in subject.member.watchers._watchers:
                for _ in range(2000):
                    watcher.offer(seen)
                await asyncio.sleep(0.05)

        assert watcher.missed > 0
