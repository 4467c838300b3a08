"""2^-x and 1 - 2^-x in plain IEEE operations: the same bits everywhere, compiled or interpreted.

The C library's `exp2` and `expm1` differ between libraries and versions, so a state could differ
between two members of a group. Here only additions, multiplications, one truncation and tables are
used, each exactly defined by IEEE 754, and the compiler may not fuse them.

Method: with k = round(128 x), n = k div 128, j = k mod 128 and r = x - k/128 (exact, |r| <= 1/256),

    2^-x = 2^-n * 2^(-j/128) * 2^-r,    2^-r - 1 = sum over i >= 1 of (-ln 2)^i / i! * r^i

where the series stops after the fifth power (what is left out is below 0.01 ulp), and 2^(-j/128)
is held as a sum of two doubles, so that only the last addition rounds noticeably. 1 - 2^-x is
put together from 1 - 2^(-j/128) in the same way; below 1/32, where that would cancel, it is the
series itself, whose first term is held in two parts whose products with x are exact.
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


_SERIES_BELOW: Final = 1 / 32
_LINEAR_BELOW: Final = 2.0**-60
_SPLITTER: Final = 2.0**27 + 1.0
"""Veltkamp's: parts a double into two of at most 26 bits."""


def _series() -> tuple[float, ...]:
    """(-ln 2)^i / i! for i = 1..8, correctly rounded."""
    with localcontext(Context(prec=60)):
        ln_2 = Decimal(2).ln()
        return tuple(float((-ln_2) ** i / factorial(i)) for i in range(1, 9))


def _ln_2_parts() -> tuple[float, float]:
    """Ln 2 as the double of its first 26 bits, and the double of what is left."""
    with localcontext(Context(prec=60)):
        ln_2 = Decimal(2).ln()
        first = int(ln_2 * 2**26) / 2**26
        return first, float(ln_2 - Decimal(first))


def _in_two_parts(numbers: list[Decimal]) -> tuple[Float64, Float64]:
    """Each as a sum of two doubles, leading part first."""
    leading = [float(exact) for exact in numbers]
    trailing = [float(exact - Decimal(part)) for exact, part in zip(numbers, leading, strict=True)]
    return np.array(leading), np.array(trailing)


def _tables() -> tuple[tuple[Float64, Float64], tuple[Float64, Float64]]:
    """2^(-j/128 - 64) and 1 - 2^(-j/128) for j = 0..127, each in two parts."""
    with localcontext(Context(prec=60)):
        step = Decimal(2) ** (Decimal(-1) / _STEPS)
        powers = [step**j for j in range(_STEPS)]  # whole powers are quick: this runs at import
        guarded = [power / 2**_GUARD for power in powers]
        return _in_two_parts(guarded), _in_two_parts([1 - power for power in powers])


_C1, _C2, _C3, _C4, _C5, _C6, _C7, _C8 = _series()
_LN_2_FIRST, _LN_2_REST = _ln_2_parts()
(_LEADING, _TRAILING), (_COMPLEMENT_LEADING, _COMPLEMENT_TRAILING) = _tables()
_UNGUARD: Final = 2.0**_GUARD
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


@kernel
def one_minus_exp2_negative(x: float) -> float:
    """1 - 2^-x, at most 1 ulp from exact, for small x too: the weight of a time of x half lives.

    Args:
        x: not negative; infinity gives 1.

    Returns:
        A double in [0, 1].
    """
    if x < _LINEAR_BELOW:  # subnormal products would lose what the parts are for
        return -_C1 * x
    if x < _SERIES_BELOW:
        wide = x * _SPLITTER
        upper = wide - (wide - x)
        lower = x - upper
        rest = _C2 + x * (_C3 + x * (_C4 + x * (_C5 + x * (_C6 + x * (_C7 + x * _C8)))))
        return upper * _LN_2_FIRST + (lower * _LN_2_FIRST + x * _LN_2_REST - x * x * rest)
    k = int(x * _STEPS + 0.5) if x < 1.0 else _STEPS
    if k == _STEPS:
        return 1.0 - exp2_negative(x)
    r = x - k * _STEP
    r_2 = r * r
    change = r * _C1 + r_2 * ((_C2 + r * _C3) + r_2 * (_C4 + r * _C5))
    decay = float(_LEADING[k]) * _UNGUARD
    return float(_COMPLEMENT_LEADING[k]) + (float(_COMPLEMENT_TRAILING[k]) - decay * change)
