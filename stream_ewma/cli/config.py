"""The settings file: a commented one to begin with, what holds in the end and why, JSON Schema.

stream-ewma config init > stream-ewma.yaml
stream-ewma config show
stream-ewma config show --config stream-ewma.yaml --smoothing.half_life 10s
stream-ewma config schema > stream-ewma.schema.json

`init` writes every setting with its meaning and its default. `show` writes the settings that hold,
each with where it comes from: a line of the file, a variable, a flag, or the default; passwords as
**********. With `schema`, editors complete and check the file that has the line
`# yaml-language-server: $schema=stream-ewma.schema.json`.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from stream_ewma.cli import settings_flags
from stream_ewma.cli.commands import EXIT_USAGE
from stream_ewma.settings import Settings
from stream_ewma.settings.load import load_with_origins
from stream_ewma.settings.names import Setting, sections
from stream_ewma.settings.names import settings as all_settings
from stream_ewma.settings.schema import schema
from stream_ewma.settings.template import template
from stream_ewma.settings.written import as_written, yaml_text

_DEFAULT: Final = "default"
_LONGEST: Final = 48
"""Lines up to so long have their comments below each other."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to write, and the flags of every setting."""
    parser.usage = "%(prog)s init|show|schema [FLAGS]"
    parser.add_argument("action", choices=["init", "show", "schema"], help="see above")
    settings_flags.add_arguments(parser)


def run(arguments: argparse.Namespace, unknown: Sequence[str]) -> int:
    """Write it to standard output.

    Raises:
        SettingsError: the settings to be shown are wrong.
    """
    given = settings_flags.overrides(arguments, unknown)
    if given and arguments.action != "show":
        sys.stderr.write(
            f"stream-ewma config {arguments.action}: takes no --{next(iter(given))}; leave it out\n"
        )
        return EXIT_USAGE
    match arguments.action:
        case "init":
            text = template()
        case "schema":
            text = json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"
        case _:
            settings, origins = load_with_origins(
                arguments.config,
                overrides=given,
                secrets_dir=arguments.secrets_dir,
            )
            text = shown(settings, origins)
    sys.stdout.write(text)
    return 0


def shown(settings: Settings, origins: Mapping[str, str]) -> str:
    """The settings in YAML, each with where it comes from."""
    lines: list[tuple[str, str]] = []
    for section in sections():
        if section:
            lines += [("", ""), (f"{section}:", "")]
        own = [each for each in all_settings().values() if each.section == section]
        lines += [(_line(settings, each), origins.get(each.name, _DEFAULT)) for each in own]
    width = max(len(line) for line, _ in lines if len(line) <= _LONGEST)
    return "".join(
        f"{line.ljust(width)}  # {origin}\n" if origin else f"{line}\n" for line, origin in lines
    )


def _line(settings: Settings, setting: Setting) -> str:
    section, _, name = setting.name.rpartition(".")
    value = getattr(getattr(settings, section) if section else settings, name)
    return f"{'  ' if section else ''}{name}: {yaml_text(as_written(setting.field, value))}"
