"""Streams of all kinds of readings, and services that do all kinds of things to them."""

import json
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

from hypothesis import strategies as st

from stream_ewma.engine.config import TaskConfig
from stream_ewma.service.config import task_config
from stream_ewma.settings import load_settings
from tests.support.batches import NOW_MS, Record

SMOOTHINGS = {
    "default": "smoothing: {alpha: 0.2}",
    "everything": """
input: {topics: [a], values: {x: x, y: y}, reset: r, on_null: hold, on_future: clamp}
smoothing:
  factors: {fast: {half_life: 2s}, slow: {half_life: 1m}}
  outputs: [ewma, std, zscore, trend, limits, lag, n_eff, weight_sum, fast-slow, late, count]
  limits: {baseline: 3}
  outliers: {lowest: -50, deviations: 3, accept_after: 2}
  min_n_eff: 1.5
  warm_up: flag
  stale_after: 10s
  late: dlq
  late_cutoff: 5s
  reset_after: 1m
  reset_daily: "00:01"
  rules: [{keys: "b", field: y, half_life: 5s}]
output: {emit: {interval: 500ms}}
""",
    "sorted": """
smoothing:
  half_life: 3s
  weighting: interval_linear
  reorder: 3
  reorder_grace: 4s
  stale_after: 5s
  outputs: [ewma, variance, count]
output: {emit: {on_change: 0.5}}
""",
    "held": """
input: {topics: [a], value: x, on_null: skip, on_invalid: hold}
smoothing:
  span: 5
  adjust: true
  ignore_na: false
  min_periods: 3
  warm_up: hold
  seed: {value: 10, weight: 2}
  outputs: [ewma, std, level, forecast, count]
  horizon: 3
  trend: {method: holt, beta: 0.3}
output: {shape: enrich}
""",
    "silent": """
input: {topics: [a], values: {x: x, y: y}, reset: r, on_null: reset, on_invalid: reset}
smoothing: {span: 3, adjust: true, stale_after: 3s, outputs: [ewma, weight_sum, count]}
""",
    "seeded": """
input: {topics: [a], value: x, weight: x}
smoothing:
  factors: {fast: {half_life: 1s}, slow: {half_life: 10s}}
  seed: {value: 5}
  outputs: [ewma, variance, zscore, limits]
  limits: {centre: 1, sigma: 2}
  stale_after: 10s
""",
    "started": """
smoothing: {com: 2, seed: {readings: 4}, outputs: [ewma, zscore], outliers: {deviations: 2}}
""",
    "next": """
smoothing: {half_life: 2s, weighting: interval_next, adjust: false, outputs: [ewma, std]}
""",
    "prev": """
smoothing: {half_life: 2s, weighting: interval_prev, reorder: 2, outputs: [ewma, n_eff, count]}
""",
    "holt": """
smoothing:
  half_life: 2s
  trend: {method: holt, beta_half_life: 5s}
  late: drop
  reset_after: 10s
  outputs: [ewma, trend]
""",
}

BOUNDS: dict[str, dict[str, int]] = {
    "default": {"ttl_ms": 3_000, "max_keys": 2},
    "everything": {"ttl_ms": 25_000, "max_keys": 2},
    "sorted": {"ttl_ms": 4_000, "max_keys": 2},
    "held": {"ttl_ms": 1_000, "max_keys": 1},
    "silent": {"ttl_ms": 13_000},
    "prev": {"max_keys": 2},
}
"""What is set besides, of some: when keys are forgotten, and how many there may be."""

NAMES = (*SMOOTHINGS, *(f"{name}, bounded" for name in BOUNDS))


def config_named(name: str) -> TaskConfig:
    """The task of one of `NAMES`."""
    name, _, bounded = name.partition(", ")
    config = config_of(SMOOTHINGS[name])
    return replace(config, **BOUNDS[name]) if bounded else config


@cache
def config_of(yaml: str) -> TaskConfig:
    """The task of a service with these settings; input `a`, its number at `x`."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "stream-ewma.yaml"
        file.write_text(yaml if "input:" in yaml else f"input: {{topics: [a], value: x}}\n{yaml}")
        return replace(task_config(load_settings(file, env={})), durable=True)


numbers = st.one_of(
    st.floats(-100, 100), st.just(None), st.just("x"), st.sampled_from([1e200, 1e308, -0.0])
)


@st.composite
def records(draw: st.DrawFn) -> list[Record]:
    """Readings of three keys: late, missing, unfit, resets, and silences among them."""
    found, now = [], NOW_MS
    for _ in range(draw(st.integers(0, 25))):
        now += draw(st.sampled_from([0, 1, 99, 100, 500, 501, 700, 3000, 12_000, 70_000]))
        late = draw(st.sampled_from([0, 0, 0, 50, 4000, 9000]))
        fields: dict[str, object] = {"x": draw(numbers), "timestamp": now - late}
        if draw(st.booleans()):
            fields["y"] = draw(numbers)
        if draw(st.integers(0, 9)) == 0:
            fields["r"] = True
        value = None if draw(st.integers(0, 19)) == 0 else json.dumps(fields).encode()
        found.append(Record(draw(st.sampled_from([b"a", b"b", b"c"])), value, now))
    return found
