"""Records count when what came of them has arrived, and once."""

import numpy as np

from stream_ewma.engine.dead_letters import Reason
from stream_ewma.engine.step import Step
from stream_ewma.kafka.partition import Partition
from stream_ewma.service.counters import Counters
from stream_ewma.service.ledger import Ledger

PARTITION = Partition("readings", 3)


def step(next_offset: int, consumed: int, timestamps: list[int] | None = None) -> Step:
    times = np.array(timestamps or [], np.int64)
    rejected = {Reason.DECODE: 1}
    return Step([], next_offset, consumed, consumed - 1, rejected, {}, {}, None, None, times)


def test_a_step_counts_when_it_is_committed_and_once() -> None:
    counters = Counters()
    ledger = Ledger(PARTITION, counters)
    ledger.add(step(10, 10), 500)
    ledger.add(step(30, 20), 900)

    ledger.committed(9)
    assert counters.total.consumed == 0
    ledger.committed(10)
    ledger.committed(10)
    assert (counters.total.consumed, counters.total.consumed_bytes) == (10, 500)
    ledger.committed(30)

    tally = counters.partitions[PARTITION]
    assert (tally.consumed, tally.emitted, tally.rejected) == (30, 28, {"decode": 2})


def test_what_was_given_up_does_not_count() -> None:
    counters = Counters()
    Ledger(PARTITION, counters).add(step(10, 10), 500)
    again = Ledger(PARTITION, counters)
    again.add(step(10, 10), 500)
    again.committed(10)

    assert counters.total.consumed == 10


def test_latency_ends_when_the_output_is_published() -> None:
    counters = Counters()
    ledger = Ledger(PARTITION, counters, lambda: 100.0)
    ledger.add(step(2, 2, [98_000, 99_700]), 0)
    ledger.published(1)
    assert not counters.latency["readings"].cumulative[-1]
    ledger.published(2)

    latency = counters.latency["readings"]
    assert latency.cumulative[-1] == 2
    assert latency.total == 2.3
