"""What went wrong with a partition, and how the next attempt does without it."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from stream_ewma.engine.outgoing import Destination, Origin, OutgoingBatch
from stream_ewma.engine.task import PartitionTask
from stream_ewma.errors import BrokerUnavailableError, FatalError, StreamEwmaError
from stream_ewma.events import fields
from stream_ewma.kafka import topics
from stream_ewma.kafka.committer import RefusedError
from stream_ewma.kafka.delivery import destinations
from stream_ewma.kafka.errors import (
    FencedError,
    KafkaError,
    TransactionExpiredError,
    explain,
    is_passing,
)
from stream_ewma.kafka.partition import Partition
from stream_ewma.kafka.refusals import examine
from stream_ewma.service.opening import Opening
from stream_ewma.service.pipeline import Pipeline
from stream_ewma.service.sizing import TransactionSize
from stream_ewma.settings import Settings

_log = logging.getLogger(__name__)

RETRY_S: Final = 0.5
MOST_TROUBLES: Final = 3


class Troubles:
    """What outlives a pipeline: refused records, sizes that the brokers take, failures in a row.

    Args:
        settings: everything.
        opening: makes producers.
    """

    def __init__(self, settings: Settings, opening: Opening) -> None:
        self._settings = settings
        self._opening = opening
        self._refused: dict[Partition, frozenset[Origin]] = {}
        self._batch_bytes: dict[Partition, int] = {}
        self._sizes: dict[Partition, TransactionSize] = {}
        self._in_a_row: Counter[Partition] = Counter()
        self._fences: Counter[Partition] = Counter()

    def size(self, partition: Partition) -> TransactionSize:
        """How many records a transaction of the partition takes in."""
        delivery = self._settings.delivery
        fresh = TransactionSize(delivery.commit_max_records, delivery.transaction_timeout / 1000)
        return self._sizes.setdefault(partition, fresh)

    def avoid(self, partition: Partition, task: PartitionTask) -> None:
        """Tell a task what the brokers have refused of its partition."""
        known = self._refused.get(partition, frozenset())
        still_ahead = frozenset(origin for origin in known if origin[0] >= task.position)
        self._refused[partition] = task.refused_outputs = still_ahead
        task.max_batch_bytes = self._batch_bytes.get(partition, task.max_batch_bytes)

    def begin_anew(self, partition: Partition) -> None:
        """The group has given the partition to this member, which did not have it."""
        del self._in_a_row[partition]

    def assigned(self) -> None:
        """The group has given out its partitions: who was fenced before may have lost his."""
        self._fences.clear()

    async def meet(
        self, pipeline: Pipeline, error: BaseException, is_ours: Callable[[], bool]
    ) -> None:
        """Learn what can be learned from a failure, and wait for as long as it asks for.

        Raises:
            StreamEwmaError: another attempt would not help.
        """
        partition = pipeline.partition
        if pipeline.has_committed:
            self._in_a_row[partition] = self._fences[partition] = 0
        self._in_a_row[partition] += 1
        is_counted_apart = isinstance(error, FencedError)  # expired ones among them
        if self._in_a_row[partition] > MOST_TROUBLES and not (
            is_passing(error) or is_counted_apart
        ):
            raise explain(error, self._settings) from error
        if isinstance(error, RefusedError):
            await self._note_refused(partition, error.batch, is_ours)
        elif isinstance(error, TransactionExpiredError):
            self._note_expired(pipeline, error)
            # It may have slept, and be fenced: see below.
            await asyncio.sleep(2 * self._settings.kafka.heartbeat_interval_ms / 1000)
        elif isinstance(error, FencedError):
            _log.warning(
                "%s: fenced: another member has taken it over",
                partition,
                extra=_failed(partition, error),
            )
            self._fences[partition] += 1
            if self._fences[partition] == MOST_TROUBLES:
                raise self.two_services(partition)
            # A member that slept too long learns from the group that it has lost the partition.
            await asyncio.sleep(2 * self._settings.kafka.heartbeat_interval_ms / 1000)
        else:
            _log.warning(
                "%s: not committed (%s): going back to the last commit",
                partition,
                error,
                extra=_failed(partition, error),
            )
            if self._in_a_row[partition] >= MOST_TROUBLES:
                await self.check_topics()
            await asyncio.sleep(RETRY_S)

    def _note_expired(self, pipeline: Pipeline, error: TransactionExpiredError) -> None:
        """The next transactions are smaller, until they end in time.

        If the smallest do not either, brokers are overloaded or out of reach: the other partitions
        may be well, and a new process would be no better off.
        """
        partition, size = pipeline.partition, self.size(pipeline.partition)
        if size.is_least and self._in_a_row[partition] > MOST_TROUBLES:
            _log.warning(
                "%s: even transactions of %d records take longer than "
                "delivery.transaction_timeout: look at the brokers that lead its topics, their "
                "load and this machine's, or raise it",
                partition,
                size.limit,
            )
        size.expired(pipeline.uncommitted)
        _log.warning(
            "%s: not committed (%s): going back to the last commit, with at most %d records to a "
            "transaction for now",
            partition,
            error,
            size.limit,
            extra=_failed(partition, error),
        )

    async def check_topics(self) -> None:
        """A topic that is gone is no passing error, though the client takes it for one.

        Raises:
            TopicError: one is missing or does not fit.
        """
        with suppress(KafkaError, BrokerUnavailableError, TimeoutError):
            async with asyncio.timeout(self._settings.kafka.request_timeout_ms / 1000):
                await topics.verify(self._settings)

    async def _note_refused(
        self, partition: Partition, batch: OutgoingBatch, is_ours: Callable[[], bool]
    ) -> None:
        """Find out what the broker refuses; the next attempt does without it."""
        names = destinations(self._settings, partition)
        try:
            refusal = await examine(
                lambda: self._opening.producer(partition),
                names,
                partition.number,
                batch,
                is_ours,
            )
        except KafkaError as error:
            if is_passing(error) or isinstance(error, FencedError):
                return  # the next attempt comes here again
            raise explain(error, self._settings) from error
        found = refusal.records
        if found:
            self._in_a_row[partition] = 0
        elif refusal.halvings:
            self._in_a_row[partition] = 0
            smaller = max(batch.max_batch_bytes >> refusal.halvings, 1)
            self._batch_bytes[partition] = smaller
            _log.warning(
                "%s: the broker refuses batches of this size: cutting them at %d bytes; set "
                "output.max_batch_bytes below max.message.bytes of %s",
                partition,
                smaller,
                names[batch.destination],
            )
        for record in found:
            offset = int(record.source().offset[0])
            where = f"{partition}@{offset}"
            if record.destination is Destination.DEAD_LETTERS:
                raise FatalError(
                    f"{where}: the broker refuses the record's dead letter too: raise "
                    f"max.message.bytes of {names[record.destination]}, or set "
                    "dead_letters.on_error: skip"
                )
            _log.warning("%s: the broker refuses the smoothed record", where)
        self._refused[partition] = self._refused.get(partition, frozenset()).union(
            origin for record in found for origin in record.origins()
        )

    def two_services(self, partition: Partition) -> StreamEwmaError:
        """The error to raise when fencing does not end."""
        return FatalError(
            f"{partition}: fenced again and again: another service uses application_id "
            f"{self._settings.application_id}, too: give each its own"
        )


def _failed(partition: Partition, error: BaseException) -> dict[str, Any]:
    return fields(
        "commit_failed",
        topic=partition.topic,
        partition=partition.number,
        error_type=type(error).__name__,
        error_message=str(error),
    )
