"""Whole columns of readings: `ewma` for one series or several side by side, `smooth` for keys."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, Unpack, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stream_ewma.columns import Float64, Int32, Int64, UInt16
from stream_ewma.frames import Labelled, Table, Values, numbers_of, rebuild, table_of
from stream_ewma.smoothing.interning import Keys, keys_of
from stream_ewma.smoothing.options import (
    PARAMETERS,
    UNNAMED,
    Given,
    Options,
    Smoothing,
    check_names,
    only_one,
    outputs_of,
)
from stream_ewma.smoothing.outputs import Output, Quantity
from stream_ewma.smoothing.running import Readings, columns_for, has_missing, run
from stream_ewma.smoothing.times import Scale, Times, times_of

_Column = TypeVar("_Column", bound=Labelled)
_MEAN = (Output("ewma", Quantity.EWMA),)


@overload
def ewma(
    values: _Column,
    *,
    alpha: float | None = None,
    span: float | None = None,
    com: float | None = None,
    half_life: object = None,
    times: Any = None,
    adjust: bool | None = None,
    ignore_na: bool = False,
    min_periods: int = 1,
    axis: int = 0,
) -> _Column: ...


@overload
def ewma(
    values: ArrayLike,
    *,
    alpha: float | None = None,
    span: float | None = None,
    com: float | None = None,
    half_life: object = None,
    times: Any = None,
    adjust: bool | None = None,
    ignore_na: bool = False,
    min_periods: int = 1,
    axis: int = 0,
) -> Float64: ...


def ewma(
    values: Any,
    *,
    alpha: float | None = None,
    span: float | None = None,
    com: float | None = None,
    half_life: object = None,
    times: Any = None,
    adjust: bool | None = None,
    ignore_na: bool = False,
    min_periods: int = 1,
    axis: int = 0,
) -> Any:
    """Exponentially weighted moving average of a series.

    >>> ewma([10, 12, 15, 18, 22], alpha=0.2).tolist()
    [10.0, 10.4, 11.32, 12.656, 14.5248]

    The first reading seeds the mean, then m += alpha (x - m): pandas' `ewm(adjust=False)`; pandas'
    own default is `adjust=True`. With times, readings weigh 2^(-age / half_life), normalised, as in
    pandas' `ewm(halflife=..., times=...)`; late ones are merged exactly, so order is free.

    Args:
        values: (n,) or more dimensions; None, NaN, null and infinity are missing, and the mean
            before them stands. A Series or DataFrame of pandas or polars gives one with its labels.
        alpha: weight of a new reading, 0 < alpha <= 1. Exactly one of the four is given.
        span: alpha = 2 / (span + 1), span >= 1.
        com: alpha = 1 / (1 + com), com >= 0.
        half_life: readings until a weight has halved, > 0: alpha = 1 - 2^(-1/half_life). With
            times, event time: a number in their unit; for dates text as "30s", or a timedelta.
        times: (n,) numbers or dates along `axis`; dates without a zone are UTC.
        adjust: True: bias-corrected weights. None: False without times, True with them. False with
            times: each reading weighs 1 - 2^(-time since the one before / half_life).
        ignore_na: missing readings do not age the weights; with times, time ages them anyway.
        min_periods: readings before there is a mean; NaN until then.
        axis: along which the readings follow one another; the first, as rows of a DataFrame do.

    Returns:
        float64, of the shape of `values`.

    Raises:
        ValueError: a parameter is out of range, or does not go with the others.
        TypeError: `values` are no numbers, or `times` no times.
    """
    options: Options = {"adjust": adjust, "ignore_na": ignore_na, "min_periods": min_periods}
    given = {"alpha": alpha, "span": span, "com": com, "half_life": half_life}
    smoothing = Smoothing({UNNAMED: only_one(given)}, (), options)
    array = np.moveaxis(numbers_of("values", values), axis, 0)
    side_by_side = int(np.prod(array.shape[1:]))
    found = None if times is None else times_of(times, len(array))
    scale = _scale(smoothing, found)
    readings = Readings(
        x=array.reshape(-1),
        slot=lambda rows: _places(rows, side_by_side).astype(np.int32),
        tick=_ticks(found, scale, side_by_side),
        weight=None,
        sets=np.zeros(side_by_side, np.uint16),
    )
    mean = _folded(smoothing, scale, _MEAN, readings)["ewma"]
    return rebuild(values, np.moveaxis(mean.reshape(array.shape), 0, axis))


def _places(rows: slice, side_by_side: int) -> Int64:
    """Which of the series side by side some rows of the flattened array belong to."""
    if side_by_side == 1:
        return np.zeros(rows.stop - rows.start, np.int64)
    return np.arange(rows.start, rows.stop) % side_by_side


def smooth(
    values: Values,
    keys: Any = None,
    times: Any = None,
    *,
    outputs: Sequence[str] = ("ewma",),
    alpha: float | None = None,
    span: float | None = None,
    com: float | None = None,
    half_life: object = None,
    factors: Mapping[str, Given] | None = None,
    rules: Sequence[Mapping[str, Any]] = (),
    weights: Any = None,
    horizon: object = None,
    **options: Unpack[Options],
) -> Any:
    """Smooth the readings of many keys in one pass, in the order of the rows.

    >>> columns = smooth([1, 10, 3, 30], ["a", "b", "a", "b"], alpha=0.5, outputs=["ewma", "count"])
    >>> columns["ewma"].tolist(), columns["count"].tolist()
    ([1.0, 10.0, 2.0, 20.0], [1, 1, 2, 2])

    Args:
        values: (n,) readings; what is missing, and what is done then, is as in `ewma`. Above 1e150
            in size they are missing too where outputs need squares.
        keys: (n,) hashable keys, of numpy, pandas, polars or Python; a missing key is one key.
            None: all rows are of one.
        times: (n,), as in `ewma`.
        outputs: of `ewma count variance std n_eff weight_sum zscore slope level forecast lag centre
            lcl ucl out_of_control ready late`. Slopes and lags are in the unit of the times, in
            seconds for dates, or in readings. z-scores compare a reading with those before it.
        alpha: exactly one of this, `span`, `com`, `half_life` and `factors` is given; see `ewma`.
        span: see `ewma`.
        com: see `ewma`.
        half_life: see `ewma`.
        factors: several by name: {"fast": {"span": 12}, "slow": {"span": 26}}. Columns are then
            `ewma_fast`, `ewma_slow`, and so on; `fast-slow` is the difference of two means.
        rules: [{"keys": "pump-*", "alpha": 0.5}] or with "factors": for the keys whose text matches
            the glob; the first that matches counts.
        weights: (n,) of the readings, > 0.
        horizon: how far ahead `forecast` looks: a span of time as `half_life`, or readings.
        **options: see `Options`.

    Returns:
        Columns (n,) by name: float64 with NaN where undefined, int64 counts, bool flags; as a
        DataFrame with the index of `values` where those are a Series of pandas or polars.

    Raises:
        ValueError: an argument is out of range, or does not go with the others; columns differ in
            length; a reading is late and cannot be merged.
        TypeError: `values` are no numbers, or there is no such option.
    """
    check_names(options)
    given = {"alpha": alpha, "span": span, "com": com, "half_life": half_life, "factors": factors}
    weighted = weights is not None
    smoothing = Smoothing(_by_name(given), _rules(rules), options, weighted=weighted)
    wanted = (outputs,) if isinstance(outputs, str) else tuple(outputs)
    return _smoothed(smoothing, values, keys, times, weights, wanted, horizon)


def _smoothed(
    smoothing: Smoothing,
    values: Values,
    keys: Any,
    times: Any,
    weights: Any,
    wanted: tuple[str, ...],
    horizon: object,
) -> Any:
    x = numbers_of("values", values)
    if x.ndim != 1:
        raise TypeError(f"values: write one column, not {x.ndim} dimensions")
    found = None if times is None else times_of(times, len(x))
    scale = _scale(smoothing, found)
    ahead = smoothing.horizon(scale, horizon)
    known = None if keys is None else keys_of(keys, len(x))
    readings = Readings(
        x=x,
        slot=_slots(known),
        tick=_ticks(found, scale, 1),
        weight=None if weights is None else _weights(weights, len(x)),
        sets=_sets(smoothing, scale, known),
    )
    outputs = outputs_of(wanted, list(smoothing.factors), ahead)
    return table_of(values, _folded(smoothing, scale, outputs, readings))


def _by_name(given: Mapping[str, object]) -> dict[str, Given]:
    """The factors by name, of one mapping in which exactly one of five is given."""
    factors = given.get("factors")
    single = {name: value for name, value in given.items() if name in PARAMETERS}
    if factors is None:
        return {UNNAMED: only_one(single)}
    if not isinstance(factors, Mapping) or not factors:
        raise ValueError("factors: write names with one parameter each: {'fast': {'span': 12}}")
    if any(value is not None for value in single.values()):
        raise ValueError(f"factors: remove it, or {', '.join(PARAMETERS)}")
    return {str(name): only_one(factor) for name, factor in factors.items()}


def _rules(rules: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, dict[str, Given]], ...]:
    found = []
    for rule in rules:
        rest = dict(rule)
        if "keys" not in rest:
            raise ValueError("rules: each needs keys, a glob such as 'pump-*'")
        keys = str(rest.pop("keys"))
        if rest.keys() - {"factors", *PARAMETERS}:
            raise ValueError(
                f"rules: besides keys, write factors or one of {', '.join(PARAMETERS)}"
            )
        found.append((keys, _by_name(rest)))
    return tuple(found)


def _scale(smoothing: Smoothing, times: Times | None) -> Scale | None:
    if times is None:
        return None
    if not smoothing.has_half_life and smoothing.options.get("reset_after") is None:
        raise ValueError("times: only a half_life (or reset_after) is measured in time")
    return times.scale(smoothing.shortest)


def _ticks(
    times: Times | None, scale: Scale | None, side_by_side: int
) -> Callable[[slice], Int64] | None:
    if times is None or scale is None:
        return None
    read = times.reader(scale)
    if side_by_side == 1:
        return read
    return lambda rows: _repeated(read, rows, side_by_side)


def _repeated(read: Callable[[slice], Int64], rows: slice, side_by_side: int) -> Int64:
    """The times of some rows of a flattened array."""
    first, last = rows.start // side_by_side, (rows.stop - 1) // side_by_side
    at = np.arange(rows.start, rows.stop) // side_by_side - first
    ticks: Int64 = read(slice(first, last + 1))[at]
    return ticks


def _slots(keys: Keys | None) -> Callable[[slice], Int32]:
    if keys is None:
        return lambda rows: np.zeros(rows.stop - rows.start, np.int32)
    slot = keys.slot
    return lambda rows: slot[rows]


def _sets(smoothing: Smoothing, scale: Scale | None, keys: Keys | None) -> UInt16:
    names = [None] if keys is None else keys.names
    if not smoothing.rules:
        return np.zeros(len(names), np.uint16)
    rules = smoothing.rules_of(scale)
    texts = (name.decode() if isinstance(name, bytes) else str(name) for name in names)
    return np.array([rules.resolve(text) for text in texts], np.uint16)


def _weights(weights: Any, rows: int) -> NDArray[Any]:
    array = numbers_of("weights", weights)
    if array.shape != (rows,):
        raise ValueError(f"weights: write one for each of the {rows} readings")
    if not (np.isfinite(array) & (array > 0)).all():
        raise ValueError("weights: write finite numbers greater than 0")
    return array


def _folded(
    smoothing: Smoothing, scale: Scale | None, outputs: tuple[Output, ...], readings: Readings
) -> Table:
    columns = columns_for(outputs)
    plain = columns is not outputs and not has_missing(readings.x)
    return run(smoothing.plan(scale, columns, none_missing=plain), outputs, readings)
