"""The fixed text of JSON values that are written: names and punctuation, piece by piece."""

from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
import orjson

from stream_ewma.columns import Bytes, Int64, as_bytes
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
        begin: int64 (pieces + 1,), where each piece begins; one of no length is left out.
        room: bytes that suffice for the fixed text and all numbers of one value.
    """

    text: Bytes
    begin: Int64
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
    begin = np.cumsum([0, *map(len, pieces)], dtype=np.int64)
    text = b"".join(pieces)
    fields = len(values) + len(outputs)
    # Each append may write up to a word behind what it appends.
    room = len(text) + 2 * WORD + INTEGER_ROOM + NUMBER_ROOM * fields
    return Pieces(as_bytes(text), begin, room)


def _quoted(name: str) -> bytes:
    return orjson.dumps(name) + b":"
