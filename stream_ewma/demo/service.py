"""The real service, in a thread of its own beside the view."""

import asyncio
import threading
from collections.abc import Callable
from typing import Final

from stream_ewma.service.app import run_service
from stream_ewma.settings import Settings
from stream_ewma.web.server import serving

_END_S: Final = 5.0
_END_UNREADY_S: Final = 1.0


class ServiceThread(threading.Thread):
    """Runs the service on an event loop of its own, so that the view never waits for it.

    Args:
        settings: of the service.
        on_page: called with the live page's address, as soon as it answers.

    Attributes:
        ready: set when the service is prepared to process records.
        failure: what ended it, or None.
    """

    def __init__(self, settings: Settings, on_page: Callable[[str], None]) -> None:
        super().__init__(name="demo-service", daemon=True)
        self._settings = settings
        self._on_page = on_page
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self.ready = threading.Event()
        self.failure: BaseException | None = None

    def run(self) -> None:
        """Run the service until it is stopped or fails."""
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._serve())
        except BaseException as error:  # noqa: BLE001  reported by whoever watches `failure`
            self.failure = error

    async def _serve(self) -> None:
        async with serving(self._settings) as window:
            if window.url is not None:
                self._on_page(window.url)
            await run_service(
                self._settings,
                stop=self._stopping,
                on_ready=self.ready.set,
                on_overview=window.show,
            )

    def end(self) -> None:
        """Stop the service and wait for it, though not long.

        A service that is still compiling cannot hear; it ends with the process.
        """
        if self.is_alive() and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stopping.set)
        self.join(_END_S if self.ready.is_set() else _END_UNREADY_S)
