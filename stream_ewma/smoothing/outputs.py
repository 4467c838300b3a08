"""What can be read off a state, by name."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from math import isfinite
from typing import Final


class Quantity(StrEnum):
    """The quantities, by the names they have in settings."""

    EWMA = "ewma"
    COUNT = "count"
    VARIANCE = "variance"
    STD = "std"
    N_EFF = "n_eff"
    WEIGHT_SUM = "weight_sum"
    ZSCORE = "zscore"
    SLOPE = "slope"
    LEVEL = "level"
    FORECAST = "forecast"
    CENTRE = "centre"
    UCL = "ucl"
    LCL = "lcl"
    OUT_OF_CONTROL = "out_of_control"
    LAG = "lag"
    DIFFERENCE = "difference"
    READY = "ready"
    LATE = "late"

    @property
    def code(self) -> int:
        """The quantity's number inside kernels."""
        return Code[self.name].value

    @property
    def is_flag(self) -> bool:
        """Whether it is true or false."""
        return self in _FLAGS

    @property
    def per_key(self) -> bool:
        """Whether it is the same for all factors of a key."""
        return self in _PER_KEY


class Code(IntEnum):
    """The quantities as kernels know them."""

    EWMA = 0
    COUNT = 1
    VARIANCE = 2
    STD = 3
    N_EFF = 4
    WEIGHT_SUM = 5
    ZSCORE = 6
    SLOPE = 7
    LEVEL = 8
    FORECAST = 9
    CENTRE = 10
    UCL = 11
    LCL = 12
    OUT_OF_CONTROL = 13
    LAG = 14
    DIFFERENCE = 15
    READY = 16
    LATE = 17


_FLAGS: Final = frozenset({Quantity.OUT_OF_CONTROL, Quantity.READY, Quantity.LATE})
_PER_KEY: Final = frozenset({Quantity.COUNT, Quantity.READY, Quantity.LATE})
LIMITS: Final = frozenset({Quantity.CENTRE, Quantity.UCL, Quantity.LCL, Quantity.OUT_OF_CONTROL})
TREND: Final = frozenset({Quantity.SLOPE, Quantity.LEVEL, Quantity.FORECAST})
SPREAD: Final = frozenset({Quantity.VARIANCE, Quantity.STD, Quantity.ZSCORE})


@dataclass(frozen=True, slots=True)
class Output:
    """One column of results.

    Attributes:
        name: the column's.
        quantity: what is read off.
        factor: index of the factor it is read off, in the key's set.
        minus: index of the factor that a difference subtracts.
        horizon: how far ahead a forecast looks, in the unit of the times, or in readings.

    Raises:
        ValueError: the horizon is negative or not finite.
    """

    name: str
    quantity: Quantity
    factor: int = 0
    minus: int = 0
    horizon: float = 0.0

    def __post_init__(self) -> None:
        if not isfinite(self.horizon) or self.horizon < 0:
            raise ValueError(f"horizon: write a number of at least 0, not {self.horizon}")


DEFAULT_OUTPUTS: Final = (Output("ewma", Quantity.EWMA), Output("count", Quantity.COUNT))


def column_name(series: str, output: str) -> str:
    """The name of an output of one of several series of a record; a single one has no name."""
    return f"{series}_{output}" if series else output
