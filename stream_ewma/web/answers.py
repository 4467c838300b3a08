"""JSON answers, and what the member knows as JSON."""

from base64 import urlsafe_b64encode
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final

import orjson
from aiohttp import web

from stream_ewma.engine.stored import key_text
from stream_ewma.service.overview import FoundKey, PartitionStatus
from stream_ewma.service.watching import Seen, SeenRejected

SAFE_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Server": "stream-ewma",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
}
"""Of every answer: browsers take nothing for a script or a page that is none, and keep nothing."""


def json_response(body: object, status: int = 200, **headers: str) -> web.Response:
    """`body` as JSON."""
    return web.Response(
        body=orjson.dumps(body, option=orjson.OPT_APPEND_NEWLINE),
        status=status,
        content_type="application/json",
        headers={**SAFE_HEADERS, **headers},
    )


def error_response(status: int, text: str, **headers: str) -> web.Response:
    """An error, as all of them look."""
    return json_response({"error": text}, status, **headers)


def error_of(error: web.HTTPException) -> web.Response:
    """What a handler raised, as an answer."""
    phrase = HTTPStatus(error.status).phrase
    is_default = error.text in {
        None,
        f"{error.status}: {phrase}",
        f"{error.status}: {error.reason}",
    }
    kept = {"Allow", "Retry-After", "WWW-Authenticate"}
    headers = {name: text for name, text in error.headers.items() if name in kept}
    text = phrase.lower() if is_default else str(error.text)
    return error_response(error.status, text, **headers)


def partition_json(status: PartitionStatus) -> dict[str, Any]:
    """A partition as it is."""
    restore = status.restore
    return {
        "topic": status.partition.topic,
        "partition": status.partition.number,
        "phase": status.phase.value,
        "position": status.position,
        "committed": status.committed,
        "end": status.end,
        "lag": status.lag,
        "keys": status.keys,
        "state_bytes": status.state_bytes,
        "event_time": status.event_time_ms,
        "processed_at": status.processed_at and round(status.processed_at, 3),
        "restore": restore and {"rows": restore.rows, "share": round(restore.share, 4)},
    }


def key_json(found: FoundKey, *, is_base64: bool = False) -> dict[str, Any]:
    """A key's live state, the offset that it includes, and whether that is committed."""
    key = found.state.key
    return {
        **found.state.outputs,
        "key": urlsafe_b64encode(key).decode() if is_base64 else key_text(key),
        "timestamp": found.state.timestamp,
        "topic": found.partition.topic,
        "partition": found.partition.number,
        "offset": found.offset - 1,
        "committed": found.is_committed,
    }


def sample_json(seen: Seen) -> dict[str, Any]:
    """A smoothed row with what it was made of."""
    sample = seen.sample
    return {
        "key": key_text(sample.key),
        "topic": seen.partition.topic,
        "partition": seen.partition.number,
        "offset": sample.offset,
        "timestamp": sample.timestamp,
        "kind": sample.kind.name.lower(),
        "values": dict(sample.values),
        "outputs": dict(sample.outputs),
        "raw": None if sample.raw is None else sample.raw.decode("utf-8", "backslashreplace"),
    }


def rejected_json(seen: SeenRejected) -> dict[str, Any]:
    """A record that could not be smoothed, with the first bytes of its value."""
    rejected = seen.rejected
    preview = rejected.preview
    return {
        "topic": seen.partition.topic,
        "partition": seen.partition.number,
        "offset": rejected.offset,
        "timestamp": rejected.timestamp,
        "key": None if rejected.key is None else key_text(rejected.key),
        "reason": rejected.reason.label,
        "preview": None if preview is None else preview.decode("utf-8", "backslashreplace"),
        "size": rejected.size,
    }


def rfc3339(seconds: float) -> str:
    """A time as text, UTC, milliseconds."""
    return (
        datetime.fromtimestamp(seconds, UTC)
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z")
    )
