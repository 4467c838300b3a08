"""Answers that refuse a request, made up by the proxy: the broker never sees the request.

Only the versions that aiokafka 0.14 speaks; see reliability.md 7.
"""

import struct
from collections.abc import Callable

from . import links
from .frames import Reader

VERSIONS = {
    links.PRODUCE: 7,
    links.HEARTBEAT: 1,
    links.INIT_PRODUCER_ID: 0,
    links.ADD_PARTITIONS: 0,
    links.ADD_OFFSETS: 0,
    links.END_TXN: 0,
    links.TXN_OFFSET_COMMIT: 0,
}
NO_THROTTLE = struct.pack(">i", 0)


def refusal(api_key: int, request: bytes, code: int) -> bytes:
    """The frame that answers `request`, header included, with an error.

    Raises:
        ValueError: the client speaks another version than this module.
    """
    reader = Reader(request)
    found, version, correlation = reader.int16(), reader.int16(), reader.int32()
    reader.text()  # client id
    if found != api_key or version != VERSIONS[api_key]:
        raise ValueError(f"request {found} version {version}: only {VERSIONS} are known")
    return struct.pack(">i", correlation) + _BODIES[api_key](reader, code)


def _plain(_reader: Reader, code: int) -> bytes:
    return NO_THROTTLE + struct.pack(">h", code)


def _init_producer_id(_reader: Reader, code: int) -> bytes:
    return NO_THROTTLE + struct.pack(">hqh", code, -1, -1)


def _add_partitions(reader: Reader, code: int) -> bytes:
    reader.text()  # transactional id
    reader.skip(8 + 2)  # producer id and epoch
    return NO_THROTTLE + _by_partition(reader, code, lambda: None)


def _txn_offset_commit(reader: Reader, code: int) -> bytes:
    reader.text()  # transactional id
    reader.text()  # group
    reader.skip(8 + 2)  # producer id and epoch

    def offset_and_metadata() -> None:
        reader.skip(8)
        reader.text()

    return NO_THROTTLE + _by_partition(reader, code, offset_and_metadata)


def _produce(reader: Reader, code: int) -> bytes:
    reader.text()  # transactional id
    reader.skip(2 + 4)  # acks and timeout

    def records() -> None:
        reader.skip(reader.int32())

    more = struct.pack(">qqq", -1, -1, -1)  # base offset, timestamp, log start
    return _by_partition(reader, code, records, more) + NO_THROTTLE


def _by_partition(
    reader: Reader, code: int, skip_rest: Callable[[], None], more: bytes = b""
) -> bytes:
    """The same error for each partition of each topic in the request."""
    topics = reader.int32()
    answer = struct.pack(">i", topics)
    for _ in range(topics):
        name = reader.text().encode()
        partitions = reader.int32()
        answer += struct.pack(">h", len(name)) + name + struct.pack(">i", partitions)
        for _ in range(partitions):
            answer += struct.pack(">ih", reader.int32(), code) + more
            skip_rest()
    return answer


_BODIES: dict[int, Callable[[Reader, int], bytes]] = {
    links.PRODUCE: _produce,
    links.HEARTBEAT: _plain,
    links.INIT_PRODUCER_ID: _init_producer_id,
    links.ADD_PARTITIONS: _add_partitions,
    links.ADD_OFFSETS: _plain,
    links.END_TXN: _plain,
    links.TXN_OFFSET_COMMIT: _txn_offset_commit,
}
