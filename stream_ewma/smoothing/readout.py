"""Reading results off a row, at any time from its last reading on."""

from math import isfinite, nan, sqrt
from typing import Final

from stream_ewma.columns import Float64, Int64
from stream_ewma.jit import inner_kernel
from stream_ewma.smoothing.absorbing import NOTE_LATE, NOTE_NOT_READY, predictive_deviation
from stream_ewma.smoothing.layout import COUNT, Places
from stream_ewma.smoothing.moments import Moments, absorbed, load_moments
from stream_ewma.smoothing.outputs import Code
from stream_ewma.smoothing.parameters import Clock
from stream_ewma.smoothing.plan import PREV, WARM_UP_FLAG, Program, Row, Terms
from stream_ewma.smoothing.power import exp2_negative
from stream_ewma.smoothing.weights import elapsed_time, share_of_interval

_COUNT_CLOCK: Final = int(Clock.COUNT)
_EWMA: Final = int(Code.EWMA)
_COUNT: Final = int(Code.COUNT)
_VARIANCE: Final = int(Code.VARIANCE)
_STD: Final = int(Code.STD)
_N_EFF: Final = int(Code.N_EFF)
_WEIGHT_SUM: Final = int(Code.WEIGHT_SUM)
_ZSCORE: Final = int(Code.ZSCORE)
_SLOPE: Final = int(Code.SLOPE)
_LEVEL: Final = int(Code.LEVEL)
_FORECAST: Final = int(Code.FORECAST)
_CENTRE: Final = int(Code.CENTRE)
_LCL: Final = int(Code.LCL)
_UCL: Final = int(Code.UCL)
_OUT_OF_CONTROL: Final = int(Code.OUT_OF_CONTROL)
_LAG: Final = int(Code.LAG)
_DIFFERENCE: Final = int(Code.DIFFERENCE)
_READY: Final = int(Code.READY)
_LATE: Final = int(Code.LATE)

_FEWEST_FOR_SLOPE: Final = 3.0
"""Effective readings below which a slope is noise; it is 0 then."""


@inner_kernel
def time_since(words: Int64, places: Places, time: int) -> float:
    """How long ago the row's last reading was at `time`; 0 where time is not kept or earlier."""
    if places.reference < 0 or time <= words[places.reference]:
        return 0.0
    return elapsed_time(time, int(words[places.reference]))


@inner_kernel
def moments_at(
    numbers: Float64, at: int, places: Places, terms: Terms, half_life: float, elapsed: float
) -> Moments:
    """The moments of the factor at `at`, `elapsed` after the last reading.

    Constant, but for the lag, and for a reading that stands until the next one: the longer it
    does, the more of them all it is.
    """
    moments = load_moments(numbers, at, places)
    if terms.weighting == PREV and elapsed > 0.0:
        weight = float(numbers[at + places.weight])
        _, a, r = share_of_interval(weight, elapsed / half_life, terms.adjusts_event)
        last = float(numbers[places.last])
        return absorbed(moments, last, a, r, elapsed, elapsed, again=True)
    return Moments(
        moments.mean,
        moments.spread,
        moments.variance,
        moments.seeded,
        moments.lag + elapsed,
        moments.of_time,
        moments.with_time,
        moments.share,
    )


@inner_kernel
def effective_count(spread: float) -> float:
    """Kish's effective number of readings, 1/(1 - Q)."""
    return 1.0 / (1.0 - spread)


@inner_kernel
def is_ready(numbers: Float64, words: Int64, places: Places, terms: Terms) -> bool:
    """Whether the key has warmed up, in all its factors."""
    if words[COUNT] < terms.min_periods:
        return False
    if terms.min_n_eff > 0.0:
        for k in range(terms.factors):
            at = places.first_factor + k * places.stride
            if effective_count(float(numbers[at + places.spread])) < terms.min_n_eff:
                return False
    return True


@inner_kernel
def zscore(
    numbers: Float64, words: Int64, at: int, places: Places, terms: Terms, x: float
) -> float:
    """Distance of a reading that is not yet absorbed, in predictive standard deviations."""
    if words[COUNT] == 0:
        return nan
    deviation = predictive_deviation(numbers, at, places, terms.has_target)
    return (x - float(numbers[at + places.mean])) / deviation if deviation > 0.0 else nan


@inner_kernel
def _variance(moments: Moments, count: int, biased: bool) -> float:
    if biased:
        return moments.variance
    return moments.variance / moments.spread if count >= 2 and moments.spread > 0.0 else nan


@inner_kernel
def _trend(
    numbers: Float64,
    at: int,
    places: Places,
    moments: Moments,
    code: int,
    horizon: float,
    elapsed: float,
) -> float:
    """Slope, level or forecast: by Holt from his level on, by the fit from the mean on."""
    if places.holt >= 0:
        start, slope = float(numbers[at + places.holt]), float(numbers[at + places.holt + 1])
        ahead = elapsed
    else:
        sure = moments.of_time > 0.0 and effective_count(moments.spread) >= _FEWEST_FOR_SLOPE
        start, slope = moments.mean, (moments.with_time / moments.of_time if sure else 0.0)
        ahead = moments.lag
    if code == _SLOPE:
        return slope
    return start + slope * (ahead + (horizon if code == _FORECAST else 0.0))


@inner_kernel
def _chart(
    numbers: Float64, words: Int64, places: Places, terms: Terms, moments: Moments, code: int
) -> float:
    """The control chart: centre, limits, or 1.0 where the mean is outside of them.

    The variance of a mean of independent readings is sigma^2 E with E = sum(w^2)/W^2, whatever
    the weights are.
    """
    centre, sigma = terms.centre, terms.sigma
    if places.baseline >= 0:
        if words[places.baseline] < terms.baseline:
            return nan
        centre = float(numbers[places.baseline + 1])
        sigma = sqrt(float(numbers[places.baseline + 2]) / (terms.baseline - 1))
    own = moments.seeded if terms.has_target else 1.0 - moments.spread
    half_width = terms.width * sigma * sqrt(own)
    if code == _UCL:
        return centre + half_width
    if code == _LCL:
        return centre - half_width
    if code == _OUT_OF_CONTROL:
        return 1.0 if abs(moments.mean - centre) > half_width else 0.0
    return centre


@inner_kernel
def _of_factor(state: Row, program: Program, used: int, column: int, elapsed: float) -> float:
    """What is read off one factor, `elapsed` after its last reading."""
    numbers, words = state.numbers, state.words
    places, terms, reads = program.places, program.terms, program.reads
    code, k = int(reads.code[column]), int(reads.factor[column])
    at = places.first_factor + k * places.stride
    half_life = program.tables.half_life
    row = used * terms.factors
    moments = moments_at(numbers, at, places, terms, float(half_life[row + k]), elapsed)
    if code == _N_EFF:
        return effective_count(moments.spread)
    if code in (_VARIANCE, _STD):
        variance = _variance(moments, int(words[COUNT]), terms.biased)
        return sqrt(variance) if code == _STD else variance
    if code in (_SLOPE, _LEVEL, _FORECAST):
        horizon = float(reads.horizon[column])
        return _trend(numbers, at, places, moments, code, horizon, elapsed)
    if code in (_CENTRE, _UCL, _LCL, _OUT_OF_CONTROL):
        return _chart(numbers, words, places, terms, moments, code)
    value = moments.lag if code == _LAG else moments.mean
    if code == _DIFFERENCE:
        k = int(reads.minus[column])
        other = places.first_factor + k * places.stride
        value -= moments_at(numbers, other, places, terms, float(half_life[row + k]), elapsed).mean
    return value


@inner_kernel
def _weight_sum(state: Row, program: Program, used: int, k: int, elapsed: float) -> float:
    """W of factor `k`, `elapsed` after its last reading."""
    places, terms = program.places, program.terms
    at = places.first_factor + k * places.stride
    weight = float(state.numbers[at + places.weight])
    if elapsed == 0.0:
        return weight
    half_lives = elapsed / float(program.tables.half_life[used * terms.factors + k])
    if terms.weighting == PREV:
        weight, _, _ = share_of_interval(weight, half_lives, terms.adjusts_event)
        return weight
    return weight * exp2_negative(half_lives)


@inner_kernel
def read(state: Row, program: Program, used: int, column: int, time: int, notes: int) -> float:
    """One output of a row at `time`; NaN where it is not defined (yet). Not for z-scores.

    Args:
        state: the row.
        program: the plan.
        used: the key's set of factors.
        column: which of the outputs.
        time: looked at where time is kept; a time before the last reading counts as that.
        notes: bits of `NOTE_...` for this row.
    """
    words, places = state.words, program.places
    terms, tables = program.terms, program.tables
    code = int(program.reads.code[column])
    if code == _COUNT:
        return float(words[COUNT])
    if code == _READY:
        return 0.0 if notes & NOTE_NOT_READY else 1.0
    if code == _LATE:
        return 1.0 if notes & NOTE_LATE else 0.0
    on_count = tables.clock[used] == _COUNT_CLOCK
    elapsed = 0.0 if on_count else time_since(words, places, time)
    value = nan
    if code == _WEIGHT_SUM:
        value = _weight_sum(state, program, used, int(program.reads.factor[column]), elapsed)
    elif code == _N_EFF or not notes & NOTE_NOT_READY or terms.warm_up == WARM_UP_FLAG:
        value = _of_factor(state, program, used, column, elapsed)
    if not on_count:
        value *= float(program.reads.scale[column])
    return value if isfinite(value) else nan
