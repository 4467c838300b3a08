"""Changelog topics: how they are made, what is refused, and what tells one topic from another."""

import re

import pytest

from stream_ewma.errors import TopicError
from stream_ewma.kafka import topics
from stream_ewma.kafka.topic_state import Role
from stream_ewma.settings import Settings
from tests.support.broker import RealBroker
from tests.support.cluster import Cluster, Message
from tests.support.waiting import wait_until

from .test_topics import settings_for


async def made(cluster: Cluster, partitions: int = 2, **overrides: object) -> tuple[Settings, str]:
    """Settings whose topics exist, and the changelog's name."""
    source = cluster.create_topic(partitions=partitions)
    settings = settings_for(cluster, source, dead_letters__on_error="skip", **overrides)
    await topics.create(settings, await topics.describe(settings))
    assert await topics.verify(settings) == {source: partitions}
    return settings, settings.changelog_topic(source)


async def problem(settings: Settings) -> str:
    with pytest.raises(TopicError) as refused:
        await topics.verify(settings)
    return str(refused.value)


async def test_a_changelog_is_compacted_and_keeps_rows_of_any_age(cluster: Cluster):
    settings, changelog = await made(
        cluster,
        topics__retention="1h",
        topics__min_insync_replicas=1,
        output__max_batch_bytes=2_000_000,
    )

    config = cluster.topic_config(changelog)

    assert cluster.partitions(changelog) == 2
    assert config["cleanup.policy"] == "compact"
    assert config["message.timestamp.type"] == "LogAppendTime"
    assert config["segment.bytes"] == "104857600"
    assert config["delete.retention.ms"] == "86400000"
    assert config["max.message.bytes"] == "2000000"
    assert config["min.insync.replicas"] == "1"
    assert config["retention.ms"] != "3600000"
    output = cluster.topic_config(settings.output_topic(settings.input.topics[0]))
    assert (output["cleanup.policy"], output["retention.ms"]) == ("delete", "3600000")


async def test_a_broker_takes_rows_of_any_time(cluster: Cluster):
    _, changelog = await made(cluster, 1)
    limits = {f"message_timestamp_{which}_max_ms": "1000" for which in ("after", "before")}
    cluster.configure_topic(changelog, **limits)

    cluster.produce(changelog, [Message(b"k", b"v", timestamp=t) for t in (0, 2**50)])

    assert len(cluster.read(changelog)) == 2


@pytest.mark.parametrize("policy", ["delete", "compact,delete"])
async def test_a_changelog_that_loses_rows_is_refused(cluster: Cluster, policy: str):
    settings, changelog = await made(cluster)
    cluster.configure_topic(changelog, cleanup_policy=policy)

    assert await problem(settings) == (
        f"{changelog}: its cleanup.policy is {policy}, which deletes state; run:"
        f" kafka-configs.sh --alter --topic {changelog} --add-config cleanup.policy=compact"
    )


async def test_a_changelog_that_takes_only_smaller_batches_is_refused(cluster: Cluster):
    settings, changelog = await made(cluster)
    cluster.configure_topic(changelog, max_message_bytes="100000")

    assert await problem(settings) == (
        f"{changelog}: its max.message.bytes (100000) is less than output.max_batch_bytes"
        f" (900000); run: kafka-configs.sh --alter --topic {changelog} --add-config"
        " max.message.bytes=900000"
    )


@pytest.mark.parametrize(("which", "what"), [("input", "gained"), ("changelog", "lost")])
async def test_another_number_of_partitions_is_explained(cluster: Cluster, which: str, what: str):
    settings, changelog = await made(cluster)
    (source,) = settings.input.topics
    grown = [source, f"{source}-ewma"] if which == "input" else [changelog]
    for name in grown:
        cluster.grow_topic(name, 3)

    found = await problem(settings)

    counts = (2, 3) if which == "input" else (3, 2)
    assert found == (
        f"{changelog}: has {counts[0]} partitions where its input has {counts[1]}: the input {what}"
        " partitions, so keys may now be in another partition than their state; to read the input"
        " again from its beginning, write state.repartition: rebuild and run: stream-ewma topics"
        " create; to begin anew without the state: stream-ewma state reset, or another"
        " application_id"
    )


async def test_without_durable_state_there_is_no_changelog(cluster: Cluster):
    settings, _ = await made(cluster, state__durable=False)

    roles = {state.role for state in await topics.describe(settings)}

    assert roles == {Role.INPUT, Role.OUTPUT}


def topic_id_on_disk(broker: RealBroker, topic: str) -> str:
    """The id as the broker keeps it, which tells of a topic a little before it has its files."""
    file = broker.data / f"{topic}-0" / "partition.metadata"
    found = wait_until(
        lambda: re.search(
            r"^topic_id: (\S+)$", file.read_text() if file.exists() else "", re.MULTILINE
        ),
        what=f"{topic} has no files",
    )
    return str(found[1])


async def test_a_topic_made_anew_has_another_id(own_broker: RealBroker):
    cluster = Cluster(own_broker.bootstrap)
    settings, changelog = await made(cluster)
    (source,) = settings.input.topics

    before = await topics.topic_ids(settings, [source, changelog, "absent"])
    assert (await topics.identities(settings)) == {
        source: (before[source], 2),
        changelog: (before[changelog], 2),
    }
    cluster.delete_topic(source)
    gone = await topics.identities(settings)
    cluster.create_topic(source, partitions=3)
    after = await topics.topic_ids(settings, [source, changelog])

    assert after[source] == topic_id_on_disk(own_broker, source)
    assert before["absent"] is None
    assert gone == {source: (None, None), changelog: (before[changelog], 2)}
    assert before[source] != after[source]
    assert before[changelog] == after[changelog]
