"""The series of one partition: which rows of state its keys have, and folding readings into them.

A key has a row of state for each value that a record holds; its rows lie side by side.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_ewma.columns import NULL, Int32, Int64, Spans, UInt8, UInt16
from stream_ewma.engine.changelog import (
    ROW_PREFIX,
    Part,
    pieces,
    row_values,
    tombstones,
)
from stream_ewma.engine.changes import Changes
from stream_ewma.engine.checking import Checks
from stream_ewma.engine.config import TaskConfig
from stream_ewma.engine.configuration import Configuration
from stream_ewma.engine.converting import convert, move
from stream_ewma.engine.dead_letters import Reason
from stream_ewma.engine.index import NO_SLOT
from stream_ewma.engine.keys import KeyTable
from stream_ewma.engine.restoring import Loaded, Loader, check_held
from stream_ewma.engine.results import Folded, columns_of, folded
from stream_ewma.payloads.columns import Column, ReadingColumns, Status
from stream_ewma.smoothing.layout import FLAG_STALE, NO_TIME, NOWHERE
from stream_ewma.smoothing.parameters import KeyRules
from stream_ewma.smoothing.recursion import fold, last_times, snapshot
from stream_ewma.smoothing.rows import Action
from stream_ewma.smoothing.state import KeyedState
from stream_ewma.words import WORD


@dataclass(frozen=True, slots=True)
class Placed:
    """n readings and where they go.

    Attributes:
        readings: the same.
        slots: int32 (n,), the key's slot; `NO_SLOT` where all actions are IGNORE. Filled in by
            `Series.place`.
        actions: for each of the record's values, uint8 (n,), an `Action`.
        sessions: int64 (n,), or None.
    """

    readings: ReadingColumns
    slots: Int32
    actions: tuple[UInt8, ...]
    sessions: Int64 | None


class Series:
    """Keys and states of one partition.

    Args:
        config: see `TaskConfig`.
        checks: what a value's status means to its series.
        hash_seed: two 64-bit words nobody outside can know.
    """

    def __init__(self, config: TaskConfig, checks: Checks, hash_seed: tuple[int, int]) -> None:
        self._config = config
        self._checks = checks
        self._keys = KeyTable(hash_seed, config.max_keys)
        self._state = KeyedState(config.plan.places)
        self._changes = Changes() if config.durable else None

    @property
    def keys_count(self) -> int:
        """Keys that have a slot."""
        return len(self._keys)

    @property
    def slots(self) -> Int32:
        """The slots of the keys, in ascending order."""
        return self._keys.slots

    def find(self, keys: Spans) -> Int32:
        """The slots of keys (n,); `NO_SLOT` where one is not there."""
        return self._keys.find(keys, np.zeros(len(keys), np.uint8)).slots

    def spans(self, slots: Int32) -> Spans:
        """The keys of `slots`."""
        return self._keys.spans(slots)

    def scan(self, prefix: bytes, first: int, limit: int, effort: int) -> tuple[Int32, int | None]:
        """Slots of keys that begin with `prefix`, and where to go on; see `KeyTable.scan`."""
        return self._keys.scan(prefix, first, limit, effort)

    def results(self, slots: Int32) -> tuple[Int64, dict[str, Column]]:
        """When each key was last read (n,), `NO_TIME` if not known, and its results then."""
        is_timed = self._state.places.reference != NOWHERE
        times = self.last_time(slots) if is_timed else np.full(len(slots), NO_TIME, np.int64)
        at = np.maximum(times, 0)
        rows = [self._rows(slots, number) for number in range(len(self._config.fields))]
        results = [snapshot(self._state, self._config.plan, own, at) for own in rows]
        return times, columns_of(self._config, results)

    @property
    def state_bytes(self) -> int:
        """Memory of the keys and their states."""
        return self._keys.nbytes + self._state.bytes

    def decide(self, readings: ReadingColumns, reason: Int64) -> Placed:
        """Decide what to do with each row's values; where they go is for `place` to say.

        Args:
            readings: n rows.
            reason: int64 (n,), why a row is not to be smoothed, else negative.
        """
        sessions = self._config.sessions
        return Placed(
            readings,
            np.empty(len(readings), np.int32),
            self._actions(readings, reason),
            None if sessions is None else sessions.of(readings.timestamp),
        )

    def place(self, placed: Placed, reason: Int64, start: int, end: int) -> None:
        """Find the keys of the rows from `start` to `end`.

        Args:
            placed: n rows; their slots are filled in.
            reason: int64 (n,), changed where a key is new and there is no room for it.
            start: first row; those before it have been folded.
            end: row after the last.
        """
        actions = [action[start:end] for action in placed.actions]
        # A reset or a hold of a key never seen must not take up a slot.
        observes = any_with(actions, Action.OBSERVE)
        keys = placed.readings.keys
        length = keys.length[start:end]
        ignored = np.flatnonzero(_all(actions, Action.IGNORE))
        if len(ignored):
            length = length.copy()
            length[ignored] = NULL
        found = self._keys.find(
            Spans(keys.buffer, keys.start[start:end], length), observes.view(np.uint8)
        )
        placed.slots[start:end] = found.slots
        self._admit(found.new)
        homeless = np.flatnonzero(found.slots == NO_SLOT)
        if len(homeless):
            reason[start + homeless[observes[homeless]]] = Reason.TOO_MANY_KEYS
            for action in actions:
                action[homeless] = Action.IGNORE

    def _actions(self, readings: ReadingColumns, reason: Int64) -> tuple[UInt8, ...]:
        refused = np.flatnonzero(reason >= 0)
        if len(readings.numbers) == 1:
            actions: tuple[UInt8, ...] = (self._checks.actions(readings.status),)
        else:
            # One of several values may be missing; a record without any is as with one value.
            alone = np.flatnonzero(readings.status > Status.NULL)
            of_record = self._checks.actions(readings.status)
            actions = tuple(self._checks.actions(each.status) for each in readings.numbers)
            for action in actions:
                action[alone] = of_record[alone]
        for action in actions:
            if readings.restart is not None:  # also where there is no number to begin anew with
                action[(readings.restart != 0) & (action != Action.OBSERVE)] = Action.RESET
            action[refused] = Action.IGNORE
        return actions

    def _admit(self, slots: Int32) -> None:
        """Give new keys their rows and, once for all, their factors."""
        if len(slots) == 0:
            return
        fields, rules = self._config.fields, self._config.rules
        end = int(slots.max()) + 1
        self._state.grow(end * len(fields))
        if self._changes is not None:
            self._changes.grow(end)
        if rules.rules:
            for number, factors in enumerate(self._factors(rules, slots)):
                self._state.assign(self._rows(slots, number), factors)

    def _factors(self, rules: KeyRules, slots: Int32) -> list[UInt16]:
        """For each of the record's values, the factors of the keys by the rules (n,)."""
        fields = self._config.fields
        found = np.zeros((len(fields), len(slots)), np.uint16)
        if rules.rules:
            for place, slot in enumerate(slots.tolist()):
                text = self._keys.key(slot).decode("utf-8", "replace")
                found[:, place] = [rules.resolve(text, name) for name in fields]
        return list(found)

    def release(self, slots: Int32) -> None:
        """Forget keys: their rows are empty, and free for other keys.

        Args:
            slots: int32 (n,), each once.

        Raises:
            IndexError: a slot has no key.
        """
        if self._changes is not None:
            for piece in pieces(slots, self._keys.lengths(slots), 0):
                self._changes.release(piece, self._keys.spans(piece, ROW_PREFIX))
        self._keys.release(slots)
        for number in range(len(self._config.fields)):
            self._state.clear(self._rows(slots, number))

    def fold(self, placed: Placed, start: int, end: int) -> Folded:
        """Fold the rows from `start` to `end`, in order."""
        slots = placed.slots[start:end]
        if self._changes is not None:
            self._changes.note(slots)
        return self._fold(self._state, slots, placed, start, end)

    def rehearse(self, placed: Placed, start: int, end: int) -> UInt8:
        """The outcomes that `fold` would have (n,), changing nothing."""
        slots, own = np.unique(placed.slots[start:end], return_inverse=True)
        slots = np.maximum(slots, 0)  # no slot: all actions are IGNORE
        copy = KeyedState(self._state.places)
        copy.grow(max(len(slots), 1) * len(self._config.fields))
        for number in range(len(self._config.fields)):
            rows = self._rows(slots, number)
            known = np.flatnonzero(rows < self._state.rows)
            to = self._rows(known.astype(np.int32), number)
            copy.by_row[to] = self._state.by_row[rows[known]]
            copy.factor[to] = self._state.factor[rows[known]]
        return self._fold(copy, own.astype(np.int32), placed, start, end).outcome

    def _fold(
        self, state: KeyedState, slots: Int32, placed: Placed, start: int, end: int
    ) -> Folded:
        whole = slice(start, end)
        readings = placed.readings
        results = [
            fold(
                state,
                self._config.plan,
                self._rows(slots, number),
                readings.timestamp[whole],
                values.x[whole],
                placed.actions[number][whole],
                weight=None if readings.weight is None else readings.weight[whole],
                session=None if placed.sessions is None else placed.sessions[whole],
                restart=None if readings.restart is None else readings.restart[whole],
            )
            for number, values in enumerate(readings.numbers)
        ]
        return folded(self._config, results)

    def _rows(self, slots: Int32, number: int) -> Int32:
        """The rows of state of value number `number`; of an ignored row, any number."""
        count = len(self._config.fields)
        return slots if count == 1 else slots * np.int32(count) + np.int32(number)

    def last_time(self, slots: Int32) -> Int64:
        """Event time of each key's last reading (n,); `NO_TIME` where it has none."""
        last = np.full(len(slots), NO_TIME, np.int64)
        for number in range(len(self._config.fields)):
            rows = self._rows(slots, number)
            times = np.empty(len(rows), np.int64)
            last_times(self._state, rows, times)
            np.maximum(last, times, out=last)
        return last

    def is_empty(self, slots: Int32) -> NDArray[np.bool_]:
        """Whether each slot has a key that has no reading, absorbed or held back (n,)."""
        empty: NDArray[np.bool_] = self._keys.lengths(slots) != NULL
        for number in range(len(self._config.fields)):
            empty &= self._is_empty_row(self._rows(slots, number))
        return empty

    def _is_empty_row(self, rows: Int32) -> NDArray[np.bool_]:
        places = self._state.places
        empty: NDArray[np.bool_] = self._state.count[rows] == 0
        if places.held != NOWHERE:
            empty &= self._state.integers(places.held)[rows] == 0
        return empty

    def is_reported(self, slots: Int32) -> NDArray[np.bool_]:
        """Whether each key has been reported as silent and has not been heard since (n,).

        A value that has no reading has not been heard: whether it was ever marked does not matter.
        """
        reported = np.ones(len(slots), np.bool_)
        for number in range(len(self._config.fields)):
            rows = self._rows(slots, number)
            flags = self._state.integers(self._state.places.flags)[rows]
            reported &= (flags & FLAG_STALE != 0) | self._is_empty_row(rows)
        return reported

    def silent(self, slots: Int32, time: int) -> tuple[Spans, dict[str, Column]]:
        """The keys in `slots` and their results at a time; they are marked as silent.

        In the order of their bytes: slots are numbered otherwise after a restore.
        """
        keys = [self._keys.key(slot) for slot in slots.tolist()]
        order = sorted(range(len(keys)), key=keys.__getitem__)
        slots = slots[order]
        if self._changes is not None:
            self._changes.note(slots)
        times = np.full(len(slots), time, np.int64)
        results = []
        for number in range(len(self._config.fields)):
            rows = self._rows(slots, number)
            results.append(snapshot(self._state, self._config.plan, rows, times))
            self._state.integers(self._state.places.flags)[rows] |= FLAG_STALE
        return Spans.of([keys[place] for place in order]), columns_of(self._config, results)

    def changed(self) -> Iterator[Part]:
        """The changelog's records of all that has changed since the last call: tombstones first.

        A key that was released and has come back is among both: its row is the later word.
        """
        if self._changes is None:
            return
        slots, gone = self._changes.take()
        for keys in gone:
            yield tombstones(keys)
        rows = self._by_key
        for piece in pieces(slots, self._keys.lengths(slots), rows.shape[1] * WORD):
            yield self._keys.spans(piece, ROW_PREFIX), row_values(rows[piece])

    def loader(self, own: Configuration) -> Loader:
        """What reads a changelog into the keys of a series that has none yet."""
        return Loader(self._keys, own)

    def restore(self, loaded: Loaded, own: Configuration) -> tuple[int, int]:
        """Take over the rows of a changelog, whose keys are there already.

        Returns:
            Keys whose weights were converted, and keys that begin anew: the parameters are others.

        Raises:
            ChangelogError: the settings do not fit the rows.
        """
        old = loaded.configuration
        moved = None if old is None else move(loaded.words, own, old)
        count = len(loaded.words) // (own if old is None else old).words
        self._state.words = loaded.words if moved is None else moved.words
        self._state.factor = np.zeros(count * len(self._config.fields), np.uint16)
        check_held(self._state, self._config.mode.reorder)
        if self._changes is not None:
            self._changes.grow(count)
        self._keys.release(loaded.gone)
        for number in range(len(self._config.fields)):
            self._state.clear(self._rows(loaded.gone, number))
        slots = self._keys.slots
        self._admit(slots)
        if old is None or moved is None:
            return 0, 0
        sets = np.zeros(self._state.rows, np.int64)
        for number, factors in enumerate(self._factors(old.rules, slots)):
            sets[self._rows(slots, number)] = factors
        converted = convert(self._state, self._config.mode, own, old, sets)
        if self._changes is not None:
            changed = converted.changed | moved.is_elsewhere
            self._changes.note(slots[changed[slots]])
        restarted = converted.restarted | moved.restarted
        return int(converted.converted[slots].sum()), int(restarted[slots].sum())

    @property
    def _by_key(self) -> NDArray[np.int64]:
        """The words of all slots, int64 (slots, words of a key); a view."""
        words = self._state.places.width * len(self._config.fields)
        return self._state.words[: len(self._state.words) // words * words].reshape(-1, words)


def any_with(actions: Sequence[UInt8], action: Action) -> NDArray[np.bool_]:
    """Rows in which any value has this action."""
    found: NDArray[np.bool_] = actions[0] == action
    for other in actions[1:]:
        found |= other == action
    return found


def _all(actions: Sequence[UInt8], action: Action) -> NDArray[np.bool_]:
    """Rows in which all values have this action."""
    found: NDArray[np.bool_] = actions[0] == action
    for other in actions[1:]:
        found &= other == action
    return found
