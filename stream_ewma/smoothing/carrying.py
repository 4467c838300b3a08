"""A single series' state between scales of time, and as bytes."""

from dataclasses import fields, is_dataclass
from hashlib import sha256
from math import ldexp
from numbers import Real
from struct import Struct
from typing import Final

import numpy as np

from stream_ewma.columns import Int64
from stream_ewma.smoothing.joining import row_from_bytes, row_to_bytes
from stream_ewma.smoothing.layout import NOWHERE, Places
from stream_ewma.smoothing.plan import Plan, Row
from stream_ewma.smoothing.times import Scale

_HEADER: Final = Struct("<4sBBh16s")
"""Magic, version, kind of time, shift of the scale, fingerprint of the parameters; then the row."""

_MAGIC: Final = b"EWMA"
_VERSION: Final = 1
_COUNTS, _NUMBERS, _DATES = range(3)
_LARGEST_REFERENCE: Final = 1 << 62


def rescaled(places: Places, words: Int64, by: int) -> Row:
    """A copy of a row of one factor, with 2^by ticks for each; to the nearest if they are fewer."""
    row = Row.empty(len(words))
    row.words[:] = words
    times = [places.reference]
    if places.held != NOWHERE:
        held = int(words[places.held])
        times.extend(range(places.held + 1, places.held + 1 + 2 * held, 2))
    for place in times:
        time = int(words[place])
        row.words[place] = time << by if by >= 0 else (time + (1 << (-by - 1))) >> -by
    line = places.first_factor + places.line
    powers = {line: by, line + 1: 2 * by, line + 2: by}
    if places.holt != NOWHERE:
        powers[places.first_factor + places.holt + 1] = -by
    for place, power in powers.items():
        row.numbers[place] = ldexp(float(row.numbers[place]), power)
    return row


def meeting_shift(places: Places, first: tuple[Int64, int], second: tuple[Int64, int]) -> int:
    """The shift that two rows (words, shift) can share: the finer one, if both fit it."""
    finer = max(first[1], second[1])
    for words, shift in (first, second):
        if abs(int(words[places.reference])) << (finer - shift) >= _LARGEST_REFERENCE:
            return min(first[1], second[1])
    return finer


def _described(value: object) -> str:
    """Settings as text, without those that have their default: new ones change no old text."""
    if isinstance(value, tuple):
        return f"({', '.join(_described(each) for each in value)})"
    if isinstance(value, Real | np.bool_):  # 9 is 9.0 is numpy's 9, and True is 1
        return repr(float(value))
    if not is_dataclass(value):
        return repr(value)
    given = [
        f"{field.name}={_described(getattr(value, field.name))}"
        for field in fields(value)
        if getattr(value, field.name) != field.default
    ]
    return f"{type(value).__name__}({', '.join(given)})"


def _fingerprint(plan: Plan) -> bytes:
    return sha256(_described((plan.sets, plan.mode)).encode()).digest()[:16]


def state_to_bytes(plan: Plan, scale: Scale | None, words: Int64) -> bytes:
    """A state, with all that tells whether another object may take it; little-endian."""
    kind, shift = _COUNTS, 0
    if scale is not None:
        kind, shift = _DATES if scale.is_date else _NUMBERS, scale.shift
    header = _HEADER.pack(_MAGIC, _VERSION, kind, shift, _fingerprint(plan))
    return header + row_to_bytes(words)


def scale_of_bytes(data: bytes) -> Scale | None:
    """The scale of times of a state.

    Raises:
        ValueError: these are no bytes of a state, or of another version.
    """
    if len(data) < _HEADER.size or data[:4] != _MAGIC:
        raise ValueError("from_bytes: these are not the bytes of an Ewma")
    _, version, kind, shift, _ = _HEADER.unpack_from(data)
    if version != _VERSION:
        raise ValueError(f"from_bytes: version {version} is not known here, only {_VERSION}")
    return None if kind == _COUNTS else Scale(is_date=kind == _DATES, shift=shift)


def row_of_bytes(plan: Plan, data: bytes) -> Row:
    """The row of a state whose parameters are those of `plan`.

    Raises:
        ValueError: they are others, or the bytes are damaged.
    """
    if _HEADER.unpack_from(data)[4] != _fingerprint(plan):
        raise ValueError("from_bytes: the state is one of other parameters")
    row = row_from_bytes(data[_HEADER.size :], plan.places.width)
    held = 0 if plan.places.held == NOWHERE else int(row.words[plan.places.held])
    if not 0 <= held <= plan.mode.reorder:  # kernels go by it
        raise ValueError(f"from_bytes: the state is damaged: it holds {held} readings back")
    return row
