import io
import math

import numpy as np
import pytest
from rich.console import Console

from stream_ewma.demo import report
from stream_ewma.demo.displays import say
from stream_ewma.demo.plot import Plot
from stream_ewma.demo.sources import Readings, Series
from stream_ewma.demo.tally import Tally
from stream_ewma.demo.view import Situation, figure, render

HINTS = report.hints("127.0.0.1:39999", "machine-metrics", "machine-metrics-ewma", "--x 3s")
SITUATION = Situation(
    ("machine-metrics", "machine-metrics-ewma"), "half_life 3s", "Ctrl-C ends it", 83.4, HINTS
)


def _tally(keys=3, readings=50):
    tally = Tally([Series(f"sensor-{i}", "°C") for i in range(keys)])
    ewma = [0.0] * keys
    for step in range(readings):
        time_ms = 1_767_225_600_000 + 100 * step
        value = np.array([20 + i + (-1.0) ** step for i in range(keys)])
        tally.feed(Readings(np.arange(keys), np.full(keys, time_ms), value))
        for i, x in enumerate(value.tolist()):
            ewma[i] = x if not step else ewma[i] + 0.1 * (x - ewma[i])
            tally.receive(f"sensor-{i}".encode(), time_ms, x, ewma[i], step + 1)
    return tally


def _frame(tally, width, height):
    console = Console(width=width, height=height, color_system=None, file=io.StringIO())
    console.print(render(tally, SITUATION, width, height))
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (200, 60), (40, 12)])
@pytest.mark.parametrize("keys", [1, 7, 500])
def test_a_frame_fits_the_terminal(width, height, keys):
    lines = _frame(_tally(keys), width, height)
    assert len(lines) <= height
    assert max(map(len, lines)) <= width


def test_a_frame_at_80_columns_has_every_value_of_every_series():
    tally = _tally(7)
    text = "\n".join(_frame(tally, 80, 24))
    for series in tally.series:
        assert series.name in text
        assert figure(series.raw, series.peak) in text
        assert figure(series.ewma, series.peak) in text
    assert "°C           50" in text
    assert "1:23" in text
    assert "350 readings in, 350 smoothed out" in text
    assert HINTS[0] in text
    assert "half_life 3s" in text


def test_series_that_do_not_fit_are_counted():
    text = "\n".join(_frame(_tally(500), 80, 24))
    assert "and 492 more series" in text


def test_a_frame_before_the_first_reading_shows_dashes():
    lines = _frame(Tally([Series("a", "%")]), 80, 24)
    assert any(line.startswith("a ") and "-" in line for line in lines)


def _dots(plot):
    return [line.plain for line in plot.lines()]


def test_a_rising_line_runs_from_the_lowest_to_the_highest_row():
    rising = [(float(i), float(i), float(i)) for i in range(8)]
    plot = Plot([None] * 8, rising, 2)
    assert (plot.low, plot.high) == (0.0, 7.0)
    top, bottom = _dots(plot)
    assert top.startswith("  ")
    assert bottom[0] != " "
    assert top[-1] != " "
    assert not any(ord(c) & 0b1001 for c in top.strip())  # the topmost row of dots stays free


def test_the_smoothed_line_covers_the_raw_band_and_has_its_own_style():
    both = [(1.0, 3.0, 2.0)] * 4
    (line,) = Plot(both, [(2.0, 2.0, 2.0)] * 4, 1).lines()
    assert {str(span.style) for span in line.spans} == {"bold magenta"}
    (line,) = Plot(both, [None] * 4, 1).lines()
    assert {str(span.style) for span in line.spans} == {"dim"}


def test_a_lone_spike_is_cut_off_at_the_edge():
    raw = [(1.0, 2.0, 1.5)] * 60
    raw[30] = (1.0, 500.0, 500.0)
    assert Plot(raw, [(1.5, 1.5, 1.5)] * 60, 2).high == 2.0


def test_a_flat_series_is_a_line_in_the_middle_and_an_empty_one_is_blank():
    assert _dots(Plot([None] * 4, [(5.0, 5.0, 5.0)] * 4, 1)) == ["⠤⠤"]
    plot = Plot([None] * 4, [None] * 4, 1)
    assert _dots(plot) == ["  "]
    assert math.isnan(plot.low)


@pytest.mark.parametrize(
    ("value", "peak", "text"),
    [
        (12.3456, 100.0, "12.3"),
        (12.3456, 99.0, "12.35"),
        (0.12345, 0.5, "0.123"),
        (-0.12345, 5.0, "-0.123"),
        (23456.7, 30000.0, "23457"),
        (1.5e-7, 2e-7, "1.50e-07"),
        (-1.5e12, 2e12, "-1.50e+12"),
        (0.0, 0.0, "0.000"),
        (math.nan, 1.0, "-"),
    ],
)
def test_figures_have_decimals_for_their_magnitude(value, peak, text):
    assert figure(value, peak) == text
    assert len(text) <= 9


def test_progress_lines_have_steady_columns():
    lines = list(report.progress(_tally(7), 12.0))
    assert len(lines) == 7
    assert len({len(line) for line in lines}) == 1
    assert len({line.index("smoothed") for line in lines}) == 1
    assert max(map(len, lines)) <= 80
    assert lines[3].split()[:3] == ["12.0", "s", "sensor-3"]


def test_progress_of_many_series_ends_in_totals():
    lines = list(report.progress(_tally(500, 3), 1.0))
    assert len(lines) == 21
    assert "480 more series; in all 1,500 readings in, 1,500 smoothed out" in lines[-1]


def test_the_summary_says_by_how_much_noise_shrank():
    tally = _tally(2, 200)
    lines = list(report.summary(tally, 20.0))
    assert lines[0] == "20.0 s: 400 readings in, 400 smoothed out, 2 series"
    (line,) = [line for line in lines if line.startswith("sensor-1 ")]
    raw, smoothed = tally.series[1].noise()
    assert f"{raw / smoothed:.1f} times" in line
    assert raw / smoothed > 5
    assert max(map(len, lines)) <= 80


def test_the_summary_of_nothing_is_no_error():
    lines = list(report.summary(Tally([Series("a", "%")]), 0.0))
    assert lines[0] == "0.0 s: 0 readings in, 0 smoothed out, 1 series"
    assert lines[3].split() == ["a", "%", "0", "0", "-", "-", "-"]


def test_a_character_that_standard_output_cannot_show_is_no_error(monkeypatch):
    written = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(written, encoding="ascii"))
    say("21.5 °C")
    assert written.getvalue() == b"21.5 ?C\n"


def test_hints_fit_80_columns_and_name_the_topics():
    see, run = report.hints(
        "127.0.0.1:65535", "machine-metrics", "machine-metrics-ewma", "--a.b 3s"
    )
    assert "kcat" in see
    assert "machine-metrics-ewma" in see
    assert "stream-ewma run --input.topics machine-metrics" in run
    assert max(len(see), len(run)) <= 80
