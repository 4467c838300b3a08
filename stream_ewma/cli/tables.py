"""Tables for a terminal: aligned columns, numbers that can be read."""

import sys
from collections.abc import Sequence

from stream_ewma.cli.recorded import printable

_GAP = "  "


def is_ascii_only() -> bool:
    """Whether standard output can show nothing else."""
    return not (sys.stdout.encoding or "").lower().startswith("utf")


def number(value: int | None) -> str:
    """A number with its thousands set apart; a dash where there is none."""
    return "-" if value is None else f"{value:,}"


def counted(count: int, thing: str) -> str:
    """A number and what is counted."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, left: Sequence[str]) -> str:
    """Lines of columns, aligned right except for those named in `left`."""
    cells = [list(header), *([printable(cell) for cell in row] for row in rows)]
    widths = [max(len(row[place]) for row in cells) for place in range(len(header))]
    lines = []
    for row in cells:
        parts = [
            cell.ljust(width) if name in left else cell.rjust(width)
            for name, cell, width in zip(header, row, widths, strict=True)
        ]
        lines.append(_GAP.join(parts).rstrip() + "\n")
    return "".join(lines)
