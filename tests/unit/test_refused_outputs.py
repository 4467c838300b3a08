"""Outputs that the broker is known to refuse are dead letters, left out, or the end."""

import json
from dataclasses import replace
from typing import Any

import pytest

from stream_ewma.engine.dead_letters import Reason
from stream_ewma.engine.outgoing import Destination, Origin
from stream_ewma.engine.step import Step
from stream_ewma.engine.task import PartitionTask
from tests.support.batches import NOW_MS, Record, published, runs_of
from tests.support.changelog import Log
from tests.support.streams import config_of

SILENT = "smoothing: {alpha: 0.5, stale_after: 10s}"
READINGS = [("a", 0), ("b", 0), ("c", 100), ("c", 20_000), ("c", 20_001)]
"""At 20 s, the third record, `a` and `b` are found silent."""
RECORDS = [
    Record(key.encode(), json.dumps({"x": 1, "timestamp": NOW_MS + at}).encode(), NOW_MS + at)
    for key, at in READINGS
]


def task_of(refused: set[Origin] | None = None, **config: Any) -> PartitionTask:
    own = replace(config_of(SILENT), **config)
    task = PartitionTask("a", 0, 0, own, (1, 2))
    task.refused_outputs = frozenset(refused or ())
    return task


def origins(step: Step) -> list[Origin]:
    return [
        origin
        for batch in step.batches
        if batch.destination is Destination.OUTPUT
        for origin in batch.origins()
    ]


def letters(step: Step) -> list[tuple[bytes | None, bytes | None, int, str]]:
    return [
        (
            letter.key,
            letter.value,
            int(letter.headers["__streams.errors.offset"]),
            letter.headers["__stream_ewma.errors.reason"].decode(),
        )
        for letter in published(step, Destination.DEAD_LETTERS)
    ]


ALL: list[Origin] = [(0, None), (1, None), (2, None), (3, None), (3, b"a"), (3, b"b"), (4, None)]


def test_every_output_has_an_origin_of_its_own() -> None:
    assert origins(task_of().process(runs_of(RECORDS))) == ALL


def test_halves_of_a_batch_keep_their_origins() -> None:
    step = task_of().process(runs_of(RECORDS))
    (report,) = (batch for batch in step.batches if batch.is_report)
    assert [half.origins() for half in report.halves()] == [[(3, b"a")], [(3, b"b")]]


@pytest.mark.parametrize("refused", [{each} for each in ALL] + [set(ALL), {(99, None), (3, b"x")}])
@pytest.mark.parametrize("on_error", ["dlq", "skip"])
def test_a_refused_output_is_not_made_again(refused: set[Origin], on_error: str) -> None:
    plain, task = task_of(), task_of(refused, on_error=on_error)
    undisturbed, step = (each.process(runs_of(RECORDS)) for each in (plain, task))
    known = [origin for origin in ALL if origin in refused]

    assert origins(step) == [origin for origin in ALL if origin not in refused]
    assert step.emitted == len(ALL) - len(known)
    assert step.rejected == ({Reason.OUTPUT_REFUSED: len(known)} if known else {})
    assert (step.next_offset, step.consumed, step.failure) == (5, 5, None)
    kept = [
        record
        for record, origin in zip(published(undisturbed, Destination.OUTPUT), ALL, strict=True)
        if origin not in refused
    ]
    assert published(step, Destination.OUTPUT) == kept
    expected = sorted(
        (
            (
                RECORDS[offset].key if key is None else key,
                RECORDS[offset].value if key is None else None,
                offset,
                "output_refused",
            )
            for offset, key in known
        ),
        key=repr,
    )
    assert sorted(letters(step), key=repr) == (expected if on_error == "dlq" else [])
    logs = [Log(), Log()]
    for log, each in zip(logs, (plain, task), strict=True):
        log.commit(each.cut())
    assert logs[0].state == logs[1].state


def test_dead_letters_of_all_kinds_are_in_the_order_of_their_offsets() -> None:
    bad = Record(b"z", b"no", NOW_MS)
    task = task_of({(0, None), (3, None)})
    step = task.process(runs_of([RECORDS[0], bad, RECORDS[1], RECORDS[2], bad]))
    assert [offset for _, _, offset, _ in letters(step)] == [0, 1, 3, 4]


@pytest.mark.parametrize("refused", ALL)
def test_a_refused_output_may_stop_the_service_before_its_record(refused: Origin) -> None:
    task = task_of({refused}, on_error="fail")
    step = task.process(runs_of(RECORDS))
    offset = refused[0]

    assert step.failure is not None
    assert (step.failure.offset, step.failure.reason) == (offset, Reason.OUTPUT_REFUSED)
    assert (step.next_offset, step.consumed, task.position) == (offset, offset, offset)
    assert origins(step) == [origin for origin in ALL if origin[0] < offset]
    plain = task_of()
    plain.process(runs_of(RECORDS[:offset]))
    logs = [Log(), Log()]
    for log, each in zip(logs, (plain, task), strict=True):
        log.commit(each.cut())
    assert logs[0].state == logs[1].state


def test_another_failure_before_it_comes_first() -> None:
    bad = Record(b"z", b"no", NOW_MS)
    task = task_of({(2, None)}, on_error="fail")
    step = task.process(runs_of([RECORDS[0], bad, RECORDS[1]]))
    assert step.failure is not None
    assert (step.failure.offset, step.failure.reason) == (1, Reason.DECODE)


def test_what_is_refused_elsewhere_stops_nothing() -> None:
    step = task_of({(99, None)}, on_error="fail").process(runs_of(RECORDS))
    assert (step.failure, step.emitted) == (None, len(ALL))
