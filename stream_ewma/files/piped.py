"""Lines of a pipe as the records of one partition, and the engine's answer to them.

A line is a value, or a key and a value with a separator between. A line is a record that is
produced when it is read: that is its own timestamp.
"""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from stream_ewma.columns import NULL, Int32, Int64, Spans
from stream_ewma.engine.dead_letters import Reason
from stream_ewma.engine.smoother import Smoothed, Smoother
from stream_ewma.errors import DataError
from stream_ewma.files.lines import filled_lines, look_up, parsed
from stream_ewma.files.opening import Blocks
from stream_ewma.records.columns import RecordColumns
from stream_ewma.service.config import task_config
from stream_ewma.settings import Settings

SERIES: Final = b"stdin"
"""Key of the readings of lines without keys."""
_DEFAULT_SEPARATOR: Final = b":"
_DEFAULT_KEY: Final = "key"


@dataclass(frozen=True, slots=True)
class LineForm:
    """How a line is read.

    Attributes:
        separator: between key and value; None: a line is a value.
        key_path: path of the key in the value; None: it is not there.
    """

    separator: bytes | None
    key_path: str | None


def form_of(first: bytes, settings: Settings, separator: bytes | None) -> LineForm:
    """How lines are read of which `first` is the first, if nothing else is said.

    A JSON object is a whole value, with the key in its field `key` if it has one; in any other
    line what stands before a colon is the key.

    Args:
        first: a line.
        settings: which may say where in a value the key is.
        separator: as it is said to be; None: nothing is said.
    """
    key_path = settings.input.key
    if separator is not None or key_path is not None:
        return LineForm(separator, key_path)
    if settings.input.format == "json" and first.lstrip().startswith(b"{"):
        has_key = look_up(parsed(first), _DEFAULT_KEY) is not None
        return LineForm(None, _DEFAULT_KEY if has_key else None)
    return LineForm(_DEFAULT_SEPARATOR if _DEFAULT_SEPARATOR in first else None, None)


@dataclass(frozen=True, slots=True)
class Lines:
    """Some lines that are there, without the empty ones.

    Attributes:
        text: each line.
        number: int64 (n,), of each line in the stream, from 1.
    """

    text: Spans
    number: Int64


def read_lines(blocks: Blocks) -> Iterator[Lines]:
    """All lines, in order: what there is at once, at most a mebibyte.

    Raises:
        DataError: a line is too long.
    """
    line, is_last = 1, False
    while not is_last:
        block, is_last = blocks.next()
        end = len(block) if is_last else block.rfind(b"\n") + 1
        blocks.left = block[end:]
        if end:
            text, filled, count = filled_lines(block[:end])
            if len(text):
                yield Lines(text, filled + line)
            line += count


@dataclass(frozen=True, slots=True)
class LinesDone:
    """What became of some lines.

    Attributes:
        documents: the values that the service would publish.
        rejected: the rows of the lines that could not be smoothed, and why.
        failure: the row that stops the work under `on_error: fail`, and why.
        smoothed: how many lines have a result.
    """

    documents: Spans
    rejected: list[tuple[int, Reason]]
    failure: tuple[int, Reason] | None
    smoothed: int


class LineTask:
    """The smoothing of one stream of lines.

    Args:
        settings: of the service.
        form: how a line is read.

    Attributes:
        lines: how many have been smoothed or refused.

    Raises:
        DataError: the settings ask for what lines cannot give.
    """

    def __init__(self, settings: Settings, form: LineForm) -> None:
        for name, kind in (("input", settings.input.format), ("output", settings.output.format)):
            if kind in ("double", "float"):
                raise DataError(f"{name}.format: {kind}s are no lines; write --{name}.format json")
        read = settings.input.model_copy(update={"key": form.key_path})
        config = task_config(settings.model_copy(update={"input": read}))
        # Nothing is kept: the changes need not be noted.
        self._config = replace(config, durable=False)
        self._form = form
        seed = (secrets.randbits(64), secrets.randbits(64))
        self._smoother = Smoother(self._config, seed, SERIES)
        self.lines = 0

    @property
    def keys_count(self) -> int:
        """Keys seen so far."""
        return self._smoother.keys_count

    def smooth(self, text: Spans, now: int) -> LinesDone:
        """Smooth the next lines.

        Args:
            text: n lines.
            now: when they were read, in epoch milliseconds.
        """
        first, self.lines = self.lines, self.lines + len(text)
        records = self._records(text, first, now)
        work = self._smoother.smooth(records, first, self.lines)
        if work.failed_row is not None:
            self.lines = first + work.failed_row
        return self._done(work)

    def _records(self, text: Spans, first: int, now: int) -> RecordColumns:
        n = len(text)
        if self._form.separator is None:
            # The key of all, or, where values have keys, of none.
            buffer = np.concatenate([text.buffer, np.frombuffer(SERIES, np.uint8)])
            buffer.flags.writeable = False
            length = np.full(n, len(SERIES), np.int32)
            keys = Spans(buffer, np.full(n, len(text.buffer), np.int32), length)
            values = text
        else:
            keys, values = split_at(text, self._form.separator)
        nothing = Spans(text.buffer, np.zeros(n, np.int32), np.zeros(n, np.int32))
        return RecordColumns(
            np.arange(first, first + n, dtype=np.int64),
            np.full(n, now, np.int64),
            keys,
            values,
            nothing,
            np.zeros(n, np.int32),
        )

    def _done(self, work: Smoothed) -> LinesDone:
        encoded = [self._config.encoder.encode(part.smoothed) for part in work.parts]
        reasons = work.reason[: work.failed_row]
        failed = work.failed_row
        return LinesDone(
            _joined(encoded),
            [(row, Reason(int(reasons[row]))) for row in np.flatnonzero(reasons >= 0).tolist()],
            None if failed is None else (failed, Reason(int(work.reason[failed]))),
            sum(
                int((values.length >= 0).sum())
                for part, values in zip(work.parts, encoded, strict=True)
                if not part.is_report
            ),
        )


def split_at(text: Spans, separator: bytes) -> tuple[Spans, Spans]:
    """Keys and values of lines, divided at the first separator of each.

    A line without one has no key. Behind a separator, nothing is a record without value: so does
    kcat write it.
    """
    buffer, start, end = text.buffer, text.start, text.start + text.length
    here = buffer == separator[0]
    for place, byte in enumerate(separator[1:], 1):
        here[:-place] &= buffer[place:] == byte
        here[-place:] = False
    places: Int64 = np.flatnonzero(here)
    found = np.append(places, len(buffer) + 1)[np.searchsorted(places, start)]
    has_key = found + len(separator) <= end
    value_start: Int32 = np.where(has_key, found + len(separator), start).astype(np.int32)
    value_length = end - value_start
    value_length[has_key & (value_length == 0)] = NULL
    key_length: Int32 = np.where(has_key, found - start, NULL).astype(np.int32)
    return Spans(buffer, start, key_length), Spans(buffer, value_start, value_length)


def _joined(parts: list[Spans]) -> Spans:
    if len(parts) == 1:
        return parts[0]
    return Spans.of([part.item(row) for part in parts for row in range(len(part))])
