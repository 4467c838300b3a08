"""Events per CPU-second of the service beside hand-written loops and the floor.

    python benchmarks/throughput.py
    python benchmarks/throughput.py --records 200000 --rounds 1 --keys 1000

Starts its own Apache Kafka, loads the input, then runs each contestant as a process, in turn,
several rounds. Ours runs three times: exactly once, which is the default and commits every 100 ms;
at least once; and with its state in memory alone, as the others have it. All are measured from
outside in one way (harness/process.py) with equal client settings (harness/job.py), from ready
until the last offset is committed. In the first round the outputs are read back and compared with
ours: key, value and timestamp of each record in each partition; the mirrors' are compared with the
input.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from harness.broker import broker
from harness.job import PARTITIONS, Job
from harness.load import Load, create_topic, delete_topic, fill
from harness.outputs import Fingerprints, fingerprints, first_difference, show
from harness.process import Contestant, Measurement, measure
from harness.service import (
    AT_LEAST_ONCE,
    DEAD_LETTER_TOPIC,
    EXACTLY_ONCE,
    IN_MEMORY,
    service_command,
)
from harness.table import print_table

HERE: Final = Path(__file__).parent
OURS: Final = "stream-ewma exactly once"
OURS_AT_LEAST_ONCE: Final = "stream-ewma at least once"
OURS_IN_MEMORY: Final = "stream-ewma in memory"
AIOKAFKA: Final = "plain aiokafka"
CONFLUENT: Final = "plain confluent-kafka"
MIRROR: Final = "mirror"
MIRROR_IN_PLACE: Final = "mirror through our connections"


def main() -> None:
    arguments = parse_arguments()
    with broker(arguments.bootstrap) as bootstrap, tempfile.TemporaryDirectory() as folder:
        contestants = commands(Path(folder))
        create_topic(bootstrap, DEAD_LETTER_TOPIC, may_exist=True)
        warm_up(bootstrap, contestants)
        for keys in arguments.keys:
            load = Load(arguments.records, keys, arguments.batch_records)
            results = race(bootstrap, load, contestants, arguments.rounds)
            report(load, results)
            report_ratios(results)
        if arguments.single_records:
            load = Load(arguments.single_records, arguments.keys[0], 1)
            two = {name: contestants[name] for name in (OURS, AIOKAFKA)}
            report(load, race(bootstrap, load, two, arguments.rounds))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=2_000_000)
    parser.add_argument("--keys", type=int, nargs="+", default=[1_000, 100_000])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--batch-records",
        type=int,
        default=10_000,
        help="records in an input batch (default: what librdkafka fills under load)",
    )
    parser.add_argument(
        "--single-records",
        type=int,
        default=200_000,
        help="records of the case with one record a batch; 0 leaves it out",
    )
    parser.add_argument("--bootstrap", help="use this broker instead of starting one")
    return parser.parse_args()


def commands(folder: Path) -> dict[str, Callable[[Job], list[str]]]:
    def rival(module: str) -> Callable[[Job], list[str]]:
        return lambda job: [sys.executable, "-m", f"rivals.{module}", *job.arguments()]

    return {
        OURS: lambda job: service_command(job, folder, EXACTLY_ONCE),
        OURS_AT_LEAST_ONCE: lambda job: service_command(job, folder, AT_LEAST_ONCE),
        OURS_IN_MEMORY: lambda job: service_command(job, folder, IN_MEMORY),
        AIOKAFKA: rival("plain_aiokafka"),
        CONFLUENT: rival("plain_confluent"),
        MIRROR: rival("mirror"),
        MIRROR_IN_PLACE: rival("mirror_in_place"),
    }


def warm_up(bootstrap: str, contestants: dict[str, Callable[[Job], list[str]]]) -> None:
    """Start every contestant once, unmeasured: files are in the page cache, kernels compiled."""
    run = time.time_ns()
    for topic in (f"warm-up-{run}", f"warm-up-output-{run}"):
        create_topic(bootstrap, topic)
    for number, command in enumerate(contestants.values()):
        job = Job(bootstrap, f"warm-up-{run}", f"warm-up-output-{run}", f"warm-up-{run}-{number}")
        with Contestant(command(job), cwd=HERE) as contestant:
            contestant.wait_until_ready()
            contestant.stop()


def race(
    bootstrap: str,
    load: Load,
    contestants: dict[str, Callable[[Job], list[str]]],
    rounds: int,
) -> dict[str, list[Measurement]]:
    """Run every contestant `rounds` times on one input; nobody always goes first."""
    run = time.time_ns()
    input_topic = f"input-{run}"
    fill(bootstrap, input_topic, load)
    results: dict[str, list[Measurement]] = {name: [] for name in contestants}
    outputs: dict[str, tuple[str, Fingerprints]] = {}
    names = list(contestants)
    for turn in range(rounds):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            label = f"{name.replace(' ', '-')}-{run}-{turn}"
            job = Job(bootstrap, input_topic, f"output-{label}", f"group-{label}")
            create_topic(bootstrap, job.output_topic)
            measurement = measure(contestants[name](job), job, cwd=HERE)
            results[name].append(measurement)
            print(
                f"round {turn + 1} {name}: {measurement.records_per_cpu_s:,.0f}/CPU-s",
                file=sys.stderr,
            )
            if turn == 0:
                outputs[name] = job.output_topic, fingerprints(bootstrap, job.output_topic)
            else:
                delete_topic(bootstrap, job.output_topic)
        if turn == 0:
            outputs["input"] = input_topic, fingerprints(bootstrap, input_topic)
            compare(bootstrap, outputs)
    for topic, _ in outputs.values():
        delete_topic(bootstrap, topic)
    return results


def compare(bootstrap: str, outputs: dict[str, tuple[str, Fingerprints]]) -> None:
    """Stop with the first record that differs, if any does."""
    for name, (topic, found) in outputs.items():
        if name == "input":
            continue
        is_mirror = name in (MIRROR, MIRROR_IN_PLACE)
        expected_topic, expected = outputs["input" if is_mirror else OURS]
        difference = first_difference(expected, found)
        if difference is not None:
            sys.exit(
                f"{name} differs:\n{show(bootstrap, expected_topic, *difference)}\n"
                f"{show(bootstrap, topic, *difference)}"
            )


def report(load: Load, results: dict[str, list[Measurement]]) -> None:
    rounds = len(results[OURS])
    print(
        f"\n{load.records:,} JSON records, {load.keys:,} keys, {PARTITIONS} partitions, "
        f"{load.batch_records:,} record(s) in an input batch; median of {rounds} (lowest-highest); "
        "outputs compared: equal.\n"
    )
    base = median(results[AIOKAFKA], "records_per_cpu_s")
    print_table(
        (
            "contestant",
            "events per CPU-second",
            "events per second",
            "peak memory",
            "times plain aiokafka",
            "ready after",
            "CPU until ready",
        ),
        (
            (
                name,
                spread([run.records_per_cpu_s for run in runs]),
                f"{median(runs, 'records_per_s'):,.0f}",
                f"{median(runs, 'peak_bytes') / 1e6:,.0f} MB",
                f"{median(runs, 'records_per_cpu_s') / base:.2f}",
                f"{median(runs, 'start_up_s'):.2f} s",
                f"{median(runs, 'start_up_cpu_s'):.2f} s",
            )
            for name, runs in results.items()
        ),
    )


def report_ratios(results: dict[str, list[Measurement]]) -> None:
    rate = {name: median(runs, "records_per_cpu_s") for name, runs in results.items()}
    ours, bare = rate[OURS], rate[OURS_IN_MEMORY]
    print_table(
        ("asked", "reached"),
        (
            ("at least 3.5 times plain aiokafka", f"{ours / rate[AIOKAFKA]:.2f}"),
            ("at least 3 times plain confluent-kafka", f"{ours / rate[CONFLUENT]:.2f}"),
            (
                "exactly once: at least 0.85 of at least once",
                f"{ours / rate[OURS_AT_LEAST_ONCE]:.2f}",
            ),
            ("state in memory: at most 2.5 times the mirror's cost", f"{rate[MIRROR] / bare:.2f}"),
            ("(the same, through our connections)", f"{rate[MIRROR_IN_PLACE] / bare:.2f}"),
        ),
    )


def spread(rates: list[float]) -> str:
    return f"{statistics.median(rates):,.0f} ({min(rates):,.0f}-{max(rates):,.0f})"


def median(runs: list[Measurement], attribute: str) -> float:
    return statistics.median(getattr(run, attribute) for run in runs)


if __name__ == "__main__":
    main()
