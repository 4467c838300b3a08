"""The partitions that this member has: taking them over, giving them up, taking them up anew."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from stream_ewma.engine.sample import Watched
from stream_ewma.engine.step import Step
from stream_ewma.errors import BrokerUnavailableError, FatalError
from stream_ewma.events import fields
from stream_ewma.kafka.committer import RefusedError
from stream_ewma.kafka.consumer import GroupConsumer, rebalance_timeout_ms
from stream_ewma.kafka.errors import (
    FencedError,
    KafkaError,
    TransactionExpiredError,
    explain,
    is_passing,
)
from stream_ewma.kafka.partition import Partition
from stream_ewma.service.counters import Counters
from stream_ewma.service.opening import Opened, Opening
from stream_ewma.service.pace import CommitPace
from stream_ewma.service.pipeline import Pipeline
from stream_ewma.service.troubles import MOST_TROUBLES, RETRY_S, Troubles
from stream_ewma.settings import Settings

_log = logging.getLogger(__name__)

_MOST_REVOKE_S: Final = 5.0
_REVOKE_SHARE: Final = 0.5
_RECOVERABLE: Final = (RefusedError, KafkaError, BrokerUnavailableError)


@dataclass(frozen=True, slots=True)
class Hooks:
    """What the worker wants to be told, and does for its partitions.

    Attributes:
        spawn: runs a coroutine beside the rest; if it fails, the service fails.
        fail: ends the service.
        on_room: called when a partition may want more.
        on_step: called with each step, and the seconds that it took.
        on_ready: called each time all partitions that are assigned are being worked on.
    """

    spawn: Callable[[Coroutine[Any, Any, None], str], "asyncio.Task[None]"]
    fail: Callable[[BaseException], None]
    on_room: Callable[[], None]
    on_step: Callable[[Partition, Step, float], None]
    on_ready: Callable[[], None]


def revoke_s(settings: Settings) -> float:
    """Seconds for the last commit of what the group takes away.

    It waits for all members to join again: one that is not back in time is put out, joins as a new
    one, and all begin anew.
    """
    return min(_MOST_REVOKE_S, rebalance_timeout_ms(settings) / 1000 * _REVOKE_SHARE)


class Partitions:
    """Pipelines by partition, and those on their way.

    Args:
        settings: everything.
        consumer: told what to fetch.
        opening: takes partitions over.
        threads: where steps are computed.
        counters: what is counted.
        hooks: see `Hooks`.

    Attributes:
        pipelines: of the partitions that are taken over.
    """

    def __init__(
        self,
        settings: Settings,
        consumer: GroupConsumer,
        opening: Opening,
        threads: ThreadPoolExecutor,
        counters: Counters,
        hooks: Hooks,
    ) -> None:
        self._settings = settings
        self._consumer = consumer
        self._opening = opening
        self._threads = threads
        self._counters = counters
        self._hooks = hooks
        self._pace = CommitPace()
        self._assigned: frozenset[Partition] = frozenset()
        self._assignment = 0
        self._taking_over = asyncio.Lock()
        self._on_the_way: dict[Partition, asyncio.Task[None]] = {}
        self._tasks: dict[Partition, list[asyncio.Task[None]]] = {}
        self._troubles = Troubles(settings, opening)
        self._recovering: set[Partition] = set()
        self._watched = Watched()
        self.pipelines: dict[Partition, Pipeline] = {}

    @property
    def is_opening(self) -> bool:
        """Whether partitions are being taken over."""
        return bool(self._on_the_way)

    @property
    def forgotten(self) -> frozenset[Partition]:
        """Partitions of this member that nobody works on, or is about to."""
        busy = self.pipelines.keys() | self._on_the_way.keys() | self._recovering
        return self._assigned - busy

    @property
    def assigned_partitions(self) -> frozenset[Partition]:
        """Those that the group has given this member."""
        return self._assigned

    @property
    def commit_interval_s(self) -> float:
        """Time between two commits of a busy partition, as things are, at least."""
        spacings = sum(pipeline.commit_spacing_s for pipeline in self.pipelines.values())
        return max(self._settings.commit_interval_ms / 1000, spacings)

    def watch(self, watched: Watched) -> None:
        """Bring these samples with each step from now on."""
        self._watched = watched
        for pipeline in self.pipelines.values():
            pipeline.watch(watched)

    # -- the group ----------------------------------------------------------------------------

    async def revoked(self) -> None:
        """Finish what is at work, and commit it while that is still ours to do."""
        self._assignment += 1
        self._counters.revocations += 1
        halts = {
            asyncio.ensure_future(pipeline.halt()): pipeline
            for pipeline in self.pipelines.values()
            if pipeline.active
        }
        if not halts:
            return
        ended, late = await asyncio.wait(halts, timeout=revoke_s(self._settings))
        for halt in late:
            halt.cancel()
            # It may end otherwise before it hears of that, and nobody waits for it any more.
            halt.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        failed = late | {halt for halt in ended if halt.exception() is not None}
        if failed and self._settings.state.durable:
            dropped = [halts[halt] for halt in failed]
            names = sorted(str(pipeline.partition) for pipeline in dropped)
            _log.warning(
                "%s: not committed within %.1f s, and given up",
                ", ".join(names),
                revoke_s(self._settings),
                extra=fields("commit_failed", partitions=names),
            )
            for pipeline in dropped:  # the group does not wait: whoever comes next fences
                self._hooks.spawn(self._drop_failed(pipeline), f"dropping {pipeline.partition}")

    def assigned(self, partitions: frozenset[Partition]) -> None:
        """The group has given this member these partitions, and no others."""
        self._assignment += 1
        self._assigned = partitions
        self._troubles.assigned()
        self._counters.assignments += 1
        self._hooks.spawn(self._take_over(self._assignment), "take over")

    async def _take_over(self, assignment: int) -> None:
        """Give up what is gone, go on with what stayed, open what is new."""
        # One at a time: the next rebalance can come while producers of the last one still stop.
        async with self._taking_over:
            if assignment != self._assignment:
                return
            await asyncio.gather(
                *map(self._give_up, self._on_the_way.keys() - self._assigned),
                *map(self._drop, self.pipelines.keys() - self._assigned),
            )
            for pipeline in list(self.pipelines.values()):
                await pipeline.settle()
            if not self._settings.state.durable:
                await self._drop_overtaken()
            if assignment != self._assignment:
                return
            kept = sorted(self.pipelines)
            new = sorted(self._assigned - self.pipelines.keys() - self._on_the_way.keys())
            names = ", ".join(map(str, sorted(self._assigned))) or "none"
            _log.info(
                "assigned: %s (%d kept their state)",
                names,
                len(kept),
                extra=fields(
                    "partitions_assigned", partitions=list(map(str, sorted(self._assigned)))
                ),
            )
            for partition in kept:
                self._begin(partition)
            for partition in new:
                self._troubles.begin_anew(partition)
                self._open(partition)
            self._tell_ready()

    async def _drop_overtaken(self) -> None:
        """Without kept state nothing fences: another member may have gone on meanwhile."""
        committed = await self._consumer.committed(self.pipelines)
        for partition, pipeline in list(self.pipelines.items()):
            pipeline.committed = committed[partition]
            if (committed[partition] or 0) > pipeline.position:
                await self._drop(partition)

    def _begin(self, partition: Partition) -> None:
        pipeline = self.pipelines[partition]
        if self._consumer.begin(partition, pipeline.position):
            pipeline.begin()
            if pipeline.parked:
                self._consumer.park(partition)

    def _tell_ready(self) -> None:
        if self._assigned <= self.pipelines.keys():
            self._hooks.on_ready()

    # -- opening ------------------------------------------------------------------------------

    def _open(self, partition: Partition) -> None:
        self._on_the_way[partition] = self._hooks.spawn(
            self._open_one(partition), f"opening {partition}"
        )

    async def _open_one(self, partition: Partition) -> None:
        try:
            opened = await self._opened(partition)
        finally:
            if self._on_the_way.get(partition) is asyncio.current_task():
                del self._on_the_way[partition]
        self._work_on(partition, opened)
        self._begin(partition)
        self._tell_ready()

    async def _opened(self, partition: Partition) -> Opened:
        """Try until the brokers answer."""
        fenced = attempts = 0
        assignment = self._assignment
        while True:
            if assignment != self._assignment:
                fenced, assignment = 0, self._assignment  # the other one may have lost it now
            try:
                return await self._opening.open(partition)
            except TransactionExpiredError as error:
                raise FatalError(f"{error}: raise delivery.transaction_timeout") from error
            except FencedError:
                fenced += 1
                if fenced > MOST_TROUBLES:
                    raise self._troubles.two_services(partition) from None
                _log.warning("%s: another member is taking it over, too", partition)
            except (KafkaError, BrokerUnavailableError) as error:
                if not is_passing(error):
                    raise explain(error, self._settings) from error
                _log.warning("%s: no answer while it is taken over (%r)", partition, error)
                attempts += 1
                if attempts >= MOST_TROUBLES:
                    await self._troubles.check_topics()
            await asyncio.sleep(RETRY_S)

    def _work_on(self, partition: Partition, opened: Opened) -> None:
        self._troubles.avoid(partition, opened.task)
        pipeline = Pipeline(
            self._settings,
            partition,
            opened.task,
            opened.producer,
            opened.kept,
            self._threads,
            self._pace,
            self._troubles.size(partition),
            self._counters,
            self._hooks.on_room,
            self._hooks.on_step,
        )
        pipeline.committed = opened.committed
        pipeline.watch(self._watched)
        self.pipelines[partition] = pipeline
        runs = {"pipeline": pipeline.run()}
        if pipeline.delivery is not None:
            runs["delivery"] = pipeline.delivery.run()
        if pipeline.committer is not None:
            runs["committer"] = pipeline.committer.run()
        self._tasks[partition] = tasks = [
            asyncio.create_task(run, name=f"{name} {partition}") for name, run in runs.items()
        ]
        for each in tasks:
            each.add_done_callback(lambda ended: self._ended(pipeline, ended))

    # -- giving up ----------------------------------------------------------------------------

    async def _give_up(self, partition: Partition) -> None:
        """Stop opening a partition."""
        task = self._on_the_way.pop(partition, None)
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    async def _drop_failed(self, pipeline: Pipeline) -> None:
        """Forget a pipeline, unless another one has taken its place already."""
        if self.pipelines.get(pipeline.partition) is pipeline:
            await self._drop(pipeline.partition)

    async def _drop(self, partition: Partition) -> None:
        """Forget a partition, and what of it is not committed."""
        pipeline = self.pipelines.pop(partition, None)
        for task in self._tasks.pop(partition, ()):
            task.cancel()
        if pipeline is not None:
            await pipeline.stop()

    async def finish(self) -> None:
        """Process and deliver what was taken, and commit it where state is kept.

        Raises:
            DrainError: some of it could not be committed.
        """
        self._assignment += 1
        await asyncio.gather(*map(self._give_up, list(self._on_the_way)))
        halts = [pipeline.halt() for pipeline in self.pipelines.values()]
        for outcome in await asyncio.gather(*halts, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome

    async def stop(self) -> None:
        """Disconnect everything."""
        self._assignment += 1
        for task in self._on_the_way.values():
            task.cancel()
        for tasks in self._tasks.values():
            for task in tasks:
                task.cancel()
        await asyncio.gather(*(pipeline.stop() for pipeline in self.pipelines.values()))
        await self._opening.stop()

    def recover(self, pipeline: Pipeline, error: BaseException) -> None:
        """Give the partition up, and take it over anew: its state is that of the last commit."""
        self._hooks.spawn(self._recover(pipeline, error), f"recovery {pipeline.partition}")

    def _count_failure(self, partition: Partition, error: BaseException) -> None:
        expired = isinstance(error, TransactionExpiredError)
        fenced = isinstance(error, FencedError) and not expired
        self._counters.failures["fenced" if fenced else "failed"] += 1
        topic = self._settings.output_topic(partition.topic)
        self._counters.publish_errors[topic, type(error).__name__] += 1

    # -- trouble ------------------------------------------------------------------------------

    def _ended(self, pipeline: Pipeline, task: "asyncio.Task[None]") -> None:
        if task.cancelled() or self.pipelines.get(pipeline.partition) is not pipeline:
            return
        error = task.exception() or FatalError(f"{task.get_name()} ended")
        if isinstance(error, _RECOVERABLE) and pipeline.committer is not None:
            self.recover(pipeline, error)
        else:
            self._hooks.fail(error)

    def _is_ours(self, partition: Partition) -> bool:
        return partition in self._assigned and self._consumer.is_member

    async def _recover(self, pipeline: Pipeline, error: BaseException) -> None:
        partition = pipeline.partition
        assignment = self._assignment
        if self.pipelines.get(partition) is not pipeline:
            return
        self._consumer.park(partition)
        self._recovering.add(partition)
        await self._drop(partition)
        self._counters.recoveries += 1
        self._count_failure(partition, error)
        await self._troubles.meet(pipeline, error, lambda: self._is_ours(partition))
        self._recovering.discard(partition)
        is_here = partition in self.pipelines or partition in self._on_the_way
        if assignment == self._assignment and partition in self._assigned and not is_here:
            self._open(partition)
