"""The command `stream-ewma`: one file a command, errors as one line, exit codes of sysexits."""

import argparse
import os
import re
import sys
from collections.abc import Collection, Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import NoReturn

from stream_ewma import __version__
from stream_ewma.cli import settings_flags
from stream_ewma.errors import StreamEwmaError

_EXIT_USAGE = 2
_EXIT_INTERRUPTED = 130  # 128 + SIGINT

_COMMANDS = {
    "run": "read, smooth and publish until SIGTERM",
    "healthcheck": "ask the member on this machine whether it is ready",
    "check": "say everything that is wrong with the settings",
    "topics": "show (plan) or make (create) the topics that are missing",
    "state": "the kept state: get, list, export, import, reset",
    "offsets": "how far the group has come (show); past what cannot be read (skip)",
    "smooth": "smooth a file: CSV, JSON lines or Parquet",
    "tune": "find the factor that suits recorded readings",
    "demo": "see it work on this machine's own metrics, without Kafka",
}

_HELP = f"""\
Exponentially weighted smoothing of live numeric streams: Kafka in, smoothed Kafka out.

  stream-ewma demo                                     see it work, nothing needed
  stream-ewma check stream-ewma.yaml                   are the settings right?
  stream-ewma topics create --config stream-ewma.yaml  make the output topics
  stream-ewma run --config stream-ewma.yaml            the service
  stream-ewma run --input.topics sensor-readings --smoothing.half_life 30s
  stream-ewma smooth readings.csv --smoothing.alpha 0.2
  stream-ewma tune readings.csv                        which factor suits the data?

commands:
{"".join(f"  {name:<13}{text}{chr(10)}" for name, text in _COMMANDS.items())}\
  version      the version

`stream-ewma COMMAND --help` has the flags. Every setting is a line of the YAML file, a flag
(--kafka.bootstrap_servers) and a variable (STREAM_EWMA_KAFKA__BOOTSTRAP_SERVERS).
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; what a user can cause ends in a clear line."""
    try:
        try:
            return _dispatch(sys.argv[1:] if argv is None else list(argv))
        finally:
            # Here, where a closed pipe can be answered; Python's own flush at the end complains.
            sys.stdout.flush()
    except StreamEwmaError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return _EXIT_INTERRUPTED
    except BrokenPipeError:  # as in `stream-ewma run --help | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _dispatch(arguments: list[str]) -> int:
    if not arguments:
        sys.stderr.write(_HELP)
        return _EXIT_USAGE
    match arguments:
        case ["-h" | "--help" | "help", *_]:
            sys.stdout.write(_HELP)
            return 0
        case ["version" | "--version", *_]:
            sys.stdout.write(f"stream-ewma {__version__}\n")
            return 0
        case [name, *rest] if name in _COMMANDS:
            return _command(name, rest)
    name = arguments[0]
    close = get_close_matches(name, _COMMANDS, 1)
    advice = f"write {close[0]}" if close else f"write one of {', '.join(_COMMANDS)}"
    sys.stderr.write(f"stream-ewma: '{name}' is no command; {advice}\n")
    return _EXIT_USAGE


def _command(name: str, arguments: list[str]) -> int:
    # By name, so that `check` and `--help` need not wait for what only `run` and `demo` import.
    module = import_module(f"stream_ewma.cli.{name}")
    parser = _Parser(prog=f"stream-ewma {name}", description=_indented(module.__doc__ or ""))
    if name == "run":
        settings_flags.add_arguments(parser)
        settings = settings_flags.load(*parser.parse_settings(arguments))
        return int(module.run(settings))
    module.add_arguments(parser)
    if name == "demo":
        return int(module.run(parser.parse_args(arguments)))
    own = getattr(module, "FLAGS", ())  # besides those of the settings
    return int(module.run(*parser.parse_settings(arguments, own)))


def _indented(text: str) -> str:
    """`text` with its examples set off."""
    return re.sub(r"\n(?=(?:kcat .*)?stream-ewma )", "\n  ", text)


class _Parser(argparse.ArgumentParser):
    """Prints examples before flags, and errors as one line."""

    def __init__(self, prog: str, description: str) -> None:
        super().__init__(
            prog=prog,
            description=description,
            allow_abbrev=False,
            formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(
                prog, max_help_position=38
            ),
        )

    def parse_settings(
        self, arguments: list[str], own: Collection[str] = ()
    ) -> tuple[argparse.Namespace, list[str]]:
        """The known flags with their values, and the names of the others."""
        known, unknown = settings_flags.split(arguments, own)
        return self.parse_args(known), unknown

    def error(self, message: str) -> NoReturn:
        """End with the usage code."""
        self.exit(_EXIT_USAGE, f"{self.prog}: {message}; see {self.prog} --help\n")
