"""What the demo says in plain lines: at the start, every second off a terminal, and at the end."""

from collections.abc import Iterator
from typing import Final

from stream_ewma.demo.tally import SeriesTally, Tally
from stream_ewma.demo.view import figure, shorten

_NAME: Final = 14
_SHOWN: Final = 20
"""Series that get a line of their own; the totals cover all."""

_OWN_BROKER: Final = "localhost:9092"


def hints(bootstrap: str, topic: str, output_topic: str, factor_flag: str) -> tuple[str, str]:
    """How to look at the records behind the view, and how to do the same for one's own."""
    return (
        f"see: kcat -C -u -b {bootstrap} -t {output_topic}",
        f"run: stream-ewma run --input.topics {topic} {factor_flag}",
    )


def page_hint(address: str) -> str:
    """Where the live page is."""
    return f"page: {address} (open it in a browser)"


def farewell(topic: str, output_topic: str, factor_flag: str) -> tuple[str, ...]:
    """The same two for a broker of one's own."""
    see, run = hints(_OWN_BROKER, topic, output_topic, factor_flag)
    return (
        "The demo's broker and its records are gone. On your own broker:",
        f"{run} --kafka.bootstrap_servers {_OWN_BROKER}",
        see,
    )


def progress(tally: Tally, elapsed_s: float) -> Iterator[str]:
    """A line for each series: newest raw and smoothed value, unit, and count."""
    for series in tally.series[:_SHOWN]:
        yield (
            f"{elapsed_s:6.1f} s  {shorten(series.name, _NAME)} "
            f"raw {figure(series.raw, series.peak):>9}  "
            f"smoothed {figure(series.ewma, series.peak):>9} {series.unit:<5} "
            f"count {series.count:>8}"
        )
    yield from _totals(tally, f"{elapsed_s:6.1f} s")


def summary(tally: Tally, elapsed_s: float) -> Iterator[str]:
    """Totals, and for each series by how much smoothing took the noise down."""
    yield (
        f"{elapsed_s:.1f} s: {tally.readings:,} readings in, {tally.smoothed:,} smoothed out, "
        f"{len(tally.series):,} series"
    )
    yield ""
    yield (
        f"{'series':<{_NAME}} {'unit':<5} {'readings':>9} {'smoothed':>9} "
        f"{'raw noise':>10} {'smoothed':>10} {'less noise':>12}"
    )
    for series in tally.series[:_SHOWN]:
        yield _noise_line(series)
    yield from _totals(tally, "")
    yield ""
    yield "noise: standard deviation of the step from one value to the next"


def _totals(tally: Tally, start: str) -> Iterator[str]:
    hidden = len(tally.series) - _SHOWN
    if hidden > 0:
        yield (
            f"{start}  and {hidden:,} more series; in all {tally.readings:,} readings in, "
            f"{tally.smoothed:,} smoothed out"
        ).strip()


def _noise_line(series: SeriesTally) -> str:
    raw, smoothed = series.noise()
    noise = (figure(raw, raw), figure(smoothed, raw)) if series.smoothed > 1 else ("-", "-")
    less = f"{raw / smoothed:.1f} times" if smoothed > 0 else "-"
    return (
        f"{shorten(series.name, _NAME)} {series.unit:<5} "
        f"{series.readings:>9,} {series.smoothed:>9,} "
        f"{noise[0]:>10} {noise[1]:>10} {less:>12}"
    )
