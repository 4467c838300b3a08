"""The share of a new reading in the mean, on each clock and for each meaning of a weight.

All functions answer (W, a, r): the sum of weights after the reading, the share of what was there
before and the share of the reading; a + r = 1. `reference/ewma.md` of the project, sections 2 and
3, has the families and their sources.
"""

from typing import Final

from stream_ewma.jit import inner_kernel
from stream_ewma.smoothing.power import exp2_negative, one_minus_exp2_negative

RESTART_WEIGHT: Final = 2.0**-1000
"""All earlier readings together weighing less than this against a new one (a silence of 1000 half
lives) is the same as none: the factor starts anew, and no subnormal weight ever arises."""

_INT64_MAX: Final = (1 << 63) - 1
_LN_2: Final = 0.6931471805599453
_BERNOULLI_BELOW: Final = 0.5


@inner_kernel
def elapsed_time(later: int, earlier: int) -> float:
    """The difference, not negative: taken between integers, since doubles would lose digits."""
    if earlier < 0 and later > earlier + _INT64_MAX:
        return float(later) - float(earlier)  # above 2^63: the integers would wrap around
    return float(later - earlier)


@inner_kernel
def share_on_count_clock(
    weight: float,
    count: int,
    alpha: float,
    steady: float,
    added: float,
    adjusts: bool,
    seed_readings: int,
) -> tuple[float, float, float]:
    """Of a reading of weight `added`, everything before it being one reading older.

    Args:
        weight: W before; the steady 1/alpha where it is not kept.
        count: readings before, or a seed.
        alpha: weight of a new reading.
        steady: 1/alpha, what W is pinned to unless weights are adjusted.
        added: the reading's own weight.
        adjusts: bias-corrected weights.
        seed_readings: the plain mean up to so many readings.
    """
    if not adjusts and count < seed_readings:
        return steady, count / (count + 1.0), 1.0 / (count + 1.0)
    if not adjusts and weight == steady and added == 1.0:
        return steady, 1.0 - alpha, alpha
    weight *= 1.0 - alpha
    total = weight + added
    return (total if adjusts else steady), weight / total, added / total


@inner_kernel
def share_of_event(
    weight: float, half_lives: float, added: float, late: bool
) -> tuple[float, float, float]:
    """Of a reading that weighs 2^(-age); `half_lives` old if late, else W is aged by so many."""
    if late:
        added *= exp2_negative(half_lives)
    else:
        weight *= exp2_negative(half_lives)
        if weight < RESTART_WEIGHT * added:
            return added, 0.0, 1.0
    total = weight + added
    return total, weight / total, added / total


@inner_kernel
def share_of_interval(
    weight: float, half_lives: float, adjusts: bool
) -> tuple[float, float, float]:
    """Of the time since the last reading, `half_lives` long, which weighs 1 - 2^-half_lives."""
    gained = one_minus_exp2_negative(half_lives)
    kept = exp2_negative(half_lives)
    if not adjusts:
        return 1.0, kept, gained
    weight *= kept
    total = weight + gained
    if total == 0.0:  # two readings of the same time, and none before
        return 0.0, 1.0, 0.0
    return total, weight / total, gained / total


@inner_kernel
def linear_share(half_lives: float) -> float:
    """How much of the line's mean over the last interval is its newer end: from 1/2 to 1.

    1/(1 - e^-z) - 1/z with z = ln 2 half lives (Eckner 2012, "linear"); by its Bernoulli series
    where the difference would cancel.
    """
    z = _LN_2 * half_lives
    if z < _BERNOULLI_BELOW:
        z_2 = z * z
        series = 1 / 47_900_160 + z_2 * (-691 / 1_307_674_368_000 + z_2 / 74_724_249_600)
        series = 1 / 30_240 + z_2 * (-1 / 1_209_600 + z_2 * series)
        return 0.5 + z * (1 / 12 + z_2 * (-1 / 720 + z_2 * series))
    return 1.0 / one_minus_exp2_negative(half_lives) - 1.0 / z
