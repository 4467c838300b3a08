"""The key table against a dictionary, through any order of insertions and releases."""

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from stream_ewma.columns import Spans
from stream_ewma.engine import keys as keys_module
from stream_ewma.engine.index import NO_SLOT
from stream_ewma.engine.keys import KeyTable

MAX_KEYS = 60

names = st.one_of(
    st.integers(0, 90).map(lambda number: b"%d" % number),
    st.integers(0, 30).map(lambda number: b"k" * number),
)
batches = st.lists(st.one_of(st.none(), names), max_size=30)


class KeyTableMachine(RuleBasedStateMachine):
    """Few keys for a table whose index is small at first, so that it grows and moves often."""

    def __init__(self) -> None:
        super().__init__()
        self.table = KeyTable((5, 6), MAX_KEYS)
        self.model: dict[bytes, int] = {}

    def find(self, batch: list[bytes | None], insert: int) -> None:
        before = dict(self.model)
        found = self.table.find(Spans.of(batch), np.full(len(batch), insert, np.uint8))
        new = iter(found.new.tolist())
        for key, slot in zip(batch, found.slots.tolist(), strict=True):
            if key is None:
                assert slot == NO_SLOT
            elif key not in self.model and insert and len(self.model) < MAX_KEYS:
                assert slot not in self.model.values()
                assert slot == next(new)
                self.model[key] = slot
            assert key is None or slot == self.model.get(key, NO_SLOT)
        assert next(new, None) is None
        assert insert or self.model == before

    @rule(batch=batches)
    def insert(self, batch: list[bytes | None]) -> None:
        self.find(batch, 1)

    @rule(batch=batches)
    def look_up(self, batch: list[bytes | None]) -> None:
        self.find(batch, 0)

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        gone = data.draw(st.lists(st.sampled_from(sorted(self.model)), unique=True))
        self.table.release(np.array([self.model.pop(key) for key in gone], np.int32))

    @rule()
    def release_all(self) -> None:
        self.table.release(self.table.slots)
        self.model.clear()

    @invariant()
    def agrees(self) -> None:
        assert len(self.table) == len(self.model)
        assert self.table.slots.tolist() == sorted(self.model.values())
        for key, slot in self.model.items():
            assert self.table.key(slot) == key
        if len(self.table._old) == 0:
            assert np.count_nonzero(self.table._index) == len(self.model)
        # Every slot was live at some time together with all below it.
        assert max(self.model.values(), default=0) < MAX_KEYS


@pytest.mark.parametrize(("index", "moved"), [(8, 2), (8, 8), (64, 1)])
def test_agrees_with_a_dictionary(monkeypatch: pytest.MonkeyPatch, index: int, moved: int) -> None:
    monkeypatch.setattr(keys_module, "_SMALLEST_INDEX", index)
    monkeypatch.setattr(keys_module, "_MOVED_PER_CALL", moved)
    KeyTableMachine.TestCase.settings = settings(
        max_examples=100, stateful_step_count=30, deadline=None
    )
    KeyTableMachine.TestCase("runTest").runTest()
