"""One pass over a JSON text in a kernel: check all of it, note what stands at given paths.

It answers only where it is certain that a strict parser accepts the whole text and finds the same:
no escape in a string, no name of a path given twice, no number that may be infinite, at most 62
containers deep. Everything else is doubtful, and for a library to decide.

Texts of one source are mostly alike but for their scalars. So the scan leaves behind where these
are, and the next text is first compared with that layout: where all between the scalars is byte for
byte the same, so is what the scan would find.
"""

from typing import Final

import numpy as np

from stream_ewma.columns import Bytes, Int64, UInt64
from stream_ewma.jit import inner_kernel
from stream_ewma.payloads.json_scalars import close_quote, scalar, skip_space
from stream_ewma.payloads.json_tokens import (
    ABSENT,
    CONTAINER,
    FIRST_BUDGET,
    GAP_HITS,
    GAP_LENGTH,
    GAP_MASK,
    GAP_START,
    GAP_WORD,
    HEAD_BUDGET,
    HEAD_SCALARS,
    LAYOUT_COLUMNS,
    LAYOUT_HEAD,
    NAME_DEPTH,
    NAME_IS_LAST,
    NAME_LENGTH,
    NAME_PATH,
    NAME_WORDS,
    TOKEN_COLUMNS,
    TOKEN_DEPTH,
    TOKEN_KIND,
    VALUE,
    in_layout,
    in_token,
)
from stream_ewma.words import WORD, first_bytes, load_word, signed, word_at

_MAX_DEPTH: Final = 62
"""Open containers: one bit each."""
_GAP_WORDS: Final = 2
"""Words of a gap in the layout itself."""


@inner_kernel
def _same_name(buffer: Bytes, start: int, length: int, names: UInt64, name: int) -> bool:
    if np.uint64(length) != names[name, NAME_LENGTH]:
        return False
    column = NAME_WORDS
    for i in range(0, length, WORD):
        if word_at(buffer, start + i) & names[name, column + 1] != names[name, column]:
            return False
        column += 2
    return True


@inner_kernel
def _read_name(
    buffer: Bytes, at: int, end: int, depth: int, seen: int, names: UInt64, tokens: Int64
) -> tuple[int, int, int, int]:
    """Read an object's name and compare it with those looked for at this depth.

    Returns:
        The position of the value, -1 where there is none or the name came for the second time
        (which one counts is for the library); the paths that end here and those that lead on, one
        bit each; the names seen so far, one bit each.
    """
    hits = 0
    onward = 0
    if at >= end or buffer[at] != 34:  # "
        return -1, hits, onward, seen
    start = at + 1
    stop = close_quote(buffer, start, end)
    if stop < 0:
        return -1, hits, onward, seen
    for name in range(len(names)):
        path = signed(names[name, NAME_PATH])
        if (
            signed(names[name, NAME_DEPTH]) == depth
            and tokens[in_token(path, TOKEN_DEPTH)] == depth - 1
            and _same_name(buffer, start, stop - start, names, name)
        ):
            if seen >> name & 1:
                return -1, hits, onward, seen
            seen |= 1 << name
            if names[name, NAME_IS_LAST]:
                hits |= 1 << path
            else:
                onward |= 1 << path
    at = skip_space(buffer, stop + 1, end)
    if at >= end or buffer[at] != 58:  # :
        return -1, hits, onward, seen
    return skip_space(buffer, at + 1, end), hits, onward, seen


@inner_kernel
def _enter(tokens: Int64, hits: int, onward: int, depth: int, is_array: bool) -> None:
    """Note that a container begins where the paths `hits` end and `onward` lead on."""
    for path in range(len(tokens) // TOKEN_COLUMNS):
        if hits >> path & 1:
            tokens[in_token(path, TOKEN_KIND)] = CONTAINER
        if onward >> path & 1 and not is_array:
            tokens[in_token(path, TOKEN_DEPTH)] = depth


@inner_kernel
def _close_containers(
    buffer: Bytes, at: int, end: int, depth: int, arrays: int, tokens: Int64
) -> tuple[int, int, int]:
    """After a value: leave the containers that end here, up to and with the next comma.

    Returns:
        The position after the comma, or after the outermost value, and the space behind it (-1:
        malformed), the depth and the kinds of the open containers.
    """
    while depth:
        at = skip_space(buffer, at, end)
        if at >= end:
            return -1, depth, arrays
        byte = signed(buffer[at])
        at += 1
        if byte == 44:  # ,
            return skip_space(buffer, at, end), depth, arrays
        if byte != (93 if arrays & 1 else 125):  # ] }
            return -1, depth, arrays
        depth -= 1
        arrays >>= 1
        for path in range(len(tokens) // TOKEN_COLUMNS if depth else 0):
            if tokens[in_token(path, TOKEN_DEPTH)] == depth:
                tokens[in_token(path, TOKEN_DEPTH)] = depth - 1
    return skip_space(buffer, at, end), 0, 0


@inner_kernel
def _scan(  # noqa: C901  a grammar has as many branches
    buffer: Bytes, at: int, end: int, names: UInt64, tokens: Int64, layout: Int64
) -> bool:
    """As `read_text`, name by name; learns the layout."""
    for path in range(len(tokens) // TOKEN_COLUMNS):
        tokens[in_token(path, TOKEN_KIND)] = ABSENT
        tokens[in_token(path, TOKEN_DEPTH)] = 0
    layout[in_layout(LAYOUT_HEAD, HEAD_SCALARS)] = -1
    learns = layout[in_layout(LAYOUT_HEAD, HEAD_BUDGET)] > 0
    scalars = 0
    gap = at
    seen = 0
    depth = 0
    arrays = 0  # one bit per open container, the innermost lowest: 1 for an array
    hits = 1 << VALUE if len(tokens) == TOKEN_COLUMNS * (VALUE + 1) else 0
    onward = 0
    at = skip_space(buffer, at, end)
    while 0 <= at < end:
        byte = signed(buffer[at])
        opened = byte in (123, 91)  # { [
        if opened:
            if depth == _MAX_DEPTH:
                return False
            is_array = byte == 91
            if depth or is_array:
                _enter(tokens, hits, onward, depth, is_array)
            depth += 1
            arrays = arrays << 1 | signed(is_array)
            at = skip_space(buffer, at + 1, end)
            opened = at < end and buffer[at] != byte + 2  # ASCII: { | } and [ \ ]
        else:
            learns = learns and _note_gap(buffer, layout, scalars, gap, at, hits)
            scalars += 1
            at = scalar(buffer, at, end, hits, tokens)
            if at < 0:
                return False
            gap = at
        if not opened:
            at, depth, arrays = _close_containers(buffer, at, end, depth, arrays, tokens)
            if depth == 0:
                if at == end and learns and _note_gap(buffer, layout, scalars, gap, end, 0):
                    layout[in_layout(LAYOUT_HEAD, HEAD_SCALARS)] = scalars
                return at == end
        hits = 0
        onward = 0
        if not arrays & 1 and at >= 0:
            at, hits, onward, seen = _read_name(buffer, at, end, depth, seen, names, tokens)
    return False


@inner_kernel
def _note_gap(buffer: Bytes, layout: Int64, scalars: int, gap: int, end: int, hits: int) -> bool:
    """Note what lies between two scalars; whether the layout has room for it."""
    row = LAYOUT_HEAD + 1 + scalars
    if row >= len(layout) // LAYOUT_COLUMNS:
        return False
    length = end - gap
    layout[in_layout(row, GAP_START)] = gap
    layout[in_layout(row, GAP_LENGTH)] = length
    layout[in_layout(row, GAP_HITS)] = hits
    for word in range(_GAP_WORDS):
        within = first_bytes(length - WORD * word)
        layout[in_layout(row, GAP_MASK + 2 * word)] = signed(within)
        layout[in_layout(row, GAP_WORD + 2 * word)] = signed(
            word_at(buffer, gap + WORD * word) & within
        )
    return True


@inner_kernel
def _same_gap(buffer: Bytes, at: int, layout: Int64, row: int) -> bool:
    """Whether the gap's bytes stand at `at`; two words from there on are within the buffer."""
    word = load_word(buffer, at) & np.uint64(layout[in_layout(row, GAP_MASK)])
    other = load_word(buffer, at + WORD) & np.uint64(layout[in_layout(row, GAP_MASK + 2)])
    different = word ^ np.uint64(layout[in_layout(row, GAP_WORD)])
    different |= other ^ np.uint64(layout[in_layout(row, GAP_WORD + 2)])
    if different:
        return False
    start = layout[in_layout(row, GAP_START)]
    for i in range(_GAP_WORDS * WORD, layout[in_layout(row, GAP_LENGTH)]):
        if buffer[at + i] != buffer[start + i]:
            return False
    return True


@inner_kernel
def _follow(buffer: Bytes, at: int, end: int, tokens: Int64, layout: Int64) -> bool:
    """As `read_text`, where the text has the layout; else False, and the tokens are worthless.

    A scanner that has read the same bytes since a scalar is in the same state, so that before the
    next scalar it would note the same and accept any other scalar. Tokens of paths without one, or
    with a container, stay those of the text that the layout is of.
    """
    scalars = layout[in_layout(LAYOUT_HEAD, HEAD_SCALARS)]
    if end > len(buffer) - _GAP_WORDS * WORD:
        return False
    for row in range(LAYOUT_HEAD + 1, LAYOUT_HEAD + 2 + scalars):
        length = layout[in_layout(row, GAP_LENGTH)]
        if length > end - at or not _same_gap(buffer, at, layout, row):
            return False
        at += length
        if row == LAYOUT_HEAD + 1 + scalars or at == end:
            return at == end and row == LAYOUT_HEAD + 1 + scalars
        at = scalar(buffer, at, end, layout[in_layout(row, GAP_HITS)], tokens)
        if at < 0:
            return False
    return False


@inner_kernel
def read_text(
    buffer: Bytes, at: int, end: int, names: UInt64, tokens: Int64, layout: Int64
) -> bool:
    """Check the JSON text [at, end) and note in `tokens` what stands at each path.

    A text that is no object stands for what the value path leads to, where there is only one.

    Args:
        buffer: holds the text, and the text that `layout` is of.
        at: where the text begins.
        end: where it ends.
        names: what to look for.
        tokens: those of the text that `layout` is of; overwritten.
        layout: of an earlier text.

    Returns:
        Whether it is certain: the text is strict JSON in UTF-8 and `tokens` is what is in it.
    """
    budget = layout[in_layout(LAYOUT_HEAD, HEAD_BUDGET)]
    if budget > 0:
        if _follow(buffer, at, end, tokens, layout):
            layout[in_layout(LAYOUT_HEAD, HEAD_BUDGET)] = min(budget + 1, FIRST_BUDGET)
            return True
        layout[in_layout(LAYOUT_HEAD, HEAD_BUDGET)] = budget - 1
    return _scan(buffer, at, end, names, tokens, layout)
