"""2^-x in plain IEEE operations: the same bits on every machine, compiled or interpreted.

The C library's `exp2` differs between libraries and versions, so a state could differ between two
members of a group. Here only additions, multiplications, one truncation and tables are used, each
exactly defined by IEEE 754, and the compiler may not fuse them.

Method: with k = round(128 x), n = k div 128, j = k mod 128 and r = x - k/128 (exact, |r| <= 1/256),

    2^-x = 2^-n * 2^(-j/128) * 2^-r,    2^-r - 1 = sum over i >= 1 of (-ln 2)^i / i! * r^i

where the series stops after the fifth power (what is left out is below 0.01 ulp), and 2^(-j/128)
is held as a sum of two doubles, so that only the last addition rounds noticeably.
"""

from decimal import Context, Decimal, localcontext
from math import factorial, ldexp
from typing import Final

import numpy as np

from stream_ewma.columns import Float64
from stream_ewma.jit import kernel

_STEPS: Final = 128
_STEP: Final = 1.0 / _STEPS
_STEP_BITS: Final = 7
_LARGEST: Final = 1075.0
"""From here on the nearest double to 2^-x is 0 (2^-1075 lies halfway and rounds to even)."""

_GUARD: Final = 64
"""The fractions are held divided by 2^64, which the powers make up for: so even the power that
belongs to a subnormal result is a normal number, and a subnormal result is rounded once."""


def _series() -> tuple[float, ...]:
    """(-ln 2)^i / i! for i = 1..5, correctly rounded."""
    with localcontext(Context(prec=60)):
        ln_2 = Decimal(2).ln()
        return tuple(float((-ln_2) ** i / factorial(i)) for i in range(1, 6))


def _fractions() -> tuple[Float64, Float64]:
    """2^(-j/128 - 64) for j = 0..127 as a sum of two doubles, leading part first."""
    leading, trailing = np.empty(_STEPS), np.empty(_STEPS)
    with localcontext(Context(prec=60)):
        for j in range(_STEPS):
            exact = Decimal(2) ** (Decimal(-j) / _STEPS - _GUARD)
            leading[j] = float(exact)
            trailing[j] = float(exact - Decimal(float(leading[j])))
    return leading, trailing


_C1, _C2, _C3, _C4, _C5 = _series()
_LEADING, _TRAILING = _fractions()
_POWERS: Final[Float64] = np.array([ldexp(1.0, _GUARD - n) for n in range(int(_LARGEST) + 1)])


@kernel
def exp2_negative(x: float) -> float:
    """2^-x, at most 1 ulp from exact, exact for whole x.

    Args:
        x: not negative; infinity gives 0.

    Returns:
        A double in [0, 1], subnormal numbers included.
    """
    if not x < _LARGEST:
        return 0.0
    k = int(x * _STEPS + 0.5)
    r = x - k * _STEP
    r_2 = r * r
    change = r * _C1 + r_2 * ((_C2 + r * _C3) + r_2 * (_C4 + r * _C5))
    j = k & (_STEPS - 1)
    leading = float(_LEADING[j])
    fraction = leading + (float(_TRAILING[j]) + leading * change)
    return fraction * float(_POWERS[k >> _STEP_BITS])
