"""A whole smoothing, validated, and as kernels read it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf, nan
from typing import Final, NamedTuple

import numpy as np

from stream_ewma.columns import Float64, Int64, UInt8
from stream_ewma.smoothing.layout import NOWHERE, Places, needs, places_of
from stream_ewma.smoothing.mode import Mode, Weighting
from stream_ewma.smoothing.outputs import DEFAULT_OUTPUTS, LIMITS, Output, Quantity
from stream_ewma.smoothing.parameters import Clock, Factor, factor_set

MOST_COLUMNS: Final = 1 << 12
_WEIGHTINGS: Final = tuple(Weighting)
EVENT: Final = _WEIGHTINGS.index(Weighting.EVENT)
PREV: Final = _WEIGHTINGS.index(Weighting.INTERVAL_PREV)

WARM_UP_EMIT: Final = 0
WARM_UP_HOLD: Final = 1
WARM_UP_FLAG: Final = 2
_WARM_UPS: Final = {"emit": WARM_UP_EMIT, "hold": WARM_UP_HOLD, "flag": WARM_UP_FLAG}

NEVER: Final = -1
"""A time span that is not set."""


class Tables(NamedTuple):
    """The factors, one row per set and within it one per factor.

    Attributes:
        clock: uint8 (sets,), a `Clock`.
        alpha: float64 (sets * factors,), NaN in event time.
        steady: float64, 1/alpha; NaN in event time.
        half_life: float64, NaN on the count clock.
        seed_weight: float64, of a seed of given value.
    """

    clock: UInt8
    alpha: Float64
    steady: Float64
    half_life: Float64
    seed_weight: Float64


class Terms(NamedTuple):
    """A mode in a kernel's terms: see `Mode`; `NEVER` and NaN where something is not set."""

    factors: int
    adjusts_count: bool
    adjusts_event: bool
    ages: bool
    min_periods: int
    min_n_eff: float
    warm_up: int
    has_target: bool
    target: float
    seed_readings: int
    weighting: int
    reorder: int
    reorder_grace: int
    refuses_late: bool
    late_cutoff: int
    reset_after: int
    lowest: float
    highest: float
    deviations: float
    accept_after: int
    beta: float
    beta_half_life: float
    width: float
    centre: float
    sigma: float
    baseline: int
    emit_interval: int
    emit_change: float
    most: float
    biased: bool


class Reads(NamedTuple):
    """The outputs in a kernel's terms, one row each.

    Attributes:
        code: int64 (outputs,), a `Code`.
        factor: int64, place of the factor in the key's set.
        minus: int64, place of the factor that a difference subtracts.
        horizon: float64, of a forecast.
        scale: float64, what the quantity is multiplied by in event time: slopes and lags have units
            of their own.
    """

    code: Int64
    factor: Int64
    minus: Int64
    horizon: Float64
    scale: Float64


class Program(NamedTuple):
    """A plan as kernels take it."""

    places: Places
    terms: Terms
    tables: Tables
    reads: Reads


class Row(NamedTuple):
    """The words of one row, twice over the same memory.

    Attributes:
        words: int64 (width,).
        numbers: float64 (width,).
    """

    words: Int64
    numbers: Float64

    @staticmethod
    def empty(width: int) -> "Row":
        """A row of a key without readings."""
        words = np.zeros(width, np.int64)
        return Row(words, words.view(np.float64))


LARGEST_SQUARED: Final = 1e150
"""With a variance, larger readings are refused: their squares would overflow."""

LARGEST_KEPT: Final = 2.0**1022
"""Where a reading waits for the next one to be absorbed, larger ones are refused: the difference
of two would overflow, and the state would never get rid of the one that waits."""

LARGEST_WEIGHT: Final = 1e150
"""Larger weights are refused: their sum could overflow."""


LARGEST_STEADY: Final = 2.0**1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Factors, mode and outputs that fit together.

    Attributes:
        sets: the factors of each set; all sets have as many.
        mode: what all keys have in common.
        outputs: the columns of results, in order.
        time_unit: ticks of the readings' times in the unit of slopes and lags (1000 for
            milliseconds and seconds); on the count clock their unit is one reading.

    Raises:
        ValueError: they do not fit; the message begins with the setting's name.
    """

    sets: tuple[tuple[Factor, ...], ...]
    mode: Mode = field(default_factory=Mode)
    outputs: tuple[Output, ...] = DEFAULT_OUTPUTS
    time_unit: float = 1.0
    program: Program = field(init=False, repr=False, compare=False)
    is_plain: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        clocks = {factors[0].clock for factors in self.sets}
        for clock in sorted(clocks):
            self.mode.check_clock(event_time=clock is Clock.EVENT_TIME)
        self._check_outputs()
        need = needs(
            self.mode,
            self.outputs,
            event_time=Clock.EVENT_TIME in clocks,
            count_clock=Clock.COUNT in clocks,
        )
        places = places_of(self.mode, need, len(self.sets[0]))
        terms = _terms(len(self.sets[0]), self.mode, squares=need.spread or need.line)
        if terms.has_target and abs(terms.target) > terms.most:
            raise ValueError(f"seed.value: write a number of at most {terms.most:g}")
        program = Program(
            places,
            terms,
            _tables(self.sets, self.mode),
            _reads(self.outputs, self.time_unit),
        )
        derived = {"program": program, "is_plain": self._is_plain(places)}
        for name, value in derived.items():
            object.__setattr__(self, name, value)

    @staticmethod
    def of(
        factors: Factor | Sequence[Factor],
        mode: Mode | None = None,
        outputs: Sequence[Output] = DEFAULT_OUTPUTS,
    ) -> "Plan":
        """The plan of keys that all have the same factors."""
        return Plan(sets=(factor_set(factors),), mode=mode or Mode(), outputs=tuple(outputs))

    @property
    def places(self) -> Places:
        """How the rows of its states are laid out."""
        return self.program.places

    @property
    def factor_count(self) -> int:
        """Factors of each key."""
        return len(self.sets[0])

    def _check_outputs(self) -> None:
        if not 0 < len(self.outputs) <= MOST_COLUMNS:
            raise ValueError("outputs: write at least one")
        names = [output.name for output in self.outputs]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"outputs: {name} is there twice")
        wanted = {output.quantity for output in self.outputs}
        if wanted & LIMITS and self.mode.limits is None:
            raise ValueError("limits: write centre and sigma, or baseline, for control limits")
        for output in self.outputs:
            if not (
                0 <= output.factor < len(self.sets[0]) and 0 <= output.minus < len(self.sets[0])
            ):
                raise ValueError(f"outputs: {output.name} names a factor that does not exist")
        if self.mode.reorder and (Quantity.ZSCORE in wanted or self.mode.outliers is not None):
            raise ValueError("reorder: readings held back have no zscore and no outliers")

    def _is_plain(self, places: Places) -> bool:
        """Whether the short kernel for mean and count does."""
        mode = self.mode
        counts = any(factors[0].clock is Clock.COUNT for factors in self.sets)
        has_words = places.stride + places.first_factor - (places.reference != NOWHERE) - 1
        return (
            len(self.sets[0]) == 1
            and [output.quantity for output in self.outputs] == [Quantity.EWMA, Quantity.COUNT]
            and has_words == 1 + (places.weight != NOWHERE)
            and mode.min_periods <= 1
            and (mode.adjust is None and mode.ignore_na and mode.seed is None)
            and mode.weighting is Weighting.EVENT
            and (mode.late == "merge" and mode.late_cutoff is None and mode.reset_after is None)
            and (mode.outliers is None and not mode.weighted)
            and not (mode.expires and counts)  # it keeps no times there
        )


def steady_weight(alpha: float) -> float:
    """The sum of weights that readings of weight 1 keep up, 1/alpha.

    Bounded, so that it is finite for every alpha; no reading would be felt at the bound.
    """
    return min(1.0 / alpha, LARGEST_STEADY)


def _tables(sets: tuple[tuple[Factor, ...], ...], mode: Mode) -> Tables:
    alpha, steady, half_life, seed_weight = [], [], [], []
    for factor in (each for factors in sets for each in factors):
        counts = factor.clock is Clock.COUNT
        alpha.append(factor.count_alpha if counts else nan)
        half_life.append(nan if factor.half_life is None else float(factor.half_life))
        own = None if mode.seed is None else mode.seed.weight
        steady.append(steady_weight(alpha[-1]) if counts else nan)
        usual = steady[-1] if counts else 1.0
        seed_weight.append(usual if own is None else own)
    return Tables(
        clock=np.array([factors[0].clock for factors in sets], np.uint8),
        alpha=np.array(alpha),
        steady=np.array(steady),
        half_life=np.array(half_life),
        seed_weight=np.array(seed_weight),
    )


def _span(value: int | None) -> int:
    return NEVER if value is None else int(value)


def _number(value: float | None) -> float:
    return nan if value is None else float(value)


def _terms(factors: int, mode: Mode, *, squares: bool) -> Terms:
    seed, limits, emission = mode.seed, mode.limits, mode.emission
    outliers = mode.outliers
    return Terms(
        factors=factors,
        adjusts_count=mode.adjusts(event_time=False),
        adjusts_event=mode.adjusts(event_time=True),
        ages=not mode.ignore_na,
        min_periods=int(mode.min_periods),
        min_n_eff=float(mode.min_n_eff),
        warm_up=_WARM_UPS[mode.warm_up],
        has_target=seed is not None and seed.value is not None,
        target=_number(None if seed is None else seed.value),
        seed_readings=0 if seed is None else int(seed.readings or 0),
        weighting=_WEIGHTINGS.index(mode.weighting),
        reorder=int(mode.reorder),
        reorder_grace=_span(mode.reorder_grace),
        refuses_late=mode.late == "refuse",
        late_cutoff=_span(mode.late_cutoff),
        reset_after=_span(mode.reset_after),
        lowest=-inf if outliers is None else float(outliers.lowest),
        highest=inf if outliers is None else float(outliers.highest),
        deviations=_number(None if outliers is None else outliers.deviations),
        accept_after=0 if outliers is None else int(outliers.accept_after),
        beta=_number(mode.trend.beta),
        beta_half_life=_number(mode.trend.beta_half_life),
        width=_number(None if limits is None else limits.width),
        centre=_number(None if limits is None else limits.centre),
        sigma=_number(None if limits is None else limits.sigma),
        baseline=0 if limits is None else int(limits.baseline or 0),
        emit_interval=_span(None if emission is None else emission.interval),
        emit_change=_number(None if emission is None else emission.change),
        most=_most(mode, squares=squares),
        biased=mode.biased,
    )


def _most(mode: Mode, *, squares: bool) -> float:
    if squares or (mode.limits is not None and mode.limits.baseline is not None):
        return LARGEST_SQUARED
    return inf if mode.weighting is Weighting.EVENT else LARGEST_KEPT


def _reads(outputs: tuple[Output, ...], time_unit: float) -> Reads:
    scales = {Quantity.SLOPE: time_unit, Quantity.LAG: 1.0 / time_unit}
    return Reads(
        code=np.array([output.quantity.code for output in outputs], np.int64),
        factor=np.array([output.factor for output in outputs], np.int64),
        minus=np.array([output.minus for output in outputs], np.int64),
        horizon=np.array([output.horizon for output in outputs]),
        scale=np.array([scales.get(output.quantity, 1.0) for output in outputs]),
    )
