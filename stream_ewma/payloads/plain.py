"""What the formats have in common whose value is one number and nothing else."""

import numpy as np

from stream_ewma.columns import Float64, Spans, UInt8
from stream_ewma.errors import SettingsError
from stream_ewma.payloads.columns import NumberColumns, ReadingColumns, ReadingOptions, Status
from stream_ewma.records.columns import RecordColumns


def refuse_paths(format_name: str, options: ReadingOptions) -> None:
    """Raise where something is to come from a value that holds one number and nothing else.

    Raises:
        SettingsError: The options name a key, weight or reset path, or several numbers.
    """
    problems = [
        f"input.{name}: a value in format {format_name} holds no {name}, remove the setting"
        for name, path in (
            ("key", options.key_path),
            ("weight", options.weight_path),
            ("reset", options.reset_path),
        )
        if path is not None
    ]
    if len(options.value_paths) > 1:
        problems.append(f"input.values: a value in format {format_name} holds one number")
    if problems:
        raise SettingsError(problems)


def plain_readings(
    records: RecordColumns, options: ReadingOptions, x: Float64, x_text: Spans, status: UInt8
) -> ReadingColumns:
    """Readings whose key and event time are the record's own.

    Args:
        records: n records.
        options: whether a value's own event time is required, which none of these has.
        x: float64 (n,), 0.0 unless `status` is OK.
        x_text: n spans.
        status: uint8 (n,); rows without an event time turn into BAD_TIMESTAMP here.
    """
    untimed = np.bool_(options.timestamp_required) | (records.timestamp < 0)
    late = (status == Status.OK) & untimed
    status[late] = Status.BAD_TIMESTAMP
    x[late] = 0.0
    numbers = (NumberColumns(x, x_text, status),)
    return ReadingColumns(numbers, records.timestamp, records.keys, status)
