"""Names and fields of log lines, for programs that read them; the sentence is for people."""

from typing import Any


def fields(event: str, **values: object) -> dict[str, Any]:
    """The `extra` of a log call.

    Args:
        event: what has happened, as `state_restored`.
        values: what else there is to know, units in the names: `duration_s`, `records`.
    """
    return {"fields": {"event": event, **values}}
