"""How readings are smoothed, besides how fast: weights, seeds, warm-up, resets, trend, limits."""

from dataclasses import dataclass
from enum import StrEnum
from math import inf, isfinite
from typing import Final, Literal

MOST_REORDERED: Final = 64
"""Readings one key may hold back for sorting: each further reading replays all of them."""


class Weighting(StrEnum):
    """What a reading's weight in event time stands for."""

    EVENT = "event"
    """Each reading weighs 2^(-age / half life): order-free, merges exactly."""

    INTERVAL_NEXT = "interval_next"
    """A reading stands for the time since the one before it (polars' ewm_mean_by)."""

    INTERVAL_PREV = "interval_prev"
    """A reading stands until the next one comes (zero-order hold, Eckner's "last")."""

    INTERVAL_LINEAR = "interval_linear"
    """Between two readings stands the line that joins them (Eckner's "linear")."""


def _require(name: str, value: float, *, above: float = 0.0, inclusive: bool = False) -> None:
    """Raise unless `value` is finite and greater than `above` (or equal, if inclusive)."""
    if not isfinite(value) or value < above or (value == above and not inclusive):
        words = "at least" if inclusive else "greater than"
        raise ValueError(f"{name}: write a number {words} {above:g}, not {value}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seed:
    """What the mean starts from; without one, from the first reading.

    Attributes:
        value: a given value, as the target of a control chart (NIST 6.3.2.4).
        weight: of that value; None: the steady weight 1/alpha on the count clock, 1 in event time.
        readings: the plain mean of so many first readings (Graphite, Flux, TA-Lib).

    Raises:
        ValueError: not exactly one of `value` and `readings` is given, or out of its range.
    """

    value: float | None = None
    weight: float | None = None
    readings: int | None = None

    def __post_init__(self) -> None:
        if (self.value is None) == (self.readings is None):
            raise ValueError("seed: write either value or readings")
        if self.value is not None and not isfinite(self.value):
            raise ValueError(f"seed.value: write a finite number, not {self.value}")
        if self.weight is not None:
            if self.value is None:
                raise ValueError("seed.weight: only a seed.value has one")
            _require("seed.weight", self.weight)
        if self.readings is not None:
            _require("seed.readings", self.readings, above=1, inclusive=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """A control chart around the mean (Roberts 1959), exact for any seed, spacing and gap.

    Attributes:
        width: half width of the band in standard deviations of the mean ("L").
        centre: the value in control; given together with `sigma`, or neither.
        sigma: standard deviation of single readings in control.
        baseline: estimate both from so many first readings of the key, then freeze them.

    Raises:
        ValueError: neither or both ways are given, or a number is out of its range.
    """

    width: float = 3.0
    centre: float | None = None
    sigma: float | None = None
    baseline: int | None = None

    def __post_init__(self) -> None:
        _require("limits.width", self.width)
        if (self.centre is None) != (self.sigma is None):
            raise ValueError("limits: write centre and sigma together")
        if (self.centre is None) == (self.baseline is None):
            raise ValueError("limits: write either centre and sigma, or baseline")
        if self.centre is not None and not isfinite(self.centre):
            raise ValueError(f"limits.centre: write a finite number, not {self.centre}")
        if self.sigma is not None:
            _require("limits.sigma", self.sigma)
        if self.baseline is not None:
            _require("limits.baseline", self.baseline, above=2, inclusive=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """How level and slope are found.

    Attributes:
        method: `fit`: exponentially weighted line fit, exact for late readings; `holt`: Holt's
            linear method (with Wright's weights in event time), which depends on the order. On the
            count clock a missing reading moves the end of the fitted line on, if it ages the
            weights; Holt takes no notice of it.
        beta: Holt's weight of a new slope, on the count clock.
        beta_half_life: the same as half life, in event time.

    Raises:
        ValueError: there is no such method, or Holt's weight is missing, or given twice, or out of
            its range.
    """

    method: Literal["fit", "holt"] = "fit"
    beta: float | None = None
    beta_half_life: float | None = None

    def __post_init__(self) -> None:
        if self.method not in {"fit", "holt"}:
            raise ValueError(f"trend.method: write fit or holt, not {self.method!r}")
        given = [each for each in (self.beta, self.beta_half_life) if each is not None]
        if len(given) != (self.method == "holt"):
            raise ValueError("trend: holt needs one of beta and beta_half_life, fit needs neither")
        if self.beta is not None and not 0 < self.beta <= 1:
            raise ValueError(
                f"trend.beta: write a number greater than 0 and at most 1, not {self.beta}"
            )
        if self.beta_half_life is not None:
            _require("trend.beta_half_life", self.beta_half_life)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outliers:
    """What is done to a reading before it is absorbed.

    Attributes:
        lowest: readings below are raised to it.
        highest: readings above are lowered to it.
        deviations: readings further from the mean than so many predictive standard deviations of
            the first factor are moved to that distance (Huber's clip; Gelper, Fried & Croux 2010).
            The deviation is that of clipped readings: 2% too small at 2.5, 5% at 2, and nothing is
            left of it at 1, hence more than that.
        accept_after: so many clipped readings on one side in a row, and from the next on they are
            believed: a true step is followed.

    Raises:
        ValueError: a number is out of its range.
    """

    lowest: float = -inf
    highest: float = inf
    deviations: float | None = None
    accept_after: int = 5

    def __post_init__(self) -> None:
        if not self.lowest < self.highest:
            raise ValueError("outliers.lowest: write a number below outliers.highest")
        if self.deviations is not None:
            _require("outliers.deviations", self.deviations, above=1.0)
        _require("outliers.accept_after", self.accept_after, above=1, inclusive=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Emission:
    """Which results are worth an output record; decided by event time and state alone.

    Attributes:
        interval: at least so much event time between two of one key.
        change: the mean of the first factor has moved so far since the last one of the key.

    Raises:
        ValueError: not exactly one is given, or it is not greater than 0.
    """

    interval: int | None = None
    change: float | None = None

    def __post_init__(self) -> None:
        given = {"interval": self.interval, "on_change": self.change}
        ((name, value), *more) = [(n, v) for n, v in given.items() if v is not None] or [("", 0)]
        if more or not name:
            raise ValueError("emit: write either interval or on_change")
        _require(f"emit.{name}", value or 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mode:
    """All that is the same for every key. Times are in the unit of the readings' times.

    Attributes:
        adjust: bias-corrected weights (pandas' adjust=True) or a first reading that weighs as much
            as all that might have come before it; None: off on the count clock, on in event time.
        ignore_na: a missing reading leaves the weights as they are; off: it ages them like a
            reading (pandas' ignore_na). Count clock only; event time ages them anyway.
        min_periods: readings before results are ready.
        min_n_eff: effective readings (Kish) before results are ready; a long silence re-arms it.
        warm_up: results that are not ready are emitted as null, held back, or emitted and flagged.
        seed: what the mean starts from.
        weighting: what weights stand for in event time.
        reorder: readings held back for sorting, for the interval weightings.
        reorder_grace: event time after which a reading is held back no longer.
        late: late readings are merged exactly, or refused.
        late_cutoff: readings that are late by more than this are refused.
        reset_after: a silence longer than this forgets the key.
        sessions: readings come with the session they belong to; a new one forgets the key.
        weighted: readings come with a weight of their own.
        outliers: see `Outliers`.
        trend: how level and slope are found.
        limits: the control chart's.
        emission: which results are emitted; None: every one.
        stale: keys can be marked as silent.
        biased: variance without the small-sample correction.
        expires: keys are forgotten by the time of their last reading: it is kept on either clock.

    Raises:
        ValueError: settings that contradict each other or are out of range; the message begins
            with the setting's name.
    """

    adjust: bool | None = None
    ignore_na: bool = True
    min_periods: int = 1
    min_n_eff: float = 0.0
    warm_up: Literal["emit", "hold", "flag"] = "emit"
    seed: Seed | None = None
    weighting: Weighting = Weighting.EVENT
    reorder: int = 0
    reorder_grace: int | None = None
    late: Literal["merge", "refuse"] = "merge"
    late_cutoff: int | None = None
    reset_after: int | None = None
    sessions: bool = False
    weighted: bool = False
    outliers: Outliers | None = None
    trend: Trend = Trend()
    limits: Limits | None = None
    emission: Emission | None = None
    stale: bool = False
    biased: bool = False
    expires: bool = False

    def __post_init__(self) -> None:
        _require("min_periods", self.min_periods, inclusive=True)
        _require("min_n_eff", self.min_n_eff, inclusive=True)
        for name in ("reorder_grace", "late_cutoff", "reset_after"):
            value = getattr(self, name)
            if value is not None:
                _require(name, value)
        if not 0 <= self.reorder <= MOST_REORDERED:
            raise ValueError(f"reorder: write a number from 0 to {MOST_REORDERED}")
        interval = self.weighting is not Weighting.EVENT
        if not interval and (self.reorder or self.reorder_grace is not None):
            raise ValueError("reorder: only the interval weightings need it; late readings merge")
        if self.reorder_grace is not None and not self.reorder:
            raise ValueError("reorder_grace: write reorder too, how many readings are held back")
        if interval and self.weighted:
            raise ValueError("weighting: an interval weighting leaves no room for a weight")
        if interval and self.trend.method == "holt":
            raise ValueError("trend: holt has weights of its own; write weighting: event")

    def check_clock(self, *, event_time: bool) -> None:
        """Raise where the mode asks for what factors of this clock cannot give.

        Raises:
            ValueError: the message begins with the setting's name.
        """
        if event_time:
            self._check_event_time()
        else:
            self._check_count_clock()

    def _check_event_time(self) -> None:
        if not self.ignore_na:
            raise ValueError("ignore_na: event time ages the weights already; remove the setting")
        if self.seed is not None and self.seed.readings is not None:
            raise ValueError("seed.readings: only on the count clock; write seed.value")
        if self.weighting is Weighting.EVENT and self.adjust is False:
            raise ValueError(
                "adjust: in event time, adjust: false is weighting: interval_next; write that"
            )
        if self.trend.beta is not None:
            raise ValueError("trend.beta: in event time write beta_half_life")
        if self.trend.method == "holt" and self.late == "merge":
            raise ValueError("trend: holt depends on the order of readings; write late: drop")

    def _check_count_clock(self) -> None:
        if self.weighting is not Weighting.EVENT:
            raise ValueError(f"weighting: {self.weighting.value} needs half_life, in event time")
        if self.trend.beta_half_life is not None:
            raise ValueError("trend.beta_half_life: on the count clock write beta")
        if self.seed is not None and self.seed.readings is not None:
            if self.adjust:
                raise ValueError("seed.readings: contradicts adjust: true")
            if self.weighted:
                raise ValueError("seed.readings: a plain mean leaves no room for a weight")

    def adjusts(self, *, event_time: bool) -> bool:
        """Whether weights are bias-corrected on this clock."""
        return event_time if self.adjust is None else self.adjust
