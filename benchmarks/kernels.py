"""Nanoseconds per record of each stage between fetched bytes and bytes to send.

    python benchmarks/kernels.py

In process and without a broker, each stage by itself over the same batches of 10,000 records, best
of several passes, so that a regression has an address. The stages are listed in the order in which
the service runs them; "whole step" is all of them through the engine.
"""

import argparse
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from crc32c import crc32c
from harness.job import ALPHA, MAX_BATCH_BYTES
from harness.load import Load
from harness.table import print_table
from harness.wire import batches

from stream_ewma.engine.config import TaskConfig
from stream_ewma.engine.keys import KeyTable
from stream_ewma.engine.task import PartitionTask
from stream_ewma.payloads import ReadingOptions, decoder, encoder
from stream_ewma.payloads.columns import SmoothedColumns
from stream_ewma.records import layout
from stream_ewma.records.fetched import split_runs
from stream_ewma.records.reader import decode
from stream_ewma.records.writer import Compression, encode
from stream_ewma.service.memory import keep_freed_memory
from stream_ewma.smoothing.parameters import Factor, KeyRules
from stream_ewma.smoothing.plan import Plan
from stream_ewma.smoothing.recursion import fold
from stream_ewma.smoothing.rows import Action
from stream_ewma.smoothing.state import KeyedState

SEED = (1, 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=500_000)
    parser.add_argument("--batch-records", type=int, default=10_000)
    parser.add_argument("--keys", type=int, nargs="+", default=[1_000, 100_000])
    parser.add_argument("--rounds", type=int, default=10, help="the best of so many passes counts")
    arguments = parser.parse_args()
    keep_freed_memory()  # as the service does: else a step is largely pages cleared by the system
    columns = [
        stages(Load(arguments.records, keys, arguments.batch_records), arguments.rounds)
        for keys in arguments.keys
    ]
    print_table(
        ("stage, ns per record", *(f"{keys:,} keys" for keys in arguments.keys)),
        ((name, *(f"{column[name]:.1f}" for column in columns)) for name in columns[0]),
    )


def stages(load: Load, rounds: int) -> dict[str, float]:
    """The time of each stage in ns per record, in the order of the data's way."""
    nanoseconds: dict[str, float] = {}

    def stage(name: str, function: Callable[..., Any], *columns: Sequence[Any]) -> list[Any]:
        """Time `function` over the rows of `columns`, batch by batch; answers its results."""
        results = list(map(function, *columns))  # compiles, and inserts the keys
        best = float("inf")
        for _ in range(rounds):
            started = time.perf_counter_ns()
            # Results are dropped at once, as the service does: their memory is used again.
            deque(map(function, *columns), maxlen=0)
            best = min(best, time.perf_counter_ns() - started)
        nanoseconds[name] = best / load.records
        return results

    data = list(batches(load))
    runs = stage("find batches", split_runs, data)
    stage("CRC-32C, in", lambda each: crc32c(memoryview(each)[layout.CHECKED_AT :]), data)
    decoded = stage("CRC-32C and records to columns", lambda each: decode(each, 0), runs)
    records = [each.records for each in decoded]
    readings = stage("JSON to readings", decoder("json", ReadingOptions()).decode, records)

    table = KeyTable(SEED, load.keys)
    insert = np.ones(load.batch_records, np.uint8)
    found = stage("keys to slots", lambda each: table.find(each.keys, insert[: len(each)]), records)
    observe = np.full(load.batch_records, Action.OBSERVE, np.uint8)

    def folding(factor: Factor) -> Callable[..., Any]:
        plan = Plan.of(factor)
        state = KeyedState(plan.places)
        state.grow(len(table))
        return lambda slots, reading: fold(
            state,
            plan,
            slots.slots,
            reading.timestamp,
            reading.numbers[0].x,
            observe[: len(reading)],
        )

    stage("fold, half life in event time", folding(Factor(half_life=30_000)), found, readings)
    folded = stage("fold, alpha on the count clock", folding(Factor(alpha=ALPHA)), found, readings)
    smoothed = [
        SmoothedColumns(
            reading.keys,
            reading.timestamp,
            reading.numbers,
            np.zeros(len(reading), np.uint8),
            {"ewma": result.mean, "count": result.count},
        )
        for reading, result in zip(readings, folded, strict=True)
    ]
    values = stage("smoothed to JSON", encoder("json").encode, smoothed)
    encoded = stage("columns to records", write, records, values)
    stage("header and CRC-32C, out", send, encoded)
    stage("whole step", stepping(), runs)
    return nanoseconds


def write(record: Any, value: Any) -> Any:
    return encode(
        record.timestamp,
        record.keys,
        value,
        record.headers,
        record.headers_count,
        max_batch_bytes=MAX_BATCH_BYTES,
        compression=Compression.NONE,
    )


def send(encoded: list[Any]) -> list[bytes]:
    return [batch.to_bytes(1, 0, 0, False) for batch in encoded]


def stepping() -> Callable[..., Any]:
    rules = KeyRules(Factor(alpha=ALPHA), ())
    config = TaskConfig(decoder("json", ReadingOptions()), encoder("json"), rules)
    task = PartitionTask("input", 0, 0, config, SEED)

    def step(runs: Any) -> Any:
        task.position = 0  # every pass reads the same offsets again
        return task.process(runs)

    return step


if __name__ == "__main__":
    main()
