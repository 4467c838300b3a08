"""The settings of the smoothing: factors, modes, outputs; and what the engine makes of them."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from stream_ewma.settings.section import Positive, Section
from stream_ewma.settings.values import (
    DailyTime,
    HalfLifeMs,
    Horizon,
    NameList,
    PositiveDurationMs,
    Real,
    TextList,
    TextMapping,
    Whole,
)
from stream_ewma.smoothing.mode import Emission, Limits, Mode, Outliers, Seed, Trend, Weighting
from stream_ewma.smoothing.outputs import Output, Quantity
from stream_ewma.smoothing.parameters import Factor, KeyRules, Rule

Finite = Annotated[Real, Field(allow_inf_nan=False)]
Above0 = Annotated[Real, Field(gt=0, allow_inf_nan=False)]

FACTOR_NAMES = ("alpha", "span", "com", "half_life_samples", "half_life")
SHORTHANDS: Mapping[str, tuple[Quantity, ...]] = {
    "limits": (Quantity.CENTRE, Quantity.UCL, Quantity.LCL, Quantity.OUT_OF_CONTROL),
    "trend": (Quantity.LEVEL, Quantity.SLOPE),
}
"""Names that stand for several outputs."""


class FactorSettings(Section):
    """Exactly one of five ways to say how fast old readings lose weight."""

    alpha: Annotated[Real, Field(gt=0, le=1, allow_inf_nan=False)] | None = None
    """Weight of each new reading."""
    span: Annotated[Real, Field(ge=1, allow_inf_nan=False)] | None = None
    """alpha = 2 / (span + 1), as a moving average over `span` readings."""
    com: Annotated[Real, Field(ge=0, allow_inf_nan=False)] | None = None
    """Centre of mass: alpha = 1 / (com + 1)."""
    half_life_samples: Above0 | None = None
    """Readings after which a weight is halved."""
    half_life: HalfLifeMs | None = None
    """Event time after which a weight is halved, for example 30s."""

    @property
    def given(self) -> list[str]:
        """Which of the five ways are written."""
        return [name for name in FACTOR_NAMES if getattr(self, name) is not None]

    def factor(self) -> Factor:
        """The validated smoothing factor."""
        return Factor(
            alpha=self.alpha,
            span=self.span,
            com=self.com,
            half_life_samples=self.half_life_samples,
            half_life=self.half_life,
        )


class NamedFactorSettings(FactorSettings):
    """One of several factors."""

    outputs: Annotated[NameList, Field(min_length=1)] | None = None
    """What is published of this factor; null: the same as of the others."""


class RuleSettings(FactorSettings):
    """Another factor for some series."""

    keys: Annotated[str, Field(min_length=1)] = "*"
    """Glob pattern of the keys: * any text, ? one character, [ab] one of these."""
    field: Annotated[str, Field(min_length=1)] = "*"
    """Glob pattern of the names of input.values, where there are several."""
    factors: Annotated[Mapping[str, FactorSettings], TextMapping] | None = None
    """The named factors, instead of one."""


class SeedSettings(Section):
    """What the mean starts from, instead of the first reading."""

    value: Finite | None = None
    """A given value, as the target of a control chart."""
    weight: Above0 | None = None
    """Weight of that value; null: 1/alpha, or 1 in event time."""
    readings: Annotated[Whole, Field(ge=1)] | None = None
    """The plain mean of so many first readings."""


class OutlierSettings(Section):
    """What is done to a reading before it is absorbed."""

    lowest: Finite | None = None
    """Smaller readings are raised to it."""
    highest: Finite | None = None
    """Larger readings are lowered to it."""
    deviations: Annotated[Real, Field(gt=1, allow_inf_nan=False)] | None = None
    """Readings further from the mean than so many standard deviations are moved to there."""
    accept_after: Positive = 5
    """So many moved readings in a row on one side, and the next ones are believed."""


class TrendSettings(Section):
    """How level and slope are found."""

    method: Literal["fit", "holt"] = "fit"
    """A weighted line through the readings, or Holt's linear method."""
    beta: Annotated[Real, Field(gt=0, le=1, allow_inf_nan=False)] | None = None
    """Holt's weight of a new slope, where readings are counted."""
    beta_half_life: HalfLifeMs | None = None
    """Event time after which the weight of a slope is halved, for Holt's method."""


class LimitSettings(Section):
    """A control chart around the mean."""

    width: Above0 = 3.0
    """Half width of the band, in standard deviations of the mean."""
    centre: Finite | None = None
    """The value in control."""
    sigma: Above0 | None = None
    """Standard deviation of single readings in control."""
    baseline: Annotated[Whole, Field(ge=2)] | None = None
    """Estimate both from so many first readings of each key."""


class SmoothingSettings(FactorSettings):
    """How readings are smoothed: exactly one of the first five or `factors`, and what comes out."""

    factors: Annotated[Mapping[str, NamedFactorSettings], TextMapping] | None = None
    """Several factors by name, each as one of the five: {fast: {half_life: 10s}, slow: ...}."""
    rules: Annotated[tuple[RuleSettings, ...], TextList, Field(max_length=65_535)] = ()
    """Other factors by key pattern, the first that matches counts: [{keys: "pump-*", span: 9}]."""
    outputs: Annotated[NameList, Field(min_length=1)] = ("ewma", "count")
    """What is published: ewma, count, variance, std, n_eff, weight_sum, zscore, slope, level,
    forecast, trend, limits, lag, late, or the difference of two factors, as fast-slow."""
    horizon: Horizon | None = None
    """How far ahead `forecast` looks: 60s of event time, or a number of readings."""
    adjust: bool | None = None
    """Bias-corrected weights; null: only in event time."""
    ignore_na: bool = True
    """Whether a missing reading leaves the weights as they are, where readings are counted."""
    min_periods: Annotated[Whole, Field(ge=1)] = 1
    """Readings before a key is ready."""
    min_n_eff: Annotated[Real, Field(ge=0, allow_inf_nan=False)] = 0.0
    """Effective readings before a key is ready; a long silence re-arms it."""
    warm_up: Literal["emit", "hold", "flag"] = "emit"
    """Until a key is ready: publish null, nothing, or the numbers with ready: false."""
    seed: Annotated[SeedSettings, TextMapping] | None = None
    """What the mean starts from: {value: 50} or {readings: 10}; null: the first reading."""
    weighting: Literal["event", "interval_next", "interval_prev", "interval_linear"] = "event"
    """What a reading stands for in event time: itself, or the time before, after or between."""
    reorder: Annotated[Whole, Field(ge=0, le=64)] = 0
    """Readings held back for sorting, with an interval weighting."""
    reorder_grace: PositiveDurationMs | None = None
    """Event time after which a reading is held back no longer."""
    late: Literal["merge", "drop", "dlq"] = "merge"
    """What becomes of a late reading: merged exactly, dropped, or a dead letter."""
    late_cutoff: PositiveDurationMs | None = None
    """Readings up to this late are merged all the same; later ones as `late` says, or dropped."""
    reset_after: PositiveDurationMs | None = None
    """A silence longer than this forgets the key."""
    reset_daily: DailyTime | None = None
    """Forget all keys each day at a time and place: 06:00 Europe/Zurich."""
    stale_after: PositiveDurationMs | None = None
    """Silence, in event time, after which a key is reported with one record, stale: true."""
    outliers: Annotated[OutlierSettings, TextMapping] | None = None
    """What is done to outliers: {lowest: 0, highest: 100, deviations: 4}; null: nothing."""
    trend: Annotated[TrendSettings, TextMapping] = TrendSettings()
    """How level and slope are found: {method: fit}, or {method: holt, beta: 0.1}."""
    limits: Annotated[LimitSettings, TextMapping] | None = None
    """The control chart: {centre: 50, sigma: 2} or {baseline: 100}."""

    @property
    def named(self) -> Mapping[str, FactorSettings]:
        """The factors by name; a single one has none."""
        return self.factors if self.factors is not None else {"": self}

    def key_rules(self) -> KeyRules:
        """The factors of every series."""
        return KeyRules(
            [each.factor() for each in self.named.values()],
            [Rule(rule.keys, self._of_rule(rule), rule.field) for rule in self.rules],
        )

    def _of_rule(self, rule: RuleSettings) -> list[Factor]:
        """What a rule says of each factor; a factor that it does not name stays as it is."""
        if rule.factors is None:
            return [rule.factor()] * len(self.named)
        return [rule.factors.get(name, own).factor() for name, own in self.named.items()]

    def mode(self, emission: Emission | None, *, weighted: bool) -> Mode:
        """All that is the same for every key.

        Args:
            emission: which results are published.
            weighted: readings come with a weight of their own.

        Raises:
            ValueError: settings contradict each other; the message begins with one's name.
        """
        return Mode(
            adjust=self.adjust,
            ignore_na=self.ignore_na,
            min_periods=self.min_periods,
            min_n_eff=self.min_n_eff,
            warm_up=self.warm_up,
            seed=None if self.seed is None else Seed(**dict(self.seed)),
            weighting=Weighting(self.weighting),
            reorder=self.reorder,
            reorder_grace=self.reorder_grace,
            late="merge" if self.late == "merge" or self.late_cutoff is not None else "refuse",
            late_cutoff=self.late_cutoff,
            reset_after=self.reset_after,
            sessions=self.reset_daily is not None,
            weighted=weighted,
            outliers=None if self.outliers is None else _outliers(self.outliers),
            trend=Trend(**dict(self.trend)),
            limits=None if self.limits is None else Limits(**dict(self.limits)),
            emission=emission,
            stale=self.stale_after is not None,
        )

    def output_list(self) -> list[Output]:
        """What is read off each series, in order.

        Raises:
            ValueError: a name is none of the outputs; the message begins with `outputs:`.
        """
        found: list[Output] = []
        for place, (name, factor) in enumerate(self.named.items()):
            wanted = self.outputs
            if isinstance(factor, NamedFactorSettings) and factor.outputs is not None:
                wanted = factor.outputs
            for output in wanted:
                found += self._outputs_of(output, name, place)
        if self.warm_up == "flag":
            found.append(Output(Quantity.READY.value, Quantity.READY))
        unique = {output.name: output for output in found}
        return sorted(unique.values(), key=lambda output: output.quantity.per_key)

    def _outputs_of(self, output: str, factor: str, place: int) -> list[Output]:
        if output in SHORTHANDS:
            quantities = SHORTHANDS[output]
        elif output in _OUTPUTS:
            quantities = (Quantity(output),)
        else:
            return [self._difference(output)]
        horizon = 0.0 if self.horizon is None else float(self.horizon.amount)
        return [
            Output(
                quantity.value if not factor or quantity.per_key else f"{quantity.value}_{factor}",
                quantity,
                factor=place,
                horizon=horizon if quantity is Quantity.FORECAST else 0.0,
            )
            for quantity in quantities
        ]

    def _difference(self, output: str) -> Output:
        """The difference of two factors by the text `fast-slow`."""
        names = list(self.named)
        pairs = [(a, b) for a in names for b in names if a and f"{a}-{b}" == output and a != b]
        if not pairs:
            known = ", ".join([*_OUTPUTS, *SHORTHANDS])
            raise ValueError(
                f"outputs: '{output}' is not an output; write {known}, or the difference of two"
                " factors as fast-slow"
            )
        ((first, second), *_) = pairs
        return Output(output, Quantity.DIFFERENCE, names.index(first), names.index(second))


_OUTPUTS = tuple(
    quantity.value for quantity in Quantity if quantity not in {Quantity.DIFFERENCE, Quantity.READY}
)


def _outliers(section: OutlierSettings) -> Outliers:
    given = {name: value for name, value in dict(section).items() if value is not None}
    return Outliers(**given)
