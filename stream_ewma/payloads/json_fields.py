"""The fixed text of JSON values that are written: names and punctuation, piece by piece."""

from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
import orjson

from stream_ewma.columns import Bytes, Int64, UInt64, as_bytes
from stream_ewma.payloads.columns import WritingOptions
from stream_ewma.payloads.numerals import INTEGER_ROOM
from stream_ewma.payloads.shortest import NUMBER_ROOM
from stream_ewma.words import WORD

KEY: Final = 0
TIMESTAMP: Final = 1
END: Final = 2
STALE_END: Final = 3
FIRST_FIELD: Final = 4
"""Pieces; from here on those of the numbers, of the outputs, and of outputs added to an object."""

_STALE: Final = "stale"


class Pieces(NamedTuple):
    """The fixed text of values with certain fields.

    Attributes:
        text: one piece after another; a field's is its name with the comma or brace before it.
        length: int64 (pieces,), bytes; a piece of none is left out.
        first: uint64 (pieces, 2), the first bytes of each piece.
        begin: int64 (pieces,), where each piece begins.
        room: bytes that suffice for the fixed text and all numbers of one value.
    """

    text: Bytes
    begin: Int64
    length: Int64
    first: UInt64
    room: int


@lru_cache(maxsize=64)
def pieces_of(options: WritingOptions, outputs: tuple[str, ...]) -> Pieces:
    """The pieces of values with these outputs.

    Raises:
        ValueError: Two fields of a value would have the same name.
    """
    values = [name for name in options.value_names if name is not None]
    flat = [options.key_name, options.timestamp_name, *values, *outputs]
    written = [name for name in flat if name is not None]
    if len(set(written)) < len(written):
        raise ValueError(f"two fields of the output have the same name: {', '.join(written)}")
    labels = []
    before = b"{"
    for name in flat:
        labels.append(b"" if name is None else before + _quoted(name))
        before = before if name is None else b","
    end = b"}" if written else b"{}"
    is_marked = _STALE in written
    stale_end = end if is_marked else before + _quoted(_STALE) + b"true}"
    added = [b"," + _quoted(name) for name in outputs]
    pieces = [*labels[:2], end, stale_end, *labels[2:], *added]
    length = np.array([len(piece) for piece in pieces], np.int64)
    text = b"".join(pieces)
    first = b"".join(piece[: 2 * WORD].ljust(2 * WORD) for piece in pieces)
    fields = len(values) + len(outputs)
    # Each append may write up to two words behind what it appends.
    room = len(text) + 3 * WORD + INTEGER_ROOM + NUMBER_ROOM * fields
    return Pieces(
        as_bytes(text),
        np.cumsum(length) - length,
        length,
        np.frombuffer(first, "<u8").reshape(-1, 2).astype(np.uint64),
        room,
    )


def _quoted(name: str) -> bytes:
    return orjson.dumps(name) + b":"
