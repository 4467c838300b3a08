"""2^-x against 60 decimal digits."""

import math
import os
import random
import re
import subprocess
import sys
from decimal import Context, Decimal, localcontext
from itertools import pairwise

import pytest

from stream_ewma.smoothing.power import exp2_negative


def error_in_ulps(x: float) -> float:
    """Distance of `exp2_negative(x)` from 2^-x in units of the last place of the exact value."""
    with localcontext(Context(prec=60, Emin=-9999)):
        exact = (-Decimal(x) * Decimal(2).ln()).exp()
        # A power of two has two last places; the smaller one, below it, is the stricter measure.
        exponent = math.floor(-x) if x != math.floor(x) else -int(x) - 1
        ulp = Decimal(2) ** max(exponent - 52, -1074)
        return float(abs(Decimal(exp2_negative(x)) - exact) / ulp)


@pytest.mark.parametrize(
    ("low", "high", "bound"),
    [(0.0, 1.0, 0.52), (1.0, 64.0, 0.52), (64.0, 1022.0, 0.52), (1022.0, 1080.0, 1.0)],
)
def test_error_is_bounded_over_each_range(low: float, high: float, bound: float) -> None:
    source = random.Random(7)
    worst = max(error_in_ulps(source.uniform(low, high)) for _ in range(2000))
    assert worst <= bound


def test_error_is_bounded_where_x_is_tiny() -> None:
    source = random.Random(8)
    worst = max(error_in_ulps(10.0 ** source.uniform(-320.0, 0.0)) for _ in range(1000))
    assert worst <= 0.52


def test_error_is_bounded_next_to_whole_numbers_and_table_steps() -> None:
    for step in range(0, 1076 * 128, 61):
        x = step / 128
        half = x + 1 / 256  # where the rounding to a table step turns over
        for near in (x, math.nextafter(x, 2000.0), half, math.nextafter(half, 0.0)):
            assert error_in_ulps(near) <= 1.0


def test_whole_numbers_give_exact_powers() -> None:
    assert [exp2_negative(float(n)) for n in range(1100)] == [
        math.ldexp(1.0, -n) for n in range(1100)
    ]


def test_the_smallest_double_is_reached_and_beyond_it_all_is_zero() -> None:
    assert exp2_negative(math.nextafter(1075.0, 0.0)) == 5e-324
    assert exp2_negative(1075.0) == 0.0
    assert exp2_negative(1e300) == 0.0
    assert exp2_negative(math.inf) == 0.0


def test_never_rises() -> None:
    values = [exp2_negative(n / 509) for n in range(20_000)]
    assert all(later <= earlier for earlier, later in pairwise(values))


COMPILE_AND_PRINT = """
from tests.support.folding import digest
from stream_ewma.smoothing.general import fold_rows
from stream_ewma.smoothing.recursion import _fold_means
digest()
print(*_fold_means.inspect_asm().values(), *fold_rows.inspect_asm().values())
"""


def test_compiled_fold_holds_no_fused_multiply_add(tmp_path, pytestconfig) -> None:
    """Fusing would round once where the interpreter, and another CPU, round twice."""
    child = subprocess.run(
        [sys.executable, "-c", COMPILE_AND_PRINT],
        cwd=pytestconfig.rootpath,
        env={
            **os.environ,
            "NUMBA_DISABLE_JIT": "0",
            "STREAM_EWMA_KERNEL_CACHE_DIR": str(tmp_path),  # code from a cache has no listing
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    assert re.search(r"\bv?f?mul", child.stdout)
    assert re.findall(r"\bv?fn?m(?:add|sub|la|ls)\w*", child.stdout) == []
