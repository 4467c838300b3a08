"""A way to the brokers that is too slow for what there is to do."""

from tests.chaos.proxy import Proxy
from tests.support.cluster import Cluster
from tests.support.job import ALPHA, Job, readings
from tests.support.oracle import expected_outputs, parsed

READINGS = 40_000
BYTES_PER_S = 400_000


def test_transactions_become_small_enough_to_end_in_time(tmp_path, own_broker):
    """All that is there would be one transaction, of about three times what its time allows."""
    direct = Cluster(own_broker.bootstrap)
    job = Job(
        direct,
        tmp_path,
        settings={
            "kafka": {
                "bootstrap_servers": own_broker.proxied_bootstrap,
                "request_timeout_ms": 4_000,
                "fetch_max_wait_ms": 100,
            },
            "delivery": {"transaction_timeout": "4s"},
            "output": {"max_batch_bytes": 100_000},
        },
    )
    job.produce(readings(READINGS), batch_size=50_000)
    with Proxy(own_broker.proxied_bootstrap, own_broker.behind_proxy) as proxy:
        with proxy.slow(bytes_per_s=BYTES_PER_S):
            service = job.start()
            outputs = job.outputs(READINGS, timeout_s=300)
        service.stop()
        job.close()

    assert parsed(outputs) == parsed(expected_outputs(readings(READINGS), ALPHA))
    assert "records to a transaction" in service.log
