"""Which keys the changelog does not know as they are now: those changed, and those gone."""

import numpy as np

from stream_ewma.columns import Int32, Spans, UInt8, extend, grown_size
from stream_ewma.jit import kernel

_UNCHANGED, _CHANGED, _RELEASED = 0, 1, 2
"""Marks of a slot: not noted; noted; noted, and its key is gone."""


@kernel
def _note(slots: Int32, marks: UInt8, noted: Int32, count: int) -> int:
    """Note each slot once; negative ones are none. Answers how many are noted now."""
    for i in range(len(slots)):
        slot = slots[i]
        if slot >= 0 and marks[slot] != _CHANGED:
            if marks[slot] == _UNCHANGED:
                noted[count] = slot
                count += 1
            marks[slot] = _CHANGED
    return count


class Changes:
    """The changes since the last cut."""

    def __init__(self) -> None:
        self._marks: UInt8 = np.zeros(0, np.uint8)
        self._noted: Int32 = np.zeros(0, np.int32)
        self._count = 0
        self._gone: list[Spans] = []

    @property
    def nbytes(self) -> int:
        """Memory held, in bytes."""
        return self._marks.nbytes + self._noted.nbytes

    def grow(self, slots: int) -> None:
        """Make room for slots below `slots`."""
        if slots > len(self._marks):
            size = grown_size(len(self._marks), slots - len(self._marks))
            extend(self._marks, size)
            extend(self._noted, size)

    def note(self, slots: Int32) -> None:
        """The rows of `slots` may have changed; negative ones are none."""
        self._count = _note(slots, self._marks, self._noted, self._count)

    def release(self, slots: Int32, keys: Spans) -> None:
        """The keys of `slots` are gone; the slots may get other keys from now on.

        Args:
            slots: int32 (n,).
            keys: n spans, as the changelog has them; they are kept until the cut.
        """
        changed = slots[self._marks[slots] == _CHANGED]
        self._marks[changed] = _RELEASED
        self._gone.append(keys)

    def take(self) -> tuple[Int32, list[Spans]]:
        """The slots whose rows have changed, and the keys that are gone; then there are none.

        A key that is among those gone and has a row again came back: the row is the later word.
        """
        noted = self._noted[: self._count]
        changed = noted[self._marks[noted] == _CHANGED]
        self._marks[noted] = _UNCHANGED
        gone, self._gone, self._count = self._gone, [], 0
        return changed, gone
