"""One curve as text: braille characters of 2 by 4 dots, or stars where those cannot be shown."""

import math
from collections.abc import Sequence
from typing import Final

_BLANK: Final = 0x2800
_DOTS: Final = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
"""Bit of the dot in [column][row from the top], Unicode's braille patterns."""


def draw(
    xs: Sequence[float],
    ys: Sequence[float],
    *,
    width: int,
    height: int,
    top: float,
    bottom: float,
    plain: bool = False,
) -> list[str]:
    """Lines of text from top to bottom, each `width` long.

    Args:
        xs: ascending.
        ys: as many; the curve joins them by straight lines.
        width: characters.
        height: lines.
        top: value at the highest dots; what is above is left out.
        bottom: value at the lowest.
        plain: ASCII only.
    """
    columns, rows = 2 * width, 4 * height
    dots: list[list[bool]] = [[False] * columns for _ in range(rows)]
    before: int | None = None
    for column in range(columns):
        x = xs[0] + (xs[-1] - xs[0]) * column / (columns - 1)
        share = (interpolate(xs, ys, x) - bottom) / (top - bottom)
        row = rows - 1 - round(share * (rows - 1))
        start = row if before is None else before + (row > before) - (row < before)
        for each in range(max(0, min(start, row)), min(rows - 1, max(start, row)) + 1):
            dots[each][column] = True
        before = row
    return [_line(dots[first : first + 4], plain=plain) for first in range(0, rows, 4)]


def interpolate(xs: Sequence[float], ys: Sequence[float], x: float) -> float:
    """The value at `x` of the line through the points."""
    for place in range(1, len(xs)):
        if x <= xs[place] or place == len(xs) - 1:
            share = (x - xs[place - 1]) / (xs[place] - xs[place - 1])
            return ys[place - 1] + min(max(share, 0.0), 1.0) * (ys[place] - ys[place - 1])
    return math.nan


def _line(dots: Sequence[Sequence[bool]], *, plain: bool) -> str:
    cells = []
    for column in range(0, len(dots[0]), 2):
        pattern = sum(
            _DOTS[side][row] for side in (0, 1) for row in range(4) if dots[row][column + side]
        )
        # Some fonts draw the empty pattern as eight hollow dots: a space instead.
        cells.append(" " if not pattern else "*" if plain else chr(_BLANK + pattern))
    return "".join(cells)
