"""Seeing that work goes on: what hangs is taken up anew once, and then ends the service.

Time is counted in the watchdog's own rounds: a process that was stopped for an hour has not hung
for an hour.
"""

import asyncio
import logging
import os
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from stream_ewma.errors import BrokerUnavailableError, FatalError, StateError
from stream_ewma.kafka import topics
from stream_ewma.kafka.consumer import GroupConsumer
from stream_ewma.kafka.errors import KafkaError
from stream_ewma.kafka.partition import Partition
from stream_ewma.service.partitions import Partitions
from stream_ewma.service.pipeline import Pipeline
from stream_ewma.service.positions import TopicIdentity
from stream_ewma.settings import Settings

_log = logging.getLogger(__name__)

ROUND_S: Final = 1.0
MOST_IDLE_ROUNDS: Final = 60
"""Rounds without a commit, with work to do, after which a partition counts as hung."""
_ROUNDS_BETWEEN_QUESTIONS: Final = 15
_MOST_UNANSWERED: Final = 2
"""Questions without an answer, in a row, after which the brokers count as gone."""
_QUESTIONS_BETWEEN_TOPICS: Final = 2
BLOCKED_S: Final = 60
"""Seconds without a turn of the event loop after which the process ends."""
_EXIT_BLOCKED: Final = 70


@dataclass(slots=True)
class _Watched:
    """One pipeline, as it was when it last got on."""

    pipeline: Pipeline
    committed: int | None
    idle_rounds: int = 0
    end: int = 0


@dataclass(slots=True)
class Watchdog:
    """Looks after the partitions of one worker.

    Attributes:
        settings: everything.
        consumer: asked whether it lives, and where the topics end.
        partitions: looked after.
        identities: the input topics as they were at the start.
    """

    settings: Settings
    consumer: GroupConsumer
    partitions: Partitions
    identities: Mapping[str, TopicIdentity]
    _watched: dict[Partition, _Watched] = field(default_factory=dict)
    _hung_before: set[Partition] = field(default_factory=set)
    _forgotten_rounds: int = 0
    _unanswered: int = 0
    _questions: int = 0

    @property
    def are_brokers_silent(self) -> bool:
        """Whether no broker has answered for some time: who has nothing to do sees it by this."""
        return self._unanswered >= _MOST_UNANSWERED

    async def run(self) -> None:
        """Look every second, for ever; cancel it to end.

        Raises:
            FatalError: something hangs, and taking it up anew has not helped.
            StateError: an input topic has become another one.
        """
        turn = 0
        asking: asyncio.Task[None] | None = None
        try:
            while True:
                await asyncio.sleep(ROUND_S)
                turn += 1
                if self.consumer.has_died:
                    raise FatalError("the Kafka client has stopped fetching: restart the service")
                self._update()
                if asking is not None and asking.done():
                    asking.result()
                    asking = None
                # Beside the rounds: brokers that do not answer must not stop the watch.
                if asking is None and turn % _ROUNDS_BETWEEN_QUESTIONS == 0:
                    asking = asyncio.create_task(self._ask(), name="watchdog's questions")
                for watched in list(self._watched.values()):
                    self._look(watched)
                self._look_for_forgotten()
        finally:
            if asking is not None:
                asking.cancel()
                # Nobody waits for its error any more.
                asking.add_done_callback(lambda ended: ended.cancelled() or ended.exception())

    async def _ask(self) -> None:
        """What the brokers alone know."""
        await self._ask_ends()
        self._questions += 1
        if self._questions % _QUESTIONS_BETWEEN_TOPICS == 0:
            await self._check_topics()

    def _update(self) -> None:
        """Watch the pipelines that are there now."""
        self._watched = {
            partition: self._watched.get(partition) or _Watched(pipeline, pipeline.committed)
            for partition, pipeline in self.partitions.pipelines.items()
            if pipeline.active and not pipeline.parked
        }
        for partition, watched in self._watched.items():
            pipeline = self.partitions.pipelines[partition]
            if watched.pipeline is not pipeline or watched.committed != pipeline.committed:
                if watched.pipeline is pipeline:
                    self._hung_before.discard(partition)
                watched.pipeline, watched.committed = pipeline, pipeline.committed
                watched.idle_rounds = 0

    def _look(self, watched: _Watched) -> None:
        pipeline = watched.pipeline
        position = pipeline.position
        if position == watched.committed and watched.end <= position:
            watched.idle_rounds = 0
            return
        watched.idle_rounds += 1
        # A transaction has its own time, and whoever sees it pass knows what to do.
        most = max(MOST_IDLE_ROUNDS, self.settings.delivery.transaction_timeout / 1000 / ROUND_S)
        if watched.idle_rounds < most:
            return
        partition = pipeline.partition
        error = FatalError(
            f"{partition}: no commit for {most:.0f} s, with work to do at offset {position}"
        )
        if partition in self._hung_before or pipeline.committer is None:
            raise error
        self._hung_before.add(partition)
        watched.idle_rounds = 0
        _log.warning("%s: taking the partition up anew", error)
        self.partitions.recover(pipeline, error)

    def _look_for_forgotten(self) -> None:
        forgotten = self.partitions.forgotten
        if not forgotten:
            self._forgotten_rounds = 0
        elif self.consumer.is_member:  # else the group has yet to say whose they are
            self._forgotten_rounds += 1
        if self._forgotten_rounds >= MOST_IDLE_ROUNDS:
            names = ", ".join(map(str, sorted(forgotten)))
            raise FatalError(
                f"{names}: assigned, but not taken over for {MOST_IDLE_ROUNDS} s: restart the "
                "service"
            )

    async def _ask_ends(self) -> None:
        """Where the topics end: a client that fetches nothing knows of no lag either."""
        some = self._watched or (Partition(self.settings.input.topics[0], 0),)
        try:
            async with asyncio.timeout(self.settings.kafka.request_timeout_ms / 1000):
                bounds = await self.consumer.bounds(some)
        except (TimeoutError, BrokerUnavailableError, KafkaError):
            self._unanswered += 1  # whoever has something to commit meets that, too
            return
        self._unanswered = 0
        for partition, (_, end) in bounds.items():
            if partition in self._watched:
                self._watched[partition].end = end

    async def _check_topics(self) -> None:
        """A topic that is another one now, or an input with more partitions, must not go on."""
        if not self.identities:
            return
        try:
            async with asyncio.timeout(self.settings.kafka.request_timeout_ms / 1000):
                now = await topics.identities(self.settings)
        except Exception:  # noqa: BLE001  no answer is no news; the next round asks again
            return
        for name, before in self.identities.items():
            topic_id, count = now.get(name, (None, None))
            if count is not None and count != before.partitions:
                raise StateError(
                    f"{name}: the topic has {count} partitions now, and had {before.partitions}: "
                    "keys may move to other partitions, where they would begin anew without a "
                    "word; restart the service to see what can be done"
                )
            if None not in (topic_id, before.topic_id) and topic_id != before.topic_id:
                raise StateError(
                    f"{name}: the topic was deleted and created anew; start the service again: it "
                    "says what can be done"
                )


class LoopGuard:
    """Ends the process if its event loop no longer turns.

    Args:
        loop: to be looked after, from a thread of the guard's own.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._ended = threading.Event()
        self._turned = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="loop guard", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._ended.set()

    def _watch(self) -> None:
        idle_rounds = 0
        while not self._ended.wait(ROUND_S):
            if self._turned.is_set() or idle_rounds == 0:
                self._turned.clear()
                idle_rounds = 0
                try:
                    self._loop.call_soon_threadsafe(self._turned.set)
                except RuntimeError:  # the loop has ended
                    return
            idle_rounds += 1
            if idle_rounds > BLOCKED_S:
                sys.stderr.write(f"the event loop has been blocked for {BLOCKED_S} s\n")
                sys.stderr.flush()
                os._exit(_EXIT_BLOCKED)
