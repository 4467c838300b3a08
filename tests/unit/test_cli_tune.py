"""`stream-ewma tune`: the factor it finds, what it shows, and what it says of poor data."""

import contextlib
import io
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import yaml

from stream_ewma import cli
from stream_ewma.cli import curve, recorded, tune
from stream_ewma.cli.tune_report import factor_text
from stream_ewma.files.tuning import Best, Error, Tuning
from stream_ewma.settings.values import parse_duration
from tests.support.scoring import plain_scores


class Printed(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("STREAM_EWMA_"):
            monkeypatch.delenv(name)
    return tmp_path


@pytest.fixture
def run_tune(capfdbinary: pytest.CaptureFixture[bytes]) -> Iterator[object]:
    def run_it(*arguments: str) -> Printed:
        code = -1
        with contextlib.suppress(SystemExit):
            code = cli.main(("tune", *arguments))
        out, err = capfdbinary.readouterr()
        return Printed(code, out.decode(), err.decode())

    return run_it


@pytest.fixture(scope="module")
def sensors() -> str:
    """Two noisy keys and one that wanders, a reading a second each; the best factors differ."""
    generator = np.random.default_rng(3)
    levels = {"pump[1]": 0.05, "pump[2]": 0.05, "fan": 1.0}
    steps = {key: np.cumsum(generator.normal(0, size, 300)) for key, size in levels.items()}
    rows = [
        f"{key},{1_767_225_600_000 + 1000 * i},{steps[key][i] + generator.normal():.3f}"
        for i in range(300)
        for key in levels
    ]
    return "key,timestamp,value\n" + "\n".join(rows) + "\n"


@pytest.fixture
def file(folder: Path, sensors: str) -> str:
    (folder / "sensors.csv").write_text(sensors)
    return "sensors.csv"


def readings(sensors: str) -> list[tuple[int, int, float]]:
    cells = [line.split(",") for line in sensors.splitlines()[1:]]
    names = list(dict.fromkeys(key for key, _, _ in cells))
    return [(names.index(key), int(time), float(x)) for key, time, x in cells]


def test_the_report_fits_a_terminal_and_ends_in_settings(run_tune, file: str):
    printed = run_tune(file)

    assert (printed.code, printed.err) == (0, "")
    lines = printed.out.splitlines()
    assert lines[0] == "sensors.csv: 900 readings of 3 keys, the clock is event time."
    assert lines[1].startswith("897 of them are scored, ")
    assert max(map(len, lines)) <= 80
    assert all(part in printed.out for part in ("last value", "best", "mean of all readings"))
    assert "\x1b" not in printed.out
    text = printed.out.partition("stream-ewma.yaml:\n\n")[2]
    settings = yaml.safe_load(text)["smoothing"]
    assert parse_duration(settings["half_life"]) > 0
    assert {rule["keys"] for rule in settings["rules"]} >= {"pump[[]1]", "pump[[]2]"}


@pytest.mark.parametrize("clock", ["time", "readings"])
@pytest.mark.parametrize("error", ["squared", "absolute"])
def test_no_factor_is_better_than_the_one_found(
    run_tune, file: str, sensors: str, clock: str, error: str
):
    printed = run_tune(file, "--json", "--clock", clock, "--error", error)

    found = json.loads(printed.out)
    name = "half_life_ms" if clock == "time" else "alpha"
    best = found["best"][name]

    def size(factor: float) -> float:
        scores = plain_scores(readings(sensors), factor, event_time=clock == "time").values()
        if error == "squared":
            return (sum(squared for squared, _ in scores) / 897) ** 0.5
        return sum(absolute for _, absolute in scores) / 897

    shown = "rmse" if error == "squared" else "mae"
    assert found["best"][shown] == pytest.approx(size(best), rel=1e-12)
    around = best * np.geomspace(0.25, 4.0, 21)
    assert min(size(min(factor, 1.0) if name == "alpha" else factor) for factor in around) >= (
        size(best) * (1 - 1e-3)
    )
    low, high = found["best"]["within_1_percent"]
    assert low < best < high
    assert size(low) == pytest.approx(size(best) * 1.01, rel=3e-3)
    assert size(high) == pytest.approx(size(best) * 1.01, rel=3e-3)


def test_json_has_every_key_and_the_curve(run_tune, file: str, sensors: str):
    found = json.loads(run_tune(file, "--json", "--top", "1").out)

    assert [key["key"] for key in found["keys"]] == ["pump[1]", "pump[2]", "fan"]
    assert all(key["readings"] == 300 for key in found["keys"])
    assert (found["readings"], found["scored"], found["clock"]) == (900, 897, "time")
    assert len(found["curve"]) > 12
    for key in found["keys"]:
        assert key["best"]["rmse"] <= key["with_overall_best"]["rmse"] * (1 + 1e-9)
    last = plain_scores(readings(sensors), 1.0, event_time=False).values()
    assert found["last_value"]["mae"] == pytest.approx(sum(each for _, each in last) / 897)
    mean = plain_scores(readings(sensors), float("inf"), event_time=True).values()
    assert found["mean"]["mae"] == pytest.approx(sum(each for _, each in mean) / 897)
    assert found["settings"]["smoothing"]["half_life"].endswith("s")


def test_the_settings_are_good_as_they_stand(run_tune, file: str, folder: Path):
    printed = run_tune(file)
    text = printed.out.partition("stream-ewma.yaml:\n\n")[2]
    (folder / "stream-ewma.yaml").write_text(f"input: {{topics: readings}}\n{text}")

    assert cli.main(("check",)) == 0
    assert cli.main(("smooth", file)) == 0


def test_a_terminal_without_unicode_gets_stars(run_tune, file: str, folder: Path, monkeypatch):
    text = (folder / file).read_text().replace("fan", "Lüfter\x1b")
    (folder / file).write_text(text, "utf-8")
    ascii_only = io.TextIOWrapper(io.BytesIO(), "ascii", write_through=True)
    monkeypatch.setattr(sys, "stdout", ascii_only)

    assert run_tune(file).code == 0
    shown = ascii_only.buffer.getvalue().decode("ascii")
    assert "-+-" in shown.replace("^", "+") or "=^=" in shown
    assert "\nL?fter? " in shown


def test_few_keys_are_shown_and_the_others_counted(run_tune, file: str):
    printed = run_tune(file, "--top", "1")

    assert "... and 2 more keys; --top N shows more, --json all" in printed.out
    assert "\nfan " not in printed.out


def test_without_times_it_is_an_alpha(run_tune, folder: Path, sensors: str):
    rows = [line.rpartition(",")[2] for line in sensors.splitlines()]
    (folder / "one.csv").write_text("\n".join(rows))

    printed = run_tune("one.csv")

    assert "of 1 key, the clock is readings" in printed.out
    assert "\nkey " not in printed.out
    settings = yaml.safe_load(printed.out.partition("stream-ewma.yaml:\n\n")[2])
    assert 0 < settings["smoothing"]["alpha"] <= 1


def numbers(folder: Path, values: object) -> str:
    (folder / "n.csv").write_text("value\n" + "\n".join(map(str, values)))  # type: ignore[call-overload]
    return "n.csv"


def test_a_series_that_wanders_is_best_not_smoothed(run_tune, folder: Path):
    walk = np.cumsum(np.cumsum(np.random.default_rng(1).normal(size=300)))

    printed = run_tune(numbers(folder, walk))

    assert "Nothing beats the last value" in printed.out
    assert "  alpha: 1\n" in printed.out


def test_a_series_around_one_level_is_best_averaged(run_tune, folder: Path):
    noise = np.random.default_rng(1).normal(size=300)

    printed = run_tune(numbers(folder, noise))

    assert "the exact factor hardly matters" in printed.out
    assert "better than the last value" in printed.out


def test_noise_in_event_time_needs_no_more_than_the_mean(run_tune, folder: Path):
    noise = np.random.default_rng(1).normal(size=300)
    rows = "".join(f"{1000 * i},{x}\n" for i, x in enumerate(noise))
    (folder / "t.csv").write_text(f"timestamp,value\n{rows}")

    assert "The plain mean does as well" in run_tune("t.csv").out


@pytest.mark.parametrize(
    ("text", "arguments", "said"),
    [
        ("value\n" + "1\n2\n" * 5, (), "too short: 9 readings can be predicted"),
        ("value\n" + "7\n" * 50, (), "constant: every reading equals the one before it"),
        ("value\n", (), "too short: 0 readings"),
        ("value\n1\n", ("--clock", "time"), "has no times; name them with --time COLUMN"),
        ("value\n1\n1e200\n", (), "a reading is beyond 1e+150"),
        ("value,timestamp\n" + "1,5\n2,5\n" * 20, (), "same time; write --clock readings"),
        ("value\n" + "1e149\n-1e149\n" * 20, ("--time", "when"), "has no column 'when'"),
        ("", (), "is empty"),
    ],
)
def test_what_cannot_be_tuned_is_one_clear_line(
    run_tune, folder: Path, text: str, arguments: tuple[str, ...], said: str
):
    (folder / "poor.csv").write_text(text)

    printed = run_tune("poor.csv", *arguments)

    assert (printed.code, printed.out) == (65, "")
    assert said in printed.err
    assert printed.err.startswith("poor.csv: ")
    assert printed.err.count("\n") == 1


def test_keys_without_enough_readings_are_said_to_be_so(run_tune, file: str, folder: Path):
    with (folder / file).open("a") as out:
        out.write("rare,1767225600000,1\nrare,1767225601000,2\n")

    printed = run_tune(file)

    assert f"\n{'rare':<20}{2:>10}  too few, or constant\n" in printed.out
    assert json.loads(run_tune(file, "--json").out)["keys"][-1]["best"] is None


def test_the_number_of_keys_is_a_number(run_tune, file: str):
    printed = run_tune(file, "--top", "some")

    assert (printed.code, printed.out) == (-1, "")
    assert "'some': write a whole number" in printed.err


def test_rows_that_are_no_readings_are_counted(run_tune, file: str, folder: Path):
    with (folder / file).open("a") as out:
        out.write("fan,1767225600000,broken\nfan,1767225600000,\n")

    printed = run_tune(file)

    assert printed.code == 0
    assert printed.err == (
        "2 of 902 rows are not readings and were left out; `stream-ewma smooth` says which\n"
    )


def test_the_settings_that_are_there_do_not_matter_to_the_search(run_tune, file: str, folder: Path):
    plain = run_tune(file)
    (folder / "stream-ewma.yaml").write_text(
        "smoothing: {half_life: 9s, rules: [{keys: 'fan', half_life: 1s}]}\n"
        "dead_letters: {on_error: fail}\n"
    )

    assert run_tune(file) == plain


def test_help_begins_with_examples(run_tune):
    lines = run_tune("--help").out.splitlines()

    assert lines[2] == "  stream-ewma tune readings.csv"
    assert max(map(len, lines)) <= 100
    assert set(tune.FLAGS) > set(recorded.FLAGS)


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (1.0, "1ms"),
        (37.6, "38ms"),
        (999.4, "999ms"),
        (1234.0, "1.23s"),
        (59_999.0, "60s"),
        (90_000.0, "1.5m"),
        (3_600_000.0, "1h"),
        (1e9, "11.6d"),
        (1e12, "11574d"),
    ],
)
def test_half_lives_are_written_as_settings(milliseconds: float, text: str):
    error = Error(1.0, 1.0)
    best = Best(milliseconds, error, milliseconds, milliseconds)
    empty = Tuning(True, "squared", 0, 0, best, error, error, np.zeros(0), [], [])

    assert factor_text(empty, milliseconds) == text
    assert parse_duration(text) == pytest.approx(milliseconds, rel=0.02)


def test_a_curve_is_drawn_in_dots_or_stars():
    xs, ys = [0.0, 1.0, 2.0], [1.0, 0.0, 1.0]

    dots = curve.draw(xs, ys, width=8, height=2, top=1.0, bottom=0.0)
    stars = curve.draw(xs, ys, width=8, height=2, top=1.0, bottom=0.0, plain=True)

    assert dots == ["⠑⢄    ⡠⠊", "  ⠑⢄⡠⠊  "]
    assert stars == ["**    **", "  ****  "]


def test_what_is_above_the_plot_is_left_out():
    lines = curve.draw([0.0, 1.0], [0.0, 10.0], width=8, height=2, top=1.0, bottom=0.0)

    assert lines[0].strip()
    assert lines[0][2:].strip() == ""


def test_signs_of_life_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys):
    clock = iter([0.0, 0.5, 1.5, 1.6, 2.0])
    monkeypatch.setattr(recorded.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(recorded.sys.stderr, "isatty", lambda: True)
    progress = recorded.Progress("rows")

    progress.show(10, 0.1)
    progress.show(3000, 0.5)
    progress.show(3100, 0.55)
    progress.show(4000, None)
    progress.clear()

    shown = capsys.readouterr().err.split("\r\x1b[K")
    assert shown == ["", "3,000 rows   50%  2,000/s", "4,000 rows  2,000/s", ""]


def test_no_signs_of_life_where_nobody_sees_them(capsys):
    progress = recorded.Progress("rows")

    progress.show(10**9, 0.5)
    progress.clear()

    assert capsys.readouterr().err == ""


def test_what_a_config_says_of_the_smoothing_is_not_looked_at(run_tune, file: str, folder: Path):
    (folder / "service.yaml").write_text(
        "input: {topics: [a], values: {t: t, h: h}}\n"
        "smoothing: {half_life: 1s, weighting: interval_prev, outputs: [forecast], horizon: 1s}\n"
        "output: {emit: {interval: 1s}}\n"
    )
    refused = run_tune(file, "--config", "service.yaml")
    assert (refused.code, refused.out) == (78, "")
    assert "input.values: tune one value at a time; name it with --value" in refused.err

    printed = run_tune(file, "--config", "service.yaml", "--value", "value")
    assert (printed.code, printed.err) == (0, "")
