"""The bytes of a Kafka record batch, format version 2.

https://kafka.apache.org/documentation/#recordbatch. A batch is a header of 61 bytes and its
records, which may be compressed together. All fixed integers are big-endian.
"""

from struct import Struct
from typing import Final

import numpy as np

from stream_ewma.columns import Bytes
from stream_ewma.jit import kernel

UNCHECKED_HEADER: Final = Struct(">qiibI")
"""base_offset, batch_length, partition_leader_epoch, magic, crc."""
CHECKED_HEADER: Final = Struct(">hiqqqhii")
"""What the CRC covers, with the records after it: attributes, last_offset_delta, base_timestamp,
max_timestamp, producer_id, producer_epoch, base_sequence, record_count."""

LENGTH_AT: Final = 8
LENGTH_END: Final = 12
"""batch_length counts the bytes after itself."""
MAGIC_AT: Final = 16
MAGIC_END: Final = 17
CRC_AT: Final = 17
CHECKED_AT: Final = 21
ATTRIBUTES_AT: Final = 21
LAST_OFFSET_DELTA_AT: Final = 23
BASE_TIMESTAMP_AT: Final = 27
MAX_TIMESTAMP_AT: Final = 35
PRODUCER_ID_AT: Final = 43
RECORD_COUNT_AT: Final = 57
HEADER_BYTES: Final = 61

MAGIC: Final = 2

CODEC_BITS: Final = 0x07
LOG_APPEND_TIME_BIT: Final = 0x08
TRANSACTIONAL_BIT: Final = 0x10
CONTROL_BIT: Final = 0x20

LEAST_RECORD_BYTES: Final = 7
"""A record without key, value and headers: seven fields of one byte."""
MOST_RECORD_OVERHEAD: Final = 36
"""A record's fields other than the key's, the value's and the headers' bytes, at their longest."""

BATCH: Final = np.dtype(
    [
        ("start", np.int64),
        ("end", np.int64),
        ("base_offset", np.int64),
        ("last_offset_delta", np.int64),
        ("attributes", np.int64),
        ("crc", np.int64),
        ("base_timestamp", np.int64),
        ("max_timestamp", np.int64),
        ("producer_id", np.int64),
        ("record_count", np.int64),
    ]
)
"""One row per batch: its byte span in a buffer and its header's fields."""


@kernel
def read_int(buffer: Bytes, at: int, size: int) -> int:
    """The big-endian signed integer of `size` bytes at `at`, all of which must be there."""
    value = np.int64(buffer[at])
    if value >= 128:
        value -= 256
    for i in range(at + 1, at + size):
        value = (value << 8) | np.int64(buffer[i])
    return int(value)
