"""`run --once` smooths what is there, commits it, and ends."""

from tests.support.job import ALPHA, readings
from tests.support.oracle import expected_outputs, parsed

PARTITIONS = 3


def by_partition(messages):
    return sorted(messages, key=lambda each: each.partition)


def test_all_that_is_there_is_smoothed_and_the_next_run_goes_on_with_its_state(make_job):
    job = make_job(partitions=PARTITIONS)
    sent = readings(300, keys=30, partitions=PARTITIONS)
    for end in (200, 300):
        # The second one has transactions' markers to pass before it is at the end.
        job.produce(sent[end - 100 if end > 200 else 0 : end])
        once = job.launch("--once")

        assert once.wait_exit() == 0, once.log
        outputs = job.outputs(end)
        assert len(outputs) == end
        assert parsed(by_partition(outputs)) == parsed(
            by_partition(expected_outputs(sent[:end], ALPHA))
        )


def test_nothing_to_smooth_is_done_at_once(make_job):
    once = make_job(partitions=PARTITIONS).launch("--once")

    assert once.wait_exit() == 0, once.log
