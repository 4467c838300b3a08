"""What the public functions are told, as a plan: factors by name, options, names of outputs."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final, Literal, TypeAlias, TypedDict, TypeVar

import numpy as np

from stream_ewma.smoothing.mode import Limits, Mode, Outliers, Seed, Trend, Weighting
from stream_ewma.smoothing.outputs import Output, Quantity
from stream_ewma.smoothing.parameters import Factor, KeyRules, Rule
from stream_ewma.smoothing.plan import Plan
from stream_ewma.smoothing.times import Scale, span_of

_Settings = TypeVar("_Settings", Seed, Limits, Trend, Outliers)
Given: TypeAlias = Mapping[str, object]
"""One factor: one of alpha, span, com and half_life, with its value."""

PARAMETERS: Final = ("alpha", "span", "com", "half_life")
UNNAMED: Final = ""


class Parameters(TypedDict, total=False):
    """One of the four; see `ewma`."""

    alpha: float
    span: float
    com: float
    half_life: object


class Options(TypedDict, total=False):
    """How readings are smoothed, besides how fast. Spans of time are written as `half_life` is.

    Attributes:
        adjust: bias-corrected weights (pandas' adjust=True), or a first reading that stands for all
            before it. None, the default: off where readings are counted, on with times. Off with
            times is `weighting="interval_next"` whose first reading weighs 1, as in pandas.
        ignore_na: missing readings leave the weights as they are; off, the default: they age them.
            With times, time does that; Holt's trend must leave them.
        min_periods: readings of a key before its results are given, at least 0; default 1.
        min_n_eff: effective readings (Kish) before they are; a long silence re-arms it; default 0.
        warm_up: until then results are NaN ("emit", the default), all of them, counts included
            ("hold"), or given, with `ready` false ("flag").
        seed: {"value": 50.0} or with "weight" too: what the mean starts from; {"readings": 10}:
            the plain mean of the first ten. Default: the first reading.
        weighting: with times: "event" (default), "interval_next", "interval_prev" or
            "interval_linear": what a reading's weight stands for.
        reorder: readings of a key held back for sorting, at most 64, for the interval weightings.
        reorder_grace: span of time after which a reading is held back no longer.
        late: readings older than the key's last are merged exactly ("merge", the default) or left
            out, with NaN in their row ("drop").
        late_cutoff: span of time; what is later than that is left out.
        reset_after: span of time; a longer silence forgets the key. Needs times.
        outliers: {"lowest": a, "highest": b, "deviations": k, "accept_after": c}: readings outside
            are moved to the edge before they are absorbed.
        trend: {"method": "holt", "beta": 0.1} (or "beta_half_life"): Holt's slope and level in
            place of the exponentially weighted line fit.
        limits: {"centre": c, "sigma": s} or {"baseline": n}, and "width" (3.0): the control chart.
        biased: variance without the small-sample correction; default off.
    """

    adjust: bool | None
    ignore_na: bool
    min_periods: int
    min_n_eff: float
    warm_up: Literal["emit", "hold", "flag"]
    seed: Given | None
    weighting: str
    reorder: int
    reorder_grace: object
    late: Literal["merge", "drop"]
    late_cutoff: object
    reset_after: object
    outliers: Given | None
    trend: Given | None
    limits: Given | None
    biased: bool


_OPTIONS: Final = tuple(Options.__annotations__)
_GROUPS: Final = {"seed": Seed, "outliers": Outliers, "trend": Trend, "limits": Limits}
_SPANS: Final = ("reorder_grace", "late_cutoff", "reset_after")
_FLAGS: Final = ("adjust", "ignore_na", "biased")
_OTHERS_NAMES: Final = {"halflife": "half_life", "bias": "biased"}


def _closest(name: str, names: Iterable[str]) -> str:
    close = get_close_matches(name, list(names), 1)
    return f"; did you mean {close[0]}?" if close else f"; there are {', '.join(names)}"


def _choose(name: str, value: object, choices: Sequence[str]) -> str:
    if value not in choices:
        raise ValueError(f"{name}: write one of {', '.join(choices)}, not {value!r}")
    return str(value)


def _group(name: str, kind: type[_Settings], value: object) -> _Settings:
    if not isinstance(value, Mapping):
        raise ValueError(f"{name}: write a mapping of its settings, not {value!r}")  # noqa: TRY004  one class for all that is wrong with an option
    for each in value:
        if each not in kind.__slots__:
            raise ValueError(f"{name}: there is no {each}{_closest(str(each), kind.__slots__)}")
    return kind(**value)


def _in_ticks(settings: object, scale: Scale | None) -> object:
    """A group of settings, the span of time in it by the scale."""
    if scale is None or not isinstance(settings, Mapping) or "beta_half_life" not in settings:
        return settings
    span = scale.ticks_of_span("trend.beta_half_life", settings["beta_half_life"])
    return {**settings, "beta_half_life": span}


def _flag(name: str, value: object) -> bool | None:
    """True or False, numpy's too; None, the default."""
    if value is None and name == "adjust":
        return None
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"{name}: write True or False, not {value!r}")  # noqa: TRY004  one class for all that is wrong with an option
    return bool(value)


def check_names(options: Iterable[str]) -> None:
    """Raise where an option does not exist.

    Raises:
        TypeError: Python's own for a wrong argument; it names the nearest right one.
    """
    for name in options:
        if name not in _OPTIONS:
            meant = _OTHERS_NAMES.get(name)
            hint = f"; did you mean {meant}?" if meant else _closest(name, (*PARAMETERS, *_OPTIONS))
            raise TypeError(f"{name}: there is no such option{hint}")


def only_one(given: Mapping[str, object | None]) -> Given:
    """The one factor among the parameters.

    Raises:
        ValueError: none of them, or more than one, is given.
    """
    if not isinstance(given, Mapping):
        raise ValueError(f"a factor is a mapping, as {{'alpha': 0.3}}, not {given!r}")  # noqa: TRY004  one class for all that is wrong with a parameter
    found = {name: value for name, value in given.items() if value is not None}
    if len(found) != 1 or next(iter(found)) not in PARAMETERS:
        names = ", ".join(found) or "none"
        raise ValueError(f"write exactly one of {', '.join(PARAMETERS)}; given: {names}")
    return found


def _factor(given: Given, scale: Scale | None) -> Factor:
    """The factor; its half life is one of event time if there is a scale."""
    ((name, value),) = only_one(given).items()
    if name == "half_life":
        span = span_of(name, value)
        if scale is not None:
            return Factor(half_life=scale.ticks_of_span(name, value))
        if isinstance(span, int):
            raise ValueError(f"half_life: {value!r} needs times; without, write readings")
        return Factor(half_life_samples=span)
    if isinstance(value, bool) or not isinstance(value, int | float):
        try:
            value = float(value)  # type: ignore[arg-type]  # numpy's numbers; what is none raises
        except TypeError:
            raise ValueError(f"{name}: write a number, not {value!r}") from None
    return Factor(**{name: value})


@dataclass(frozen=True, slots=True)
class Smoothing:
    """Factors and options as they were given; `plan` needs the scale of the times too.

    Attributes:
        factors: by name, the same names for all; `UNNAMED` is the only one of its key.
        rules: (glob of keys, factors), in order of precedence.
        options: see `Options`.
        weighted: readings come with a weight of their own.

    Raises:
        ValueError: an option is out of range, or does not exist.
        TypeError: the same; Python's own for a wrong argument.
    """

    factors: Mapping[str, Given]
    rules: tuple[tuple[str, Mapping[str, Given]], ...]
    options: Options
    weighted: bool = False

    def __post_init__(self) -> None:
        check_names(self.options)
        flags = {name: _flag(name, self.options[name]) for name in _FLAGS if name in self.options}
        object.__setattr__(self, "options", {**self.options, **flags})
        for _, factors in self.rules:
            if list(factors) != list(self.factors):
                names = ", ".join(self.factors) or "one factor"
                raise ValueError(f"rules: each needs the factors that all keys have: {names}")

    @property
    def has_half_life(self) -> bool:
        """Whether a factor is a half life, whose clock depends on whether there are times."""
        sets = (self.factors, *(factors for _, factors in self.rules))
        return any("half_life" in only_one(each) for one in sets for each in one.values())

    @property
    def shortest(self) -> float:
        """The shortest half life, or else `reset_after`: what ticks of numbers must resolve."""
        sets = (self.factors, *(factors for _, factors in self.rules))
        given = [only_one(each) for one in sets for each in one.values()]
        spans = [each["half_life"] for each in given if "half_life" in each]
        reset = self.options.get("reset_after")
        named = [("half_life", each) for each in spans] or [("reset_after", reset)]
        return min(float(span_of(name, each)) for name, each in named)

    def horizon(self, scale: Scale | None, value: object) -> float:
        """How far ahead a forecast looks, in ticks or in readings.

        Raises:
            ValueError: it is less than 0, or not of the kind of the times.
        """
        if value is None or value == 0:
            return 0.0
        if scale is not None and self.has_half_life:
            return scale.ticks_of_span("horizon", value)
        span = span_of("horizon", value)
        if isinstance(span, int):
            raise ValueError(  # noqa: TRY004  one class for all that is wrong with an option
                f"horizon: {value!r} needs a half life and times; else write readings"
            )
        return float(span)

    def rules_of(self, scale: Scale | None) -> KeyRules:
        """Which key has which factors."""
        return KeyRules(
            [_factor(each, scale) for each in self.factors.values()],
            [
                Rule(keys, [_factor(each, scale) for each in factors.values()])
                for keys, factors in self.rules
            ],
        )

    def plan(
        self, scale: Scale | None, outputs: Sequence[Output], *, none_missing: bool = False
    ) -> Plan:
        """All of it as kernels need it.

        Args:
            scale: of the times; None without times.
            outputs: the columns of results.
            none_missing: no reading is, so that `ignore_na` makes no difference: the plan is then
                the one that costs less.
        """
        sets = self.rules_of(scale).factors
        timed = any(factors[0].half_life is not None for factors in sets)
        mode = self._mode(scale, timed=timed, none_missing=none_missing)
        unit = 1.0 if scale is None else scale.unit
        return Plan(sets=sets, mode=mode, outputs=tuple(outputs), time_unit=unit)

    def _mode(self, scale: Scale | None, *, timed: bool, none_missing: bool) -> Mode:
        given: dict[str, Any] = dict(self.options)
        given = {name: value for name, value in given.items() if value is not None}
        for name, kind in _GROUPS.items():
            if name in given:
                given[name] = _group(name, kind, _in_ticks(given[name], scale))
        for name in _SPANS:
            if name in given:
                if scale is None:
                    raise ValueError(f"{name}: needs times")
                given[name] = scale.whole_ticks(name, given[name])
        late = _choose("late", given.pop("late", "merge"), ("merge", "drop"))
        _choose("warm_up", given.get("warm_up", "emit"), ("emit", "hold", "flag"))
        weighting = given.pop("weighting", "event")
        given["weighting"] = Weighting(_choose("weighting", weighting, list(Weighting)))
        if timed and given.get("adjust") is False and weighting == "event":
            given["weighting"] = Weighting.INTERVAL_NEXT
        trend = given.get("trend")
        holt = isinstance(trend, Trend) and trend.method == "holt"  # takes no notice of them
        given["ignore_na"] = timed or none_missing or bool(given.get("ignore_na", holt))
        return Mode(**given, late="merge" if late == "merge" else "refuse", weighted=self.weighted)


def outputs_of(wanted: Sequence[str], names: Sequence[str], horizon: float) -> tuple[Output, ...]:
    """The columns that are asked for.

    Args:
        wanted: `ewma` for that of all factors, `ewma_fast` for one, `fast-slow` for a difference.
        names: of the factors; just `UNNAMED` where there is one without a name.
        horizon: of forecasts, in ticks or in readings.

    Raises:
        ValueError: there is no such quantity or factor.
    """
    found: list[Output] = []
    single = len(names) == 1
    for name in wanted:
        difference = str(name).split("-")
        if name in list(Quantity) and name != Quantity.DIFFERENCE:
            quantity = Quantity(name)
            places = range(1 if quantity.per_key else len(names))
            for k in places:
                column = name if single or quantity.per_key else f"{name}_{names[k]}"
                found.append(_output(column, quantity, k, horizon))
        elif len(difference) == 2 and all(each in names for each in difference):
            first, second = (list(names).index(each) for each in difference)
            found.append(Output(name, Quantity.DIFFERENCE, first, second))
        else:
            found.append(_of_one_factor(str(name), names, horizon))
    for name, times in Counter(output.name for output in found).items():
        if times > 1:
            raise ValueError(f"outputs: {name} is there twice")
    return tuple(found)


def _output(name: str, quantity: Quantity, factor: int, horizon: float) -> Output:
    return Output(name, quantity, factor, horizon=horizon if quantity is Quantity.FORECAST else 0.0)


def _of_one_factor(name: str, names: Sequence[str], horizon: float) -> Output:
    for k, factor in enumerate(names):
        quantity = name.removesuffix(f"_{factor}")
        if quantity != name and quantity in list(Quantity) and not Quantity(quantity).per_key:
            return _output(name, Quantity(quantity), k, horizon)
    choices = [each.value for each in Quantity if each is not Quantity.DIFFERENCE]
    raise ValueError(f"outputs: there is no {name!r}{_closest(name, choices)}")
