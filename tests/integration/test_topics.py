"""`stream-ewma topics` and the check at the start, against a real broker."""

import os
import subprocess
import uuid
from pathlib import Path

import pytest
from confluent_kafka.admin import ConfigResource

from stream_ewma.errors import TopicError
from stream_ewma.kafka import topics
from stream_ewma.kafka.topic_state import Role
from stream_ewma.settings import Settings, load_settings
from tests.support.broker import ForeignBroker, RealBroker
from tests.support.cluster import Cluster
from tests.support.service import COMMAND


def settings_for(cluster: Cluster, *inputs: str, **overrides: object) -> Settings:
    dotted = {name.replace("__", "."): value for name, value in overrides.items()}
    return load_settings(
        env={},
        overrides={
            "application_id": f"app-{uuid.uuid4().hex[:12]}",
            "kafka.bootstrap_servers": cluster.bootstrap,
            "input.topics": list(inputs),
            "smoothing.alpha": 0.1,
            **dotted,
        },
    )


def config_of(cluster: Cluster, topic: str) -> dict[str, str]:
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    (described,) = cluster.admin.describe_configs([resource]).values()
    return {name: entry.value for name, entry in described.result(30).items()}


async def test_create_makes_what_is_missing_with_the_partitions_of_the_input(cluster: Cluster):
    first, second = cluster.create_topic(partitions=3), cluster.create_topic(partitions=5)
    settings = settings_for(
        cluster, first, second, topics__retention="7d", topics__min_insync_replicas=1
    )

    made = await topics.create(settings, await topics.describe(settings))

    assert [(state.name, state.wanted) for state in made] == [
        (f"{first}-ewma", 3),
        (f"{second}-ewma", 5),
        (settings.dead_letter_topic, 5),
        (settings.changelog_topic(first), 3),
        (settings.changelog_topic(second), 5),
    ]
    assert cluster.partitions(f"{first}-ewma") == 3
    assert cluster.partitions(f"{second}-ewma") == 5
    assert cluster.partitions(settings.dead_letter_topic) == 5
    config = config_of(cluster, f"{first}-ewma")
    assert (config["retention.ms"], config["min.insync.replicas"]) == ("604800000", "1")
    assert await topics.verify(settings) == {first: 3, second: 5}
    assert await topics.create(settings, await topics.describe(settings)) == []


async def test_what_keeps_records_when_brokers_are_lost_is_seen(cluster: Cluster):
    source = cluster.create_topic()
    settings = settings_for(cluster, source)
    await topics.create(settings, await topics.describe(settings))
    safe = {"min_insync_replicas": "2", "unclean_leader_election_enable": "true"}
    cluster.configure_topic(settings.output_topic(source), **safe)

    states = {state.role: state for state in await topics.describe(settings)}

    assert {state.copies for state in states.values()} == {1}
    output, changelog = states[Role.OUTPUT], states[Role.CHANGELOG]
    assert (output.least_in_sync, output.is_unclean) == (2, True)
    assert (changelog.least_in_sync, changelog.is_unclean) == (1, False)
    assert states[Role.INPUT].least_in_sync is None


async def test_verify_names_every_topic_that_is_missing(cluster: Cluster):
    present = cluster.create_topic(partitions=2)
    settings = settings_for(cluster, present, "no-such-input")

    with pytest.raises(TopicError) as refused:
        await topics.verify(settings)

    assert str(refused.value).splitlines() == [
        "no-such-input: the input topic does not exist; create it, or mend input.topics",
        f"{present}-ewma: the topic for output does not exist; run: stream-ewma topics create",
        (
            f"{settings.dead_letter_topic}: the topic for dead letters does not exist;"
            " run: stream-ewma topics create"
        ),
        (
            f"{settings.changelog_topic(present)}: the topic for changelog does not exist;"
            " run: stream-ewma topics create"
        ),
    ]


async def test_asking_for_a_topic_does_not_create_it():
    # Brokers as they come create what a client asks about.
    with RealBroker(heap="256m", settings={"auto.create.topics.enable": "true"}) as eager:
        cluster = Cluster(eager.bootstrap)
        settings = settings_for(cluster, "absent")

        await topics.describe(settings)
        states = await topics.describe(settings)

        assert all(state.partitions is None for state in states)
        assert "absent" not in cluster.admin.list_topics(timeout=30).topics


async def test_verify_refuses_another_number_of_partitions(cluster: Cluster):
    source = cluster.create_topic(partitions=3)
    cluster.create_topic(f"{source}-ewma", partitions=2)
    letters = cluster.create_topic(partitions=1)
    settings = settings_for(cluster, source, dead_letters__topic=letters, state__durable=False)

    with pytest.raises(TopicError) as refused:
        await topics.verify(settings)

    assert str(refused.value).splitlines() == [
        (
            f"{source}-ewma: has 2 partitions where its input has 3; write another output.topic,"
            " or create it anew with that number"
        ),
        (
            f"{letters}: has 1 partition where an input has 3;"
            f" run: kafka-topics.sh --alter --topic {letters} --partitions 3"
        ),
    ]


async def test_a_dead_letter_topic_may_have_more_partitions_and_is_needed_only_for_dlq(
    cluster: Cluster,
):
    source = cluster.create_topic(partitions=2)
    cluster.create_topic(f"{source}-ewma", partitions=2)
    letters = cluster.create_topic(partitions=4)

    for name, value in (("dead_letters__topic", letters), ("dead_letters__on_error", "skip")):
        settings = settings_for(cluster, source, state__durable=False, **{name: value})
        assert await topics.verify(settings) == {source: 2}


async def test_one_output_for_inputs_of_different_width_is_refused(cluster: Cluster):
    narrow, wide = cluster.create_topic(partitions=1), cluster.create_topic(partitions=2)
    settings = settings_for(
        cluster,
        wide,
        narrow,
        output__topic=f"{wide}-all",
        dead_letters__on_error="skip",
        state__durable=False,
    )

    assert await topics.create(settings, await topics.describe(settings)) == []
    with pytest.raises(TopicError, match="is the output of inputs with 1 and 2 partitions"):
        await topics.verify(settings)


async def test_what_the_broker_refuses_to_create_is_told_in_one_line(cluster: Cluster):
    source = cluster.create_topic()
    settings = settings_for(cluster, source, topics__replication_factor=30)

    with pytest.raises(TopicError, match=rf"^{source}-ewma: not created \(.*30.*\): mend [^\n]*$"):
        await topics.create(settings, await topics.describe(settings))


def test_the_command_plans_then_creates(cluster: Cluster, tmp_path: Path):
    source = cluster.create_topic(partitions=2)
    file = tmp_path / "stream-ewma.yaml"
    file.write_text(
        f"application_id: {source}-app\n"
        f"kafka: {{bootstrap_servers: '{cluster.bootstrap}'}}\n"
        f"input: {{topics: {source}}}\n"
        "smoothing: {alpha: 0.1}\n"
        "topics: {replication_factor: 1, retention: 1h}\n"
    )

    planned = run_command(tmp_path, "topics", "plan")
    created = run_command(tmp_path, "topics", "create")
    again = run_command(tmp_path, "topics", "create")

    assert planned.returncode == created.returncode == again.returncode == 0, planned.stderr
    assert planned.stdout.splitlines() == [
        f"input        {source}: 2 partitions",
        f"output       {source}-ewma: missing, to be made with 2 partitions",
        f"dead letters {source}-app-dlq: missing, to be made with 2 partitions",
        f"changelog    {source}-app-{source}-changelog: missing, to be made with 2 partitions",
        *(
            f"kafka-topics.sh --bootstrap-server {cluster.bootstrap} --create --topic {name}"
            " --partitions 2 --replication-factor 1 --config retention.ms=3600000"
            for name in (f"{source}-ewma", f"{source}-app-dlq")
        ),
        (
            f"kafka-topics.sh --bootstrap-server {cluster.bootstrap} --create"
            f" --topic {source}-app-{source}-changelog --partitions 2 --replication-factor 1"
            " --config cleanup.policy=compact --config delete.retention.ms=86400000"
            " --config segment.bytes=104857600"
            " --config message.timestamp.type=LogAppendTime --config max.message.bytes=1048588"
        ),
    ]
    assert created.stdout.splitlines() == [
        f"{source}-ewma: created, partitions: 2",
        f"{source}-app-dlq: created, partitions: 2",
        f"{source}-app-{source}-changelog: created, partitions: 2",
    ]
    assert again.stdout == "nothing is missing\n"
    assert planned.stderr == created.stderr == again.stderr == ""


def test_no_broker_ends_with_its_exit_code_and_one_line(tmp_path: Path):
    done = run_command(
        tmp_path,
        *("topics", "plan", "--input.topics", "a", "--smoothing.alpha", "0.1"),
        *("--kafka.bootstrap_servers", "127.0.0.1:1", "--kafka.startup_timeout", "1ms"),
    )

    assert done.returncode == 69
    assert done.stderr.startswith("127.0.0.1:1: ")
    assert done.stderr.count("\n") == 1


def test_a_topic_that_is_missing_ends_with_its_exit_code(
    broker: RealBroker | ForeignBroker, tmp_path: Path
):
    done = run_command(
        tmp_path,
        *("topics", "create", "--input.topics", f"absent-{uuid.uuid4().hex}"),
        *("--smoothing.alpha", "0.1", "--kafka.bootstrap_servers", broker.bootstrap),
    )

    assert done.returncode == 73
    assert done.stdout == ""
    assert "the input topic does not exist" in done.stderr
    assert "Traceback" not in done.stderr


def run_command(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {k: v for k, v in os.environ.items() if not k.startswith("STREAM_EWMA_")}
    return subprocess.run(
        [str(COMMAND), *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment,
    )
