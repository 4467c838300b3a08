"""State that outlives the process, and outputs that appear exactly once."""

from tests.support.job import ALPHA, readings
from tests.support.oracle import expected_outputs, parsed


def expected(count):
    """What two partitions hold after so many readings."""
    outputs = expected_outputs(readings(count, partitions=2), ALPHA)
    return parsed(sorted(outputs, key=lambda each: each.partition))


def test_state_goes_on_where_it_was_after_a_stop(make_job):
    job = make_job(partitions=2)
    job.produce(readings(100, partitions=2))
    first = job.start()
    job.outputs(100)
    first.stop()
    job.produce(readings(50, first=100, partitions=2))

    job.start()
    outputs = job.outputs(150)

    assert parsed(outputs) == expected(150)


def test_a_killed_member_leaves_neither_gap_nor_double(make_job):
    job = make_job(partitions=2)
    job.produce(readings(20_000, partitions=2))
    first = job.start()
    job.outputs(1)
    first.kill()

    job.start()
    job.produce(readings(50, first=20_000, partitions=2))
    outputs = job.outputs(20_050)

    assert parsed(outputs) == expected(20_050)


def test_an_input_that_gained_partitions_is_refused_or_read_again(make_job):
    job = make_job()
    job.produce(readings(100))
    first = job.start()
    job.outputs(100)
    first.stop()
    job.cluster.grow_topic(job.topic, 2)

    refused = job.launch()
    assert refused.wait_exit() == 73
    assert "the input gained partitions" in refused.log

    job.change("state", repartition="rebuild")
    made = job.command("topics", "create")
    assert made.count("grown, partitions: 2") == 3
    second = job.start()
    outputs = job.outputs(200)
    second.stop()

    assert "is read again from its beginning" in second.log
    again = [each for each in outputs if each.partition == 0]
    once = parsed(expected_outputs(readings(100), ALPHA))
    assert parsed(again) == [*once, *once]
    assert job.cluster.partitions(job.changelog) == 2
    third = job.start()
    third.stop()
    assert "read again" not in third.log
