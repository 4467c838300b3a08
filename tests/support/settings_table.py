"""The README's table of settings, written from the models that the service reads.

`python -m tests.support.settings_table` brings the README up to date.
"""

import re
from pathlib import Path

from stream_ewma.cli.settings_flags import default_text
from stream_ewma.settings.names import Setting, literals, sections, settings

README = Path(__file__).parents[2] / "README.md"
BEGIN = "<!-- settings: python -m tests.support.settings_table -->"
END = "<!-- end of settings -->"
_PLACE = re.compile(f"{re.escape(BEGIN)}\n(.*?)\n?{re.escape(END)}", re.DOTALL)


def table() -> str:
    """The Markdown table, a row for each setting."""
    rows = ["| Setting | Default | Meaning |", "| --- | --- | --- |"]
    for name, model in sections().items():
        if name:
            rows.append(f"| **`{name}`** | | **{_escaped(model.__doc__ or '')}** |")
        rows += [_row(setting) for setting in settings().values() if setting.section == name]
    return "\n".join(rows)


def in_readme(text: str) -> str | None:
    """What stands between the marks; None where one is missing."""
    found = _PLACE.search(text)
    return found[1] if found else None


def _row(setting: Setting) -> str:
    default = default_text(setting.field)
    shown = f"`{default}`" if default else ""
    choices = " ".join(f"`{choice}`" for choice in literals(setting.field))
    meaning = _escaped(setting.field.description or "")
    return f"| `{setting.name}` | {shown} | {f'{choices}. ' if choices else ''}{meaning} |"


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
