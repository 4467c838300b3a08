"""The state of the keys: one row of words per slot, laid out by the plan."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream_ewma.columns import Float64, Int32, Int64, UInt16, extend
from stream_ewma.smoothing.layout import COUNT, Places

_FIRST_ROWS: Final = 1024
_LARGE_STEP: Final = 65_536


class KeyedState:
    """What is known of each key's readings.

    Slot numbers come from outside (the key table); rows start out empty, with factor set 0.
    Never hold one of the arrays across a call of `grow`: it may move them.

    Args:
        places: where each quantity is in a row; see `Places`.

    Attributes:
        places: the same.
        words: int64 (rows * places.width,), the rows one after another.
        factor: uint16 (rows,), index of the key's set of factors.
    """

    __slots__ = ("factor", "places", "words")

    places: Places
    words: Int64
    factor: UInt16

    def __init__(self, places: Places) -> None:
        self.places = places
        self.words = np.zeros(0, np.int64)
        self.factor = np.zeros(0, np.uint16)

    @property
    def numbers(self) -> Float64:
        """The words as float64, over the same memory."""
        return self.words.view(np.float64)

    @property
    def rows(self) -> int:
        """Rows that there is room for; slots below this number may be used."""
        return len(self.factor)

    @property
    def bytes(self) -> int:
        """Memory held by the rows."""
        return self.words.nbytes + self.factor.nbytes

    @property
    def by_row(self) -> NDArray[np.int64]:
        """The words of every row (rows, places.width), a view."""
        return self.words.reshape(-1, self.places.width)

    def integers(self, place: int) -> Int64:
        """The word at `place` of every row, as integers (rows,)."""
        return self.by_row[:, place]

    def floats(self, place: int, factor: int = 0) -> Float64:
        """The word at `place` of factor number `factor` in every row, as float64 (rows,)."""
        at = self.places.first_factor + factor * self.places.stride + place
        return self.numbers.reshape(-1, self.places.width)[:, at]

    @property
    def count(self) -> Int64:
        """Readings of every row since its first or its last reset (rows,); 0: an empty row."""
        return self.integers(COUNT)

    def grow(self, rows: int) -> None:
        """Make room for at least `rows` rows; the new rows are empty.

        Growing must not stall the partition at millions of keys: `extend` moves pages instead of
        copying bytes, so a step costs what clearing its new rows costs. Hence steps double only
        while small, and are an eighth once large: still geometric, so that an allocator that does
        copy stays linear overall.
        """
        if rows <= self.rows:
            return
        step = min(max(self.rows, _FIRST_ROWS), max(self.rows // 8, _LARGE_STEP))
        target = max(rows, self.rows + step)
        extend(self.words, target * self.places.width)
        extend(self.factor, target)

    def assign(self, slots: Int32 | Int64, factor_index: int | UInt16) -> None:
        """Set the factors of `slots` (one set for all, or one for each).

        Raises:
            IndexError: a slot has no row.
        """
        self.factor[slots] = factor_index

    def clear(self, slots: Int32 | Int64) -> None:
        """Empty the rows of `slots`; they have factor set 0 again.

        Raises:
            IndexError: a slot has no row.
        """
        self.by_row[slots] = 0
        self.factor[slots] = 0

    def row(self, slot: int) -> NDArray[np.int64]:
        """The words of one row, a view.

        Raises:
            IndexError: the slot has no row.
        """
        if not 0 <= slot < self.rows:
            raise IndexError(f"slot {slot} has no row")
        width = self.places.width
        return self.words[slot * width : (slot + 1) * width]
