"""JSON answers, and what the member knows as JSON."""

from datetime import UTC, datetime
from typing import Any

import orjson
from aiohttp import web

from stream_ewma.engine.stored import key_text
from stream_ewma.service.overview import FoundKey, PartitionStatus
from stream_ewma.service.watching import Seen, SeenRejected


def json_response(body: object, status: int = 200, **headers: str) -> web.Response:
    """`body` as JSON."""
    return web.Response(
        body=orjson.dumps(body, option=orjson.OPT_APPEND_NEWLINE),
        status=status,
        content_type="application/json",
        headers=headers,
    )


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


def key_json(found: FoundKey) -> dict[str, Any]:
    """A key's live state, the offset that it includes, and whether that is committed."""
    return {
        **found.state.outputs,
        "key": key_text(found.state.key),
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
