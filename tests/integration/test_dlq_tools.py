"""`stream-ewma dlq` on the real broker: what lies there, and back to where it came from, once."""

import base64
import json
import re
import time
from dataclasses import replace

import pytest

from tests.support.cluster import Message
from tests.support.job import EPOCH_MS, readings
from tests.support.tools import Application

HOSTILE = b'\x1b[2J\x1b]0;title\x07\xff {"value":'
OWN = (("source", b"line 4"), ("blank", None), ("__streams.errors.topic", b"elsewhere"))


def bad(value, partition, *, key=b"sensor-3", headers=OWN, at=77):
    return Message(key, value, EPOCH_MS + at, headers, partition)


LETTERS = [
    bad(b"twelve", 0),
    bad(HOSTILE, 1, key=b"\xfe\x1b[31m", at=78),
    bad(b'{"value":1.5}', 0, key=None, at=79),
    bad(b'{"value":NaN}', 1, at=80),
    bad(b'{"other":1}', 0, at=81),
]
"""Two in partition 1; decode twice, missing_key, non_finite and missing_value once each."""


@pytest.fixture
def app(make_job, tmp_path):
    """A service that has read ten good readings and the five bad ones, and is stopped."""
    job = make_job(partitions=2)
    made = Application(job, tmp_path)
    made.job = job
    job.produce(readings(10, partitions=2))
    job.produce(LETTERS)
    service = made.start()
    job.outputs(10)
    job.dead_letters(len(LETTERS))
    service.stop()
    return made


def letter_of(source, topic):
    """The dead letter that a record at offset 999 of a topic would have become."""
    added = {
        "__streams.errors.exception": b"",
        "__streams.errors.message": b"too much",
        "__streams.errors.stacktrace": b"",
        "__streams.errors.topic": topic.encode(),
        "__streams.errors.partition": str(source.partition).encode(),
        "__stream_ewma.errors.reason": b"too_large",
        "__streams.errors.offset": b"999",
    }
    return replace(source, headers=(*source.headers, *added.items()))


def back(app):
    """What has come into the input behind the first fifteen records."""
    found = app.job.cluster.read(app.topic)
    starts = {p: 5 + sum(m.partition == p for m in LETTERS) for p in (0, 1)}
    return [m for m in found if m.offset >= starts[m.partition]]


def in_order(messages):
    return [m for p in (0, 1) for m in messages if m.partition == p]


def test_the_letters_are_counted_by_reason(app):
    header, *rows = app.do("dlq", "list").splitlines()

    assert header.split() == ["reason", "topic", "letters", "first", "last", "example"]
    cells = {row.split()[0]: row.split()[1:] for row in rows}
    assert cells["decode"] == [
        app.topic,
        "2",
        "2026-01-01T00:00:00.077Z",
        "2026-01-01T00:00:00.078Z",
        f"{app.topic}-1@5",
    ]
    assert {reason: row[1] for reason, row in cells.items()} == {
        "decode": "2",
        "missing_key": "1",
        "missing_value": "1",
        "non_finite": "1",
    }
    lines = [json.loads(line) for line in app.do("dlq", "list", "--json").splitlines()]
    assert lines[0] == {
        "reason": "decode",
        "topic": app.topic,
        "letters": 2,
        "first": EPOCH_MS + 77,
        "last": EPOCH_MS + 78,
        "example": f"{app.topic}-1@5",
    }
    since = app.do("dlq", "list", "--since", "2026-01-01T00:00:00.080Z").splitlines()
    assert {row.split()[0] for row in since[1:]} == {"non_finite", "missing_value"}


def test_a_letter_is_shown_and_cannot_steer_the_terminal(app):
    shown = app.do("dlq", "show", "--partition", "1", "--offset", "0")

    assert "\x1b" not in shown
    assert "\x07" not in shown
    first, *rest = shown.splitlines()
    assert first == (
        f"{app.topic}-1@5  decode: the value cannot be read in the configured input format"
    )
    assert [line.strip() for line in rest] == [
        f"dead letter  {app.job.dead}-1@0",
        "timestamp    2026-01-01T00:00:00.078Z",
        "header       source: line 4",
        "header       blank: null",
        "header       __streams.errors.topic: elsewhere",
        r"key          \xfe\x1b[31m",
        r"value        \x1b[2J\x1b]0;title\x07\xff " + '{"value":',
    ]


def test_letters_are_shown_for_programs(app):
    lines = app.do("dlq", "show", "--reason", "decode", "--json").splitlines()

    plain, hostile = map(json.loads, lines)
    assert (plain["key"], plain["value"], plain["reason"]) == ("sensor-3", "twelve", "decode")
    assert base64.b64decode(hostile["value_base64"]) == HOSTILE
    assert "value" not in hostile
    assert hostile["origin"] == {"topic": app.topic, "partition": 1, "offset": 5}
    assert [(h["name"], h["value"]) for h in hostile["headers"]] == [
        (name, value and value.decode()) for name, value in OWN
    ]
    limited = app.run("dlq", "show", "--limit", "1", "--json")
    assert limited.stdout.count("\n") == 1
    gone = app.run("dlq", "show", "--reason", "late")
    assert (gone.returncode, gone.stdout) == (1, "")
    assert "none of the 5 dead letters matches" in gone.stderr
    for offset in ("2", "99"):
        gone = app.run("dlq", "show", "--partition", "1", "--offset", offset)
        assert (gone.returncode, gone.stdout) == (1, "")
        assert "there is no such dead letter" in gone.stderr


def test_letters_go_back_as_they_were_and_each_once(app):
    dry = app.do("dlq", "replay", "--dry-run")
    assert "5 dead letters would be replayed; nothing was written" in dry
    assert back(app) == []

    told = app.do("dlq", "replay")

    assert "5 dead letters replayed" in told
    assert back(app) == in_order(LETTERS)
    assert app.job.cluster.committed(f"{app.group}-dlq-replay", app.job.dead) == (
        app.job.cluster.end_offsets(app.job.dead)
    )

    told = app.do("dlq", "replay")

    assert told.startswith("0 dead letters replayed\nwent on where the last replay ended")
    assert back(app) == in_order(LETTERS)
    app.do("dlq", "replay", "--again")
    assert sorted(back(app), key=str) == sorted(2 * LETTERS, key=str)


def test_a_reason_and_a_letter_are_not_replayed_again_with_the_rest(app):
    app.do("dlq", "replay", "--reason", "decode")
    assert back(app) == in_order(LETTERS[:2])
    app.do("dlq", "replay", "--reason", "decode")
    app.do("dlq", "replay", "--origin", f"{app.topic}-1@6")
    again = app.do("dlq", "replay", "--origin", f"{app.topic}-1@6")
    assert "1 dead letter had been replayed before" in again
    assert len(back(app)) == 3

    told = app.do("dlq", "replay")

    assert "2 dead letters replayed" in told
    assert sorted(back(app), key=str) == sorted(LETTERS, key=str)
    missing = app.run("dlq", "replay", "--origin", f"{app.topic}-1@99")
    assert missing.returncode == 1
    assert "there is no such dead letter" in missing.stderr


def test_a_reading_that_is_still_bad_becomes_a_letter_again(app):
    app.do("dlq", "replay", "--reason", "missing_value")
    service = app.start()
    assert len(app.job.dead_letters(len(LETTERS) + 1)) == len(LETTERS) + 1
    service.stop()

    told = app.do("dlq", "replay", "--dry-run", "--reason", "missing_value")

    assert "1 dead letter would be replayed" in told


def test_what_the_broker_refuses_is_named_and_the_others_go_back(app):
    app.job.cluster.configure_topic(app.topic, max_message_bytes="200")
    big = bad(b"x" * 500, 0, at=90)
    app.job.cluster.produce(app.job.dead, [letter_of(big, app.topic)])

    ended = app.run("dlq", "replay")

    assert ended.returncode == 1
    assert f"{app.topic}-0@999: the broker refuses it: " in ended.stderr
    assert "1 dead letter refused and passed over" in ended.stderr
    assert back(app) == in_order(LETTERS)


def test_letters_of_other_services_stay(app):
    other = app.job.cluster.create_topic(partitions=2)
    app.job.cluster.produce(app.job.dead, [bad(b"?", 0), letter_of(bad(b"!", 1), other)])

    assert "(not of this service)" in app.do("dlq", "list")
    told = app.do("dlq", "replay")

    assert "2 dead letters left out: not from a topic of input.topics" in told
    assert back(app) == in_order(LETTERS)
    assert app.job.cluster.read(other) == []


def test_without_a_topic_of_dead_letters_it_says_what_to_do(app):
    app.job.cluster.delete_topic(app.job.dead)

    for action in ("list", "show", "replay"):
        said = app.refused(73, "dlq", action)
        assert said.startswith(f"{app.job.dead}: the topic for dead letters does not exist")


def test_a_topic_of_dead_letters_made_anew_is_noticed(app):
    # Brokers forget the offsets of a topic with it, but those of another cluster may be restored.
    app.job.cluster.commit(f"{app.group}-dlq-replay", app.job.dead, {0: 99})

    said = app.refused(65, "dlq", "replay")

    assert "it was created anew" in said
    assert "5 dead letters replayed" in app.do("dlq", "replay", "--again")
    assert app.do("dlq", "replay").startswith("0 dead letters")


def test_what_was_replayed_is_remembered_beyond_the_brokers_week(app, own_broker):
    if app.job.cluster.bootstrap != own_broker.bootstrap:
        pytest.skip("the broker's files are not ours to read")
    app.do("dlq", "replay")

    text = ""
    for log in own_broker.data.glob("__consumer_offsets-*/*.log"):
        text += own_broker.run_tool(
            "kafka.tools.DumpLogSegments",
            *("--offsets-decoder", "--print-data-log", "--files", str(log)),
        )

    rows = [line for line in text.splitlines() if f"{app.group}-dlq-replay" in line]
    expiries = [int(at) for row in rows for at in re.findall(r'expireTimestamp"?[:=](\d+)', row)]
    assert expiries, rows
    assert min(expiries) > (time.time() + 5 * 365 * 86_400) * 1000
