"""The OpenAPI document against what the endpoints answer."""

import json

from jsonschema import Draft202012Validator

from stream_ewma.kafka.kept import partition_of
from stream_ewma.kafka.partition import Partition
from stream_ewma.service.watching import Seen, SeenRejected
from stream_ewma.web.server import routes
from tests.support.window import free_port, rejected, sample, settings_of, site

TOKEN = "a-token-of-16-characters"  # noqa: S105
BEARER = f"Bearer {TOKEN}"
HERE = next(f"k{n}" for n in range(99) if partition_of(f"k{n}".encode(), 2) == 0)
THERE = next(f"k{n}" for n in range(99) if partition_of(f"k{n}".encode(), 2) == 1)


def documented(document, path, status):
    """The schema of an answer, with what it refers to."""
    answer = document["paths"][path]["get"]["responses"][str(status)]
    if "$ref" in answer:
        answer = document["components"]["responses"][answer["$ref"].rpartition("/")[2]]
    ((media, content),) = answer["content"].items()
    return media, {**content["schema"], "components": document["components"]}


def test_every_route_is_documented_and_nothing_else():
    from stream_ewma.web.openapi import _PATHS

    found = {path.replace(":[^/]+", "") for path in routes(settings_of())}

    assert found == _PATHS.keys()


async def test_the_document_is_one():
    async with site() as subject:
        document = (await subject.get("/openapi.json")).json

    assert document["openapi"] == "3.1.0"
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    named = set(document["components"]["schemas"])
    used = {text.partition('"')[0] for text in json.dumps(document).split("/schemas/")[1:]}
    assert used <= named
    assert named - used == {"Sample", "Rejected", "Status"}  # of events
    for path, item in document["paths"].items():
        places = {parameter["name"] for parameter in item["get"]["parameters"]}
        assert ("{key}" in path) <= ("key" in places)


async def test_what_is_answered_is_what_is_documented():
    seen = set()
    async with site(token=TOKEN) as subject:
        document = (await subject.get("/openapi.json", Authorization=BEARER)).json

        async def ask(path, status, *, template=None, method="GET", **headers):
            headers = {"Authorization": BEARER, **headers}
            reply = await subject.get(path, method, **headers)
            template = template or path.partition("?")[0]
            assert reply.status == status, (path, reply)
            media, schema = documented(document, template, status)
            assert reply.headers["Content-Type"].partition(";")[0] == media
            if media == "application/json":
                Draft202012Validator(schema).validate(reply.json)
            seen.add((template, str(status)))

        member, single = subject.member, "/v1/keys/{key}"
        for path in document["paths"]:
            await ask(path, 405, method="POST")
        for path in ("/livez", "/healthz", "/readyz", "/metrics", "/version"):
            await ask(path, 200)
        for path in (
            "/config",
            "/openapi.json",
            "/v1/partitions",
            "/v1/keys",
            "/v1/events",
            single,
        ):
            asked = path if path != single else "/v1/keys/a"
            await ask(asked, 401, template=path, Authorization="")
            await ask(asked, 403, template=path, Authorization="", Host="evil.org")
        member.owned, member.opening_numbers = {0, 2}, {2}
        member.keys = {0: {b"a": {"ewma": 1.5, "n": 3, "up": True, "no": None}}}
        for path in ("/config", "/openapi.json", "/v1/partitions", "/v1/keys"):
            await ask(path, 200)
        await ask("/v1/keys/a", 200, template=single)
        await ask("/v1/keys/a?encoding=hex", 400, template=single)
        await ask("/v1/keys?limit=x", 400)
        await ask("/v1/events?others=x", 400)
        member.count = 2
        await ask(f"/v1/keys/{HERE}", 404, template=single)
        await ask(f"/v1/keys/{THERE}", 421, template=single)
        member.owners = {1: f"127.0.0.1:{free_port()}"}
        await ask(f"/v1/keys/{THERE}", 421, template=single)
        await ask(f"/v1/keys/{THERE}?forward=1", 502, template=single)
        member.owned, member.opening_numbers = {0, 1}, {1}
        await ask(f"/v1/keys/{THERE}", 503, template=single)
        member.failure = RuntimeError()
        for path, asked in (("/v1/keys", "/v1/keys"), (single, "/v1/keys/a")):
            await ask(asked, 500, template=path)
        subject.window.overview = subject.window.registry = None
        for path in ("/readyz", "/metrics", "/v1/partitions", "/v1/keys", "/v1/events"):
            await ask(path, 503)

    every = {
        (path, status) for path in document["paths"] for status in responses_of(document, path)
    }
    # The stream has its own test; a failure looks the same everywhere.
    assert {each for each in every - seen if each[1] != "500"} == {("/v1/events", "200")}


def responses_of(document, path):
    return document["paths"][path]["get"]["responses"]


async def test_events_are_what_is_documented():
    async with site() as subject:
        components = (await subject.get("/openapi.json")).json["components"]
        partition = Partition("air", 0)
        subject.member.watchers.rejected.append(SeenRejected(partition, rejected()))
        subject.member.watchers.rejected.append(SeenRejected(partition, rejected(None)))
        reader, writer = await subject.connect()
        writer.write(b"GET /v1/events?key=pump HTTP/1.1\r\nHost: localhost\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"text/event-stream" in head
        text = await reader.readuntil(b"event: status")
        (watcher,) = subject.member.watchers._watchers
        watcher.offer(Seen(partition, sample()))
        watcher.offer(Seen(partition, sample(8, raw=None)))
        while text.count(b"event: sample") < 2:
            text += await reader.readuntil(b"\n\n")
        writer.close()

    counted = {"Sample": 0, "Rejected": 0, "Status": 0}
    for block in text.decode().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line[1:])
        if "data" in lines:
            name = lines["event"].title()
            schema = {"$ref": f"#/components/schemas/{name}", "components": components}
            Draft202012Validator(schema).validate(json.loads(lines["data"]))
            counted[name] += 1
    assert counted["Sample"] == counted["Rejected"] == 2
    assert counted["Status"] >= 1
