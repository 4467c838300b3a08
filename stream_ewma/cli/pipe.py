r"""Smooth lines: standard input to standard output, by the code of the service.

seq 1 5 | stream-ewma pipe --smoothing.alpha 0.2
tail -f readings.jsonl | stream-ewma pipe --key-field sensor --smoothing.half_life 30s
kcat -C -b localhost:9092 -t readings -u -f '%k:%s\n' | stream-ewma pipe --smoothing.alpha 0.1
mosquitto_sub -v -t 'plant/#' | stream-ewma pipe --separator ' ' --smoothing.span 9
stream-ewma pipe --config stream-ewma.yaml < lines > smoothed

A line is KEY:VALUE, or a JSON object (with its key in the field `key`, or where --key-field says),
or a value alone; the first line shows which. Values are read as --input.format says. Each line is
answered at once with the value that the service would publish. A reading without a time of its own
has that of its arrival. Nothing behind the separator forgets the key, as kcat prints a tombstone.
What cannot be smoothed is named on standard error; dead_letters.on_error: skip only counts it, fail
stops there with exit code 65.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import Final

from stream_ewma.cli import settings_flags
from stream_ewma.cli.output_file import writing
from stream_ewma.cli.recorded import excerpt, refuse_misspelt, rejections
from stream_ewma.cli.tables import counted
from stream_ewma.engine.dead_letters import MESSAGES, Reason
from stream_ewma.errors import DataError
from stream_ewma.files.opening import Blocks, open_blocks
from stream_ewma.files.piped import Lines, LinesDone, LineTask, form_of, read_lines
from stream_ewma.settings import InputSettings, Settings

FLAGS: Final = ("key-field", "separator")
_OF_TOPICS: Final = {"topics", "start", "isolation_level", "copartitioned", "on_gap"}
_SHOWN_SETTINGS: Final = {
    *(f"input.{name}" for name in InputSettings.model_fields if name not in _OF_TOPICS),
    *("smoothing", "output.format", "output.shape", "output.names", "output.emit"),
    "dead_letters.on_error",
}
_ESCAPES: Final = {r"\t": "\t", "tab": "\t"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How a line is read, and the settings that matter to it."""
    parser.usage = "%(prog)s [FLAGS] < LINES"
    group = parser.add_argument_group("the lines")
    group.add_argument(
        "-K",
        "--separator",
        type=_separator,
        metavar="TEXT",
        help="between key and value; default: a colon, if the first line has one and is not JSON",
    )
    group.add_argument(
        "--key-field",
        metavar="NAME",
        help="path of the key in a JSON object; the same as --input.key",
    )
    settings_flags.add_arguments(parser, _SHOWN_SETTINGS)
    parser.epilog = "Every other setting of `stream-ewma run` is taken as well, as file or flag."


def _separator(text: str) -> bytes:
    text = _ESCAPES.get(text, text)
    if not text or "\n" in text:
        raise argparse.ArgumentTypeError("write what is between key and value, as : or \\t")
    return text.encode(errors="surrogateescape")


def run(arguments: argparse.Namespace, unknown: Sequence[str]) -> int:
    """Smooth until the input ends.

    Raises:
        StreamEwmaError: the settings or the lines are not good.
    """
    refuse_misspelt(unknown, FLAGS)
    more = {} if arguments.key_field is None else {"input.key": arguments.key_field}
    settings = settings_flags.load(arguments, unknown, more=more, recorded=True)
    with open_blocks("-") as blocks:
        _Pipe(blocks, settings, arguments.separator).run()
    return 0


class _Pipe:
    """Lines on their way through the engine, with what is told of them.

    Args:
        blocks: where they come from.
        settings: of the service.
        separator: between key and value; None: the first line shows.
    """

    def __init__(self, blocks: Blocks, settings: Settings, separator: bytes | None) -> None:
        self._blocks, self._settings, self._separator = blocks, settings, separator
        self._is_quiet = settings.dead_letters.on_error == "skip"
        self._task: LineTask | None = None
        self._lines = self._smoothed = 0
        self._rejected: Counter[Reason] = Counter()

    def run(self) -> None:
        """Answer each line as soon as it is there, and count them at the end.

        Raises:
            DataError: a line cannot be smoothed, under `on_error: fail`.
        """
        try:
            for lines in read_lines(self._blocks):
                self._answer(lines)
        except BrokenPipeError:  # the reader has had enough, and with it the user
            raise
        except BaseException:
            self._tell()
            raise
        self._tell()

    def _answer(self, lines: Lines) -> None:
        if self._task is None:
            form = form_of(lines.text.item(0) or b"", self._settings, self._separator)
            self._task = LineTask(self._settings, form)
        done = self._task.smooth(lines.text, time.time_ns() // 1_000_000)
        # Before they are written: an interrupt behind that is to find them counted.
        self._lines, self._smoothed = self._task.lines, self._smoothed + done.smoothed
        self._rejected.update(reason for _, reason in done.rejected)
        with writing(None) as target:
            target.write(_joined(done))
            target.flush()
        for row, reason in done.rejected if not self._is_quiet else ():
            sys.stderr.write(f"{_line(lines, row, reason)}\n")
        if done.failure is not None:
            raise DataError(_line(lines, *done.failure))

    def _tell(self) -> None:
        skipped = self._lines - self._smoothed - self._rejected.total()
        parts = [counted(self._lines, "line"), f"{self._smoothed:,} smoothed"]
        parts += [f"{skipped:,} skipped"] if skipped else []
        keys = 0 if self._task is None else self._task.keys_count
        parts += [rejections(self._rejected), counted(keys, "key")]
        sys.stderr.write(f"{', '.join(parts)}\n")


def _joined(done: LinesDone) -> bytes:
    spans = done.documents
    data = spans.buffer.tobytes()
    places = zip(spans.start.tolist(), spans.length.tolist(), strict=True)
    # Nothing where a key was forgotten: that record has no value.
    return b"".join([data[at : at + size] + b"\n" for at, size in places if size >= 0])


def _line(lines: Lines, row: int, reason: Reason) -> str:
    text = excerpt(lines.text.item(row) or b"")
    return f"standard input: line {int(lines.number[row])}: {MESSAGES[reason]}: {text}"
