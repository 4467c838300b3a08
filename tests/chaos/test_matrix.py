"""Every row of the fault matrix has its tests, which exist, or a reason for having none.

And it names what keeps the service right there: `test_soak.py` shows that its absence is seen.
"""

import ast
from pathlib import Path

import pytest

from .campaign import ALL_FAULTS
from .guards import GUARDS
from .matrix import MATRIX

ROWS = 54
TESTS = Path(__file__).parents[1]
NAMES = {fault.name for fault in ALL_FAULTS}


def test_no_row_is_left_out() -> None:
    assert sorted(MATRIX) == list(range(1, ROWS + 1))


@pytest.mark.parametrize("number", sorted(MATRIX))
def test_a_row_is_covered_by_what_there_is_or_says_why_not(number: int) -> None:
    row = MATRIX[number]

    assert row.faults or row.tests or row.excluded
    assert NAMES.issuperset(row.faults)
    assert all(is_there(test) for test in row.tests)


@pytest.mark.parametrize("number", sorted(MATRIX))
def test_a_row_that_is_covered_names_its_guards(number: int) -> None:
    row = MATRIX[number]

    assert GUARDS.keys() >= set(row.guards)
    assert bool(row.guards) == bool(row.faults or row.tests)


@pytest.mark.parametrize("name", GUARDS)
def test_a_guard_is_missed_by_what_covers_its_rows(name: str) -> None:
    guard = GUARDS[name]
    rows = [row for row in MATRIX.values() if name in row.guards]

    assert {fault for row in rows for fault in row.faults} >= set(guard.faults)
    assert {test for row in rows for test in row.tests} >= set(guard.tests)
    assert guard.faults or guard.tests


@pytest.mark.parametrize("number", sorted(MATRIX))
def test_a_row_is_seen_to_go_wrong_without_each_of_its_guards(number: int) -> None:
    row = MATRIX[number]

    for name in row.guards:
        guard = GUARDS[name]
        assert {*row.faults, *row.tests} & {*guard.faults, *guard.tests}, name


def is_there(test: str) -> bool:
    file, _, name = test.partition("::")
    tree = ast.parse((TESTS / file).read_text())
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return name in {node.name for node in tree.body if isinstance(node, functions)}


def test_no_two_faults_have_one_name() -> None:
    assert len(NAMES) == len(ALL_FAULTS)
