"""The command `stream-ewma`: one file a command, errors as one line, exit codes of sysexits."""

import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches

from stream_ewma import __version__
from stream_ewma.cli import settings_flags
from stream_ewma.cli.commands import (
    COMMANDS,
    EXIT_USAGE,
    GROUPS,
    module_of,
    parser_of,
    takes_settings,
)
from stream_ewma.errors import StreamEwmaError

_EXIT_INTERRUPTED = 130  # 128 + SIGINT

_HELP = """\
Exponentially weighted smoothing of live numeric streams: Kafka in, smoothed Kafka out.

  stream-ewma demo                                     see it work, nothing needed
  seq 1 5 | stream-ewma pipe --smoothing.alpha 0.2     lines in, smoothed lines out
  stream-ewma smooth readings.csv --smoothing.half_life 30s
  stream-ewma tune readings.csv                        which factor suits the data?

  stream-ewma config init > stream-ewma.yaml           a commented file of settings
  stream-ewma check stream-ewma.yaml                   are they right?
  stream-ewma topics create --config stream-ewma.yaml  make the output topics
  stream-ewma run --config stream-ewma.yaml            the service
  stream-ewma run --input.topics sensor-readings --smoothing.half_life 30s

{groups}
`stream-ewma COMMAND --help` has examples and flags. Every setting is a line of the YAML file, a
flag (--kafka.bootstrap_servers) and a variable (STREAM_EWMA_KAFKA__BOOTSTRAP_SERVERS).
"""


def _help() -> str:
    lines = []
    for group, commands in GROUPS.items():
        lines += [f"{group}:", *(f"  {name:<13}{text}" for name, text in commands.items()), ""]
    lines.insert(-1, f"  {'version':<13}the version")
    return _HELP.format(groups="\n".join(lines))


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
        sys.stderr.write(_help())
        return EXIT_USAGE
    match arguments:
        case ["-h" | "--help" | "help", *_]:
            sys.stdout.write(_help())
            return 0
        case ["version" | "--version", *_]:
            sys.stdout.write(f"stream-ewma {__version__}\n")
            return 0
        case [name, *rest] if name in COMMANDS:
            return _command(name, rest)
    name = arguments[0]
    close = get_close_matches(name, COMMANDS, 1)
    advice = f"write {close[0]}" if close else f"write one of {', '.join(COMMANDS)}"
    sys.stderr.write(f"stream-ewma: '{name}' is not a command; {advice}\n")
    return EXIT_USAGE


def _command(name: str, arguments: list[str]) -> int:
    module = module_of(name)
    parser = parser_of(name, module)
    if not takes_settings(module):
        return int(module.run(parser.parse_args(arguments)))
    own = getattr(module, "FLAGS", ())  # besides those of the settings
    known, unknown = parser.parse_settings(arguments, own)
    if name == "run":
        return int(module.run(settings_flags.load(known, unknown), once=known.once))
    return int(module.run(known, unknown))
