"""The codecs of record batches, with a bound on what a batch may become."""

from collections.abc import Callable
from enum import Enum
from typing import Final

import cramjam
import numpy as np

from stream_ewma.columns import Bytes, as_bytes

_XERIAL_HEADER: Final = b"\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01"
"""Magic, version 1, compatible with version 1: how Java's snappy-java and librdkafka frame blocks;
each block follows as a big-endian int32 length and its raw snappy bytes."""
_XERIAL_MAGIC_BYTES: Final = 8
_XERIAL_BLOCK_BYTES: Final = 32 << 10

_FAST: Final = 1
"""Level of the codecs that have one. Against Java's defaults (gzip 6, zstd 3), smoothed JSON takes
20 % more with gzip and 10 % less with zstd, in a fifteenth and a third of the time."""

_LEAST_ROOM_BYTES: Final = 1 << 20
_USUAL_RATIO: Final = 64
"""Room for most batches at the first try; memory that is not written costs nothing."""


class Compression(Enum):
    """Codecs by Kafka's names, in the order of their numbers in a batch's attributes."""

    NONE = "none"
    GZIP = "gzip"
    SNAPPY = "snappy"
    LZ4 = "lz4"
    ZSTD = "zstd"

    @property
    def number(self) -> int:
        """The codec's number in a batch's attributes."""
        return _CODECS.index(self)

    @staticmethod
    def of(number: int) -> "Compression":
        """The codec of a number in a batch's attributes.

        Raises:
            ValueError: No such codec.
        """
        if number >= len(_CODECS):
            raise ValueError(f"compression codec {number} is unknown")
        return _CODECS[number]


_CODECS: Final = tuple(Compression)


def compress(compression: Compression, data: memoryview) -> bytes | memoryview:
    """Compress a batch's records, in the framing of Kafka's Java client; not at all for `NONE`."""
    if compression is Compression.GZIP:
        return bytes(cramjam.gzip.compress(data, level=_FAST))
    if compression is Compression.SNAPPY:
        return _xerial(data)
    if compression is Compression.LZ4:
        # The broker cannot read linked blocks (KIP-57).
        frame = cramjam.lz4.Compressor(level=_FAST, content_checksum=False, block_linked=False)
        frame.compress(bytes(data))
        return bytes(frame.finish())
    if compression is Compression.ZSTD:
        return bytes(cramjam.zstd.compress(data, level=_FAST))
    return data


def decompress(compression: Compression, data: memoryview, most_bytes: int) -> Bytes:
    """Decompress a batch's records, to no more than `most_bytes`.

    Raises:
        ValueError: `data` is not in the codec's format, or becomes larger; one line.
    """
    try:
        if compression is Compression.GZIP:
            return _grow(cramjam.gzip.decompress_into, data, most_bytes)
        if compression is Compression.LZ4:
            return _grow(cramjam.lz4.decompress_into, data, most_bytes)
        if compression is Compression.ZSTD:
            return _grow(cramjam.zstd.decompress_into, data, most_bytes)
        return _decompress_snappy(data, most_bytes)
    except cramjam.DecompressionError as error:
        line = " ".join(str(error).split())
        raise ValueError(
            f"{compression.value} data is corrupt or exceeds {most_bytes} bytes: {line}"
        ) from error


def _grow(decompress_into: Callable[..., int], data: memoryview, most_bytes: int) -> Bytes:
    """Try with more and more room: these formats need not say how much they need."""
    room = min(max(_LEAST_ROOM_BYTES, _USUAL_RATIO * len(data)), most_bytes)
    while True:
        out = np.empty(room, np.uint8)
        try:
            return as_bytes(out[: decompress_into(data, out)])
        except cramjam.DecompressionError:
            if room >= most_bytes:
                raise
        room = min(8 * room, most_bytes)


def _decompress_snappy(data: memoryview, most_bytes: int) -> Bytes:
    """Raw snappy, or snappy in the framing of Java's snappy-java."""
    if data[:_XERIAL_MAGIC_BYTES] != _XERIAL_HEADER[:_XERIAL_MAGIC_BYTES]:
        blocks = [data]
    else:
        blocks = _xerial_blocks(data)
    sizes = [cramjam.snappy.decompress_raw_len(block) for block in blocks]
    if sum(sizes) > most_bytes:
        raise cramjam.DecompressionError(f"{sum(sizes)} bytes")
    out = np.empty(sum(sizes), np.uint8)
    at = 0
    for block, size in zip(blocks, sizes, strict=True):
        at += cramjam.snappy.decompress_raw_into(block, out.data[at : at + size])
    return as_bytes(out[:at])


def _xerial_blocks(data: memoryview) -> list[memoryview]:
    blocks = []
    at = len(_XERIAL_HEADER)
    while at < len(data):
        start = at + 4
        at = start + int.from_bytes(data[at:start], "big", signed=True)
        if at < start or at > len(data):
            raise cramjam.DecompressionError("a block reaches outside the batch")
        blocks.append(data[start:at])
    return blocks


def _xerial(data: memoryview) -> bytes:
    parts = [_XERIAL_HEADER]
    for at in range(0, len(data), _XERIAL_BLOCK_BYTES):
        block = bytes(cramjam.snappy.compress_raw(data[at : at + _XERIAL_BLOCK_BYTES]))
        parts += (len(block).to_bytes(4, "big"), block)
    return b"".join(parts)
