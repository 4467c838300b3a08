"""A record's headers, one by one: for the few records that a person looks at."""

from collections.abc import Iterator
from typing import NamedTuple

from stream_ewma.columns import NULL, as_bytes
from stream_ewma.records.varint import INT_BYTES, read_varint


class Header(NamedTuple):
    """One header of a record.

    Attributes:
        name: as it stands, which should be UTF-8.
        value: None where it is null.
        end: where the next header begins among the bytes of all.
    """

    name: bytes
    value: bytes | None
    end: int


def decode_headers(data: bytes, count: int) -> Iterator[Header]:
    """The headers in the bytes that `records.reader` found sound, without the count before them."""
    buffer = as_bytes(data)
    at = 0
    for _ in range(count):
        length, start = read_varint(buffer, at, len(data), INT_BYTES)
        at = start + length
        name = data[start:at]
        length, start = read_varint(buffer, at, len(data), INT_BYTES)
        at = start + max(length, 0)
        yield Header(name, None if length == NULL else data[start:at], at)
