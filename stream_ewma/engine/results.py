"""What became of rows that were folded: the results of all values of a record together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from stream_ewma.columns import UInt8
from stream_ewma.engine.config import TaskConfig
from stream_ewma.payloads.columns import Column, as_nullable
from stream_ewma.smoothing.absorbing import NOTE_CLIPPED, NOTE_LATE, NOTE_RESTARTED
from stream_ewma.smoothing.recursion import FoldResult
from stream_ewma.smoothing.rows import Outcome


@dataclass(frozen=True, slots=True)
class Folded:
    """What became of n rows.

    Attributes:
        columns: the outputs of all values by their names in the record.
        outcome: uint8 (n,), the best `Outcome` among the values of a row, by `_RANK`.
        refused: values that were refused in rows whose other values were not.
        late: readings merged late.
        clipped: readings moved closer before they were absorbed.
        restarted: keys forgotten before a reading.
    """

    columns: dict[str, Column]
    outcome: UInt8
    refused: int
    late: int
    clipped: int
    restarted: int


# A row with several values is what the first of these says of any of them.
_RANK: Final = (
    Outcome.EMITTED,
    Outcome.WARMING_UP,
    Outcome.THINNED,
    Outcome.NOT_FINITE,
    Outcome.LATE,
    Outcome.NO_STATE,
)
ABSORBED: Final = (Outcome.EMITTED, Outcome.WARMING_UP, Outcome.THINNED)
"""Outcomes of a row whose key has a reading behind it."""
_REFUSED: Final = (Outcome.NOT_FINITE, Outcome.LATE)


def folded(config: TaskConfig, results: Sequence[FoldResult]) -> Folded:
    """The results of all values of n rows as one, in the order of `TaskConfig.fields`."""
    outcome = _best([result.outcome for result in results])
    refused = 0
    if len(results) > 1:
        absorbed = np.isin(outcome, ABSORBED)
        refused = sum(
            int((np.isin(result.outcome, _REFUSED) & absorbed).sum()) for result in results
        )
    notes = [result.notes for result in results if result.notes.any()]
    late, clipped, restarted = (
        sum(int(np.count_nonzero(note & bit)) for note in notes)
        for bit in (NOTE_LATE, NOTE_CLIPPED, NOTE_RESTARTED)
    )
    columns = columns_of(config, results)
    if len(results) > 1:
        columns = _without_unemitted(config, results, columns)
    return Folded(columns, outcome, refused, late, clipped, restarted)


def _without_unemitted(
    config: TaskConfig, results: Sequence[FoldResult], columns: dict[str, Column]
) -> dict[str, Column]:
    """Null in the counts and flags of values that have no result beside others that have."""
    nullable: dict[str, Column] = {}
    for name, result in zip(config.fields, results, strict=True):
        missing = result.outcome != Outcome.EMITTED
        for output in result.columns:
            own = config.column_name(name, output)
            nullable[own] = as_nullable(columns[own], missing)
    return nullable


def columns_of(config: TaskConfig, results: Sequence[FoldResult]) -> dict[str, Column]:
    """The results of all values by their names in the record."""
    return {
        config.column_name(name, output): column  # type: ignore[misc]  # one of the three
        for name, result in zip(config.fields, results, strict=True)
        for output, column in result.columns.items()
    }


def _best(outcomes: Sequence[UInt8]) -> UInt8:
    """The outcome of each row: what `_RANK` puts first among its values."""
    if len(outcomes) == 1:
        return outcomes[0]
    rank = np.empty(len(_RANK), np.uint8)
    rank[list(_RANK)] = np.arange(len(_RANK))
    best = rank[outcomes[0]]
    for outcome in outcomes[1:]:
        np.minimum(best, rank[outcome], out=best)
    return np.array(_RANK, np.uint8)[best]
