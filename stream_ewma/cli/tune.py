"""Find the smoothing factor that suits recorded readings.

stream-ewma tune readings.csv
stream-ewma tune temps.csv --key city --value temp --time date --utc
stream-ewma tune readings.jsonl --clock readings --error absolute
stream-ewma tune readings.parquet --key sensor --json | jq .settings

Every reading is predicted by the smoothed value before it. The factor with the smallest error is
shown with how much others lose, for all keys together and for each, and as YAML to paste.
"""

import argparse
import sys
from collections.abc import Sequence
from typing import Final

import orjson

from stream_ewma.cli import settings_flags
from stream_ewma.cli.recorded import FLAGS as INPUT_FLAGS
from stream_ewma.cli.recorded import Progress, Run, add_input_arguments, open_source, settings_of
from stream_ewma.cli.tables import is_ascii_only
from stream_ewma.cli.tune_report import Report, as_document
from stream_ewma.errors import DataError
from stream_ewma.files.recording import LAST_VALUE, record, require_one_value
from stream_ewma.files.tuning import tune

FLAGS: Final = (*INPUT_FLAGS, "clock", "error", "top", "json")
_SHOWN_SETTINGS: Final = {
    *("input.timestamp_unit", "input.timestamp_required", "input.coerce_strings", "input.on_null"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The file, and what is to be found."""
    parser.usage = "%(prog)s FILE|- [FLAGS]"
    add_input_arguments(parser, "CSV with a header, JSON lines or Parquet; - is standard input")
    group = parser.add_argument_group("the search")
    group.add_argument(
        "--clock",
        choices=("readings", "time"),
        help="look for an alpha, or for a half_life; default: time, where the data has times",
    )
    group.add_argument(
        "--error",
        choices=("squared", "absolute"),
        default="squared",
        help="what is minimised; absolute heeds outliers less [squared]",
    )
    group.add_argument(
        "--top", type=_whole, default=10, metavar="N", help="keys shown, by readings [10]"
    )
    group.add_argument("--json", action="store_true", help="everything, for programs")
    settings_flags.add_arguments(parser, _SHOWN_SETTINGS)


def _whole(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"'{text}': write a whole number")
    return int(text)


def run(arguments: argparse.Namespace, unknown: Sequence[str]) -> int:
    """Search, and say what was found.

    Raises:
        StreamEwmaError: the settings or the data are not good, or there is nothing to choose.
    """
    settings = settings_of(arguments, unknown, FLAGS, LAST_VALUE)
    require_one_value(settings)
    with open_source(arguments) as source:
        work = Run(arguments, source, settings)
        time = work.fields.time
        has_times = time is not None and source.has(time)
        event_time = has_times if arguments.clock is None else arguments.clock == "time"
        if event_time:
            if not has_times:
                raise DataError(f"{source.name}: has no times; name them with --time COLUMN")
            work.task.require_time()
        recording = record(work.parts(), source.name, settings.state.max_keys)
        rows, name = work.task.rows, source.name
    progress = Progress("readings scored")
    try:
        tuning = tune(
            recording, event_time=event_time, criterion=arguments.error, progress=progress.show
        )
    except DataError as error:
        progress.clear()
        raise DataError(f"{name}: {error}") from None
    progress.clear()
    if rows > len(recording):
        sys.stderr.write(
            f"{rows - len(recording):,} of {rows:,} rows are not readings and were left out;"
            " `stream-ewma smooth` says which\n"
        )
    if arguments.json:
        sys.stdout.write(orjson.dumps(as_document(tuning, name)).decode() + "\n")
        return 0
    report = Report(
        tuning,
        name,
        top=arguments.top,
        plain=is_ascii_only(),
        bold=sys.stdout.isatty(),
    )
    sys.stdout.write(report.text())
    return 0
