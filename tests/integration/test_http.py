"""What a running member answers, on the real broker."""

import json

from tests.support.cluster import Message
from tests.support.job import ALPHA, readings
from tests.support.oracle import expected_outputs


def test_a_key_is_shown_with_its_live_state_and_the_offset_that_it_includes(make_job):
    job = make_job(partitions=2)
    job.produce(readings(100, partitions=2))
    service = job.start()
    job.outputs(100)
    job.wait_committed({0: 50, 1: 50})

    last = expected_outputs(readings(100, partitions=2), ALPHA)[-1]
    expected = json.loads(last.value)
    shown = service.get(f"/v1/keys/{last.key.decode()}").json

    assert shown["ewma"] == expected["ewma"]
    assert shown["count"] == expected["count"]
    assert shown["timestamp"] is None  # the clock of readings keeps no time
    assert (shown["offset"], shown["committed"]) == (49, True)
    assert service.get("/v1/keys/nobody").status == 404


def test_probes_metrics_partitions_and_pages_of_keys(make_job):
    job = make_job(partitions=2)
    job.produce([*readings(100, partitions=2), Message(b"k", b"no number", partition=0)])
    service = job.start()
    job.outputs(100)
    job.dead_letters(1)

    assert service.get("/livez").status == 200
    assert service.get("/readyz").json == {"status": "ok", "checks": {}}
    text = service.get("/metrics").body.decode()
    assert "stream_ewma_ready 1.0" in text
    page = service.get("/v1/keys?limit=3").json
    assert len(page["keys"]) == 3
    partitions = service.get("/v1/partitions").json["partitions"]
    assert [each["keys"] for each in partitions] == [5, 5]
