"""Partitions and keys, as they are this moment."""

from typing import Any

from aiohttp import web

from stream_ewma.kafka.partition import Partition
from stream_ewma.service.overview import SCAN_EFFORT
from stream_ewma.service.pipeline import NotThereError
from stream_ewma.web.answers import error_response, json_response, key_json, partition_json
from stream_ewma.web.forwarding import ask_owner, misdirected
from stream_ewma.web.queries import is_base64, key_of_path, key_written, number_of, whole
from stream_ewma.web.window import window_of

_MOST_KEYS = 1_000
_DEFAULT_KEYS = 100
_MOST_PARTITIONS = 32


async def partitions(request: web.Request) -> web.Response:
    """The member's partitions."""
    statuses = window_of(request).running().status()
    return json_response({"partitions": [partition_json(status) for status in statuses]})


async def key(request: web.Request) -> web.Response:
    """One key's state, in each partition that has it; where others have it, who."""
    window = window_of(request)
    overview = window.running()
    encoded, sought = is_base64(request), key_of_path(request)
    async with window.turns.turn():
        searched = await overview.search(sought)
    if searched.found:
        first, *others = [key_json(each, is_base64=encoded) for each in searched.found]
        return json_response({**first, "also": others} if others else first)
    missing = [home for home in overview.homes(sought) if home not in searched.partitions]
    if not missing:
        return error_response(404, "no such key")
    own = overview.partitions.assigned_partitions
    elsewhere = [home for home in missing if home not in own]
    if not elsewhere:
        return error_response(503, f"{missing[0]} is being taken over", **{"Retry-After": "1"})
    return await ask_owner(request, elsewhere) or misdirected(overview, elsewhere[0])


async def keys(request: web.Request) -> web.Response:
    """A page of keys; few are found where few of those looked at begin with the prefix.

    A bounded number of keys is looked at, and `cursor` leads on: null, where there are no more.
    """
    window = window_of(request)
    overview = window.running()
    encoded = is_base64(request)
    prefix = key_written(request, request.query.get("prefix", ""))
    limit = number_of(request, "limit", _DEFAULT_KEYS, 1, _MOST_KEYS)
    owned = overview.running_partitions()
    at, place = _cursor(request.query.get("cursor", ""), owned)
    if at is None:
        return json_response({"keys": [], "cursor": None})
    found: list[dict[str, Any]] = []
    looked_at = 0
    async with window.turns.turn():
        for partition in owned[owned.index(at) :][:_MOST_PARTITIONS]:
            try:
                page = await overview.page(partition, prefix, place, limit - len(found))
            except NotThereError:
                if found:
                    break  # it is the next request's
                return error_response(503, "the partition is moving", **{"Retry-After": "1"})
            found += [key_json(each, is_base64=encoded) for each in page.keys]
            looked_at += page.looked_at
            at, place = _following(partition, page.cursor, owned)
            if page.cursor is not None or len(found) == limit or looked_at >= SCAN_EFFORT:
                break
    cursor = None if at is None else f"{at.topic}:{at.number}:{place}"
    return json_response({"keys": found, "cursor": cursor})


def _following(
    at: Partition, place: int | None, owned: list[Partition]
) -> tuple[Partition | None, int]:
    """Where to go on: in the partition, or at the beginning of the one behind it."""
    if place is not None:
        return at, place
    return next((partition for partition in owned if partition > at), None), 0


def _cursor(text: str, owned: list[Partition]) -> tuple[Partition | None, int]:
    if not text:
        return (owned[0] if owned else None), 0
    topic, number, place = ["", "", *text.split(":")][-3:]
    partition, slot = whole(number), whole(place)
    if not topic or partition is None or slot is None:
        raise web.HTTPBadRequest(text="no cursor of this API")
    at = Partition(topic, partition)
    return _following(at, slot if at in owned else None, owned)
