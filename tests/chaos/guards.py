"""What keeps the service right, and what goes wrong without it: each guard can be taken away.

A process under test that runs without one must be found out by the faults named here; this shows
that the suite can fail.

    python -m tests.chaos.run --without fencing
"""

import asyncio
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiokafka.producer.sender import Sender

from stream_ewma.engine.changes import Changes
from stream_ewma.kafka.committer import Committer
from stream_ewma.kafka.delivery import Delivery
from stream_ewma.kafka.partition import Partition
from stream_ewma.kafka.sending import RawSender
from stream_ewma.kafka.transactions import TransactionalProducer
from stream_ewma.service import opening
from stream_ewma.service.opening import Opened, Opening
from stream_ewma.service.positions import Known, Start

from .settings import Guarantee

EVERY_NTH = 50


@dataclass(frozen=True)
class Guard:
    """Something that keeps the service right.

    Attributes:
        what: in words.
        remove: takes it away from this process.
        faults: those that show its absence.
        guarantee: under which it shows.
    """

    what: str
    remove: Callable[[], None]
    faults: tuple[str, ...]
    guarantee: Guarantee = "exactly_once"


def _replace(owner: Any, name: str, value: Any) -> None:
    setattr(owner, name, value)


def _without_fencing() -> None:
    def producer(self: Opening, partition: Partition) -> TransactionalProducer:
        name = f"{self.settings.application_id}-{partition}-{uuid.uuid4().hex}"
        return self.parts.producer(self.settings, name)

    _replace(Opening, "producer", producer)


def _fencing_last() -> None:
    async def open_(self: Opening, partition: Partition) -> Opened:
        producer = self.producer(partition)
        opened = await self._with_state(partition, producer)
        await producer.start()
        return opened

    _replace(Opening, "open", open_)


def _ending_twice() -> None:
    _replace(RawSender, "_do_txn_commit", Sender._do_txn_commit)


def _unacknowledged() -> None:
    def settle(
        self: TransactionalProducer, ours: "asyncio.Future[None]", theirs: "asyncio.Future[object]"
    ) -> None:
        _ = theirs.cancelled() or theirs.exception()
        self._unsettled.discard(ours)
        if not ours.done():
            ours.set_result(None)

    _replace(TransactionalProducer, "_settle", settle)


def _group_offset() -> None:
    def start(_partition: Partition, known: Known, _settings: object) -> Start:
        return Start(known.first if known.committed is None else known.committed)

    _replace(opening, "start_with_state", start)


def _some_rows() -> None:
    note = Changes.note
    _replace(Changes, "note", lambda self, slots: note(self, slots[slots % EVERY_NTH != 0]))


def _committed_before_delivered() -> None:
    async def wait_delivered(_self: Delivery, _offset: int) -> None:
        return

    _replace(Delivery, "wait_delivered", wait_delivered)


def _outputs_apart() -> None:
    """Outputs are committed at once, and state and position in a transaction of their own."""
    end = Committer._end

    async def end_apart(self: Committer, cut: Any) -> None:
        while self._sent:
            await asyncio.wait({self._sent[0][1]})
            self._check_sent()
        if self._producer.in_transaction:
            await self._producer.commit({})
        await end(self, cut)

    _replace(Committer, "_end", end_apart)


GUARDS: Mapping[str, Guard] = {
    "fencing": Guard(
        "one transactional id a partition, the same for whoever has it",
        _without_fencing,
        ("K3 stop", "K5 stop", "long freeze"),
    ),
    "fence first": Guard(
        "the fence stands before state and offsets are read", _fencing_last, ("before-K8 stop",)
    ),
    "end once": Guard(
        "the end of a transaction is asked for once",
        _ending_twice,
        ("hold request EndTxn",),
    ),
    "acknowledged": Guard(
        "every batch is acknowledged before the commit",
        _unacknowledged,
        ("refuse 0 with 10",),
    ),
    "marker": Guard(
        "the position is that of the changelog, not the group's", _group_offset, ("delete offsets",)
    ),
    "all rows": Guard("every changed row is written", _some_rows, ("kill all",)),
    "one transaction": Guard(
        "outputs, rows and position are in one transaction",
        _outputs_apart,
        ("K3 kill", "K4 kill", "K5 kill"),
    ),
    "delivered": Guard(
        "outputs are acknowledged before the position behind them is committed",
        _committed_before_delivered,
        ("late outputs",),
        "at_least_once",
    ),
}
