"""JSON lines: each line is a record's value as it is."""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import orjson

from stream_ewma.columns import Bytes, Int64, Spans, as_bytes
from stream_ewma.files.chunks import Chunk, Fields, check_time
from stream_ewma.files.opening import Blocks, FileFormat

_LF: Final = 10


class LinesSource:
    """A file of lines, one record value each; empty lines are none."""

    format: FileFormat = "jsonl"
    columns = None

    def __init__(self, blocks: Blocks) -> None:
        self.name = blocks.name
        self._blocks = blocks
        self._first = parsed(blocks.first_line())

    @property
    def share(self) -> float | None:
        """How much of the file has been read, 0 to 1; None where it is not known."""
        return self._blocks.share

    def has(self, path: str) -> bool:
        """Whether the first line has a field at `path`."""
        return look_up(self._first, path) is not None

    def chunks(self, fields: Fields) -> Iterator[Chunk]:
        """All lines, in order.

        Raises:
            DataError: a line is too long, or times have no offset from UTC.
        """
        time = look_up(self._first, fields.time) if fields.time else None
        if isinstance(time, str):
            check_time(f"{self.name}: {fields.time}", time, has_utc_flag=False)
        line, is_last = 1, False
        while not is_last:
            block, is_last = self._blocks.next()
            end = len(block) if is_last else block.rfind(b"\n") + 1
            self._blocks.left = block[end:]
            if end:
                chunk, lines = _chunk(block[:end], line)
                line += lines
                yield chunk


def _chunk(data: bytes, line: int) -> tuple[Chunk, int]:
    values, filled, lines = filled_lines(data)
    return Chunk(values, values, lambda row: line + int(filled[row])), lines


def filled_lines(data: bytes) -> tuple[Spans, Int64, int]:
    """The lines of `data` that are not empty, the place of each among all lines, how many all."""
    buffer = as_bytes(data)
    ends: Int64 = np.flatnonzero(buffer == _LF)
    if not data.endswith(b"\n"):
        ends = np.append(ends, len(data))
    starts = np.concatenate([np.zeros(1, np.int64), ends[:-1] + 1])
    filled = np.flatnonzero(_lengths(buffer, starts, ends) > 0)
    start, end = starts[filled], ends[filled]
    values = Spans(buffer, start.astype(np.int32), (end - start).astype(np.int32))
    return values, filled, len(ends)


def _lengths(buffer: Bytes, starts: Int64, ends: Int64) -> Int64:
    """Of the lines, without a carriage return."""
    last = buffer[np.maximum(ends - 1, 0)]
    lengths: Int64 = ends - starts - ((last == 13) & (ends > starts))
    return lengths


def parsed(line: bytes) -> Any:
    """The JSON document in `line`; None where it is none."""
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        return None


def look_up(document: Any, path: str) -> Any:
    """What stands at a dotted path of a document; None where nothing does."""
    for name in path.split("."):
        document = document.get(name) if isinstance(document, dict) else None
    return document
