"""A changelog that is followed for long: keys that are gone do not pile up."""

import json

import pytest

from stream_ewma.engine import restoring
from stream_ewma.engine.config import TaskConfig
from stream_ewma.engine.outgoing import Destination
from stream_ewma.engine.task import PartitionTask
from stream_ewma.payloads import decoder, encoder
from stream_ewma.payloads.columns import ReadingOptions
from stream_ewma.smoothing.parameters import Factor, KeyRules
from tests.support.batches import Record, published, read, runs_of

FEW = 16


def new_task() -> PartitionTask:
    config = TaskConfig(
        decoder=decoder("json", ReadingOptions()),
        encoder=encoder("json"),
        rules=KeyRules(Factor(alpha=0.5)),
        durable=True,
    )
    return PartitionTask("readings", 3, 0, config, (1, 2))


def readings(first: int, count: int) -> list[Record]:
    return [Record(b"key-%d" % number, b"%d" % number) for number in range(first, first + count)]


def changelog(rounds: int) -> list[list[Record]]:
    """Rounds of ten keys each; each round ends the ten before; then the marker."""
    owner = new_task()
    log: list[list[Record]] = []
    for number in range(rounds):
        owner.process(runs_of(readings(10 * number, 10), owner.position))
        batches = [batch.to_bytes(-1, -1, -1, False) for batch in owner.cut().batches]
        rows = [Record(each.key, each.value) for data in batches for each in read(bytes(data))]
        gone = [Record(b"\x01" + each.key, None) for each in readings(10 * number - 10, 10)]
        log.append((gone if number else []) + rows)
    return log


@pytest.mark.parametrize("few", [FEW, 10_000])
def test_keys_that_are_gone_are_given_up_while_the_log_is_read(monkeypatch, few):
    monkeypatch.setattr(restoring, "_FEW_KEYS", few)
    task = new_task()
    offset = 0
    most = 0
    for records in changelog(40):
        task.restore(runs_of(records, offset))
        offset += len(records)
        most = max(most, task.keys_count)

    restored = task.restored()

    assert most <= 2 * FEW if few == FEW else most == 400
    assert restored.keys == task.keys_count == 10
    step = task.process(runs_of(readings(380, 20), task.position))
    values = {each.key: json.loads(each.value) for each in published(step, Destination.OUTPUT)}
    counts = {key: value["count"] for key, value in values.items()}
    assert counts == {b"key-%d" % n: 1 if n < 390 else 2 for n in range(380, 400)}
    assert all(value["ewma"] == value["value"] for value in values.values())
