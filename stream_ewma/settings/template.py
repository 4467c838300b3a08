"""A settings file to begin with, written from the models: every setting, with what it means."""

import textwrap
from collections.abc import Iterator
from typing import Final

from pydantic_core import PydanticUndefined

from stream_ewma.settings.names import Setting, literals, part_of, sections, settings
from stream_ewma.settings.smoothing import FACTOR_NAMES
from stream_ewma.settings.written import as_written, yaml_text

_HEAD: Final = """\
# Settings of stream-ewma. What follows a # at once is a setting at its default: take the # away and
# write another value. Only input.topics and one of the ways to smooth must be given.
#
# Each setting is also a flag (--kafka.client_id x) and a variable (STREAM_EWMA_KAFKA__CLIENT_ID=x).
# What counts: flags > environment > .env > secrets files > this file > defaults.
# Durations carry their unit: 500ms, 30s, 5m, 2h, 1d.
#
# For completion in editors: stream-ewma config schema > stream-ewma.schema.json, and in this file
# a line `# yaml-language-server: $schema=stream-ewma.schema.json`.
"""
_GIVEN: Final[dict[str, object]] = {
    "input.topics": ["sensor-readings"],
    "smoothing.half_life": "30s",
}
"""What must be written, with an example of it."""
_COLUMNS: Final = 100


def template() -> str:
    """The file."""
    lines = [_HEAD]
    for section, model in sections().items():
        own = [setting for setting in settings().values() if setting.section == section]
        if section:
            lines += [f"\n# {model.__doc__}", f"{section}:"]
        lines += [line for setting in own for line in _lines(setting)]
    return "\n".join(lines) + "\n"


def _lines(setting: Setting) -> Iterator[str]:
    section, _, name = setting.name.rpartition(".")
    indent = "  " if section else ""
    choices = literals(setting.field)
    yield from _wrapped(setting.field.description or "", f"{indent}# ")
    for part, meaning in _parts(setting):
        yield from _wrapped(f"{part}: {meaning}", f"{indent}#   ", f"{indent}#     ")
    if setting.name in _GIVEN:
        yield f"{indent}{name}: {yaml_text(_GIVEN[setting.name])}"
    else:
        told = f"  # {' | '.join(choices)}" if choices else ""
        yield f"{indent}#{name}: {default_of(setting)}{told}"


def _parts(setting: Setting) -> Iterator[tuple[str, str]]:
    """Name and meaning of what is written inside of a setting, as the `keys` of a rule."""
    model = part_of(setting.name)
    fields = {} if model is None else model.model_fields
    own = [name for name in fields if name not in FACTOR_NAMES]
    if len(own) < len(fields):
        yield " | ".join(FACTOR_NAMES), "Exactly one of them, as above."
    for name in own:
        default = yaml_text(as_written(fields[name], fields[name].default))
        told = "" if default == "null" else f" [{default}]"
        yield name, f"{fields[name].description}{told}"


def _wrapped(text: str, first: str, others: str | None = None) -> list[str]:
    return textwrap.wrap(
        text,
        _COLUMNS,
        initial_indent=first,
        subsequent_indent=first if others is None else others,
        break_long_words=False,
        break_on_hyphens=False,
    )


def default_of(setting: Setting) -> str:
    """The default of a setting in YAML; null where it has none."""
    value = setting.field.get_default(call_default_factory=True)
    written = None if value is PydanticUndefined else as_written(setting.field, value)
    return yaml_text(written)
