"""The names of the fields of an output record, after renaming."""

from collections.abc import Iterator
from typing import NamedTuple

from stream_ewma.settings.sections import InputSettings, OutputSettings
from stream_ewma.settings.smoothing import SmoothingSettings
from stream_ewma.smoothing.outputs import column_name

KEY, TIMESTAMP, VALUE, STALE = "key", "timestamp", "value", "stale"


class FieldNames(NamedTuple):
    """What an output record's fields are called.

    Attributes:
        series: names of the values in a record; the only one of a record has none.
        key: name of the key; None: left out.
        timestamp: name of the event time; None: left out.
        values: name of each value; None: left out.
        outputs: new name of each output that has one, by its own.
        known: all names that `output.names` may speak of.
    """

    series: tuple[str, ...]
    key: str | None
    timestamp: str | None
    values: tuple[str | None, ...]
    outputs: dict[str, str]
    known: tuple[str, ...]

    def of_outputs(self, columns: tuple[str, ...]) -> Iterator[str]:
        """The names of the outputs of every series."""
        for series in self.series:
            for column in columns:
                own = column_name(series, column)
                yield self.outputs.get(own, own)


def field_names(
    input_: InputSettings, smoothing: SmoothingSettings, output: OutputSettings
) -> FieldNames:
    """Put the names together.

    Raises:
        ValueError: an output's name is not known.
    """
    series = tuple(input_.values) if input_.values is not None else ("",)
    columns = tuple(each.name for each in smoothing.output_list())
    names = dict(output.names or {})
    own = tuple(column_name(each, column) for each in series for column in columns)
    values = series if input_.values is not None else (VALUE,)
    return FieldNames(
        series,
        names.get(KEY, KEY),
        names.get(TIMESTAMP, TIMESTAMP),
        tuple(names.get(value, value) for value in values),
        {name: new for name in own if (new := names.get(name)) is not None},
        (KEY, TIMESTAMP, *values, *own),
    )
