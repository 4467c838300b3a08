"""Wherever a stream is cut into steps, the same records come out with the same bytes.

And so they do where a task goes on with what another one has left in a changelog.
"""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_ewma.engine import upkeep
from stream_ewma.engine.config import TaskConfig
from stream_ewma.engine.outgoing import Destination
from stream_ewma.engine.task import PartitionTask
from stream_ewma.service.config import task_config
from stream_ewma.settings import load_settings
from tests.support.batches import NOW_MS, Published, Record, published, read, runs_of

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
BOUNDS: dict[str, dict[str, int]] = {
    "everything": {"ttl_ms": 25_000, "max_keys": 3},
    "sorted": {"ttl_ms": 4_000, "max_keys": 2},
    "held": {"ttl_ms": 1_000, "max_keys": 2},
    "default": {"ttl_ms": 30_000},
}
"""What is set besides, of keys that are forgotten, and how many there may be."""


@pytest.fixture(scope="module")
def configs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, TaskConfig]:
    folder = tmp_path_factory.mktemp("settings")
    found = {}
    for name, yaml in SMOOTHINGS.items():
        file: Path = folder / f"{name}.yaml"
        file.write_text(yaml if "input:" in yaml else f"input: {{topics: [a], value: x}}\n{yaml}")
        config = task_config(load_settings(file, env={}))
        found[name] = replace(config, durable=True)
        found[f"{name}, bounded"] = replace(config, durable=True, **BOUNDS[name])
    return found


NAMES = [f"{name}{bounded}" for name in SMOOTHINGS for bounded in ("", ", bounded")]


@pytest.fixture(autouse=True)
def sweeps_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "_SWEEP_EVERY", 4)


numbers = st.one_of(
    st.floats(-100, 100), st.just(None), st.just("x"), st.sampled_from([1e200, 1e308, -0.0])
)


@st.composite
def records(draw: st.DrawFn) -> list[Record]:
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
        found.append(Record(draw(st.sampled_from([b"a", b"b", b"c", b"d"])), value, now))
    return found


Outcome = tuple[list[Published], list[Published], dict[str, int]]


def outcome(
    config: TaskConfig, parts: list[list[Record]], log: dict[bytes, bytes] | None = None
) -> Outcome:
    """What comes of the parts one after another; with a changelog, each by a task of its own."""
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
        if log is not None:
            task = restored(task, config, log)
    if log is not None:
        counts["keys"] = task.keys_count
    return outputs, letters, counts


def restored(task: PartitionTask, config: TaskConfig, log: dict[bytes, bytes]) -> PartitionTask:
    """A task that has read the changelog, compacted, and in another order."""
    for batch in task.cut().batches:
        for record in read(batch.to_bytes(-1, -1, -1, False)):
            assert record.key is not None
            log.pop(record.key, None)
            if record.value is not None:
                log[record.key] = record.value
    other = PartitionTask("a", 0, 0, config, (3, 4))
    other.restore(runs_of([Record(key, log[key]) for key in reversed(log)]))
    other.restored()
    assert (other.position, other.keys_count) == (task.position, task.keys_count)
    return other


def parts_of(rows: list[Record], cuts: list[int]) -> list[list[Record]]:
    edges = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    return [rows[a:b] for a, b in pairwise(edges)]


cuts_at = st.lists(st.integers(0, 25), max_size=4)


@pytest.mark.parametrize("name", NAMES)
@given(rows=records(), cuts=cuts_at)
def test_cuts_change_nothing(
    configs: dict[str, TaskConfig], name: str, rows: list[Record], cuts: list[int]
) -> None:
    whole = outcome(configs[name], [rows])
    in_parts = outcome(configs[name], parts_of(rows, cuts))
    one_by_one = outcome(configs[name], [[row] for row in rows])

    assert whole == in_parts
    assert whole == one_by_one


@pytest.mark.parametrize("name", NAMES)
@given(rows=records(), cuts=cuts_at)
def test_restores_change_nothing(
    configs: dict[str, TaskConfig], name: str, rows: list[Record], cuts: list[int]
) -> None:
    whole = outcome(configs[name], [rows], {})
    in_parts = outcome(configs[name], parts_of(rows, cuts), {})
    one_by_one = outcome(configs[name], [[row] for row in rows], {})

    assert whole == in_parts
    assert whole == one_by_one or not rows
