"""The state of the keys: one row per slot, one array per quantity."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream_ewma.columns import Float64, Int32, Int64, UInt16, extend

_FIRST_ROWS: Final = 1024
_LARGE_STEP: Final = 65_536


class KeyedState:
    """What is known of each key's readings, as a struct of arrays.

    Slot numbers come from outside (the key table); rows start out empty, with factor 0.
    Never hold one of the arrays across a call of `grow`: it may move them.

    Attributes:
        weight: float64 (rows,), sum of the readings' weights at `reference_ms`. The only quantity
            that decays. Event time only: on the count clock it is the constant 1/alpha.
        mean: float64 (rows,), the weighted mean.
        count: int64 (rows,), finite readings since the first or the last reset; 0: an empty row.
        reference_ms: int64 (rows,), the greatest event time absorbed. Event time only.
        factor: uint16 (rows,), index of the key's factor.
    """

    __slots__ = ("count", "factor", "mean", "reference_ms", "weight")

    weight: Float64
    mean: Float64
    count: Int64
    reference_ms: Int64
    factor: UInt16

    def __init__(self) -> None:
        self.weight = np.zeros(0, np.float64)
        self.mean = np.zeros(0, np.float64)
        self.count = np.zeros(0, np.int64)
        self.reference_ms = np.zeros(0, np.int64)
        self.factor = np.zeros(0, np.uint16)

    def _columns(self) -> tuple[NDArray[np.generic], ...]:
        return tuple(getattr(self, name) for name in self.__slots__)

    @property
    def rows(self) -> int:
        """Rows that there is room for; slots below this number may be used."""
        return len(self.count)

    @property
    def bytes(self) -> int:
        """Memory held by the rows."""
        return sum(column.nbytes for column in self._columns())

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
        for column in self._columns():
            extend(column, target)

    def assign(self, slots: Int32 | Int64, factor_index: int | UInt16) -> None:
        """Set the factor of `slots` (one for all, or one for each).

        Raises:
            IndexError: a slot has no row.
        """
        self.factor[slots] = factor_index

    def reset(self, slot: int) -> None:
        """Forget the readings of one key; its factor stays.

        Raises:
            IndexError: the slot has no row.
        """
        self.weight[slot] = 0.0
        self.mean[slot] = 0.0
        self.count[slot] = 0
        self.reference_ms[slot] = 0
