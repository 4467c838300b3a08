"""Writes the stream in bursts, in a thread, so that faults hit running work."""

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import KafkaError, Producer

from tests.support.cluster import Cluster, Message
from tests.support.waiting import wait_until

from .stream import Stream

# Longer than any fault keeps the brokers away.
PATIENCE_S = 600.0
FLUSH_S = 1.0


class Feeder:
    """A thread that writes to the input topic.

    Args:
        cluster: the brokers, not behind a proxy.
        topic: where to.
        stream: what.
        seed: of the bursts.
        rate: records a second, on average.
    """

    def __init__(
        self, cluster: Cluster, topic: str, stream: Stream, *, seed: int, rate: float
    ) -> None:
        self._cluster = cluster
        self._topic = topic
        self._stream = stream
        self._random = random.Random(seed)
        self._rate = rate
        self._ended = threading.Event()
        self._writing = threading.Lock()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="feeder")
        self.sent_count = 0

    def wait_sent(self, count: int) -> None:
        """Wait until so many more records are written."""
        goal = self.sent_count + count

        def enough() -> bool:
            self.check()
            return self.sent_count >= goal

        wait_until(enough, timeout_s=PATIENCE_S, what=lambda: f"{self.sent_count} of {goal} sent")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Write nothing meanwhile."""
        with self._writing:
            yield

    def check(self) -> None:
        """Raise what has ended the thread."""
        if self._error is not None:
            raise self._error

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def close(self) -> None:
        """Write nothing more."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        producer = self._cluster.producer(
            linger_ms=5,
            delivery_timeout_ms=int(PATIENCE_S * 1000),
        )
        try:
            while not self._ended.is_set():
                size = self._random.choice((1, 7, 100, 400, 1500))
                with self._writing:
                    self._send(producer, self._stream.take(size))
                self.sent_count += size
                pause = size / self._rate * self._random.uniform(0.5, 1.5)
                self._ended.wait(pause)
        except Exception as error:  # noqa: BLE001 (told by `check`)
            self._error = error

    def _send(self, producer: Producer, records: list[Message]) -> None:
        """Write records in order and wait for them, but not beyond the end of the run."""
        refused: list[str] = []

        def report(error: KafkaError | None, _message: object) -> None:
            if error is not None:
                refused.append(str(error))

        for each in records:
            producer.produce(
                self._topic,
                key=each.key,
                value=each.value,
                partition=each.partition,
                timestamp=each.timestamp,
                headers=list(each.headers),
                on_delivery=report,
            )
            producer.poll(0)
        patience = time.monotonic() + PATIENCE_S
        while producer.flush(FLUSH_S):
            if self._ended.is_set():
                producer.purge()
            if time.monotonic() > patience:
                raise TimeoutError(f"{self._topic} takes no records")
        if refused and not self._ended.is_set():
            raise RuntimeError(f"{len(refused)} records refused: {refused[0]}")


def monotonic() -> float:
    """Seconds on the clock that all processes of this machine share."""
    return time.clock_gettime(time.CLOCK_MONOTONIC)
