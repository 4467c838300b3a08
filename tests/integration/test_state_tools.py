"""`stream-ewma state` on the real broker, beside the real service."""

import json
import signal
import struct

import pytest
from confluent_kafka import Producer

from tests.support.cluster import Message
from tests.support.job import EPOCH_MS, readings
from tests.support.tools import Application
from tests.support.waiting import wait_until

FACTORS = {
    "factors": {"fast": {"half_life": "1s"}, "slow": {"half_life": "10m"}},
    "outputs": ["ewma", "variance", "n_eff", "count"],
}
ODD_KEY = b"odd \xff\\key"


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def values(messages):
    return [(m.partition, m.key, m.value) for m in messages]


def smoothed(make_job, tmp_path, sent, *, partitions=3, **settings):
    """A service that has read `sent` and was stopped."""
    job = make_job(partitions=partitions, settings=settings)
    app = Application(job, tmp_path)
    service = app.start()
    job.produce(sent)
    job.outputs(len(sent))
    service.stop()
    return job, app


def test_the_state_of_a_key_is_what_was_published_last(make_job, tmp_path):
    sent = readings(300, keys=7, partitions=3)
    sent += [Message(ODD_KEY, b'{"value":%d}' % x, EPOCH_MS, partition=1) for x in (1, 2)]
    job, app = smoothed(make_job, tmp_path, sent, smoothing=FACTORS)
    last = {m.key: (m.partition, json.loads(m.value)) for m in job.cluster.read(job.output)}

    found = json.loads(app.do("state", "get", "sensor-4"))
    partition, value = last[b"sensor-4"]
    assert (found["topic"], found["partition"]) == (job.topic, partition)
    assert found["next_offset"] == job.cluster.end_offsets(job.topic)[partition]
    for name in set(value) - {"key", "timestamp", "value"}:
        assert found[name] == pytest.approx(value[name], rel=1e-12), name
    assert found["event_time"] == value["timestamp"]
    assert found["ewma_slow"] == value["ewma_slow"]

    listed = lines(app.do("state", "list"))
    texts = {each["key"]: each["count"] for each in listed}
    assert len(texts) == 8
    assert texts == {
        key.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace"): of[1]["count"]
        for key, of in last.items()
    }
    odd = json.loads(app.do("state", "get", r"odd \xff\\key"))
    assert (odd["key"], odd["count"]) == (r"odd \xff\\key", 2)
    some = lines(app.do("state", "list", "--keys", "sensor-[0-3]", "--limit", "3"))
    assert len(some) == 3
    assert {each["key"] for each in some} <= {f"sensor-{n}" for n in range(4)}
    assert app.do("state", "list", "--keys", "nothing") == ""
    assert app.do("state", "list", "--limit", "0") == ""

    said = app.refused(1, "state", "get", "nobody")
    assert said == f"nobody: there is no state of this key ({job.topic}: 3 partitions searched)\n"


@pytest.mark.parametrize("file", ["state.jsonl", "state.jsonl.gz", "state.parquet"])
def test_another_application_goes_on_where_the_first_was_exported(make_job, tmp_path, file):
    first, second = (
        readings(300, keys=7, partitions=3),
        readings(200, keys=9, partitions=3, first=300),
    )
    job, app = smoothed(make_job, tmp_path, first, smoothing=FACTORS)
    other = Application(job, tmp_path, suffix="-copy")
    assert app.do("state", "export", file) == ""

    # As in the README: the settings of the first, and another name.
    told = app.do("state", "import", file, "--application_id", other.group)

    assert other.rows == app.rows
    assert len(other.rows) == 7
    assert other.committed == app.committed
    ours, theirs = app.markers, other.markers
    assert ours == theirs
    assert told.startswith(f"{job.topic}: 7 keys imported into 3 partitions\n")
    assert "(as exported): 0: 128, 1: 86, 2: 86\n" in told
    before = other.kept
    assert "holds state already; to replace it, first run: stream-ewma state reset" in (
        other.refused(65, "state", "import", file)
    )
    assert other.kept == before

    services = app.start(), other.start()
    job.produce(second)
    undisturbed = job.cluster.wait_for(app.output, 500)
    copied = job.cluster.wait_for(other.output, 200)
    for service in services:
        service.stop()
    by_partition = {p: [m for m in undisturbed if m.partition == p] for p in range(3)}
    assert len(undisturbed) == 500
    counts = {p: sum(m.partition == p for m in first) for p in range(3)}
    expected = [each for p in range(3) for each in values(by_partition[p])[counts[p] :]]
    assert values(copied) == expected
    assert other.rows == app.rows


def test_keys_go_to_their_partitions_where_the_count_differs(make_job, tmp_path):
    job, app = smoothed(make_job, tmp_path, readings(300, keys=20, partitions=3))
    wider = job.cluster.create_topic(partitions=5)
    other = Application(job, tmp_path, topic=wider, suffix="-wide")
    app.do("state", "export", "state.jsonl")

    told = other.do("state", "import", "state.jsonl")

    # librdkafka's own idea of Java's default partitioner.
    places = job.cluster.create_topic(partitions=5)
    producer = Producer(
        {"bootstrap.servers": job.cluster.bootstrap, "partitioner": "murmur2_random"}
    )
    for _, key in app.rows:
        producer.produce(places, key=key, value=b"")
    producer.flush(30)
    home = {m.key: m.partition for m in job.cluster.read(places)}
    assert other.rows == {(home[key], key): row for (_, key), row in app.rows.items()}
    assert other.committed == dict.fromkeys(range(5), 0)
    assert {p: m["next_offset"] for p, m in other.markers.items()} == dict.fromkeys(range(5), 0)
    assert {m["topic"] for m in other.markers.values()} == {wider}
    assert "into 5 partitions, each to the partition of its key (murmur2)\n" in told
    assert f"it is another topic than {job.topic} was" in told

    other.start().stop()


def test_a_file_that_is_not_whole_changes_nothing_of_its_last_partition(make_job, tmp_path):
    job, app = smoothed(make_job, tmp_path, readings(300, keys=20, partitions=3))
    other = Application(job, tmp_path, suffix="-copy")
    app.do("state", "export", "whole.jsonl")
    whole = (tmp_path / "whole.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "cut.jsonl").write_bytes(b"".join(whole[:-1]))
    (tmp_path / "twice.jsonl").write_bytes(
        whole[0].replace(b'"keys":7', b'"keys":8') + whole[1] + b"".join(whole[1:])
    )

    assert "there twice" in other.refused(65, "state", "import", "twice.jsonl")
    assert other.kept == {}
    assert "partition 2 has 5 rows of 6: the file is cut short" in (
        other.refused(65, "state", "import", "cut.jsonl")
    )

    assert {p for p, _ in other.kept} == {0, 1}
    assert set(other.committed) == {0, 1}
    other.do("state", "reset", "--yes")
    other.do("state", "import", "whole.jsonl")
    assert other.rows == app.rows


def test_a_reset_forgets_all_and_the_next_start_begins_anew(make_job, tmp_path):
    sent = readings(300, keys=7, partitions=3)
    job, app = smoothed(make_job, tmp_path, sent)
    once = values(job.cluster.read(job.output))

    told = app.do("state", "reset", "--yes")

    assert (app.kept, app.committed) == ({}, {})
    assert told == (
        f"{job.topic}: forgot 7 keys in 3 partitions, and the group's offsets\n"
        "the next start begins at earliest (input.start)\n"
    )
    assert app.do("state", "list") == ""
    assert "forgot 0 keys" in app.do("state", "reset", "--yes")
    service = app.start()
    twice = values(job.cluster.wait_for(job.output, 600))
    service.stop()
    for partition in range(3):
        own = [each for each in once if each[0] == partition]
        assert [each for each in twice if each[0] == partition] == own * 2
    assert len(app.rows) == 7


def test_a_reset_can_say_where_to_begin(make_job, tmp_path):
    sent = readings(300, keys=7, partitions=3)
    job, app = smoothed(make_job, tmp_path, sent)
    at = "2026-01-01T00:00:00.200Z"
    later = [m for m in sent if m.timestamp >= EPOCH_MS + 200]
    left = {p: sum(m.partition == p for m in later) for p in range(3)}
    ends = job.cluster.end_offsets(job.topic)
    begins = {p: ends[p] - left[p] for p in range(3)}

    told = app.do("state", "reset", "--yes", "--to", at)

    assert app.rows == {}
    assert app.committed == begins
    assert {p: m["next_offset"] for p, m in app.markers.items()} == begins
    assert f"by partition: 0: {begins[0]}, 1: {begins[1]}, 2: {begins[2]}\n" in told
    service = app.start()
    outputs = job.cluster.wait_for(job.output, 300 + len(later))
    service.stop()
    assert len(outputs) == 300 + len(later)
    counts = {key: struct.unpack_from("<q", row, 1)[0] for (_, key), row in app.rows.items()}
    assert sum(counts.values()) == len(later)

    app.do("state", "reset", "--yes", "--to", "latest")
    assert app.committed == ends
    app.do("state", "reset", "--yes", "--to", "earliest")
    assert app.committed == dict.fromkeys(range(3), 0)


def test_nothing_is_changed_while_the_service_runs(make_job, tmp_path):
    job, app = smoothed(make_job, tmp_path, readings(30, partitions=3))
    app.do("state", "export", "state.jsonl")
    service = app.start()
    before, offsets = app.kept, app.committed

    for command in (
        ["reset", "--yes"],
        ["reset", "--yes", "--to", "latest"],
        ["import", "state.jsonl"],
    ):
        said = app.refused(75, "state", *command)
        assert said.startswith(f"1 member is in the group {job.group}: stop the service first")

    assert (app.kept, app.committed) == (before, offsets)
    assert len(lines(app.do("state", "list"))) == 10
    service.stop()


def test_a_service_that_the_group_has_lost_adds_nothing_after_a_reset(make_job, tmp_path):
    job = make_job(partitions=3)
    app = Application(job, tmp_path)
    service = app.start()
    job.produce(readings(30, partitions=3))
    job.outputs(30)
    service.process.send_signal(signal.SIGSTOP)
    job.produce(readings(30, partitions=3, first=30))
    wait_until(lambda: not job.cluster.members(app.group), what="it is still a member")

    app.do("state", "reset", "--yes")

    service.process.send_signal(signal.SIGCONT)
    outputs = job.outputs(90)
    service.stop()
    assert len(outputs) == 90
    counts = [struct.unpack_from("<q", row, 1)[0] for row in app.rows.values()]
    assert sum(counts) == 60


def test_a_changelog_whose_parts_do_not_go_together_can_be_reset(make_job, tmp_path):
    job, app = smoothed(make_job, tmp_path, readings(30, partitions=3))
    lost = Message(b"\x00position", None, 0, partition=1)
    job.cluster.produce(app.changelog, [lost])
    assert "rows without a position marker" in app.refused(65, "state", "get", "sensor-1")

    assert "forgot 10 keys" in app.do("state", "reset", "--yes")

    assert app.kept == {}
    app.start().stop()


def test_what_a_reset_cannot_take_away_is_told(make_job, tmp_path):
    job, app = smoothed(make_job, tmp_path, readings(30, partitions=3))
    job.cluster.produce(app.changelog, [Message(b"\x07from the future", b"?", 0, partition=0)])
    before = app.kept

    said = app.refused(65, "state", "reset", "--yes")

    assert "its key is of no known kind" in said
    assert "delete it, then run: stream-ewma topics create" in said
    assert app.kept == before
    job.cluster.delete_topic(app.changelog)
    job.cluster.create_topic(app.changelog, partitions=3, cleanup_policy="compact")
    app.start().stop()


def test_topics_that_are_missing_are_told(make_job, tmp_path):
    job, app = smoothed(make_job, tmp_path, readings(30, partitions=3))

    assert "nowhere: the topic does not exist" in (
        app.refused(73, "state", "list", "--topic", "nowhere")
    )
    job.cluster.delete_topic(app.changelog)
    said = app.refused(73, "state", "get", "sensor-1")
    assert said.startswith(
        f"{app.changelog}: the topic that keeps the state of {job.topic} does not"
    )
    job.cluster.create_topic(app.changelog, cleanup_policy="compact")
    assert "has 1 partitions where" in app.refused(73, "state", "reset", "--yes", "--to", "latest")
