"""A member on paper behind the real HTTP server, and what one sends it."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from stream_ewma.engine.dead_letters import Reason
from stream_ewma.engine.sample import KeyState, Rejected, Sample, Watched
from stream_ewma.kafka.kept import partition_of
from stream_ewma.kafka.partition import Partition
from stream_ewma.payloads.columns import Kind
from stream_ewma.service.counters import Counters
from stream_ewma.service.overview import FoundKey, FoundPage, PartitionStatus, Phase, Searched
from stream_ewma.service.pipeline import NotThereError
from stream_ewma.service.watching import Watchers
from stream_ewma.settings import Settings, load_settings
from stream_ewma.web.server import serving
from stream_ewma.web.window import Window

TOPIC = "air"


@dataclass
class _Partitions:
    assigned_partitions: frozenset[Partition]
    commit_interval_s: float = 0.1


@dataclass
class _Opening:
    last_restore_s: float | None = None


class Member:
    """Stands in for the overview of a running member.

    Attributes:
        keys: the state of each key, by partition.
        owned: the numbers of its partitions of `TOPIC`.
        opening_numbers: those of them that are being taken over.
        leaving_numbers: those of them that are gone when they are asked.
        count: partitions of the topic.
        owners: addresses by number.
        failure: raised by every question about keys.
    """

    is_stopping = False
    standby_count = 0
    started_at = 1_700_000_000.5

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.counters = Counters()
        self.wanted: list[Watched] = []
        self.watchers = Watchers(self.wanted.append)
        self.keys: dict[int, dict[bytes, dict[str, Any]]] = {}
        self.owned: set[int] = {0}
        self.opening_numbers: set[int] = set()
        self.leaving_numbers: set[int] = set()
        self.count = 1
        self.owners: dict[int, str] = {}
        self.failure: Exception | None = None
        self.failing: dict[str, str] = {}
        self.opening = _Opening()
        self.advertised: str | None = None

    @property
    def partitions(self) -> _Partitions:
        return _Partitions(frozenset(Partition(TOPIC, number) for number in self.owned))

    def status(self) -> list[PartitionStatus]:
        return [
            PartitionStatus(Partition(TOPIC, n), Phase.OPENING)
            if n in self.opening_numbers
            else PartitionStatus(
                Partition(TOPIC, n), Phase.RUNNING, 10, 9, 12, 1, 100, 1_700_000_000_000, 1.25
            )
            for n in sorted(self.owned)
        ]

    def unready(self) -> dict[str, str]:
        return self.failing

    def running_partitions(self) -> list[Partition]:
        return [Partition(TOPIC, n) for n in sorted(self.owned - self.opening_numbers)]

    async def search(self, key: bytes) -> Searched:
        if self.failure is not None:
            raise self.failure
        looked = self.running_partitions()
        found = [
            self._found(partition, key)
            for partition in looked
            if key in self.keys.get(partition.number, {})
        ]
        return Searched(found, frozenset(looked))

    async def page(self, at: Partition, prefix: bytes, cursor: int, limit: int) -> FoundPage:
        if self.failure is not None:
            raise self.failure
        if at not in self.running_partitions() or at.number in self.leaving_numbers:
            raise NotThereError
        keys = [key for key in self.keys.get(at.number, {}) if key.startswith(prefix)][cursor:]
        after = cursor + limit if len(keys) > limit else None
        found = [self._found(at, key) for key in keys[:limit]]
        return FoundPage(found, after, len(self.keys.get(at.number, {})))

    def _found(self, partition: Partition, key: bytes) -> FoundKey:
        state = KeyState(key, 1_700_000_000_000, self.keys[partition.number][key])
        return FoundKey(partition, state, 10, is_committed=True)

    def homes(self, key: bytes) -> list[Partition]:
        return [Partition(TOPIC, partition_of(key, self.count))]

    def owner(self, partition: Partition) -> str | None:
        return self.owners.get(partition.number)

    def advertise(self, address: str) -> None:
        self.advertised = address


def settings_of(token: str | None = None, **overrides: object) -> Settings:
    """Settings that listen on any port; `http__hosts` is http.hosts."""
    named = {name.replace("__", "."): value for name, value in overrides.items()}
    return load_settings(
        overrides={"input.topics": [TOPIC], "smoothing.alpha": 0.5, "http.port": 0, **named},
        env={} if token is None else {"STREAM_EWMA_HTTP__TOKEN": token},
    )


def sample(offset: int = 7, key: bytes = b"pump", raw: bytes | None = b"1.5") -> Sample:
    return Sample(offset, key, 1_700_000_000_000, Kind(0), raw, {"value": 1.5}, {"ewma": 1.25})


def rejected(preview: bytes | None = b"no number") -> Rejected:
    return Rejected(8, 1_700_000_000_000, b"pump", Reason.NOT_NUMERIC, preview, 9)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@dataclass
class Reply:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    cookies: list[str] = field(default_factory=list)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Site:
    """A served member, asked byte by byte.

    Attributes:
        window: what the handlers look through.
        member: behind it.
    """

    def __init__(self, window: Window, member: Member) -> None:
        self.window = window
        self.member = member
        assert window.address is not None
        self.host, port = window.address.rsplit(":", 1)
        self.port = int(port)
        if window.settings.http.port:
            self.host, self.port = "127.0.0.1", window.settings.http.port

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(self.host, self.port)

    async def raw(self, text: bytes) -> bytes:
        """All that comes back for these bytes until the server closes."""
        reader, writer = await self.connect()
        writer.write(text)
        try:
            async with asyncio.timeout(30):
                return await reader.read()
        except ConnectionResetError:
            return b""
        finally:
            writer.close()

    async def get(self, path: str, method: str = "GET", **headers: str) -> Reply:
        """One request on a connection of its own; `X_Y` is the header X-Y."""
        given = {"Host": f"{self.host}:{self.port}", "Connection": "close"}
        given |= {name.replace("_", "-"): text for name, text in headers.items()}
        lines = [f"{method} {path} HTTP/1.1", *(f"{n}: {t}" for n, t in given.items()), "", ""]
        return parsed(await self.raw("\r\n".join(lines).encode("utf-8", "surrogateescape")))


def parsed(answer: bytes) -> Reply:
    """A whole answer."""
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    pairs = [line.split(": ", 1) for line in lines]
    cookies = [text for name, text in pairs if name.lower() == "set-cookie"]
    return Reply(int(first.split()[1]), {n.title(): text for n, text in pairs}, body, cookies)


@asynccontextmanager
async def site(*, starting: bool = False, **overrides: object) -> AsyncIterator[Site]:
    """A member that is served, on a port of its own."""
    settings = settings_of(**overrides)
    async with serving(settings) as window:
        member = Member(settings)
        if not starting:
            window.show(member)
        yield Site(window, member)
