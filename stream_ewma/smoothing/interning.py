"""Keys of any kind to numbers, in the order of their first appearance."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stream_ewma.columns import Bytes, Int32, Int64, UInt64, as_bytes
from stream_ewma.frames import library_of
from stream_ewma.jit import inner_kernel, kernel

_FREE: Final = -1
_FIRST_KEYS: Final = 1 << 10
_ROWS_AT_ONCE: Final = 1 << 13
_WORD: Final = 8
_LONGEST: Final = 128
"""Longer strings go through a dictionary."""
_NULL_LENGTH: Final = 255
_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
_HALF: Final = np.uint64(32)
_POSITIVE: Final = np.uint64((1 << 63) - 1)


class Keys:
    """The keys of n rows.

    Attributes:
        slot: int32 (n,), the number of each row's key.
        names: the keys by number, as Python objects or numpy's.
    """

    __slots__ = ("names", "slot")

    def __init__(self, slot: Int32, names: Sequence[Any] | NDArray[Any]) -> None:
        self.slot = slot
        self.names = names


def keys_of(column: Any, rows: int) -> Keys:
    """Number the keys; a missing one (None, NaN, null) is a key of its own.

    Args:
        column: (rows,) keys: integers, text or dates as an array, a column of pandas or polars,
            or a sequence of anything hashable.
        rows: how many there must be.

    Raises:
        ValueError: their number is another.
        TypeError: a key is not hashable.
    """
    library = library_of(column)
    if library is not None and library.__name__ == "pandas":
        found = _of_pandas(column)
    elif library is not None and library.__name__ == "polars":
        found = _of_polars(column, library)
    elif isinstance(column, np.ndarray) and column.ndim == 1 and not column.dtype.hasobject:
        found = _of_array(column)
    else:
        found = _of_objects(column)
    if len(found.slot) != rows:
        raise ValueError(f"keys: write one for each of the {rows} readings, not {len(found.slot)}")
    return found


def _of_pandas(column: Any) -> Keys:
    if isinstance(column.dtype, np.dtype) and not column.dtype.hasobject:
        return _of_array(column.to_numpy())
    codes, names = column.factorize(use_na_sentinel=False)
    return Keys(codes.astype(np.int32), names)


def _of_polars(column: Any, library: Any) -> Keys:
    if column.dtype.is_integer() and column.null_count() == 0:
        return _of_array(column.to_numpy())
    if column.dtype == library.String:
        return _of_strings(column)
    if column.dtype in (library.Categorical, library.Enum):
        codes = column.to_physical().cast(library.Int64).fill_null(_FREE)
        slot, first = _of_numbers(codes.to_numpy())
        return Keys(slot, column.gather(first).to_list())
    return _of_objects(column.to_list())


def _of_strings(column: Any) -> Keys:
    """Strings of polars, by Arrow's columns of bytes and ends if there is pyarrow."""
    if len(column) == 0:
        return Keys(np.empty(0, np.int32), [])
    try:
        arrow = column.to_arrow()
    except ModuleNotFoundError:
        return _of_objects(column.to_list())
    _, ends, data = arrow.buffers()
    ends = np.frombuffer(ends, np.int64)[arrow.offset :]
    longest = int(np.diff(ends[: len(column) + 1]).max())
    if longest > _LONGEST:
        return _of_objects(column.to_list())
    data = as_bytes(b"" if data is None else data)
    null = column.is_null().to_numpy()
    some_null = bool(null.any())

    def fill(start: int, words: UInt64) -> None:
        rows = words.view(np.uint8)
        _pack(data, ends[start : start + len(words) + 1], longest, rows)
        if some_null:
            rows[null[start : start + len(words)], longest] = _NULL_LENGTH

    slot, first = _numbered(len(column), longest + 1, fill)
    return Keys(slot, column.gather(first).to_list())


def _of_objects(column: Any) -> Keys:
    """Through a dictionary: every key is hashed by Python."""
    numbers: defaultdict[Any, int] = defaultdict(count().__next__)
    slot = np.fromiter(map(numbers.__getitem__, column), np.int32, len(column))
    names = list(numbers)
    missing = [number for number, key in enumerate(names) if _is_nan(key)]
    if len(missing) > 1:  # each NaN is a key to a dictionary
        slot[np.isin(slot, missing)] = missing[0]
    return Keys(slot, names)


def _is_nan(key: object) -> bool:
    return isinstance(key, float) and key != key  # noqa: PLR0124  only NaN differs from itself


def _of_array(column: NDArray[Any]) -> Keys:
    """By their bytes, in a hash table of our own: several times as fast as a dictionary."""
    kind, size = column.dtype.kind, column.dtype.itemsize
    if kind not in "iubfmMSU" or (kind == "f" and size > _WORD) or size == 0:
        return _of_objects(column.tolist())
    column = np.ascontiguousarray(column)
    if kind in "SU":
        slot, first = _of_texts(column)
    else:
        slot, first = _of_numbers(column)
    return Keys(slot, column[first])


def _of_numbers(column: NDArray[Any]) -> tuple[Int32, Int64]:
    kind = column.dtype.kind

    def fill(start: int, words: UInt64) -> None:
        rows = column[start : start + len(words)]
        if kind == "f":
            numbers = rows.astype(np.float64) + 0.0  # one zero, one NaN
            numbers[np.isnan(numbers)] = np.nan
            words[:, 0] = numbers.view(np.uint64)
        elif kind in "mM":
            words[:, 0] = rows.view(np.uint64)
        else:
            words[:, 0] = rows.astype(np.int64).view(np.uint64)

    return _numbered(len(column), _WORD, fill)


def _of_texts(column: NDArray[Any]) -> tuple[Int32, Int64]:
    """Text of fixed width: few bytes a character where that does, for the sake of the cache."""
    unit = np.dtype(np.uint32 if column.dtype.kind == "U" else np.uint8)
    width = column.dtype.itemsize // unit.itemsize
    characters = column.view(unit.newbyteorder(column.dtype.byteorder)).reshape(-1, width)
    narrow = np.min_scalar_type(characters.max(initial=0))

    def fill(start: int, words: UInt64) -> None:
        words.view(narrow)[:, :width] = characters[start : start + len(words)]

    return _numbered(len(column), width * narrow.itemsize, fill)


def _numbered(n: int, size: int, fill: Callable[[int, UInt64], None]) -> tuple[Int32, Int64]:
    """The number of each of n keys, and the row where each is seen first.

    Args:
        n: rows.
        size: bytes of a key.
        fill: puts the keys from a row on into words, zero before, equal where the keys are.
    """
    table = _Table(-(-size // _WORD))
    words = np.zeros((min(n, _ROWS_AT_ONCE), table.words), np.uint64)
    slot = np.empty(n, np.int32)
    for start in range(0, n, _ROWS_AT_ONCE):
        end = min(start + _ROWS_AT_ONCE, n)
        fill(start, words[: end - start])
        table.number(words[: end - start], start, slot[start:end])
    return slot, table.first[: table.keys]


class _Table:
    """Which key has which number: open addressing, at most a quarter full.

    Attributes:
        words: of a key.
        keys: how many there are.
        first: int64, the row where each key was seen first.
    """

    __slots__ = ("_index", "_known", "first", "keys", "words")

    def __init__(self, words: int) -> None:
        self.words = words
        self.keys = 0
        self.first = np.zeros(0, np.int64)
        self._known = np.zeros((0, words), np.uint64)
        self._index = np.zeros(0, np.int32)
        self._grow()

    def number(self, rows: UInt64, start: int, slot: Int32) -> None:
        """Put each row's number into `slot`; the first row is number `start` of the column."""
        done = 0
        with np.errstate(over="ignore"):  # the hash wraps by definition
            while True:
                done, self.keys = _number(
                    *(rows, start, slot, done, self.keys, self._index, self._known, self.first)
                )
                if done == len(rows):
                    return
                self._grow()
                _enter(self._index, self._known, self.keys)

    def _grow(self) -> None:
        size = max(_FIRST_KEYS, 4 * len(self.first))
        self.first = np.concatenate([self.first, np.zeros(size - len(self.first), np.int64)])
        more = np.zeros((size - len(self._known), self.words), np.uint64)
        self._known = np.concatenate([self._known, more])
        self._index = np.full(4 * size, _FREE, np.int32)


@inner_kernel
def _hash(rows: UInt64, i: int) -> int:
    h = _GOLDEN
    for word in range(rows.shape[1]):
        h = (h ^ rows[i, word]) * _GOLDEN
        h ^= h >> _HALF
    return int(h & _POSITIVE)


@inner_kernel
def _is_same(known: UInt64, number: int, rows: UInt64, i: int) -> bool:
    for word in range(rows.shape[1]):  # noqa: SIM110  a kernel has no generators
        if known[number, word] != rows[i, word]:
            return False
    return True


@kernel
def _number(
    rows: UInt64,
    start: int,
    slot: Int32,
    done: int,
    keys: int,
    index: Int32,
    known: UInt64,
    first: Int64,
) -> tuple[int, int]:
    """Number the rows from `done` on; answers where it stopped for want of room, and the keys."""
    mask = len(index) - 1
    for i in range(done, len(rows)):
        at = _hash(rows, i) & mask
        while index[at] != _FREE and not _is_same(known, int(index[at]), rows, i):
            at = (at + 1) & mask
        if index[at] == _FREE:
            if keys == len(first):
                return i, keys
            index[at], first[keys] = keys, start + i
            for word in range(rows.shape[1]):
                known[keys, word] = rows[i, word]
            keys += 1
        slot[i] = index[at]
    return len(rows), keys


@kernel
def _enter(index: Int32, known: UInt64, keys: int) -> None:
    """Enter the known keys into an empty index."""
    mask = len(index) - 1
    for number in range(keys):
        at = _hash(known, number) & mask
        while index[at] != _FREE:
            at = (at + 1) & mask
        index[at] = number


@kernel
def _pack(data: Bytes, ends: Int64, longest: int, rows: Bytes) -> None:
    """Strings to rows of bytes, with their length, which tells them from others with zeros."""
    for i in range(len(rows)):
        start, length = int(ends[i]), int(ends[i + 1] - ends[i])
        for at in range(length):
            rows[i, at] = data[start + at]
        for at in range(length, longest):
            rows[i, at] = 0
        rows[i, longest] = length
