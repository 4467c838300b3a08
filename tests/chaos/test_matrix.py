"""Every row of the fault matrix has its tests, which exist, or a reason for having none."""

import ast
from pathlib import Path

import pytest

from .campaign import ALL_FAULTS
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
    for test in row.tests:
        file, _, name = test.partition("::")
        tree = ast.parse((TESTS / file).read_text())
        functions = (ast.FunctionDef, ast.AsyncFunctionDef)
        assert name in {node.name for node in tree.body if isinstance(node, functions)}


def test_no_two_faults_have_one_name() -> None:
    assert len(NAMES) == len(ALL_FAULTS)
