"""The job on the real broker: readings in, one smoothed record out for each."""

import itertools
import json
import struct

import pytest

from tests.support.cluster import Message
from tests.support.job import ALPHA, EPOCH_MS, reading, readings
from tests.support.oracle import expected_outputs, parsed
from tests.support.waiting import wait_until

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]


def test_five_readings_come_out_as_the_textbook_says(make_job):
    job = make_job()
    job.produce([reading("pump-7", x, i) for i, x in enumerate([10, 12, 15, 18, 22])])

    job.start()
    smoothed = [json.loads(each.value)["ewma"] for each in job.outputs(5)]

    assert smoothed == pytest.approx([10, 10.4, 11.32, 12.656, 14.5248], rel=1e-14)


def test_an_output_has_the_documented_form_and_the_inputs_key_time_headers_and_partition(make_job):
    job = make_job(partitions=3)
    headers = (("trace", b"\x00\xff"), ("trace", b"again"), ("empty", b""), ("null", None))
    value = b'{"unit":"C", "value":21.7351, "timestamp":1767225600123}'
    job.produce([Message(b"pump-7", value, EPOCH_MS + 5, headers, partition=2)])

    job.start()
    (smoothed,) = job.outputs(1)

    assert smoothed.value == (
        b'{"key":"pump-7","timestamp":1767225600123,"value":21.7351,"ewma":21.7351,"count":1}'
    )
    assert (smoothed.key, smoothed.timestamp) == (b"pump-7", EPOCH_MS + 5)
    assert (smoothed.headers, smoothed.partition) == (headers, 2)


@pytest.mark.parametrize("codec", CODECS)
def test_a_codec_is_read_and_written(make_job, codec):
    job = make_job(partitions=4, settings={"output": {"compression_type": codec}})
    sent = readings(5000, keys=40, partitions=4)
    job.produce(sent, compression_type=codec)

    job.start()
    outputs = job.outputs(len(sent))

    by_partition = sorted(expected_outputs(sent, ALPHA), key=lambda each: each.partition)
    assert parsed(outputs) == parsed(by_partition)
    job.services[0].stop()


def test_batches_of_one_record_come_out_whole_and_in_order(make_job):
    job = make_job()
    sent = readings(2000)
    job.produce(sent, linger_ms=0, batch_num_messages=1)

    job.start()

    assert parsed(job.outputs(len(sent))) == parsed(expected_outputs(sent, ALPHA))


def test_a_topic_with_append_time_gives_its_time_to_readings_without_their_own(make_job):
    job = make_job(topic_config={"message_timestamp_type": "LogAppendTime"})
    job.produce([reading("a", 1.0), reading("a", 2.0, timestamp=EPOCH_MS)])
    appended = [each.timestamp for each in job.cluster.read(job.topic)]

    job.start()
    outputs = job.outputs(2)

    assert all(time > EPOCH_MS for time in appended)
    assert [each.timestamp for each in outputs] == appended
    assert [json.loads(each.value)["timestamp"] for each in outputs] == [appended[0], EPOCH_MS]


@pytest.mark.parametrize(
    ("form", "spell"),
    [
        ("text", lambda x: repr(x).encode()),
        ("double", lambda x: struct.pack(">d", x)),
        ("float", lambda x: struct.pack(">f", x)),
    ],
)
def test_plain_numbers_are_read_in_each_format(make_job, form, spell):
    job = make_job(settings={"input": {"format": form}})
    numbers = [0.5, -3.25, 1e300 if form != "float" else 1e30, 1.0]
    job.produce([Message(b"a", spell(x), EPOCH_MS) for x in numbers])

    job.start()
    outputs = [json.loads(each.value) for each in job.outputs(4)]

    single = [struct.unpack(">f", struct.pack(">f", x))[0] for x in numbers if form == "float"]
    assert [each["value"] for each in outputs] == (single or numbers)


@pytest.mark.parametrize(
    ("form", "read"),
    [("text", float), ("double", lambda value: struct.unpack(">d", value)[0])],
)
def test_plain_numbers_are_written_in_each_format(make_job, form, read):
    job = make_job(settings={"output": {"format": form}})
    sent = readings(100)
    job.produce(sent)

    job.start()
    outputs = [read(each.value) for each in job.outputs(100)]

    assert outputs == [json.loads(each.value)["ewma"] for each in expected_outputs(sent, ALPHA)]


def test_the_first_rule_that_matches_a_key_gives_its_factor(make_job):
    rules = [{"keys": "pump-*", "alpha": 0.5}, {"keys": "pump-7", "alpha": 1.0}]
    job = make_job(settings={"smoothing": {"alpha": 0.25, "rules": rules}})
    job.produce([reading(key, x) for key in ("pump-7", "fan-1") for x in (0.0, 8.0)])

    job.start()
    outputs = [json.loads(each.value)["ewma"] for each in job.outputs(4)]

    assert outputs == [0.0, 4.0, 0.0, 2.0]


def test_a_tombstone_resets_its_key_and_is_passed_on(make_job):
    job = make_job()
    job.produce(
        [
            reading("a", 1.0),
            reading("b", 5.0),
            Message(b"a", None, EPOCH_MS + 1, (("why", b"sold"),)),
            reading("a", 3.0),
            reading("b", 5.0),
        ]
    )

    job.start()
    outputs = job.outputs(5)

    assert (outputs[2].value, outputs[2].headers) == (None, (("why", b"sold"),))
    smoothed = [json.loads(each.value) for each in outputs if each.value is not None]
    assert [(each["ewma"], each["count"]) for each in smoothed] == [(1, 1), (5, 1), (3, 1), (5, 2)]


def test_several_topics_have_states_and_outputs_of_their_own(make_job, cluster):
    job = make_job()
    other = cluster.create_topic()
    cluster.create_topic(f"{other}-ewma")
    cluster.create_topic(f"{job.group}-{other}-changelog", cleanup_policy="compact")
    job.produce([reading("a", 1.0)])
    cluster.produce(other, [reading("a", 9.0)])
    job.topics.append(other)

    job.start()

    assert json.loads(job.outputs(1)[0].value)["ewma"] == 1.0
    (second,) = cluster.wait_for(f"{other}-ewma", 1)
    assert json.loads(second.value)["ewma"] == 9.0


def test_a_compacted_topic_with_gaps_is_read_to_its_end(make_job):
    job = make_job(
        topic_config={
            "cleanup_policy": "compact",
            "segment_ms": "100",
            "min_cleanable_dirty_ratio": "0.01",
            "max_compaction_lag_ms": "100",
        }
    )
    for turn in range(6):
        job.produce([reading(f"k{i}", float(turn), i) for i in range(200)])
    left = wait_compacted(job)

    job.start()
    outputs = job.outputs(len(left))

    assert parsed(outputs) == parsed(expected_outputs(left, ALPHA))


def wait_compacted(job):
    """Append until the cleaner has taken records away; return the records that are left."""

    seconds = itertools.count(1)

    def compacted():
        # Only closed segments are cleaned, and a segment closes when a later record arrives.
        job.produce([reading("closer", 0.0, 1000 * next(seconds))])
        return len(job.cluster.read(job.topic)) < 1000

    wait_until(compacted, timeout_s=120, what="nothing was compacted")
    job.cluster.configure_topic(job.topic, cleanup_policy="delete")
    left: list[Message] = []
    while len(now := job.cluster.read(job.topic)) != len(left):
        left = now
    return left
