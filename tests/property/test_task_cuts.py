"""Wherever a stream is cut into steps, the same records come out with the same bytes."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_ewma.engine import upkeep
from stream_ewma.engine.config import TaskConfig
from stream_ewma.engine.outgoing import Destination
from stream_ewma.engine.task import PartitionTask
from tests.support.batches import Published, Record, published, runs_of
from tests.support.streams import NAMES, config_named, records


@pytest.fixture(autouse=True)
def sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "_SWEEP_EVERY", 4)


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


@pytest.mark.parametrize("name", NAMES)
@given(rows=records(), cuts=st.lists(st.integers(0, 25), max_size=4))
def test_cuts_change_nothing(name: str, rows: list[Record], cuts: list[int]) -> None:
    config = config_named(name)
    edges = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]

    whole = outcome(config, [rows])
    in_parts = outcome(config, [rows[a:b] for a, b in pairwise(edges)])
    one_by_one = outcome(config, [[row] for row in rows])

    assert whole == in_parts
    assert whole == one_by_one
