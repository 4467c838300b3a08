"""From the tokens of one JSON text to a row of readings, in a kernel."""

from typing import Final, NamedTuple

import numpy as np

from stream_ewma.columns import Bytes, Float64, Int32, Int64, UInt8
from stream_ewma.jit import inner_kernel
from stream_ewma.payloads.columns import Status
from stream_ewma.payloads.decimal import INTEGER, LONG, NEGATIVE, SHORTEST, nearest_double
from stream_ewma.payloads.json_tokens import (
    ABSENT,
    BOOLEAN,
    KEY,
    NULL_TOKEN,
    NUMBER,
    RESERVED,
    RESET,
    STRING,
    TIMESTAMP,
    TOKEN_EXPONENT,
    TOKEN_FORM,
    TOKEN_KIND,
    TOKEN_LENGTH,
    TOKEN_MANTISSA,
    TOKEN_START,
    VALUE,
    WEIGHT,
    in_token,
)
from stream_ewma.payloads.text import UNSURE, read_plain_number
from stream_ewma.payloads.timestamps import EpochUnit, read_epoch, read_rfc3339

_OK: Final = int(Status.OK)
_NULL: Final = int(Status.NULL)
_MISSING_VALUE: Final = int(Status.MISSING_VALUE)
_NOT_NUMERIC: Final = int(Status.NOT_NUMERIC)
_MISSING_KEY: Final = int(Status.MISSING_KEY)
_BAD_TIMESTAMP: Final = int(Status.BAD_TIMESTAMP)
_BAD_WEIGHT: Final = int(Status.BAD_WEIGHT)
_NAME_TAKEN: Final = int(Status.NAME_TAKEN)


class Rules(NamedTuple):
    """The options in a kernel's terms."""

    max_value_bytes: int
    unit: EpochUnit
    timestamp_required: bool
    coerce_strings: bool
    has_key_path: bool
    has_weight_path: bool
    has_reset_path: bool


class Out(NamedTuple):
    """The columns of n readings while they are filled in.

    Attributes:
        x: float64 (numbers, n).
        text_start: int32 (numbers, n).
        text_length: int32 (numbers, n).
        number_status: uint8 (numbers, n).
        timestamp: int64 (n,).
        key_start: int32 (n,).
        key_length: int32 (n,).
        status: uint8 (n,), a view of `number_status` where there is only one number.
        weight: float64 (n,), empty where there is no weight path.
        restart: uint8 (n,), empty where there is no reset path.
    """

    x: Float64
    text_start: Int32
    text_length: Int32
    number_status: UInt8
    timestamp: Int64
    key_start: Int32
    key_length: Int32
    status: UInt8
    weight: Float64
    restart: UInt8


@inner_kernel
def _read_key(tokens: Int64) -> int:
    """OK where the key token's bytes are the key, else MISSING_KEY or UNSURE."""
    kind = tokens[in_token(KEY, TOKEN_KIND)]
    form = tokens[in_token(KEY, TOKEN_FORM)]
    if kind == STRING:
        return _OK
    if kind != NUMBER or not form & INTEGER:
        return _MISSING_KEY
    if tokens[in_token(KEY, TOKEN_LENGTH)] > 18:  # larger ones may be doubles for the library
        return UNSURE
    if tokens[in_token(KEY, TOKEN_MANTISSA)] == 0 and form & NEGATIVE:
        return UNSURE  # -0
    return _OK


@inner_kernel
def _read_number(
    buffer: Bytes, tokens: Int64, path: int, coerce_strings: bool
) -> tuple[float, int, int]:
    """The number at `path`, its form bits, and OK, MISSING_VALUE, NULL, NOT_NUMERIC or UNSURE."""
    kind = tokens[in_token(path, TOKEN_KIND)]
    if kind == NUMBER:
        form = tokens[in_token(path, TOKEN_FORM)]
        mantissa = np.uint64(tokens[in_token(path, TOKEN_MANTISSA)])
        x, sure = nearest_double(mantissa, tokens[in_token(path, TOKEN_EXPONENT)], form)
        if form & INTEGER:
            x += 0.0  # -0 is the integer 0
    elif kind == STRING and coerce_strings:
        at = tokens[in_token(path, TOKEN_START)]
        x, form, sure = read_plain_number(buffer, at, at + tokens[in_token(path, TOKEN_LENGTH)])
    elif kind == ABSENT:
        return 0.0, 0, _MISSING_VALUE
    elif kind == NULL_TOKEN:
        return 0.0, 0, _NULL
    else:
        return 0.0, 0, _NOT_NUMERIC
    if not sure:
        return 0.0, 0, UNSURE
    return x, form, _OK


@inner_kernel
def _read_numbers(buffer: Bytes, tokens: Int64, coerce_strings: bool, out: Out, row: int) -> int:
    """Fill in the numbers; OK, NULL, a failure or UNSURE."""
    status = _MISSING_VALUE
    for number in range(len(out.x)):
        x, form, found = _read_number(buffer, tokens, VALUE + number, coerce_strings)
        if found not in (_OK, _NULL, _MISSING_VALUE):
            return found
        out.x[number, row] = x
        out.number_status[number, row] = found
        if form & SHORTEST:
            out.text_start[number, row] = tokens[in_token(VALUE + number, TOKEN_START)]
            out.text_length[number, row] = tokens[in_token(VALUE + number, TOKEN_LENGTH)]
        if status != _OK and found != _MISSING_VALUE:
            status = found
    return status


@inner_kernel
def _read_weight(buffer: Bytes, tokens: Int64, coerce_strings: bool) -> tuple[float, int]:
    """The weight, and OK, BAD_WEIGHT or UNSURE."""
    x, _, status = _read_number(buffer, tokens, WEIGHT, coerce_strings)
    if status in (_MISSING_VALUE, _NULL):
        return 1.0, _OK
    if status == UNSURE:
        return 1.0, UNSURE
    return x, _OK if status == _OK and x > 0.0 else _BAD_WEIGHT


@inner_kernel
def _read_restart(buffer: Bytes, tokens: Int64) -> tuple[bool, int]:
    """Whether the smoothing begins anew, and OK or UNSURE."""
    kind = tokens[in_token(RESET, TOKEN_KIND)]
    if kind == NUMBER:
        x, _, status = _read_number(buffer, tokens, RESET, False)
        return x != 0.0, status
    if kind == STRING:
        return tokens[in_token(RESET, TOKEN_LENGTH)] > 0, _OK
    return kind == BOOLEAN and buffer[tokens[in_token(RESET, TOKEN_START)]] == 116, _OK  # t


@inner_kernel
def _read_time(
    buffer: Bytes, tokens: Int64, record_timestamp: int, rules: Rules
) -> tuple[int, int]:
    """Event time in milliseconds, and OK, BAD_TIMESTAMP or UNSURE."""
    kind = tokens[in_token(TIMESTAMP, TOKEN_KIND)]
    if kind == NUMBER:
        form = tokens[in_token(TIMESTAMP, TOKEN_FORM)]
        if form & LONG:
            return 0, UNSURE
        magnitude = np.uint64(tokens[in_token(TIMESTAMP, TOKEN_MANTISSA)])
        ms, good = read_epoch(magnitude, form & NEGATIVE != 0, rules.unit)
        return ms, _OK if good and form & INTEGER else _BAD_TIMESTAMP
    if kind == STRING:
        at = tokens[in_token(TIMESTAMP, TOKEN_START)]
        ms, good = read_rfc3339(buffer, at, at + tokens[in_token(TIMESTAMP, TOKEN_LENGTH)])
        return ms, _OK if good else UNSURE
    absent = kind in (ABSENT, NULL_TOKEN)
    if absent and not rules.timestamp_required and record_timestamp >= 0:
        return record_timestamp, _OK
    return 0, _BAD_TIMESTAMP


@inner_kernel
def read_row(  # noqa: PLR0911  one check after another
    buffer: Bytes, tokens: Int64, rules: Rules, out: Out, row: int
) -> int:
    """Fill in the row just scanned; OK, NULL, or a failure or UNSURE with the row half filled."""
    if rules.has_key_path:
        status = _read_key(tokens)
        if status != _OK:
            return status
        out.key_start[row] = tokens[in_token(KEY, TOKEN_START)]
        out.key_length[row] = tokens[in_token(KEY, TOKEN_LENGTH)]
    status = _read_numbers(buffer, tokens, rules.coerce_strings, out, row)
    if status not in (_OK, _NULL):
        return status
    if rules.has_weight_path:
        out.weight[row], found = _read_weight(buffer, tokens, rules.coerce_strings)
        if found != _OK:
            return found
    timestamp, found = _read_time(buffer, tokens, out.timestamp[row], rules)
    if found != _OK:
        return found
    if tokens[in_token(RESERVED, TOKEN_KIND)] != ABSENT:
        return _NAME_TAKEN
    if rules.has_reset_path:
        out.restart[row], found = _read_restart(buffer, tokens)
        if found != _OK:
            return found
    out.timestamp[row] = timestamp
    out.status[row] = status
    return status


@inner_kernel
def fail_row(out: Out, row: int, status: int) -> None:
    """Take back what was filled in of a row without a reading."""
    for number in range(len(out.x)):
        out.x[number, row] = 0.0
        out.text_length[number, row] = 0
        out.number_status[number, row] = status
    out.status[row] = status
    if len(out.weight):
        out.weight[row] = 1.0
    if len(out.restart):
        out.restart[row] = 0
