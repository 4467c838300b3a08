"""How far the dead letters of one partition have been sent back to where they came from."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from stream_ewma.engine.dead_letters import DeadLetter

MOST_SINGLE: Final = 150
"""So many letters that were sent back alone can be noted: Kafka bounds a note to 4096 bytes."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """What has been sent back; kept as a committed offset with a note.

    Attributes:
        offset: every letter before it has been looked at.
        reasons: beyond it, for some reasons, the offset before which all letters of that reason
            have been sent back.
        single: beyond it, the offsets of letters that were sent back alone.
    """

    offset: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)
    single: frozenset[int] = frozenset()

    @classmethod
    def read(cls, offset: int, note: str) -> "Replayed":
        """What an offset and its note say; a note of somebody else's says nothing."""
        try:
            found = json.loads(note)
            reasons = {str(reason): int(at) for reason, at in found["reasons"].items()}
            return cls(offset, reasons, frozenset(map(int, found["single"])))
        except (ValueError, TypeError, KeyError, AttributeError):
            return cls(offset)

    @property
    def note(self) -> str:
        """What stands beside the offset."""
        if not self.reasons and not self.single:
            return ""
        return json.dumps(
            {"reasons": dict(self.reasons), "single": sorted(self.single)}, separators=(",", ":")
        )

    def start(self, reason: str | None) -> int:
        """Where to go on with the letters of a reason, or with those of all."""
        return self.offset if reason is None else max(self.offset, self.reasons.get(reason, 0))

    def has(self, letter: DeadLetter) -> bool:
        """Whether a letter has been sent back, or passed over."""
        return letter.offset < self.start(letter.reason) or letter.offset in self.single

    def reached(self, offset: int, reason: str | None) -> "Replayed":
        """The same once all letters before an offset are done, or those of a reason."""
        if reason is None:
            return self._without_past(max(offset, self.offset))
        at = max(offset, self.reasons.get(reason, 0))
        return replace(self, reasons={**self.reasons, reason: at})

    def with_single(self, offset: int) -> "Replayed":
        """The same once one letter is done."""
        return replace(self, single=self.single | {offset})

    def _without_past(self, offset: int) -> "Replayed":
        return Replayed(
            offset,
            {reason: at for reason, at in self.reasons.items() if at > offset},
            frozenset(at for at in self.single if at >= offset),
        )
