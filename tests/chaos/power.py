"""2^-x and 1 - 2^-x for the judge, from the description alone and without numpy.

The service documents which operations make up its powers (`stream_ewma/smoothing/power.py`): a
judge of bits has to make the same ones. `test_oracle.py` compares both with exact arithmetic.
"""

from decimal import Context, Decimal, localcontext
from math import factorial

STEPS = 128
LARGEST = 1075.0
GUARD_BITS = 64
SERIES_BELOW = 1 / 32
LINEAR_BELOW = 2.0**-60

with localcontext(Context(prec=60)):
    _LN_2 = Decimal(2).ln()
    _SERIES = [float((-_LN_2) ** power / factorial(power)) for power in range(1, 9)]
    _LN_2_HEAD = int(_LN_2 * 2**26) / 2**26
    _LN_2_TAIL = float(_LN_2 - Decimal(_LN_2_HEAD))
    _STEP = Decimal(2) ** (Decimal(-1) / STEPS)
    _EXACT = [_STEP**j for j in range(STEPS)]
    _GUARDED = [
        (
            float(each / 2**GUARD_BITS),
            float(each / 2**GUARD_BITS - Decimal(float(each / 2**GUARD_BITS))),
        )
        for each in _EXACT
    ]
    _COMPLEMENT = [(float(1 - each), float(1 - each - Decimal(float(1 - each)))) for each in _EXACT]


def exp2_negative(x: float) -> float:
    """2^-x for x >= 0."""
    if not x < LARGEST:
        return 0.0
    k = int(x * STEPS + 0.5)
    change = _change(x - k / STEPS)
    head, tail = _GUARDED[k % STEPS]
    return (head + (tail + head * change)) * 2.0 ** (GUARD_BITS - k // STEPS)


def one_minus_exp2_negative(x: float) -> float:
    """1 - 2^-x for x >= 0, without cancellation."""
    if x < LINEAR_BELOW:
        return -_SERIES[0] * x
    if x < SERIES_BELOW:
        wide = x * (2.0**27 + 1.0)
        upper = wide - (wide - x)
        rest = _SERIES[7]
        for coefficient in _SERIES[6:0:-1]:
            rest = coefficient + x * rest
        return upper * _LN_2_HEAD + ((x - upper) * _LN_2_HEAD + x * _LN_2_TAIL - x * x * rest)
    k = int(x * STEPS + 0.5) if x < 1.0 else STEPS
    if k == STEPS:
        return 1.0 - exp2_negative(x)
    head, tail = _COMPLEMENT[k]
    decay = _GUARDED[k][0] * 2.0**GUARD_BITS
    return head + (tail - decay * _change(x - k / STEPS))


def _change(r: float) -> float:
    """2^-r - 1 for |r| <= 1/256."""
    c1, c2, c3, c4, c5 = _SERIES[:5]
    squared = r * r
    return r * c1 + squared * ((c2 + r * c3) + squared * (c4 + r * c5))
