"""A changelog partition read for its own sake: keys as text, quantities, what is in force."""

import json
from collections.abc import Sequence

import numpy as np
import pytest

from stream_ewma.engine.changelog import ChangelogError
from stream_ewma.engine.outgoing import Destination
from stream_ewma.engine.quantities import quantities
from stream_ewma.engine.stored import (
    EachOnce,
    Head,
    LiveKeys,
    Rows,
    StoredPartition,
    StoredReader,
    key_bytes,
    key_text,
)
from stream_ewma.engine.task import PartitionTask
from stream_ewma.records.fetched import split_runs
from tests.support.batches import NOW_MS, Published, Record, published, read, runs_of
from tests.support.changelog import Log, batch_at
from tests.support.streams import config_of

SEED = (1, 2)
PLAIN = "smoothing: {alpha: 0.5}"


def reading(key: bytes, at: int, **fields: object) -> Record:
    return Record(key, json.dumps({"timestamp": NOW_MS + at, **fields}).encode(), NOW_MS + at)


def smoothed(yaml: str, records: Sequence[Record]) -> tuple[Log, list[Published]]:
    """The changelog of a partition that has read `records`, and what it published."""
    task = PartitionTask("a", 0, 0, config_of(yaml), SEED, topic_id="id", partitions=4)
    step = task.process(runs_of(records))
    log = Log()
    log.commit(task.cut())
    return log, published(step, Destination.OUTPUT)


def stored(log: Log, only: Sequence[bytes] | None = None) -> StoredPartition | None:
    reader = StoredReader(SEED, only)
    reader.read(log.runs)
    return reader.finish()


def present(log: Log) -> StoredPartition:
    found = stored(log)
    assert found is not None
    return found


def rows_of(partition: StoredPartition) -> dict[bytes, list[int]]:
    return {
        key: words.tolist()
        for rows in partition.rows()
        for key, words in zip(rows.keys, rows.words, strict=True)
    }


def read_off(log: Log) -> list[dict[str, object]]:
    """The quantities of each key."""
    partition = present(log)
    (rows,) = partition.rows()
    columns = quantities(partition.head.configuration, rows.keys, rows.words)
    return [
        {name: column.to_list()[place] for name, column in columns.items()}
        for place in range(len(rows.keys))
    ]


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (b"pump-7", "pump-7"),
        ("Zürich 🌡".encode(), "Zürich 🌡"),
        (b"", ""),
        (b"\xff\x00a", "\\xff\x00a"),
        (b"a\\b", "a\\\\b"),
        (b"\\x41", "\\\\x41"),
        (b"\\\xfe\\", "\\\\\\xfe\\\\"),
    ],
)
def test_every_key_has_a_text_that_leads_back_to_it(key: bytes, text: str) -> None:
    assert key_text(key) == text
    assert key_bytes(text) == key


def test_a_typed_key_may_have_single_backslashes_and_foreign_bytes() -> None:
    assert key_bytes("a\\b\\") == b"a\\b\\"
    assert key_bytes("\\xFf\\xg") == b"\xff\\xg"
    assert key_bytes(b"\xe9t\xe9".decode("utf-8", "surrogateescape")) == b"\xe9t\xe9"


def test_the_quantities_are_those_that_were_published() -> None:
    yaml = """
input: {topics: [a], values: {x: x, y: y}}
smoothing:
  factors: {fast: {half_life: 2s}, slow: {half_life: 1m}}
  outputs: [ewma, variance, n_eff, weight_sum, lag, trend, count]
"""
    records = [reading(b"k", 700 * i, x=i * i % 7, y=-i) for i in range(8)]
    log, outputs = smoothed(yaml, [*records, reading(b"once", 0, x=1, y=2)])

    many, once = read_off(log)

    last = json.loads(outputs[7].value or b"")
    known = {name: value for name, value in last.items() if name not in {"key", "timestamp", "x"}}
    del known["y"]
    assert len(known) == 2 * (2 * 7 + 1)
    for name, value in known.items():
        assert many[name] == pytest.approx(value, rel=1e-12), name
    assert many["x_event_time"] == NOW_MS + 4900
    alone = json.loads(outputs[8].value or b"")
    assert (once["x_variance_fast"], alone["x_variance_fast"]) == (None, None)
    assert (once["x_slope_slow"], once["y_ewma_slow"], once["y_count"]) == (0.0, 2.0, 1)


def test_what_modes_keep_of_a_key_has_names() -> None:
    yaml = """
smoothing:
  half_life: 2s
  outputs: [ewma, limits, count]
  limits: {baseline: 3}
  outliers: {deviations: 2}
  reset_daily: "00:01"
  stale_after: 10s
output: {emit: {interval: 1s}}
"""
    (found,) = read_off(smoothed(yaml, [reading(b"k", i, x=[1, 3][i % 2]) for i in range(6)])[0])

    assert found["baseline_count"] == 3
    assert found["baseline_mean"] == pytest.approx(5 / 3)
    assert found["baseline_std"] == pytest.approx(np.std([1, 3, 1], ddof=1))
    assert (found["emitted"], found["stale"], found["emitted_time"]) == (True, False, NOW_MS)
    assert isinstance(found["clipped_in_a_row"], int)
    assert isinstance(found["session"], int)


def test_readings_held_back_are_listed_with_their_times() -> None:
    yaml = """
smoothing: {half_life: 2s, weighting: interval_linear, reorder: 3, outputs: [ewma, variance]}
output: {emit: {on_change: 0.5}}
"""
    records = [reading(b"k", at, x=x) for at, x in ((0, 1), (10, 2), (30, 4), (20, 3), (40, 5))]
    log, outputs = smoothed(yaml, [*records, reading(b"new", 7, x=9)])
    first, second = read_off(log)

    assert first["held_times"] == [NOW_MS + 20, NOW_MS + 30, NOW_MS + 40]
    assert first["held_readings"] == [3.0, 4.0, 5.0]
    assert (first["count"], first["last_reading"]) == (2, 2.0)
    assert isinstance(first["last_share"], float)
    *_, last = [json.loads(output.value or b"") for output in outputs if output.key == b"k"]
    assert first["emitted_ewma"] == last["ewma"]
    assert (second["count"], second["ewma"], second["held_readings"]) == (0, None, [9.0])
    assert (second["event_time"], second["last_reading"]) == (None, None)


def test_holts_level_and_slope_and_the_lag_of_a_count_clock() -> None:
    yaml = """
smoothing:
  {span: 5, adjust: true, outputs: [trend, lag, std, zscore], trend: {method: holt, beta: 0.3},
  seed: {value: 10, weight: 2}}
"""
    log, outputs = smoothed(yaml, [reading(b"k", i, x=10 + 2 * i) for i in range(5)])
    (found,) = read_off(log)

    last = json.loads(outputs[-1].value or b"")
    for name in ("level", "slope", "lag"):
        assert found[name] == pytest.approx(last[name], rel=1e-12), name
    assert isinstance(found["squared_weights"], float)


def test_each_key_counts_time_as_its_rule_says() -> None:
    yaml = """
smoothing:
  {half_life: 2s, outputs: [slope, lag], rules: [{keys: "n-*", alpha: 0.2}]}
"""
    records = [reading(key, 1000 * i, x=i) for i in range(5) for key in (b"n-1", b"t-1")]
    log, outputs = smoothed(yaml, records)

    by_reading, by_time = read_off(log)

    for found, output in zip((by_reading, by_time), outputs[-2:], strict=True):
        last = json.loads(output.value or b"")
        assert found["slope"] == pytest.approx(last["slope"], rel=1e-9)
        assert found["lag"] == pytest.approx(last["lag"], rel=1e-9)


def test_rows_written_anew_are_the_same_records() -> None:
    log, _ = smoothed(PLAIN, [reading(b"%d" % i, i, x=i) for i in range(20)])
    partition = present(log)

    batches = [
        *(batch for rows in partition.rows() for batch in rows.batches(200)),
        *partition.head.batches(200),
    ]

    records = [r for batch in batches for r in read(bytes(batch.to_bytes(-1, -1, -1, False)))]
    assert {record.key: record.value for record in records} == log.state
    assert len(batches) > 2


def test_only_the_rows_asked_for_are_kept() -> None:
    log, _ = smoothed(PLAIN, [reading(b"%d" % i, i, x=i) for i in range(20)])
    whole = rows_of(present(log))

    some = stored(log, [b"7", b"unknown"])
    none = stored(log, [])

    assert some is not None
    assert none is not None
    assert rows_of(some) == {b"7": whole[b"7"]}
    assert (len(some), len(none)) == (1, 0)
    assert none.head == present(log).head


def test_a_partition_without_records_keeps_nothing() -> None:
    assert stored(Log()) is None


def emptied(log: Log) -> Log:
    """The log after a reset, not compacted yet."""
    live = LiveKeys(SEED)
    live.read(log.runs)
    for batches in live.tombstones(1 << 20):
        log.append([(r.key, r.value) for each in batches for r in read(_bytes(each))])
    return log


def _bytes(batch: object) -> bytes:
    return bytes(batch.to_bytes(-1, -1, -1, False))  # type: ignore[attr-defined]


def test_a_log_that_was_emptied_is_as_new() -> None:
    log, _ = smoothed(PLAIN, [reading(b"%d" % i, i, x=i) for i in range(20)])

    emptied(log)

    assert log.state == {}
    assert stored(log) is None
    task = PartitionTask("a", 0, 0, config_of("smoothing: {half_life: 5s}"), SEED)
    assert task.restore(log.runs) > 0
    assert task.restored().marker is None
    assert task.keys_count == 0
    task.process(runs_of([reading(b"3", 0, x=1)]))
    log.commit(task.cut())
    assert list(rows_of(present(log))) == [b"3"]


def test_a_log_that_begins_elsewhere_has_a_position_and_no_rows() -> None:
    config = config_of("smoothing: {half_life: 5s, outputs: [variance]}")
    log, _ = smoothed(PLAIN, [reading(b"%d" % i, i, x=i) for i in range(20)])
    task = PartitionTask("a", 0, 0, config, SEED)
    configuration = task._configuration
    head = Head.of(configuration, "a", "id", 0, 4, 77)

    emptied(log).append([(r.key, r.value) for b in head.batches(1 << 20) for r in read(_bytes(b))])

    assert len(present(log)) == 0
    assert present(log).head.marker.next_offset == 77
    for restored in (task, PartitionTask("a", 0, 0, config_of(PLAIN), SEED)):
        restored.restore(log.runs)
        assert restored.restored().keys == 0
        assert restored.position == 77


def test_what_is_in_force_is_known_though_it_does_not_go_together() -> None:
    log, _ = smoothed(PLAIN, [reading(b"a", 0, x=1), reading(b"b", 0, x=1)])
    row = b"\x01" + bytes(24)
    log.append([(b"\x01b", None), (b"\x00position", None), (b"\x01c", row), (b"\x01c", row)])
    live = LiveKeys(SEED)

    assert live.read(log.runs) == 8
    assert (len(live), live.rows) == (3, 2)
    log.append([(b"\x01c", None)])
    assert live.read(log.runs) == 1
    assert (len(live), live.rows) == (2, 1)
    assert LiveKeys(SEED).rows == 0


def test_a_batch_that_cannot_be_read_is_told() -> None:
    data = bytearray(batch_at(5, b"\x01a", b"\x01"))
    data[-2] ^= 1

    with pytest.raises(ChangelogError, match=r"^the batch at offset 5: "):
        LiveKeys(SEED).read(split_runs(bytes(data)))
    with pytest.raises(ChangelogError, match=r"^the record at offset 6: its key"):
        LiveKeys(SEED).read(split_runs(batch_at(6, b"\x07newer", None)))


def test_a_key_that_comes_twice_is_found() -> None:
    once = EachOnce(SEED)

    assert once.first_again([b"a", b"b"]) is None
    assert once.first_again([]) is None
    assert once.first_again([b"c", b"d", b"c", b"d"]) == b"c"
    assert once.first_again([b"e", b"b", b"f"]) == b"b"


def test_a_head_moves_to_another_partition_with_its_meaning() -> None:
    head = present(smoothed(PLAIN, [reading(b"a", 0, x=1)])[0]).head

    moved = head.moved("b", None, 3, 8, 17)

    marker = moved.marker
    assert (marker.topic, marker.topic_id, marker.partition, marker.partitions) == ("b", None, 3, 8)
    assert (marker.next_offset, moved.text) == (17, head.text)
    assert marker.configuration == head.marker.configuration
    assert head.at(9).marker.next_offset == 9


def test_rows_are_taken_by_place() -> None:
    rows = Rows([b"a", b"b", b"c"], np.arange(6).reshape(3, 2))

    assert rows.take([2, 0]).keys == [b"c", b"a"]
    assert rows.take([2, 0]).words.tolist() == [[4, 5], [0, 1]]
    assert rows.take([]).words.shape == (0, 2)
