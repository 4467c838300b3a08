"""What more keys cost: time per event, and memory per key.

    python benchmarks/keys.py
    python benchmarks/keys.py --records 200000 --rounds 1 --keys 100 10000

First the engine alone, in a process of its own for each number of keys: every key is seen once,
then records with keys drawn at random are timed (CPU time of `PartitionTask.process`, all keys in
one partition). Memory per key is the growth of the process's resident memory while the keys are
seen for the first time, less the keys' own bytes; beside it what the state says of itself.

Then the real service on a real broker, its CPU time over a whole input, first sights included.

Asked: from 100 to 1,000,000 keys the cost of an event grows by no more than 2 times; a key takes at
most 120 bytes plus its own.
"""

import argparse
import gc
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import psutil
from harness.broker import broker
from harness.job import ALPHA, Job
from harness.load import Load, create_topic, delete_topic, fill
from harness.process import Measurement, measure
from harness.service import DEAD_LETTER_TOPIC, service_command
from harness.table import print_table
from harness.wire import batches

from stream_ewma.engine.config import TaskConfig
from stream_ewma.engine.task import PartitionTask
from stream_ewma.payloads import ReadingOptions, decoder, encoder
from stream_ewma.records.fetched import BatchRun, split_runs
from stream_ewma.smoothing.parameters import Factor, KeyRules

HERE: Final = Path(__file__).parent
KEY_BYTES: Final = len(b"sensor-000000")


def main() -> None:
    arguments = parse_arguments()
    if arguments.engine is not None:
        load = Load(arguments.records, arguments.engine, arguments.batch_records)
        print(json.dumps(run_engine(load, arguments.rounds)))
        return
    report_engine({keys: in_own_process(keys, arguments) for keys in arguments.keys})
    with broker(arguments.bootstrap) as bootstrap:
        create_topic(bootstrap, DEAD_LETTER_TOPIC, may_exist=True)
        report_service(
            {
                keys: run_service(
                    bootstrap,
                    Load(arguments.records, keys, arguments.batch_records),
                    arguments.rounds,
                )
                for keys in arguments.keys
            }
        )


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=2_000_000)
    parser.add_argument(
        "--keys", type=int, nargs="+", default=[100, 1_000, 10_000, 100_000, 1_000_000]
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch-records", type=int, default=10_000)
    parser.add_argument("--bootstrap", help="use this broker instead of starting one")
    parser.add_argument("--engine", type=int, help=argparse.SUPPRESS)  # one measurement's process
    return parser.parse_args()


def in_own_process(keys: int, arguments: argparse.Namespace) -> dict[str, float]:
    command = [sys.executable, __file__, "--engine", str(keys)]
    for name in ("records", "rounds", "batch_records"):
        command += [f"--{name.replace('_', '-')}", str(getattr(arguments, name))]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return json.loads(answer.stdout)


def run_engine(load: Load, rounds: int) -> dict[str, float]:
    """Nanoseconds per event and bytes per key of one partition's engine."""
    first_sights = runs_of(Load(load.keys, load.keys, load.batch_records, every_key_first=True))
    runs = runs_of(load)
    process(new_task(), runs[:1])  # loads the compiled kernels
    task = new_task()
    resident = psutil.Process()
    gc.collect()
    before = resident.memory_info().rss
    insert_s = process(task, first_sights)
    gc.collect()
    grown = resident.memory_info().rss - before
    return {
        "insert_ns": insert_s / load.keys * 1e9,
        "event_ns": min(process(task, runs) for _ in range(rounds)) / load.records * 1e9,
        "resident_bytes": grown / load.keys - KEY_BYTES,
        "state_bytes": task.state_bytes / load.keys - KEY_BYTES,
    }


def new_task() -> PartitionTask:
    rules = KeyRules(Factor(alpha=ALPHA), ())
    config = TaskConfig(decoder("json", ReadingOptions()), encoder("json"), rules)
    return PartitionTask("input", 0, 0, config, (1, 2))


def runs_of(load: Load) -> list[list[BatchRun]]:
    return [split_runs(batch) for batch in batches(load)]


def process(task: PartitionTask, runs: list[list[BatchRun]]) -> float:
    """CPU seconds of `task` for all of `runs`, whose offsets begin at 0 again at every call."""
    task.position = 0
    started = time.process_time()
    for each in runs:
        task.process(each)
    return time.process_time() - started


def run_service(bootstrap: str, load: Load, rounds: int) -> list[Measurement]:
    run = time.time_ns()
    input_topic = f"input-{run}"
    fill(bootstrap, input_topic, load)
    measurements = []
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(rounds):
            job = Job(bootstrap, input_topic, f"output-{run}-{turn}", f"group-{run}-{turn}")
            create_topic(bootstrap, job.output_topic)
            measurements.append(measure(service_command(job, Path(folder)), job, cwd=HERE))
            delete_topic(bootstrap, job.output_topic)
    delete_topic(bootstrap, input_topic)
    return measurements


def report_engine(results: dict[int, dict[str, float]]) -> None:
    least = results[min(results)]["event_ns"]
    print_table(
        (
            "keys, engine alone",
            "ns per event",
            "times the fewest keys",
            "ns per first sight",
            "resident bytes per key, without its own",
            "the state's own count",
        ),
        (
            (
                f"{keys:,}",
                f"{result['event_ns']:.0f}",
                f"{result['event_ns'] / least:.2f}",
                f"{result['insert_ns']:.0f}",
                # A few keys drown in what else the process does with memory.
                f"{result['resident_bytes']:.0f}" if keys >= 100_000 else "",
                f"{result['state_bytes']:.0f}" if keys >= 100_000 else "",
            )
            for keys, result in results.items()
        ),
    )


def report_service(results: dict[int, list[Measurement]]) -> None:
    cost_ns = {
        keys: statistics.median(run.cpu_s / run.records for run in runs) * 1e9
        for keys, runs in results.items()
    }
    least = cost_ns[min(cost_ns)]
    print_table(
        ("keys, whole service", "CPU ns per event", "times the fewest keys", "peak memory"),
        (
            (
                f"{keys:,}",
                f"{cost_ns[keys]:.0f}",
                f"{cost_ns[keys] / least:.2f}",
                f"{statistics.median(run.peak_bytes for run in runs) / 1e6:,.0f} MB",
            )
            for keys, runs in results.items()
        ),
    )


if __name__ == "__main__":
    main()
