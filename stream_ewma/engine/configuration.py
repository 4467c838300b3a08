"""What gives the rows of a changelog their meaning, as text; and what another one makes of them.

Most settings say what is done to readings from now on, and may change at any time. Those here say
what the words of a row are: where each quantity is, and what was done to get it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from hashlib import sha256
from typing import Any, Final

import numpy as np

from stream_ewma.columns import Int64
from stream_ewma.engine.changelog import ChangelogError
from stream_ewma.engine.config import TaskConfig
from stream_ewma.engine.marker import document_of
from stream_ewma.smoothing.layout import COUNT, NOWHERE, Places
from stream_ewma.smoothing.parameters import Clock, Factor, KeyRules, Rule

VERSION: Final = 1

_SIZES: Final = ("width", "stride", "first_factor")
_OF_FACTOR: Final = ("mean", "weight", "spread", "seeded", "line", "holt", "share")
_CLOCKS: Final = {Clock.COUNT: "readings", Clock.EVENT_TIME: "event time"}

_ASKED_BY: Final = {
    "reference": "half_life, reset_after, stale_after, state.ttl or emit.interval",
    "session": "reset_daily",
    "flags": "output.emit or stale_after",
    "emitted_time": "emit.interval",
    "emitted_mean": "emit.on_change",
    "clipped": "outliers.deviations",
    "baseline": "limits.baseline",
    "last": "weighting",
    "held": "reorder",
    "weight": "adjust, ignore_na, seed, weight_sum or input.weight",
    "spread": "variance, std, zscore, n_eff, limits, trend, min_n_eff or outliers.deviations",
    "seeded": "seed with limits, zscore or outliers.deviations",
    "line": "trend or lag",
    "holt": "trend by Holt's method",
    "share": "weighting with variance or n_eff",
}
"""Which settings make a quantity be kept."""

_MAY_BE_DROPPED: Final = frozenset({"trend.method", "limits.baseline", "reset_daily"})
"""Settings that do not matter any longer once the quantity they are about is not kept."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the words of a key's row of one value are.

    Attributes:
        first_factor: words before the first factor's.
        stride: words of a factor.
        key: place and number of words of each quantity of the key.
        factor: the same of those of each factor, from its first word on.
    """

    first_factor: int
    stride: int
    key: Mapping[str, tuple[int, int]]
    factor: Mapping[str, tuple[int, int]]

    @staticmethod
    def of(places: Places) -> "Layout":
        """The layout with all quantities that `places` has."""
        own = {"count": COUNT, **places._asdict()}
        of_key = [name for name in own if name not in (*_OF_FACTOR, *_SIZES)]
        return Layout(
            places.first_factor,
            places.stride,
            _extents({name: own[name] for name in of_key}, places.first_factor),
            _extents({name: own[name] for name in _OF_FACTOR}, places.stride),
        )

    def missing(self, old: "Layout") -> list[str]:
        """The quantities that the old layout has not, or not alike."""
        return [
            name
            for mine, theirs in ((self.key, old.key), (self.factor, old.factor))
            for name, (_, words) in mine.items()
            if name not in theirs or theirs[name][1] != words
        ]

    def sources(self, old: "Layout", factors: list[int]) -> list[int]:
        """Where each word of a row was in the old layout, which has all of them.

        Args:
            old: the old layout.
            factors: the old numbers of the factors.
        """
        found = [0] * (self.first_factor + self.stride * len(factors))
        for name, (place, words) in self.key.items():
            for word in range(words):
                found[place + word] = old.key[name][0] + word
        for number, before in enumerate(factors):
            for name, (place, words) in self.factor.items():
                for word in range(words):
                    to = self.first_factor + number * self.stride + place + word
                    found[to] = old.first_factor + before * old.stride + old.factor[name][0] + word
        return found


def _extents(places: Mapping[str, int], end: int) -> dict[str, tuple[int, int]]:
    """Place and number of words of each quantity that is kept, which lie one after another."""
    kept = sorted((place, name) for name, place in places.items() if place != NOWHERE)
    ends = [place for place, _ in kept[1:]] + [end]
    return {name: (place, stop - place) for (place, name), stop in zip(kept, ends, strict=True)}


@dataclass(frozen=True, slots=True)
class Configuration:
    """What gives rows their meaning.

    Attributes:
        values: names of the values of a record.
        factors: names of the factors.
        layout: of the row of each value.
        rules: which series has which factors.
        meaning: settings by their names in the settings file, as text; null where one does not
            matter.
    """

    values: tuple[str, ...]
    factors: tuple[str, ...]
    layout: Layout
    rules: KeyRules
    meaning: Mapping[str, str | None]

    @staticmethod
    def of(config: TaskConfig) -> "Configuration":
        """That of the rows which a task writes."""
        plan = config.plan
        return Configuration(
            tuple(config.fields),
            config.factor_names or tuple(str(number) for number in range(plan.factor_count)),
            Layout.of(plan.places),
            config.rules,
            _meaning(config),
        )

    @property
    def words(self) -> int:
        """Words of a key: the rows of all its values."""
        return len(self.values) * self.width

    @property
    def width(self) -> int:
        """Words of the row of one value."""
        return self.layout.first_factor + self.layout.stride * len(self.factors)

    @property
    def clocks(self) -> set[Clock]:
        """What the series count time in."""
        return {factors[0].clock for factors in self.rules.factors}

    def to_bytes(self) -> bytes:
        """The configuration as JSON, always the same text for the same."""
        document = {
            "version": VERSION,
            "values": self.values,
            "factors": self.factors,
            "layout": {field.name: getattr(self.layout, field.name) for field in fields(Layout)},
            "default": [_described(factor) for factor in self.rules.factors[0]],
            "rules": [
                [rule.keys, rule.field, [_described(factor) for factor in factors]]
                for rule, factors in zip(self.rules.rules, self.rules.factors[1:], strict=True)
            ],
            "meaning": self.meaning,
        }
        return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()

    @property
    def fingerprint(self) -> str:
        """A hash of it."""
        return fingerprint(self.to_bytes())

    @staticmethod
    def from_bytes(data: bytes) -> "Configuration":
        """The configuration that `to_bytes` wrote.

        Raises:
            ChangelogError: it is damaged, or a newer version wrote it.
        """
        document = document_of(data, VERSION, "configuration of the rows")
        try:
            return _of_document(document)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ChangelogError(
                f"the configuration of the rows is damaged: {type(error).__name__}: {error}"
            ) from None

    def differences(self, old: "Configuration") -> list[str]:
        """What stands in the way of taking over the rows of the old one, in a user's words."""
        found = []
        if self.values != old.values:
            found.append(f"input.values: {_listed(old.values)} then, {_listed(self.values)} now")
        added = [name for name in self.factors if name not in old.factors]
        if added:
            found.append(f"factors: {_listed(added)} was not there")
        for name, new_value in self.meaning.items():
            old_value = old.meaning.get(name)
            dropped = new_value is None and name in _MAY_BE_DROPPED
            if new_value != old_value and not dropped and not self._is_new(old, name):
                found.append(f"{name}: {old_value or 'none'} then, {new_value or 'none'} now")
        found += [
            f"nothing was kept of what {_ASKED_BY[name]} needs"
            for name in self.layout.missing(old.layout)
        ]
        return found

    def _is_new(self, old: "Configuration", name: str) -> bool:
        """Whether a setting is about a clock that only one of them has."""
        clock = name.partition(" for ")[2]
        return clock != "" and clock not in {_CLOCKS[each] for each in self.clocks & old.clocks}

    def sources(self, old: "Configuration") -> Int64:
        """Where each word of a key was under the old one, from which nothing differs (words,)."""
        row = self.layout.sources(old.layout, [old.factors.index(name) for name in self.factors])
        return np.concatenate(
            [np.array(row, np.int64) + number * old.width for number in range(len(self.values))]
        )


def fingerprint(data: bytes) -> str:
    """A hash of a configuration's text."""
    return sha256(data).hexdigest()[:32]


def _meaning(config: TaskConfig) -> dict[str, str | None]:
    mode, places = config.mode, config.plan.places
    has_trend = places.holt != NOWHERE or places.line != NOWHERE
    seed, sessions = mode.seed, config.sessions
    baseline = None if mode.limits is None else mode.limits.baseline
    on_count = Clock.COUNT in {factors[0].clock for factors in config.rules.factors}
    in_time = Clock.EVENT_TIME in {factors[0].clock for factors in config.rules.factors}
    return {
        "adjust for readings": _flag(mode.adjusts(event_time=False)) if on_count else None,
        "adjust for event time": _flag(mode.adjusts(event_time=True)) if in_time else None,
        "ignore_na for readings": _flag(mode.ignore_na) if on_count else None,
        "weighting": mode.weighting.value,
        "seed": None if seed is None else _given(seed),
        "input.weight": _flag(mode.weighted),
        "reorder": str(mode.reorder),
        "reset_daily": None if sessions is None else f"{sessions.at} {sessions.zone}",
        "trend.method": mode.trend.method if has_trend else None,
        "limits.baseline": None if baseline is None else str(baseline),
    }


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _given(settings: Any) -> str:
    """The settings of a group that are not null."""
    values = ((field.name, getattr(settings, field.name)) for field in fields(settings))
    return ", ".join(f"{name} {value!r}" for name, value in values if value is not None)


def _listed(names: "tuple[str, ...] | list[str]") -> str:
    return ", ".join(names) if any(names) else "one without a name"


def _described(factor: Factor) -> dict[str, float]:
    values = ((field.name, getattr(factor, field.name)) for field in fields(Factor))
    return {name: float(value) for name, value in values if value is not None}


def _of_document(document: Mapping[str, Any]) -> Configuration:
    own = document["layout"]
    layout = Layout(
        int(own["first_factor"]),
        int(own["stride"]),
        {name: (int(place), int(words)) for name, (place, words) in own["key"].items()},
        {name: (int(place), int(words)) for name, (place, words) in own["factor"].items()},
    )
    rules = KeyRules(
        [Factor(**factor) for factor in document["default"]],
        [
            Rule(keys, [Factor(**factor) for factor in factors], field)
            for keys, field, factors in document["rules"]
        ],
    )
    found = Configuration(
        tuple(document["values"]), tuple(document["factors"]), layout, rules, document["meaning"]
    )
    if len(found.factors) != len(rules.factors[0]):
        raise ValueError("names and factors differ in number")
    return found
