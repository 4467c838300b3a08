"""What passes through the seams in aiokafka, without a broker."""

import asyncio
import gc
from types import SimpleNamespace

import crc32c
import pytest
from aiokafka import TopicPartition
from aiokafka.errors import (
    KafkaError,
    ProducerFenced,
    RequestTimedOutError,
    UnknownTopicOrPartitionError,
)
from aiokafka.record.default_records import DefaultRecordBatch

from stream_ewma.errors import BrokerUnavailableError
from stream_ewma.kafka.errors import FencedError, explain
from stream_ewma.kafka.producer import PartitionProducer
from stream_ewma.kafka.seams import RawBatch, RawRecords
from stream_ewma.kafka.sending import ProduceTold, RawAccumulator, RawSender, RawTransactionManager
from stream_ewma.kafka.transactions import TransactionalProducer
from stream_ewma.records.fetched import RunKind
from stream_ewma.settings import load_settings
from tests.support.batches import Record, runs_of

SETTINGS = load_settings(overrides={"input.topics": ["readings"], "smoothing.alpha": 0.5}, env={})
CRC, ATTRIBUTES = 17, 21
CONTROL, TRANSACTIONAL = 0x20, 0x10


def control_batch() -> bytearray:
    (run,) = runs_of([Record(b"\0\0\0\0", b"\0" * 6)])
    data = bytearray(run.data)
    data[ATTRIBUTES + 1] |= CONTROL | TRANSACTIONAL
    data[CRC:ATTRIBUTES] = crc32c.crc32c(data[ATTRIBUTES:]).to_bytes(4, "big")
    return data


def test_a_sound_control_batch_is_left_to_aiokafka() -> None:
    batch = RawRecords(bytes(control_batch())).next_batch()

    assert isinstance(batch, DefaultRecordBatch)
    assert batch.is_control_batch


def test_a_damaged_control_batch_decides_nothing_and_parks_the_partition() -> None:
    data = control_batch()
    data[-1] ^= 1

    batch = RawRecords(bytes(data)).next_batch()

    assert isinstance(batch, RawBatch)
    assert not batch.is_transactional
    assert batch.producer_id is None
    (record,) = batch
    assert record.value.run.kind is RunKind.UNREADABLE
    assert "CRC" in record.value.run.reason


async def test_a_partition_that_the_output_does_not_have_is_named() -> None:
    class Client:
        async def send_batch(self, *_arguments: object, partition: int) -> None:
            raise AssertionError("Unrecognized partition")

    producer = PartitionProducer(SETTINGS)
    producer._producer = Client()

    with pytest.raises(UnknownTopicOrPartitionError, match="out has no partition 8"):
        await producer.send(None, "out", 8)


def sender() -> RawSender:
    return RawSender(
        None,
        acks=-1,
        txn_manager=None,
        message_accumulator=SimpleNamespace(fail_all=lambda _error: None),
        retry_backoff_ms=100,
        request_timeout_ms=1000,
    )


@pytest.mark.parametrize(
    ("answers", "refusal"),
    [
        ([19], "NotEnoughReplicasError"),
        ([19, 0], None),  # it got in after all
        ([7], None),  # the acknowledgement was late: less at a time may help
        ([10], None),  # not sent again, so whoever sent it was told
        ([], None),
    ],
)
async def test_a_sender_knows_what_keeps_a_batch_from_getting_in(
    answers: list[int], refusal: str | None
) -> None:
    asked = sender()
    batch = SimpleNamespace(
        done=lambda *_told: None, failure=lambda **_told: None, expired=lambda: False
    )
    for code in answers:
        request = ProduceTold(asked, {TopicPartition("out", 3): batch})
        request.handle_response(
            SimpleNamespace(API_VERSION=7, topics=[("out", [(3, code, 5, -1, 0)])])
        )

    known = asked.refusal
    assert (known and type(known).__name__) == refusal


async def test_a_killed_sender_leaves_no_request_under_way() -> None:
    killed = sender()
    requests = [asyncio.create_task(asyncio.Event().wait()) for _ in range(2)]
    for request in requests:
        killed._remember(request)

    assert await killed.kill()

    assert all(request.cancelled() for request in requests)


async def test_a_request_that_fails_behind_its_sender_is_not_reported() -> None:
    reports: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, report: reports.append(report))

    async def fail() -> None:
        raise KafkaError

    request = asyncio.create_task(fail())
    sender()._remember(request)
    await asyncio.wait({request})
    del request
    gc.collect()

    assert reports == []


def test_a_sender_that_ends_before_a_transaction_is_remembered() -> None:
    async def fail() -> RawTransactionManager:
        manager = RawTransactionManager("id", 1000)
        manager.fatal_error(KafkaError("ended"))
        return manager

    assert str(asyncio.run(fail()).failure) == "KafkaError: ended"


@pytest.mark.parametrize("end", ["fatal_error", "error_transaction"])
async def test_offsets_that_nobody_waits_for_any_more_are_nobodys_error(end: str) -> None:
    reported: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _loop, context: reported.append(context)
    )
    manager = RawTransactionManager("id", 1000)
    manager.set_pid_and_epoch(1, 1)
    manager.begin_transaction()
    manager.add_offsets_to_txn({}, "group")
    getattr(manager, end)(KafkaError("ended"))
    del manager
    await asyncio.sleep(0)
    gc.collect()

    assert reported == []


async def test_what_the_producer_died_of_is_told_however_aiokafka_puts_it() -> None:
    producer = TransactionalProducer(SETTINGS, "app-readings-0")
    producer._producer = SimpleNamespace(
        _txn_manager=SimpleNamespace(failure=ProducerFenced()),
        begin_transaction=None,
    )

    with pytest.raises(FencedError, match="app-readings-0: a newer producer"):
        await producer.begin()


class Batch(SimpleNamespace):
    """As much of aiokafka's as its queue looks at."""

    __hash__ = object.__hash__


async def test_a_batch_that_fails_while_it_waits_to_be_sent_again_is_no_complaint() -> None:
    loop = asyncio.get_running_loop()
    reports: list[dict[str, object]] = []
    loop.set_exception_handler(lambda _loop, report: reports.append(report))
    accumulator, future = RawAccumulator(None, 1000, 0, 1.0), loop.create_future()
    batch = Batch(
        tp="readings-0",
        retry_count=0,
        future=future,
        drain_ready=lambda: None,
        reset_drain=lambda: None,
        failure=future.set_exception,
        _drain_waiter=loop.create_future(),
    )
    batch._drain_waiter.set_exception(KafkaError())
    accumulator._batches["readings-0"].append(batch)
    accumulator.reenqueue(accumulator._pop_batch("readings-0"))

    accumulator.fail_all(KafkaError("the producer was killed"))
    future.exception()
    await asyncio.sleep(0)

    assert reports == []


def test_no_answer_in_time_means_no_broker() -> None:
    assert isinstance(explain(RequestTimedOutError(), SETTINGS), BrokerUnavailableError)
