"""Even and cheap, against every placement there is."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stream_ewma.kafka.placement import FORBIDDEN, NOBODY, place


@st.composite
def tables(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Costs of a few rows at a few members, and what these have already."""
    rows, members = draw(st.integers(0, 6)), draw(st.integers(1, 4))
    cost = st.sampled_from([0, 1, 2, 3, 10, FORBIDDEN])
    costs = draw(st.lists(st.lists(cost, min_size=members, max_size=members),
                          min_size=rows, max_size=rows))  # fmt: skip
    loads = draw(st.lists(st.integers(0, 3), min_size=members, max_size=members))
    return np.array(costs, np.int64).reshape(rows, members), np.array(loads, np.int64)


def score(costs, loads, places):
    """What is made least: first the unevenness, then the cost."""
    loads = loads.copy()
    cost = 0
    for row, member in enumerate(places):
        if member != NOBODY:
            loads[member] += 1
            cost += int(costs[row, member])
    return int((loads**2).sum()), cost


def every_placement(costs):
    choices = [
        [member for member, cost in enumerate(row) if cost < FORBIDDEN] or [NOBODY] for row in costs
    ]
    return itertools.product(*choices)


@given(tables())
def test_no_other_placement_is_more_even_or_as_even_and_cheaper(table):
    costs, loads = table

    places = place(costs, loads, np.zeros(len(costs), np.int64))

    assert tuple(places.tolist()) in set(every_placement(costs))
    least = min(score(costs, loads, other) for other in every_placement(costs))
    assert score(costs, loads, places) == least


@given(tables(), st.randoms())
def test_groups_are_a_matter_of_taste_and_the_arguments_stay_as_they_are(table, random):
    costs, loads = table
    groups = np.array([random.randrange(3) for _ in costs], np.int64)
    before = costs.copy(), loads.copy()

    one, other = (place(costs, loads, groups) for _ in range(2))

    assert one.tolist() == other.tolist()
    assert score(costs, loads, one) == score(costs, loads, place(costs, loads, groups * 0))
    assert (costs == before[0]).all()
    assert (loads == before[1]).all()


def test_rows_of_a_group_are_spread():
    groups = np.array([0, 1] * 2)

    places = place(np.zeros((4, 2), np.int64), np.zeros(2, np.int64), groups)

    assert [sorted(places[groups == group].tolist()) for group in (0, 1)] == [[0, 1], [0, 1]]
