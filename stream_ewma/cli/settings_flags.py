"""Every setting as a flag of the same name, generated from the models."""

import argparse
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from stream_ewma.settings import Settings, load_settings
from stream_ewma.settings.names import Setting, literals, metadata, sections, settings
from stream_ewma.settings.values import format_duration
from stream_ewma.settings.written import is_duration

_OTHER_FLAGS = {"config", "secrets-dir", "help"}
_METAVARS = {
    "smoothing.rules": "JSON",
    "input.topics": "NAME,...",
    "kafka.bootstrap_servers": "HOST:PORT,...",
    "input.start": "earliest|latest|TIMESTAMP",
    "kafka.ssl_cafile": "FILE",
    "kafka.ssl_certfile": "FILE",
    "kafka.ssl_keyfile": "FILE",
}


def add_arguments(parser: argparse.ArgumentParser, shown: Collection[str] | None = None) -> None:
    """Add --config, --secrets-dir and one flag a setting, in the groups of the YAML file.

    Args:
        parser: what they are added to.
        shown: the settings whose flags the help shows, or their sections; None: all of them.
    """
    # argparse would list every flag in the usage, too.
    parser.usage = parser.usage or "%(prog)s [FLAGS]"
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="the settings file; default: $STREAM_EWMA_CONFIG, ./stream-ewma.yaml,"
        " /etc/stream-ewma/config.yaml",
    )
    parser.add_argument(
        "--secrets-dir",
        type=Path,
        metavar="DIR",
        help="folder with one file a secret, named as the variables;"
        " default: $STREAM_EWMA_SECRETS_DIR, /run/secrets",
    )
    groups: dict[str, argparse._ActionsContainer] = {}
    for setting in settings().values():
        if setting.is_secret:
            continue
        section, is_shown = setting.section, _is_shown(setting, shown)
        if is_shown and section not in groups:
            text = sections()[section].__doc__ if section else None
            groups[section] = parser.add_argument_group(section or "general", text)
        _add_flag(groups.get(section, parser), setting, is_shown=is_shown)


def _is_shown(setting: Setting, shown: Collection[str] | None) -> bool:
    return shown is None or not {setting.name, setting.section}.isdisjoint(shown)


def split(arguments: Sequence[str], own: Collection[str] = ()) -> tuple[list[str], list[str]]:
    """The arguments for the parser, and the names of the flags that it would not know.

    `own` are the flags of the command besides those of the settings.

    The value after an unknown flag goes with it: it may be a password, and must be neither shown
    nor taken for a file.
    """
    known, unknown = [], []
    is_value_of_unknown = False
    for argument in arguments:
        name = argument.removeprefix("--").partition("=")[0]
        if not argument.startswith("--"):
            if not is_value_of_unknown:
                known.append(argument)
            is_value_of_unknown = False
        elif (
            name in _OTHER_FLAGS
            or name in own
            or (name in settings() and not settings()[name].is_secret)
        ):
            known.append(argument)
            is_value_of_unknown = False
        else:
            unknown.append(name)
            is_value_of_unknown = "=" not in argument
    return known, unknown


def overrides(arguments: argparse.Namespace, unknown: Sequence[str]) -> dict[str, object]:
    """What the flags say, by dotted name; of `unknown` ones, that they are there."""
    given = {name: value for name, value in vars(arguments).items() if name in settings()}
    return given | dict.fromkeys(unknown, "")


def load(
    arguments: argparse.Namespace,
    unknown: Sequence[str],
    *,
    more: Mapping[str, object] | None = None,
    recorded: bool = False,
    replaced: Mapping[str, dict[str, object]] | None = None,
) -> Settings:
    """The settings, from all sources.

    Args:
        arguments: what the parser understood.
        unknown: names of flags that it would not, to be reported with all other problems.
        more: further values by dotted name, over the flags.
        recorded: see `load_settings`.
        replaced: see `load_settings`.

    Raises:
        SettingsError: with one line for each thing that is wrong.
    """
    return load_settings(
        arguments.config,
        overrides=overrides(arguments, unknown) | dict(more or {}),
        secrets_dir=arguments.secrets_dir,
        recorded=recorded,
        replaced=replaced,
    )


def default_text(field: FieldInfo) -> str:
    """The default of `field` as one would write it in the YAML file; empty where it has none."""
    value = field.default
    if value is PydanticUndefined or value == ():
        return ""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if is_duration(field):
        return format_duration(value)
    if isinstance(value, tuple):
        return f"[{', '.join(map(str, value))}]"
    if isinstance(value, BaseModel):
        written = value.model_dump(exclude_none=True).items()
        return "{" + ", ".join(f"{name}: {inner}" for name, inner in written) + "}"
    return str(value)


def _add_flag(group: argparse._ActionsContainer, setting: Setting, *, is_shown: bool) -> None:
    default = default_text(setting.field)
    text = (setting.field.description or "") + (
        f" [{default}]" if default not in {"", "null"} else ""
    )
    is_switch = setting.field.annotation is bool
    group.add_argument(
        f"--{setting.name}",
        dest=setting.name,
        default=argparse.SUPPRESS,
        # A switch may stand without a value.
        nargs="?" if is_switch else None,
        const="true" if is_switch else None,
        metavar=_METAVARS.get(setting.name) or _metavar(setting.field),
        help=text.replace("%", "%%") if is_shown else argparse.SUPPRESS,
    )


def _metavar(field: FieldInfo) -> str:
    choices = literals(field)
    if choices:
        return "|".join(choices)
    if is_duration(field):
        return "DURATION"
    kinds = list(metadata(field))
    if bool in kinds:
        return "true|false"
    return "TEXT" if str in kinds else "NUMBER"
