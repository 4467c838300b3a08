"""Keys that nobody hears of any more: forgotten after a time, cleared away when they are empty."""

import json
from dataclasses import replace
from typing import Any

import numba
import pytest

from stream_ewma.engine import upkeep
from stream_ewma.engine.config import TaskConfig
from stream_ewma.engine.dead_letters import Reason
from stream_ewma.engine.outgoing import Destination
from stream_ewma.engine.step import Step
from stream_ewma.engine.task import PartitionTask
from stream_ewma.payloads import ReadingOptions, decoder, encoder
from stream_ewma.payloads.columns import WritingOptions
from stream_ewma.records.reader import decode
from stream_ewma.smoothing.mode import Mode, Weighting
from stream_ewma.smoothing.outputs import Output, Quantity
from stream_ewma.smoothing.parameters import Factor, KeyRules
from tests.support.batches import NOW_MS, Record, published, runs_of
from tests.support.changelog import Log

LIVE = 20 if numba.config.DISABLE_JIT else 10_000
"""Keys that are alive at a time in the test of memory; interpreted, each takes a while."""
HALF = KeyRules(Factor(alpha=0.5), ())
EVERY = 8
"""Offsets between two sweeps here."""


def config_of(**options: Any) -> TaskConfig:
    paths = ReadingOptions(timestamp_path="t")
    rules = options.pop("rules", HALF)
    return TaskConfig(decoder("json", paths), encoder("json"), rules, **options)


class Partition:
    """A task that is fed a few records at a time."""

    def __init__(self, config: TaskConfig) -> None:
        self.task = PartitionTask("a", 0, 0, config, (1, 2))

    def take(self, *records: tuple[str, int, float | None]) -> Step:
        """Records of (key, event time, number); None: a tombstone."""
        made = [
            Record(
                key.encode(),
                None if x is None else json.dumps({"value": x, "t": NOW_MS + t}).encode(),
                NOW_MS + t,
            )
            for key, t, x in records
        ]
        return self.task.process(runs_of(made, self.task.position))

    @property
    def keys(self) -> list[bytes]:
        keys = self.task._smoother.series._keys
        return sorted(keys.key(slot) for slot in keys.slots.tolist())


def restored(partition: Partition) -> Partition:
    """Another task, that has read what this one leaves in a changelog."""
    log = Log()
    log.commit(partition.task.cut())
    other = Partition(partition.task._config)
    other.task.restore(log.runs)
    other.task.restored()
    assert other.keys == partition.keys
    return other


def means(step: Step) -> list[float | None]:
    records = published(step, Destination.OUTPUT)
    return [None if each.value is None else json.loads(each.value)["ewma"] for each in records]


@pytest.fixture
def sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "_SWEEP_EVERY", EVERY)


@pytest.mark.parametrize("factor", [Factor(alpha=0.5), Factor(half_life=1000)])
def test_a_key_is_forgotten_when_its_time_is_over(factor: Factor) -> None:
    partition = Partition(config_of(ttl_ms=1000, rules=KeyRules(factor, ())))

    partition.take(("a", 0, 1.0), ("b", 600, 1.0))
    assert partition.take(("b", 999, 1.0)).noted == {}
    step = partition.take(("b", 1000, 1.0))

    assert step.noted == {"expired": 1}
    assert partition.keys == [b"b"]
    assert partition.task.keys_count == 1


def test_a_key_that_comes_again_in_the_same_batch_begins_anew() -> None:
    partition = Partition(config_of(ttl_ms=1000))

    step = partition.take(("a", 0, 1.0), ("b", 1000, 1.0), ("a", 1001, 5.0), ("a", 1002, 7.0))

    assert means(step) == [1.0, 1.0, 5.0, 6.0]
    assert step.noted == {"expired": 1}


def test_a_key_that_moves_event_time_on_itself_is_not_forgotten() -> None:
    partition = Partition(config_of(ttl_ms=1000))

    assert means(partition.take(("a", 0, 1.0), ("a", 50_000, 3.0))) == [1.0, 2.0]


def test_an_expired_key_makes_room_for_another_behind_the_record_that_shows_it() -> None:
    partition = Partition(config_of(ttl_ms=1000, max_keys=2))

    step = partition.take(
        ("a", 0, 1.0), ("b", 900, 1.0), ("c", 1000, 1.0), ("c", 1001, 1.0), ("d", 1002, 1.0)
    )

    # The first of "c" is refused, but it has moved event time on.
    assert step.rejected == {Reason.TOO_MANY_KEYS: 2}
    assert partition.keys == [b"b", b"c"]


def test_a_key_is_reported_as_silent_before_it_is_forgotten() -> None:
    config = config_of(ttl_ms=2000, stale_after_ms=1000, mode=Mode(stale=True))
    partition = Partition(config)

    step = partition.take(("b", 0, 1.0), ("a", 0, 3.0), ("c", 9000, 5.0), ("a", 9001, 9.0))

    told = [each.key for each in published(step, Destination.OUTPUT)]
    assert told == [b"b", b"a", b"c", b"a", b"b", b"a"]
    assert step.noted == {"stale": 2, "expired": 2}
    assert means(step)[-1] == 9.0


def test_a_restored_key_is_forgotten_at_the_record_at_which_it_would_have_been() -> None:
    partition = Partition(config_of(ttl_ms=1000, durable=True))
    partition.take(("a", 0, 1.0), ("b", 900, 1.0), ("c", 910, 1.0), ("late", -90, 1.0))

    partition = restored(partition)

    assert partition.take(("b", 999, 1.0)).noted == {}  # still the tick of 900
    assert partition.take(("b", 1000, 1.0)).noted == {"expired": 2}
    assert partition.keys == [b"b", b"c"]


def test_a_late_key_waits_for_the_next_tick_after_a_restore_too() -> None:
    partition = Partition(config_of(ttl_ms=1000, durable=True))
    partition.take(("b", 5000, 1.0), ("late", 10, 1.0))

    partition = restored(partition)

    assert partition.task._smoother.event_time == NOW_MS + 5000
    assert partition.take(("b", 5099, 1.0)).noted == {}
    assert partition.take(("b", 5100, 1.0)).noted == {"expired": 1}


@pytest.mark.usefixtures("sweeps")
def test_a_restored_key_without_a_reading_is_cleared_away_at_the_next_sweep() -> None:
    partition = Partition(config_of(durable=True))
    partition.take(("a", 0, 1.0), ("b", 0, 1.0), ("a", 0, None))

    partition = restored(partition)
    partition.take(*[("b", 0, 1.0)] * (EVERY - 4))
    assert partition.keys == [b"a", b"b"]
    partition.take(("b", 0, 1.0))

    assert partition.keys == [b"b"]


def test_event_time_is_known_where_something_depends_on_it() -> None:
    plain, partition = Partition(config_of()), Partition(config_of(ttl_ms=1000))

    for each in (plain, partition):
        assert each.task._smoother.event_time is None
        each.take(("a", 7, 1.0), ("a", 5, 1.0))

    assert plain.task._smoother.event_time is None
    assert partition.task._smoother.event_time == NOW_MS + 7


@pytest.mark.usefixtures("sweeps")
def test_empty_keys_are_cleared_away_where_the_offset_passes_a_multiple() -> None:
    partition = Partition(config_of())
    partition.take(*((key, 0, 1.0) for key in "abcd"), ("a", 1, None), ("b", 1, None))
    assert partition.keys == [b"a", b"b", b"c", b"d"]

    partition.take(("b", 2, 1.0), ("c", 2, None))

    assert partition.task.position == EVERY
    assert partition.keys == [b"b", b"d"]


@pytest.mark.usefixtures("sweeps")
def test_a_sweep_takes_place_between_the_records_of_a_batch() -> None:
    partition = Partition(config_of(max_keys=1))

    step = partition.take(
        ("a", 0, 1.0), *[("a", 0, None)] * 6, ("b", 0, 1.0), ("c", 0, 1.0), ("a", 0, 1.0)
    )

    assert step.rejected == {Reason.TOO_MANY_KEYS: 2}
    assert partition.keys == [b"c"]


@pytest.mark.usefixtures("sweeps")
def test_a_key_whose_only_reading_was_refused_is_empty_too() -> None:
    outputs = [Output("ewma", Quantity.EWMA), Output("variance", Quantity.VARIANCE)]
    partition = Partition(config_of(outputs=outputs))

    step = partition.take(("a", 0, 1e200), ("b", 0, 1.0), ("b", 0, 1e200))
    assert step.rejected == {Reason.STATE_OVERFLOW: 2}
    assert partition.keys == [b"a", b"b"]
    partition.take(*[("b", 0, 1.0)] * (EVERY - 3))

    assert partition.keys == [b"b"]


@pytest.mark.usefixtures("sweeps")
def test_a_key_that_holds_back_all_its_readings_is_not_empty() -> None:
    mode = Mode(weighting=Weighting.INTERVAL_NEXT, reorder=4)
    partition = Partition(config_of(rules=KeyRules(Factor(half_life=1000), ()), mode=mode))

    partition.take(("a", 9, None), *[("a", 0, 1.0), ("a", 0, None)] * 3, ("a", 10, 1.0))

    assert partition.task.position == EVERY
    assert partition.keys == [b"a"]


@pytest.mark.usefixtures("sweeps")
def test_a_sweep_in_a_gap_between_two_records_needs_no_record() -> None:
    partition = Partition(config_of())
    partition.take(("a", 0, 1.0), ("a", 0, None))

    nothing = decode([], 0).records
    partition.task._smoother.smooth(nothing, 2, EVERY - 1)
    assert partition.keys == [b"a"]
    partition.task._smoother.smooth(nothing, EVERY - 1, EVERY)  # only markers of transactions

    assert partition.keys == []


def test_a_wide_gap_between_offsets_costs_no_more_than_a_narrow_one() -> None:
    partition = Partition(config_of())
    partition.take(("a", 0, 1.0), ("a", 0, None))

    partition.task.position = 1 << 60  # offsets that retention has taken away meanwhile
    partition.task._smoother.smooth(decode([], 0).records, 2, 1 << 60)

    assert partition.keys == []


@pytest.mark.usefixtures("sweeps")
def test_a_key_that_was_emptied_and_then_expired_is_let_go_once() -> None:
    partition = Partition(config_of(ttl_ms=1000))

    partition.take(("a", 0, 1.0), ("a", 0, None))
    partition.take(("a", 0, 1.0), ("b", 5000, 1.0))
    assert partition.keys == [b"b"]
    partition.take(*[("b", 5000, 1.0)] * (EVERY - 4))

    assert partition.keys == [b"b"]


@pytest.mark.usefixtures("sweeps")
def test_values_of_a_record_that_are_reset_one_after_another_leave_an_empty_key() -> None:
    config = replace(
        config_of(on_null="reset", fields=("x", "y")),
        decoder=decoder("json", ReadingOptions(value_paths=("x", "y"))),
        encoder=encoder("json", WritingOptions(value_names=("x", "y"))),
    )
    partition = PartitionTask("a", 0, 0, config, (1, 2))
    values = ['{"x":1,"y":1}', '{"x":null,"y":1}', '{"x":1,"y":null}', '{"x":null,"y":2}']

    def take(count: int, value: str) -> int:
        made = [Record(b"a", value.encode())] * count
        partition.process(runs_of(made, partition.position))
        return partition.keys_count

    assert [take(1, value) for value in values] == [1] * 4
    assert take(EVERY - 4, '{"x":null}') == 1
    assert take(EVERY - 1, '{"x":null,"y":null}') == 1
    assert take(1, '{"x":null}') == 0


def test_memory_stays_flat_however_many_keys_come_and_go() -> None:
    """Two million keys through a table that holds ten thousand."""
    batch = LIVE // 2
    partition = PartitionTask("a", 0, 0, config_of(ttl_ms=LIVE), (1, 2))
    sizes = []
    for first in range(0, 200 * LIVE, batch):
        numbers = range(first, first + batch)
        # Lengths differ, as those of paths or of names with a counter do.
        made = [Record(b"%d%s" % (i, b"k" * (i % 60)), b'{"value":1,"t":%d}' % i) for i in numbers]
        partition.process(runs_of(made, partition.position))
        if first >= 4 * LIVE:
            sizes.append(partition.state_bytes)

    assert partition.keys_count <= 1.2 * LIVE
    assert max(sizes) <= 1.2 * sizes[0]
    assert max(sizes) < 250 * LIVE + 100_000
