"""A small plot in braille characters: each is a grid of 2 by 4 dots."""

import math
from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import Final

from rich.text import Text

RAW_STYLE: Final = "dim"
SMOOTHED_STYLE: Final = "bold magenta"
"""Magenta stands out on dark and light backgrounds alike."""

_CUT: Final = 0.04
"""Share of the raw values that may lie beyond each end of the scale."""

_BLANK: Final = 0x2800
_DOTS: Final = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
"""Bit of the dot in [column][row from the top], Unicode's braille patterns."""

Window = Sequence[tuple[float, float, float] | None]
"""(low, high, last) of each column of dots; None where there is nothing."""


class Plot:
    """Raw values as a band, smoothed ones as a line through it, on one scale.

    The scale holds the whole smoothed line and all but the outermost raw values: a lone spike is
    cut off at the edge, where it would press everything else flat.

    Args:
        raw: two entries for each character of the width.
        smoothed: as many.
        height: lines of text; the topmost row of dots stays free, to part it from the plot above.

    Attributes:
        low: value at the lowest row of dots; NaN when there is nothing to plot.
        high: value at the highest.
    """

    def __init__(self, raw: Window, smoothed: Window, height: int) -> None:
        self._width = len(raw) // 2
        self._height = height
        self.low, self.high = _scale(raw, smoothed)
        self._raw = [[0] * self._width for _ in range(height)]
        self._smoothed = [[0] * self._width for _ in range(height)]
        for column, entry in enumerate(raw):
            if entry is not None:
                self._bar(self._raw, column, self._row(entry[0]), self._row(entry[1]))
        self._line(smoothed)

    def lines(self) -> list[Text]:
        """The plot from top to bottom; where both meet in a character the smoothed line wins."""
        return [
            _styled(raw, smoothed) for raw, smoothed in zip(self._raw, self._smoothed, strict=True)
        ]

    def _row(self, value: float) -> int:
        rows = 4 * self._height - 2
        if self.high == self.low:
            return rows // 2
        share = (value - self.low) / (self.high - self.low)
        return round(min(max(share, 0.0), 1.0) * rows)

    def _bar(self, grid: list[list[int]], column: int, low: int, high: int) -> None:
        for row in range(low, high + 1):
            from_top = 4 * self._height - 1 - row
            grid[from_top // 4][column // 2] |= _DOTS[column % 2][from_top % 4]

    def _line(self, smoothed: Window) -> None:
        before: int | None = None
        for column, entry in enumerate(smoothed):
            if entry is None:
                continue
            row = self._row(entry[2])
            start = row if before is None else before
            # Join neighbours, so that a steep rise is a line and not two dots.
            near = start + (row > start) - (row < start)
            self._bar(self._smoothed, column, min(near, row), max(near, row))
            before = row


def _scale(raw: Window, smoothed: Window) -> tuple[float, float]:
    lows = sorted(entry[0] for entry in raw if entry is not None)
    highs = sorted(entry[1] for entry in raw if entry is not None)
    line = [entry[2] for entry in smoothed if entry is not None]
    if not lows and not line:
        return math.nan, math.nan
    outermost = int(len(lows) * _CUT)
    inner = [lows[outermost], highs[-1 - outermost]] if lows else []
    return min(inner + line), max(inner + line)


def _styled(raw: list[int], smoothed: list[int]) -> Text:
    cells = [(over or under, bool(over)) for under, over in zip(raw, smoothed, strict=True)]
    line = Text(no_wrap=True)
    for is_smoothed, run in groupby(cells, key=itemgetter(1)):
        # Some fonts draw the empty pattern as eight hollow dots: a space instead.
        dots = "".join(chr(_BLANK + pattern) if pattern else " " for pattern, _ in run)
        line.append(dots, SMOOTHED_STYLE if is_smoothed else RAW_STYLE)
    return line
