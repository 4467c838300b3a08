"""The settings of the smoothing: what they become, and what contradicts itself."""
# ruff: noqa: E501  one case a line

from datetime import time
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from stream_ewma.errors import SettingsError
from stream_ewma.service.config import task_config
from stream_ewma.settings import Settings, load_settings
from stream_ewma.smoothing.mode import Emission, Limits, Outliers, Seed, Trend, Weighting
from stream_ewma.smoothing.outputs import Output, Quantity
from stream_ewma.smoothing.parameters import Factor


def load(folder: Path, yaml: str, **overrides: Any) -> Settings:
    file = folder / "s.yaml"
    file.write_text(yaml if "input:" in yaml else f"input: {{topics: [a]}}\n{yaml}")
    return load_settings(file, env={}, overrides=overrides)


def problems(folder: Path, yaml: str) -> list[str]:
    with pytest.raises(SettingsError) as refused:
        load(folder, yaml)
    return [line.partition("s.yaml: ")[2] for line in refused.value.problems]


def test_every_mode_reaches_the_engine(tmp_path: Path) -> None:
    config = task_config(
        load(
            tmp_path,
            """
input: {topics: [a], weight: w, on_future: clamp, on_null: dlq, on_invalid: hold}
smoothing:
  half_life: 30s
  outputs: [ewma, forecast, limits]
  horizon: 1m
  min_periods: 3
  min_n_eff: 2.5
  warm_up: hold
  seed: {value: 50, weight: 4}
  late: dlq
  late_cutoff: 1m
  reset_after: 1h
  reset_daily: 06:00 Europe/Zurich
  stale_after: 5m
  outliers: {lowest: 0, highest: 100, deviations: 4, accept_after: 7}
  limits: {centre: 50, sigma: 2}
output: {emit: {interval: 1s}}
""",
        )
    )

    mode = config.mode
    assert (mode.min_periods, mode.min_n_eff, mode.warm_up) == (3, 2.5, "hold")
    assert mode.seed == Seed(value=50, weight=4)
    assert (mode.late, mode.late_cutoff, config.on_late) == ("merge", 60_000, "dlq")
    assert (mode.reset_after, mode.sessions, mode.stale, mode.weighted) == (3_600_000, *[True] * 3)
    assert mode.outliers == Outliers(lowest=0, highest=100, deviations=4, accept_after=7)
    assert mode.limits == Limits(centre=50, sigma=2)
    assert mode.emission == Emission(interval=1000)
    assert config.sessions is not None
    assert (config.sessions.at, config.sessions.zone) == (time(6), ZoneInfo("Europe/Zurich"))
    assert config.stale_after_ms == 300_000
    assert (config.on_future, config.on_null, config.on_invalid) == ("clamp", "dlq", "hold")
    assert config.outputs[1] == Output("forecast", Quantity.FORECAST, horizon=60_000)
    assert [output.name for output in config.outputs[2:]] == [
        "centre",
        "ucl",
        "lcl",
        "out_of_control",
    ]


def test_holt_reaches_the_engine(tmp_path: Path) -> None:
    yaml = """
smoothing:
  half_life: 30s
  trend: {method: holt, beta_half_life: 2m}
  outputs: [trend]
  late: dlq
"""
    config = task_config(load(tmp_path, yaml))
    assert config.mode.trend == Trend(method="holt", beta_half_life=120_000)
    assert (config.mode.late, config.on_late) == ("refuse", "dlq")


def test_interval_weightings_reach_the_engine(tmp_path: Path) -> None:
    yaml = "smoothing: {half_life: 30s, weighting: interval_prev, reorder: 4, reorder_grace: 10s}"
    mode = task_config(load(tmp_path, yaml)).mode
    assert (mode.weighting, mode.reorder, mode.reorder_grace) == (
        Weighting.INTERVAL_PREV,
        4,
        10_000,
    )


def test_parts_of_settings_can_be_flags_and_variables(tmp_path: Path) -> None:
    overrides = {
        "smoothing.seed": "{readings: 10}",
        "smoothing.outputs": "ewma, std",
        "output.emit": "every",
    }
    settings = load(tmp_path, "smoothing: {span: 9}", **overrides)
    assert settings.smoothing.seed is not None
    assert settings.smoothing.seed.readings == 10
    assert settings.smoothing.outputs == ("ewma", "std")
    assert settings.output.emit is None


def test_a_flag_replaces_the_factors_of_the_file(tmp_path: Path) -> None:
    yaml = "smoothing: {factors: {fast: {alpha: 0.5}, slow: {alpha: 0.1}}}"
    settings = load(tmp_path, yaml, **{"smoothing.span": 9})
    assert settings.smoothing.key_rules().factors == ((Factor(span=9),),)


def test_a_horizon_can_be_a_number_of_readings(tmp_path: Path) -> None:
    config = task_config(load(tmp_path, "smoothing: {span: 9, outputs: [forecast], horizon: 3}"))
    assert config.outputs[0].horizon == 3.0


@pytest.mark.parametrize(
    ("yaml", "said"),
    [
        ("smoothing: {}", "smoothing: does not say how fast old readings lose weight; write one of"),
        ("smoothing: {alpha: 1, factors: {f: {alpha: 1}}}", "smoothing.alpha: is there beside smoothing.factors; keep one of them"),
        ("smoothing: {factors: {}}", "smoothing.factors: is empty; write at least one, by name"),
        ("smoothing: {factors: {f: {alpha: 1, span: 2}}}", "smoothing.factors.f: has alpha and span, which exclude each other; keep one"),
        ("smoothing: {factors: {f: {alpha: 1}, g: {half_life: 1s}}}", "smoothing.factors: give at least one, and all of them either with half_life"),
        ("smoothing: {factors: {f: {alhpa: 1}}}", "smoothing.factors.f.alhpa: is not a setting; write alpha"),
        ("smoothing: {alpha: 1, rules: [{alpha: 1}]}", "smoothing.rules.0.keys: is missing; write the pattern of some keys, as pump-*"),
        ("smoothing: {alpha: 1, rules: [{keys: a, factors: {f: {alpha: 1}}}]}", "smoothing.rules.0.factors: has no factors to replace"),
        ("smoothing: {factors: {f: {alpha: 1}}, rules: [{keys: a, factors: {g: {alpha: 1}}}]}", "smoothing.rules.0.factors.g: is not a factor; write one of f"),
        ("smoothing: {factors: {f: {alpha: 1}}, rules: [{keys: a, span: 3, factors: {f: {alpha: 1}}}]}", "smoothing.rules.0.span: is there beside `factors`; keep one of them"),
        ("smoothing: {factors: {f: {alpha: 1}}, rules: [{keys: a}]}", "smoothing.rules.0: does not say how fast"),
        ("smoothing: {alpha: 1, outputs: [ewma, ewna]}", "smoothing.outputs: 'ewna' is not an output; write ewma, count, variance"),
        ("smoothing: {alpha: 1, outputs: []}", "smoothing.outputs: [] is empty; write at least one"),
        ("smoothing: {alpha: 1, outputs: [limits]}", "smoothing.limits: write centre and sigma, or baseline, for control limits"),
        ("smoothing: {alpha: 1, outputs: [forecast]}", "smoothing.horizon: is missing for the output forecast"),
        ("smoothing: {alpha: 1, horizon: 3}", "smoothing.horizon: does nothing without the output forecast"),
        ("smoothing: {alpha: 1, outputs: [forecast], horizon: 3s}", "smoothing.horizon: must be a duration with half_life"),
        ("smoothing: {alpha: 1, horizon: soon}", "smoothing.horizon: 'soon' is not a horizon; write a duration, as 60s, or a number"),
        ("smoothing: {half_life: 1s, adjust: false}", "smoothing.adjust: in event time, adjust: false is weighting: interval_next"),
        ("smoothing: {half_life: 1s, ignore_na: false}", "smoothing.ignore_na: event time ages the weights already"),
        ("smoothing: {alpha: 1, weighting: interval_prev}", "smoothing.weighting: interval_prev needs half_life, in event time"),
        ("smoothing: {alpha: 1, seed: {value: 1, readings: 2}}", "smoothing.seed: write either value or readings"),
        ("smoothing: {alpha: 1, seed: {valeu: 1}}", "smoothing.seed.valeu: is not a setting; write value"),
        ("smoothing: {alpha: 1, seed: 5}", "smoothing.seed: is a section; write its settings under it: value, weight, readings"),
        ("smoothing: {alpha: 1, seed: '{'}", "smoothing.seed: cannot be read as names with values"),
        ("smoothing: {alpha: 1, reset_daily: noon}", "smoothing.reset_daily: 'noon' is not a time of day; write a time and a place"),
        ("smoothing: {alpha: 1, reset_daily: '06:00 Europe/Zurch'}", "smoothing.reset_daily: 'Europe/Zurch' is not a time zone; write a time"),
        ("smoothing: {alpha: 1, reset_daily: '06:00+01:00'}", "smoothing.reset_daily: '06:00+01:00' is not a time of day; write a time and"),
        ("smoothing: {alpha: 1, reset_daily: 20:00}", "smoothing.reset_daily: '1200' is not a time of day; write a time and a place in quotes"),
        ("smoothing: {alpha: 1, late: drop}", "smoothing.late: does nothing without half_life"),
        ("smoothing: {alpha: 1, late_cutoff: 1s}", "smoothing.late_cutoff: does nothing without half_life"),
        ("smoothing: {half_life: 1s, weighting: interval_next, late_cutoff: 1s}", "smoothing.late_cutoff: does nothing with interval_next; write reorder"),
        ("input: {topics: [a], value: reading}\nsmoothing: {alpha: 1}\noutput: {shape: enrich, names: {ewma: value}}", "output.names: gives the name 'value' to 2 fields"),
        ("input: {topics: [a], value: level}\nsmoothing: {alpha: 1, outputs: [trend]}\noutput: {shape: enrich}", "output.names: adds 'level' to values that have a field of that name; rename it"),
        ("input: {topics: [a], values: {a: a, b: b, c: c, d: d}}\nsmoothing: {factors: {f: {alpha: 1}, g: {alpha: 0.5}}, limits: {baseline: 9}, outputs: [ewma, std, zscore, limits, trend]}\noutput: {shape: enrich}", "smoothing.outputs: makes 77 names to look for in each value"),
        ("input: {topics: [a], values: {temp: t}}\nsmoothing: {alpha: 1, rules: [{field: tmep, alpha: 1}]}", "smoothing.rules.0.field: matches none of the values; there are temp"),
        ("input: {topics: [a], values: {t: t, h: h}}\nsmoothing: {alpha: 1}\noutput: {format: text}", "output.format: text holds one number, input.values has 2; write json"),
        ("smoothing: {alpha: 1, trend: {method: holt}}", "smoothing.trend: holt needs one of beta and beta_half_life"),
        ("smoothing: {alpha: 1}\noutput: {emit: {interval: 1s, on_change: 1}}", "output.emit: write either interval or on_change"),
        ("smoothing: {alpha: 1}\noutput: {emit: {interval: 1}}", "output.emit.interval: 1 has no unit"),
        ("smoothing: {alpha: 1}\noutput: {emit: {intervall: 1s}}", "output.emit.intervall: is not a setting; write interval"),
        ("smoothing: {alpha: 1}\noutput: {names: {vlaue: x}}", "output.names.vlaue: is not a field; write one of key, timestamp, value, ewma, count"),
        ("smoothing: {alpha: 1}\noutput: {names: {ewma: null}}", "output.names.ewma: cannot be left out here; leave it out of the outputs"),
        ("smoothing: {alpha: 1}\noutput: {names: {ewma: value}}", "output.names: gives the name 'value' to 2 fields"),
        ("smoothing: {alpha: 1}\noutput: {names: {ewma: ''}}", "output.names.ewma: a name is empty; write at least one character"),
        ("smoothing: {half_life: 1s, stale_after: 1s}\noutput: {format: text}", "smoothing.stale_after: needs fields, which format text has not"),
        ("smoothing: {alpha: 1, warm_up: flag}\noutput: {format: double}", "smoothing.warm_up: needs fields, which format double has not"),
        ("smoothing: {alpha: 1}\noutput: {format: text, shape: enrich}", "output.shape: enrich needs JSON in and out; write record"),
        ("input: {topics: [a], format: text, values: {x: x}}\nsmoothing: {alpha: 1}", "input.values: does nothing with format text"),
        ("input: {topics: [a], value: y, values: {x: x}}\nsmoothing: {alpha: 1}", "input.value: is there beside input.values; keep one of them"),
        ("input: {topics: [a], values: {x: a..b}}\nsmoothing: {alpha: 1}", "input.values.x: 'a..b' lacks a name"),
    ],
)  # fmt: skip
def test_contradictions_have_one_clear_line(tmp_path: Path, yaml: str, said: str) -> None:
    (line, *more) = problems(tmp_path, yaml)
    assert line.startswith(said)
    assert more == []


def test_a_wrong_value_in_a_part_is_told_with_its_line_in_the_file(tmp_path: Path) -> None:
    yaml = "smoothing:\n  alpha: 1\n  limits:\n    centre: high\n"
    (line,) = problems(tmp_path, yaml)
    assert line == "smoothing.limits.centre: 'high' is not a finite number; write a number (line 5)"
