"""One reading into one row: weights, moments, trend; and its way there: resets, outliers, sorting.

With a and r the shares of what was there and of the reading (a + r = 1), x the reading, age its
age, dx = x - m and dt = L - age:

    Q  = a^2 Q + 2 a r         V   = a V + a r dx^2
    Vtt = a Vtt + a r dt^2     Vtx = a Vtx + a r dx dt
    m += r dx                  L  -= r dt                 E = a^2 E + r^2

West 1979 and Finch 2009 (V), Kish (Q), Chan, Golub & LeVeque 1983 (comoments); all terms of Q are
positive, so nothing cancels. Only W and L depend on the time that passes.
"""

from math import isfinite, sqrt
from typing import Final

from stream_ewma.columns import Float64, Int64
from stream_ewma.jit import inner_kernel
from stream_ewma.smoothing.layout import COUNT, Places
from stream_ewma.smoothing.parameters import Clock
from stream_ewma.smoothing.plan import EVENT, LINEAR, NEVER, PREV, Program, Row, Tables, Terms
from stream_ewma.smoothing.power import exp2_negative
from stream_ewma.smoothing.weights import (
    RESTART_WEIGHT,
    elapsed_time,
    linear_share,
    share_of_event,
    share_of_interval,
    share_on_count_clock,
)

NOTE_LATE: Final = 1
"""The reading was late and has been merged."""
NOTE_CLIPPED: Final = 2
"""The reading was moved closer before it was absorbed."""
NOTE_RESTARTED: Final = 4
"""The key was forgotten before the reading: a silence, a new session, or on request."""
NOTE_NOT_READY: Final = 8
"""The key is still warming up."""

_COUNT_CLOCK: Final = int(Clock.COUNT)
_FEWEST_FOR_SCALE: Final = 3
"""Readings before a deviation is believed: two have a variance, but say nothing of its size."""


@inner_kernel
def predictive_deviation(numbers: Float64, at: int, places: Places, has_target: bool) -> float:
    """Standard deviation of the next reading around the mean; 0 where it is not known.

    sqrt(V/Q (1 + E)), with E = sum(w^2)/W^2: the noise of a reading and that of the mean.
    """
    spread = numbers[at + places.spread]
    if spread <= 0.0:
        return 0.0
    own = numbers[at + places.seeded] if has_target else 1.0 - spread
    return sqrt(numbers[at + places.spread + 1] / spread * (1.0 + own))


@inner_kernel
def clip(
    numbers: Float64, words: Int64, places: Places, terms: Terms, x: float
) -> tuple[float, int]:
    """The reading as it is to be absorbed, and `NOTE_CLIPPED` if that is not as it came."""
    note = 0
    if x < terms.lowest:
        x, note = terms.lowest, NOTE_CLIPPED
    elif x > terms.highest:
        x, note = terms.highest, NOTE_CLIPPED
    if places.clipped < 0 or words[COUNT] < max(_FEWEST_FOR_SCALE, terms.min_periods):
        return x, note
    at = places.first_factor
    mean = numbers[at + places.mean]
    reach = terms.deviations * predictive_deviation(numbers, at, places, terms.has_target)
    if reach == 0.0 or abs(x - mean) <= reach:
        words[places.clipped] = 0
        return x, note
    side = 1 if x > mean else -1
    run = words[places.clipped] * side
    words[places.clipped] = side * (run + 1 if run > 0 else 1)
    if run >= terms.accept_after:
        return x, note
    return mean + side * reach, NOTE_CLIPPED


@inner_kernel
def _absorb_moments(
    numbers: Float64,
    at: int,
    places: Places,
    mean: float,
    x: float,
    a: float,
    r: float,
    advance: float,
    age: float,
) -> bool:
    """Update the row of one factor from mean `mean` on; answers whether all stays finite."""
    dx = x - mean
    ar = a * r
    sound = True
    if places.spread >= 0:
        spread = at + places.spread
        numbers[spread] = a * a * numbers[spread] + 2.0 * ar
        numbers[spread + 1] = a * numbers[spread + 1] + ar * dx * dx
        sound = isfinite(numbers[spread + 1])
    if places.seeded >= 0:
        numbers[at + places.seeded] = a * a * numbers[at + places.seeded] + r * r
    if places.line >= 0:
        line = at + places.line
        lag = numbers[line] + advance
        dt = lag - age
        numbers[line] = lag - r * dt
        numbers[line + 1] = a * numbers[line + 1] + ar * dt * dt
        numbers[line + 2] = a * numbers[line + 2] + ar * dx * dt
        sound = sound and isfinite(numbers[line + 1]) and isfinite(numbers[line + 2])
    mean = x if r == 1.0 else mean + r * dx
    numbers[at + places.mean] = mean
    return sound and isfinite(mean)


@inner_kernel
def _absorb_holt(
    numbers: Float64,
    at: int,
    places: Places,
    terms: Terms,
    count: int,
    x: float,
    alpha: float,
    elapsed: float,
) -> bool:
    """Holt's level and slope (Holt 1957, started as Prometheus starts it: b = x_1 - x_0).

    In event time `alpha` is Wright's 1/W and the slope's weight likewise 1/W_b, each with its own
    half life (Wright 1986); on the count clock `elapsed` is 1 and both weights are constant.
    """
    level, slope = numbers[at + places.holt], numbers[at + places.holt + 1]
    slopes = numbers[at + places.holt + 2]
    if count == 0:
        new, slope, slopes = x, 0.0, 0.0
    elif elapsed == 0.0:
        new = level + alpha * (x - level)
    elif slopes == 0.0:
        new, slope, slopes = x, (x - level) / elapsed, 1.0
    else:
        ahead = level + slope * elapsed
        new = ahead + alpha * (x - ahead)
        beta = terms.beta
        if not beta > 0.0:  # NaN: event time
            slopes = slopes * exp2_negative(elapsed / terms.beta_half_life) + 1.0
            beta = 1.0 / slopes
        slope += beta * ((new - level) / elapsed - slope)
    numbers[at + places.holt], numbers[at + places.holt + 1] = new, slope
    numbers[at + places.holt + 2] = slopes
    return isfinite(new) and isfinite(slope)


@inner_kernel
def _share(
    terms: Terms,
    tables: Tables,
    row: int,
    on_count: bool,
    count: int,
    weight: float,
    added: float,
    elapsed: float,
    late: bool,
) -> tuple[float, float, float]:
    """(W, a, r) of the reading for the factor in `row` of the tables."""
    if count == 0 and not terms.has_target:
        if on_count:
            return (added if terms.adjusts_count else float(tables.steady[row])), 0.0, 1.0
        if terms.weighting == EVENT:
            return added, 0.0, 1.0
        return (0.0 if terms.adjusts_event else 1.0), 0.0, 1.0
    if on_count:
        return share_on_count_clock(
            weight,
            count,
            float(tables.alpha[row]),
            float(tables.steady[row]),
            added,
            terms.adjusts_count,
            terms.seed_readings,
        )
    half_lives = elapsed / float(tables.half_life[row])
    if terms.weighting == EVENT:
        return share_of_event(weight, half_lives, added, late)
    return share_of_interval(weight, half_lives, terms.adjusts_event)


@inner_kernel
def absorb(  # noqa: C901, PLR0912  one pass over all that a row can hold
    state: Row, program: Program, used: int, x: float, time: int, added: float
) -> bool:
    """Absorb a reading in all factors of a row; answers whether the new state is finite.

    Args:
        state: the row, changed in place also where the answer is no.
        program: the plan.
        used: the key's set of factors.
        x: the reading.
        time: its event time; not before the row's for interval weightings.
        added: its own weight.
    """
    numbers, words = state.numbers, state.words
    places, terms, tables = program.places, program.terms, program.tables
    count = int(words[COUNT])
    on_count = tables.clock[used] == _COUNT_CLOCK
    reference = int(words[places.reference]) if places.reference >= 0 and count > 0 else time
    late = not on_count and time < reference
    elapsed = elapsed_time(max(time, reference), min(time, reference))
    advance = 0.0 if late else elapsed
    if on_count:
        advance = 1.0 if count > 0 else 0.0
    last = float(numbers[places.last]) if places.last >= 0 and count > 0 else x
    restarts = 0
    for k in range(terms.factors):
        row, at = used * terms.factors + k, places.first_factor + k * places.stride
        mean = float(numbers[at + places.mean])
        weight = float(numbers[at + places.weight] if places.weight >= 0 else tables.steady[row])
        if count == 0 and terms.has_target:
            mean, weight = terms.target, float(tables.seed_weight[row])
        weight, a, r = _share(terms, tables, row, on_count, count, weight, added, elapsed, late)
        if places.weight >= 0:
            numbers[at + places.weight] = weight
        if count > 0 and a == 0.0 and not on_count and terms.weighting == EVENT:
            restarts += 1
        taken = x
        if terms.weighting == PREV:
            taken = last
        elif terms.weighting == LINEAR and count > 0:
            taken = last + linear_share(elapsed / float(tables.half_life[row])) * (x - last)
        age = elapsed if late else 0.0
        if not _absorb_moments(numbers, at, places, mean, taken, a, r, advance, age):
            return False
        if places.holt >= 0:
            alpha, step = (float(tables.alpha[row]), 1.0) if on_count else (r, elapsed)
            if not _absorb_holt(numbers, at, places, terms, count, x, alpha, step):
                return False
    if places.reference >= 0 and (count == 0 or time > reference):
        words[places.reference] = time
    if places.last >= 0:
        numbers[places.last] = x
    if places.baseline >= 0 and words[places.baseline] < terms.baseline:
        _absorb_baseline(numbers, words, places, x)
    words[COUNT] = 1 if restarts == terms.factors else count + 1
    return True


@inner_kernel
def _absorb_baseline(numbers: Float64, words: Int64, places: Places, x: float) -> None:
    """Plain mean and sum of squares of the first readings (Welford 1962)."""
    at = places.baseline
    words[at] += 1
    dx = x - numbers[at + 1]
    numbers[at + 1] += dx / words[at]
    numbers[at + 2] += dx * (x - numbers[at + 1])


@inner_kernel
def age_weights(state: Row, program: Program, used: int) -> None:
    """A reading is missing: on the count clock everything grows older by one."""
    numbers, places = state.numbers, program.places
    terms, tables = program.terms, program.tables
    if state.words[COUNT] == 0 or tables.clock[used] != _COUNT_CLOCK:
        return
    for k in range(terms.factors):
        at = places.first_factor + k * places.stride
        weight = numbers[at + places.weight] * (1.0 - tables.alpha[used * terms.factors + k])
        numbers[at + places.weight] = 0.0 if weight < RESTART_WEIGHT else weight
        if places.line >= 0:
            numbers[at + places.line] += 1.0


@inner_kernel
def hold_back(words: Int64, numbers: Float64, places: Places, x: float, time: int) -> None:
    """Put a reading among those held back, behind those that are not later; there is room."""
    held = int(words[places.held])
    at = places.held + 1 + 2 * held
    while at > places.held + 1 and words[at - 2] > time:
        words[at], numbers[at + 1] = words[at - 2], numbers[at - 1]
        at -= 2
    words[at], numbers[at + 1] = time, x
    words[places.held] = held + 1


@inner_kernel
def is_due(words: Int64, places: Places, terms: Terms) -> bool:
    """Whether the earliest reading held back is not to be held any longer."""
    held = int(words[places.held])
    if held == 0:
        return False
    earliest = int(words[places.held + 1])
    latest = int(words[places.held + 2 * held - 1])
    if held >= terms.reorder:
        return True
    return terms.reorder_grace != NEVER and elapsed_time(latest, earliest) > terms.reorder_grace


@inner_kernel
def drop_earliest(words: Int64, places: Places) -> None:
    """Take the earliest reading held back out of the row."""
    held = int(words[places.held]) - 1
    for at in range(places.held + 1, places.held + 1 + 2 * held):
        words[at] = words[at + 2]
    words[places.held] = held
    words[places.held + 1 + 2 * held], words[places.held + 2 + 2 * held] = 0, 0
