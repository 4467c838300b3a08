"""Record batches byte by byte in plain Python: what the kernels must equal."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from crc32c import crc32c

Headers = tuple[tuple[str, bytes | None], ...]


@dataclass(frozen=True)
class Record:
    """One record, as its client gave it."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


def varint(value: int) -> bytes:
    zigzag = 2 * value if value >= 0 else -2 * value - 1
    out = bytearray()
    while zigzag >= 128:
        out.append(zigzag % 128 + 128)
        zigzag //= 128
    return bytes([*out, zigzag])


def nullable(data: bytes | None) -> bytes:
    return varint(-1) if data is None else varint(len(data)) + data


def headers_bytes(headers: Headers) -> bytes:
    return b"".join(nullable(key.encode()) + nullable(value) for key, value in headers)


def record_bytes(record: Record, base_offset: int, base_timestamp: int) -> bytes:
    body = (
        b"\x00"
        + varint(record.timestamp - base_timestamp)
        + varint(record.offset - base_offset)
        + nullable(record.key)
        + nullable(record.value)
        + varint(len(record.headers))
        + headers_bytes(record.headers)
    )
    return varint(len(body)) + body


def batch_bytes(
    records: Sequence[Record],
    *,
    base_offset: int | None = None,
    last_offset: int | None = None,
    attributes: int = 0,
    base_timestamp: int | None = None,
    max_timestamp: int | None = None,
    producer_id: int = -1,
    record_count: int | None = None,
    payload: bytes | None = None,
) -> bytes:
    """A batch of `records`; `payload` stands for the records' bytes where it is given."""
    first = records[0] if records else Record(0, -1, None, None)
    base_offset = first.offset if base_offset is None else base_offset
    base_timestamp = first.timestamp if base_timestamp is None else base_timestamp
    if last_offset is None:
        last_offset = records[-1].offset if records else base_offset
    if max_timestamp is None:
        max_timestamp = max((r.timestamp for r in records), default=-1)
    if payload is None:
        payload = b"".join(record_bytes(r, base_offset, base_timestamp) for r in records)
    header = struct.pack(
        ">hiqqqhii",
        attributes,
        last_offset - base_offset,
        base_timestamp,
        max_timestamp,
        producer_id,
        -1,
        -1,
        len(records) if record_count is None else record_count,
    )
    checked = header + payload
    return struct.pack(">qiibI", base_offset, 9 + len(checked), 0, 2, crc32c(checked)) + checked


class MalformedError(Exception):
    """The bytes are not what they should be."""


class _Bytes:
    """A cursor that refuses to leave its bytes."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        if count < 0 or self.at + count > len(self.data):
            raise MalformedError
        self.at += count
        return self.data[self.at - count : self.at]

    def varint(self, most: int) -> int:
        value = 0
        for i in range(most):
            (byte,) = self.take(1)
            value |= (byte & 127) << (7 * i)
            if byte < 128:
                value &= (1 << 64) - 1
                return -(value + 1) // 2 if value & 1 else value // 2
        raise MalformedError

    def nullable(self) -> bytes | None:
        length = self.varint(5)
        if length < -1:
            raise MalformedError
        return None if length == -1 else self.take(length)

    def record(self, base_offset: int, last_delta: int, base_timestamp: int) -> tuple[object, ...]:
        """(offset, timestamp, key, value, number of headers, bytes of headers)."""
        body = _Bytes(self.take(self.varint(5)))
        body.take(1)
        timestamp = base_timestamp + body.varint(10)
        delta = body.varint(5)
        if not 0 <= delta <= last_delta:
            raise MalformedError
        key, value, count = body.nullable(), body.nullable(), body.varint(5)
        if count < 0:
            raise MalformedError
        headers_at = body.at
        for _ in range(count):
            if body.nullable() is None:
                raise MalformedError
            body.nullable()
        if body.at != len(body.data):
            raise MalformedError
        wrapped = (timestamp + (1 << 63)) % (1 << 64) - (1 << 63)
        return base_offset + delta, wrapped, key, value, count, body.data[headers_at:]


def read_records(
    payload: bytes, count: int, base_offset: int, last_delta: int, base_timestamp: int
) -> list[tuple[object, ...]]:
    """The records in a batch's uncompressed `payload`.

    Raises:
        MalformedError: They do not fill it exactly, or any is malformed.
    """
    cursor = _Bytes(payload)
    records = [cursor.record(base_offset, last_delta, base_timestamp) for _ in range(count)]
    if cursor.at != len(payload):
        raise MalformedError
    return records
