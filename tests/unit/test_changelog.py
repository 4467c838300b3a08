"""Changed keys to records of a changelog and back: tracking, cuts, order, damage."""

import json
from dataclasses import replace

import numpy as np
import pytest

from stream_ewma.columns import Spans
from stream_ewma.engine import changelog
from stream_ewma.engine.changelog import ChangelogError
from stream_ewma.engine.changes import Changes
from stream_ewma.engine.dead_letters import Reason
from stream_ewma.engine.marker import Marker
from stream_ewma.engine.outgoing import Destination
from stream_ewma.engine.step import Cut
from stream_ewma.engine.task import PartitionTask
from stream_ewma.records.fetched import split_runs
from tests.support.batches import NOW_MS, Published, Record, published, read, runs_of
from tests.support.changelog import Log, batch_at
from tests.support.streams import config_of

PLAIN = "smoothing: {alpha: 0.5}"
SILENT = "smoothing: {alpha: 0.5, stale_after: 10s}"
RESET = "{input: {topics: [a], value: x, on_null: reset}, smoothing: {alpha: 0.5}}"
SKIP = "{input: {topics: [a], value: x, on_null: skip}, smoothing: {alpha: 0.5}}"
EVENT_TIME = "smoothing: {half_life: 10s}"
HELD = "smoothing: {half_life: 2s, weighting: interval_linear, reorder: 2}"

ROW_A = b"\x01" + (1).to_bytes(8, "little") + np.array([2.0]).astype("<f8").tobytes()
POSITION, CONFIGURATION = b"\x00position", b"\x00configuration"


def task_of(yaml: str = PLAIN, **config: object) -> PartitionTask:
    own = replace(config_of(yaml), **config)  # type: ignore[arg-type]  # whatever a test needs
    return PartitionTask("a", 0, 0, own, (1, 2), topic_id="id", partitions=4)


def feed(task: PartitionTask, *readings: tuple[str, object, int]) -> None:
    records = [Record(key.encode(), _value(x, at), NOW_MS + at) for key, x, at in readings]
    task.process(runs_of(records, task.position))


def _value(x: object, at: int) -> bytes | None:
    return None if x == "gone" else json.dumps({"x": x, "timestamp": NOW_MS + at}).encode()


def records_of(cut: Cut) -> list[Published]:
    return [r for batch in cut.batches for r in read(bytes(batch.to_bytes(-1, -1, -1, False)))]


def keys_of(cut: Cut) -> list[bytes | None]:
    return [record.key for record in records_of(cut)]


def restored(log: Log, yaml: str = PLAIN, **config: object) -> PartitionTask:
    task = task_of(yaml, **config)
    task.restore(log.runs)
    task.restored()
    return task


def log_of(task: PartitionTask) -> Log:
    log = Log()
    log.commit(task.cut())
    return log


def test_a_cut_has_the_rows_then_the_configuration_then_the_marker() -> None:
    task = task_of()
    feed(task, ("a", 2, 0), ("b", 4, 0))
    cut = task.cut()

    records = records_of(cut)
    assert [record.key for record in records] == [b"\x01a", b"\x01b", CONFIGURATION, POSITION]
    assert records[0].value == ROW_A
    assert {(record.timestamp, *record.headers) for record in records} == {(0,)}
    assert (cut.next_offset, cut.rows, cut.tombstones) == (2, 2, 0)
    assert len(cut.batches) == 1
    marker = Marker.from_bytes(records[-1].value or b"")
    assert (marker.next_offset, marker.event_time) == (2, None)
    assert (marker.topic, marker.topic_id, marker.partition) == ("a", "id", 0)
    assert marker.partitions == 4


def test_the_marker_has_event_time_where_it_is_kept() -> None:
    task = task_of(SILENT)
    feed(task, ("a", 2, 5), ("a", 2, 3))
    assert Marker.from_bytes(records_of(task.cut())[-1].value or b"").event_time == NOW_MS + 5


def test_only_what_has_changed_since_the_last_cut_is_in_it() -> None:
    task = task_of()
    feed(task, ("a", 2, 0), ("b", 4, 0))
    task.cut()
    feed(task, ("b", 4, 0), ("b", 4, 0), ("c", 1, 0))

    assert keys_of(task.cut()) == [b"\x01b", b"\x01c", POSITION]
    assert keys_of(task.cut()) == [POSITION]


def test_a_key_that_is_reset_has_a_row_of_zeros() -> None:
    task = task_of()
    feed(task, ("a", 2, 0))
    task.cut()
    feed(task, ("a", "gone", 0))

    (row, _) = records_of(task.cut())
    assert (row.key, row.value) == (b"\x01a", b"\x01" + bytes(16))


def test_a_reading_that_is_refused_makes_a_row_of_zeros_too() -> None:
    """The key has a slot, which counts against max_keys: a restored member must count it too."""
    task = task_of("smoothing: {alpha: 0.5, outputs: [ewma, std]}")
    feed(task, ("a", 1e300, 0))
    assert keys_of(task.cut())[0] == b"\x01a"


def test_what_is_left_out_changes_nothing() -> None:
    task = task_of(SKIP)
    feed(task, ("a", 1, 0))
    task.cut()
    feed(task, ("b", None, 0), ("b", "gone", 0), ("a", "x", 0))
    assert keys_of(task.cut()) == [POSITION]


def test_a_report_of_silence_is_a_change() -> None:
    task = task_of(SILENT)
    feed(task, ("a", 1, 0), ("b", 1, 0))
    task.cut()
    feed(task, ("b", 1, 20_000))
    assert sorted(filter(None, keys_of(task.cut()))) == [POSITION, b"\x01a", b"\x01b"]


def test_reports_of_silence_are_in_the_order_of_the_keys() -> None:
    """Slots, numbered as keys come, are numbered otherwise after a restore."""
    task = task_of(SILENT)
    feed(task, ("b", 1, 0), ("ab", 1, 0), ("a", 1, 0), ("c", 1, 0))
    records = [Record(b"c", _value(1, 20_000), NOW_MS)]
    step = task.process(runs_of(records, task.position))
    assert [r.key for r in published(step, Destination.OUTPUT)] == [b"c", b"a", b"ab", b"b"]


def test_nothing_is_noted_of_a_state_that_does_not_last() -> None:
    task = task_of(durable=False)
    feed(task, ("a", 1, 0))
    assert keys_of(task.cut()) == [CONFIGURATION, POSITION]


def test_large_cuts_are_several_batches_in_the_right_order() -> None:
    task = task_of(max_batch_bytes=2000)
    feed(task, *((f"key-{i:04}", i, 0) for i in range(200)))
    cut = task.cut()
    assert len(cut.batches) > 3
    assert max(batch.size for batch in cut.batches) <= 2000
    assert keys_of(cut) == [*(b"\x01key-%04d" % i for i in range(200)), CONFIGURATION, POSITION]


def test_what_does_not_fit_into_one_call_is_encoded_in_several(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(changelog, "_MOST_BYTES", 64)
    task = task_of()
    feed(task, *((f"key-{i:04}", i, 0) for i in range(20)))
    cut = task.cut()
    assert len(cut.batches) > 5
    assert keys_of(cut) == [*(b"\x01key-%04d" % i for i in range(20)), CONFIGURATION, POSITION]
    assert cut.rows == 20


def test_pieces_hold_what_fits_and_at_least_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changelog, "_MOST_BYTES", 100)
    sizes = np.array([200, 39, 39, 1, 38, 0, 500], np.int32)
    slots = np.arange(7, dtype=np.int32)
    found = [piece.tolist() for piece in changelog.pieces(slots, sizes, 10)]
    assert found == [[0], [1, 2], [3, 4, 5], [6]]


def gone(*keys: bytes) -> Spans:
    return Spans.of(list(keys))


def slots(*numbers: int) -> "np.ndarray[tuple[int], np.dtype[np.int32]]":
    return np.array(numbers, np.int32)


def test_changes_are_noted_once() -> None:
    changes = Changes()
    changes.grow(4)
    changes.note(slots(3, -1, 1, 3))
    changes.note(slots(1, 0))
    assert changes.take()[0].tolist() == [3, 1, 0]
    assert changes.take()[0].tolist() == []
    changes.note(slots(1))
    assert changes.take()[0].tolist() == [1]


def test_there_is_room_for_all_slots_there_are() -> None:
    changes = Changes()
    changes.grow(2)
    changes.note(slots(1))
    changes.grow(1)
    changes.grow(100_000)
    changes.note(np.arange(100_000, dtype=np.int32))
    assert len(changes.take()[0]) == 100_000
    assert changes.nbytes >= 500_000


def test_a_slot_that_is_released_is_no_change_until_its_next_key_changes() -> None:
    changes = Changes()
    changes.grow(4)
    changes.note(slots(0, 1, 2))
    changes.release(slots(1, 3), gone(b"b", b"d"))
    changes.note(slots(3))
    changed, keys = changes.take()
    assert changed.tolist() == [0, 2, 3]
    assert [each.item(row) for each in keys for row in range(len(each))] == [b"b", b"d"]

    changes.note(slots(1))
    changes.release(slots(1), gone(b"x"))
    changes.note(slots(1))
    changed, keys = changes.take()
    assert changed.tolist() == [1]
    assert len(keys) == 1
    assert changes.take() == (pytest.approx([]), [])


def test_released_keys_are_tombstones_before_the_rows() -> None:
    task = task_of()
    feed(task, ("a", 2, 0), ("b", 4, 0), ("c", 4, 0))
    log = log_of(task)
    series = task._smoother.series
    series.release(slots(0, 1))
    feed(task, ("b", 6, 0))
    cut = task.cut()

    records = records_of(cut)
    assert [(record.key, record.value is None) for record in records] == [
        (b"\x01a", True),
        (b"\x01b", True),
        (b"\x01b", False),
        (POSITION, False),
    ]
    assert (cut.rows, cut.tombstones) == (1, 2)
    log.commit(cut)
    again = restored(log)
    assert again.keys_count == 2
    assert state(again) == state(task)


def state(task: PartitionTask) -> dict[bytes, bytes]:
    series = task._smoother.series
    rows = series._by_key
    return {series._keys.key(slot): rows[slot].tobytes() for slot in series.slots.tolist()}


def test_an_empty_changelog_restores_nothing() -> None:
    task = task_of()
    assert task.restore([]) == 0
    answer = task.restored()
    assert (answer.marker, answer.keys, task.position) == (None, 0, 0)
    assert task_of().restored() == answer


def test_a_restore_answers_what_it_read_and_where_to_go_on() -> None:
    task = task_of()
    feed(task, ("a", 2, 0), ("b", 4, 0))
    log = log_of(task)
    feed(task, ("a", 2, 0))
    log.commit(task.cut())

    again = task_of()
    assert again.restore(log.runs) == 3
    answer = again.restored()
    assert answer.marker == Marker.from_bytes(log.records[-1][2] or b"")
    assert (answer.keys, answer.converted, answer.restarted) == (2, 0, 0)
    assert again.position == 3
    assert state(again) == state(task)
    assert keys_of(again.cut()) == [POSITION]


def test_more_than_one_call_can_decode_is_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream_ewma.records.reader._ENOUGH_BYTES", 1)
    task = task_of()
    feed(task, ("a", 2, 0), ("b", 4, 0))
    runs = [run for record in log_of(task).records for run in split_runs(batch_at(*record))]
    again = task_of()
    assert again.restore(runs) == 2
    assert again.restored().keys == 2


def test_the_last_record_of_a_key_wins_within_a_batch_and_across() -> None:
    task = task_of()
    feed(task, ("a", 2, 0))
    log = log_of(task)
    other = b"\x01" + bytes(16)
    tail = log.records[1:]
    for entries, expected in (
        ([(b"\x01a", ROW_A), (b"\x01a", other)], {b"a": other[1:]}),
        (
            [(b"\x01a", None), (b"\x01a", ROW_A), (b"\x01b", ROW_A), (b"\x01b", None)],
            {b"a": ROW_A[1:]},
        ),
        ([(b"\x01a", None), (b"\x01a", None), (b"\x01never", None)], {}),
    ):
        log = Log()
        log.append([(b"\x01a", ROW_A), *entries])
        log.append([(key, value) for _, key, value in tail])
        whole, one_by_one = task_of(), task_of()
        whole.restore(log.runs)
        for record in log.records:
            one_by_one.restore(split_runs(batch_at(*record)))
        for each in (whole, one_by_one):
            each.restored()
            assert state(each) == expected
            assert each.keys_count == len(expected)


def test_more_keys_than_may_be_there_are_restored_and_no_further_one_comes_in() -> None:
    task = task_of()
    feed(task, ("a", 2, 0), ("b", 4, 0), ("c", 4, 0))
    again = restored(log_of(task), max_keys=1)
    assert again.keys_count == 3
    feed(again, ("d", 1, 0), ("a", 1, 0))
    assert again.keys_count == 3
    assert keys_of(again.cut()) == [b"\x01a", POSITION]


def test_the_rules_say_the_factors_of_restored_keys() -> None:
    yaml = "smoothing: {alpha: 0.5, rules: [{keys: b, alpha: 1}]}"
    task = task_of(yaml)
    feed(task, ("a", 2, 0), ("b", 4, 0))
    again = restored(log_of(task), yaml)
    for each in (task, again):
        feed(each, ("a", 4, 0), ("b", 8, 0))
    assert state(again) == state(task)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        (None, b"x", "its key is of no known kind"),
        (b"", b"x", "its key is of no known kind"),
        (b"\x00positions", b"x", "its key is of no known kind"),
        (b"\x00", b"x", "its key is of no known kind"),
        (b"\x02a", b"x", "its key is of no known kind; a newer version may"),
        (b"\x01a", b"", "its row has another version than 1"),
        (b"\x01a", b"\x02" + bytes(16), "its row has another version than 1; a newer"),
        (b"\x01a", b"\x01", "the length of its row is impossible"),
        (b"\x01a", b"\x01" + bytes(15), "the length of its row is impossible"),
    ],
)
def test_what_does_not_belong_there_is_refused_at_its_offset(
    key: bytes | None, value: bytes | None, words: str
) -> None:
    task = task_of()
    feed(task, ("a", 2, 0))
    log = log_of(task)
    log.append([(key, value)])
    with pytest.raises(ChangelogError, match=f"^the record at offset 4: {words}"):
        task_of().restore(log.runs)


def test_a_damaged_batch_is_refused_at_its_offset() -> None:
    data = bytearray(batch_at(7, b"\x01a", ROW_A))
    data[-1] ^= 1
    with pytest.raises(ChangelogError, match=r"^the batch at offset 7: the batch's CRC-32C is"):
        task_of().restore(split_runs(bytes(data)))


def without(log: Log, *keys: bytes) -> Log:
    log.records = [record for record in log.records if record[1] not in keys]
    return log


def some_log(yaml: str = PLAIN) -> Log:
    task = task_of(yaml)
    feed(task, ("a", 2, 0))
    return log_of(task)


def other_width(*, first: bool = False) -> Log:
    log = some_log()
    row = (b"\x01b", b"\x01" + bytes(24))
    entries = [(key, value) for _, key, value in log.records]
    log = Log()
    log.append([row, *entries] if first else [*entries, row])
    return log


@pytest.mark.parametrize(
    ("log", "words"),
    [
        (lambda: without(some_log(), POSITION), "there are rows without a position marker"),
        (lambda: without(some_log(), POSITION, b"\x01a"), "there are rows without a position"),
        (lambda: without(some_log(), CONFIGURATION), "the configuration that the position marker"),
        (other_width, "there are rows of another length than the 2 words"),
        (lambda: without(other_width(), b"\x01a"), "there are rows of another length than"),
        (lambda: other_width(first=True), "there are rows of another length than the 2 words"),
    ],
)
def test_parts_that_do_not_go_together_are_refused(log: object, words: str) -> None:
    with pytest.raises(ChangelogError, match=f"^{words}"):
        restored(log())  # type: ignore[operator]


def test_another_partitions_changelog_is_refused() -> None:
    log = some_log()
    own = config_of(PLAIN)
    for topic, partition in (("b", 0), ("a", 1)):
        task = PartitionTask(topic, partition, 0, own, (1, 2))
        task.restore(log.runs)
        with pytest.raises(ChangelogError, match=r"^the rows are those of a-0"):
            task.restored()


@pytest.mark.parametrize("held", [-1, 3, 1 << 40])
def test_a_row_that_would_lead_kernels_astray_is_refused(held: int) -> None:
    task = task_of(HELD)
    feed(task, ("a", 2, 0))
    place = task._config.plan.places.held
    log = Log()
    ((_, key, value), *rest) = log_of(task).records
    assert value is not None
    at = 1 + 8 * place
    log.append([(key, value[:at] + held.to_bytes(8, "little", signed=True) + value[at + 8 :])])
    log.append([(key, value) for _, key, value in rest])
    with pytest.raises(ChangelogError, match=f"^a row is damaged: it holds {held} readings back"):
        restored(log, HELD)


def test_readings_that_are_held_back_are_restored_as_they_were() -> None:
    task = task_of(HELD)
    feed(task, ("a", 2, 0), ("a", 3, 100), ("b", 4, 50), ("a", 7, 70))
    again = restored(log_of(task), HELD)
    for each in (task, again):
        feed(each, ("a", 1, 90), ("b", 2, 60))
    assert state(again) == state(task)


def test_silence_goes_on_where_it_was() -> None:
    """A key that is reset and heard late is due before the list that it stood in."""
    readings = [("b", 9500), ("b", 11_000), ("b", 18_999), ("b", 19_000)]
    task, found = task_of(SILENT), []
    feed(task, ("a", 1, 0), ("b", 1, 9000), ("a", 2, 9000))
    again = restored(log_of(task), SILENT)
    for each in (task, again):
        feed(each, ("a", "gone", 9000), ("a", 3, 500))
        steps = [
            each.process(runs_of([Record(k.encode(), _value(1, at), NOW_MS)], each.position))
            for k, at in readings
        ]
        found.append([[r.key for r in published(step, Destination.OUTPUT)] for step in steps])
    assert found[0] == found[1] == [[b"b"], [b"b", b"a"], [b"b"], [b"b"]]
    assert records_of(task.cut())[-1] == records_of(again.cut())[-1]


@pytest.mark.parametrize(
    ("reading", "reason"),
    [
        (("a", "x", 60_000), Reason.NOT_NUMERIC),
        (("a", 1e300, 60_000), Reason.STATE_OVERFLOW),
        (("a", 2, 0), Reason.LATE),
        (("d", 2, 60_000), Reason.TOO_MANY_KEYS),
    ],
    ids=lambda value: value.name if isinstance(value, Reason) else "",
)
def test_nothing_from_the_record_on_that_stops_the_service_is_in_a_cut(
    reading: tuple[str, object, int], reason: Reason
) -> None:
    yaml = """
smoothing: {half_life: 1s, late_cutoff: 5s, late: dlq, stale_after: 10s, outputs: [ewma, std]}
"""
    before = [("a", 1, 9000), ("b", 2, 9100), ("c", 3, 9500)]
    after = [("a", 7, 61_000), ("b", 8, 90_000), ("a", 9, 90_001)]
    stopped, plain = (task_of(yaml, on_error="fail", max_keys=3) for _ in range(2))
    records = [Record(k.encode(), _value(x, at), NOW_MS + at) for k, x, at in before]
    more = [Record(k.encode(), _value(x, at), NOW_MS + at) for k, x, at in [reading, *after]]
    step = stopped.process(runs_of(records + more))
    plain.process(runs_of(records))

    assert step.failure is not None
    assert (step.failure.offset, step.failure.reason, stopped.position) == (3, reason, 3)
    assert log_of(stopped).state == log_of(plain).state
    assert state(stopped) == state(plain)


def test_a_state_that_does_not_last_can_be_read_too() -> None:
    """As by a tool, which only looks."""
    task = task_of()
    feed(task, ("a", 2, 0))
    log = log_of(task)
    assert state(restored(log, durable=False)) == state(task)
    assert restored(log, "smoothing: {alpha: 0.1}", durable=False).keys_count == 1


def test_the_gaps_that_compaction_leaves_are_no_trouble() -> None:
    log = some_log()
    task = task_of()
    feed(task, ("a", 2, 0), ("a", 2, 0))
    log.commit(task.cut())
    log.compact()
    assert [offset for offset, _, _ in log.records] == [4, 5, 6]
    assert restored(log).position == 2


def test_a_slot_keeps_its_row_where_keys_are_looked_up_by_another_seed() -> None:
    task = task_of(EVENT_TIME)
    feed(task, *((f"k{i % 700}", i, i) for i in range(3000)))
    again = PartitionTask("a", 0, 0, config_of(EVENT_TIME), (77, 78))
    again.restore(log_of(task).runs)
    again.restored()
    assert state(again) == state(task)
