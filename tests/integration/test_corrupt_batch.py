"""A batch that cannot be read: in the input it parks its partition, in a changelog it ends all."""

import re
from pathlib import Path

import pytest

from tests.support.cluster import Message
from tests.support.job import ALPHA, EPOCH_MS, readings
from tests.support.oracle import expected_outputs, parsed
from tests.support.tools import Application

HEADER_BYTES = 61
ATTRIBUTES_AT = 22


@pytest.mark.parametrize(
    ("at", "mask"),
    [(HEADER_BYTES + 20, 0x01), (ATTRIBUTES_AT, 0x05)],
    ids=["a flipped bit in a record", "a codec nobody knows"],
)
def test_a_damaged_batch_parks_its_partition_alone(make_job, own_broker, broken_batches, at, mask):
    job = job_on(make_job, own_broker)
    sent = readings(300, keys=30, partitions=3)
    for first in range(0, 300, 100):
        # A long linger makes each call one batch per partition.
        job.produce(sent[first : first + 100], linger_ms=500)
    bad_from = sum(m.partition == 1 for m in sent[:100])
    broken_batches(job.topic, 1, 1, at, mask)

    service = job.start()
    whole = [m for m in sent if m.partition != 1]
    before = [m for m in sent if m.partition == 1][:bad_from]
    outputs = job.outputs(len(whole) + len(before))
    job.wait_committed({0: 100, 1: bad_from, 2: 100})
    later = readings(30, keys=30, partitions=3, first=300)
    job.produce([m for m in later if m.partition != 1])
    outputs = job.outputs(len(whole) + len(before) + 20)
    service.stop()

    good = [*whole, *before, *(m for m in later if m.partition != 1)]
    expected = sorted(expected_outputs(good, ALPHA), key=lambda each: each.partition)
    assert parsed(outputs) == parsed(expected)
    complaints = [line for line in service.log.splitlines() if "ERROR" in line]
    assert len(complaints) == 1, service.log
    assert job.topic in complaints[0]
    assert re.search(rf"\b1\b.*\b{bad_from}\b", complaints[0]), complaints[0]
    once = job.launch("--once")
    assert once.wait_exit() == 65, once.log
    assert once.complaints[-1].startswith(f"{job.topic}-1 is parked at offset {bad_from}")


@pytest.mark.parametrize(
    ("batch", "at", "reason"),
    [
        (0, HEADER_BYTES + 20, "the batch's CRC-32C is"),
        (1, HEADER_BYTES + 5, "the control batch's CRC-32C is wrong"),
    ],
    ids=["rows", "the end of a transaction"],
)
def test_a_damaged_changelog_is_refused_with_what_mends_it_and_nothing_is_written(
    make_job, own_broker, broken_batches, tmp_path, batch, at, reason
):
    job = job_on(make_job, own_broker)
    # As `topics create` makes it; rows of time 0 would begin segments of their own.
    job.cluster.configure_topic(job.changelog, message_timestamp_type="LogAppendTime")
    sent = readings(300, keys=30, partitions=3)
    job.produce(sent)
    first = job.start()
    job.wait_committed({0: 100, 1: 100, 2: 100})
    first.stop()
    broken_batches(job.changelog, 1, batch, at, 0x01)
    topics = (job.output, job.changelog, job.dead)
    ends = [job.cluster.end_offsets(topic) for topic in topics]

    refused = job.launch()

    assert refused.wait_exit(120) == 65, refused.log
    assert " ERROR " not in refused.log
    line = refused.complaints[-1]
    assert line.startswith(f"{job.topic}-1: {job.changelog}: the batch at offset ")
    assert reason in line
    assert line.endswith(f": stream-ewma state reset --topic {job.topic}")
    assert [job.cluster.end_offsets(topic) for topic in topics] == ends
    assert job.cluster.committed(job.group, job.topic) == {0: 100, 1: 100, 2: 100}

    app = Application(job, tmp_path)
    said = app.refused(65, "state", "reset", "--yes")
    assert "delete it, then run: stream-ewma topics create" in said
    job.cluster.delete_topic(job.changelog)
    app.do("topics", "create")
    job.start()
    outputs = job.outputs(600)
    again = expected_outputs(sent, ALPHA)
    assert parsed(outputs) == parsed(sorted([*again, *again], key=lambda each: each.partition))


def test_a_batch_that_unpacks_to_far_more_than_it_weighs_does_not_eat_the_memory(
    make_job, own_broker
):
    job = job_on(make_job, own_broker)
    blob = Message(b"bomb", b"0" * 900_000, EPOCH_MS)
    job.produce(
        [blob] * 200, compression_type="zstd", message_max_bytes=1_000_000, batch_size=10**6
    )
    job.produce(readings(100, partitions=1))

    service = job.start()
    outputs = job.outputs(100)

    assert parsed(outputs) == parsed(expected_outputs(readings(100), ALPHA))
    peak = re.search(r"VmHWM:\s+(\d+) kB", proc_status(service))
    assert peak
    assert int(peak.group(1)) < 1_000_000


def job_on(make_job, own_broker):
    job = make_job(partitions=3)
    assert job.cluster.bootstrap == own_broker.bootstrap, (
        "this test damages files of the broker, which must be our own"
    )
    return job


def proc_status(service):
    return Path(f"/proc/{service.process.pid}/status").read_text()
