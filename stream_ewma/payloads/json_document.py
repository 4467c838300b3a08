"""One JSON value read by libraries: what the kernel must equal, and the way of doubtful records."""

import json
from math import isfinite
from typing import Any, Final, NamedTuple

import orjson

from stream_ewma.payloads.columns import ReadingOptions, Status
from stream_ewma.payloads.text import read_text
from stream_ewma.payloads.timestamps import EPOCH_UNITS, epoch_ms, text_ms

_ABSENT: Final = object()
_MAX_INTEGER_DIGITS: Final = 20


class Reading(NamedTuple):
    """What one value says.

    Attributes:
        status: OK, NULL or a failure.
        x: the number, 0.0 unless OK.
        timestamp: event time in milliseconds; the record's on failure.
        key: UTF-8, None on failure or where keys do not come from the value.
    """

    status: Status
    x: float
    timestamp: int
    key: bytes | None


def split_path(path: str | None) -> list[str]:
    """The names of a dotted path; none for no path."""
    return [] if path is None else path.split(".")


def read_document(data: bytes, record_timestamp: int, options: ReadingOptions) -> Reading:
    """Read one value.

    Args:
        data: the value, neither null nor too large.
        record_timestamp: the record's timestamp in milliseconds, negative where it has none.
        options: where to look.
    """
    document = _parse(data, options)
    if document is _ABSENT:
        return Reading(Status.DECODE, 0.0, record_timestamp, None)
    key = None
    if options.key_path is not None:
        key = _key(_look_up(document, options.key_path))
        if key is None:
            return Reading(Status.MISSING_KEY, 0.0, record_timestamp, None)
    status, x = _number(_value(document, options), options)
    if status > Status.NULL:
        return Reading(status, 0.0, record_timestamp, None)
    timestamp = _timestamp(document, record_timestamp, options)
    if timestamp is None:
        return Reading(Status.BAD_TIMESTAMP, 0.0, record_timestamp, None)
    return Reading(status, x, timestamp, key)


def _parse(data: bytes, options: ReadingOptions) -> Any:
    """The document; `_ABSENT` where it is none.

    Where orjson refuses it for no more than a number that is not finite, and this is the reading,
    the document with that number in it.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        pass
    try:
        document = json.loads(data.decode(), parse_int=_integer)
    except (ValueError, RecursionError):
        return _ABSENT
    found = _value(document, options)
    return document if isinstance(found, float) and not isfinite(found) else _ABSENT


def _integer(digits: str) -> int | float:
    """As orjson reads integers; int() refuses those of thousands of digits."""
    return int(digits) if len(digits) <= _MAX_INTEGER_DIGITS else float(digits)


def _value(document: Any, options: ReadingOptions) -> Any:
    return _look_up(document, options.value_path) if isinstance(document, dict) else document


def _look_up(document: Any, path: str | None) -> Any:
    """What stands at `path`; `_ABSENT` where there is nothing."""
    if path is None:
        return _ABSENT
    for name in split_path(path):
        if not isinstance(document, dict) or name not in document:
            return _ABSENT
        document = document[name]
    return document


def _key(found: Any) -> bytes | None:
    if isinstance(found, str):
        return found.encode(
            "utf-8", "surrogatepass"
        )  # lone ones only beside a NaN: it fails anyway
    if isinstance(found, int) and not isinstance(found, bool):
        return str(found).encode()
    return None


def _number(found: Any, options: ReadingOptions) -> tuple[Status, float]:
    if found is _ABSENT:
        return Status.MISSING_VALUE, 0.0
    if found is None:
        return Status.NULL, 0.0
    if isinstance(found, str) and options.coerce_strings:
        status, x = read_text(found.encode())
        return (Status.NOT_NUMERIC if status == Status.DECODE else status), x
    if isinstance(found, bool) or not isinstance(found, int | float):
        return Status.NOT_NUMERIC, 0.0
    x = float(found)
    return (Status.OK, x) if isfinite(x) else (Status.NON_FINITE, 0.0)


def _timestamp(document: Any, record_timestamp: int, options: ReadingOptions) -> int | None:
    """Event time in milliseconds; None where it is missing or cannot be read."""
    found = _look_up(document, options.timestamp_path)
    if found is _ABSENT or found is None:
        absent = options.timestamp_required or record_timestamp < 0
        return None if absent else record_timestamp
    if isinstance(found, str):
        return text_ms(found)
    if isinstance(found, int) and not isinstance(found, bool):
        return epoch_ms(found, EPOCH_UNITS[options.timestamp_unit])
    return None
