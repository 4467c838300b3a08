"""The vocabulary of columns: array types, and spans of bytes.

A record never becomes a Python object here; it is a row across numpy arrays. Variable-length
fields (keys, values, headers) are spans: where the bytes start in a shared buffer, and how many.
"""

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Bytes: TypeAlias = NDArray[np.uint8]
UInt8: TypeAlias = NDArray[np.uint8]
UInt16: TypeAlias = NDArray[np.uint16]
Int32: TypeAlias = NDArray[np.int32]
Int64: TypeAlias = NDArray[np.int64]
UInt64: TypeAlias = NDArray[np.uint64]
Float64: TypeAlias = NDArray[np.float64]

NULL: Final = -1
"""Length of a span that is null: Kafka's own encoding, distinct from an empty span."""


def as_bytes(data: bytes | bytearray | memoryview | Bytes) -> Bytes:
    """View `data` as a read-only uint8 column without copying it.

    Always read-only, so that every kernel is compiled for one array type only.
    """
    view = np.frombuffer(data, np.uint8)
    view.flags.writeable = False
    return view


_DOUBLING_ENDS = 65_536


def grown_size(size: int, at_least: int) -> int:
    """The next size of a growing column: double while small, an eighth more once large.

    Small steps keep the unused part small and the zeroing of the new part short; they cost no
    copying, see `extend`.
    """
    step = size if size < _DOUBLING_ENDS else max(size // 8, _DOUBLING_ENDS)
    return size + max(step, at_least)


def extend(column: NDArray[Any], size: int) -> None:
    """Lengthen `column` in place to `size` rows, the new ones zero.

    realloc moves large blocks by remapping their pages (mremap in glibc and musl), so millions
    of rows are not copied. The owner of the column must hold no view of it across the call.
    """
    column.resize(size, refcheck=False)


@dataclass(frozen=True, slots=True)
class Spans:
    """n variable-length byte strings inside one buffer.

    Attributes:
        buffer: uint8, read-only.
        start: int32 (n,), index of the first byte; meaningless where `length` is `NULL`.
        length: int32 (n,), bytes; `NULL` (-1) where the string is null.
    """

    buffer: Bytes
    start: Int32
    length: Int32

    def __len__(self) -> int:
        return len(self.start)

    def take(self, rows: Int64 | Int32) -> "Spans":
        """The spans of `rows`, over the same buffer."""
        return Spans(self.buffer, self.start[rows], self.length[rows])

    def item(self, row: int) -> bytes | None:
        """The bytes of one row, copied out; None where null."""
        length = int(self.length[row])
        if length == NULL:
            return None
        start = int(self.start[row])
        return self.buffer[start : start + length].tobytes()

    @staticmethod
    def of(items: "list[bytes | None]") -> "Spans":
        """Lay `items` out one after another in a new buffer."""
        length = np.array([NULL if i is None else len(i) for i in items], np.int32)
        end = np.cumsum(np.maximum(length, 0), dtype=np.int64)
        start = (end - np.maximum(length, 0)).astype(np.int32)
        return Spans(as_bytes(b"".join(i or b"" for i in items)), start, length)
