"""Simulated sensors into a topic of a broker of one's own: `python -m stream_ewma.demo.generate`.

Feeds docker-compose.yml's broker, and anything else that takes JSON readings.
"""

import argparse
import signal
import sys
import threading
from collections.abc import Sequence
from types import FrameType

from stream_ewma.demo.broker import check_topic, connect_producer
from stream_ewma.demo.displays import say
from stream_ewma.demo.sources import Readings, SimulatedSource
from stream_ewma.demo.threads import Feeder, now_ms
from stream_ewma.errors import StreamEwmaError


def main(arguments: Sequence[str] | None = None) -> int:
    """Generate readings until the time is over or a signal comes; the process's exit code."""
    options = _parser().parse_args(arguments)
    finish = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        finish.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    try:
        sent = _generate(options, finish)
    except StreamEwmaError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    say(f"{sent:,} readings sent to {options.topic}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m stream_ewma.demo.generate",
        description="Send readings of simulated sensors to a topic.",
    )
    parser.add_argument("--bootstrap", default="localhost:9092", help="broker, host:port")
    parser.add_argument("--topic", default="sensor-readings", help="topic that takes the readings")
    parser.add_argument("--keys", type=int, default=100, help="number of sensors")
    parser.add_argument("--rate", type=float, default=1000.0, help="readings a second, all sensors")
    parser.add_argument("--seed", type=int, default=1, help="equal seeds give equal values")
    parser.add_argument("--seconds", type=float, help="end by itself after this time")
    return parser


def _generate(options: argparse.Namespace, finish: threading.Event) -> int:
    producer = connect_producer(options.bootstrap)
    check_topic(producer, options.bootstrap, options.topic)
    sent = 0

    def note(readings: Readings) -> None:
        nonlocal sent
        sent += len(readings)

    source = SimulatedSource(options.keys, options.rate, options.seed, now_ms())
    feeder = Feeder(source, producer, options.topic, note=note)
    del producer
    say(f"{options.keys:,} sensors, {options.rate:g} readings a second, to {options.topic}")
    feeder.start()
    finish.wait(options.seconds)
    feeder.end()
    if feeder.failure is not None:
        raise StreamEwmaError(str(feeder.failure)) from feeder.failure
    return sent


if __name__ == "__main__":
    sys.exit(main())
