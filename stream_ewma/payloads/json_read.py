"""JSON values to readings: a kernel where it is certain, orjson for every doubtful record.

Both give the same bits. What holds for either:

- Strict JSON in UTF-8 (no byte order mark, no NaN, no lone surrogates); of a name given twice the
  last counts. At most 1024 containers deep.
- A value that is no object is the reading itself: `21.7`, `null`.
- Integers of any size are rounded to the nearest double; `-0` is 0, `-0.0` is -0.0.
- Where a text is JSON but for NaN, Infinity or a number beyond the range of doubles, and that is
  what stands at the value path, the reason is NON_FINITE; elsewhere in the text it is DECODE.
- A tombstone keeps the record's key, also where keys come from the value.
"""

from typing import Final, NamedTuple

import numpy as np

from stream_ewma.columns import NULL, Bytes, Float64, Int32, Int64, Spans, UInt8, UInt64, as_bytes
from stream_ewma.errors import SettingsError
from stream_ewma.jit import inner_kernel, kernel
from stream_ewma.payloads.columns import ReadingColumns, ReadingOptions, Status
from stream_ewma.payloads.decimal import INTEGER, LONG, NEGATIVE, SHORTEST, nearest_double
from stream_ewma.payloads.json_document import read_document, split_path
from stream_ewma.payloads.json_scan import (
    ABSENT,
    KEY,
    MAX_NAMES,
    NULL_TOKEN,
    NUMBER,
    STRING,
    TIMESTAMP,
    TOKEN_EXPONENT,
    TOKEN_FORM,
    TOKEN_KIND,
    TOKEN_LENGTH,
    TOKEN_MANTISSA,
    TOKEN_START,
    VALUE,
    names_of,
    new_tokens,
    scan,
)
from stream_ewma.payloads.text import UNSURE, read_plain_number
from stream_ewma.payloads.timestamps import EPOCH_UNITS, EpochUnit, read_epoch, read_rfc3339
from stream_ewma.records.columns import RecordColumns
from stream_ewma.words import signed

_OK: Final = int(Status.OK)
_NULL: Final = int(Status.NULL)
_TOMBSTONE: Final = int(Status.TOMBSTONE)
_MISSING_VALUE: Final = int(Status.MISSING_VALUE)
_NOT_NUMERIC: Final = int(Status.NOT_NUMERIC)
_MISSING_KEY: Final = int(Status.MISSING_KEY)
_BAD_TIMESTAMP: Final = int(Status.BAD_TIMESTAMP)
_TOO_LARGE: Final = int(Status.TOO_LARGE)


class _Rules(NamedTuple):
    """The options in a kernel's terms."""

    max_value_bytes: int
    unit: EpochUnit
    timestamp_required: bool
    coerce_strings: bool
    has_key_path: bool


class _Out(NamedTuple):
    """The columns of n readings while they are filled in."""

    x: Float64
    text_start: Int32
    text_length: Int32
    timestamp: Int64
    key_start: Int32
    key_length: Int32
    status: UInt8


@inner_kernel
def _read_key(tokens: Int64) -> int:
    """OK where the key token's bytes are the key, else MISSING_KEY or UNSURE."""
    kind = tokens[KEY, TOKEN_KIND]
    form = tokens[KEY, TOKEN_FORM]
    if kind == STRING:
        return _OK
    if kind != NUMBER or not form & INTEGER:
        return _MISSING_KEY
    if tokens[KEY, TOKEN_LENGTH] > 18:  # larger ones may be doubles for the library
        return UNSURE
    if tokens[KEY, TOKEN_MANTISSA] == 0 and form & NEGATIVE:
        return UNSURE  # -0
    return _OK


@inner_kernel
def _read_x(buffer: Bytes, tokens: Int64, coerce_strings: bool) -> tuple[float, bool, int]:
    """The number, whether its token is its text, and OK, NULL, a failure or UNSURE."""
    kind = tokens[VALUE, TOKEN_KIND]
    if kind == NUMBER:
        form = tokens[VALUE, TOKEN_FORM]
        mantissa = np.uint64(tokens[VALUE, TOKEN_MANTISSA])
        x, sure = nearest_double(mantissa, tokens[VALUE, TOKEN_EXPONENT], form)
        if form & INTEGER:
            x += 0.0  # -0 is the integer 0
    elif kind == STRING and coerce_strings:
        at = tokens[VALUE, TOKEN_START]
        x, form, sure = read_plain_number(buffer, at, at + tokens[VALUE, TOKEN_LENGTH])
    elif kind == ABSENT:
        return 0.0, False, _MISSING_VALUE
    elif kind == NULL_TOKEN:
        return 0.0, False, _NULL
    else:
        return 0.0, False, _NOT_NUMERIC
    if not sure:
        return 0.0, False, UNSURE
    return x, form & SHORTEST != 0, _OK


@inner_kernel
def _read_time(
    buffer: Bytes, tokens: Int64, record_timestamp: int, rules: _Rules
) -> tuple[int, int]:
    """Event time in milliseconds, and OK, BAD_TIMESTAMP or UNSURE."""
    kind = tokens[TIMESTAMP, TOKEN_KIND]
    if kind == NUMBER:
        form = tokens[TIMESTAMP, TOKEN_FORM]
        if form & LONG:
            return 0, UNSURE
        magnitude = np.uint64(tokens[TIMESTAMP, TOKEN_MANTISSA])
        ms, good = read_epoch(magnitude, form & NEGATIVE != 0, rules.unit)
        return ms, _OK if good and form & INTEGER else _BAD_TIMESTAMP
    if kind == STRING:
        at = tokens[TIMESTAMP, TOKEN_START]
        ms, good = read_rfc3339(buffer, at, at + tokens[TIMESTAMP, TOKEN_LENGTH])
        return ms, _OK if good else UNSURE
    absent = kind in (ABSENT, NULL_TOKEN)
    if absent and not rules.timestamp_required and record_timestamp >= 0:
        return record_timestamp, _OK
    return 0, _BAD_TIMESTAMP


@inner_kernel
def _read_row(
    buffer: Bytes, tokens: Int64, record_timestamp: int, rules: _Rules
) -> tuple[int, float, bool, int]:
    """Status, number, whether its token is its text, and event time of the row just scanned."""
    if rules.has_key_path:
        status = _read_key(tokens)
        if status != _OK:
            return status, 0.0, False, record_timestamp
    x, is_text, status = _read_x(buffer, tokens, rules.coerce_strings)
    if status not in (_OK, _NULL):
        return status, 0.0, False, record_timestamp
    timestamp, time_status = _read_time(buffer, tokens, record_timestamp, rules)
    if time_status != _OK:
        return time_status, 0.0, False, record_timestamp
    return status, x, is_text, timestamp


@kernel
def _read_rows(
    buffer: Bytes,
    start: Int32,
    length: Int32,
    names: UInt64,
    tokens: Int64,
    rules: _Rules,
    out: _Out,
) -> None:
    """Read every row that is certain, mark the others UNSURE.

    Args:
        buffer: holds all values.
        start: int32 (n,), of each value.
        length: int32 (n,), of each value.
        names: what to look for.
        tokens: scratch.
        rules: what to make of it.
        out: n rows; `timestamp` holds the records' own, text and key lengths their defaults.
    """
    for row in range(len(start)):
        if length[row] < 0:
            out.status[row] = _TOMBSTONE
            continue
        if length[row] > rules.max_value_bytes:
            out.status[row] = _TOO_LARGE
            continue
        at = signed(start[row])
        if not scan(buffer, at, at + signed(length[row]), names, tokens):
            out.status[row] = UNSURE
            continue
        status, x, is_text, timestamp = _read_row(buffer, tokens, out.timestamp[row], rules)
        out.status[row] = status
        out.x[row] = x
        out.timestamp[row] = timestamp
        if is_text:
            out.text_start[row] = tokens[VALUE, TOKEN_START]
            out.text_length[row] = tokens[VALUE, TOKEN_LENGTH]
        if rules.has_key_path and status in (_OK, _NULL):
            out.key_start[row] = tokens[KEY, TOKEN_START]
            out.key_length[row] = tokens[KEY, TOKEN_LENGTH]


def _names_of(options: ReadingOptions) -> UInt64:
    """The names of the options' paths as the kernel looks for them.

    Raises:
        SettingsError: More names than the kernel has bits for.
    """
    paths = (options.value_path, options.timestamp_path, options.key_path)
    names = names_of([split_path(path) for path in paths])
    if len(names) > MAX_NAMES:
        raise SettingsError(
            [f"input: value, timestamp and key name {len(names)} fields, at most {MAX_NAMES} work"]
        )
    return names


class JsonDecoder:
    """Reads JSON numbers and objects.

    Args:
        options: where the number, its event time and its key are.

    Raises:
        SettingsError: The paths have more than 62 names together.
    """

    def __init__(self, options: ReadingOptions) -> None:
        self._options = options
        self._names = _names_of(options)
        self._rules = _Rules(
            options.max_value_bytes,
            EPOCH_UNITS[options.timestamp_unit],
            options.timestamp_required,
            options.coerce_strings,
            options.key_path is not None,
        )

    def decode(self, records: RecordColumns) -> ReadingColumns:
        """The readings of `records`, one row each, whatever their bytes are."""
        values = records.values
        n = len(records)
        out = _Out(
            x=np.zeros(n),
            text_start=np.zeros(n, np.int32),
            text_length=np.zeros(n, np.int32),
            timestamp=records.timestamp.copy(),
            key_start=np.zeros(n, np.int32),
            key_length=np.full(n, NULL, np.int32),
            status=np.empty(n, np.uint8),
        )
        with np.errstate(over="ignore"):  # interpreted kernels wrap around on purpose
            _read_rows(
                values.buffer,
                values.start,
                values.length,
                self._names,
                new_tokens(),
                self._rules,
                out,
            )
        keys = self._read_doubtful(records, out)
        text = Spans(values.buffer, out.text_start, out.text_length)
        return ReadingColumns(out.x, text, out.timestamp, keys, out.status)

    def _read_doubtful(self, records: RecordColumns, out: _Out) -> Spans:
        """Read the rows the kernel left over, one by one; returns the keys of all rows."""
        keys_apart: dict[int, bytes] = {}
        for row in np.flatnonzero(out.status == UNSURE).tolist():
            data = records.values.item(row) or b""
            reading = read_document(data, int(records.timestamp[row]), self._options)
            out.status[row] = reading.status
            out.x[row] = reading.x
            out.timestamp[row] = reading.timestamp
            if reading.key is not None:
                keys_apart[row] = reading.key
        if not self._rules.has_key_path:
            return records.keys
        for row in np.flatnonzero(out.status == _TOMBSTONE).tolist():
            key = records.keys.item(row)
            if key is not None:
                keys_apart[row] = key
        return _with_keys_apart(records.values.buffer, out, keys_apart)


def _with_keys_apart(buffer: Bytes, out: _Out, keys_apart: dict[int, bytes]) -> Spans:
    """Keys within the values, and some that are not, laid behind them in a new buffer."""
    if keys_apart:
        at = len(buffer)
        for row, key in keys_apart.items():
            out.key_start[row] = at
            out.key_length[row] = len(key)
            at += len(key)
        buffer = as_bytes(b"".join([buffer.tobytes(), *keys_apart.values()]))
    return Spans(buffer, out.key_start, out.key_length)
