"""Smooth recorded data with the settings of the service: same code, same numbers.

stream-ewma smooth readings.csv --smoothing.alpha 0.2
stream-ewma smooth temps.csv --value temp --time date --utc --smoothing.half_life 12h
stream-ewma smooth readings.jsonl --config stream-ewma.yaml --output smoothed.jsonl
stream-ewma smooth readings.parquet --key sensor --smoothing.span 9 --to csv | head
kcat -C -b localhost:9092 -t readings -e | stream-ewma smooth - --smoothing.alpha 0.2

CSV and Parquet keep their columns and get the smoothed ones behind them; JSON lines become the
values that the service would publish. What cannot be smoothed is named on standard error.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, cast

import orjson

from stream_ewma.cli import settings_flags
from stream_ewma.cli.output_file import writing
from stream_ewma.cli.recorded import FLAGS as INPUT_FLAGS
from stream_ewma.cli.recorded import (
    Run,
    add_input_arguments,
    excerpt,
    open_source,
    rejections,
    settings_of,
)
from stream_ewma.cli.tables import counted
from stream_ewma.engine.dead_letters import MESSAGES, Reason
from stream_ewma.errors import DataError
from stream_ewma.files.chunks import Chunk, Source
from stream_ewma.files.opening import FORMATS, FileFormat, format_of
from stream_ewma.files.task import Part
from stream_ewma.files.writers import writer_of

FLAGS: Final = (*INPUT_FLAGS, "output", "to", "rejected")
_SHOWN_SETTINGS: Final = {
    *("input.timestamp_unit", "input.timestamp_required", "input.coerce_strings", "input.on_null"),
    *("smoothing", "output.format", "dead_letters.on_error"),
}
_NAMED: Final = 5
"""Rejected rows that are named one by one."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The file, what becomes of it, and the settings that matter to it."""
    parser.usage = "%(prog)s FILE|- [FLAGS]"
    add_input_arguments(parser, "CSV with a header, JSON lines or Parquet; - is standard input")
    group = parser.add_argument_group("the result")
    group.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="default: standard output; the file appears once all is done",
    )
    group.add_argument(
        "--to", choices=FORMATS, help="default: as --output ends, else the format of the data"
    )
    group.add_argument(
        "--rejected",
        type=Path,
        metavar="FILE",
        help="JSON lines of what could not be smoothed: line, reason, message, row",
    )
    settings_flags.add_arguments(parser, _SHOWN_SETTINGS)
    parser.epilog = "Every other setting of `stream-ewma run` is taken as well, as file or flag."


def run(arguments: argparse.Namespace, unknown: Sequence[str]) -> int:
    """Smooth the file; 65 if none of its rows could be.

    Raises:
        StreamEwmaError: the settings, the data or the files are not good.
    """
    settings = settings_of(arguments, unknown, FLAGS)
    with open_source(arguments) as source:
        work = Run(arguments, source, settings)
        to = _target_format(arguments, source)
        if to == "jsonl" and settings.output.format == "double":
            raise DataError("output.format: doubles are no lines; write --output.format json")
        if to not in ("jsonl", source.format) and settings.output.shape == "enrich":
            raise DataError("output.shape: objects differ in their fields; write --to jsonl")
        is_tty = arguments.output is None and sys.stdout.isatty()
        if is_tty and to == "parquet":
            raise DataError("Parquet is not for a terminal; write --output FILE, or --to csv")
        rejects = _Rejects(source, settings.dead_letters.on_error)
        counts: Counter[str] = Counter()
        with writing(arguments.output) as target, rejects.writing_to(arguments.rejected):
            writer = writer_of(target, to, source, work.task)
            for part in work.parts(signs=not is_tty):
                writer.write(part)
                rejects.add(part)
                counts["smoothed"] += part.smoothed_rows
                counts["skipped"] += sum(part.smoothed.skipped.values())
                if part.failure is not None:
                    writer.close()
                    raise DataError(rejects.line(part.chunk, *part.failure))
            writer.close()
    rejects.tell(arguments.rejected)
    rows, keys = work.task.rows, work.task.keys_count
    sys.stdout.flush()
    sys.stderr.write(_summary(rows, counts, rejects.counts, keys))
    return DataError.exit_code if rejects.counts and not counts["smoothed"] else 0


def _target_format(arguments: argparse.Namespace, source: Source) -> FileFormat:
    if arguments.to is not None:
        return cast("FileFormat", arguments.to)
    named = None if arguments.output is None else format_of(arguments.output)
    return named or source.format


def _summary(rows: int, counts: Counter[str], rejected: Counter[Reason], keys: int) -> str:
    parts = [f"{rows:,} rows", f"{counts['smoothed']:,} smoothed"]
    if counts["skipped"]:
        parts.append(f"{counts['skipped']:,} skipped")
    return f"{', '.join(parts)}, {rejections(rejected)}, {counted(keys, 'key')}\n"


class _Rejects:
    """What could not be smoothed: the first ones named, all of them counted.

    Args:
        source: the file.
        on_error: as in `dead_letters.on_error`.

    Attributes:
        counts: how many, by reason.
    """

    def __init__(self, source: Source, on_error: str) -> None:
        self._source = source
        self._is_quiet = on_error == "skip"
        self._file: BinaryIO | None = None
        self.counts: Counter[Reason] = Counter()
        self._unit = "row" if source.format == "parquet" else "line"

    @contextmanager
    def writing_to(self, path: Path | None) -> Iterator[None]:
        """Have them all written to a file while this lasts."""
        if path is None:
            yield
            return
        with writing(path) as self._file:
            yield

    def add(self, part: Part) -> None:
        """Count, name and write those of a chunk."""
        for row, reason in part.rejected():
            self.counts[reason] += 1
            if self._file is not None:
                entry = {
                    self._unit: part.chunk.line_of(row),
                    "reason": reason.label,
                    "message": MESSAGES[reason],
                    "row": _text(part.chunk, row),
                }
                self._file.write(orjson.dumps(entry) + b"\n")
            elif not self._is_quiet and self.counts.total() <= _NAMED:
                sys.stderr.write(f"{self.line(part.chunk, row, reason)}\n")

    def line(self, chunk: Chunk, row: int, reason: Reason) -> str:
        """What is wrong with a row, in one line."""
        place = f"{self._source.name}: {self._unit} {chunk.line_of(row)}"
        return f"{place}: {MESSAGES[reason]}: {excerpt(_bytes(chunk, row))}"

    def tell(self, path: Path | None) -> None:
        """Say where the others are, if not all have been named."""
        more = self.counts.total() - _NAMED
        if path is None and more > 0 and not self._is_quiet:
            sys.stderr.write(f"... and {more:,} more; --rejected FILE has them all\n")


def _text(chunk: Chunk, row: int) -> str:
    return _bytes(chunk, row).decode(errors="replace")


def _bytes(chunk: Chunk, row: int) -> bytes:
    return chunk.text.item(row) or b""
