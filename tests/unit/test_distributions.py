"""Histograms: one value at a time, or the ages of many at once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_ewma.service.distributions import SECONDS, Distribution


def test_a_value_belongs_to_the_first_bound_that_is_not_below_it() -> None:
    distribution = Distribution((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 2.0, 2.5):
        distribution.observe(value)

    assert distribution.cumulative == [2, 4, 5]
    assert distribution.total == 7.5


@given(
    st.lists(st.integers(-1, 30_000), max_size=50),
    st.sampled_from([0, 1, 500, 12_345, 30_000]),
)
def test_many_ages_count_as_each_of_them_would(times: list[int], now_ms: int) -> None:
    at_once, one_by_one = Distribution(), Distribution()
    for each in times:
        if each >= 0:
            one_by_one.observe(max(now_ms - each, 0) / 1000)

    at_once.observe_since(now_ms, np.sort(np.array(times, np.int64)))

    assert at_once.cumulative == one_by_one.cumulative
    assert at_once.total == pytest.approx(one_by_one.total)


def test_the_bounds_ascend() -> None:
    assert list(SECONDS) == sorted(set(SECONDS))
