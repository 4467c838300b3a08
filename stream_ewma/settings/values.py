"""Values with a form of their own: durations, the starting point, lists in one line, topic names.

Every function here is a pydantic validator of a raw value: it returns the value that the service
uses, or raises ValueError saying what is wrong and what to write.
"""

import re
from collections import Counter
from datetime import datetime, time
from typing import Annotated, Literal, NamedTuple, TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator

_UNIT_MS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_DURATION_PART = re.compile(r"(\d+)(?:\.(\d+))?(ms|s|m|h|d)")
_TOPIC_NAME = re.compile(r"[A-Za-z0-9._-]{1,249}")


def parse_duration(value: object) -> int:
    """Milliseconds in `value`: digits with a unit, as `500ms`, `30s`, `5m`, `2h`, `1d`, `1h30m`.

    Raises:
        ValueError: no unit, another form, or a fraction of a millisecond.
    """
    if _is_number(value):
        raise ValueError(f"{value} has no unit; write {value}s, {value}ms, {value}m or {value}h")
    if not isinstance(value, str):
        raise ValueError(f"{show(value)} is not a duration; write 30s, 500ms, 5m or 2h")  # noqa: TRY004  pydantic
    parts = _DURATION_PART.findall(value)
    if not parts or "".join(_DURATION_PART.sub("", value).split()):
        raise ValueError(f"'{value}' is not a duration; write 30s, 500ms, 5m or 2h")
    total = 0
    for whole, fraction, unit in parts:
        # In integers, so that 0.1s is exactly 100 ms.
        digits, scale = int(whole + fraction), 10 ** len(fraction)
        milliseconds, rest = divmod(digits * _UNIT_MS[unit], scale)
        if rest:
            raise ValueError(f"'{value}' is finer than a millisecond; write a whole number of ms")
        total += milliseconds
    return total


def format_duration(milliseconds: int) -> str:
    """The shortest single-unit text that `parse_duration` reads back as `milliseconds`."""
    for unit, size in _UNIT_MS.items():
        if milliseconds and milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return "0s"


def parse_half_life(value: object) -> int:
    """Milliseconds of a duration above 0; a bare number may have been meant as samples.

    Raises:
        ValueError: as `parse_duration`, or it is 0.
    """
    if _is_number(value):
        raise ValueError(
            f"{value} has no unit; write half_life: {value}s,"
            f" or half_life_samples: {value} for a count of samples"
        )
    milliseconds = parse_duration(value)
    if milliseconds == 0:
        raise ValueError("0 is not a half-life; write a duration above 0, for example 30s")
    return milliseconds


def _positive(milliseconds: int) -> int:
    if milliseconds == 0:
        raise ValueError("0 is too short; write a duration above 0, for example 30s")
    return milliseconds


def parse_start(value: object) -> str | int:
    """`earliest`, `latest`, or the epoch milliseconds of an RFC 3339 timestamp.

    Raises:
        ValueError: it is none of them.
    """
    if value in ("earliest", "latest"):
        return str(value)
    advice = "write earliest, latest or a timestamp such as 2026-01-31T08:00:00Z"
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        raise ValueError(f"{show(value)} is not a starting point; {advice}") from None
    if moment.tzinfo is None:
        raise ValueError(f"'{value}' has no time zone; {advice}")
    return round(moment.timestamp() * 1000)


def _split_names(value: object) -> object:
    """A list as it is; `a, b` as two names, so that one variable or flag can carry a list."""
    if isinstance(value, str):
        value = value.removeprefix("[").removesuffix("]")
        return [name for name in (part.strip() for part in value.split(",")) if name]
    return value


def _parse_list(value: object) -> object:
    """A list as it is; text (a variable or a flag) read as YAML, of which JSON is a part."""
    return _parse_yaml(value, "a list", '[{"keys": "pump-*", "half_life": "5s"}]')


def _parse_mapping(value: object) -> object:
    """The same for names with values."""
    return _parse_yaml(value, "names with values", '{"name": value, ...}')


def _parse_yaml(value: object, what: str, example: str) -> object:
    if not isinstance(value, str):
        return value
    try:
        return yaml.safe_load(value)
    except yaml.YAMLError:
        raise ValueError(f"cannot be read as {what}; write it as {example}") from None


class HorizonValue(NamedTuple):
    """How far ahead: in milliseconds of event time, or in readings."""

    amount: float
    is_time: bool


def _parse_horizon(value: object) -> HorizonValue:
    if isinstance(value, HorizonValue):
        return value
    if _is_number(value):
        return HorizonValue(float(str(value)), is_time=False)
    try:
        return HorizonValue(float(parse_duration(value)), is_time=True)
    except ValueError:
        raise ValueError(
            f"{show(value)} is not a horizon; write a duration, as 60s, or a number of readings"
        ) from None


class DailyMoment(NamedTuple):
    """A time of day at a place."""

    at: time
    zone: ZoneInfo


def _parse_daily(value: object) -> DailyMoment:
    """`06:00` (UTC), or `06:00 Europe/Zurich`."""
    if isinstance(value, DailyMoment):
        return value
    clock, _, place = str(value).partition(" ")
    advice = "write a time and a place in quotes, as '06:00 Europe/Zurich'"
    # YAML reads 20:00 without quotes as the number 1200.
    if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?", clock):
        raise ValueError(f"'{clock}' is not a time of day; {advice}")
    at = time.fromisoformat(clock)
    try:
        zone = ZoneInfo(place.strip() or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"'{place.strip()}' is not a time zone; {advice}") from None
    return DailyMoment(at, zone)


def parse_emit(value: object) -> object:
    """`every` is the same as nothing said.

    Raises:
        ValueError: it is text, and cannot be read.
    """
    return None if value == "every" else _parse_mapping(value)


def _field_name(value: str) -> str:
    if not value:
        raise ValueError("a name is empty; write at least one character")
    return value


def topic_name(value: str) -> str:
    """`value`, if Kafka takes it for a topic's name.

    Raises:
        ValueError: it is empty, longer than 249, or has other characters.
    """
    if not _TOPIC_NAME.fullmatch(value) or value in {".", ".."}:
        raise ValueError(
            f"'{value}' is not a topic name; write 1 to 249 letters, digits, '-', '_' or '.'"
        )
    return value


def _field_path(value: str) -> str:
    if not all(value.split(".")):
        raise ValueError(f"'{value}' lacks a name; write names with single dots between: a.b.c")
    return value


def _join_servers(value: object) -> object:
    """Text as it is, and the items of a list with commas between, as Kafka's clients take them."""
    servers: list[str] = []
    for server in value if isinstance(value, list | tuple) else [value]:
        if not isinstance(server, str):
            raise ValueError(_not_a_server(server))  # noqa: TRY004  pydantic
        servers.append(server)
    return ",".join(servers)


def _servers(value: str) -> str:
    servers = [server.strip() for server in value.split(",")]
    for server in servers:
        if not _is_address(server):
            raise ValueError(_not_a_server(server))
    return ",".join(servers)


def _not_a_server(value: object) -> str:
    return f"{show(value)} is not a broker's address; write host:9092"


def _address(value: str) -> str:
    if not _is_address(value):
        raise ValueError(f"'{value}' is not an address; write host:9464")
    return value


def _is_address(text: str) -> bool:
    host, _, port = text.rpartition(":")
    is_port = port.isascii() and port.isdigit() and 0 < int(port) < 65_536
    return bool(host) and "," not in host and is_port


def _application_id(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,200}", value):
        raise ValueError(
            f"'{value}' cannot begin topic names; write 1 to 200 letters, digits, '-', '_' or '.'"
        )
    return value


def _not_bool(value: object) -> object:
    """Refuse YAML's true, yes and on, which Python would count as the number 1."""
    if isinstance(value, bool):
        raise ValueError(f"{str(value).lower()} is not a number; write a number")  # noqa: TRY004  pydantic
    return value


def _is_number(value: object) -> bool:
    if isinstance(value, bool):
        return False
    if isinstance(value, int | float):
        return True
    return isinstance(value, str) and re.fullmatch(r"\s*\d+(\.\d*)?\s*", value) is not None


def show(value: object) -> str:
    """`value` as the user wrote it, cut short."""
    text = f"'{value}'" if isinstance(value, str) else str(value)
    if isinstance(value, bool) or value is None:
        text = {True: "true", False: "false", None: "null"}[value]
    return text if len(text) <= 80 else text[:77] + "..."


def _each_once(names: tuple[str, ...]) -> tuple[str, ...]:
    doubled = [name for name, times in Counter(names).items() if times > 1]
    if doubled:
        raise ValueError(f"{', '.join(doubled)} is there twice; write each topic once")
    return names


# What the settings file has where the service has another type; for the JSON Schema alone.
_DurationText = Annotated[str, Field(pattern=r"^\s*(\d+(\.\d+)?(ms|s|m|h|d)\s*)+$")]
_DailyText = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?( .+)?$")]
_NamesText = list[str] | str

DurationMs: TypeAlias = Annotated[int, BeforeValidator(parse_duration, _DurationText)]
PositiveDurationMs: TypeAlias = Annotated[
    int, BeforeValidator(parse_duration, _DurationText), AfterValidator(_positive)
]
HalfLifeMs: TypeAlias = Annotated[int, BeforeValidator(parse_half_life, _DurationText)]
Whole: TypeAlias = Annotated[int, BeforeValidator(_not_bool)]
Real: TypeAlias = Annotated[float, BeforeValidator(_not_bool)]
TextList = BeforeValidator(_parse_list)
TextMapping = BeforeValidator(_parse_mapping)
FieldName: TypeAlias = Annotated[str, AfterValidator(_field_name)]
NameList: TypeAlias = Annotated[tuple[str, ...], BeforeValidator(_split_names, _NamesText)]
Horizon: TypeAlias = Annotated[HorizonValue, PlainValidator(_parse_horizon, float | _DurationText)]
DailyTime: TypeAlias = Annotated[DailyMoment, PlainValidator(_parse_daily, _DailyText)]
TopicName: TypeAlias = Annotated[str, AfterValidator(topic_name)]
ApplicationId: TypeAlias = Annotated[str, AfterValidator(_application_id)]
Servers: TypeAlias = Annotated[
    str, BeforeValidator(_join_servers, _NamesText), AfterValidator(_servers)
]
Address: TypeAlias = Annotated[str, AfterValidator(_address)]
FieldPath: TypeAlias = Annotated[str, AfterValidator(_field_path)]
TopicNames: TypeAlias = Annotated[
    tuple[TopicName, ...], BeforeValidator(_split_names, _NamesText), AfterValidator(_each_once)
]
Start: TypeAlias = Annotated[Literal["earliest", "latest"] | int, PlainValidator(parse_start, str)]
