"""A coordinator that cannot say where the group stands must not make the service guess.

aiokafka reads an error of the whole group as "no offset committed" (`reliability.md` section 0,
item 4), and would go on at `input.start`: at `earliest` every record would be smoothed again, at
`latest` records would be lost.
"""

import itertools
import json

import pytest

from tests.support.job import readings
from tests.support.proxy import OFFSET_FETCH, Proxy, offset_fetch_refused

COORDINATOR_LOAD_IN_PROGRESS, NOT_COORDINATOR, COORDINATOR_NOT_AVAILABLE = 14, 16, 15


# With state that is kept, its marker would do without the group's offset.
STATELESS = {"state": {"durable": False}, "delivery": {"guarantee": "at_least_once"}}


@pytest.mark.parametrize("sections", [{}, STATELESS], ids=["durable", "stateless"])
@pytest.mark.parametrize(
    ("start", "code"),
    [
        ("earliest", COORDINATOR_LOAD_IN_PROGRESS),
        ("earliest", NOT_COORDINATOR),
        ("latest", COORDINATOR_NOT_AVAILABLE),
    ],
)
def test_a_passing_error_neither_rewinds_nor_skips(make_job, own_broker, start, code, sections):
    job = make_job(settings={"input": {"start": start}, **sections})
    first = job.start()
    job.produce(readings(50))
    job.outputs(50)
    first.stop()
    job.produce(readings(10, first=50))
    asked = itertools.count()

    def refuse_the_first_three(version, body):
        return offset_fetch_refused(version, code) if next(asked) < 3 else body

    job.change("kafka", bootstrap_servers=own_broker.proxied_bootstrap)
    with Proxy(
        own_broker.proxied_bootstrap, own_broker.behind_proxy, OFFSET_FETCH, refuse_the_first_three
    ):
        second = job.start()
        job.outputs(60)
        second.stop()

    numbers = [json.loads(each.value)["value"] for each in job.cluster.read(job.output)]
    assert numbers == [json.loads(each.value)["value"] for each in readings(60)]
    assert next(asked) > 3, "no question about offsets came by: the test tests nothing"
