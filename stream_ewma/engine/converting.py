"""Restored rows under a configuration that is not the one they were written with."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream_ewma.columns import Int64
from stream_ewma.engine.changelog import ChangelogError
from stream_ewma.engine.configuration import Configuration
from stream_ewma.smoothing.joining import Change, change_factors
from stream_ewma.smoothing.layout import NOWHERE
from stream_ewma.smoothing.mode import Mode
from stream_ewma.smoothing.state import KeyedState

_MOST_WORDS: Final = 1 << 22
"""Words are moved so many at a time, to keep the memory for it small."""


@dataclass(frozen=True, slots=True)
class Moved:
    """Rows with each word where the configuration in force has it.

    Attributes:
        words: int64 (slots * words of a key,).
        is_elsewhere: whether words are not where they were, in all rows.
        restarted: bool (slots,), whether a key's readings are forgotten.
    """

    words: Int64
    is_elsewhere: bool
    restarted: NDArray[np.bool_]


def move(words: Int64, own: Configuration, old: Configuration) -> Moved:
    """Move the words of the old configuration's rows; nothing is left where no clock is the same.

    Args:
        words: int64 (slots * old.words,).
        own: the configuration in force.
        old: the one that the rows were written with.

    Raises:
        ChangelogError: the rows cannot be taken over; names the settings that differ.
    """
    count = len(words) // old.words
    before = words.reshape(count, old.words)
    if own.clocks.isdisjoint(old.clocks):
        return Moved(np.zeros(count * own.words, np.int64), True, (before != 0).any(axis=1))
    differences = own.differences(old)
    if differences:
        raise ChangelogError(
            f"the settings do not fit the stored state ({'; '.join(differences)}): write them as"
            " they were, or let `stream-ewma state reset` begin anew"
        )
    nothing = np.zeros(count, np.bool_)
    sources = own.sources(old)
    if len(sources) == old.words and bool((sources == np.arange(old.words)).all()):
        return Moved(words, False, nothing)
    target = np.empty(count * own.words, np.int64)
    after = target.reshape(count, own.words)
    step = max(1, _MOST_WORDS // own.words)
    for first in range(0, count, step):
        after[first : first + step] = before[first : first + step, sources]
    return Moved(target, True, nothing)


@dataclass(frozen=True, slots=True)
class Converted:
    """What the change of factors did to keys.

    Attributes:
        converted: bool (slots,), whether the weights of a key are those of other factors.
        restarted: bool (slots,), whether a key begins anew: another clock counts its readings.
        changed: bool (slots,), whether any word is another one.
    """

    converted: NDArray[np.bool_]
    restarted: NDArray[np.bool_]
    changed: NDArray[np.bool_]


def convert(
    state: KeyedState, mode: Mode, own: Configuration, old: Configuration, sets: Int64
) -> Converted:
    """Give rows, whose words are in place, the weights of the factors that they have now.

    Args:
        state: has the new factors.
        mode: in force.
        own: the configuration in force.
        old: the one before.
        sets: int64 (rows,), index of each row's old factors.
    """
    by_key = (-1, len(own.values))
    if own.clocks.isdisjoint(old.clocks):
        nothing = np.zeros(state.rows // len(own.values), np.bool_)
        return Converted(nothing, nothing, nothing)
    places = [old.factors.index(name) for name in own.factors]
    before = [tuple(factors[place] for place in places) for factors in old.rules.factors]
    after = own.rules.factors
    pairs, used = np.unique(sets * len(after) + state.factor, return_inverse=True)
    from_to = [(before[pair // len(after)], after[pair % len(after)]) for pair in pairs.tolist()]
    weights = _weights(state)
    changes = change_factors(
        state, state.rows, [then for then, _ in from_to], [now for _, now in from_to], used, mode
    )
    restarted = (changes == Change.RESTARTED).reshape(by_key).any(axis=1)
    converted = (changes == Change.CONVERTED).reshape(by_key).any(axis=1)
    changed = (_weights(state) != weights).any(axis=0).reshape(by_key).any(axis=1)
    return Converted(converted & ~restarted, restarted, changed | restarted)


def _weights(state: KeyedState) -> NDArray[np.float64]:
    """A copy of the weights of all rows (factors, rows); none where none are kept."""
    places = state.places
    if places.weight == NOWHERE:
        return np.empty((0, state.rows))
    count = (places.width - places.first_factor) // places.stride
    return np.stack([state.floats(places.weight, number) for number in range(count)])
