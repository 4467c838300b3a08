"""The judge's reader goes on where it was."""

import pytest

from tests.support.cluster import Cluster, Message
from tests.support.waiting import wait_until

from .tape import Tape


def test_a_reader_whose_client_hears_nothing_any_more_gets_a_new_one(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.chaos.tape.SILENCE_S", 0.5)
    topic = cluster.create_topic()
    tape = Tape(cluster, [topic])
    found: list[bytes | None] = []

    def has(count: int) -> bool:
        found.extend(message.value for _, message in tape.read())
        return len(found) == count

    cluster.produce(topic, [Message(b"k", b"1"), Message(b"k", b"2")])
    wait_until(lambda: has(2), timeout_s=20)
    tape._consumer.unassign()
    cluster.produce(topic, [Message(b"k", b"3")])
    wait_until(lambda: has(3), timeout_s=20, what=lambda: f"{found}")
    tape.close()

    assert found == [b"1", b"2", b"3"]
