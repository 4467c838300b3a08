"""One connection of a client through the proxy, and what may happen to its frames."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass, field
from enum import StrEnum

from tests.support.proxy import read_frame, split, write_frame

PRODUCE, FETCH = 0, 1
OFFSET_FETCH, FIND_COORDINATOR, JOIN_GROUP, HEARTBEAT = 9, 10, 11, 12
INIT_PRODUCER_ID, ADD_PARTITIONS, ADD_OFFSETS = 22, 24, 25
END_TXN, TXN_OFFSET_COMMIT = 26, 28


class Deed(StrEnum):
    """What is done to a frame."""

    LOSE_REQUEST = "lose request"
    """It never reaches the broker; the connection breaks."""
    LOSE_ANSWER = "lose answer"
    """The broker does what is asked; the connection breaks before its answer."""
    HOLD_REQUEST = "hold request"
    """The connection breaks at once, the request reaches the broker only later."""
    DELAY_REQUEST = "delay request"
    """It and all behind it on the connection are late."""
    DELAY_ANSWER = "delay answer"
    """Its answer, and all behind it, are late."""
    REPEAT_REQUEST = "repeat request"
    """It goes through, and reaches the broker once more later, from nowhere."""
    REFUSE = "refuse"
    """It never reaches the broker; an answer with an error is made up."""


@dataclass
class Rule:
    """What is to happen to requests of one kind.

    Attributes:
        api_key: of the request.
        deed: what is done.
        seconds: how late.
        answer: of `REFUSE`, what to answer to a request's frame.
        times: how often; then the rule is spent.
        skip: how many such requests go through first.
        client: of this client id alone; empty: of any.
        where: of requests whose bytes satisfy this alone.
        hits: how often it has happened.
    """

    api_key: int
    deed: Deed
    seconds: float = 0.0
    answer: Callable[[bytes], bytes] = field(default=bytes, repr=False)
    times: int = 1
    skip: int = 0
    client: str = ""
    where: Callable[[bytes], bool] = field(default=lambda _frame: True, repr=False)
    hits: int = 0

    def applies(self, request: "Request") -> bool:
        """Whether it is to happen to this request; counts."""
        if self.hits >= self.times or request.api_key != self.api_key:
            return False
        if self.client not in ("", request.client) or not self.where(request.frame):
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.hits += 1
        return True


@dataclass(frozen=True)
class Request:
    """A request's frame and the beginning of its header."""

    frame: bytes
    api_key: int
    correlation: int
    client: str

    @classmethod
    def of(cls, frame: bytes) -> "Request":
        """Read the header."""
        api_key, _version, correlation, size = struct.unpack_from(">hhih", frame)
        return cls(frame, api_key, correlation, frame[10 : 10 + max(size, 0)].decode())


@dataclass
class Weather:
    """What all connections of a proxy suffer.

    Attributes:
        calm: set unless nothing gets through, in either direction, though nothing breaks.
        delay_s: each frame is so late.
        bytes_per_s: how much gets through, in each direction; 0: all.
    """

    calm: asyncio.Event = field(default_factory=asyncio.Event)
    delay_s: float = 0.0
    bytes_per_s: float = 0.0

    def __post_init__(self) -> None:
        self.calm.set()

    async def endure(self, size: int) -> None:
        """Wait as long as a frame of this size takes."""
        await self.calm.wait()
        wait_s = self.delay_s + (size / self.bytes_per_s if self.bytes_per_s else 0.0)
        if wait_s:
            await asyncio.sleep(wait_s)


class Link:
    """A client's connection and the one to the broker behind it.

    Attributes:
        client: client id, known from the first request on.
        carried: api keys of the requests so far.
    """

    def __init__(
        self,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        broker: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        target: str,
        rules: list[Rule],
        weather: Weather,
        isolated: Collection[str],
    ) -> None:
        self._from_client, self._to_client = client
        self._from_broker, self._to_broker = broker
        self._target = target
        self._rules = rules
        self._weather = weather
        self._isolated = isolated
        self._own = Weather()
        self._answers: dict[int, Rule] = {}
        self._held = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self.client = ""
        self.carried: set[int] = set()

    async def carry(self) -> None:
        """Carry frames until either side closes."""
        pumps = [asyncio.create_task(each()) for each in (self._requests, self._responses)]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            reset(self._to_client)
            if not self._held:
                reset(self._to_broker)

    def cut(self) -> None:
        """Break it."""
        reset(self._to_client)
        reset(self._to_broker)

    def blackhole(self, on: bool) -> None:
        """Let nothing through on this one connection, in either direction."""
        if on:
            self._own.calm.clear()
        else:
            self._own.calm.set()

    async def _requests(self) -> None:
        while (frame := await read_frame(self._from_client)) is not None:
            request = Request.of(frame)
            self.client = request.client
            self.carried.add(request.api_key)
            if self.client in self._isolated:
                self.blackhole(on=True)
            await self._weather.endure(len(frame))
            await self._own.endure(len(frame))
            rule = next((each for each in self._rules if each.applies(request)), None)
            if rule is None:
                write_frame(self._to_broker, frame)
                continue
            if await self._request(rule, request):
                return

    async def _request(self, rule: Rule, request: Request) -> bool:
        """Do the deed; answers whether the connection is to break."""
        match rule.deed:
            case Deed.LOSE_REQUEST:
                return True
            case Deed.HOLD_REQUEST:
                self._later(self._deliver(request.frame, rule.seconds))
                return True
            case Deed.DELAY_REQUEST:
                await asyncio.sleep(rule.seconds)
            case Deed.REPEAT_REQUEST:
                self._later(self._repeat(request.frame, rule.seconds))
            case Deed.REFUSE:
                write_frame(self._to_client, rule.answer(request.frame))
                return False
            case Deed.LOSE_ANSWER | Deed.DELAY_ANSWER:
                self._answers[request.correlation] = rule
        write_frame(self._to_broker, request.frame)
        return False

    async def _responses(self) -> None:
        while (frame := await read_frame(self._from_broker)) is not None:
            await self._weather.endure(len(frame))
            await self._own.endure(len(frame))
            (correlation,) = struct.unpack_from(">i", frame)
            rule = self._answers.pop(correlation, None)
            if rule is not None and rule.deed is Deed.LOSE_ANSWER:
                return
            if rule is not None:
                await asyncio.sleep(rule.seconds)
            write_frame(self._to_client, frame)

    def _later(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, frame: bytes, seconds: float) -> None:
        """On the old connection: to the broker it is as if the network had been slow."""
        self._held += 1
        await asyncio.sleep(seconds)
        write_frame(self._to_broker, frame)
        with contextlib.suppress(ConnectionError):
            await self._to_broker.drain()
        await asyncio.sleep(1.0)  # a broker stops working on requests of a closed connection
        reset(self._to_broker)

    async def _repeat(self, frame: bytes, seconds: float) -> None:
        await asyncio.sleep(seconds)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            reader, writer = await asyncio.open_connection(*split(self._target))
            write_frame(writer, frame)
            await writer.drain()
            await asyncio.wait_for(read_frame(reader), 5.0)
            writer.close()


def reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST, as a broken connection looks."""
    raw = writer.get_extra_info("socket")
    if raw is not None and raw.fileno() >= 0:
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
