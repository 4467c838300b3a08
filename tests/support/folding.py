"""Short ways to fold readings, for tests and for the child processes that they start."""

from collections.abc import Sequence
from hashlib import sha256

import numpy as np

from stream_ewma.columns import Float64, Int64
from stream_ewma.smoothing.parameters import Factor
from stream_ewma.smoothing.plan import Plan
from stream_ewma.smoothing.recursion import FoldResult, fold
from stream_ewma.smoothing.rows import Action
from stream_ewma.smoothing.state import KeyedState

STATE_COLUMNS = ("weight", "mean", "count", "reference", "factor")
BOTH_CLOCKS = (Factor(alpha=1), Factor(half_life=1))


class PlainState(KeyedState):
    """Rows for mean and count on either clock, with names for what is in them."""

    @property
    def mean(self) -> Float64:
        return self.floats(self.places.mean)

    @property
    def weight(self) -> Float64:
        return self.floats(self.places.weight)

    @property
    def reference(self) -> Int64:
        return self.integers(self.places.reference)


def plain_plan(factors: Sequence[Factor]) -> Plan:
    """A plan whose rows are those of `PlainState`, whatever the clocks of `factors` are."""
    return Plan(sets=tuple((factor,) for factor in (*factors, *BOTH_CLOCKS)))


def new_state(rows: int, factor_indices: Sequence[int] = ()) -> PlainState:
    """Rows for `rows` keys; the first of them get the given factors."""
    state = PlainState(plain_plan(()).places)
    state.grow(rows)
    state.assign(np.arange(len(factor_indices)), np.array(factor_indices, np.uint16))
    return state


def fold_rows(
    state: KeyedState,
    factors: Sequence[Factor],
    x: Sequence[float],
    *,
    slots: Sequence[int] | None = None,
    times_ms: Sequence[int] | None = None,
    actions: Sequence[int] | None = None,
) -> FoldResult:
    """Fold plain sequences; by default one key, time 0, all observed."""
    n = len(x)
    return fold(
        state,
        plain_plan(factors),
        np.array([0] * n if slots is None else slots, np.int32),
        np.array([0] * n if times_ms is None else times_ms, np.int64),
        np.array(x, np.float64),
        np.array([Action.OBSERVE] * n if actions is None else actions, np.uint8),
    )


def state_bits(state: KeyedState) -> bytes:
    """Every bit of the state that counts, room that was merely reserved included."""
    return b"".join(getattr(state, name).tobytes() for name in STATE_COLUMNS)


def result_bits(*results: FoldResult) -> bytes:
    """Every bit of the results, one after another."""
    columns = [[getattr(r, name) for r in results] for name in ("mean", "count", "outcome")]
    return b"".join(np.concatenate(column).tobytes() for column in columns)


def digest() -> str:
    """Hash of states and results after 20,000 rows: ordinary, late, repeated and hostile ones."""
    generator = np.random.default_rng(20_260_101)
    n, keys = 20_000, 40
    factors = [
        Factor(alpha=0.2),
        Factor(alpha=1.0),
        Factor(half_life_samples=12.5),
        Factor(half_life=1500.0),
        Factor(half_life=0.3),
        Factor(half_life=7e17),
    ]
    state = new_state(keys, [key % len(factors) for key in range(keys)])
    x = generator.normal(20.0, 5.0, n)
    times = 1_767_225_600_000 + np.arange(n) * 10 + generator.integers(-4000, 4000, n)
    hostile = generator.integers(0, n, 400)
    x[hostile] = np.resize([np.nan, np.inf, -np.inf, 1.7e308, -1.7e308, 5e-324, -0.0], 400)
    extremes = generator.integers(0, n, 60)
    times[extremes] = np.resize([-(2**63), 2**63 - 1, 0, -1], 60)
    actions = generator.choice(list(Action), n, p=[0.9, 0.05, 0.01, 0.03, 0.01])
    result = fold_rows(
        state, factors, x, slots=generator.integers(0, keys, n), times_ms=times, actions=actions
    )
    return sha256(state_bits(state) + result_bits(result)).hexdigest()
