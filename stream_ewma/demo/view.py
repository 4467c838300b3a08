"""The demo on a terminal: every series with its values and a plot, redrawn in place."""

import math
from dataclasses import dataclass
from typing import Final

from rich.console import Group
from rich.text import Text

from stream_ewma.demo.plot import RAW_STYLE, SMOOTHED_STYLE, Plot
from stream_ewma.demo.tally import BIN_MS, SeriesTally, Tally

_NAME: Final = 16
_VALUE: Final = 10
_SCALE: Final = 9
_MIN_PLOT: Final = 8
_PLOT_LINES: Final = (2, 5)
_AROUND: Final = 8
"""Lines above and below the series."""


@dataclass(frozen=True, slots=True)
class Situation:
    """What the view shows besides the series.

    Attributes:
        topics: input and output topic.
        smoothing: in words, as `half-life 3s`.
        status: what is going on.
        elapsed_s: since the first smoothed reading.
        hints: commands worth trying.
    """

    topics: tuple[str, str]
    smoothing: str
    status: str
    elapsed_s: float
    hints: tuple[str, ...]


def figure(value: float, peak: float) -> str:
    """`value` in at most nine characters, decimals set by the magnitude `peak` of its series."""
    if math.isnan(value):
        return "-"
    largest = max(peak, abs(value))
    if largest >= 1e7 or 0 < largest < 1e-3:
        return f"{value:.2e}"
    return f"{value:.{max(3 - math.floor(math.log10(max(largest, 1))), 0)}f}"


def shorten(text: str, width: int) -> str:
    """`text` in exactly `width` characters."""
    return text.ljust(width) if len(text) <= width else text[: width - 1] + "…"


def render(tally: Tally, situation: Situation, width: int, height: int) -> Group:
    """One frame of at most `width` by `height` characters."""
    room = max(height - _AROUND, _PLOT_LINES[0])
    lines = min(max(room // len(tally.series), _PLOT_LINES[0]), _PLOT_LINES[1])
    shown = tally.series[: room // lines]
    body: list[Text] = []
    for series in shown:
        body.extend(_series_lines(series, tally.newest_ms, width, lines))
    hidden = len(tally.series) - len(shown)
    more = f"and {hidden:,} more series, smoothed but not shown" if hidden else ""
    return Group(*_head(tally, situation, width), *body, Text(more, "dim"), *_foot(situation))


def _head(tally: Tally, situation: Situation, width: int) -> list[Text]:
    source, target = situation.topics
    title = Text.assemble((" stream-ewma demo ", "bold reverse"), f"  {situation.status}")
    clock = f"{int(situation.elapsed_s) // 60}:{int(situation.elapsed_s) % 60:02d}"
    title.truncate(max(width - len(clock) - 1, 0), overflow="ellipsis")
    title.append(clock.rjust(width - len(title)), "bold")
    flow = Text.assemble(source, (" → ", "dim"), situation.smoothing, (" → ", "dim"), target)
    counts = Text(f"{tally.readings:,} readings in, {tally.smoothed:,} smoothed out")
    if tally.smoothed:
        counts.append(f", {tally.delay_ms:,} ms behind")
    seconds = _plot_width(width) * 2 * BIN_MS / 1000
    columns = Text.assemble(
        ("unit      count ", "dim"),
        "   ",
        ("raw ", RAW_STYLE),
        ("ewma", SMOOTHED_STYLE),
        (f"last {seconds:.0f} s".rjust(_plot_width(width)), "dim"),
        (" scale", "dim"),
    )
    return [_fit(title), _fit(flow), _fit(counts), _fit(columns)]


def _foot(situation: Situation) -> list[Text]:
    return [_fit(Text(hint, "dim")) for hint in situation.hints]


def _fit(line: Text) -> Text:
    line.no_wrap = True
    line.overflow = "ellipsis"
    return line


def _series_lines(series: SeriesTally, newest_ms: int, width: int, lines: int) -> list[Text]:
    """Name, unit and count; raw over smoothed; the plot; its highest over its lowest value."""
    plot = Plot(*_windows(series, newest_ms, 2 * _plot_width(width)), lines)
    left = [(series.name, "bold"), (f"{series.unit:<6}{series.count:>9,}", "dim")]
    values = [
        (figure(series.raw, series.peak), RAW_STYLE),
        (figure(series.ewma, series.peak), SMOOTHED_STYLE),
    ]
    scale = [""] * lines
    scale[0], scale[-1] = figure(plot.high, series.peak), figure(plot.low, series.peak)
    blank = [("", "")] * (lines - 2)
    if blank:
        blank[0] = (_less_noise(series), "dim")
    rows = zip(left + blank, values + [("", "")] * (lines - 2), plot.lines(), scale, strict=True)
    return [
        _fit(
            Text.assemble(
                (shorten(label, _NAME), label_style),
                (value.rjust(_VALUE), value_style),
                "  ",
                dots,
                (f" {mark:<{_SCALE}}", "dim"),
            )
        )
        for (label, label_style), (value, value_style), dots, mark in rows
    ]


def _plot_width(width: int) -> int:
    """Characters of a plot: what name, values and scale leave."""
    return max(width - _NAME - _VALUE - _SCALE - 3, _MIN_PLOT)


def _less_noise(series: SeriesTally) -> str:
    raw, smoothed = series.noise()
    return f"noise ÷ {raw / smoothed:.1f}" if smoothed > 0 else ""


def _windows(
    series: SeriesTally, newest_ms: int, columns: int
) -> tuple[list[tuple[float, float, float] | None], list[tuple[float, float, float] | None]]:
    if series.raw_trace is None or series.ewma_trace is None:
        return [None] * columns, [None] * columns
    last = newest_ms // BIN_MS
    return series.raw_trace.window(last, columns), series.ewma_trace.window(last, columns)
