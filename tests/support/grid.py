"""Plans all over the options, and rows of every kind for them."""

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np

from stream_ewma.smoothing.mode import (
    Emission,
    Limits,
    Mode,
    Outliers,
    Seed,
    Trend,
    Weighting,
)
from stream_ewma.smoothing.outputs import Output, Quantity
from stream_ewma.smoothing.parameters import Factor
from stream_ewma.smoothing.plan import Plan
from stream_ewma.smoothing.recursion import FoldResult, fold
from stream_ewma.smoothing.rows import Action
from stream_ewma.smoothing.state import KeyedState
from tests.support.smoothing import result_bits

COUNT = (Factor(alpha=0.2), Factor(half_life_samples=12.5))
EVENT = (Factor(half_life=1500.0), Factor(half_life=0.3))
SLOW = (Factor(half_life=7e17), Factor(half_life=20.0))
CHART = Limits(centre=20.0, sigma=5.0)
NO_LIMITS = [q for q in Quantity if q not in {"centre", "ucl", "lcl", "out_of_control"}]


def all_outputs(mode: Mode) -> tuple[Output, ...]:
    """Every quantity of both factors that the mode can give."""
    found = []
    for quantity in NO_LIMITS if mode.limits is None else Quantity:
        if quantity is Quantity.ZSCORE and mode.reorder:
            continue
        for factor in (0, 1):
            name = f"{quantity}{factor}"
            found.append(Output(name, quantity, factor, 1 - factor, 3.5))
    return tuple(found)


MODES: dict[str, tuple[tuple[tuple[Factor, ...], ...], dict[str, Any]]] = {
    "count": ((COUNT,), {}),
    "count adjusted, aging": ((COUNT,), {"adjust": True, "ignore_na": False}),
    "count aging, weighted": ((COUNT,), {"ignore_na": False, "weighted": True}),
    "count target chart": ((COUNT,), {"seed": Seed(value=20.0), "limits": CHART}),
    "count target of weight": ((COUNT,), {"seed": Seed(value=20.0, weight=3.0), "adjust": True}),
    "count first readings": ((COUNT,), {"seed": Seed(readings=5), "limits": CHART}),
    "count baseline": ((COUNT,), {"limits": Limits(baseline=10), "reset_after": 3000}),
    "count holt": ((COUNT,), {"trend": Trend(method="holt", beta=0.3)}),
    "count clipped": (
        (COUNT,),
        {"outliers": Outliers(lowest=-50.0, deviations=2.5, accept_after=2), "min_periods": 4},
    ),
    "count by change": ((COUNT,), {"emission": Emission(change=0.5), "sessions": True}),
    "both clocks": ((COUNT, EVENT), {"adjust": True, "stale": True}),
    "event": ((EVENT,), {}),
    "event slow": ((SLOW,), {"biased": True}),
    "event weighted": ((EVENT,), {"weighted": True, "late_cutoff": 2000}),
    "event target chart": (
        (EVENT,),
        {"seed": Seed(value=20.0), "limits": CHART, "outliers": Outliers(deviations=3.0)},
    ),
    "event warm-up": ((EVENT,), {"min_n_eff": 1.5, "warm_up": "hold", "sessions": True}),
    "event flagged": ((EVENT,), {"min_periods": 5, "warm_up": "flag", "reset_after": 3000}),
    "event by interval": ((EVENT,), {"emission": Emission(interval=400)}),
    "event holt": (
        (EVENT,),
        {"trend": Trend(method="holt", beta_half_life=900.0), "late": "refuse"},
    ),
    "next": ((EVENT,), {"weighting": Weighting.INTERVAL_NEXT, "limits": CHART}),
    "prev": ((EVENT,), {"weighting": Weighting.INTERVAL_PREV, "limits": CHART, "adjust": False}),
    "prev adjusted, by change": (
        (SLOW,),
        {
            "weighting": Weighting.INTERVAL_PREV,
            "emission": Emission(change=0.2),
            "outliers": Outliers(deviations=3.0),
        },
    ),
    "prev sorted": (
        (EVENT,),
        {"weighting": Weighting.INTERVAL_PREV, "reorder": 4, "reorder_grace": 3000},
    ),
    "linear": ((EVENT,), {"weighting": Weighting.INTERVAL_LINEAR, "seed": Seed(value=20.0)}),
    "linear sorted": (
        (SLOW,),
        {
            "weighting": Weighting.INTERVAL_LINEAR,
            "reorder": 3,
            "adjust": False,
            "reset_after": 9000,
            "limits": Limits(baseline=3),
        },
    ),
}


def plan_named(name: str) -> Plan:
    sets, settings = MODES[name]
    mode = Mode(**settings)
    return Plan(sets=sets, mode=mode, outputs=all_outputs(mode), time_unit=1000.0)


@dataclass(frozen=True)
class Readings:
    """Columns of a fold."""

    slot: np.ndarray
    time: np.ndarray
    x: np.ndarray
    action: np.ndarray
    weight: np.ndarray
    session: np.ndarray
    restart: np.ndarray

    def part(self, rows: slice | np.ndarray) -> "Readings":
        return Readings(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))

    def fold(self, state: KeyedState, plan: Plan) -> FoldResult:
        return fold(
            state,
            plan,
            self.slot,
            self.time,
            self.x,
            self.action,
            weight=self.weight if plan.mode.weighted else None,
            session=self.session if plan.mode.sessions else None,
            restart=self.restart,
        )


def readings(seed: int, n: int, keys: int, *, extremes: bool = True) -> Readings:
    """Ordinary, late, missing and hostile readings."""
    generator = np.random.default_rng(seed)
    x = generator.normal(20.0, 5.0, n)
    steps = generator.choice([0, 1, 10, 100, 20_000], n, p=[0.1, 0.3, 0.4, 0.19, 0.01])
    time = 1_767_225_600_000 + np.cumsum(steps) - generator.choice([0, 0, 0, 30, 4000], n)
    if extremes:
        hostile = generator.integers(0, n, n // 20)
        numbers = [np.nan, np.inf, -np.inf, 1.7e308, -1.7e308, 1e200, 1e150, -1e150, 5e-324, -0.0]
        x[hostile] = np.resize(numbers, len(hostile))
        time[generator.integers(0, n, n // 200)] = np.resize([-(2**63), 0, -1], n // 200)
    weight = generator.uniform(0.1, 5.0, n)
    weight[generator.integers(0, n, n // 100)] = 0.0
    return Readings(
        slot=generator.integers(0, keys, n).astype(np.int32),
        time=time,
        x=x,
        action=generator.choice(list(Action), n, p=[0.9, 0.05, 0.01, 0.03, 0.01]).astype(np.uint8),
        weight=weight,
        session=np.cumsum(generator.random(n) < 0.01) - generator.integers(0, 2, n),
        restart=(generator.random(n) < 0.005).astype(np.uint8),
    )


def new_state(plan: Plan, keys: int) -> KeyedState:
    """Rows for `keys` keys, each set of factors in turn."""
    state = KeyedState(plan.places)
    state.grow(keys)
    sets = np.arange(keys) % len(plan.sets)
    state.assign(np.arange(keys), sets.astype(np.uint16))
    return state


def used_words(state: KeyedState, keys: int) -> np.ndarray:
    return state.words[: keys * state.places.width]


def digest(n: int = 600, keys: int = 5) -> str:
    """Hash of every bit of states and results over all plans."""
    found = sha256()
    for number, name in enumerate(MODES):
        plan = plan_named(name)
        state = new_state(plan, keys)
        result = readings(number, n, keys).fold(state, plan)
        found.update(used_words(state, keys).tobytes())
        found.update(result_bits(result))
    return found.hexdigest()
