"""The commands: their names and groups, and the parser of each."""

import argparse
import re
import shutil
from collections.abc import Collection
from importlib import import_module
from types import ModuleType
from typing import Final, NoReturn

from stream_ewma.cli import settings_flags

GROUPS: Final = {
    "run it": {
        "run": "read, smooth and publish until SIGTERM",
        "demo": "see it work on this machine's own metrics, without Kafka",
        "topics": "show (plan) or make (create) the topics that are missing",
    },
    "look at it": {
        "top": "a running member, live: its partitions, rates and busiest keys",
        "tap": "its readings as they come in, with what each became; or its dead letters",
        "healthcheck": "ask the member on this machine whether it is ready",
        "state": "the kept state: get, list, export, import, reset",
        "offsets": "how far the group has come (show); past what cannot be read (skip)",
        "dlq": "the dead letters: list, show, replay",
    },
    "lines and files, without Kafka": {
        "pipe": "smooth the lines of standard input to standard output",
        "smooth": "smooth a file: CSV, JSON lines or Parquet",
        "tune": "find the factor that suits recorded readings",
        "bench": "how fast this machine smooths with your settings",
    },
    "settings": {
        "check": "say everything that is wrong with the settings",
        "config": "a commented file (init), what holds and why (show), JSON Schema (schema)",
        "completion": "what makes bash, zsh or fish complete commands and flags",
    },
}
"""What each command does, by the groups of the help. `cli/NAME.py` has the command itself."""

COMMANDS: Final = {name: text for group in GROUPS.values() for name, text in group.items()}
EXIT_USAGE: Final = 2
_MOST_COLUMNS: Final = 100


def module_of(name: str) -> ModuleType:
    """The module of a command."""
    # By name, so that `check` and `--help` need not wait for what only `run` and `demo` import.
    return import_module(f"stream_ewma.cli.{name}")


def takes_settings(module: ModuleType) -> bool:
    """Whether every setting is a flag of the command."""
    return getattr(module, "TAKES_SETTINGS", True)


def parser_of(name: str, module: ModuleType) -> "Parser":
    """The parser of a command, with its flags."""
    parser = Parser(prog=f"stream-ewma {name}", description=_indented(module.__doc__ or ""))
    if hasattr(module, "add_arguments"):
        module.add_arguments(parser)
    else:
        settings_flags.add_arguments(parser)
    parser.show_choices()
    return parser


def _indented(text: str) -> str:
    """`text` with its examples set off."""
    return re.sub(r"\n(?=(?:[\w-]+ .*\| )?stream-ewma )", "\n  ", text)


def _width() -> int:
    """Columns of a help: those of the terminal, but no longer than the eye follows."""
    return min(_MOST_COLUMNS, shutil.get_terminal_size((_MOST_COLUMNS, 0)).columns)


class Parser(argparse.ArgumentParser):
    """Prints examples before flags, and errors as one line."""

    def __init__(self, prog: str, description: str) -> None:
        super().__init__(
            prog=prog,
            description=description,
            allow_abbrev=False,
            add_help=False,
            formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(
                prog, max_help_position=38, width=_width()
            ),
        )
        self._positionals.title, self._optionals.title = "arguments", "flags"
        self.add_argument("-h", "--help", action="help", help="this help")

    def show_choices(self) -> None:
        """Write the choices of flags as those of the settings are written."""
        for action in self._actions:
            if action.option_strings and action.choices is not None and action.metavar is None:
                action.metavar = "|".join(map(str, action.choices))

    def completions(self) -> dict[str, tuple[str, ...]]:
        """Each flag with its choices; those of the argument that is an action have no name."""
        return {
            name: tuple(map(str, action.choices or ()))
            for action in self._actions
            for name in action.option_strings or ([""] if action.choices else [])
        }

    def format_help(self) -> str:
        """What the command does and its examples, then how it is called, then the flags."""
        usage = self.format_usage()
        text = super().format_help()
        description = (self.description or "").strip()
        return (
            text.replace(usage, "", 1)
            .replace(description, f"{description}\n\n{usage}".rstrip(), 1)
            .lstrip("\n")
        )

    def parse_settings(
        self, arguments: list[str], own: Collection[str] = ()
    ) -> tuple[argparse.Namespace, list[str]]:
        """The known flags with their values, and the names of the others."""
        known, unknown = settings_flags.split(arguments, own)
        return self.parse_args(known), unknown

    def error(self, message: str) -> NoReturn:
        """End with the usage code."""
        self.exit(EXIT_USAGE, f"{self.prog}: {message}; see {self.prog} --help\n")
