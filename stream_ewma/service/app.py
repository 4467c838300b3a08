"""Running the service inside somebody's event loop: no signal handlers, no logging set-up."""

import asyncio
import logging
from collections.abc import Callable

from stream_ewma.kafka import topics
from stream_ewma.kafka.connect import wait_for_broker
from stream_ewma.service.config import task_config
from stream_ewma.service.warm import warm_up
from stream_ewma.service.worker import Worker
from stream_ewma.settings import Settings

_log = logging.getLogger(__name__)


async def run_service(
    settings: Settings,
    *,
    stop: asyncio.Event,
    on_ready: Callable[[], None] | None = None,
) -> None:
    """Smooth the input topics until `stop` is set.

    Args:
        settings: everything.
        stop: set it to finish, deliver, commit and leave the group.
        on_ready: called once, when the first assignment is being worked on.

    Raises:
        StreamEwmaError: the service cannot start or go on; its class says what to do.
    """
    config = task_config(settings)
    warming = asyncio.ensure_future(asyncio.to_thread(warm_up, config))
    try:
        await wait_for_broker(settings)
        await topics.verify(settings)
    finally:
        await warming
    worker = Worker(settings, config, on_ready)
    await worker.run(stop)
    counted = worker.counters
    _log.info(
        "stopped: %d records read, %d smoothed, %d rejected, %d left out",
        counted.consumed,
        counted.emitted,
        counted.rejected.total(),
        counted.skipped.total(),
    )
