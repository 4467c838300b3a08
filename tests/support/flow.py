"""A steady stream of readings, written by a thread while a test does other things."""

import threading
from types import TracebackType
from typing import Self

from .cluster import Message, send
from .job import Job, readings
from .waiting import wait_until

CHUNK = 100


class Flow:
    """Readings into a job's topic, from entering the context to leaving it.

    Attributes:
        sent: what was written and acknowledged, in order.
    """

    def __init__(self, job: Job, *, keys: int, partitions: int, pause_s: float = 0.01) -> None:
        self._job = job
        self._keys = keys
        self._partitions = partitions
        self._pause_s = pause_s
        self._ended = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run)
        self.sent: list[Message] = []

    @property
    def sent_count(self) -> int:
        """Records written so far."""
        return len(self.sent)

    def wait_sent(self, count: int) -> None:
        """Wait until so many records are written."""

        def enough() -> bool:
            if self._error is not None:
                raise self._error
            return len(self.sent) >= count

        wait_until(enough, timeout_s=120, what=lambda: f"{len(self.sent)} of {count} sent")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()
        if error is None and self._error is not None:
            raise self._error

    def _run(self) -> None:
        # Waits for a broker that is away as long as any test keeps it away.
        producer = self._job.cluster.producer(linger_ms=1, delivery_timeout_ms=120_000)
        while not self._ended.wait(self._pause_s):
            chunk = readings(
                CHUNK, keys=self._keys, partitions=self._partitions, first=len(self.sent)
            )
            try:
                send(producer, self._job.topic, chunk, timeout_s=120)
            except RuntimeError as error:
                self._error = error
                return
            self.sent += chunk
