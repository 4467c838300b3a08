"""The OpenAPI document: what can be asked, and what is answered."""

from importlib.metadata import version
from typing import Any, Final

from aiohttp import web

from stream_ewma.web.answers import json_response
from stream_ewma.web.window import window_of

Schema = dict[str, Any]

_TEXT: Final[Schema] = {"type": "string"}
_WHOLE: Final[Schema] = {"type": "integer"}
_FLAG: Final[Schema] = {"type": "boolean"}
_COUNTS: Final[Schema] = {"type": "object", "additionalProperties": _WHOLE}
_SCALAR: Final[Schema] = {"type": ["number", "integer", "boolean", "null"]}
_OUTPUTS: Final[Schema] = {"type": "object", "additionalProperties": _SCALAR}


def _or_null(kind: str) -> Schema:
    return {"type": [kind, "null"]}


def _object(*, optional: tuple[str, ...] = (), **properties: Schema) -> Schema:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required}


def _list(of: Schema) -> Schema:
    return {"type": "array", "items": of}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


_KEY: Final = _object(
    optional=("also",),
    key={**_TEXT, "description": "a byte that is no UTF-8 is \\xNN, a backslash two; or base64"},
    timestamp={**_or_null("integer"), "description": "event time of its last reading, epoch ms"},
    topic=_TEXT,
    partition=_WHOLE,
    offset={**_WHOLE, "description": "of the last record that is in the state"},
    committed={**_FLAG, "description": "whether all up to `offset` is"},
    also={**_list(_ref("Key")), "description": "its state in further partitions"},
) | {
    "description": "A key with its outputs beside, named as in the output records.",
    "additionalProperties": _SCALAR,
}
_PARTITION: Final = _object(
    topic=_TEXT,
    partition=_WHOLE,
    phase={"enum": ["opening", "running", "parked", "paused"]},
    position=_or_null("integer"),
    committed=_or_null("integer"),
    end=_or_null("integer"),
    lag=_or_null("integer"),
    keys=_WHOLE,
    state_bytes=_WHOLE,
    event_time={**_or_null("integer"), "description": "the greatest so far, epoch ms"},
    processed_at={**_or_null("number"), "description": "epoch seconds"},
    restore={"oneOf": [{"type": "null"}, _object(rows=_WHOLE, share={"type": "number"})]},
)
_SAMPLE: Final = _object(
    key=_TEXT,
    topic=_TEXT,
    partition=_WHOLE,
    offset=_WHOLE,
    timestamp=_WHOLE,
    kind=_TEXT,
    values=_OUTPUTS,
    outputs=_OUTPUTS,
    raw={**_or_null("string"), "description": "the first bytes of the record's value"},
)
_REJECTED: Final = _object(
    topic=_TEXT,
    partition=_WHOLE,
    offset=_WHOLE,
    timestamp=_WHOLE,
    key=_or_null("string"),
    reason=_TEXT,
    preview={**_or_null("string"), "description": "the first bytes of the record's value"},
    size=_WHOLE,
)
_STATUS: Final = _object(
    time={"type": "number"},
    unready={"type": "object", "additionalProperties": _TEXT},
    partitions=_list(_ref("Partition")),
    consumed=_WHOLE,
    emitted=_WHOLE,
    rejected=_COUNTS,
    skipped=_COUNTS,
    commits=_WHOLE,
    recoveries=_WHOLE,
    missed={**_WHOLE, "description": "samples that this client was too slow for"},
)
_SCHEMAS: Final[dict[str, Schema]] = {
    "Error": _object(error=_TEXT),
    "Probe": _object(
        status={"enum": ["ok", "unready"]},
        checks={"type": "object", "additionalProperties": _TEXT},
    ),
    "Version": _object(
        version=_TEXT,
        python=_TEXT,
        aiokafka=_TEXT,
        config_hash=_TEXT,
        started_at=_or_null("string"),
    ),
    "Config": {"type": "object", "description": "The settings in force; secrets are stars."},
    "Document": _object(openapi=_TEXT, info={"type": "object"}, paths={"type": "object"}),
    "Partition": _PARTITION,
    "Partitions": _object(partitions=_list(_ref("Partition"))),
    "Key": _KEY,
    "Keys": _object(
        keys=_list(_ref("Key")),
        cursor={**_or_null("string"), "description": "null: there are no more"},
    ),
    "Elsewhere": _object(
        error=_TEXT,
        topic=_TEXT,
        partition=_WHOLE,
        owned=_list(_WHOLE),
        owner={**_or_null("string"), "description": "host:port; null: not known"},
    ),
    "Sample": _SAMPLE,
    "Rejected": _REJECTED,
    "Status": _STATUS,
}


def _parameter(name: str, schema: Schema, text: str, place: str = "query") -> Schema:
    return {
        "name": name,
        "in": place,
        "required": place == "path",
        "schema": schema,
        "description": text,
    }


_ENCODING: Final = _parameter(
    "encoding",
    {"enum": ["text", "base64"], "default": "text"},
    "base64: keys are the URL-safe base64 of their bytes, in the question and in the answer",
)
_EVENTS_TEXT: Final = (
    "Server-sent events until the client leaves. `sample` (Sample): a smoothed record of a key "
    "asked for; its id is topic-partition-offset. `rejected` (Rejected): a record that could not "
    "be smoothed. `status` (Status): each second. A comment each 15 seconds. What a client does "
    "not take in time is pushed out by what is newer; `missed` counts it."
)
_KEYS_TEXT: Final = (
    "Keys of the member's partitions, one partition after another. A page looks at a bounded "
    "number of keys, so it may be short, or empty, though there are more: go on with `cursor` "
    "until it is null. A cursor is a place in the table of a partition, to be sent as it came; "
    "there is no order that means anything, a key that comes or goes meanwhile may be missed, and "
    "after a rebalance one goes on with the partitions that are left."
)
_KEY_TEXT: Final = (
    "The state as of the last record processed, in each partition of this member that has the key. "
    "Where none has, the key belongs where Kafka's default partitioner (murmur2) puts it: 404 if "
    "this member has that partition, 503 while it takes it over, else 421 with the owner."
)


def _operation(
    summary: str,
    answers: dict[str, str],
    *parameters: Schema,
    text: str = "",
    is_open: bool = False,
    media: str = "application/json",
) -> Schema:
    """One path; `answers` are the names of schemas by status."""
    responses = {
        status: {
            "description": summary if status == "200" else name.lower(),
            "content": {media if status == "200" else "application/json": {"schema": _ref(name)}},
        }
        for status, name in answers.items()
    }
    refusals = ("405",) if is_open else ("401", "403", "405")
    responses |= {
        status: {"$ref": "#/components/responses/Error"}
        for status in (*refusals, "500")
        if status not in responses
    }
    found: Schema = {"summary": summary, "parameters": list(parameters), "responses": responses}
    if text:
        found["description"] = text
    if is_open:
        found["security"] = []
    return {"get": found}


_PATHS: Final[dict[str, Schema]] = {
    "/livez": _operation("The event loop turns.", {"200": "Probe"}, is_open=True),
    "/healthz": _operation("The same as /livez.", {"200": "Probe"}, is_open=True),
    "/readyz": _operation(
        "In the group, and every assigned partition is being worked on.",
        {"200": "Probe", "503": "Probe"},
        is_open=True,
    ),
    "/metrics": _operation(
        "Prometheus text, or OpenMetrics where asked for.",
        {"200": "Text", "503": "Error"},
        is_open=True,
        media="text/plain",
    ),
    "/version": _operation("What runs.", {"200": "Version"}, is_open=True),
    "/config": _operation("The settings in force.", {"200": "Config"}),
    "/openapi.json": _operation("This document.", {"200": "Document"}),
    "/v1/partitions": _operation("The member's partitions.", {"200": "Partitions", "503": "Error"}),
    "/v1/keys": _operation(
        "A page of keys with their state.",
        {"200": "Keys", "400": "Error", "503": "Error"},
        _parameter("prefix", _TEXT, "keys that begin so"),
        _parameter(
            "limit",
            {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100},
            "keys of a page",
        ),
        _parameter("cursor", _TEXT, "of the page before"),
        _ENCODING,
        text=_KEYS_TEXT,
    ),
    "/v1/keys/{key}": _operation(
        "One key's state.",
        {
            "200": "Key",
            "400": "Error",
            "404": "Error",
            "421": "Elsewhere",
            "502": "Error",
            "503": "Error",
        },
        _parameter("key", _TEXT, "percent-encoded", "path"),
        _ENCODING,
        _parameter(
            "forward", {"enum": ["0", "1"]}, "1: ask the owner, at most one, within two seconds"
        ),
        text=_KEY_TEXT,
    ),
    "/v1/events": _operation(
        "Samples, as they are smoothed.",
        {"200": "Text", "400": "Error", "503": "Error"},
        _parameter("key", _list(_TEXT), "a key to watch; up to 200 times"),
        _parameter(
            "others",
            {"type": "integer", "minimum": 0, "maximum": 100, "default": 0},
            "besides, so many samples of each step, of whatever keys",
        ),
        text=_EVENTS_TEXT,
        media="text/event-stream",
    ),
}


def openapi(paths: frozenset[str]) -> Schema:
    """The document, with those of its paths that there are."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "stream-ewma",
            "version": version("stream-ewma"),
            "description": "What a member of the group can be asked. It only reads: GET and HEAD.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"bearer": []}, {"cookie": []}, {}],
        "paths": {path: item for path, item in _PATHS.items() if path in paths},
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "http.token"},
                "cookie": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "stream_ewma_9464",
                    "description": "given once for /?token=..., with the port in its name",
                },
            },
            "responses": {
                "Error": {
                    "description": "refused",
                    "content": {"application/json": {"schema": _ref("Error")}},
                }
            },
            "schemas": {**_SCHEMAS, "Text": _TEXT},
        },
    }


async def document(request: web.Request) -> web.Response:
    """The document for this member: what its settings switch off is not in it."""
    window = window_of(request)
    paths = frozenset(_PATHS)
    if not window.settings.http.metrics:
        paths -= {"/metrics"}
    if not window.settings.http.query:
        paths = frozenset(path for path in paths if not path.startswith("/v1/"))
    return json_response(openapi(paths))
