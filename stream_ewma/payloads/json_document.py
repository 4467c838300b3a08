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
        x: the numbers, 0.0 unless OK.
        number_status: OK, NULL or MISSING_VALUE of each number; on failure the reading's.
        timestamp: event time in milliseconds; the record's on failure.
        key: UTF-8, None on failure or where keys do not come from the value.
        weight: 1.0 where none is given or wanted, and on failure.
        restart: whether the key's smoothing begins anew.
    """

    status: Status
    x: tuple[float, ...]
    number_status: tuple[Status, ...]
    timestamp: int
    key: bytes | None
    weight: float = 1.0
    restart: bool = False


def split_path(path: str) -> list[str]:
    """The names of a dotted path."""
    return path.split(".")


def read_document(  # noqa: PLR0911  one check after another
    data: bytes, record_timestamp: int, options: ReadingOptions
) -> Reading:
    """Read one value.

    Args:
        data: the value, neither null nor too large.
        record_timestamp: the record's timestamp in milliseconds, negative where it has none.
        options: where to look.
    """
    document = _parse(data, options)
    if document is _ABSENT:
        return _failed(Status.DECODE, record_timestamp, options)
    key = _key(_look_up(document, options.key_path))
    if key is None and options.key_path is not None:
        return _failed(Status.MISSING_KEY, record_timestamp, options)
    numbers = [_number(found, options) for found in _values(document, options)]
    statuses = tuple(status for status, _ in numbers)
    status = _status_of_all(statuses)
    if status > Status.NULL:
        return _failed(status, record_timestamp, options, key)
    weight = _weight(_look_up(document, options.weight_path), options)
    if weight is None:
        return _failed(Status.BAD_WEIGHT, record_timestamp, options, key)
    timestamp = _timestamp(document, record_timestamp, options)
    if timestamp is None:
        return _failed(Status.BAD_TIMESTAMP, record_timestamp, options, key)
    if isinstance(document, dict) and not document.keys().isdisjoint(options.reserved_names):
        return _failed(Status.NAME_TAKEN, record_timestamp, options, key)
    restart = _is_set(_look_up(document, options.reset_path))
    return Reading(status, tuple(x for _, x in numbers), statuses, timestamp, key, weight, restart)


def _failed(
    status: Status, record_timestamp: int, options: ReadingOptions, key: bytes | None = None
) -> Reading:
    count = len(options.value_paths)
    return Reading(status, (0.0,) * count, (status,) * count, record_timestamp, key)


def _status_of_all(statuses: tuple[Status, ...]) -> Status:
    """The first failure, else OK or NULL if one number is, else MISSING_VALUE."""
    passing = (Status.OK, Status.NULL, Status.MISSING_VALUE)
    failures = [status for status in statuses if status not in passing]
    return failures[0] if failures else min(statuses)


def _parse(data: bytes, options: ReadingOptions) -> Any:
    """The document; `_ABSENT` where it is none.

    Where orjson refuses it for no more than a number that is not finite, and this is the reading
    or its weight, the document with that number in it.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        pass
    try:
        document = json.loads(data.decode(), parse_int=_integer)
    except (ValueError, RecursionError):
        return _ABSENT
    looked_at = [*_values(document, options), _look_up(document, options.weight_path)]
    infinite = any(isinstance(found, float) and not isfinite(found) for found in looked_at)
    return document if infinite else _ABSENT


def _integer(digits: str) -> int | float:
    """As orjson reads integers; int() refuses those of thousands of digits."""
    return int(digits) if len(digits) <= _MAX_INTEGER_DIGITS else float(digits)


def _values(document: Any, options: ReadingOptions) -> list[Any]:
    """What stands at each value path; a value that is no object is its only number itself."""
    if not isinstance(document, dict) and len(options.value_paths) == 1:
        return [document]
    return [_look_up(document, path) for path in options.value_paths]


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
        # Lone surrogates come only beside a NaN: the reading fails anyway.
        return found.encode("utf-8", "surrogatepass")
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


def _weight(found: Any, options: ReadingOptions) -> float | None:
    """The weight; None where it is none."""
    status, weight = _number(found, options)
    if status in (Status.MISSING_VALUE, Status.NULL):
        return 1.0
    return weight if status == Status.OK and weight > 0.0 else None


def _is_set(found: Any) -> bool:
    """Whether it is true, a number other than 0 or text that is not empty."""
    return isinstance(found, bool | int | float | str) and bool(found)


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
