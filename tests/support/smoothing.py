"""Short ways to run a whole plan, for tests: one key unless told otherwise, results as lists."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import nan
from typing import Any

import numpy as np

from stream_ewma.columns import Float64
from stream_ewma.smoothing.mode import Mode
from stream_ewma.smoothing.outputs import Output, Quantity
from stream_ewma.smoothing.parameters import Factor
from stream_ewma.smoothing.plan import Plan, Row
from stream_ewma.smoothing.recursion import FoldResult, fold
from stream_ewma.smoothing.rows import Action
from stream_ewma.smoothing.state import KeyedState

OBSERVE, HOLD, RESET, IGNORE, AGE = Action


def outputs(*names: str, factor: int = 0) -> tuple[Output, ...]:
    """Outputs named as their quantities, of one factor."""
    return tuple(Output(name, Quantity(name), factor) for name in names)


def plan_of(
    factors: Factor | Sequence[Factor], *names: str, time_unit: float = 1.0, **mode: Any
) -> Plan:
    """A plan with the named outputs (ewma and count if none) and a mode of these settings."""
    sets = ((factors,) if isinstance(factors, Factor) else tuple(factors),)
    wanted = outputs(*(names or ("ewma", "count")))
    return Plan(sets=sets, mode=Mode(**mode), outputs=wanted, time_unit=time_unit)


@dataclass
class Series:
    """Keys of one plan, fed piece by piece."""

    plan: Plan
    keys: int = 1
    state: KeyedState = field(init=False)

    def __post_init__(self) -> None:
        self.state = KeyedState(self.plan.places)
        self.state.grow(self.keys)

    def feed(
        self,
        x: Sequence[float | None] | Float64,
        times: Sequence[int] | None = None,
        *,
        slots: Sequence[int] | None = None,
        actions: Sequence[int] | None = None,
        weights: Sequence[float] | None = None,
        sessions: Sequence[int] | None = None,
        restarts: Sequence[int] | None = None,
    ) -> FoldResult:
        """Fold readings; None is a missing one (HOLD)."""
        n = len(x)
        if not isinstance(x, np.ndarray):
            if actions is None:
                actions = [HOLD if value is None else OBSERVE for value in x]
            x = np.array([nan if value is None else value for value in x], np.float64)
        return fold(
            self.state,
            self.plan,
            np.asarray(np.zeros(n) if slots is None else slots, np.int32),
            np.asarray(np.zeros(n) if times is None else times, np.int64),
            x,
            np.asarray(np.zeros(n) if actions is None else actions, np.uint8),
            weight=None if weights is None else np.array(weights, np.float64),
            session=None if sessions is None else np.array(sessions, np.int64),
            restart=None if restarts is None else np.array(restarts, np.uint8),
        )

    def row(self, slot: int = 0) -> Row:
        """The row of a key, over the state's memory."""
        words = self.state.row(slot)
        return Row(words, words.view(np.float64))

    def bits(self) -> bytes:
        """Every bit of the keys' rows."""
        return self.state.words[: self.keys * self.plan.places.width].tobytes()


def run(plan: Plan, *columns: Any, **more: Any) -> FoldResult:
    """The results of a new key that is fed these columns."""
    return Series(plan).feed(*columns, **more)


def column(result: FoldResult, name: str = "ewma") -> list[float]:
    """One column as a list; missing results are NaN."""
    return result.columns[name].tolist()


def last(result: FoldResult, name: str = "ewma") -> float:
    """The last row of a column."""
    return column(result, name)[-1]


def result_bits(result: FoldResult) -> bytes:
    """Every bit of the results."""
    parts = [*result.columns.values(), result.outcome, result.notes]
    return b"".join(np.ascontiguousarray(part).tobytes() for part in parts)
