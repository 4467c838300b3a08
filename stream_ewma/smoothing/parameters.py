"""How fast a series forgets: validated parameters, chosen by the names of key and field."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Context, Decimal, localcontext
from enum import IntEnum
from fnmatch import translate
from math import inf, isfinite
from types import MappingProxyType
from typing import Final


class Clock(IntEnum):
    """What makes a reading older."""

    COUNT = 0
    """Each further reading of the key; the first reading seeds the mean."""

    EVENT_TIME = 1
    """The time between the readings; the weights are normalised (bias-corrected)."""


_RANGES: Final[Mapping[str, tuple[float, bool, float, str]]] = MappingProxyType(
    {  # lower bound, whether it belongs to the range, upper bound, in words
        "alpha": (0.0, False, 1.0, "greater than 0 and at most 1"),
        "span": (1.0, True, inf, "at least 1"),
        "com": (0.0, True, inf, "at least 0"),
        "half_life_samples": (0.0, False, inf, "greater than 0"),
        "half_life": (0.0, False, inf, "greater than 0"),
    }
)

_MAX_FACTORS: Final = 1 << 16
"""A state names its set of factors in 16 bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Factor:
    """A smoothing factor, given as exactly one of five parameters (the ranges are pandas').

    Attributes:
        alpha: weight of a new reading on the count clock, 0 < alpha <= 1.
        span: alpha = 2 / (span + 1), span >= 1.
        com: centre of mass; alpha = 1 / (1 + com), com >= 0.
        half_life_samples: readings until a weight has halved; alpha = 1 - 2^(-1/half life) > 0.
        half_life: event time until a weight has halved, > 0, in the unit that times are counted in
            (milliseconds in the service).

    Raises:
        ValueError: not exactly one is given, or it is not a finite number in its range; the
            message begins with the parameter's name.
    """

    alpha: float | None = None
    span: float | None = None
    com: float | None = None
    half_life_samples: float | None = None
    half_life: float | None = None

    def __post_init__(self) -> None:
        given = {name: getattr(self, name) for name in _RANGES if getattr(self, name) is not None}
        if len(given) != 1:
            names = ", ".join(_RANGES)
            raise ValueError(f"write exactly one of {names}; given: {', '.join(given) or 'none'}")
        ((name, value),) = given.items()
        lower, inclusive, upper, words = _RANGES[name]
        above = value >= lower if inclusive else value > lower
        if not (isfinite(value) and above and value <= upper):
            raise ValueError(f"{name}: write a number {words}, not {value}")

    @property
    def clock(self) -> Clock:
        """The clock that the given parameter counts on."""
        return Clock.COUNT if self.half_life is None else Clock.EVENT_TIME

    @property
    def count_alpha(self) -> float:
        """Alpha on the count clock, whichever parameter it was given as.

        Raises:
            ValueError: the factor is one of event time and has no alpha.
        """
        if self.alpha is not None:
            return float(self.alpha)
        if self.span is not None:
            return 2.0 / (self.span + 1.0)
        if self.com is not None:
            return 1.0 / (1.0 + self.com)
        if self.half_life_samples is not None:
            return _alpha_of_half_life(float(self.half_life_samples))
        raise ValueError("half_life: a half life of event time has no alpha")


def _alpha_of_half_life(samples: float) -> float:
    """1 - 2^(-1/samples), correctly rounded.

    pandas' 1 - exp(ln(0.5)/h) loses digits to cancellation (all of them near h = 1e16) and the
    C library's expm1 may differ between machines; this runs once per factor, so it can be exact:
    the digits cover the smallest result there is, and 40 more.
    """
    with localcontext(Context(prec=360, traps=[])):
        return float(1 - (-Decimal(2).ln() / Decimal(samples)).exp())


def factor_set(factors: Factor | Sequence[Factor]) -> tuple[Factor, ...]:
    """The factors of one key; they all smooth the same readings.

    Raises:
        ValueError: there is none, or they count on different clocks.
    """
    found = (factors,) if isinstance(factors, Factor) else tuple(factors)
    if len({factor.clock for factor in found}) != 1:
        raise ValueError(
            "factors: give at least one, and all of them either with half_life (event time) or "
            "without it (readings)"
        )
    return found


@dataclass(frozen=True, slots=True)
class Rule:
    """Which series get other factors: both globs must match.

    Globs are those of `fnmatch` (`*`, `?`, `[seq]`, `[!seq]`), match the whole text and tell upper
    from lower case.

    Attributes:
        keys: glob of the key.
        factors: what they get: as many as the default has.
        field: glob of the field's name, where a record has several values.
    """

    keys: str
    factors: Factor | Sequence[Factor]
    field: str = "*"


@dataclass(frozen=True, slots=True)
class KeyRules:
    """Which factors a series gets: those of the first rule that matches, else the default.

    Attributes:
        default: the factors of series that no rule matches.
        rules: in order of precedence.
        factors: the default, then each rule's factors; `resolve` answers with indices into it.

    Raises:
        ValueError: more rules than a state can tell apart, or sets of different size.
    """

    default: Factor | Sequence[Factor]
    rules: Sequence[Rule] = ()
    factors: tuple[tuple[Factor, ...], ...] = field(init=False, repr=False, compare=False)
    _patterns: tuple[tuple[re.Pattern[str], re.Pattern[str]], ...] = field(
        init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        rules = tuple(self.rules)
        if len(rules) >= _MAX_FACTORS:
            raise ValueError(f"rules: write at most {_MAX_FACTORS - 1}, not {len(rules)}")
        sets = (factor_set(self.default), *(factor_set(rule.factors) for rule in rules))
        if len({len(each) for each in sets}) != 1:
            raise ValueError(f"rules: each needs {len(sets[0])} factors, as the default has")
        derived = {
            "default": sets[0],
            "rules": rules,
            "factors": sets,
            "_patterns": tuple(
                (re.compile(translate(rule.keys)), re.compile(translate(rule.field)))
                for rule in rules
            ),
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)

    def resolve(self, key_text: str, field_name: str = "") -> int:
        """The index in `factors` of the factors of the series `field_name` of `key_text`."""
        for index, (keys, fields) in enumerate(self._patterns, start=1):
            if keys.match(key_text) and fields.match(field_name):
                return index
        return 0
