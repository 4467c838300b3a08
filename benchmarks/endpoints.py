"""Whether asking a member hard slows its stream: commits with and without clients.

    python benchmarks/endpoints.py
    python benchmarks/endpoints.py --rounds 5 --seconds 20

A steady stream is smoothed. In every third round nobody asks; in the next one 8 clients ask another
member, which has nothing else to do, for pages of keys one after another, 8 for the metrics, and 8
watch samples; in the one after it they ask the member at work. So what differs between the last two
is what the asking does to the member, and not what clients take of a machine that all share. How
long transactions and records took is read from the member's own histograms, as differences over
each round; a quantile is interpolated within its bucket.
"""

import argparse
import asyncio
import multiprocessing
import os
import socket
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Final

import numpy as np
from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector
from commits import write
from harness.broker import broker
from harness.job import PARTITIONS, Job
from harness.load import create_topic
from harness.process import Contestant
from harness.service import DEAD_LETTER_TOPIC, EXACTLY_ONCE, service_command
from harness.table import print_table
from prometheus_client.parser import text_string_to_metric_families

HERE: Final = Path(__file__).parent
CLIENTS: Final = 8
SETTLING_S: Final = 5.0
COMMITS: Final = "stream_ewma_commit_duration_seconds"
RECORDS: Final = "stream_ewma_end_to_end_latency_seconds"
LAG: Final = "stream_ewma_event_loop_lag_seconds"

Buckets = Mapping[float, float]


def main() -> None:
    arguments = parse_arguments()
    with broker(arguments.bootstrap) as bootstrap, tempfile.TemporaryDirectory() as folder:
        create_topic(bootstrap, DEAD_LETTER_TOPIC, may_exist=True, partitions=200)
        rows = measure(bootstrap, Path(folder), arguments.rounds, arguments.seconds)
    head = ("round", "who is asked", "requests a second", "commits")
    head += ("commit p50", "p99", "record to output p50", "p99", "event loop late p99")
    print_table(head, rows)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="of each kind")
    parser.add_argument("--seconds", type=float, default=15.0, help="of a round")
    parser.add_argument("--bootstrap", help="use this broker instead of starting one")
    return parser.parse_args()


def measure(bootstrap: str, folder: Path, rounds: int, seconds: float) -> list[tuple[str, ...]]:
    ended = threading.Event()
    rows = []
    with ExitStack() as stack:
        job, service, port = stack.enter_context(member(bootstrap, folder, "work"))
        _, other, idle_port = stack.enter_context(member(bootstrap, folder, "idle"))
        writer = threading.Thread(target=write, args=(job, PARTITIONS, ended))
        writer.start()
        try:
            time.sleep(SETTLING_S)
            for number in range(1, rounds + 1):
                for asked, at in (("nobody", None), ("another", idle_port), ("this one", port)):
                    before = histograms(port)
                    requests = quiet(seconds) if at is None else loaded(at, seconds)
                    service.check()
                    rows.append(row(number, asked, requests / seconds, before, histograms(port)))
                    print(*rows[-1], sep=" | ", file=sys.stderr)
        finally:
            ended.set()
            writer.join()
        service.stop()
        other.stop()
    return rows


@contextmanager
def member(bootstrap: str, folder: Path, name: str) -> Iterator[tuple[Job, Contestant, int]]:
    """Start a member of an application of its own; its port too."""
    run = f"{name}-{time.time_ns()}"
    job = Job(bootstrap, f"input-{run}", f"output-{run}", f"endpoints-{run}")
    for topic in (job.input_topic, job.output_topic):
        create_topic(bootstrap, topic, partitions=PARTITIONS)
    port = free_port()
    command = [*service_command(job, folder, EXACTLY_ONCE), "--http.port", str(port)]
    with Contestant(command, cwd=HERE) as service:
        service.wait_until_ready()
        yield job, service, port


def row(
    number: int,
    asked: str,
    rate: float,
    before: Mapping[str, Buckets],
    after: Mapping[str, Buckets],
) -> tuple[str, ...]:
    spent = {
        name: {bound: after[name][bound] - before[name].get(bound, 0.0) for bound in after[name]}
        for name in (COMMITS, RECORDS, LAG)
    }
    figures = [(COMMITS, 0.5), (COMMITS, 0.99), (RECORDS, 0.5), (RECORDS, 0.99), (LAG, 0.99)]
    return (
        str(number),
        asked,
        f"{rate:,.0f}" if rate else "",
        f"{spent[COMMITS][float('inf')]:,.0f}",
        *(f"{quantile(spent[name], share) * 1000:.1f} ms" for name, share in figures),
    )


def quiet(seconds: float) -> int:
    time.sleep(seconds)
    return 0


def loaded(port: int, seconds: float) -> int:
    """Ask for so long, from a process of its own; how many answers there were."""
    context = multiprocessing.get_context("spawn")
    counted = context.Value("q", 0)
    asking = context.Process(target=ask, args=(port, seconds, counted))
    asking.start()
    asking.join()
    return int(counted.value)


def ask(port: int, seconds: float, counted: Synchronized) -> None:
    os.nice(19)  # as if on a machine of their own: they get what the others leave
    counted.value = sum(asyncio.run(ask_all(port, seconds)).values())


async def ask_all(port: int, seconds: float) -> Counter[str]:
    answers: Counter[str] = Counter()
    base = f"http://127.0.0.1:{port}"
    watched = "&".join(f"key=sensor-{n}" for n in range(100))
    async with ClientSession(
        connector=TCPConnector(limit=0), timeout=ClientTimeout(total=None)
    ) as session:

        async def repeat(path: str) -> None:
            while True:
                async with session.get(base + path) as answer:
                    await answer.read()
                    answers[path] += 1

        async def watch() -> None:
            async with session.get(f"{base}/v1/events?{watched}&others=100") as answer:
                async for _ in answer.content.iter_any():
                    pass

        work = [
            asyncio.create_task(each)
            for _ in range(CLIENTS)
            for each in (repeat("/v1/keys?limit=1000"), repeat("/metrics"), watch())
        ]
        await asyncio.sleep(seconds)
        for task in work:
            task.cancel()
        for task in work:
            with suppress(asyncio.CancelledError, ClientError):
                await task
    return answers


def histograms(port: int) -> dict[str, dict[float, float]]:
    """The cumulative counts of each histogram, by upper bound, all labels together."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    found: defaultdict[str, dict[float, float]] = defaultdict(dict)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name.endswith("_bucket"):
                bound = float(sample.labels["le"])
                own = found[family.name]
                own[bound] = own.get(bound, 0.0) + sample.value
    return found


def quantile(buckets: Buckets, share: float) -> float:
    """Seconds that `share` of the values do not exceed; those beyond the last bound count as it."""
    bounds = np.array(sorted(buckets))
    counts = np.array([buckets[bound] for bound in bounds])
    bounds[-1] = bounds[-2]
    return float(np.interp(share * counts[-1], [0.0, *counts], [0.0, *bounds]))


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


if __name__ == "__main__":
    main()
