"""The position marker: how far the input has gone into the rows of a changelog partition."""

import json
from dataclasses import dataclass, fields
from typing import Any, Final

from stream_ewma.engine.changelog import ChangelogError

VERSION: Final = 1
_NULLABLE: Final = {"event_time", "topic_id", "partitions"}
_TEXTS: Final = {"configuration", "topic", "topic_id"}


@dataclass(frozen=True, slots=True)
class Marker:
    """What is known of the input partition beside the rows of its keys.

    Attributes:
        next_offset: offset of the first record that is not in the rows.
        event_time: how far event time has come, ms; None where it is not kept or has not begun.
        configuration: fingerprint of the configuration that gives the rows their meaning.
        topic: input topic.
        topic_id: its id, if it is known.
        partition: input partition.
        partitions: how many the input topic had, if it is known.
    """

    next_offset: int
    event_time: int | None
    configuration: str
    topic: str
    topic_id: str | None
    partition: int
    partitions: int | None

    def to_bytes(self) -> bytes:
        """The marker as JSON."""
        own = {field.name: getattr(self, field.name) for field in fields(self)}
        return json.dumps({"version": VERSION, **own}, separators=(",", ":")).encode()

    @staticmethod
    def from_bytes(data: bytes) -> "Marker":
        """The marker that `to_bytes` wrote; further entries are passed over.

        Raises:
            ChangelogError: it is damaged, or a newer version wrote it.
        """
        document = document_of(data, VERSION, "position marker")
        values: dict[str, Any] = {field.name: document.get(field.name) for field in fields(Marker)}
        for name, value in values.items():
            is_sound = isinstance(value, str) if name in _TEXTS else _is_number(value)
            if not (is_sound or (value is None and name in _NULLABLE)):
                raise ChangelogError(f"the position marker is damaged: {name} is {value!r}")
        return Marker(**values)


def document_of(data: bytes, version: int, name: str) -> dict[str, Any]:
    """A JSON object with a version.

    Args:
        data: the JSON text.
        version: the newest that is understood.
        name: of the document, in errors.

    Raises:
        ChangelogError: it is none, or of a newer version.
    """
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ChangelogError(f"the {name} is damaged: {error}") from None
    if not isinstance(document, dict) or not _is_number(document.get("version")):
        raise ChangelogError(f"the {name} is damaged: it has no version")
    if document["version"] > version:
        raise ChangelogError(
            f"the {name} was written by a newer version: it has {document['version']},"
            f" this one knows {version}"
        )
    return document


def _is_number(value: object) -> bool:
    """Whether it is a whole number of at most 64 bits."""
    return type(value) is int and value.bit_length() < 64
