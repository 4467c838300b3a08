"""What the JSON kernels look for and note down: names of paths, tokens, the layout of a text.

Each is one array: passing several to inner kernels costs time.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from stream_ewma.columns import Int64, UInt64
from stream_ewma.jit import inner_kernel
from stream_ewma.words import WORD

TIMESTAMP: Final = 0
KEY: Final = 1
WEIGHT: Final = 2
RESET: Final = 3
RESERVED: Final = 4
VALUE: Final = 5
"""The paths; from `VALUE` on one for each number."""

ABSENT: Final = 0
NUMBER: Final = 1
STRING: Final = 2
NULL_TOKEN: Final = 3
BOOLEAN: Final = 4
CONTAINER: Final = 5
"""Kinds of tokens."""

MAX_NAMES: Final = 62
"""Names in all paths together: one bit each."""
_MAX_SCALARS: Final = 64
"""A text of more scalars has no layout: comparing it name by name costs little in relation."""

NAME_PATH: Final = 0
NAME_DEPTH: Final = 1
NAME_IS_LAST: Final = 2
NAME_LENGTH: Final = 3
NAME_WORDS: Final = 4
"""Columns of the names: see `names_of`."""

TOKEN_KIND: Final = 0
TOKEN_START: Final = 1
TOKEN_LENGTH: Final = 2
TOKEN_MANTISSA: Final = 3
TOKEN_EXPONENT: Final = 4
TOKEN_FORM: Final = 5
TOKEN_DEPTH: Final = 6
"""Columns of the tokens: see `new_tokens`."""

TOKEN_COLUMNS: Final = 8
LAYOUT_COLUMNS: Final = 8
LAYOUT_HEAD: Final = 0
HEAD_SCALARS: Final = 0
HEAD_BUDGET: Final = 1
GAP_START: Final = 0
GAP_LENGTH: Final = 1
GAP_HITS: Final = 2
GAP_WORD: Final = 3
GAP_MASK: Final = 4
"""Row and columns of a layout: see `new_layout`."""

FIRST_BUDGET: Final = 16


def names_of(paths: Sequence[tuple[int, Sequence[str]]]) -> UInt64:
    """What the scan looks for.

    Args:
        paths: the names of the paths, outermost first, and the path's number.

    Returns:
        uint64 (names, 4 + 2 * words): the name's path, its depth from 1 on, 1 if it is the last
        of its path, its length in bytes; then in turns eight bytes of it and the mask of those
        that belong to it.
    """
    rows = []
    width = max((len(name.encode()) for _, names in paths for name in names), default=0)
    for path, names in paths:
        for depth, name in enumerate(names, 1):
            text = name.encode()
            row = [path, depth, depth == len(names), len(text)]
            for first in range(0, width, WORD):
                part = text[first : first + WORD]
                row += [int.from_bytes(part, "little"), (1 << 8 * len(part)) - 1]
            rows.append(row)
    return np.array(rows, np.uint64)


@inner_kernel
def in_token(path: int, column: int) -> int:
    """Where a path's column is: an index into two dimensions costs twice as much."""
    return TOKEN_COLUMNS * path + column


@inner_kernel
def in_layout(row: int, column: int) -> int:
    """Where a row's column is."""
    return LAYOUT_COLUMNS * row + column


def new_tokens(values: int) -> Int64:
    """Room for what one scan finds: int64 (5 + values, 8) in one dimension, a row for each path.

    Columns: kind (ABSENT to CONTAINER), first byte (inside the quotes of a string) and length;
    of a number the bits of the mantissa, exponent and form; and how many containers along the
    path the scan is inside of.
    """
    return np.zeros((VALUE + values) * TOKEN_COLUMNS, np.int64)


def new_layout() -> Int64:
    """Room for where the scalars of one text are: int64 (2 + 64, 8) in one dimension.

    Row 0: how many scalars there are, -1 where no layout is known, and how many more misses it is
    worth to try the layout before giving up. Then a row for the gap before each scalar and one for
    what follows the last: where it begins, its length, the paths the scalar is at the end of, one
    bit each, then its first two words, each with the mask of the bytes that belong to it.
    """
    layout = np.zeros((_MAX_SCALARS + 2) * LAYOUT_COLUMNS, np.int64)
    layout[:2] = (-1, FIRST_BUDGET)
    return layout
