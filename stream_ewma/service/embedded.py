"""The service inside somebody's own program: no signals, no logging, nothing global is touched."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

from stream_ewma.engine.sample import Scalar, Watched
from stream_ewma.errors import StreamEwmaError
from stream_ewma.service.app import run_service
from stream_ewma.service.overview import Overview, PartitionStatus
from stream_ewma.service.watching import Seen, Watcher
from stream_ewma.settings import Settings

_PATIENCE_S = 3600.0


class Smoother:
    """A member of the group that smooths the input topics while the `async with` block runs.

    Entering waits until its partitions are being worked on; leaving finishes, delivers, commits and
    leaves the group. If it fails meanwhile, `wait` and leaving the block raise what it failed of.

    It sets up no logging: lines go to the loggers `stream_ewma` and `aiokafka`, for the program to
    show. At DEBUG the latter prints records and the bytes of a SASL PLAIN login, password included,
    which `stream-ewma run` keeps out and the program has to keep out by itself:
    `logging.getLogger("aiokafka").setLevel(logging.WARNING)`.

    Args:
        settings: as `load_settings` reads them; the `http` and `log` sections do nothing here.

    Raises:
        StreamEwmaError: on entering, the service cannot start; on leaving, it has failed.

    Example:
        async with Smoother(load_settings("stream-ewma.yaml")) as smoother:
            print(await smoother.get("sensor-1"))
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stop = asyncio.Event()
        self._service: asyncio.Task[None] | None = None
        self._overview: Overview | None = None

    async def __aenter__(self) -> Self:
        ready, self._stop = asyncio.Event(), asyncio.Event()
        self._service = asyncio.create_task(
            run_service(
                self._settings,
                stop=self._stop,
                on_ready=ready.set,
                on_overview=self._show,
            ),
            name="stream-ewma",
        )
        waiting = asyncio.create_task(ready.wait())
        try:
            await asyncio.wait({self._service, waiting}, return_when=asyncio.FIRST_COMPLETED)
        except BaseException:
            await self._end()
            raise
        finally:
            waiting.cancel()
        if self._service.done():
            self._service.result()
            raise StreamEwmaError("the service ended before it was ready")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._end()
        if self._service is not None and error is None:
            self._service.result()

    @property
    def is_ready(self) -> bool:
        """Whether every partition that the group has assigned is being worked on."""
        return self._runs and self._overview is not None and not self._overview.unready()

    async def wait(self) -> None:
        """Return when the service has ended, which it does by itself only if it fails.

        Raises:
            StreamEwmaError: what it has failed of.
        """
        if self._service is not None:
            await asyncio.shield(self._service)

    def status(self) -> list[PartitionStatus]:
        """The partitions of this member, as they are."""
        return [] if self._overview is None else self._overview.status()

    async def get(self, key: str | bytes) -> Mapping[str, Scalar] | None:
        """The smoothed values of a key as its last reading left them; None: it is not here.

        With several topics the first one's; other members' keys are not here.
        """
        if self._overview is None:
            return None
        searched = await self._overview.search(key.encode() if isinstance(key, str) else key)
        return searched.found[0].state.outputs if searched.found else None

    @asynccontextmanager
    async def watch(
        self, *keys: str | bytes, others: int = 0
    ) -> AsyncIterator[AsyncIterator[Seen]]:
        """Samples of what is smoothed from now on; the newest, where not all are taken in time.

        Args:
            keys: all of these keys' rows.
            others: besides, up to so many of each step.
        """
        if self._overview is None:
            raise RuntimeError("watch inside of the `async with` block")
        wanted = frozenset(key.encode() if isinstance(key, str) else key for key in keys)
        watchers = self._overview.watchers
        watcher = watchers.join(Watched(wanted, others))
        try:
            yield self._each(watcher)
        finally:
            watchers.leave(watcher)

    @property
    def _runs(self) -> bool:
        return self._service is not None and not self._service.done()

    async def _each(self, watcher: Watcher) -> AsyncIterator[Seen]:
        """What is seen, until the service ends; raises what it has failed of."""
        service = self._service
        while service is not None and not service.done():
            taking = asyncio.ensure_future(watcher.take(_PATIENCE_S))
            try:
                await asyncio.wait({taking, service}, return_when=asyncio.FIRST_COMPLETED)
                taken = taking.result() if taking.done() else []
            finally:
                taking.cancel()
            for seen in taken:
                yield seen
        if service is not None:
            service.result()

    def _show(self, overview: Overview) -> None:
        self._overview = overview

    async def _end(self) -> None:
        self._stop.set()
        if self._service is not None:
            try:
                await asyncio.wait({self._service})
            except asyncio.CancelledError:
                self._service.cancel()
                raise
