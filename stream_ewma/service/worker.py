"""The service's loop: poll, process, deliver, commit; assignments; the stop protocol."""

import asyncio
import logging
import secrets
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from stream_ewma.engine.config import TaskConfig
from stream_ewma.engine.dead_letters import Reason
from stream_ewma.engine.step import Step
from stream_ewma.errors import DrainError, FatalError, StreamEwmaError
from stream_ewma.events import fields
from stream_ewma.kafka.consumer import CommitRefusedError
from stream_ewma.kafka.errors import explain
from stream_ewma.kafka.partition import Partition
from stream_ewma.records.fetched import BatchRun
from stream_ewma.service.counters import Counters
from stream_ewma.service.opening import Opening, Parts
from stream_ewma.service.overview import Overview
from stream_ewma.service.pace import PollPace
from stream_ewma.service.partitions import Hooks, Partitions, revoke_s
from stream_ewma.service.pipeline import Pipeline
from stream_ewma.service.positions import TopicIdentity
from stream_ewma.service.standby import Standbys
from stream_ewma.service.tracing import tracer_of
from stream_ewma.service.watchdog import Watchdog
from stream_ewma.service.watching import Watchers
from stream_ewma.settings import Settings

_log = logging.getLogger(__name__)

_POLL_MS = 200
_POLL_SOME_MS = 10
_REJECTION_LOG_S = 10.0
_LOOP_LAG_S = 0.5


class Worker:
    """One member of the group with a pipeline for each of its partitions.

    Args:
        settings: everything.
        config: what the partitions' tasks have in common.
        identities: the input topics as they are; empty where no state is kept.
        on_ready: called once the first assignment is being worked on.
        parts: the classes to use.
    """

    def __init__(
        self,
        settings: Settings,
        config: TaskConfig,
        identities: Mapping[str, TopicIdentity],
        on_ready: Callable[[], None] | None,
        *,
        parts: Parts = Parts(),  # noqa: B008  it is frozen
    ) -> None:
        self._settings = settings
        self._on_ready = on_ready
        self._consumer = parts.consumer(settings, self._revoked, self._assigned)
        self._threads = ThreadPoolExecutor(settings.worker_threads, "stream-ewma")
        self._background: set[asyncio.Task[None]] = set()
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._stopping = asyncio.Event()
        self._room = asyncio.Event()
        self._commit: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._following: asyncio.Task[None] | None = None
        self._rejections: Counter[Reason] = Counter()
        self._rejections_logged: dict[Reason, float] = {}
        self._tracer = tracer_of(settings)
        self.counters = Counters()
        opening = Opening(
            settings,
            config,
            parts,
            self._consumer,
            identities,
            self._threads,
            # Unknown to whoever chooses the keys; never leaves this process.
            (secrets.randbits(64), secrets.randbits(64)),
            self.counters,
        )
        self._standbys = opening.standbys = Standbys(
            settings,
            self._consumer,
            parts.follower,
            self._threads,
            opening.new_task,
            lambda: self._partitions.is_opening,
        )
        hooks = Hooks(self._spawn, self._fail, self._room.set, self._stepped, self._ready)
        self._partitions = Partitions(
            settings, self._consumer, opening, self._threads, self.counters, hooks
        )
        self._watchers = Watchers(self._partitions.watch)
        self._watchdog = Watchdog(settings, self._consumer, self._partitions, identities)
        self.overview = Overview(
            settings,
            self.counters,
            self._watchers,
            self._consumer,
            self._partitions,
            opening,
            self._watchdog,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then finish, deliver, commit and leave.

        Raises:
            DrainError: finishing took longer than `delivery.shutdown_timeout`.
            StreamEwmaError: the service cannot go on.
        """
        try:
            await self._consumer.start()
            self._spawn(self._poll_loop(), "poll loop")
            self._watching = self._spawn(self._watchdog.run(), "watchdog")
            self._following = self._spawn(self._standbys.run(), "standbys")
            self._spawn(self._measure_loop(), "loop lag")
            if not self._settings.state.durable:
                self._spawn(self._commit_loop(), "commit loop")
            stopped = asyncio.create_task(stop.wait())
            ends: set[asyncio.Future[Any]] = {stopped, self._failure}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
        except BaseException:
            await self._leave(clean=False)
            raise
        await self._leave(clean=True)
        if self._failure.done():
            raise explain(self._failure.exception() or FatalError("stopped"), self._settings)

    # -- supervision ------------------------------------------------------------------------

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run `work` beside the rest; if it fails, the service fails."""
        task = asyncio.create_task(work, name=name)
        self._background.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._background.discard(task)
        if task.cancelled() or task.exception() is None:
            return
        self._fail(task.exception() or FatalError(f"{task.get_name()} ended"))

    def _fail(self, error: BaseException) -> None:
        if explain(error, self._settings).exit_code == FatalError.exit_code and not isinstance(
            error, StreamEwmaError
        ):
            _log.error("internal error", exc_info=error)
        if not self._failure.done():
            self._failure.set_exception(error)
            self._failure.exception()  # retrieved: `run` raises it

    # -- reading ------------------------------------------------------------------------------

    async def _poll_loop(self) -> None:
        pace = PollPace()
        while not self._stopping.is_set():
            assigned = [p for p in self._pipelines.values() if p.active and not p.parked]
            ready = [pipeline.partition for pipeline in assigned if pipeline.wants_more]
            if not ready:
                self._room.clear()
                # Also with nothing to fetch: who does not ask is not told that the group refuses.
                await self._consumer.check()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._room.wait(), _POLL_MS / 1000)
                continue
            # Only partitions with room are asked for: what has arrived for the others stays
            # buffered, while pausing them would throw it away. A busy one soon has room again.
            wait_ms = _POLL_MS if len(ready) == len(assigned) else _POLL_SOME_MS
            fed = self._feed(await self._consumer.poll(ready, wait_ms))
            await self._pass_control_batches(set(ready) - fed.keys())
            most_records = max((records for records, _ in fed.values()), default=0)
            pause_s = pace.pause_s(most_records, self.counters.step_seconds)
            if pause_s and not self._is_behind(fed):
                await asyncio.sleep(pause_s)

    def _is_behind(self, fed: Mapping[Partition, tuple[int, int]]) -> bool:
        """Whether more is there than came: a broker may answer with little of it at a time."""
        return any(
            (self._consumer.fetchable_end(partition) or 0) - next_offset > records
            for partition, (records, next_offset) in fed.items()
        )

    def _feed(self, answer: dict[Partition, list[BatchRun]]) -> dict[Partition, tuple[int, int]]:
        """Hand the runs over and keep none: while waiting for more, they would stay in memory.

        Answers how many records there were of each partition, and the offset behind them.
        """
        for partition, runs in answer.items():
            if partition in self._pipelines:
                self._pipelines[partition].feed(runs)
        return {
            partition: (sum(run.record_count for run in runs), runs[-1].next_offset)
            for partition, runs in answer.items()
        }

    async def _pass_control_batches(self, silent: AbstractSet[Partition]) -> None:
        """Follow aiokafka's position past what is not for us, aborted transactions included."""
        for partition in silent:
            pipeline = self._pipelines.get(partition)
            if pipeline is None or not pipeline.at_rest:
                continue
            position = await self._consumer.position(partition)
            if position is not None and self._pipelines.get(partition) is pipeline:
                pipeline.pass_over(position)

    async def _measure_loop(self) -> None:
        """How late the event loop comes, heartbeats with it."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _LOOP_LAG_S
            await asyncio.sleep(_LOOP_LAG_S)
            self.counters.loop_lag.observe(loop.time() - due)

    def _stepped(self, partition: Partition, step: Step, seconds: float) -> None:
        self._watchers.publish(partition, step)
        if self._tracer is not None:
            self._tracer.stepped(partition, step, seconds)
        if step.unreadable is not None:
            self._consumer.park(partition)
            _log.error(
                "%s is parked at offset %d: %s; the other partitions go on",
                partition,
                step.unreadable.offset,
                step.unreadable.reason,
                extra=fields(
                    "partition_parked",
                    topic=partition.topic,
                    partition=partition.number,
                    offset=step.unreadable.offset,
                    reason=step.unreadable.reason,
                ),
            )
        if step.failure is not None:
            raise FatalError(
                f"{partition}@{step.failure.offset}: {step.failure.message} "
                "(dead_letters.on_error: fail); mend the settings, write on_error: dlq or skip, "
                f"or, once {step.failure.offset} is committed, pass this record: "
                f"stream-ewma offsets skip {partition.topic} {partition.number} "
                f"{step.failure.offset + 1}"
            )
        now = asyncio.get_running_loop().time()
        self._rejections.update(step.rejected)
        for reason in step.rejected:
            if now - self._rejections_logged.get(reason, -_REJECTION_LOG_S) >= _REJECTION_LOG_S:
                self._rejections_logged[reason] = now
                total = self._rejections[reason]
                _log.warning(
                    "%s: records rejected, reason %s, %d since the start",
                    partition,
                    reason.label,
                    total,
                    extra=fields(
                        "record_rejected",
                        topic=partition.topic,
                        partition=partition.number,
                        reason=reason.label,
                        records=total,
                    ),
                )

    # -- the group ----------------------------------------------------------------------------

    @property
    def _pipelines(self) -> dict[Partition, Pipeline]:
        return self._partitions.pipelines

    async def _revoked(self) -> None:
        try:
            await self._give_back()
        except Exception as error:  # aiokafka would only log it
            self._fail(error)
            raise

    async def _give_back(self) -> None:
        await self._partitions.revoked()
        if not self._settings.state.durable:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._commit_rest(), revoke_s(self._settings))

    def _assigned(self, partitions: frozenset[Partition]) -> None:
        try:
            self._standbys.assigned(self._consumer.standby_partitions, partitions)
            self._partitions.assigned(partitions)
            self.overview.has_joined = True
        except Exception as error:  # aiokafka would only log it
            self._fail(error)
            raise

    def _ready(self) -> None:
        if self._on_ready is not None:
            self._on_ready()
            self._on_ready = None

    # -- committing, where no state is kept ---------------------------------------------------

    async def _commit_loop(self) -> None:
        interval_s = self._settings.commit_interval_ms / 1000
        while not self._stopping.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), interval_s)
            self._commit_progress()

    def _commit_progress(self) -> None:
        """Commit what is delivered and not yet committed, unless a commit is under way."""
        if self._commit is not None and not self._commit.done():
            return
        offsets = {
            partition: pipeline.delivery.delivered_offset
            for partition, pipeline in self._pipelines.items()
            if pipeline.delivery is not None
            and pipeline.delivery.delivered_offset != pipeline.committed
        }
        if offsets:
            self._commit = self._spawn(self._commit_offsets(offsets), "commit")

    async def _commit_rest(self) -> None:
        """Commit all that is delivered, also what a commit under way does not know of yet."""
        if self._commit is not None:
            await asyncio.wait({self._commit})
        self._commit_progress()
        if self._commit is not None:
            await asyncio.wait({self._commit})

    async def _commit_offsets(self, offsets: dict[Partition, int]) -> None:
        try:
            await asyncio.wait_for(
                self._consumer.commit(offsets), self._settings.kafka.request_timeout_ms / 1000
            )
        except TimeoutError:
            _log.warning("no answer to a commit: it is tried again with the next one")
            return
        except CommitRefusedError as error:
            # The group has moved on; whoever has the partitions now reads these records again.
            _log.warning("commit refused: %s", error)
            return
        self.counters.commits += 1
        for partition, offset in offsets.items():
            if partition in self._pipelines:
                self._pipelines[partition].note_committed(offset)

    # -- stopping -----------------------------------------------------------------------------

    async def _leave(self, *, clean: bool) -> None:
        """Finish, deliver, commit, leave the group; each within what is left of the deadline."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._settings.delivery.shutdown_timeout / 1000
        self._stopping.set()
        self.overview.is_stopping = True
        if self._watching is not None:  # a client that stops is not one that has died
            self._watching.cancel()

        async def within(work: Coroutine[Any, Any, Any]) -> bool:
            task = asyncio.ensure_future(work)
            await asyncio.wait({task}, timeout=max(deadline - loop.time(), 0.1))
            if not task.done():
                task.cancel()
                return False
            return task.cancelled() or task.exception() is None

        if self._following is not None:
            self._following.cancel()
            await within(asyncio.wait({self._following}))
        drained = await within(self._finish()) if clean else False
        await within(self._consumer.stop())
        await within(self._partitions.stop())
        for task in list(self._background):
            task.cancel()
        if self._tracer is not None:
            await within(self._tracer.stop())
        self._threads.shutdown(wait=False, cancel_futures=True)
        if clean and not drained and not self._failure.done():
            raise DrainError(
                "stopped before everything was delivered and committed: the records since the "
                "last commit are read again at the next start"
            )

    async def _finish(self) -> None:
        await self._partitions.finish()
        if not self._settings.state.durable:
            await self._commit_rest()
