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
