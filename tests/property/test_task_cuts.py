"""Wherever a stream is cut into steps, the same records come out with the same bytes."""

import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_ewma.engine.config import TaskConfig
from stream_ewma.engine.outgoing import Destination
from stream_ewma.engine.task import PartitionTask
from stream_ewma.service.config import task_config
from stream_ewma.settings import load_settings
from tests.support.batches import NOW_MS, Published, Record, published, runs_of

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
}


@pytest.fixture(scope="module")
def configs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, TaskConfig]:
    folder = tmp_path_factory.mktemp("settings")
    found = {}
    for name, yaml in SMOOTHINGS.items():
        file: Path = folder / f"{name}.yaml"
        file.write_text(yaml if "input:" in yaml else f"input: {{topics: [a], value: x}}\n{yaml}")
        found[name] = task_config(load_settings(file, env={}))
    return found


numbers = st.one_of(
    st.floats(-100, 100), st.just(None), st.just("x"), st.sampled_from([1e200, 1e308, -0.0])
)


@st.composite
def records(draw: st.DrawFn) -> list[Record]:
    found, now = [], NOW_MS
    for _ in range(draw(st.integers(0, 25))):
        now += draw(st.sampled_from([0, 1, 99, 100, 500, 501, 700, 3000, 12_000, 70_000]))
        late = draw(st.sampled_from([0, 0, 0, 50, 4000, 9000]))
        fields = {"x": draw(numbers), "timestamp": now - late}
        if draw(st.booleans()):
            fields["y"] = draw(numbers)
        if draw(st.integers(0, 9)) == 0:
            fields["r"] = True
        value = None if draw(st.integers(0, 19)) == 0 else json.dumps(fields).encode()
        found.append(Record(draw(st.sampled_from([b"a", b"b", b"c"])), value, now))
    return found


def outcome(
    config: TaskConfig, parts: list[list[Record]]
) -> tuple[list[Published], list[Published], dict[str, int]]:
    task = PartitionTask("a", 0, 0, config, (1, 2))
    outputs: list[Published] = []
    letters: list[Published] = []
    counts: dict[str, int] = {}
    offset = 0
    for part in parts:
        step = task.process(runs_of(part, offset))
        offset += len(part)
        outputs += published(step, Destination.OUTPUT)
        letters += published(step, Destination.DEAD_LETTERS)
        for name, count in (*step.skipped.items(), *step.noted.items()):
            counts[name] = counts.get(name, 0) + count
    return outputs, letters, counts


@pytest.mark.parametrize("name", SMOOTHINGS)
@given(rows=records(), cuts=st.lists(st.integers(0, 25), max_size=4))
def test_cuts_change_nothing(
    configs: dict[str, TaskConfig], name: str, rows: list[Record], cuts: list[int]
) -> None:
    edges = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]

    whole = outcome(configs[name], [rows])
    in_parts = outcome(configs[name], [rows[a:b] for a, b in pairwise(edges)])
    one_by_one = outcome(configs[name], [[row] for row in rows])

    assert whole == in_parts
    assert whole == one_by_one
