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

from stream_ewma.columns import NULL, Bytes, Float64, Int32, Int64, Spans, UInt8, as_bytes
from stream_ewma.errors import SettingsError
from stream_ewma.jit import kernel
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
    VALUE,
    Paths,
    Tokens,
    new_tokens,
    scan,
)
from stream_ewma.payloads.text import UNSURE, read_plain_number
from stream_ewma.payloads.timestamps import EPOCH_UNITS, EpochUnit, read_epoch, read_rfc3339
from stream_ewma.records.columns import RecordColumns
from stream_ewma.words import WORD

_OK: Final = int(Status.OK)
_NULL: Final = int(Status.NULL)
_TOMBSTONE: Final = int(Status.TOMBSTONE)
_DECODE: Final = int(Status.DECODE)
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


@kernel
def _read_key(buffer: Bytes, tokens: Tokens) -> int:
    """OK where the key token's bytes are the key, else MISSING_KEY or UNSURE."""
    kind = tokens.kind[KEY]
    if kind == STRING:
        return _OK
    if kind != NUMBER:
        return _MISSING_KEY
    if not tokens.form[KEY] & INTEGER:
        return _MISSING_KEY
    if tokens.length[KEY] > 18:  # larger ones may be doubles for the library
        return UNSURE
    if tokens.mantissa[KEY] == np.uint64(0) and tokens.form[KEY] & NEGATIVE:
        return UNSURE  # -0
    return _OK


@kernel
def _read_x(buffer: Bytes, tokens: Tokens, coerce_strings: bool) -> tuple[float, bool, int]:
    """The number, whether its token is its text, and OK, NULL, a failure or UNSURE."""
    kind = tokens.kind[VALUE]
    if kind == NUMBER:
        form = tokens.form[VALUE]
        x, sure = nearest_double(tokens.mantissa[VALUE], tokens.exponent[VALUE], form)
        if form & INTEGER:
            x += 0.0  # -0 is the integer 0
    elif kind == STRING and coerce_strings:
        at = tokens.start[VALUE]
        x, form, sure = read_plain_number(buffer, at, at + tokens.length[VALUE])
    elif kind == ABSENT:
        return 0.0, False, _MISSING_VALUE
    elif kind == NULL_TOKEN:
        return 0.0, False, _NULL
    else:
        return 0.0, False, _NOT_NUMERIC
    if not sure:
        return 0.0, False, UNSURE
    return x, form & SHORTEST != 0, _OK


@kernel
def _read_time(
    buffer: Bytes, tokens: Tokens, record_timestamp: int, rules: _Rules
) -> tuple[int, int]:
    """Event time in milliseconds, and OK, BAD_TIMESTAMP or UNSURE."""
    kind = tokens.kind[TIMESTAMP]
    if kind == NUMBER:
        form = tokens.form[TIMESTAMP]
        if form & LONG:
            return 0, UNSURE
        if not form & INTEGER:
            return 0, _BAD_TIMESTAMP
        ms, good = read_epoch(tokens.mantissa[TIMESTAMP], form & NEGATIVE != 0, rules.unit)
        return ms, _OK if good else _BAD_TIMESTAMP
    if kind == STRING:
        at = tokens.start[TIMESTAMP]
        ms, good = read_rfc3339(buffer, at, at + tokens.length[TIMESTAMP])
        return ms, _OK if good else UNSURE
    if kind != ABSENT and kind != NULL_TOKEN:
        return 0, _BAD_TIMESTAMP
    if rules.timestamp_required or record_timestamp < 0:
        return 0, _BAD_TIMESTAMP
    return record_timestamp, _OK


@kernel
def _read_row(buffer: Bytes, row: int, tokens: Tokens, rules: _Rules, out: _Out) -> int:
    """Turn the tokens of a row into a reading; its status."""
    if rules.has_key_path:
        status = _read_key(buffer, tokens)
        if status != _OK:
            return status
    x, is_text, status = _read_x(buffer, tokens, rules.coerce_strings)
    if status != _OK and status != _NULL:
        return status
    timestamp, time_status = _read_time(buffer, tokens, out.timestamp[row], rules)
    if time_status != _OK:
        return time_status
    out.x[row] = x
    out.timestamp[row] = timestamp
    if is_text:
        out.text_start[row] = tokens.start[VALUE]
        out.text_length[row] = tokens.length[VALUE]
    if rules.has_key_path:
        out.key_start[row] = tokens.start[KEY]
        out.key_length[row] = tokens.length[KEY]
    return status


@kernel
def _read_rows(
    buffer: Bytes,
    start: Int32,
    length: Int32,
    paths: Paths,
    tokens: Tokens,
    rules: _Rules,
    out: _Out,
) -> None:
    """Read every row that is certain, mark the others UNSURE.

    Args:
        buffer: holds all values.
        start: int32 (n,), of each value.
        length: int32 (n,), of each value.
        paths: what to look for.
        tokens: scratch.
        rules: what to make of it.
        out: n rows; `timestamp` holds the records' own, text and key lengths their defaults.
    """
    for row in range(len(start)):
        if length[row] < 0:
            out.status[row] = _TOMBSTONE
        elif length[row] > rules.max_value_bytes:
            out.status[row] = _TOO_LARGE
        elif length[row] == 0:
            out.status[row] = _DECODE
        elif scan(buffer, np.int64(start[row]), np.int64(start[row]) + length[row], paths, tokens):
            out.status[row] = _read_row(buffer, row, tokens, rules, out)
        else:
            out.status[row] = UNSURE


def _paths_of(options: ReadingOptions) -> Paths:
    """The names of the options' paths as the kernel looks for them.

    Raises:
        SettingsError: More names than the kernel has bits for.
    """
    split = {
        VALUE: split_path(options.value_path),
        TIMESTAMP: split_path(options.timestamp_path),
        KEY: split_path(options.key_path),
    }
    depth = max(len(names) for names in split.values())
    rows: list[tuple[int, bool, bytes]] = []
    first = [0]
    for level in range(depth):
        rows += [
            (path, level + 1 == len(names), names[level].encode())
            for path, names in split.items()
            if level < len(names)
        ]
        first.append(len(rows))
    if len(rows) > MAX_NAMES:
        raise SettingsError(
            [f"input: value, timestamp and key name {len(rows)} fields, at most {MAX_NAMES} work"]
        )
    heads = [name[:WORD] for _, _, name in rows]
    length = [len(name) for _, _, name in rows]
    return Paths(
        first=np.array(first, np.int64),
        path=np.array([path for path, _, _ in rows], np.int64),
        last=np.array([last for _, last, _ in rows], np.int64),
        word=np.array([int.from_bytes(head, "little") for head in heads], np.uint64),
        mask=np.array([(1 << 8 * len(head)) - 1 for head in heads], np.uint64),
        start=np.cumsum([0, *length], dtype=np.int64)[:-1],
        length=np.array(length, np.int64),
        text=as_bytes(b"".join(name for _, _, name in rows)),
    )


class JsonDecoder:
    """Reads JSON numbers and objects.

    Args:
        options: where the number, its event time and its key are.

    Raises:
        SettingsError: The paths have more than 62 names together.
    """

    def __init__(self, options: ReadingOptions) -> None:
        self._options = options
        self._paths = _paths_of(options)
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
                self._paths,
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
