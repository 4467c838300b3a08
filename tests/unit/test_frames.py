"""Large frames between the socket and aiokafka, without a broker."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
import trustme
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.produce import ProduceRequest

from stream_ewma.kafka.frames import FrameReader, RawConnection, _Protocol, pieces

LARGE = 1 << 16


@asynccontextmanager
async def stream(*, tls: bool = False) -> AsyncIterator[tuple[FrameReader, asyncio.StreamWriter]]:
    """What one end writes, the other reads."""
    ours, theirs = tls_contexts() if tls else (None, None)
    loop = asyncio.get_running_loop()
    reader = FrameReader(LARGE, loop)
    accepted: asyncio.Future[asyncio.StreamWriter] = loop.create_future()
    server = await asyncio.start_server(
        lambda _reader, writer: accepted.set_result(writer), "127.0.0.1", 0, ssl=theirs
    )
    port = server.sockets[0].getsockname()[1]
    transport, _ = await loop.create_connection(
        lambda: _Protocol(loop.create_future(), reader, loop=loop), "127.0.0.1", port, ssl=ours
    )
    try:
        yield reader, await accepted
    finally:
        transport.close()
        (await accepted).close()
        server.close()


def tls_contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Of the end that reads and of the end that writes."""
    authority = trustme.CA()
    ours = ssl.create_default_context()
    authority.configure_trust(ours)
    theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(theirs)
    return ours, theirs


def some_bytes(size: int) -> bytes:
    return np.random.default_rng(size).bytes(size)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize("part", [1000, 100_000, 10_000_000])
async def test_frames_of_all_sizes_arrive_whole_and_in_order(part: int, tls: bool) -> None:
    sizes = [4, LARGE - 1, LARGE, 4, 3 * LARGE + 7, 1, 2_000_000, 5 * LARGE, 4]
    frames = [some_bytes(size) for size in sizes]
    everything = b"".join(frames)

    async def write(writer: asyncio.StreamWriter) -> None:
        for at in range(0, len(everything), part):
            writer.write(everything[at : at + part])
            await writer.drain()

    async with stream(tls=tls) as (reader, writer):
        writing = asyncio.create_task(write(writer))
        for frame in frames:
            assert bytes(await reader.readexactly(len(frame))) == frame
        await writing


async def test_what_is_large_is_received_in_its_own_place() -> None:
    async with stream() as (reader, writer):
        writer.write(some_bytes(4) + some_bytes(LARGE))

        assert isinstance(await reader.readexactly(4), bytes)
        assert isinstance(await reader.readexactly(LARGE), memoryview)


@pytest.mark.parametrize("sent", [0, 10, LARGE, 2 * LARGE])
async def test_a_stream_that_ends_within_a_frame_is_an_error(sent: int) -> None:
    async with stream() as (reader, writer):
        writer.write(some_bytes(sent))
        reading = asyncio.create_task(reader.readexactly(3 * LARGE))
        await writer.drain()
        writer.close()

        with pytest.raises(asyncio.IncompleteReadError):
            await reading
        assert reader.at_eof()


async def test_a_connection_that_breaks_within_a_frame_is_an_error() -> None:
    async with stream() as (reader, writer):
        writer.write(some_bytes(LARGE))
        reading = asyncio.create_task(reader.readexactly(3 * LARGE))
        await asyncio.sleep(0)
        reader.set_exception(ConnectionResetError())

        with pytest.raises(ConnectionResetError):
            await reading
        with pytest.raises(ConnectionResetError):
            await reader.readexactly(3 * LARGE)


async def reading_a_large_frame(size: int) -> tuple[FrameReader, "asyncio.Task[object]"]:
    """A reader that has received the first byte of a frame and waits for the others."""
    reader = FrameReader(LARGE, asyncio.get_running_loop())
    reading = asyncio.ensure_future(reader.readexactly(size))
    reader.get_buffer()[:1] = b"x"
    reader.buffer_updated(1)
    while len(reader.get_buffer()) != size - 1:  # noqa: ASYNC110  what is waited for sets no event
        await asyncio.sleep(0)
    return reader, reading


async def test_the_end_while_a_frame_is_received_is_an_error() -> None:
    reader, reading = await reading_a_large_frame(3 * LARGE)
    reader.feed_eof()

    with pytest.raises(asyncio.IncompleteReadError):
        await reading


async def test_a_break_while_a_frame_is_received_is_an_error() -> None:
    reader, reading = await reading_a_large_frame(3 * LARGE)
    reader.set_exception(ConnectionResetError())

    with pytest.raises(ConnectionResetError):
        await reading


async def test_a_break_just_behind_the_first_bytes_is_an_error() -> None:
    reader = FrameReader(LARGE, asyncio.get_running_loop())
    reading = asyncio.ensure_future(reader.readexactly(3 * LARGE))
    await asyncio.sleep(0)
    reader.feed_data(b"x")
    reader.set_exception(ConnectionResetError())

    with pytest.raises(ConnectionResetError):
        await reading


async def test_a_reader_given_up_takes_the_rest_of_the_frame_for_itself() -> None:
    async with stream() as (reader, writer):
        reading = asyncio.create_task(reader.readexactly(3 * LARGE))
        writer.write(some_bytes(LARGE))
        await writer.drain()
        reading.cancel()
        writer.write(some_bytes(2 * LARGE))
        writer.close()

        with pytest.raises(asyncio.CancelledError):
            await reading


def request(size: int, version: int, transactional_id: str | None = None) -> tuple[Any, Any]:
    """A produce request's header and body, with a small batch beside one of `size` bytes."""
    batches = [("out", [(3, memoryview(some_bytes(size))), (4, b"small")]), ("dlq", [(3, None)])]
    body = ProduceRequest(transactional_id, -1, 1000, batches).prepare({0: (version, version)})
    return body.build_request_header(correlation_id=7, client_id="me"), body


@pytest.mark.parametrize("size", [100, LARGE, 5 * LARGE])
@pytest.mark.parametrize("version", [of.API_VERSION for of in ProduceRequest._CLASSES])
def test_a_request_in_pieces_is_what_aiokafka_encodes(size: int, version: int) -> None:
    header, body = request(size, version, "id" if version > 3 else None)
    expected = header.encode() + body.encode()

    assert b"".join(pieces(header, body)) == len(expected).to_bytes(4, "big") + expected


def test_a_batch_is_written_as_it_stands_but_for_its_header() -> None:
    batch = bytearray(some_bytes(LARGE))
    body = ProduceRequest(None, -1, 1000, [("out", [(0, memoryview(batch))])]).prepare({0: (7, 7)})
    written = pieces(body.build_request_header(correlation_id=1, client_id="me"), body)

    batch[:61] = bytes(61)  # as when it is sent again by another producer
    views = [piece for piece in written if isinstance(piece, memoryview)]
    assert [view.obj is batch for view in views] == [True]
    assert some_bytes(LARGE)[:61] in b"".join(written)


class Writer:
    """Stands in for a stream writer; says no when it is broken."""

    def __init__(self, *, broken: bool = False) -> None:
        self.written = b""
        self.broken = broken

    def write(self, data: bytes) -> None:
        if self.broken:
            raise BrokenPipeError
        self.written += data

    def close(self) -> None: ...


class Ended:
    def done(self) -> bool:
        return True


def connection(writer: Writer | None) -> RawConnection:
    subject = RawConnection("nowhere", 1)
    subject._writer, subject._read_task = writer, Ended()
    subject._versions = {0: (7, 7), 1: (11, 11), 3: (1, 1)}
    return subject


async def test_a_broken_connection_is_closed_and_told() -> None:
    subject = connection(Writer(broken=True))
    subject._reader = FrameReader(LARGE, asyncio.get_running_loop())

    with pytest.raises(KafkaConnectionError, match="broken"):
        subject.send(ProduceRequest(None, -1, 1000, [("out", [(0, some_bytes(LARGE))])]))

    assert subject._writer is None
    with pytest.raises(KafkaConnectionError, match="No connection"):
        subject.send(ProduceRequest(None, -1, 1000, []))


async def test_the_records_of_a_large_fetch_response_are_views_of_it() -> None:
    records = some_bytes(2 * LARGE)
    subject = connection(Writer())
    answer = subject.send(FetchRequest(1, 1, 1, 1, [("in", [(0, 5, 1)])]))
    struct = subject._requests[0][1].RESPONSE_TYPE
    topics = [("in", [(0, 0, 9, 9, 0, [], -1, records), (1, 0, 9, 9, 0, None, -1, b"few")])]
    frame = (1).to_bytes(4, "big") + struct(0, 0, 0, topics).encode()

    subject._handle_frame(memoryview(frame))

    ((_, [(*_, large), (*_, small)]),) = (await answer).topics
    assert large.obj is frame
    assert large == records
    assert small == b"few"


async def test_any_other_large_response_is_read_as_bytes() -> None:
    subject = connection(Writer())
    answer = subject.send(MetadataRequest([]))
    struct = subject._requests[0][1].RESPONSE_TYPE
    topics = [(0, "t" * 1000, False, [])] * 100
    frame = (1).to_bytes(4, "big") + struct([], 0, topics).encode()

    subject._handle_frame(memoryview(frame))

    assert len((await answer).topics) == 100
