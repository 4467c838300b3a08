"""What `tune` has found, for people and for programs."""

import glob
import json
import math
from collections.abc import Iterator
from typing import Any, Final

from stream_ewma.cli.curve import draw
from stream_ewma.cli.recorded import printable
from stream_ewma.files.tuning import TOLERANCE, Best, Error, KeyTuning, Tuning

_UNITS: Final = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_PLOT_WIDTH: Final = 66
_PLOT_HEIGHT: Final = 9
_MOST_SHOWN: Final = 2.0
"""Errors beyond so many times the best are left out of the plot: they would press it flat, and
aside."""
_CLEARLY: Final = 0.05
"""A key gets a rule where its own factor makes its error smaller by this share."""
_LEAST_EVIDENCE: Final = 10.0
"""And twice the log likelihood ratio of the two (for normal errors) is at least this and more
the more keys there are, so that chance makes no rule."""
_FEWEST_FOR_RULE: Final = 100
_MOST_RULES: Final = 20
_KEY_WIDTH: Final = 20


class Report:
    """Text of at most 80 columns.

    Args:
        tuning: what was found.
        name: of the file.
        top: keys shown.
        plain: ASCII only.
        bold: whether the terminal knows bold type.
    """

    def __init__(self, tuning: Tuning, name: str, *, top: int, plain: bool, bold: bool) -> None:
        self._tuning, self._name, self._top = tuning, name, top
        self._plain, self._bold = plain, bold
        self._label = "RMSE" if tuning.criterion == "squared" else "MAE"

    def text(self) -> str:
        """All of it."""
        parts = [self._head(), self._table(), self._plot(), self._flatness()]
        if len(self._tuning.keys) > 1:
            parts.append(self._by_key())
        parts.append(self._advice())
        return "\n\n".join("\n".join(part) for part in parts) + "\n"

    def _head(self) -> list[str]:
        tuning = self._tuning
        keys = f"{len(tuning.keys):,} key{'' if len(tuning.keys) == 1 else 's'}"
        clock = "event time" if tuning.event_time else "readings"
        name = self._shown(self._name)
        return [
            f"{name}: {tuning.readings:,} readings of {keys}, the clock is {clock}.",
            f"{tuning.scored:,} of them are scored, all but the first of a key: each against the",
            "smoothed value before it. The best factor predicts the next reading best.",
        ]

    def _table(self) -> list[str]:
        tuning = self._tuning
        parameter = "half_life" if tuning.event_time else "alpha"
        rows = [
            ("last value (no smoothing)", "" if tuning.event_time else "1", tuning.last_value),
            ("best", factor_text(tuning, tuning.best.factor), tuning.best.error),
            ("mean of all readings before", "", tuning.mean),
        ]
        lines = [f"{'predicted by':<28}{parameter:>12}{'RMSE':>14}{'MAE':>14}"]
        for what, factor, error in rows:
            line = f"{what:<28}{factor:>12}{error.rmse:>#14.6g}{error.mae:>#14.6g}"
            lines.append(self._strong(line) if what == "best" else line)
        return lines

    def _plot(self) -> list[str]:
        tuning = self._tuning
        xs = [math.log(factor) for factor in tuning.factors.tolist()]
        ys = [error.by(tuning.criterion) for error in tuning.curve]
        best = tuning.best.error.by(tuning.criterion)
        point = math.log(tuning.best.factor)
        place = sum(x < point for x in xs)
        if point not in xs:
            xs.insert(place, point)
            ys.insert(place, best)
        top = min(max(ys), _MOST_SHOWN * best)
        xs, ys = _within(xs, ys, top)
        lines = draw(
            xs,
            ys,
            width=_PLOT_WIDTH,
            height=_PLOT_HEIGHT,
            top=top,
            bottom=best,
            plain=self._plain,
        )
        marks = {0: f"{top:.4g}", _PLOT_HEIGHT - 1: f"{best:.4g}"}
        side = "|" if self._plain else "│"
        shown = [f"{marks.get(row, ''):>9} {side}{line}" for row, line in enumerate(lines)]
        return [f"{self._label:>9}", *(line.rstrip() for line in shown), *self._axis(xs)]

    def _axis(self, xs: list[float]) -> list[str]:
        """The axis with the flat range and the best on it, and the factors under it."""
        tuning = self._tuning

        def column(factor: float) -> int:
            share = (math.log(factor) - xs[0]) / (xs[-1] - xs[0])
            return round(min(max(share, 0.0), 1.0) * (_PLOT_WIDTH - 1))

        line, flat, best, corner = "-=^+" if self._plain else "─━┻└"
        axis = [line] * _PLOT_WIDTH
        for place in range(column(tuning.best.low), column(tuning.best.high) + 1):
            axis[place] = flat
        axis[column(tuning.best.factor)] = best
        texts = [" "] * (_PLOT_WIDTH + 8)
        free = 0
        for number in range(7):
            factor = math.exp(xs[0] + (xs[-1] - xs[0]) * number / 6)
            text = factor_text(tuning, factor, digits=2)
            start = max(free, min(column(factor) - len(text) // 2, _PLOT_WIDTH - len(text)))
            texts[start : start + len(text)] = text
            free = start + len(text) + 1
        return [f"{'':>9} {corner}{''.join(axis)}", f"{'':>11}{''.join(texts)}".rstrip()]

    def _flatness(self) -> list[str]:
        tuning, best = self._tuning, self._tuning.best
        low, high = factor_text(tuning, best.low), factor_text(tuning, best.high)
        flat = f"From {low} to {high} the {self._label} is within 1 % of the best"
        size = best.error.by(tuning.criterion)
        if tuning.last_value.by(tuning.criterion) <= size:
            return [
                "Nothing beats the last value: a reading is close to the one before it, and any",
                "smoothing lags behind. Smooth for the eye or against noise, not to predict.",
                f"{flat}.",
            ]
        lines = [f"{flat}: {_flatness_word(best)}."]
        if tuning.mean.by(tuning.criterion) <= size * (1.0 + TOLERANCE):
            lines.append("The plain mean does as well: the readings scatter around one level.")
        gain = 1.0 - size / tuning.last_value.by(tuning.criterion)
        return [*lines, f"The best is {_percent(gain)} better than the last value."]

    def _by_key(self) -> list[str]:
        tuning = self._tuning
        overall = factor_text(tuning, tuning.best.factor)
        with_all = f"with {overall}"
        head = f"{'key':<{_KEY_WIDTH}}{'readings':>10}{'best':>10}{'within 1 %':>18}"
        lines = [f"{head}{self._label:>9}{with_all:>13}"]
        lines += [self._key_line(key) for key in tuning.keys[: self._top]]
        hidden = len(tuning.keys) - self._top
        if hidden > 0:
            lines.append(f"... and {hidden:,} more keys; --top N shows more, --json all")
        return lines

    def _key_line(self, key: KeyTuning) -> str:
        tuning = self._tuning
        name = self._shown(key.key)
        name = name if len(name) < _KEY_WIDTH else f"{name[: _KEY_WIDTH - 4]}..."
        start = f"{name:<{_KEY_WIDTH}}{key.readings:>10,}"
        if key.best is None:
            return f"{start}  too few, or constant"
        low, high = (factor_text(tuning, end, digits=2) for end in (key.best.low, key.best.high))
        worse = _worse(tuning, key)
        return (
            f"{start}{factor_text(tuning, key.best.factor):>10}{f'{low} - {high}':>18}"
            f"{key.best.error.by(tuning.criterion):>9.4g}{f'+{_percent(worse)}':>13}"
        )

    def _advice(self) -> list[str]:
        lines = yaml_lines(self._tuning, ascii_only=self._plain)
        return ["To paste into stream-ewma.yaml:", "", *(self._strong(line) for line in lines)]

    def _shown(self, text: str) -> str:
        return printable(text, ascii_only=self._plain)

    def _strong(self, text: str) -> str:
        return f"\x1b[1m{text}\x1b[0m" if self._bold else text


def _within(xs: list[float], ys: list[float], top: float) -> tuple[list[float], list[float]]:
    """The part of a curve below `top`, and one point more on either side."""
    below = [place for place, y in enumerate(ys) if y <= top]
    shown = slice(max(0, below[0] - 1), below[-1] + 2)
    return xs[shown], ys[shown]


def _percent(share: float) -> str:
    return f"{100.0 * share:.1f} %"


def _flatness_word(best: Best) -> str:
    octaves = math.log2(best.high / best.low)
    if octaves >= 2.0:
        return "the exact factor hardly matters"
    return "a clear optimum" if octaves < 0.5 else "near it is good enough"


def _worse(tuning: Tuning, key: KeyTuning) -> float:
    """How much larger the key's error is with the best factor of all keys."""
    assert key.best is not None  # noqa: S101  only asked of keys that have one
    own = key.best.error.by(tuning.criterion)
    overall = key.error_with_overall.by(tuning.criterion)
    return max(0.0, overall / own - 1.0) if own > 0.0 else 0.0


def factor_text(tuning: Tuning, factor: float, digits: int = 3) -> str:
    """A factor as it is written in the settings."""
    if not tuning.event_time:
        return f"{factor:.{digits}g}"
    unit = next((name for name, size in _UNITS.items() if factor >= size), "ms")
    size = _UNITS[unit]
    number = factor / size
    decimals = max(0, digits - len(str(int(number)))) if size > 1 else 0
    text = f"{number:.{decimals}f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text}{unit}"


def _distinct(tuning: Tuning) -> Iterator[KeyTuning]:
    """The keys that are clearly better off with a factor of their own."""
    least = _LEAST_EVIDENCE + 2.0 * math.log(len(tuning.keys))
    for key in tuning.keys:
        if key.best is None:
            continue
        worse = _worse(tuning, key)
        evidence = 2.0 * key.readings * math.log1p(worse)
        if worse >= _CLEARLY and key.readings >= _FEWEST_FOR_RULE and evidence >= least:
            yield key


def yaml_lines(tuning: Tuning, *, ascii_only: bool) -> list[str]:
    """The settings."""
    name = "half_life" if tuning.event_time else "alpha"
    lines = ["smoothing:", f"  {name}: {factor_text(tuning, tuning.best.factor)}"]
    rules = list(_distinct(tuning))[:_MOST_RULES]
    if rules:
        lines.append("  rules:")
    for key in rules:
        assert key.best is not None  # noqa: S101  so chosen
        pattern = json.dumps(glob.escape(key.key), ensure_ascii=ascii_only)
        lines.append(f"    - {{keys: {pattern}, {name}: {factor_text(tuning, key.best.factor)}}}")
    return lines


def as_document(tuning: Tuning, name: str) -> dict[str, Any]:
    """All that was found, for `--json`; half lives are in milliseconds."""
    parameter = "half_life_ms" if tuning.event_time else "alpha"

    def best(found: Best) -> dict[str, Any]:
        return {
            parameter: found.factor,
            **errors(found.error),
            "within_1_percent": [found.low, found.high],
        }

    def errors(error: Error) -> dict[str, float]:
        return {"rmse": error.rmse, "mae": error.mae}

    return {
        "file": name,
        "clock": "time" if tuning.event_time else "readings",
        "error": tuning.criterion,
        "readings": tuning.readings,
        "scored": tuning.scored,
        "best": best(tuning.best),
        "last_value": errors(tuning.last_value),
        "mean": errors(tuning.mean),
        "curve": [
            {parameter: factor, **errors(error)}
            for factor, error in zip(tuning.factors.tolist(), tuning.curve, strict=True)
        ],
        "keys": [
            {
                "key": key.key,
                "readings": key.readings,
                "best": None if key.best is None else best(key.best),
                "with_overall_best": errors(key.error_with_overall),
            }
            for key in tuning.keys
        ],
        "settings": {"smoothing": _settings(tuning)},
    }


def _settings(tuning: Tuning) -> dict[str, Any]:
    name = "half_life" if tuning.event_time else "alpha"

    def value(factor: float) -> str | float:
        text = factor_text(tuning, factor)
        return text if tuning.event_time else float(text)

    found: dict[str, Any] = {name: value(tuning.best.factor)}
    rules = [
        {"keys": glob.escape(key.key), name: value(key.best.factor)}
        for key in _distinct(tuning)
        if key.best is not None
    ]
    return {**found, "rules": rules} if rules else found
