"""The seams in aiokafka: what its code asks of the objects we put in its hands.

Nothing here is behaviour of ours. When a new aiokafka fails one of these tests, the message says
what moved; `seams.py` or `frames.py` in `stream_ewma/kafka` must follow before the version range
in `pyproject.toml` is widened.
"""

import ast
import inspect
import textwrap
from collections.abc import Callable
from importlib.metadata import requires, version

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka import client as client_module
from aiokafka import conn as conn_module
from aiokafka.consumer import consumer as consumer_module
from aiokafka.consumer import fetcher as fetcher_module
from aiokafka.producer import message_accumulator, sender, transaction_manager
from aiokafka.producer import producer as producer_module
from aiokafka.protocol import types as types_module
from aiokafka.protocol.struct import Struct
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.memory_records import MemoryRecords

from stream_ewma.kafka import frames, seams


def asked_of(code: object, name: str) -> set[str]:
    """Return the attributes that `code` reads of the variable or the `self` attribute `name`."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(code)))
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and (
            (isinstance(node.value, ast.Name) and node.value.id == name)
            or (isinstance(node.value, ast.Attribute) and node.value.attr == name)
        )
    }


def test_this_aiokafka_lies_in_the_range_the_package_asks_for():
    (wanted,) = (line for line in requires("stream-ewma") or () if line.startswith("aiokafka"))
    major, minor = version("aiokafka").split(".")[:2]

    assert f">={major}.{minor}" in wanted
    assert f"<{major}.{int(minor) + 1}" in wanted


@pytest.mark.parametrize(
    ("function", "name", "module"),
    [
        (fetcher_module.Fetcher._proc_fetch_request, "MemoryRecords", fetcher_module),
        (AIOKafkaConsumer.start, "Fetcher", consumer_module),
        (AIOKafkaConsumer.start, "GroupCoordinator", consumer_module),
        (AIOKafkaConsumer.__init__, "AIOKafkaClient", consumer_module),
        (AIOKafkaProducer.__init__, "AIOKafkaClient", producer_module),
        (AIOKafkaProducer.__init__, "Sender", producer_module),
        (AIOKafkaProducer.__init__, "MessageAccumulator", producer_module),
        (AIOKafkaProducer.__init__, "TransactionManager", producer_module),
        (sender.Sender._do_txn_commit, "EndTxnHandler", sender),
        (sender.Sender._sender_routine, "log", sender),
        (client_module.AIOKafkaClient._get_conn, "create_conn", client_module),
        (conn_module.create_conn, "AIOKafkaConnection", conn_module),
        (conn_module.AIOKafkaConnection.connect, "AIOKafkaProtocol", conn_module),
        (conn_module.AIOKafkaConnection.connect, "asyncio", conn_module),
        (conn_module.AIOKafkaConnection._handle_frame, "io", conn_module),
    ],
    ids=[
        "records of a fetch response",
        "fetcher of a consumer",
        "member of a group of a consumer",
        "client of a consumer",
        "client of a producer",
        "sender of a producer",
        "queue of a producer",
        "transactions of a producer",
        "end of a transaction",
        "log of a sender",
        "connection of a client",
        "class of a connection",
        "protocol of a connection",
        "reader of a connection",
        "decoder of a response",
    ],
)
def test_the_class_to_replace_is_looked_up_by_its_module_name(
    function: Callable[..., object], name: str, module: object
):
    assert name in function.__code__.co_names, (
        f"{function.__qualname__} no longer names {name}: replacing it there does nothing"
    )
    assert hasattr(module, name), f"{name} is no longer a name of {module}"
    assert inspect.unwrap(function).__closure__ is None, f"{function.__qualname__} has a closure"


def test_the_fetcher_asks_of_a_fetch_response_what_ours_answers():
    asked = asked_of(fetcher_module.PartitionRecords._unpack_records, "records") | asked_of(
        fetcher_module.Fetcher._proc_fetch_request, "records"
    )

    assert asked == {"has_next", "next_batch", "size_in_bytes"}
    assert all(callable(getattr(seams.RawRecords, name)) for name in asked)


def test_the_fetcher_asks_of_a_batch_what_ours_answers():
    reader = fetcher_module.PartitionRecords
    asked = asked_of(reader._unpack_records, "next_batch")

    assert asked == {
        "base_offset",
        "is_control_batch",
        "is_transactional",
        "next_offset",
        "producer_id",
        "validate_crc",
    }
    assert all(hasattr(seams.RawBatch, name) for name in asked)


def test_the_fetcher_reads_a_transactions_marker_as_an_iterator():
    source = inspect.getsource(fetcher_module.PartitionRecords._contains_abort_marker)

    assert "next(next_batch)" in source
    assert hasattr(DefaultRecordBatch, "__next__"), (
        "control batches go to aiokafka in its own form, which must answer `next`"
    )


def test_the_fetcher_asks_of_a_record_what_ours_answers():
    reader = fetcher_module.PartitionRecords
    asked = asked_of(reader._consumer_record, "record") | asked_of(reader._unpack_records, "record")

    assert asked == {
        "checksum",
        "headers",
        "key",
        "offset",
        "timestamp",
        "timestamp_type",
        "value",
    }
    assert all(hasattr(seams.PseudoRecord, name) for name in asked)


def test_the_records_class_takes_the_response_bytes_alone():
    assert fetcher_module.MemoryRecords is MemoryRecords
    call = next(
        node
        for node in ast.walk(ast.parse(inspect.getsource(fetcher_module)))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "MemoryRecords"
    )

    assert len(call.args) == 1
    assert not call.keywords


def test_another_consumer_of_the_process_keeps_its_own_reader():
    assert fetcher_module.Fetcher._proc_fetch_request.__globals__["MemoryRecords"] is MemoryRecords
    assert AIOKafkaConsumer.start.__globals__["Fetcher"] is fetcher_module.Fetcher


def test_a_batch_is_handed_to_the_producer_with_its_topic_and_partition():
    parameters = inspect.signature(AIOKafkaProducer.send_batch).parameters

    assert list(parameters) == ["self", "batch", "topic", "partition"]
    assert inspect.iscoroutinefunction(AIOKafkaProducer.send_batch)


def test_the_producer_asks_of_a_batch_what_ours_answers():
    # `append` serves `producer.send` alone, which puts its records into builders of its own.
    asked = asked_of(message_accumulator.MessageBatch, "_builder") - {"append"}
    asked |= asked_of(message_accumulator.MessageAccumulator, "_builder")

    assert asked == {"_build", "_set_producer_state", "close", "closed", "record_count"}
    assert all(callable(getattr(seams.FinishedBatch, name)) for name in asked)


def test_the_producer_never_looks_into_a_batch_but_through_the_accumulator():
    assert not asked_of(sender, "_builder")


def test_a_builders_identity_is_producer_epoch_and_sequence():
    theirs = inspect.signature(message_accumulator.BatchBuilder._set_producer_state).parameters
    ours = inspect.signature(seams.FinishedBatch._set_producer_state).parameters

    assert len(theirs) == len(ours) == 4
    assert list(theirs)[1:] == ["producer_id", "producer_epoch", "base_sequence"]


def test_a_connection_asks_of_asyncio_and_io_what_is_replaced():
    connection = conn_module.AIOKafkaConnection

    assert asked_of(connection.connect, "asyncio") == {"StreamReader", "StreamWriter"}
    assert asked_of(connection._handle_frame, "io") == {"BytesIO"}


def test_a_connection_asks_of_its_reader_what_ours_answers():
    connection = conn_module.AIOKafkaConnection
    asked = asked_of(connection._read, "reader") | asked_of(connection, "_reader")

    assert asked == {"at_eof", "readexactly"}


def test_a_response_is_decoded_by_reading_from_front_to_back():
    assert asked_of(types_module, "data") == {"read"}
    assert asked_of(Struct.decode, "data") == set()
    assert callable(frames._Frame.read)


def test_a_connection_sends_a_request_in_the_steps_that_ours_repeats():
    """`RawConnection.send` stands in for this; another step here may be needed there."""
    send = conn_module.AIOKafkaConnection.send

    assert asked_of(send, "self") == {
        "_client_id",
        "_host",
        "_loop",
        "_next_correlation_id",
        "_port",
        "_request_timeout",
        "_requests",
        "_versions",
        "_writer",
        "close",
    }
    assert asked_of(send, "_requests") == {"append"}
    assert asked_of(send, "_writer") == {"drain", "write"}
    assert asked_of(send, "request") == {"prepare"}
    assert asked_of(send, "request_struct") == {"build_request_header", "encode"}
    assert list(inspect.signature(send).parameters) == ["self", "request", "expect_response"]


def test_the_end_of_a_transaction_is_asked_for_in_the_steps_that_ours_repeats():
    """`EndTransactionOnce.do` stands in for this; another step here may be needed there."""
    do = sender.EndTxnHandler.do

    assert do is sender.BaseHandler.do, "EndTxnHandler has a `do` of its own now"
    assert list(inspect.signature(do).parameters) == ["self", "node_id"]
    assert asked_of(do, "self") == {
        "_default_backoff",
        "_sender",
        "create_request",
        "group",
        "handle_error",
        "handle_response",
    }
    assert asked_of(do, "client") == {"send"}


def test_another_producer_of_the_process_keeps_its_own_sender():
    assert AIOKafkaProducer.__init__.__globals__["Sender"] is sender.Sender
    assert sender.Sender._do_txn_commit.__globals__["EndTxnHandler"] is sender.EndTxnHandler


def test_the_sender_writes_nothing_but_its_end_to_the_log_that_is_replaced():
    assert asked_of(sender.Sender._sender_routine, "log") == {"exception"}


def test_the_senders_requests_are_made_where_ours_remembers_them():
    """`RawSender` remembers the tasks of these; a request made elsewhere would outlive its end."""
    made = {
        name
        for name, function in inspect.getmembers(sender.Sender, inspect.isfunction)
        if "create_task" in function.__code__.co_names
    }

    assert made == {"start", "_sender_routine", "_maybe_do_transactional_request"}
    assert "_send_produce_req" in sender.Sender._sender_routine.__code__.co_names


def test_a_failed_batch_tells_whoever_waits_for_its_place_in_the_queue():
    assert "_drain_waiter" in message_accumulator.MessageBatch.failure.__code__.co_names
    assert asked_of(message_accumulator.MessageAccumulator.fail_all, "self") == {
        "_batches",
        "_exception",
        "_pending_batches",
    }


def test_the_transactions_fail_where_ours_remembers_it():
    manager = transaction_manager.TransactionManager
    failing = {
        name
        for name, function in inspect.getmembers(manager, inspect.isfunction)
        if {"_transaction_waiter", "set_exception"} <= set(function.__code__.co_names)
    }

    assert failing == {"error_transaction", "fatal_error"}
    assert list(inspect.signature(manager.__init__).parameters) == [
        "self",
        "transactional_id",
        "transaction_timeout_ms",
    ]
