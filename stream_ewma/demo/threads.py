"""The demo's threads: one feeds readings in, one reads smoothed records back.

The Kafka client of the view is confluent-kafka, which the demo's broker needs anyway, so that the
service under it is the one and only user of the service's own client.
"""

import threading
import time
from collections.abc import Callable
from typing import Final

import confluent_kafka
import orjson

from stream_ewma.demo.broker import MAX_BACKLOG
from stream_ewma.demo.sources import Readings, Source
from stream_ewma.demo.tally import Tally

_TICK_S: Final = 0.02
_POLL_S: Final = 0.05
_MAX_POLL: Final = 5000
_FLUSH_S: Final = 3.0


def now_ms() -> int:
    """Wall clock, ms since the epoch."""
    return time.time_ns() // 1_000_000


class Worker(threading.Thread):
    """A thread that repeats one short step until told to end, and keeps the error that ended it.

    Attributes:
        failure: what went wrong, or None.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self.ending = threading.Event()
        self.failure: BaseException | None = None

    def run(self) -> None:
        """Repeat `step` until the end."""
        try:
            while not self.ending.is_set():
                self.step()
        except BaseException as error:  # noqa: BLE001  reported by whoever watches `failure`
            self.failure = error
        finally:
            self.close()

    def end(self) -> None:
        """Finish the step at hand, then the thread."""
        self.ending.set()
        self.join()

    def step(self) -> None:
        """One bounded piece of work."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of what the thread holds."""
        raise NotImplementedError


class Feeder(Worker):
    """Sends a source's readings to a topic as they fall due.

    Args:
        source: where the readings come from.
        producer: how they are sent; closed with the thread.
        topic: where they go.
        note: called with the readings of each step before they are sent.
        may_send: asked before each step; while it says no, nothing is read from the source.
    """

    def __init__(
        self,
        source: Source,
        producer: confluent_kafka.Producer,
        topic: str,
        *,
        note: Callable[[Readings], None],
        may_send: Callable[[], bool] = lambda: True,
    ) -> None:
        super().__init__("demo-feeder")
        self._source = source
        self._producer = producer
        self._topic = topic
        self._note = note
        self._may_send = may_send
        self._keys = [series.name.encode() for series in source.series]
        self._refused = ""

    def step(self) -> None:
        """Send what is due, then wait a little."""
        if self._may_send():
            readings = self._source.read(now_ms())
            self._note(readings)
            self._send(readings)
        self._producer.poll(0)
        if self._refused:
            raise ConnectionError(self._refused)
        self.ending.wait(_TICK_S)

    def close(self) -> None:
        """Send what is still queued."""
        self._producer.flush(_FLUSH_S)
        del self._producer

    def _send(self, readings: Readings) -> None:
        columns = (readings.series.tolist(), readings.timestamp.tolist(), readings.value.tolist())
        for index, time_ms, value in zip(*columns, strict=True):
            record = orjson.dumps({"timestamp": time_ms, "value": value})
            while True:
                try:
                    self._producer.produce(
                        self._topic,
                        key=self._keys[index],
                        value=record,
                        timestamp=time_ms,
                        on_delivery=self._note_delivery,
                    )
                    break
                except BufferError:  # the client's queue is full: let it drain
                    self._producer.poll(_POLL_S)

    def _note_delivery(
        self, error: confluent_kafka.KafkaError | None, message: confluent_kafka.Message
    ) -> None:
        if error is not None:
            self._refused = f"{message.topic()}: {error.str()}"


class Reader(Worker):
    """Reads smoothed records back into the tally."""

    def __init__(self, consumer: confluent_kafka.Consumer, tally: Tally) -> None:
        super().__init__("demo-reader")
        self._consumer = consumer
        self._tally = tally

    def step(self) -> None:
        """Take what has arrived, waiting a little for it."""
        time_ms = 0
        for message in self._consumer.consume(_MAX_POLL, _POLL_S):
            error = message.error()
            if error is not None:
                raise ConnectionError(error.str())
            key, record = message.key() or b"", orjson.loads(message.value() or b"")
            time_ms = record["timestamp"]
            self._tally.receive(key, time_ms, record["value"], record["ewma"], record["count"])
        if time_ms:
            self._tally.delay_ms = now_ms() - time_ms

    def close(self) -> None:
        """Leave the broker."""
        self._consumer.close()


def keep_within_broker(tally: Tally) -> bool:
    """Whether the broker still keeps everything that is under way if more is sent."""
    return tally.backlog < MAX_BACKLOG
