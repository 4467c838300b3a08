"""Nanoseconds per value of the library beside polars and pandas, and how long its import takes.

    python benchmarks/library.py

10,000,000 values of 100,000 keys in random order, alpha = 0.2, first value as seed; medians of
alternating runs in one process, results compared. Asked: at least as fast as polars' `over`, faster
than pandas' `groupby`, import within 0.5 s from cache, one reading within 2 us.
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
from harness.table import print_table

from stream_ewma import Ewma, smooth

ALPHA = 0.2
SEED = 20_260_101
IMPORT = "import time; t = time.perf_counter(); {}; print(time.perf_counter() - t)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--values", type=int, default=10_000_000)
    parser.add_argument("--keys", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    generator = np.random.default_rng(SEED)
    numbers = generator.integers(0, arguments.keys, arguments.values)
    x = generator.normal(20.0, 5.0, arguments.values)
    names = np.array([f"sensor-{number:06}" for number in range(arguments.keys)])
    kinds = {"integer keys": numbers, "string keys": names[numbers]}
    columns = [compare(contestants(keys, x), arguments.rounds) for keys in kinds.values()]
    print_table(
        ("ns per value: wall clock, CPU", *kinds),
        ((name, *(figures(column[name], len(x)) for column in columns)) for name in columns[0]),
    )
    print_table(
        ("seconds to import, from cache", "median"),
        ((f"`{each}`", f"{import_time(each, arguments.rounds):.2f}") for each in IMPORTS),
    )
    print_table(
        ("us per `Ewma.update`", "median"),
        ((name, f"{update_time(arguments.rounds, **given):.2f}") for name, given in UPDATES),
    )


IMPORTS = ("import numpy", "import numba", "from stream_ewma import ewma, smooth, Ewma")
UPDATES: tuple[tuple[str, dict[str, float]], ...] = (
    ("alpha=0.2", {"alpha": 0.2}),
    ("half_life=30, with times", {"half_life": 30.0}),
)


def contestants(keys: Any, x: Any) -> dict[str, Callable[[], Any]]:
    of_pandas = pd.DataFrame({"key": keys, "x": x})
    of_polars = pl.DataFrame({"key": keys, "x": x})
    mean = pl.col("x").ewm_mean(alpha=ALPHA, adjust=False)
    return {
        "smooth, columns of numpy": lambda: smooth(x, keys, alpha=ALPHA)["ewma"],
        "smooth, columns of polars": lambda: smooth(of_polars["x"], of_polars["key"], alpha=ALPHA)[
            "ewma"
        ],
        "smooth, columns of pandas": lambda: smooth(of_pandas["x"], of_pandas["key"], alpha=ALPHA)[
            "ewma"
        ],
        "polars `ewm_mean().over(key)`": lambda: of_polars.select(mean.over("key"))["x"],
        "pandas `groupby(key).ewm().mean()`": lambda: (
            of_pandas.groupby("key")["x"]
            .ewm(alpha=ALPHA, adjust=False)
            .mean()
            .reset_index(level=0, drop=True)
            .sort_index()
        ),
    }


def compare(runs: dict[str, Callable[[], Any]], rounds: int) -> dict[str, tuple[float, float]]:
    """Median wall-clock and CPU seconds of each; the first round is not counted."""
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    expected = None
    for round_number in range(rounds + 1):
        for name, run in runs.items():
            wall, cpu = time.perf_counter(), time.process_time()
            result = run()
            took = time.perf_counter() - wall, time.process_time() - cpu
            if round_number == 0:
                expected = np.asarray(result) if expected is None else expected
                np.testing.assert_allclose(np.asarray(result), expected, rtol=1e-12)
            else:
                seconds[name].append(took)
    return {
        name: (statistics.median(w for w, _ in each), statistics.median(c for _, c in each))
        for name, each in seconds.items()
    }


def figures(seconds: tuple[float, float], values: int) -> str:
    return ", ".join(f"{each / values * 1e9:.0f}" for each in seconds)


def import_time(statement: str, rounds: int) -> float:
    """Median seconds; the first import, which may write caches, is not counted."""
    command = [sys.executable, "-c", IMPORT.format(statement)]
    times = [float(subprocess.check_output(command)) for _ in range(rounds + 1)]
    return statistics.median(times[1:])


def update_time(rounds: int, **given: float) -> float:
    """Median microseconds of one update."""
    updates = 200_000
    times = []
    for _ in range(rounds + 1):
        series = Ewma(**given)
        timed = "half_life" in given
        start = time.perf_counter()
        if timed:
            for i in range(updates):
                series.update(1.5, i)
        else:
            for _ in range(updates):
                series.update(1.5)
        times.append((time.perf_counter() - start) / updates * 1e6)
    return statistics.median(times[1:])


if __name__ == "__main__":
    main()
