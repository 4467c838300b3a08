"""Say everything that is wrong with the settings, each with what to write instead.

stream-ewma check
stream-ewma check stream-ewma.yaml
stream-ewma check config/*.yaml    each by itself; the worst one is the exit code
stream-ewma check --config stream-ewma.yaml --smoothing.half_life 30s
stream-ewma check --online

What works but should not stay so, as a password that would travel in clear text, is a line that
begins with `warning:`.

With --online also everything that the service needs of the brokers, a line for each thing: names,
connections, certificates, login, versions, topics, permissions, the group and its lag. It ends with
0 if all is well, 1 if not, and 69 or 77 if no broker lets this client in. A member that runs
notices nothing of it.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Final

from stream_ewma.cli import settings_flags
from stream_ewma.errors import SettingsError
from stream_ewma.settings import Settings
from stream_ewma.settings.cautions import cautions
from stream_ewma.settings.smoothing import FACTOR_NAMES
from stream_ewma.settings.sources import config_file, process_environment
from stream_ewma.settings.values import format_duration

FLAGS: Final = ("online", "deny-warnings")
FINDINGS: Final = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The files, and the flags of every setting."""
    parser.usage = "%(prog)s [FILE...] [FLAGS]"
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="as --config FILE")
    parser.add_argument("--online", action="store_true", help="look at the brokers as well")
    parser.add_argument(
        "--deny-warnings", action="store_true", help="end with 1 for what is only a warning, too"
    )
    settings_flags.add_arguments(parser)


def run(arguments: argparse.Namespace, unknown: Sequence[str]) -> int:
    """Print of each file that the settings are good and what they amount to, or what is wrong."""
    if arguments.files and arguments.config is not None:
        sys.stderr.write("stream-ewma check: write the file once, as FILE or with --config\n")
        return 2
    worst = 0
    for file in arguments.files or [arguments.config or config_file(process_environment())]:
        arguments.config = file
        try:
            worst = max(worst, _check(arguments, settings_flags.load(arguments, unknown)))
        except SettingsError as error:
            sys.stderr.write(f"{error}\n")
            worst = max(worst, error.exit_code)
    return worst


def _check(arguments: argparse.Namespace, settings: Settings) -> int:
    sys.stdout.write(f"{arguments.config or 'settings'}: ok\n{summary(settings)}")
    warned = cautions(settings)
    sys.stdout.writelines(f"warning: {line}\n" for line in warned)
    if arguments.online:
        # By name, so that a check without brokers need not wait for what speaks to them.
        online = import_module("stream_ewma.cli.check_online")
        denied = arguments.deny_warnings
        return int(online.run_online(settings, warned=len(warned), deny_warnings=denied))
    return FINDINGS if warned and arguments.deny_warnings else 0


def summary(settings: Settings) -> str:
    """Two lines: what is read, and what becomes of it."""
    topics = settings.input.topics
    outputs = dict.fromkeys(settings.output_topic(topic) for topic in topics)
    rules = len(settings.smoothing.rules)
    with_rules = f" and {rules} rule{'s' * (rules > 1)} by key" if rules else ""
    on_error = settings.dead_letters.on_error
    letters = {
        "dlq": f"dead letters to {settings.dead_letter_topic}",
        "skip": "bad records are skipped",
        "fail": "a bad record stops it",
    }[on_error]
    return (
        f"  reads {', '.join(topics)} ({settings.input.format})"
        f" at {settings.kafka.bootstrap_servers} as group {settings.application_id}\n"
        f"  writes {', '.join(outputs)} ({settings.output.format}),"
        f" {_factor(settings)}{with_rules}; {letters}\n"
    )


def _factor(settings: Settings) -> str:
    smoothing = settings.smoothing
    if smoothing.factors is not None:
        return f"factors {', '.join(smoothing.factors)}"
    name = next(name for name in FACTOR_NAMES if getattr(smoothing, name) is not None)
    if smoothing.half_life is not None:
        return f"half_life {format_duration(smoothing.half_life)}"
    return f"{name} {getattr(smoothing, name):g}"
