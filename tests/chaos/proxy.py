"""A TCP proxy in front of one broker: the network between it and the processes under test."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, TypeVar

from tests.support.proxy import READ_BUFFER, ThreadedServer, split

from .links import Deed, Link, Rule, Weather, reset

T = TypeVar("T")


class Proxy(ThreadedServer):
    """Carries connections, and breaks or slows them as it is told from other threads.

    Args:
        listen: `host:port` that the broker tells its clients.
        target: `host:port` where it really listens.
    """

    def __init__(self, listen: str, target: str) -> None:
        super().__init__(listen)
        self._target = target
        self._weather: Weather | None = None
        self._refuses = False
        self._rules: list[Rule] = []
        self._links: set[Link] = set()
        self._isolated: set[str] = set()

    @property
    def link_count(self) -> int:
        """Open connections."""
        return len(self._links)

    def cut(self, client: str = "", *, carried: int | None = None) -> int:
        """Break the connections of a client, all if it is not named; answers how many."""

        def work() -> int:
            found = self._found(client, carried)
            for link in found:
                link.cut()
            return len(found)

        return self._do(work)

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Break all connections and refuse new ones meanwhile."""
        self._do(lambda: setattr(self, "_refuses", True))
        self.cut()
        try:
            yield
        finally:
            self._do(lambda: setattr(self, "_refuses", False))

    @contextmanager
    def blackhole(self) -> Iterator[None]:
        """Let nothing through meanwhile; connections stay open, new ones are taken."""
        self._do(self._live_weather().calm.clear)
        try:
            yield
        finally:
            self._do(self._live_weather().calm.set)

    @contextmanager
    def isolated(self, client: str) -> Iterator[None]:
        """Let nothing of one client through meanwhile; its connections stay open."""

        def work(on: bool) -> None:
            (self._isolated.add if on else self._isolated.discard)(client)
            for link in self._found(client, None):
                link.blackhole(on)

        self._do(lambda: work(on=True))
        try:
            yield
        finally:
            self._do(lambda: work(on=False))

    @contextmanager
    def half_open(self, client: str = "", *, carried: int | None = None) -> Iterator[int]:
        """Let nothing through, for good, on the present connections of a client that have carried
        a certain request; answers how many they are."""

        def work(on: bool) -> int:
            found = self._found(client, carried)
            for link in found:
                link.blackhole(on)
            return len(found)

        yield self._do(lambda: work(on=True))

    @contextmanager
    def slow(self, *, delay_s: float = 0.0, bytes_per_s: float = 0.0) -> Iterator[None]:
        """Delay and throttle every frame meanwhile."""
        weather = self._live_weather()
        weather.delay_s, weather.bytes_per_s = delay_s, bytes_per_s
        try:
            yield
        finally:
            weather.delay_s, weather.bytes_per_s = 0.0, 0.0

    def add(self, api_key: int, deed: Deed, **options: Any) -> Rule:
        """Let something happen to requests of one kind; see `Rule`."""
        rule = Rule(api_key, deed, **options)
        self._do(lambda: self._rules.append(rule))
        return rule

    def remove(self, rule: Rule) -> None:
        """Let it happen no more."""
        self._do(lambda: self._rules.remove(rule))

    def _found(self, client: str, carried: int | None) -> list[Link]:
        return [
            link
            for link in self._links
            if client in ("", link.client) and (carried is None or carried in link.carried)
        ]

    def _live_weather(self) -> Weather:
        assert self._weather is not None, "the proxy is not running"
        return self._weather

    def _do(self, work: Callable[[], T]) -> T:
        """Run `work` in the proxy's thread."""
        done: Future[T] = Future()

        def run() -> None:
            try:
                done.set_result(work())
            except BaseException as error:  # noqa: BLE001 (raised in the caller's thread)
                done.set_exception(error)

        self._loop.call_soon_threadsafe(run)
        return done.result(30)

    async def serve(self) -> None:
        """Listen until the context is left; then break what is open."""
        self._weather = Weather()
        await super().serve()
        for link in list(self._links):
            link.cut()

    async def accept(self, client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        """Carry a connection until it ends or is cut."""
        if self._refuses:
            reset(back)
            return
        try:
            broker = await asyncio.open_connection(*split(self._target), limit=READ_BUFFER)
        except OSError:
            reset(back)
            return
        link = Link(
            (client, back), broker, self._target, self._rules, self._live_weather(), self._isolated
        )
        self._links.add(link)
        try:
            await link.carry()
        except asyncio.CancelledError:
            link.cut()  # the proxy ends before its clients
        finally:
            self._links.discard(link)
