"""The names of all settings, read off the models, and the nearest right one to a wrong one."""

from collections.abc import Iterator
from difflib import get_close_matches
from functools import cache
from typing import NamedTuple, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from stream_ewma.settings.models import Settings
from stream_ewma.settings.sections import RuleSettings


class Setting(NamedTuple):
    """One setting: its dotted name, and its field in the model of its section."""

    name: str
    field: FieldInfo

    @property
    def section(self) -> str:
        """Name of its section; empty outside of sections."""
        return self.name.rpartition(".")[0]

    @property
    def is_secret(self) -> bool:
        """Whether its value must not be shown."""
        return "SecretStr" in str(self.field.annotation)


@cache
def sections() -> dict[str, type[BaseModel]]:
    """The model of each section; the settings outside of sections are under the empty name."""
    found: dict[str, type[BaseModel]] = {"": Settings}
    for name, field in Settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found[name] = field.annotation
    return found


@cache
def settings() -> dict[str, Setting]:
    """Every setting by its dotted name, in the order of the models."""
    return {setting.name: setting for setting in _walk()}


def _walk() -> Iterator[Setting]:
    for section, model in sections().items():
        for name, field in model.model_fields.items():
            if section or name not in sections():
                yield Setting(f"{section}.{name}" if section else name, field)


def metadata(field: FieldInfo) -> Iterator[object]:
    """Bounds and validators of `field`, also those inside `... | None`."""
    yield from field.metadata
    pending: list[object] = [field.annotation]
    while pending:
        part = pending.pop()
        if isinstance(part, FieldInfo):
            yield from part.metadata
        elif get_args(part):
            pending += get_args(part)
        else:
            yield part


def literals(field: FieldInfo) -> list[str]:
    """The choices of `field`; empty where it is not a choice."""
    found: list[str] = []
    pending: list[object] = [field.annotation]
    while pending:
        for argument in get_args(pending.pop(0)):
            found += [argument] if isinstance(argument, str) else []
            pending += [argument] if get_args(argument) else []
    return found


def nearest(name: str) -> str | None:
    """The setting that `name` was probably meant to be, or None."""
    section, _, last = name.rpartition(".")
    moved = [known for known in settings() if known.rpartition(".")[2] == last]
    if len(moved) == 1:
        return moved[0]
    if section and section in sections():
        close = get_close_matches(last, sections()[section].model_fields, 1, 0.6)
        return f"{section}.{close[0]}" if close else None
    close = get_close_matches(name, [*settings(), *sections()], 1, 0.6)
    return close[0] if close else None


def nearest_in_rule(name: str) -> str | None:
    """The field of a smoothing rule that `name` was probably meant to be, or None."""
    close = get_close_matches(name, RuleSettings.model_fields, 1, 0.5)
    return close[0] if close else None
