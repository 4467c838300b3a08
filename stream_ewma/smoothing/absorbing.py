"""One reading into one row: weights, moments, trend; and its way there: outliers, sorting."""

from math import isfinite, sqrt
from typing import Final

from stream_ewma.columns import Float64, Int64
from stream_ewma.jit import inner_kernel
from stream_ewma.smoothing.layout import COUNT, Places
from stream_ewma.smoothing.moments import Moments, absorbed, load_moments, store_moments
from stream_ewma.smoothing.parameters import Clock
from stream_ewma.smoothing.plan import EVENT, NEVER, PREV, Program, Row, Tables, Terms
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
    spread = float(numbers[at + places.spread])
    if spread <= 0.0:
        return 0.0
    own = float(numbers[at + places.seeded]) if has_target else 1.0 - spread
    return sqrt(float(numbers[at + places.spread + 1]) / spread * (1.0 + own))


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
    mean = float(numbers[at + places.mean])
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
def _absorb_holt(
    numbers: Float64,
    at: int,
    places: Places,
    terms: Terms,
    begins: bool,
    x: float,
    alpha: float,
    elapsed: float,
) -> bool:
    """Holt's level and slope (Holt 1957, started as Prometheus starts it: b = x_1 - x_0).

    In event time `alpha` is Wright's 1/W and the slope's weight likewise 1/W_b, each with its own
    half life (Wright 1986); on the count clock `elapsed` is 1 and both weights are constant.
    """
    level, slope = float(numbers[at + places.holt]), float(numbers[at + places.holt + 1])
    slopes = float(numbers[at + places.holt + 2])
    if begins:
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
def _absorb_in_factors(
    state: Row, program: Program, used: int, x: float, time: int, added: float
) -> int:
    """Absorb a reading in all factors of a row; answers how many of them it makes start anew.

    -1: the new state is not finite. See `absorb` for the arguments.
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
    restarts = 0
    for k in range(terms.factors):
        row, at = used * terms.factors + k, places.first_factor + k * places.stride
        moments = load_moments(numbers, at, places)
        weight = _weight_before(numbers, at, places, terms, tables, row, on_count)
        if count == 0 and terms.has_target:
            moments = _seed(terms.target)
            weight = float(tables.seed_weight[row])
        weight, a, r = _share(terms, tables, row, on_count, count, weight, added, elapsed, late)
        if places.weight >= 0:
            numbers[at + places.weight] = weight
        if places.last >= 0 and count > 0:
            half_lives = elapsed / float(tables.half_life[row])
            last = float(numbers[places.last])
            moments = _absorb_interval(moments, terms, last, x, a, r, half_lives, elapsed)
        else:
            moments = absorbed(moments, x, a, r, advance, elapsed if late else 0.0, again=False)
        if not store_moments(numbers, at, places, moments):
            return -1
        restarted = count > 0 and a == 0.0 and not (on_count or late) and terms.weighting == EVENT
        restarts += 1 if restarted else 0
        if places.holt >= 0:
            alpha, step = (float(tables.alpha[row]), 1.0) if on_count else (r, elapsed)
            begins = count == 0 or restarted
            if not _absorb_holt(numbers, at, places, terms, begins, x, alpha, step):
                return -1
    if places.reference >= 0 and (count == 0 or time > reference):
        words[places.reference] = time
    return restarts


@inner_kernel
def _seed(target: float) -> Moments:
    """What is known before the first reading: a value without noise."""
    return Moments(target, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


@inner_kernel
def _weight_before(
    numbers: Float64,
    at: int,
    places: Places,
    terms: Terms,
    tables: Tables,
    row: int,
    on_count: bool,
) -> float:
    """W before a reading; on the count clock it is constant unless something changes it."""
    if on_count and not (terms.adjusts_count or terms.ages):
        return float(tables.steady[row])
    return float(numbers[at + places.weight])


@inner_kernel
def _absorb_interval(
    moments: Moments,
    terms: Terms,
    last: float,
    x: float,
    a: float,
    r: float,
    half_lives: float,
    elapsed: float,
) -> Moments:
    """The moments with the time since the last reading, for which it stands, or the line to `x`.

    Of the line's mean each end is a part: so much of it is a reading of its own time.
    """
    if terms.weighting == PREV:
        return absorbed(moments, last, a, r, elapsed, elapsed, again=True)
    newer = r * linear_share(half_lives)
    older = 1.0 - newer
    if older > 0.0:
        part = (r - newer) / older
        moments = absorbed(moments, last, a / older, part, elapsed, elapsed, again=True)
    return absorbed(moments, x, older, newer, 0.0, 0.0, again=False)


@inner_kernel
def absorb(state: Row, program: Program, used: int, x: float, time: int, added: float) -> bool:
    """Absorb a reading in a row; answers whether the new state is finite.

    Args:
        state: the row, changed in place also where the answer is no.
        program: the plan.
        used: the key's set of factors.
        x: the reading.
        time: its event time; not before the row's for interval weightings.
        added: its own weight.
    """
    numbers, words, places = state.numbers, state.words, program.places
    restarts = _absorb_in_factors(state, program, used, x, time, added)
    if restarts < 0:
        return False
    if places.last >= 0:
        numbers[places.last] = x
    if places.share >= 0 and program.terms.weighting == PREV and words[COUNT] > 0:
        for k in range(program.terms.factors):  # only the first reading has weight from the start
            numbers[places.first_factor + k * places.stride + places.share] = 0.0
    if places.baseline >= 0 and words[places.baseline] < program.terms.baseline:
        _absorb_baseline(numbers, words, places, x)
    words[COUNT] = 1 if restarts == program.terms.factors else words[COUNT] + 1
    return True


@inner_kernel
def stand_until(state: Row, program: Program, used: int, time: int) -> None:
    """Where a reading stands until the next one, let the last one stand until `time`.

    What is known of the time until then is known before the next reading comes.
    """
    words, places = state.words, program.places
    if program.terms.weighting == PREV and words[COUNT] > 0 and time > words[places.reference]:
        last = float(state.numbers[places.last])
        _absorb_in_factors(state, program, used, last, time, 1.0)


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
    """A reading is missing: on the count clock, the only one to ask, all grows older by one."""
    numbers, places = state.numbers, program.places
    terms, tables = program.terms, program.tables
    if state.words[COUNT] == 0:
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
def is_due(words: Int64, places: Places, terms: Terms, time: int) -> bool:
    """Whether the earliest reading held back is not to be held on beside one of `time`.

    There is no room for both, or it has been held for long enough.
    """
    held = int(words[places.held])
    if held == 0:
        return False
    earliest = int(words[places.held + 1])
    if held == terms.reorder and earliest <= time:
        return True
    latest = latest_held(words, places)
    return terms.reorder_grace != NEVER and elapsed_time(latest, earliest) > float(
        terms.reorder_grace
    )


@inner_kernel
def latest_held(words: Int64, places: Places) -> int:
    """Time of the latest of the readings held back; there are some."""
    return int(words[places.held + 2 * int(words[places.held]) - 1])


@inner_kernel
def drop_earliest(words: Int64, places: Places) -> None:
    """Take the earliest reading held back out of the row."""
    held = int(words[places.held]) - 1
    for at in range(places.held + 1, places.held + 1 + 2 * held):
        words[at] = words[at + 2]
    words[places.held] = held
    words[places.held + 1 + 2 * held], words[places.held + 2 + 2 * held] = 0, 0
