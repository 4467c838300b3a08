"""A client whose own tasks have ended fetches nothing and says nothing: the watchdog sees it."""

import asyncio
from collections.abc import Callable

import pytest
import yaml

from stream_ewma import load_settings
from stream_ewma.errors import FatalError
from stream_ewma.kafka.consumer import GroupConsumer
from stream_ewma.service import watchdog
from stream_ewma.service.app import run_service
from stream_ewma.service.opening import Parts
from tests.support.job import ALPHA, readings
from tests.support.oracle import expected_outputs, parsed


class Consumer(GroupConsumer):
    """Notes what the watchdog finds each time that it looks."""

    found: list[bool]

    @property
    def has_died(self) -> bool:
        self.found.append(super().has_died)
        return self.found[-1]


def cancel_fetcher(consumer: GroupConsumer) -> None:
    consumer._consumer._fetcher._fetch_task.cancel()


def break_fetcher(consumer: GroupConsumer) -> None:
    def fail(_assignment: object) -> None:
        raise RuntimeError("an error that nobody has thought of")

    consumer._consumer._fetcher._get_actions_per_node = fail


def cancel_coordinator(consumer: GroupConsumer) -> None:
    consumer._consumer._coordinator._coordination_task.cancel()


def open_connections(consumer: GroupConsumer) -> list[object]:
    """What would stay with the program that the service is embedded in."""
    clients = (consumer._consumer._client, consumer._admin._client)
    return [each for client in clients for each in client._conns.values() if each.connected()]


@pytest.mark.parametrize("end", [cancel_fetcher, break_fetcher, cancel_coordinator])
async def test_a_member_whose_client_has_died_ends_at_the_watchdogs_next_look(
    make_job, tmp_path, monkeypatch: pytest.MonkeyPatch, end: Callable[[GroupConsumer], None]
):
    monkeypatch.setattr(watchdog, "ROUND_S", 0.2)
    monkeypatch.setattr(Consumer, "found", [], raising=False)
    consumers: list[Consumer] = []

    def made(*arguments: object) -> Consumer:
        consumers.append(Consumer(*arguments))
        return consumers[-1]

    job = make_job(partitions=2)
    job.produce(readings(100, partitions=2))
    file = tmp_path / "embedded.yaml"
    file.write_text(yaml.safe_dump(job.settings))
    service = asyncio.create_task(
        run_service(
            load_settings(file, env={}),
            stop=asyncio.Event(),
            parts=Parts(consumer=made),
        )
    )
    try:
        await asyncio.to_thread(job.outputs, 100)
        assert not service.done()
        (consumer,) = consumers

        end(consumer)
        with pytest.raises(FatalError, match=r"the Kafka client has stopped fetching: restart"):
            await asyncio.wait_for(service, 60)
        assert open_connections(consumer) == []
    finally:
        service.cancel()
        await asyncio.wait({service})
        for each in consumers:
            await each._consumer._client.close()
            await each._admin.close()

    assert Consumer.found.count(True) == 1, "it has looked again, or never seen it"
    assert Consumer.found[-1]
    successor = await asyncio.to_thread(job.start)
    await asyncio.to_thread(job.produce, readings(20, partitions=2, first=100))
    outputs = await asyncio.to_thread(job.outputs, 120)
    assert " keys restored in " in successor.log
    expected = expected_outputs(readings(120, partitions=2), ALPHA)
    assert parsed(outputs) == parsed(sorted(expected, key=lambda each: each.partition))
