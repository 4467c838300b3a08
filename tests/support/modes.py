"""A series through the fold in one call, for tests that compare with other libraries."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from stream_ewma.smoothing.mode import Mode
from stream_ewma.smoothing.outputs import Output, Quantity
from stream_ewma.smoothing.parameters import Factor
from stream_ewma.smoothing.plan import Plan
from stream_ewma.smoothing.recursion import fold
from stream_ewma.smoothing.rows import Action
from stream_ewma.smoothing.state import KeyedState

_FACTORS = ("alpha", "span", "com", "half_life_samples", "half_life")


def fold_plan(
    x: Sequence[float],
    times: Sequence[int] | None = None,
    *,
    outputs: Sequence[str],
    **settings: Any,
) -> dict[str, Any]:
    """The outputs by name; NaN readings are missing ones."""
    factor = Factor(**{name: settings.pop(name) for name in _FACTORS if name in settings})
    plan = Plan.of(factor, Mode(**settings), [Output(name, Quantity(name)) for name in outputs])
    state = KeyedState(plan.places)
    state.grow(1)
    n = len(x)
    actions = [Action.HOLD if math.isnan(value) else Action.OBSERVE for value in x]
    result = fold(
        state,
        plan,
        np.zeros(n, np.int32),
        np.array([0] * n if times is None else times, np.int64),
        np.array(x, np.float64),
        np.array(actions, np.uint8),
    )
    return result.columns
