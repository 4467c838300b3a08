"""Where each quantity of a key's state is: one row of 8-byte words, with only what is needed.

The words of a key lie side by side, so that a key costs one or two cache misses however much is
kept of it, and a row is copied, restored and sent as it stands. Floats and integers share the
words; a row of zeros is a key without readings.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from stream_ewma.smoothing.mode import Mode, Weighting
from stream_ewma.smoothing.outputs import LIMITS, SPREAD, TREND, Output, Quantity

NOWHERE: Final = -1
"""Place of a quantity that is not kept."""


class Places(NamedTuple):
    """Word numbers in a row; those of a factor count from its first word on.

    Attributes:
        width: words in a row.
        stride: words of one factor.
        first_factor: where the first factor begins.
        reference: int, the greatest event time absorbed.
        session: int, the session of the last reading.
        flags: int, bits of `FLAG_...`.
        emitted_time: int, event time of the last result emitted.
        emitted_mean: float, its mean.
        clipped: int, clipped readings in a row: above the mean counted up, below it down.
        baseline: int, how many first readings the control chart's baseline has; the next words are
            their mean and the sum of squares around it.
        last: float, the last reading, of the interval weightings.
        held: int, how many readings are held back; then (time, reading) of each, in order.
        mean: float, the weighted mean m.
        weight: float, W, the sum of the weights at `reference`: all that decays.
        spread: float, Q = 1 - sum(w^2)/W^2; the next word is V, the biased variance.
        seeded: float, E = sum(w^2)/W^2 over the readings alone, with a seed of given value.
        line: float, L, how far the mean of the times lies behind `reference`; the next words are
            Vtt and Vtx, the weighted (co)moments of time, and of time and reading.
        holt: float, Holt's level; the next words are its slope, and the weight of the slopes.
        share: float, the last reading's share in W, where it goes on taking weight.
    """

    width: int
    stride: int
    first_factor: int
    reference: int
    session: int
    flags: int
    emitted_time: int
    emitted_mean: int
    clipped: int
    baseline: int
    last: int
    held: int
    mean: int
    weight: int
    spread: int
    seeded: int
    line: int
    holt: int
    share: int


NO_TIME: Final = -(1 << 62)
"""Event time of a key without readings: earlier than any, with room for differences."""

COUNT: Final = 0
"""Place of the number of readings since the first or the last reset, in every row."""

FLAG_EMITTED: Final = 1
"""A result of the key has been emitted since its last reset."""
FLAG_STALE: Final = 2
"""The key has been reported as silent."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What must be kept, besides count and mean."""

    time: bool
    weight: bool
    spread: bool
    seeded: bool
    line: bool
    holt: bool


def needs(mode: Mode, outputs: Sequence[Output], *, event_time: bool, count_clock: bool) -> Needs:
    """What `mode` and `outputs` need; rules may give some keys one clock and some the other."""
    wanted = {output.quantity for output in outputs}
    trend = bool(wanted & TREND)
    clips = mode.outliers is not None and mode.outliers.deviations is not None
    has_target = mode.seed is not None and mode.seed.value is not None
    charts = bool(wanted & LIMITS)
    emits_by_time = mode.emission is not None and mode.emission.interval is not None
    watched = mode.stale or mode.expires
    own_weights = mode.weighted or not mode.ignore_na or has_target
    return Needs(
        time=event_time or mode.reset_after is not None or emits_by_time or watched,
        weight=event_time
        or own_weights
        or Quantity.WEIGHT_SUM in wanted
        or (count_clock and mode.adjusts(event_time=False)),
        spread=bool(wanted & (SPREAD | {Quantity.N_EFF}))
        or charts
        or trend
        or clips
        or mode.min_n_eff > 0,
        seeded=has_target and (charts or clips or Quantity.ZSCORE in wanted),
        line=(trend and mode.trend.method == "fit") or Quantity.LAG in wanted,
        holt=trend and mode.trend.method == "holt",
    )


class _Shelf:
    """Hands out word numbers."""

    def __init__(self, first: int) -> None:
        self.end = first

    def take(self, wanted: object, words: int = 1) -> int:
        if not wanted:
            return NOWHERE
        place, self.end = self.end, self.end + words
        return place


def places_of(mode: Mode, need: Needs, factors: int) -> Places:
    """Lay a row out for keys of `factors` factors."""
    key, factor = _Shelf(COUNT + 1), _Shelf(0)
    emission = mode.emission
    by_time = emission is not None and emission.interval is not None
    by_change = emission is not None and emission.change is not None
    clips = mode.outliers is not None and mode.outliers.deviations is not None
    baseline = mode.limits is not None and mode.limits.baseline is not None
    last = mode.weighting in (Weighting.INTERVAL_PREV, Weighting.INTERVAL_LINEAR)
    of_key = {
        "reference": key.take(need.time),
        "session": key.take(mode.sessions),
        "flags": key.take(emission is not None or mode.stale),
        "emitted_time": key.take(by_time),
        "emitted_mean": key.take(by_change),
        "clipped": key.take(clips),
        "baseline": key.take(baseline, 3),
        "last": key.take(last),
        "held": key.take(mode.reorder, 1 + 2 * mode.reorder),
    }
    of_factor = {
        "mean": factor.take(True),
        "weight": factor.take(need.weight),
        "spread": factor.take(need.spread, 2),
        "seeded": factor.take(need.seeded),
        "line": factor.take(need.line, 3),
        "holt": factor.take(need.holt, 3),
        "share": factor.take(last and need.spread),
    }
    return Places(
        width=key.end + factors * factor.end,
        stride=factor.end,
        first_factor=key.end,
        **of_key,
        **of_factor,
    )
