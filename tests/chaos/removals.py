"""How a process does without what keeps it right; `guards.py` says what each is."""

import asyncio
import time
import uuid
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from aiokafka import TopicPartition
from aiokafka.producer.sender import Sender, SendProduceReqHandler
from numpy.typing import NDArray

from stream_ewma.cli import run as run_command
from stream_ewma.columns import Int32, Int64, Spans, UInt8
from stream_ewma.engine import restoring, series
from stream_ewma.engine.changelog import TOMBSTONE, ChangelogError, kinds_of
from stream_ewma.engine.changes import Changes
from stream_ewma.engine.configuration import Configuration
from stream_ewma.engine.converting import Moved
from stream_ewma.engine.dead_letters import Reason
from stream_ewma.engine.keys import Found, KeyTable
from stream_ewma.engine.outgoing import Destination, Outgoing
from stream_ewma.engine.task import PartitionTask
from stream_ewma.errors import BrokerUnavailableError
from stream_ewma.kafka import committer, connect, consumer
from stream_ewma.kafka.committer import Committer
from stream_ewma.kafka.consumer import GroupConsumer
from stream_ewma.kafka.delivery import Delivery
from stream_ewma.kafka.partition import Partition
from stream_ewma.kafka.refusals import Refusal, examine
from stream_ewma.kafka.seams import RawConsumer
from stream_ewma.kafka.sending import RawSender
from stream_ewma.kafka.topic_state import TopicState
from stream_ewma.kafka.transactions import TransactionalProducer
from stream_ewma.records import reader
from stream_ewma.records.columns import RecordColumns
from stream_ewma.service import opening, partitions, positions, troubles
from stream_ewma.service.opening import Opened, Opening
from stream_ewma.service.positions import Known, Start, TopicIdentity, start_with_state
from stream_ewma.service.troubles import Troubles
from stream_ewma.settings import Settings

EVERY_NTH = 50
SHORT_SESSION_MS = 2_000
HOUR_MS = 3_600_000


def _replace(owner: Any, name: str, value: Any) -> None:
    setattr(owner, name, value)


def without_fencing() -> None:
    def producer(self: Opening, partition: Partition) -> TransactionalProducer:
        name = f"{self.settings.application_id}-{partition}-{uuid.uuid4().hex}"
        return self.parts.producer(self.settings, name)

    _replace(Opening, "producer", producer)


def fencing_last() -> None:
    async def open_(self: Opening, partition: Partition) -> Opened:
        producer = self.producer(partition)
        opened = await self._with_state(partition, producer)
        await producer.start()
        return opened

    _replace(Opening, "open", open_)


def ending_twice() -> None:
    _replace(RawSender, "_do_txn_commit", Sender._do_txn_commit)


def unacknowledged() -> None:
    def settle(
        self: TransactionalProducer, ours: "asyncio.Future[None]", theirs: "asyncio.Future[object]"
    ) -> None:
        _ = theirs.cancelled() or theirs.exception()
        self._unsettled.discard(ours)
        if not ours.done():
            ours.set_result(None)

    _replace(TransactionalProducer, "_settle", settle)


def group_offset() -> None:
    def start(_partition: Partition, known: Known, _settings: object) -> Start:
        return Start(known.first if known.committed is None else known.committed)

    _replace(opening, "start_with_state", start)


def some_rows() -> None:
    note = Changes.note
    _replace(Changes, "note", lambda self, slots: note(self, slots[slots % EVERY_NTH != 0]))


def committed_before_delivered() -> None:
    async def wait_delivered(_self: Delivery, _offset: int) -> None:
        return

    _replace(Delivery, "wait_delivered", wait_delivered)


def outputs_apart() -> None:
    """Outputs are committed at once, and state and position in a transaction of their own."""
    end = Committer._end

    async def end_apart(self: Committer, cut: Any) -> None:
        while self._sent:
            await asyncio.wait({self._sent[0][1]})
            self._check_sent()
        if self._producer.in_transaction:
            await self._producer.commit({})
            await self._producer.begin()
        await end(self, cut)

    _replace(Committer, "_end", end_apart)


def not_taken_up() -> None:
    _replace(partitions, "_RECOVERABLE", ())


def asked_once() -> None:
    """Neither client nor service does again what has failed."""
    _replace(SendProduceReqHandler, "_can_retry", lambda *_: False)
    not_taken_up()


def without_a_word() -> None:
    _replace(GroupConsumer, "is_member", True)


def short_session() -> None:
    """The least that the brokers allow, which is shorter than a short pause."""

    def make(**options: Any) -> RawConsumer:
        made: RawConsumer = RawConsumer(**{**options, "session_timeout_ms": SHORT_SESSION_MS})
        return made

    _replace(consumer, "RawConsumer", make)


def wall_clock() -> None:
    _replace(asyncio.BaseEventLoop, "time", lambda _self: time.time())


def deaf() -> None:
    _replace(asyncio.SelectorEventLoop, "add_signal_handler", lambda *_: None)


def left_running() -> None:
    async def stop(_self: TransactionalProducer) -> bool:
        return True

    _replace(TransactionalProducer, "stop", stop)


def plain_keys() -> None:
    """Keys that begin like those of the changelog's own records are written as they are."""

    def spans(self: KeyTable, slots: Int32, prefix: bytes = b"") -> Spans:
        keys = [self.key(slot) for slot in slots.tolist()]
        return Spans.of([key if key.startswith(b"\0") else prefix + key for key in keys])

    _replace(KeyTable, "spans", spans)


def offsets_guessed() -> None:
    """As aiokafka has it: None for a passing error, too."""

    async def committed(
        self: GroupConsumer, wanted: Iterable[Partition]
    ) -> dict[Partition, int | None]:
        ask = self._consumer.committed
        return {each: await ask(TopicPartition(each.topic, each.number)) for each in wanted}

    _replace(GroupConsumer, "committed", committed)


def any_topic() -> None:
    def start(partition: Partition, known: Known, settings: Settings) -> Start:
        known = replace(known, identity=TopicIdentity(None, None))
        return start_with_state(partition, known, settings)

    _replace(opening, "start_with_state", start)


def offset_not_compared() -> None:
    def start(partition: Partition, known: Known, settings: Settings) -> Start:
        return start_with_state(partition, replace(known, committed=None), settings)

    _replace(opening, "start_with_state", start)


def gap_passed_over() -> None:
    def start(_partition: Partition, _wanted: int, first: int, _settings: Settings) -> Start:
        return Start(first)

    _replace(positions, "_behind_a_gap", start)


def unfit_topics() -> None:
    _replace(TopicState, "problem", property(lambda _self: ""))


def gone_topics() -> None:
    async def check_topics(_self: Troubles) -> None:
        return

    _replace(Troubles, "check_topics", check_topics)


def any_checksum() -> None:
    def count_sound(_data: bytes | memoryview, batches: NDArray[np.void]) -> tuple[int, str]:
        return len(batches), ""

    _replace(reader, "_count_sound", count_sound)


def unknown_passed_over() -> None:
    """What cannot be understood is taken for the end of its key."""

    def kinds(records: RecordColumns) -> UInt8:
        try:
            return kinds_of(records)
        except ChangelogError:
            if len(records) == 1:
                return np.full(1, TOMBSTONE, np.uint8)
            halves = np.array_split(np.arange(len(records)), 2)
            return np.concatenate([kinds(records.take(half)) for half in halves])

    _replace(restoring, "kinds_of", kinds)


def forgotten_state() -> None:
    def move(words: Int64, own: Configuration, old: Configuration) -> Moved:
        count = len(words) // old.words
        return Moved(np.zeros(count * own.words, np.int64), True, np.ones(count, np.bool_))

    _replace(series, "move", move)


def dropped_letters() -> None:
    letters = PartitionTask._dead_letters

    def none(self: PartitionTask, records: RecordColumns, _reasons: list[Reason]) -> Outgoing:
        return letters(self, records.take(np.empty(0, np.int64)), [])

    _replace(PartitionTask, "_dead_letters", none)


def refused_letters_passed_over() -> None:
    async def examined(*given: Any) -> Refusal:
        refusal = await examine(*given)
        letters = Destination.DEAD_LETTERS
        others = [each for each in refusal.records if each.destination is not letters]
        return replace(refusal, records=others)

    _replace(troubles, "examine", examined)


def any_refusal_final() -> None:
    _replace(committer, "may_be_refusal", lambda _error: False)


def unbounded_keys() -> None:
    find = KeyTable.find

    def find_all(self: KeyTable, keys: Spans, insert: UInt8, **_options: bool) -> Found:
        return find(self, keys, insert, is_bounded=False)

    _replace(KeyTable, "find", find_all)


def no_deadline() -> None:
    serve = run_command._serve

    async def patient(settings: Settings, *, once: bool) -> None:
        delivery = settings.delivery.model_copy(update={"shutdown_timeout": HOUR_MS})
        await serve(settings.model_copy(update={"delivery": delivery}), once=once)

    _replace(run_command, "_serve", patient)


def hidden_refusal() -> None:
    def explain(_error: object, _settings: object, address: str) -> BrokerUnavailableError:
        return BrokerUnavailableError(f"{address}: no broker answers")

    _replace(connect, "explain", explain)


def uncommitted_input() -> None:
    def make(**options: Any) -> RawConsumer:
        made: RawConsumer = RawConsumer(**{**options, "isolation_level": "read_uncommitted"})
        return made

    _replace(consumer, "RawConsumer", make)
