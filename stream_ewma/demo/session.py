"""One run of the demo: broker, service, reader and feeder up, watched, and down again."""

import logging
import signal
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Final

from stream_ewma.demo import report
from stream_ewma.demo.broker import MockBroker, connect_consumer, connect_producer
from stream_ewma.demo.browser import free_port, show_page
from stream_ewma.demo.displays import choose, say
from stream_ewma.demo.service import ServiceThread
from stream_ewma.demo.sources import MachineSource, SimulatedSource, Source
from stream_ewma.demo.tally import Tally
from stream_ewma.demo.threads import Feeder, Reader, keep_within_broker, now_ms
from stream_ewma.demo.watch import Watch
from stream_ewma.service.warm import is_warming
from stream_ewma.settings import Settings

_KEPT_WARNINGS: Final = 20


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asks for.

    Attributes:
        simulated: sensors out of a formula instead of this machine's metrics.
        keys: number of simulated sensors.
        rate: readings per second, all series together; None for ten of each series.
        seed: of the simulated sensors.
        factor: name and value as in the settings: ("half_life", "3s") or ("alpha", "0.2").
        seconds: time from the first smoothed reading to the end; None: until a signal.
        plain: lines even on a terminal.
        browser: whether a browser may be opened, where there is a desktop.
    """

    simulated: bool
    keys: int
    rate: float | None
    seed: int
    factor: tuple[str, str]
    seconds: float | None
    plain: bool
    browser: bool


def run(options: Options) -> bool:
    """Run the demo until its time is over or a signal ends it, then print the summary.

    Returns:
        Whether nothing of the service goes on: else the process must be ended at once.

    Raises:
        StreamEwmaError: a part failed.
    """
    finish = threading.Event()
    source = _source(options)
    tally = Tally(source.series)
    topic = "sensor-readings" if options.simulated else "machine-metrics"
    with _ending_signals(finish), _quiet_logs(), MockBroker() as broker:
        settings = _settings(options, broker.bootstrap, topic)
        topics = (topic, settings.output_topic(topic))
        for each in (*topics, settings.dead_letter_topic):
            broker.create_topic(each)
        name, value = options.factor
        smoothing, flag = f"{name} {value}", f"--smoothing.{name} {value}"
        page = f"http://127.0.0.1:{settings.http.port}"
        hints = (*report.hints(broker.bootstrap, *topics, flag), report.page_hint(page))
        what = "simulated sensors" if options.simulated else "this machine's metrics"
        say(f"stream-ewma demo: {what}, {len(tally.series):,} series, {smoothing}", *hints, "")
        with ExitStack() as stack:
            service = ServiceThread(settings, show_page if options.browser else _leave)
            reader = Reader(connect_consumer(broker.bootstrap, topics[1]), tally)
            feeder = Feeder(
                source,
                connect_producer(broker.bootstrap),
                topic,
                note=tally.feed,
                may_send=lambda: keep_within_broker(tally),
            )
            for part in (reader, service, feeder):
                part.start()
                stack.callback(part.end)
            watch = Watch(tally, service, (reader, feeder), finish, options.seconds)
            with choose(options.plain) as display:
                watch.until_finished(display, topics, smoothing, hints)
            elapsed_s = watch.elapsed_s
            feeder.end()
            watch.drain()
    say("", *report.summary(tally, elapsed_s), "", *report.farewell(*topics, flag))
    return not service.is_alive() and not is_warming()


def _source(options: Options) -> Source:
    if options.simulated:
        return SimulatedSource(options.keys, options.rate, options.seed, now_ms())
    return MachineSource(options.rate, now_ms())


def _settings(options: Options, bootstrap: str, topic: str) -> Settings:
    name, value = options.factor
    return Settings.model_validate(
        {
            "application_id": "stream-ewma-demo",
            "kafka": {"bootstrap_servers": bootstrap, "fetch_max_wait_ms": 50},
            "input": {"topics": topic},
            "smoothing": {name: value},
            # The embedded broker has no transactions.
            "state": {"durable": False},
            "delivery": {"shutdown_timeout": "3s"},
            "http": {"port": free_port()},
        }
    )


def _leave(_address: str) -> None:
    """Nobody wants a browser."""


@contextmanager
def _ending_signals(finish: threading.Event) -> Iterator[None]:
    """Let the first Ctrl-C or SIGTERM end the demo in order, and the second one at once."""

    def end(number: int, _frame: FrameType | None) -> None:
        finish.set()
        signal.signal(number, before[number])

    before = {int(number): signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Kept(logging.Handler):
    """Keeps the newest warnings."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: deque[str] = deque(maxlen=_KEPT_WARNINGS)

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@contextmanager
def _quiet_logs() -> Iterator[None]:
    """Keep warnings of every library off the view; print the newest ones when it has gone."""
    kept = _Kept()
    kept.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    before = root.handlers[:]
    root.handlers[:] = [kept]
    try:
        yield
    finally:
        root.handlers[:] = before
        sys.stderr.writelines(f"{line}\n" for line in kept.lines)
