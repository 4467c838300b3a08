"""Read, smooth and publish until SIGTERM.

stream-ewma run --config stream-ewma.yaml
stream-ewma run --input.topics sensor-readings --smoothing.half_life 30s
stream-ewma run --once    smooth what is there, and end
"""

import argparse
import asyncio
import gc
import logging
import os
import signal
import socket
import sys
import threading
from typing import Final

from stream_ewma import __version__
from stream_ewma.cli import settings_flags
from stream_ewma.cli.notifying import Notifier
from stream_ewma.errors import DrainError, StreamEwmaError
from stream_ewma.events import fields
from stream_ewma.service import logs
from stream_ewma.service.app import run_service
from stream_ewma.service.memory import keep_freed_memory
from stream_ewma.service.metrics import config_hash
from stream_ewma.service.once import caught_up
from stream_ewma.service.overview import Overview
from stream_ewma.service.warm import is_warming
from stream_ewma.service.watchdog import LoopGuard
from stream_ewma.settings import Settings
from stream_ewma.settings.sources import process_environment
from stream_ewma.web.server import serving

_log = logging.getLogger("stream_ewma.run")

_EXIT_INTERRUPTED = 130
_LAST_GRACE_S = 10.0


FLAGS: Final = ("once",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of the command, and those of every setting."""
    parser.add_argument(
        "--once",
        action="store_true",
        help="smooth what stands in the topics when the service begins, and end",
    )
    settings_flags.add_arguments(parser)


def run(settings: Settings, *, once: bool = False) -> int:
    """Run the service in this process; SIGTERM and SIGINT end it, a second one at once.

    Args:
        settings: everything.
        once: end when all is smoothed that stood in the topics.

    Raises:
        StreamEwmaError: the service cannot start or go on.
    """
    keep_freed_memory()
    logs.set_up(
        settings.log.level,
        settings.log.format,
        service=settings.application_id,
        instance=socket.gethostname(),
        version=__version__,
    )
    _log.info(
        "stream-ewma %s: %s -> %s, group %s, brokers %s",
        __version__,
        ", ".join(settings.input.topics),
        ", ".join(sorted({settings.output_topic(topic) for topic in settings.input.topics})),
        settings.application_id,
        settings.kafka.bootstrap_servers,
        extra=fields(
            "service_started",
            topics=list(settings.input.topics),
            group=settings.application_id,
            config_hash=config_hash(settings),
        ),
    )
    try:
        asyncio.run(_serve(settings, once=once))
    except StreamEwmaError as error:
        if is_warming():
            _exit_now(error.exit_code, str(error))
        raise
    if is_warming():
        _exit_now(0)
    return 0


async def _serve(settings: Settings, *, once: bool) -> None:
    stop = asyncio.Event()
    catching_up: asyncio.Task[None] | None = None
    loop = asyncio.get_running_loop()
    guard = LoopGuard(loop)
    guard.start()
    notifier = Notifier(process_environment())
    notifier.feed()

    def on_signal() -> None:
        if stop.is_set():
            os._exit(_EXIT_INTERRUPTED)
        _log.info("stopping: finishing, delivering and committing", extra=fields("stopping"))
        notifier.tell("STOPPING=1")
        stop.set()
        seconds = settings.delivery.shutdown_timeout / 1000 + _LAST_GRACE_S
        line = f"the end took longer than {seconds:.0f} s: what was not committed is read again"
        _end_at_last(seconds, DrainError.exit_code, line)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)

    def on_ready() -> None:
        # The compiled kernels come with some 100,000 objects that live for ever: the collector
        # need not walk them again and again.
        gc.collect()
        gc.freeze()
        _log.info("ready", extra=fields("ready"))
        notifier.tell("READY=1")

    try:
        async with serving(settings) as window:

            def on_overview(overview: Overview) -> None:
                nonlocal catching_up
                window.show(overview)
                if once:
                    catching_up = asyncio.create_task(caught_up(overview), name="catching up")
                    catching_up.add_done_callback(lambda _: stop.set())

            await run_service(settings, stop=stop, on_ready=on_ready, on_overview=on_overview)
        if catching_up is not None and catching_up.done():
            catching_up.result()
    except DrainError as error:
        _exit_now(error.exit_code, str(error))
    except StreamEwmaError as error:
        # A client's task that does not end must not keep a failed process.
        _end_at_last(_LAST_GRACE_S, error.exit_code, str(error))
        raise
    finally:
        guard.stop()


def _end_at_last(seconds: float, exit_code: int, line: str) -> None:
    """End the process after so long, whatever still holds it up."""
    timer = threading.Timer(seconds, _exit_now, (exit_code, line))
    timer.daemon = True
    timer.start()


def _exit_now(exit_code: int, line: str = "") -> None:
    # Something does not end in time, a client's task or the compiler; the end of the loop and of
    # Python would wait for it, perhaps for ever.
    if line:
        sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
    os._exit(exit_code)
