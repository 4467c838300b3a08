"""The names of all settings, read off the models, and the nearest right one to a wrong one."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from typing import NamedTuple, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from stream_ewma.settings.models import Settings


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


def part_of(name: str) -> type[BaseModel] | None:
    """The model of the dotted `name`: a section, or a part of a setting, as `smoothing.seed`.

    In a list or a mapping of models, `name` goes on with the item's number or name. None where
    there is no model.
    """
    model: type[BaseModel] = Settings
    is_item = False
    for part in name.split("."):
        if is_item:
            is_item = False
            continue
        field = model.model_fields.get(part)
        models = [] if field is None else _models_in(field.annotation)
        if field is None or not models:
            return None
        model, is_item = models[0], _holds_items(field.annotation)
    return model


def _holds_items(annotation: object) -> bool:
    """Whether `annotation` is a list or a mapping, or may be one."""
    if get_origin(annotation) in {tuple, Mapping}:
        return True
    return any(_holds_items(argument) for argument in get_args(annotation))


def _models_in(annotation: object) -> list[type[BaseModel]]:
    """The models among the types that `annotation` is made of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models_in(argument)]


def nearest_in(model: type[BaseModel], name: str) -> str | None:
    """The field of `model` that `name` was probably meant to be, or None."""
    close = get_close_matches(name, model.model_fields, 1, 0.5)
    return close[0] if close else None
