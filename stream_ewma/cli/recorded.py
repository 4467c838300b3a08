"""What the commands on recorded data share: their flags, the way in, and signs of life."""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from stream_ewma.cli import settings_flags
from stream_ewma.engine.dead_letters import Reason
from stream_ewma.errors import SettingsError
from stream_ewma.files.chunks import Chunk, Fields, Source
from stream_ewma.files.opening import FORMATS, nearest, open_blocks
from stream_ewma.files.sources import source_of
from stream_ewma.files.task import FileTask, Part, fields_of, fitted
from stream_ewma.settings import Settings

FLAGS: Final = ("format", "key", "value", "time", "utc", "delimiter")
_SETTING_OF_FLAG: Final = {"key": "input.key", "value": "input.value", "time": "input.timestamp"}
_FIRST_SIGN_S: Final = 1.0
_EACH_SIGN_S: Final = 0.2
_EXCERPT: Final = 60
_CLEAR_LINE: Final = "\r\x1b[K"


def add_input_arguments(parser: argparse.ArgumentParser, file_help: str) -> None:
    """The file, and how to read it."""
    parser.add_argument("file", metavar="FILE", help=file_help)
    group = parser.add_argument_group("the data")
    group.add_argument(
        "--format",
        choices=FORMATS,
        help="default: as the name ends (.csv .tsv .jsonl .ndjson .parquet, also with .gz), else"
        " as it begins",
    )
    for flag, what in (
        ("key", "name of the series; default: 'key' if there is one, else all rows are one series"),
        ("value", "the reading; default: value"),
        ("time", "event time, as epoch integer or RFC 3339; default: 'timestamp' if there is one"),
    ):
        group.add_argument(
            f"--{flag}",
            metavar="COLUMN",
            help=f"{what}; the same as --{_SETTING_OF_FLAG[flag]}, in JSON a dotted path",
        )
    group.add_argument("--utc", action="store_true", help="times without offset or zone are in UTC")
    group.add_argument(
        "--delimiter",
        type=_delimiter,
        metavar="CHAR",
        help="between the cells of CSV; default: a comma, or a tab or ; if the header has those",
    )


def printable(text: str, *, ascii_only: bool = False) -> str:
    """Text from the data without what would steer a terminal, or what it cannot show."""
    shown = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
    return shown.encode("ascii", "replace").decode() if ascii_only else shown


def excerpt(data: bytes) -> str:
    """The beginning of a row, on one line."""
    text = printable(" ".join(data.decode(errors="replace").split()))
    return text if len(text) <= _EXCERPT else f"{text[: _EXCERPT - 3]}..."


def rejections(counts: Counter[Reason]) -> str:
    """How many could not be smoothed, and why."""
    told = f"{counts.total():,} rejected"
    if counts:
        told += f" ({', '.join(f'{r.label} {n:,}' for r, n in counts.most_common())})"
    return told


def _delimiter(text: str) -> str:
    if text in ("tab", "\\t"):
        return "\t"
    if len(text) != 1 or not text.isascii() or text in '"\r\n':
        raise argparse.ArgumentTypeError(f"'{text}': write one character, or tab")
    return text


def refuse_misspelt(unknown: Sequence[str], own: Sequence[str]) -> None:
    """Refuse unknown flags that were probably meant to be some of the command's own.

    Raises:
        SettingsError: with what to write.
    """
    near = {name: nearest(name, list(own)) for name in unknown if "." not in name}
    problems = [
        f"command line: --{name}: is not a flag; write --{close}"
        for name, close in near.items()
        if close
    ]
    if problems:
        raise SettingsError(problems)


def settings_of(
    arguments: argparse.Namespace,
    unknown: Sequence[str],
    own: Sequence[str],
    replaced: Mapping[str, dict[str, object]] | None = None,
) -> Settings:
    """The settings, with what the short flags say.

    Args:
        arguments: what the parser understood.
        unknown: names of flags that it would not.
        own: names of the command's flags besides those of the settings.
        replaced: sections to take in place of what is written anywhere.

    Raises:
        SettingsError: they are wrong.
    """
    refuse_misspelt(unknown, own)
    given: dict[str, object] = {
        setting: value
        for flag, setting in _SETTING_OF_FLAG.items()
        if (value := getattr(arguments, flag)) is not None
    }
    if "input.value" in given:
        given["input.values"] = None  # one value is named, in place of those of the file
    return settings_flags.load(arguments, unknown, more=given, recorded=True, replaced=replaced)


@contextmanager
def open_source(arguments: argparse.Namespace) -> Iterator[Source]:
    """The file that the arguments name.

    Raises:
        StreamEwmaError: it cannot be read, or is not what the arguments say.
    """
    with open_blocks(arguments.file) as blocks:
        yield source_of(blocks, arguments.file, arguments.format, arguments.delimiter)


class Run:
    """The rows of a source on their way through the engine.

    Args:
        arguments: of the command.
        source: the open file.
        settings: of the service.

    Attributes:
        fields: what is read of each row.
        task: the engine's side.
    """

    def __init__(self, arguments: argparse.Namespace, source: Source, settings: Settings) -> None:
        self.fields: Fields = fields_of(settings, source, utc=arguments.utc)
        self.task = FileTask(arguments.file, fitted(settings, source, self.fields))
        self._source = source

    def parts(self, *, signs: bool = True) -> Iterator[Part]:
        """Each chunk with what became of it, with signs of life on a terminal."""
        progress = Progress("rows", enabled=signs)
        chunk: Chunk
        for chunk in self._source.chunks(self.fields):
            yield self.task.smooth(chunk)
            progress.show(self.task.rows, self._source.share)
        progress.clear()


class Progress:
    """One line on standard error, if that is a terminal, from the first second on.

    Args:
        unit: what is counted.
        enabled: off where the terminal shows something else.
    """

    def __init__(self, unit: str, *, enabled: bool = True) -> None:
        self._unit = unit
        self._enabled = enabled and sys.stderr.isatty()
        self._start = time.monotonic()
        self._next = self._start + _FIRST_SIGN_S
        self._is_shown = False

    def show(self, done: int, share: float | None) -> None:
        """Say how much is done, now and then."""
        now = time.monotonic()
        if not self._enabled or now < self._next:
            return
        self._next = now + _EACH_SIGN_S
        percent = "" if share is None else f"  {share:4.0%}"
        rate = done / (now - self._start)
        sys.stderr.write(f"{_CLEAR_LINE}{done:,} {self._unit}{percent}  {rate:,.0f}/s")
        sys.stderr.flush()
        self._is_shown = True

    def clear(self) -> None:
        """Take the line away."""
        if self._is_shown:
            sys.stderr.write(_CLEAR_LINE)
            sys.stderr.flush()
