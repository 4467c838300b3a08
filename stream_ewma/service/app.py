"""Running the service inside somebody's event loop: no signal handlers, no logging set-up."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TypeVar

from stream_ewma.engine.config import TaskConfig
from stream_ewma.errors import BrokerUnavailableError
from stream_ewma.events import fields
from stream_ewma.kafka import topics
from stream_ewma.kafka.connect import wait_for_broker
from stream_ewma.kafka.durability import weakness
from stream_ewma.service.config import task_config
from stream_ewma.service.opening import Parts
from stream_ewma.service.overview import Overview
from stream_ewma.service.positions import TopicIdentity
from stream_ewma.service.warm import warm
from stream_ewma.service.worker import Worker
from stream_ewma.settings import Settings

_log = logging.getLogger(__name__)

_LAST_ANSWER_S = 1.0
_RETRY_S = 0.25

_T = TypeVar("_T")


async def run_service(
    settings: Settings,
    *,
    stop: asyncio.Event,
    on_ready: Callable[[], None] | None = None,
    on_overview: Callable[[Overview], None] | None = None,
    parts: Parts = Parts(),  # noqa: B008  it is frozen
) -> None:
    """Smooth the input topics until `stop` is set.

    Args:
        settings: everything.
        stop: set it to finish, deliver, commit and leave the group; at the start, to give up.
        on_ready: called once, when the first assignment is being worked on.
        on_overview: called once, when there is a member of which something can be said.
        parts: the classes to put it together from.

    Raises:
        StreamEwmaError: the service cannot start or go on; its class says what to do.
    """
    config = task_config(settings)
    identities = await _prepare(settings, config, stop)
    if identities is None:
        return
    if not settings.state.durable:
        _log.info("state.durable is false: state is lost when the service ends")
    worker = Worker(settings, config, identities, on_ready, parts=parts)
    if on_overview is not None:
        on_overview(worker.overview)
    await worker.run(stop)
    counters = worker.counters
    counted = counters.total
    _log.info(
        "stopped: %d records read, %d smoothed, %d rejected%s, %d left out%s%s; %d commits, "
        "%d rows of state written, %d keys restored, %d recoveries, %d records lost to retention",
        counted.consumed,
        counted.emitted,
        counted.rejected.total(),
        _causes(counted.rejected, " (%s)"),
        counted.skipped.total(),
        _causes(counted.skipped, " (%s)"),
        _causes(counted.noted, "; of them %s"),
        counters.commits,
        counters.rows,
        counters.restored,
        counters.recoveries,
        counters.lost,
        extra=fields(
            "drain_complete",
            records=counted.consumed,
            committed={
                str(status.partition): status.committed for status in worker.overview.status()
            },
        ),
    )


def _causes(counts: Counter[str], form: str) -> str:
    """The counts by cause, most frequent first; nothing where there are none."""
    listed = ", ".join(f"{name} {count}" for name, count in counts.most_common() if count)
    return form % listed if listed else ""


async def _prepare(
    settings: Settings, config: TaskConfig, stop: asyncio.Event
) -> dict[str, TopicIdentity] | None:
    """Compile or load the kernels while the brokers are asked whether all is in place.

    Answers which topics the inputs are; None if `stop` was set meanwhile.
    """
    stopped = asyncio.ensure_future(stop.wait())
    warming = asyncio.ensure_future(warm(config))
    asking = asyncio.ensure_future(_ask_brokers(settings))
    for part in (asking, warming):  # what nobody waits for any more need not be complained of
        part.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
    try:
        for part in (asking, warming):
            await asyncio.wait({part, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if stop.is_set():
                # A question cut off leaves its connection open: let it come to its end.
                await asyncio.wait({asking}, timeout=_LAST_ANSWER_S)
                return None
            await part
    finally:
        for task in (stopped, warming, asking):
            task.cancel()
    return asking.result()


async def _ask_brokers(settings: Settings) -> dict[str, TopicIdentity]:
    await wait_for_broker(settings)
    states = await _patiently(settings, lambda: topics.describe(settings))
    topics.require_fit(states)
    weak = weakness(settings, states)
    if weak:
        _log.warning("%s", weak, extra=fields("topics_not_safe"))
    if not settings.state.durable:
        return {}
    found = await _patiently(settings, lambda: topics.identities(settings))
    return {name: TopicIdentity(*identity) for name, identity in found.items()}


async def _patiently(settings: Settings, ask: Callable[[], Awaitable[_T]]) -> _T:
    """What `ask` answers: a broker that was reached may be one that starts, or ends."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + settings.kafka.startup_timeout / 1000
    while True:
        try:
            return await ask()
        except BrokerUnavailableError:
            if loop.time() + _RETRY_S > deadline:
                raise
        await asyncio.sleep(_RETRY_S)
