"""Partitions and keys, as they are this moment."""

from base64 import b64decode
from binascii import Error as Base64Error

from aiohttp import web

from stream_ewma.engine.stored import key_bytes
from stream_ewma.kafka.partition import Partition
from stream_ewma.service.pipeline import NotThereError
from stream_ewma.web.answers import json_response, key_json, partition_json
from stream_ewma.web.window import window_of

_MOST_KEYS = 1_000
_DEFAULT_KEYS = 100


async def partitions(request: web.Request) -> web.Response:
    """The member's partitions."""
    statuses = window_of(request).running().status()
    return json_response({"partitions": [partition_json(status) for status in statuses]})


async def key(request: web.Request) -> web.Response:
    """One key's state, in each partition that has it."""
    overview = window_of(request).running()
    found = await overview.look_up(_key_of(request))
    if not found:
        return json_response({"error": "no such key"}, 404)
    first, *others = [key_json(each) for each in found]
    return json_response({**first, "also": others} if others else first)


def _key_of(request: web.Request) -> bytes:
    text = request.match_info["key"]
    if request.query.get("encoding") != "base64":
        return key_bytes(text)
    try:
        return b64decode(text, altchars=b"-_", validate=True)
    except (Base64Error, ValueError):
        raise web.HTTPBadRequest(text="the key is no base64") from None


async def keys(request: web.Request) -> web.Response:
    """A page of keys; few are found where few of those looked at begin with the prefix.

    A bounded number of keys is looked at, and `cursor` leads on: null, where there are no more.
    """
    overview = window_of(request).running()
    prefix = key_bytes(request.query.get("prefix", ""))
    limit = _number(request, "limit", _DEFAULT_KEYS, _MOST_KEYS)
    owned = overview.running_partitions()
    at, place = _cursor(request.query.get("cursor", ""), owned)
    if at is None:
        return json_response({"keys": [], "cursor": None})
    try:
        page = await overview.page(at, prefix, place, limit)
    except NotThereError:
        raise web.HTTPServiceUnavailable(text="the partition is moving") from None
    following = [partition for partition in owned if partition > at]
    if page.cursor is not None:
        cursor: str | None = f"{at.topic}:{at.number}:{page.cursor}"
    else:
        cursor = f"{following[0].topic}:{following[0].number}:0" if following else None
    return json_response({"keys": [key_json(each) for each in page.keys], "cursor": cursor})


def _cursor(text: str, owned: list[Partition]) -> tuple[Partition | None, int]:
    if not text:
        return (owned[0] if owned else None), 0
    topic, _, rest = text.rpartition(":")[0].rpartition(":")
    number, place = rest, text.rpartition(":")[2]
    if not (topic and number.isdecimal() and place.isdecimal() and len(place) < 19):
        raise web.HTTPBadRequest(text="no cursor of this API")
    at = Partition(topic, int(number))
    if at not in owned:
        later = [partition for partition in owned if partition > at]
        return (later[0] if later else None), 0
    return at, int(place)


def _number(request: web.Request, name: str, default: int, most: int) -> int:
    text = request.query.get(name, str(default))
    if not text.isdecimal() or not 1 <= int(text[:9]) <= most:
        raise web.HTTPBadRequest(text=f"{name} is a number from 1 to {most}")
    return int(text)
