"""The checks before a reading touches its state: key, value, event time; in this order."""

from dataclasses import replace
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from stream_ewma.columns import NULL, Int64, UInt8
from stream_ewma.engine.config import TaskConfig
from stream_ewma.engine.dead_letters import REASON_OF_STATUS, Reason
from stream_ewma.payloads.columns import ReadingColumns, Status
from stream_ewma.records.columns import RecordColumns
from stream_ewma.smoothing.rows import Action

_T = TypeVar("_T", bound=np.generic)

NO_REASON: Final = -1
INVALID: Final = (Status.MISSING_VALUE, Status.NOT_NUMERIC, Status.NON_FINITE)
"""What `on_invalid` is about."""


def of_status(table: NDArray[_T], status: UInt8) -> NDArray[_T]:
    """The entry of `table` for each row's status; nearly always all rows are OK."""
    if status.any():
        return table[status]
    return np.full(len(status), table[Status.OK])


class Checks:
    """The checks of a task, and what a value's status means to its series.

    Args:
        config: see `TaskConfig`.
    """

    def __init__(self, config: TaskConfig) -> None:
        self._config = config
        self._reasons: Int64 = np.full(len(Status), NO_REASON, np.int64)
        for status, reason in REASON_OF_STATUS.items():
            self._reasons[status] = reason
        if config.on_null == "dlq":
            self._reasons[Status.NULL] = Reason.NULL_VALUE
        if config.on_invalid != "dlq":
            self._reasons[list(INVALID)] = NO_REASON
        self._actions = _actions(config)

    def reasons(self, records: RecordColumns, readings: ReadingColumns) -> Int64:
        """The reason against each row, `NO_REASON` where there is none."""
        reason = of_status(self._reasons, readings.status)
        if self._config.on_future == "reject":
            reason[self._too_far_ahead(records, readings)] = Reason.FUTURE_TIMESTAMP
        lengths = readings.keys.length
        reason[np.flatnonzero(lengths > self._config.max_key_bytes)] = Reason.TOO_LARGE
        missing = np.flatnonzero(lengths == NULL)
        if readings.keys is not records.keys:
            # Taken from the value: one that fails shows no key, and its own reason says more.
            missing = missing[reason[missing] == NO_REASON]
        reason[missing] = Reason.MISSING_KEY
        return reason

    def clamped(
        self, records: RecordColumns, readings: ReadingColumns
    ) -> tuple[ReadingColumns, int]:
        """The readings with event times not too far ahead, and how many were moved."""
        if self._config.on_future != "clamp":
            return readings, 0
        rows = self._too_far_ahead(records, readings)
        if len(rows) == 0:
            return readings, 0
        timestamp = readings.timestamp.copy()
        timestamp[rows] = records.timestamp[rows] + (self._config.max_future_skew_ms or 0)
        return replace(readings, timestamp=timestamp), len(rows)

    def actions(self, status: UInt8) -> UInt8:
        """What each row's status does to its series, an `Action` each."""
        return of_status(self._actions, status)

    def _too_far_ahead(self, records: RecordColumns, readings: ReadingColumns) -> Int64:
        skew = self._config.max_future_skew_ms
        if skew is None:
            return np.empty(0, np.int64)
        # Against the record's own timestamp, never the clock: a replay must decide alike.
        ahead = np.flatnonzero(readings.timestamp - records.timestamp > skew)
        timed = (readings.status[ahead] == Status.OK) | (readings.status[ahead] == Status.NULL)
        known = timed & (records.timestamp[ahead] >= 0)
        rows: Int64 = ahead[known]
        return rows


def _actions(config: TaskConfig) -> UInt8:
    skip = Action.IGNORE if config.mode.ignore_na else Action.AGE
    of_setting = {
        "skip": skip,
        "hold": Action.HOLD,
        "reset": Action.RESET,
        "dlq": Action.IGNORE,
    }
    actions: UInt8 = np.full(len(Status), Action.IGNORE, np.uint8)
    actions[Status.OK] = Action.OBSERVE
    actions[Status.NULL] = of_setting[config.on_null]
    if config.on_invalid != "dlq":
        actions[list(INVALID)] = of_setting[config.on_invalid]
    if config.on_tombstone == "reset":
        actions[Status.TOMBSTONE] = Action.RESET
    return actions
