import math
import statistics
from itertools import pairwise

import numpy as np
import pytest

from stream_ewma.demo.sources import Readings, Series
from stream_ewma.demo.tally import BIN_MS, Steps, Tally, Trace


def test_steps_have_the_standard_deviation_of_the_differences():
    values = [3.0, 5.5, 4.0, 9.0, 8.5]
    steps = Steps()
    for value in values:
        steps.add(value)
    differences = [b - a for a, b in pairwise(values)]
    assert steps.std() == pytest.approx(statistics.pstdev(differences), rel=1e-12)


def test_steps_are_zero_before_there_are_two_values():
    steps = Steps()
    assert steps.std() == 0.0
    steps.add(4.0)
    assert steps.std() == 0.0


def test_trace_keeps_lowest_highest_and_last_of_each_bin():
    trace = Trace()
    for time_ms, value in [(0, 5.0), (10, 2.0), (20, 9.0), (30, 4.0), (2 * BIN_MS, 7.0)]:
        trace.add(time_ms, value)
    assert trace.window(2, 4) == [None, (2.0, 9.0, 4.0), None, (7.0, 7.0, 7.0)]


def test_trace_forgets_what_its_ring_has_overtaken():
    trace = Trace()
    trace.add(0, 1.0)
    trace.add(1024 * BIN_MS, 2.0)
    assert trace.window(0, 1) == [None]
    assert trace.window(1024, 1) == [(2.0, 2.0, 2.0)]


def test_tally_counts_what_went_in_and_what_came_out_by_key():
    tally = Tally([Series("a", "%"), Series("b", "°C")])
    tally.feed(
        Readings(np.array([0, 1, 0]), np.array([100, 100, 200]), np.array([1.0, -20.0, 3.0]))
    )
    tally.receive(b"a", 100, 1.0, 1.0, 1)
    tally.receive(b"a", 200, 3.0, 2.0, 2)
    first, second = tally.series
    assert (tally.readings, tally.smoothed, tally.backlog, tally.newest_ms) == (3, 2, 1, 200)
    assert (first.readings, first.smoothed, first.raw, first.ewma, first.count) == (2, 2, 3, 2, 2)
    assert second.peak == 20.0
    assert math.isnan(second.ewma)


def test_a_tally_of_many_series_keeps_traces_of_the_first_only():
    tally = Tally([Series(f"s-{i}", "") for i in range(1_000)])
    assert tally.series[0].raw_trace is not None
    assert tally.series[999].raw_trace is None
    tally.feed(Readings(np.array([999]), np.array([5]), np.array([1.5])))
    tally.receive(b"s-999", 5, 1.5, 1.5, 1)
    assert tally.series[999].ewma == 1.5
