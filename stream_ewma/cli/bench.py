"""How fast this machine smooths with your settings, without Kafka.

stream-ewma bench --smoothing.half_life 30s
stream-ewma bench --config stream-ewma.yaml --keys 1000000
stream-ewma bench --config stream-ewma.yaml --smoothing.outputs ewma,std,zscore
stream-ewma bench --smoothing.alpha 0.2 --input.format double --output.format double --json

Synthetic readings go through the code of the service, from the bytes of a fetch to the bytes to be
sent, with a commit each 100,000 readings. It takes some seconds; the very first time, the compiler
takes a minute more.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Final

from stream_ewma import __version__
from stream_ewma.cli import settings_flags
from stream_ewma.cli.recorded import Progress, refuse_misspelt
from stream_ewma.cli.tables import counted, number, table
from stream_ewma.files.measuring import Cost, measure
from stream_ewma.service.memory import keep_freed_memory
from stream_ewma.settings import Settings

FLAGS: Final = ("records", "keys", "json")
_OF_THE_ENGINE: Final = {"input", "smoothing", "output", "state"}
_RECORDS: Final = 1_000_000
_KEYS: Final = 10_000
_LEFT_OUT: Final = (
    "Left out: Kafka's client (fetching, sending, transactions), the brokers, and compression of\n"
    "the input. A CPU-second is a second of one core; partitions are smoothed side by side.\n"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How much, and the settings that matter to it."""
    parser.usage = "%(prog)s [FLAGS]"
    group = parser.add_argument_group("the readings")
    group.add_argument(
        "--records",
        type=_whole,
        default=_RECORDS,
        metavar="N",
        help=f"readings to measure [{_RECORDS}]",
    )
    group.add_argument(
        "--keys", type=_whole, default=_KEYS, metavar="N", help=f"keys that they have [{_KEYS}]"
    )
    group.add_argument("--json", action="store_true", help="for programs")
    settings_flags.add_arguments(parser, _OF_THE_ENGINE)


def _whole(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= 10**9:
        raise argparse.ArgumentTypeError(f"'{text}': write a whole number from 1 to 1000000000")
    return int(text)


def run(arguments: argparse.Namespace, unknown: Sequence[str]) -> int:
    """Measure, and print what was found.

    Raises:
        StreamEwmaError: the settings are wrong, or stop at the readings.
    """
    refuse_misspelt(unknown, FLAGS)
    settings = settings_flags.load(arguments, unknown, recorded=True)
    keep_freed_memory()  # as the service does
    progress = Progress("readings")
    cost = measure(
        settings,
        arguments.records,
        arguments.keys,
        lambda done: progress.show(done, done / arguments.records),
    )
    progress.clear()
    if arguments.json:
        sys.stdout.write(f"{json.dumps(document(cost), indent=2)}\n")
    else:
        sys.stdout.write(report(settings, cost))
    return 0


def document(cost: Cost) -> dict[str, object]:
    """What was found, for programs."""
    total = cost.smoothing_ns + (cost.changelog_ns or 0)
    return {
        "version": __version__,
        "readings": cost.readings,
        "keys": cost.keys,
        "emitted": cost.emitted,
        "rejected": cost.rejected,
        "smoothing_ns_per_reading": cost.smoothing_ns / cost.readings,
        "changelog_ns_per_reading": None
        if cost.changelog_ns is None
        else cost.changelog_ns / cost.readings,
        "readings_per_cpu_second": 1e9 * cost.readings / total,
        "state_bytes_per_key": cost.state_bytes / max(cost.keys, 1),
        "input_bytes_per_reading": cost.input_bytes / cost.readings,
        "output_bytes_per_reading": cost.output_bytes / cost.readings,
    }


def report(settings: Settings, cost: Cost) -> str:
    """What was found, for people."""
    parts = {"bytes to smoothed bytes": cost.smoothing_ns}
    if cost.changelog_ns is not None:
        parts["changelog rows"] = cost.changelog_ns
        parts["together"] = cost.smoothing_ns + cost.changelog_ns
    rows = [
        (name, f"{spent / cost.readings:,.0f}", number(int(1e9 * cost.readings / max(spent, 1))))
        for name, spent in parts.items()
    ]
    columns = ", ".join(output.name for output in settings.smoothing.output_list())
    told = (
        f"{counted(cost.readings, 'reading')} of {counted(cost.keys, 'key')},"
        f" {settings.input.format} to {settings.output.format}: {columns}\n\n"
    )
    told += table(("", "CPU ns per reading", "readings per CPU-second"), rows, left=("",))
    told += (
        f"\n{cost.state_bytes / max(cost.keys, 1):,.0f} bytes of memory per key;"
        f" {cost.input_bytes / cost.readings:,.0f} bytes in and"
        f" {cost.output_bytes / cost.readings:,.0f} out per reading\n"
    )
    if cost.rejected:
        told += (
            f"{cost.rejected:,} of the readings cannot be smoothed with these settings:"
            " the numbers say little\n"
        )
    return told + _LEFT_OUT
