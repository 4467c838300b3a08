"""Crashes at any point leave outputs and state as an undisturbed run does, bit for bit."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_ewma.engine.config import TaskConfig
from stream_ewma.engine.outgoing import Destination
from stream_ewma.engine.task import PartitionTask
from tests.support.batches import Published, Record, published, runs_of
from tests.support.changelog import Log
from tests.support.streams import NAMES, config_named, records

PROCESS, CUT, CRASH, CRASH_COMPACTED = "process", "cut", "crash", "crash after compaction"


Outputs = dict[Destination, list[Published]]

events = st.lists(
    st.one_of(
        st.integers(1, 8),
        st.sampled_from([CUT, CUT, CRASH, CRASH_COMPACTED]),
    ),
    max_size=16,
)


MODES = {name: config_named(name) for name in NAMES}


@pytest.fixture(scope="module", autouse=True)
def frequent_sweeps() -> Iterator[None]:
    """Keys without readings are cleared away every few offsets."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("stream_ewma.engine.upkeep._SWEEP_EVERY", 5)
        yield


def _nothing() -> Outputs:
    return {destination: [] for destination in Destination}


class Member:
    """A service that handles one partition in transactions, and crashes."""

    def __init__(self, config: TaskConfig, rows: Sequence[Record]) -> None:
        self._config = config
        self._rows = rows
        self._pending = _nothing()
        self._lives = 0
        self.log = Log()
        self.outputs = _nothing()
        self.task = self._new_task()

    def process(self, count: int) -> None:
        first = self.task.position
        step = self.task.process(runs_of(self._rows[first : first + count], first))
        for destination in Destination:
            self._pending[destination] += published(step, destination)

    def cut(self) -> None:
        cut = self.task.cut()
        assert cut.next_offset == self.task.position
        self.log.commit(cut)
        for destination, found in self._pending.items():
            self.outputs[destination] += found
        self._pending = _nothing()

    def crash(self) -> None:
        self._pending = _nothing()
        self.task = self._new_task()
        runs = self.log.runs
        for run in runs:
            self.task.restore([run])
        restored = self.task.restored()
        assert (restored.converted, restored.restarted) == (0, 0)
        expected = 0 if restored.marker is None else restored.marker.next_offset
        assert self.task.position == expected

    def _new_task(self) -> PartitionTask:
        # Each has a seed of its own: slots are found otherwise.
        self._lives += 1
        return PartitionTask("a", 0, 0, self._config, (self._lives, 2), topic_id="id")

    def finish(self) -> None:
        while self.task.position < len(self._rows):
            self.process(len(self._rows))
        self.cut()


@pytest.mark.parametrize("name", MODES)
@given(rows=records(), happens=events)
def test_a_crash_changes_nothing(name: str, rows: list[Record], happens: list[int | str]) -> None:
    config = MODES[name]
    undisturbed, disturbed = Member(config, rows), Member(config, rows)
    undisturbed.finish()

    for event in happens:
        if isinstance(event, int):
            disturbed.process(event)
        elif event == CUT:
            disturbed.cut()
        else:
            if event == CRASH_COMPACTED:
                disturbed.log.compact()
            disturbed.crash()
    disturbed.finish()

    assert disturbed.outputs == undisturbed.outputs
    assert disturbed.log.state == undisturbed.log.state
    disturbed.crash()
    assert disturbed.task.keys_count == undisturbed.task.keys_count


@pytest.mark.parametrize("name", MODES)
@given(rows=records(), cut=st.integers(0, 25))
def test_a_record_that_stops_the_service_leaves_what_came_before_it(
    name: str, rows: list[Record], cut: int
) -> None:
    config = replace(MODES[name], on_error="fail", on_late="dlq", max_keys=2)
    stopped = Member(config, rows)
    stopped.process(cut)
    if stopped.task.position == cut:
        stopped.process(len(rows))
    end = stopped.task.position
    undisturbed = Member(config, rows)
    undisturbed.process(end)

    for member in (stopped, undisturbed):
        member.cut()
    assert undisturbed.task.position == end
    assert stopped.outputs == undisturbed.outputs
    assert stopped.log.state == undisturbed.log.state
