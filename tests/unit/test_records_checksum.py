"""Checksums of small batches by our kernel and of large ones by the library."""

import numpy as np
import pytest

from stream_ewma.records import layout
from stream_ewma.records.checksum import checksums

# RFC 3720, appendix B.4
KNOWN = [
    (bytes(32), 0x8A9136AA),
    (b"\xff" * 32, 0x62A8AB43),
    (bytes(range(32)), 0x46DD794E),
    (bytes(range(31, -1, -1)), 0x113FDB5C),
    (b"123456789", 0xE3069283),
    (b"", 0),
]


def batches_of(spans: list[tuple[int, int]]) -> np.ndarray:
    batches = np.zeros(len(spans), layout.BATCH)
    batches["start"] = [start - layout.CHECKED_AT for start, _ in spans]
    batches["end"] = [end for _, end in spans]
    return batches


@pytest.mark.parametrize(("data", "checksum"), KNOWN)
def test_published_checksums_are_computed(data: bytes, checksum: int) -> None:
    head = bytes(layout.CHECKED_AT)
    batches = batches_of([(len(head), len(head) + len(data))])
    assert checksums(head + data, batches).tolist() == [checksum]


def test_small_and_large_batches_agree_whatever_their_size() -> None:
    # The checksum of data followed by its own checksum is a constant (RFC 3720): a judge that
    # uses neither of the two implementations.
    data = np.random.default_rng(7).integers(0, 256, 700, np.uint8).tobytes()
    for size in range(600):
        start = layout.CHECKED_AT + size % 13
        (own,) = checksums(data, batches_of([(start, start + size)])).tolist()
        sealed = data[: start + size] + own.to_bytes(4, "little")
        assert checksums(sealed, batches_of([(start, start + size + 4)])).tolist() == [0x48674BC7]


def test_batches_of_one_response_are_checked_together() -> None:
    data = np.random.default_rng(8).integers(0, 256, 4000, np.uint8).tobytes()
    spans = [(30, 100), (100, 1100), (1100, 1150), (1150, 4000)]
    together = checksums(memoryview(data), batches_of(spans)).tolist()
    assert together == [checksums(data, batches_of([span])).tolist()[0] for span in spans]
