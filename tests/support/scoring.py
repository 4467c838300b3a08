"""One-step-ahead errors the plain way: a dict of state, one reading at a time."""

from dataclasses import dataclass

from stream_ewma.smoothing.power import exp2_negative


@dataclass
class Key:
    """What is known of one key with one factor."""

    mean: float
    weight: float
    reference: int
    squared: float = 0.0
    absolute: float = 0.0


def plain_scores(
    readings: list[tuple[int, int, float]], factor: float, *, event_time: bool
) -> dict[int, tuple[float, float]]:
    """The sums of squared and of absolute errors of each key, by their definition.

    Args:
        readings: (key, time, x) in order.
        factor: alpha, or the half life.
        event_time: which of the two.
    """
    keys: dict[int, Key] = {}
    for key, time, x in readings:
        if key not in keys:
            keys[key] = Key(x, 1.0, time)
            continue
        state = keys[key]
        error = x - state.mean
        state.squared += error * error
        state.absolute += abs(error)
        share = factor
        if event_time:
            added = 1.0
            if time < state.reference:
                added = exp2_negative(float(state.reference - time) / factor)
            else:
                state.weight *= exp2_negative(float(time - state.reference) / factor)
                if state.weight < 2.0**-1000:
                    state.weight = 0.0
            state.weight += added
            share = added / state.weight
        state.mean = x if share == 1.0 else state.mean + share * error
        state.reference = max(state.reference, time)
    return {key: (state.squared, state.absolute) for key, state in keys.items()}
