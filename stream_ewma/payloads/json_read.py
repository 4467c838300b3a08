"""JSON values to readings: a kernel where it is certain, orjson for every doubtful record.

Both give the same bits. What holds for either:

- Strict JSON in UTF-8 (no byte order mark, no NaN, no lone surrogates); of a name given twice the
  last counts. At most 1024 containers deep.
- A value that is no object is the reading itself, `21.7`, `null`; where several numbers are looked
  for it holds none.
- Integers of any size are rounded to the nearest double; `-0` is 0, `-0.0` is -0.0.
- Where a text is JSON but for NaN, Infinity or a number beyond the range of doubles, and that is
  what stands at a value path, the reason is NON_FINITE, at the weight path BAD_WEIGHT; elsewhere
  in the text it is DECODE.
- A tombstone keeps the record's key, also where keys come from the value.
"""

from typing import Final

import numpy as np

from stream_ewma.columns import NULL, Bytes, Int32, Int64, Spans, UInt64, as_bytes
from stream_ewma.errors import SettingsError
from stream_ewma.jit import kernel
from stream_ewma.payloads.columns import NumberColumns, ReadingColumns, ReadingOptions, Status
from stream_ewma.payloads.json_document import read_document, split_path
from stream_ewma.payloads.json_fill import Out, Rules, fail_row, read_row
from stream_ewma.payloads.json_scan import read_text
from stream_ewma.payloads.json_tokens import (
    KEY,
    MAX_NAMES,
    RESERVED,
    RESET,
    TIMESTAMP,
    VALUE,
    WEIGHT,
    names_of,
    new_layout,
    new_tokens,
)
from stream_ewma.payloads.text import UNSURE
from stream_ewma.payloads.timestamps import EPOCH_UNITS
from stream_ewma.records.columns import RecordColumns
from stream_ewma.words import signed

_OK: Final = int(Status.OK)
_NULL: Final = int(Status.NULL)
_TOMBSTONE: Final = int(Status.TOMBSTONE)
_TOO_LARGE: Final = int(Status.TOO_LARGE)


@kernel
def _read_rows(
    buffer: Bytes,
    start: Int32,
    length: Int32,
    names: UInt64,
    tokens: Int64,
    layout: Int64,
    rules: Rules,
    out: Out,
) -> bool:
    """Read every row that is certain, mark the others UNSURE.

    Args:
        buffer: holds all values.
        start: int32 (n,), of each value.
        length: int32 (n,), of each value.
        names: what to look for.
        tokens: scratch.
        layout: scratch.
        rules: what to make of it.
        out: n rows; `timestamp` holds the records' own, text and key lengths their defaults.

    Returns:
        Whether all rows are certain.
    """
    all_sure = True
    for row in range(len(start)):
        if length[row] < 0:
            fail_row(out, row, _TOMBSTONE)
            continue
        if length[row] > rules.max_value_bytes:
            fail_row(out, row, _TOO_LARGE)
            continue
        at = signed(start[row])
        status = UNSURE
        if read_text(buffer, at, at + signed(length[row]), names, tokens, layout):
            status = read_row(buffer, tokens, rules, out, row)
        if status not in (_OK, _NULL):
            fail_row(out, row, status)
            all_sure &= status != UNSURE
    return all_sure


def _names_of(options: ReadingOptions) -> UInt64:
    """The names of the options' paths as the kernel looks for them.

    Raises:
        SettingsError: More names than the kernel has bits for.
    """
    paths = [
        (TIMESTAMP, options.timestamp_path),
        (KEY, options.key_path),
        (WEIGHT, options.weight_path),
        (RESET, options.reset_path),
        *((VALUE + number, path) for number, path in enumerate(options.value_paths)),
    ]
    looked_for = [(place, split_path(path)) for place, path in paths if path is not None]
    names = names_of([*looked_for, *((RESERVED, [name]) for name in options.reserved_names)])
    if len(names) > MAX_NAMES:
        raise SettingsError(
            [f"input: the paths name {len(names)} fields together, at most {MAX_NAMES} work"]
        )
    return names


class JsonDecoder:
    """Reads JSON numbers and objects.

    Args:
        options: where the numbers, their event time, key and weight are.

    Raises:
        SettingsError: The paths have more than 62 names together, those reserved included.
    """

    def __init__(self, options: ReadingOptions) -> None:
        self._options = options
        self._names = _names_of(options)
        self._rules = Rules(
            options.max_value_bytes,
            EPOCH_UNITS[options.timestamp_unit],
            options.timestamp_required,
            options.coerce_strings,
            options.key_path is not None,
            options.weight_path is not None,
            options.reset_path is not None,
        )

    def decode(self, records: RecordColumns) -> ReadingColumns:
        """The readings of `records`, one row each, whatever their bytes are."""
        values = records.values
        out = self._room(records)
        with np.errstate(over="ignore"):  # interpreted kernels wrap around on purpose
            all_sure = _read_rows(
                values.buffer,
                values.start,
                values.length,
                self._names,
                new_tokens(len(out.x)),
                new_layout(),
                self._rules,
                out,
            )
        keys_apart = {} if all_sure else self._read_doubtful(records, out)
        return ReadingColumns(
            tuple(
                NumberColumns(x, Spans(values.buffer, start, length), status)
                for x, start, length, status in zip(
                    out.x, out.text_start, out.text_length, out.number_status, strict=True
                )
            ),
            out.timestamp,
            self._keys(records, out, keys_apart) if self._rules.has_key_path else records.keys,
            out.status,
            out.weight if self._rules.has_weight_path else None,
            out.restart if self._rules.has_reset_path else None,
        )

    def _room(self, records: RecordColumns) -> Out:
        """Columns for the readings of `records`."""
        n = len(records)
        shape = len(self._options.value_paths), n
        number_status = np.empty(shape, np.uint8)
        return Out(
            x=np.empty(shape),
            text_start=np.zeros(shape, np.int32),
            text_length=np.zeros(shape, np.int32),
            number_status=number_status,
            timestamp=records.timestamp.copy(),
            key_start=np.zeros(n if self._rules.has_key_path else 0, np.int32),
            key_length=np.full(n if self._rules.has_key_path else 0, NULL, np.int32),
            status=number_status[0] if len(number_status) == 1 else np.empty(n, np.uint8),
            weight=np.empty(n if self._rules.has_weight_path else 0),
            restart=np.empty(n if self._rules.has_reset_path else 0, np.uint8),
        )

    def _read_doubtful(self, records: RecordColumns, out: Out) -> dict[int, bytes]:
        """Read the rows the kernel left over, one by one; their keys where they come from it."""
        keys_apart: dict[int, bytes] = {}
        for row in np.flatnonzero(out.status == UNSURE).tolist():
            data = records.values.item(row) or b""
            reading = read_document(data, int(records.timestamp[row]), self._options)
            out.x[:, row] = reading.x
            out.number_status[:, row] = reading.number_status
            out.timestamp[row] = reading.timestamp
            out.status[row] = reading.status
            out.weight[row : row + 1] = reading.weight  # no row where there is no path
            out.restart[row : row + 1] = reading.restart
            if reading.key is not None:
                keys_apart[row] = reading.key
        return keys_apart

    def _keys(self, records: RecordColumns, out: Out, keys_apart: dict[int, bytes]) -> Spans:
        """Keys from the values; tombstones keep the record's."""
        for row in np.flatnonzero(out.status == _TOMBSTONE).tolist():
            key = records.keys.item(row)
            if key is not None:
                keys_apart[row] = key
        return _with_keys_apart(records.values.buffer, out, keys_apart)


def _with_keys_apart(buffer: Bytes, out: Out, keys_apart: dict[int, bytes]) -> Spans:
    """Keys within the values, and some that are not, laid behind them in a new buffer."""
    if keys_apart:
        at = len(buffer)
        for row, key in keys_apart.items():
            out.key_start[row] = at
            out.key_length[row] = len(key)
            at += len(key)
        buffer = as_bytes(b"".join([buffer.tobytes(), *keys_apart.values()]))
    return Spans(buffer, out.key_start, out.key_length)
