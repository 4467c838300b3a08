"""How fast a series forgets: one validated parameter per key, chosen by the key's name."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Context, Decimal, localcontext
from enum import IntEnum
from fnmatch import translate
from math import inf, isfinite, nan
from types import MappingProxyType
from typing import Final

import numpy as np

from stream_ewma.columns import Float64, UInt8


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
        "half_life_ms": (0.0, False, inf, "greater than 0"),
    }
)

_MAX_FACTORS: Final = 1 << 16
"""A key's state names its factor in 16 bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Factor:
    """A smoothing factor, given as exactly one of five parameters (the ranges are pandas').

    Attributes:
        alpha: weight of a new reading on the count clock, 0 < alpha <= 1.
        span: alpha = 2 / (span + 1), span >= 1.
        com: centre of mass; alpha = 1 / (1 + com), com >= 0.
        half_life_samples: readings until a weight has halved; alpha = 1 - 2^(-1/half life) > 0.
        half_life_ms: milliseconds of event time until a weight has halved, > 0.

    Raises:
        ValueError: not exactly one is given, or it is not a finite number in its range; the
            message begins with the parameter's name.
    """

    alpha: float | None = None
    span: float | None = None
    com: float | None = None
    half_life_samples: float | None = None
    half_life_ms: float | None = None

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
        return Clock.COUNT if self.half_life_ms is None else Clock.EVENT_TIME

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
        raise ValueError("half_life_ms: a half life of event time has no alpha")


def _alpha_of_half_life(samples: float) -> float:
    """1 - 2^(-1/samples), correctly rounded.

    pandas' 1 - exp(ln(0.5)/h) loses digits to cancellation (all of them near h = 1e16) and the
    C library's expm1 may differ between machines; this runs once per factor, so it can be exact:
    the digits cover the smallest result there is, and 40 more.
    """
    with localcontext(Context(prec=360, traps=[])):
        return float(1 - (-Decimal(2).ln() / Decimal(samples)).exp())


@dataclass(frozen=True, slots=True)
class FactorColumns:
    """Factors as the fold reads them, one row per factor.

    Attributes:
        clock: uint8 (k,), a `Clock`.
        alpha: float64 (k,), NaN in rows of event time.
        half_life_ms: float64 (k,), NaN in rows of the count clock.
    """

    clock: UInt8
    alpha: Float64
    half_life_ms: Float64

    def __len__(self) -> int:
        return len(self.clock)

    @staticmethod
    def of(factors: Sequence[Factor]) -> "FactorColumns":
        """Lay `factors` out in columns, in their order."""
        counts = [factor.clock is Clock.COUNT for factor in factors]
        return FactorColumns(
            np.array([factor.clock for factor in factors], np.uint8),
            np.array([f.count_alpha if c else nan for f, c in zip(factors, counts, strict=True)]),
            np.array([nan if f.half_life_ms is None else f.half_life_ms for f in factors], float),
        )


@dataclass(frozen=True, slots=True)
class KeyRules:
    """Which factor a key gets: that of the first rule whose glob matches, else the default.

    Globs are those of `fnmatch` (`*`, `?`, `[seq]`, `[!seq]`), match the whole key and tell upper
    from lower case.

    Attributes:
        default: the factor of keys that no rule matches.
        rules: (glob, factor) pairs in order of precedence.
        factors: the default, then each rule's factor; `resolve` answers with indices into it.

    Raises:
        ValueError: more rules than a key's state can tell apart.
    """

    default: Factor
    rules: Sequence[tuple[str, Factor]] = ()
    factors: tuple[Factor, ...] = field(init=False, repr=False, compare=False)
    _patterns: tuple[re.Pattern[str], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        rules = tuple((glob, factor) for glob, factor in self.rules)
        if len(rules) >= _MAX_FACTORS:
            raise ValueError(f"rules: write at most {_MAX_FACTORS - 1}, not {len(rules)}")
        derived = {
            "rules": rules,
            "factors": (self.default, *(factor for _, factor in rules)),
            "_patterns": tuple(re.compile(translate(glob)) for glob, _ in rules),
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)

    def resolve(self, key_text: str) -> int:
        """The index in `factors` of the factor of the key `key_text`."""
        for index, pattern in enumerate(self._patterns, start=1):
            if pattern.match(key_text):
                return index
        return 0
