"""Dead letters as text, for people and for programs; nothing in them can steer a terminal."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Final

from stream_ewma.engine.dead_letters import DeadLetter

_PREVIEW: Final = 400
"""Characters of a key or value that are shown."""
_PREVIEW_BYTES: Final = 4 * _PREVIEW
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_UNKNOWN: Final = "(not of this service)"


def escaped(text: str, *, ascii_only: bool = False) -> str:
    r"""Text in which a backslash is two, and what is not printable is `\n`, `\x1b` or `\u202e`."""

    def shown(each: str) -> str:
        if each == "\\":
            return r"\\"
        if each.isprintable() and (each.isascii() or not ascii_only):
            return each
        return each.encode("unicode_escape").decode("ascii")

    return "".join(map(shown, text))


def preview(data: bytes | None, *, ascii_only: bool = False) -> str:
    r"""The beginning of some bytes, escaped: a byte that is no UTF-8 is `\xNN`."""
    if data is None:
        return "null"
    beginning = data[:_PREVIEW_BYTES]
    text = beginning.decode("utf-8", "surrogateescape")
    parts = [
        # What is no UTF-8 has become half of a surrogate pair.
        f"\\x{ord(each) - 0xDC00:02x}" if "\udc80" <= each <= "\udcff"
        else escaped(each, ascii_only=ascii_only)
        for each in text[:_PREVIEW]
    ]  # fmt: skip
    if len(text) > _PREVIEW or len(data) > len(beginning):
        parts.append(f"... ({len(data):,} bytes)")
    return "".join(parts)


def moment(timestamp_ms: int) -> str:
    """A time in UTC; a dash where a record has none, its number where no calendar has it."""
    if timestamp_ms == -1:
        return "-"
    try:
        at = _EPOCH + timedelta(milliseconds=timestamp_ms)
    except OverflowError:
        return f"{timestamp_ms} ms"
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def reason_text(letter: DeadLetter) -> str:
    """The reason, or that nobody knows it."""
    return letter.reason or _UNKNOWN


def origin_text(letter: DeadLetter) -> str:
    """Where it came from, or that nobody knows it."""
    return "-" if letter.origin is None else str(letter.origin)


def letter_text(
    place: str, letter: DeadLetter, key: bytes | None, value: bytes | None, *, ascii_only: bool
) -> str:
    """A dead letter on some lines.

    Args:
        place: the partition it lies in.
        letter: what its headers say.
        key: its key.
        value: its value.
        ascii_only: nothing else can be shown.
    """

    def shown(text: str) -> str:
        return escaped(text, ascii_only=ascii_only)

    lines = [
        f"{shown(origin_text(letter))}  {shown(reason_text(letter))}: {shown(letter.message)}",
        f"  dead letter  {shown(place)}@{letter.offset}",
        f"  timestamp    {moment(letter.timestamp)}",
    ]
    for name, text in letter_headers(letter):
        title = preview(name, ascii_only=ascii_only)
        lines.append(f"  header       {title}: {preview(text, ascii_only=ascii_only)}")
    lines.append(f"  key          {preview(key, ascii_only=ascii_only)}")
    lines.append(f"  value        {preview(value, ascii_only=ascii_only)}")
    return "".join(f"{line.rstrip()}\n" for line in lines)


def letter_headers(letter: DeadLetter) -> list[tuple[bytes, bytes | None]]:
    """Names and values of the record's own headers."""
    return [(header.name, header.value) for header in letter.headers]


def letter_document(
    topic: str, number: int, letter: DeadLetter, key: bytes | None, value: bytes | None
) -> dict[str, object]:
    """All of a dead letter: what is no UTF-8 is in base64, under a name that says so."""
    origin = letter.origin
    return {
        "topic": topic,
        "partition": number,
        "offset": letter.offset,
        "timestamp": None if letter.timestamp == -1 else letter.timestamp,
        "reason": letter.reason or None,
        "message": letter.message or None,
        "origin": None
        if origin is None
        else {"topic": origin.topic, "partition": origin.partition, "offset": origin.offset},
        "headers": [
            {**encoded("name", name), **encoded("value", text)}
            for name, text in letter_headers(letter)
        ],
        **encoded("key", key),
        **encoded("value", value),
    }


def encoded(name: str, data: bytes | None) -> dict[str, str | None]:
    """Bytes as a field of JSON."""
    if data is None:
        return {name: None}
    try:
        return {name: data.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(data).decode("ascii")}
