"""Values as one writes them in the settings file: the way back from what the service uses."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import yaml
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from stream_ewma.settings.names import metadata
from stream_ewma.settings.values import (
    DailyMoment,
    HorizonValue,
    format_duration,
    parse_duration,
    parse_half_life,
    parse_start,
)

HIDDEN: Final = "**********"
"""What stands for a secret."""


def is_duration(field: FieldInfo) -> bool:
    """Whether values of `field` are written with a unit."""
    return not _validators(field).isdisjoint({parse_duration, parse_half_life})


def as_written(field: FieldInfo, value: object) -> object:
    """The value of `field` in the types of YAML, as the settings file has it; secrets hidden."""
    match value:
        case BaseModel():
            fields = type(value).model_fields
            pairs = {name: as_written(fields[name], inner) for name, inner in value}
            return {name: inner for name, inner in pairs.items() if inner is not None}
        case Mapping():
            return {str(name): as_written(field, inner) for name, inner in value.items()}
        case HorizonValue() | DailyMoment() | SecretStr() | int():
            return _scalar(field, value)
        case tuple() | list():
            return [as_written(field, inner) for inner in value]
    return value


def _scalar(field: FieldInfo, value: HorizonValue | DailyMoment | SecretStr | int) -> object:
    match value:
        case SecretStr():
            return HIDDEN
        case HorizonValue(amount, is_time):
            return format_duration(int(amount)) if is_time else amount
        case DailyMoment(at, zone):
            return f"{at.isoformat('seconds' if at.second else 'minutes')} {zone}"
        case int() if is_duration(field):
            return format_duration(value)
        case int() if parse_start in _validators(field):
            return datetime.fromtimestamp(value / 1000, UTC).isoformat(timespec="milliseconds")
    return value


def yaml_text(value: object) -> str:
    """`value` in YAML, on one line."""
    text = yaml.safe_dump(
        value, default_flow_style=True, width=2**31, allow_unicode=True, sort_keys=False
    )
    return text.removesuffix("\n").removesuffix("\n...")


def _validators(field: FieldInfo) -> set[object]:
    return {getattr(part, "func", None) for part in metadata(field)}
