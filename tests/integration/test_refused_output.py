"""Records the broker will not take: found, set aside, never tried for ever."""

import time

from tests.support.cluster import Message
from tests.support.job import ALPHA, reading, readings
from tests.support.oracle import expected_outputs, parsed

DAY_MS = 86_400_000


def reason(letter):
    return dict(letter.headers)["__stream_ewma.errors.reason"]


def test_an_output_too_large_for_its_topic_becomes_a_dead_letter_and_the_others_go_on(make_job):
    job = make_job(output_config={"max_message_bytes": "20000"})
    good = readings(1000)
    wide = Message(b"wide", b"1.5", good[500].timestamp, (("blob", b"x" * 30_000),))
    job.produce([*good[:500], wide, *good[500:]])

    service = job.start()
    outputs = job.outputs(len(good))
    (letter,) = job.dead_letters(1)
    job.wait_committed({0: 1001})
    service.stop()

    assert parsed(outputs) == parsed(expected_outputs(good, ALPHA))
    assert (letter.key, letter.value, reason(letter)) == (b"wide", b"1.5", b"output_refused")
    assert dict(letter.headers)["__streams.errors.offset"] == b"500"


def test_an_output_whose_time_the_topic_refuses_becomes_a_dead_letter(make_job):
    # Kafka's own default since 4.0: no timestamp more than an hour ahead of the broker's clock.
    job = make_job(output_config={"message_timestamp_after_max_ms": "3600000"})
    now = int(time.time() * 1000)
    times = [now, now + DAY_MS, now + 1]
    job.produce([Message(b"a", b"%d" % i, at) for i, at in enumerate(times)])

    service = job.start()
    outputs = job.outputs(2)
    (letter,) = job.dead_letters(1)
    job.wait_committed({0: 3})
    service.stop()

    assert [each.timestamp for each in outputs] == [now, now + 1]
    assert (letter.timestamp, letter.value) == (now + DAY_MS, b"1")
    assert reason(letter) == b"output_refused"


def test_a_dead_letter_that_is_refused_too_stops_the_service_with_one_clear_line(make_job):
    job = make_job(output_config={"max_message_bytes": "20000"})
    job.cluster.configure_topic(job.dead, max_message_bytes="20000")
    job.produce([reading("a", 1.0), Message(b"b", b"1.5", 1, (("blob", b"x" * 30_000),))])

    service = job.launch()
    code = service.wait_exit()

    assert code == 70
    assert job.cluster.committed(job.group, job.topic).get(0, 0) <= 1
    # Nothing of the transaction is visible; the next start comes here again.
    assert job.cluster.read(job.output) == []
    complaints = [line for line in service.log.splitlines() if job.dead in line]
    assert complaints, service.log


def test_batches_are_cut_below_the_brokers_limit(make_job):
    job = make_job(
        output_config={"max_message_bytes": "20000"},
        settings={"output": {"max_batch_bytes": 16_000}},
    )
    sent = readings(5000)
    job.produce(sent)

    job.start()

    assert parsed(job.outputs(len(sent))) == parsed(expected_outputs(sent, ALPHA))
    assert job.cluster.read(job.dead) == []
