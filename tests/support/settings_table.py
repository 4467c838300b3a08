"""The README's table of settings, written from the models that the service reads.

`python -m tests.support.settings_table` brings the README up to date.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from stream_ewma.cli.settings_flags import default_text
from stream_ewma.settings.names import literals, part_of, sections, settings
from stream_ewma.settings.smoothing import FactorSettings

README = Path(__file__).parents[2] / "README.md"
BEGIN = "<!-- settings: python -m tests.support.settings_table -->"
END = "<!-- end of settings -->"
_PLACE = re.compile(f"{re.escape(BEGIN)}\n(.*?)\n?{re.escape(END)}", re.DOTALL)


class Part(NamedTuple):
    """One name within a setting, as `smoothing.rules[].keys` or `smoothing.seed.weight`."""

    name: str
    field: FieldInfo


def table() -> str:
    """The Markdown table, a row for each setting and for each name within one."""
    rows = ["| Setting | Default | Meaning |", "| --- | --- | --- |"]
    for name, model in sections().items():
        if name:
            rows.append(f"| **`{name}`** | | **{_escaped(model.__doc__ or '')}** |")
        for setting in settings().values():
            if setting.section == name:
                rows.append(_row(setting.name, setting.field))
                rows += [_row(part.name, part.field) for part in parts(setting.name)]
    return "\n".join(rows)


def parts(setting: str) -> Iterator[Part]:
    """The names within a setting that is a model, or a list or mapping of such.

    The five ways to write a factor are left out: they are the first five of `smoothing`.
    """
    model = part_of(setting)
    if model is None:
        return
    section, _, last = setting.rpartition(".")
    place = setting + _items(sections()[section].model_fields[last].annotation)
    for name, field in _own_fields(model).items():
        yield Part(f"{place}.{name}", field)


def _own_fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    fields = model.model_fields
    known = FactorSettings.model_fields if issubclass(model, FactorSettings) else {}
    return {name: field for name, field in fields.items() if name not in known}


def _items(annotation: object) -> str:
    """What stands for one item of a list or a mapping; nothing for what is neither."""
    origin = get_origin(annotation)
    if origin is tuple:
        return "[]"
    if origin is Mapping:
        return ".NAME"
    return next(filter(None, map(_items, get_args(annotation))), "")


def in_readme(text: str) -> str | None:
    """What stands between the marks; None where one is missing."""
    found = _PLACE.search(text)
    return found[1] if found else None


def _row(name: str, field: FieldInfo) -> str:
    default = default_text(field)
    shown = f"`{default}`" if default else ""
    choices = " ".join(f"`{choice}`" for choice in literals(field))
    meaning = _escaped(field.description or "")
    return f"| `{name}` | {shown} | {f'{choices}. ' if choices else ''}{meaning} |"


def _escaped(text: str) -> str:
    # A bare * would begin emphasis, and a line's end would end the row.
    return re.sub(r"([|*\[\]])", r"\\\1", " ".join(text.split()))


def main() -> None:
    """Rewrite the README's table."""
    text = README.read_text("utf-8")
    if in_readme(text) is None:
        raise SystemExit(f"README.md lacks the lines {BEGIN} and {END}")
    README.write_text(_PLACE.sub(lambda _: f"{BEGIN}\n{table()}\n{END}", text), "utf-8")


if __name__ == "__main__":
    main()
