"""Watching a running demo: when it is over, what went wrong, what there is to show."""

import threading
import time
from typing import Final

from stream_ewma.demo.displays import Display
from stream_ewma.demo.service import ServiceThread
from stream_ewma.demo.tally import Tally
from stream_ewma.demo.threads import Worker
from stream_ewma.demo.view import Situation
from stream_ewma.errors import FatalError, StreamEwmaError

_REFRESH_S: Final = 0.125
_START_S: Final = 600.0
"""Longer than compiling every kernel for the first time takes on a slow machine."""
_DRAIN_S: Final = 3.0


class Watch:
    """Shows the tally and waits for the end.

    Args:
        tally: what to show.
        service: the service at work.
        workers: the threads around it.
        finish: set by a signal.
        seconds: time from the first smoothed reading to the end; None: until the signal.
    """

    def __init__(
        self,
        tally: Tally,
        service: ServiceThread,
        workers: tuple[Worker, ...],
        finish: threading.Event,
        seconds: float | None,
    ) -> None:
        self._tally = tally
        self._service = service
        self._workers = workers
        self._finish = finish
        self._seconds = seconds
        self._began = time.monotonic()
        self._smoothing_since: float | None = None

    @property
    def elapsed_s(self) -> float:
        """Seconds since the first smoothed reading; 0 before it."""
        if self._smoothing_since is None:
            return 0.0
        return time.monotonic() - self._smoothing_since

    def until_finished(
        self, display: Display, topics: tuple[str, str], smoothing: str, hints: tuple[str, ...]
    ) -> None:
        """Show the demo until its time is over or a signal ends it.

        Raises:
            StreamEwmaError: a part failed, or nothing was smoothed for a long time.
        """
        while not self._over():
            self._check()
            if self._smoothing_since is None and self._tally.smoothed:
                self._smoothing_since = time.monotonic()
            status = self._status()
            display.show(self._tally, Situation(topics, smoothing, status, self.elapsed_s, hints))
            self._finish.wait(_REFRESH_S)

    def drain(self) -> None:
        """Wait for what was fed in to come out smoothed, as long as any of it still comes.

        Raises:
            StreamEwmaError: a part failed.
        """
        smoothed = 0
        deadline = time.monotonic()
        while self._tally.backlog:
            if self._tally.smoothed > smoothed:
                smoothed = self._tally.smoothed
                deadline = time.monotonic() + _DRAIN_S
            if time.monotonic() >= deadline:
                return
            self._check()
            self._workers[0].ending.wait(_REFRESH_S)

    def _over(self) -> bool:
        ended = self._seconds is not None and self.elapsed_s >= self._seconds
        return ended or self._finish.is_set()

    def _status(self) -> str:
        if self._smoothing_since is not None:
            return "Ctrl-C ends it" if self._seconds is None else f"ends after {self._seconds:g} s"
        if self._service.ready.is_set():
            return "joining the consumer group, about 3 s"
        waited_s = time.monotonic() - self._began
        return f"starting; the very first start compiles for a while ({waited_s:.0f} s)"

    def _check(self) -> None:
        parts: tuple[ServiceThread | Worker, ...] = (self._service, *self._workers)
        for part in parts:
            if isinstance(part.failure, StreamEwmaError):
                raise part.failure
            if part.failure is not None:
                raise FatalError(f"{part.name}: {part.failure}") from part.failure
        if self._smoothing_since is None and time.monotonic() - self._began > _START_S:
            raise FatalError(f"nothing was smoothed in {_START_S:.0f} s: the service does not run")
