"""One series, one reading at a time: `Ewma`."""

from collections.abc import Callable
from math import inf, nan
from typing import Any, Final, Self, Unpack

import numpy as np

from stream_ewma.columns import Int64
from stream_ewma.smoothing import carrying, joining
from stream_ewma.smoothing.layout import COUNT
from stream_ewma.smoothing.options import (
    UNNAMED,
    Given,
    Options,
    Parameters,
    Smoothing,
    check_names,
    only_one,
)
from stream_ewma.smoothing.outputs import LIMITS, Output, Quantity
from stream_ewma.smoothing.plan import Plan, Row
from stream_ewma.smoothing.rows import Outcome
from stream_ewma.smoothing.running import expects_order
from stream_ewma.smoothing.single import AT_LAST, OUTCOME, Block, look, score, update
from stream_ewma.smoothing.state import KeyedState
from stream_ewma.smoothing.times import Scale, scale_for, span_of

_LATE: Final = int(Outcome.LATE)
_COLUMNS: Final = (
    *(Quantity.EWMA, Quantity.COUNT, Quantity.VARIANCE, Quantity.STD, Quantity.N_EFF),
    *(Quantity.WEIGHT_SUM, Quantity.SLOPE, Quantity.LEVEL, Quantity.FORECAST, Quantity.LAG),
)
_EWMA, _, _VARIANCE, _STD, _N_EFF, _, _SLOPE, _LEVEL, _FORECAST, _ = range(len(_COLUMNS))
_ENDS: Final = 1 << 63


class Ewma:
    """Exponentially weighted mean, variance and trend of readings that come one by one.

    >>> mean = Ewma(alpha=0.2)
    >>> [mean.update(x) for x in [10, 12, 15, 18, 22]]
    [10.0, 10.4, 11.32, 12.656, 14.5248]
    >>> round(mean.std, 6), mean.count
    (5.475133, 5)

    The results have the same bits as those of `ewma`, `smooth` and the service over the same
    readings. The state is a few hundred bytes, however many readings there were.

    Args:
        alpha: weight of a new reading, 0 < alpha <= 1. Exactly one of the four is given.
        span: alpha = 2 / (span + 1), span >= 1.
        com: alpha = 1 / (1 + com), com >= 0.
        half_life: until a weight has halved, > 0: text ("30s") or timedelta where times are dates,
            else a number in their unit; of readings, if the first one comes without a time.
        **options: see `Options`.

    Raises:
        ValueError: a parameter is out of range, or does not go with the others.
        TypeError: there is no such option.
    """

    __slots__ = ("_block", "_given", "_options", "_scale", "_smoothing")

    _block: Block | None
    _given: Given
    _options: Options
    _scale: Scale | None
    _smoothing: Smoothing

    def __init__(
        self,
        *,
        alpha: float | None = None,
        span: float | None = None,
        com: float | None = None,
        half_life: object = None,
        **options: Unpack[Options],
    ) -> None:
        check_names(options)
        self._options = options
        self._use({"alpha": alpha, "span": span, "com": com, "half_life": half_life})

    def _use(self, given: Given) -> None:
        """Begin anew with a factor; its block waits for the first time where there may be one."""
        chosen = only_one(given)
        # There is room for weights but in the interval weightings, of which `adjust` asks for one,
        # and in a plain mean of first readings.
        weighted = (
            self._options.get("weighting") in (None, "event")
            and not ("half_life" in chosen and self._options.get("adjust") in (False, np.False_))
            and "readings" not in (self._options.get("seed") or {})
        )
        smoothing = Smoothing({UNNAMED: chosen}, (), self._options, weighted=weighted)
        spans = [chosen.get("half_life"), self._options.get("reset_after")]
        timed = [span_of("half_life", span) for span in spans if span is not None]
        block = None
        if not timed:
            block = Block(_plan(smoothing, None))
        elif isinstance(timed[0], int) or spans[1] is not None:
            _plan(smoothing, Scale(is_date=isinstance(timed[0], int), shift=0))
        else:  # a number, which may count readings
            try:
                _plan(smoothing, None)
            except ValueError:
                _plan(smoothing, Scale(is_date=False, shift=0))
        self._given, self._smoothing, self._scale, self._block = chosen, smoothing, None, block

    def _begin(self, t: Any) -> Block:
        """The first reading shows whether there are times, and which."""
        scale = None if t is None else scale_for(t, self._smoothing.shortest)
        self._block = Block(_plan(self._smoothing, scale))
        self._scale = scale
        return self._block

    def _tick(self, t: Any) -> int:
        if self._scale is None or t is None:
            what = "a time comes with every reading or with none"
            raise ValueError(f"t: {what}, and only half_life and reset_after measure time")
        return self._scale.tick(t)

    def _move(self, block: Block, before: Scale, after: Scale) -> Block:
        """Go over to longer or shorter ticks."""
        row = carrying.rescaled(block.plan.places, block.row, after.shift - before.shift)
        self._scale, self._block = after, Block(_plan(self._smoothing, after))
        self._block.put(row.words)
        return self._block

    def update(self, x: float | None, t: Any = None, weight: float = 1.0) -> float:
        """Absorb a reading; answers the mean after it.

        Args:
            x: the reading; None, NaN and infinity are missing, and so is what is above 1e150 in
                size, whose square would overflow.
            t: its time: a number or a date; always or never.
            weight: its own, > 0; only with event weights.

        Returns:
            The mean; NaN while it is not defined, and for a reading left out (`late="drop"`).

        Raises:
            ValueError: the time is missing, out of range or of another kind than before, or earlier
                than the last where that cannot be merged; the weight is not greater than 0.
        """
        block = self._block or self._begin(t)
        tick = 0
        if t is not None or self._scale is not None:
            tick = self._tick(t)
            if not -_ENDS < tick < _ENDS and self._scale is not None:
                # So far from the first time that ticks as short as its do not reach there.
                block = self._move(block, self._scale, self._scale.reaching(tick))
                tick = self._tick(t)
        if weight != 1.0 and not (0.0 < weight < inf and self._smoothing.weighted):
            raise ValueError(f"weight: write a number greater than 0, with event weights: {weight}")
        words = block.words
        mean = update(words, block.numbers, nan if x is None else float(x), tick, float(weight))
        if mean != mean and words[OUTCOME] == _LATE and expects_order(block.plan.mode):  # noqa: PLR0124
            raise ValueError(f"t: {t!r} is earlier than the last one; sort, or write late='drop'")
        return mean

    def get(self, output: str = "ewma") -> float:
        """A result at the last reading; NaN where it is not defined (yet).

        Args:
            output: as in `smooth`: `ewma count variance std n_eff weight_sum slope level lag`, and
                with the option `limits` also `centre lcl ucl out_of_control`.

        Raises:
            ValueError: there is no such output.
        """
        names = [each.value for each in _quantities(self._options)]
        if output not in names:
            raise ValueError(f"output: write one of {', '.join(names)}, not {output!r}")
        return self._look(names.index(output))

    def _look(self, column: int, tick: int = AT_LAST) -> float:
        block = self._block
        return nan if block is None else float(look(block.words, block.numbers, column, tick))

    def at(self, t: Any) -> float:
        """The mean at a time; at the last reading's if that is later.

        It moves only with `weighting="interval_prev"`, where the last reading stands until then.
        """
        if self._block is None:
            return nan
        return self._look(_EWMA, max(AT_LAST, min(self._tick(t), _ENDS - 1)))

    @property
    def mean(self) -> float:
        """The mean at the last reading; NaN before the first."""
        return self._look(_EWMA)

    @property
    def count(self) -> int:
        """Readings since the first, or the last reset."""
        return 0 if self._block is None else int(self._block.replay[COUNT])

    @property
    def variance(self) -> float:
        """Weighted variance V/Q; NaN before the second reading. With `biased`: V."""
        return self._look(_VARIANCE)

    @property
    def std(self) -> float:
        """The variance's square root."""
        return self._look(_STD)

    @property
    def n_eff(self) -> float:
        """Kish's effective number of readings, (sum w)^2 / sum(w^2)."""
        return self._look(_N_EFF)

    @property
    def slope(self) -> float:
        """Change per unit of time (a second, for dates) or per reading; 0 below n_eff 3."""
        return self._look(_SLOPE)

    @property
    def level(self) -> float:
        """The trend's value at the last reading: a mean without its lag."""
        return self._look(_LEVEL)

    def forecast(self, horizon: object = 0) -> float:
        """The trend's value `horizon` after the last reading.

        Args:
            horizon: given as `half_life` is; at least 0.

        Raises:
            ValueError: it is not, or of another kind than the times.
        """
        if self._block is None:
            return nan
        self._block.horizons[_FORECAST] = self._smoothing.horizon(self._scale, horizon)
        return self._look(_FORECAST)

    def zscore(self, x: float) -> float:
        """Distance of a reading that is not absorbed, in predictive standard deviations.

        (x - m) / sqrt(V/Q (1 + E)) with E = sum(w^2) / (sum w)^2: the noise of a reading and that
        of the mean. NaN while no deviation is known.
        """
        block = self._block
        return nan if block is None else float(score(block.words, block.numbers, float(x)))

    def merge(self, other: "Ewma") -> Self:
        """Add the readings behind `other`, exactly, as if all had come here; answers this object.

        Raises:
            ValueError: the parameters differ, or what they keep depends on the order of readings:
                only event time with event weights merges.
        """
        theirs = other._block  # noqa: SLF001  another one of this class
        if theirs is None:
            return self
        scale = other._scale  # noqa: SLF001
        if _plan(self._smoothing, scale) != theirs.plan:
            raise ValueError(f"merge: {other!r} has other parameters than {self!r}")
        if self._block is None:
            self._scale, self._block = scale, Block(theirs.plan)
        block, mine = self._block, self._scale
        row = theirs.row
        if mine is None or scale is None:
            if mine is not scale:
                raise ValueError(f"merge: only one of {other!r} and {self!r} measures time")
        elif mine.shift != scale.shift:
            places = block.plan.places
            shift = carrying.meeting_shift(places, (block.row, mine.shift), (row, scale.shift))
            row = carrying.rescaled(places, row, shift - scale.shift).words
            block = self._move(block, mine, Scale(is_date=False, shift=shift))
        into = _row(block.row)
        joining.merge(block.plan, into, _row(row))
        block.put(into.words)
        return self

    def change(self, **factor: Unpack[Parameters]) -> bool:
        """Go on with another factor; answers whether the readings so far still count.

        Mean, count, variance, n_eff and trend are kept. The weight of the readings so far is at
        most what the new factor lets many readings weigh; in event time it decays by the new half
        life from now on. Between readings that are counted and event time nothing can be kept: the
        object begins anew.

        Args:
            **factor: one of `alpha`, `span`, `com` and `half_life`.

        Raises:
            ValueError: as for a new object; this one stays as it is then.
        """
        changed = Ewma(**factor, **self._options)
        block, scale = self._block, self._scale
        kept = block is None or _is_timed(self, scale) == _is_timed(changed, scale)
        if block is None or not kept:
            block, scale = changed._block, None
        else:
            converted = Block(_plan(changed._smoothing, scale))
            converted.put(_converted(block, converted.plan))
            block = converted
        self._given, self._smoothing = changed._given, changed._smoothing
        self._block, self._scale = block, scale
        return kept

    def to_bytes(self) -> bytes:
        """The state, without the parameters: little-endian, versioned, for `from_bytes`."""
        block = self._block
        return b"" if block is None else carrying.state_to_bytes(block.plan, self._scale, block.row)

    def from_bytes(self, data: bytes) -> Self:
        """Take over the state that `to_bytes` wrote; answers this object.

        Raises:
            ValueError: these are other bytes, another version, or the state of an object of other
                parameters; this one stays as it is then.
        """
        fresh = Ewma(**self._given, **self._options)  # type: ignore[arg-type]  # as it was given
        if data:
            scale = carrying.scale_of_bytes(data)
            plan = _plan(fresh._smoothing, scale)
            row = carrying.row_of_bytes(plan, data)
            fresh._scale, fresh._block = scale, Block(plan)
            fresh._block.put(row.words)
        self._scale, self._block = fresh._scale, fresh._block
        return self

    def __reduce__(self) -> tuple[Callable[..., "Ewma"], tuple[object, ...]]:
        """Copies and pickles carry parameters and state."""
        return _restored, ({**self._given, **self._options}, self.to_bytes())

    def __repr__(self) -> str:
        settings = {**self._given, **self._options}
        return f"Ewma({', '.join(f'{name}={value!r}' for name, value in settings.items())})"


def _restored(settings: dict[str, Any], data: bytes) -> Ewma:
    return Ewma(**settings).from_bytes(data)


def _is_timed(series: Ewma, scale: Scale | None) -> bool:
    """Whether its factor is measured in time, given the scale that times have had so far."""
    half_life = series._given.get("half_life")  # noqa: SLF001  of this file
    if half_life is None:
        return False
    return scale is not None or isinstance(span_of("half_life", half_life), int)


def _row(words: Int64) -> Row:
    row = Row.empty(len(words))
    row.words[:] = words
    return row


def _converted(block: Block, plan: Plan) -> Int64:
    """The row of a block for the factor of another plan of the same clock."""
    state = KeyedState(block.plan.places)
    state.grow(1)
    state.row(0)[:] = block.row
    joining.change_factors(
        state, 1, block.plan.sets, plan.sets, np.zeros(1, np.uint8), block.plan.mode
    )
    return state.row(0)


def _plan(smoothing: Smoothing, scale: Scale | None) -> Plan:
    quantities = _quantities(smoothing.options)
    if not smoothing.options.get("reorder"):
        quantities.append(Quantity.ZSCORE)
    outputs = [Output(quantity.value, quantity) for quantity in quantities]
    return smoothing.plan(scale, outputs)


def _quantities(options: Options) -> list[Quantity]:
    """What is kept of the readings, by column."""
    return [*_COLUMNS, *(sorted(LIMITS) if options.get("limits") is not None else ())]
