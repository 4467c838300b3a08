"""Kafka's old wire types, as far as the proxy has to understand them."""

import struct
from typing import Any


class Reader:
    """Reads a request's fields one after another."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def int16(self) -> int:
        """A short."""
        return int(self._unpack(">h"))

    def int32(self) -> int:
        """An int."""
        return int(self._unpack(">i"))

    def text(self) -> str:
        """A nullable string; null is empty."""
        size = max(self.int16(), 0)
        found = self._data[self._at : self._at + size].decode()
        self.skip(size)
        return found

    def skip(self, size: int) -> None:
        """Pass over some bytes."""
        self._at += size

    def _unpack(self, form: str) -> Any:
        (value,) = struct.unpack_from(form, self._data, self._at)
        self._at += struct.calcsize(form)
        return value
