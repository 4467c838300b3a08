"""The codecs, with what other clients write, and with data that lies about its size."""

import gzip

import cramjam
import pytest

from stream_ewma.records.compression import Compression, compress, decompress

DATA = b'{"key":"pump-7","value":21.7351}' * 4000
COMPRESSED = [codec for codec in Compression if codec is not Compression.NONE]


def test_codecs_have_the_numbers_of_the_protocol() -> None:
    assert [(codec.value, codec.number) for codec in Compression] == [
        ("none", 0),
        ("gzip", 1),
        ("snappy", 2),
        ("lz4", 3),
        ("zstd", 4),
    ]
    assert all(Compression.of(codec.number) is codec for codec in Compression)
    with pytest.raises(ValueError, match="compression codec 5 is unknown"):
        Compression.of(5)


@pytest.mark.parametrize("codec", COMPRESSED)
@pytest.mark.parametrize("data", [b"", b"x", DATA])
def test_what_is_compressed_is_decompressed(codec: Compression, data: bytes) -> None:
    compressed = memoryview(compress(codec, memoryview(data)))
    assert decompress(codec, compressed, len(data)).tobytes() == data


def test_none_hands_the_data_on() -> None:
    view = memoryview(DATA)
    assert compress(Compression.NONE, view) is view


@pytest.mark.parametrize("codec", COMPRESSED)
def test_data_that_becomes_too_large_is_refused(codec: Compression) -> None:
    compressed = memoryview(compress(codec, memoryview(DATA)))
    with pytest.raises(ValueError, match=rf"^{codec.value} data is corrupt or exceeds \d+ bytes: "):
        decompress(codec, compressed, len(DATA) - 1)


@pytest.mark.parametrize("codec", COMPRESSED)
def test_damaged_data_is_refused_in_one_line(codec: Compression) -> None:
    compressed = bytes(compress(codec, memoryview(DATA)))
    for damaged in (compressed[:-3], compressed[: len(compressed) // 2], b"\xff" * 40):
        with pytest.raises(ValueError, match=rf"\A{codec.value} data is corrupt[^\n]*\Z"):
            decompress(codec, memoryview(damaged), 1 << 20)


@pytest.mark.parametrize("codec", [Compression.GZIP, Compression.LZ4, Compression.ZSTD])
def test_data_that_shrank_much_needs_several_tries(codec: Compression) -> None:
    zeros = bytes(40 << 20)
    compressed = memoryview(compress(codec, memoryview(zeros)))
    assert len(compressed) * 64 < len(zeros)
    assert len(decompress(codec, compressed, len(zeros))) == len(zeros)


def test_lz4_blocks_are_independent() -> None:
    # Bit 5 of the frame's flags. https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md
    assert compress(Compression.LZ4, memoryview(DATA))[4] & 0x20


def test_gzip_of_several_members_is_read() -> None:
    data = memoryview(gzip.compress(b"one") + gzip.compress(b"two"))
    assert decompress(Compression.GZIP, data, 100).tobytes() == b"onetwo"


def test_raw_snappy_is_read() -> None:
    raw = memoryview(bytes(cramjam.snappy.compress_raw(DATA)))
    assert decompress(Compression.SNAPPY, raw, len(DATA)).tobytes() == DATA


@pytest.mark.parametrize(
    "length", [b"\x00\x00", b"\x00\x00\x00\x09abc", b"\xff\xff\xff\xff", b"\xff\xff\xff\xfc", b""]
)
def test_a_snappy_block_outside_the_batch_is_refused(length: bytes) -> None:
    whole = bytes(compress(Compression.SNAPPY, memoryview(b"abc")))
    data = memoryview(whole + length)
    if length:
        with pytest.raises(ValueError, match="a block reaches outside the batch"):
            decompress(Compression.SNAPPY, data, 100)
    else:
        assert decompress(Compression.SNAPPY, data, 100).tobytes() == b"abc"
