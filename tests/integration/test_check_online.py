"""`stream-ewma check --online` on the real broker: all is well, and what each mistake says."""

from pathlib import Path

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)

from tests.support.broker import PASSWORD, USERNAME, RealBroker, free_ports
from tests.support.cluster import Cluster
from tests.support.job import Job, readings
from tests.support.tools import Application


def secure_settings(broker):
    return {
        "bootstrap_servers": broker.secure_bootstrap,
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_username": USERNAME,
        "sasl_password": PASSWORD,
        "ssl_cafile": str(broker.certificates.authority),
        "startup_timeout": "10s",
    }


@pytest.fixture
def secure(own_broker):
    return secure_settings(own_broker)


def looked(job, folder: Path, code: int, *flags: str) -> list[str]:
    """The lines of the list, behind the three that the settings amount to."""
    ended = Application(job, folder).run("check", "--online", *flags)
    assert ended.returncode == code, ended.stdout + ended.stderr
    assert ended.stderr == ""
    lines = ended.stdout.splitlines()
    assert lines[0].endswith(": ok")
    assert PASSWORD not in ended.stdout
    return lines[3:]


def problems(lines: list[str]) -> list[str]:
    return [line for line in lines if line.startswith("✗")]


def test_all_is_well_and_a_running_member_notices_nothing(make_job, tmp_path):
    job = make_job(partitions=2)
    app = Application(job, tmp_path)
    service = app.start()
    job.produce(readings(100, partitions=2))
    job.outputs(100)
    job.wait_committed({0: 50, 1: 50})

    lines = looked(job, tmp_path, 0)

    address = job.cluster.bootstrap
    at_risk = (
        f"{app.output}, {job.dead}, {app.changelog}: replication factor 1: the guarantees do not"
        " survive the loss of a broker; use replication factor 3, min.insync.replicas 2 and no"
        " unclean leader election"
    )
    assert lines == [
        f"✓ {address}: accepts connections",
        f"✓ {address}: lets this client in (PLAINTEXT)",
        f"✓ {address}: knows all 16 kinds of requests that are needed",
        f"✓ {app.topic}: Read allowed",
        f"✓ {app.output}: Write allowed",
        f"✓ {job.dead}: Write allowed",
        f"✓ {app.changelog}: Read and Write and DescribeConfigs allowed",
        f"✓ {app.topic}: input, 2 partitions",
        f"✓ {app.output}: output, 2 partitions",
        f"✓ {job.dead}: dead letters, 2 partitions",
        f"✓ {app.changelog}: changelog, 2 partitions",
        f"! {at_risk}",
        f"✓ group {app.group}: Read allowed",
        f"✓ group {app.group}: 1 member, stable",
        f"✓ {app.topic}: the group is 0 offsets behind its end",
        f"✓ transactions: allowed and answered (tried as {app.group}-check)",
        "1 warning",
    ]
    log = service.log
    assert log.count(at_risk) == 1
    job.produce(readings(100, partitions=2, first=100))
    job.outputs(200)
    assert service.log == log
    service.stop()
    lines = looked(job, tmp_path, 0)
    assert f"✓ group {app.group}: no members, the service does not run" in lines
    assert looked(job, tmp_path, 1, "--deny-warnings")[-1] == "1 warning"


def test_what_lags_or_was_removed_is_told(make_job, tmp_path):
    job = make_job(partitions=2)
    job.produce(readings(100, partitions=2))
    text = f"✓ {job.topic}: the group has read nothing of it yet; it holds 100 offsets"
    assert text in looked(job, tmp_path, 0)
    job.cluster.commit(job.group, job.topic, {0: 20, 1: 50})
    assert f"✓ {job.topic}: the group is 30 offsets behind its end" in looked(job, tmp_path, 0)
    job.cluster.delete_records(job.topic, {0: 30})

    (line,) = problems(looked(job, tmp_path, 1))

    assert line.startswith(f"✗ {job.topic}-0: the group stands at 20, where the topic has 30 to 50")


def test_topics_that_are_missing_or_do_not_fit_are_told_each(make_job, tmp_path):
    job = make_job(partitions=2)
    app = Application(job, tmp_path)
    job.cluster.delete_topic(job.dead)
    job.cluster.configure_topic(app.changelog, cleanup_policy="delete")

    ended = app.run("check", "--online")

    assert ended.returncode == 1
    lines = problems(ended.stdout.splitlines())
    mend = f"kafka-configs.sh --alter --topic {app.changelog} --add-config cleanup.policy=compact"
    assert lines == [
        f"✗ {job.dead}: the topic for dead letters does not exist; run: stream-ewma topics create",
        f"✗ {app.changelog}: its cleanup.policy is delete, which deletes state; run: {mend}",
    ]
    assert ended.stdout.endswith("2 problems, 1 warning\n")


def test_what_keeps_no_state_has_nothing_to_lose(make_job, tmp_path):
    job = make_job(settings={"state": {"durable": False}})

    assert looked(job, tmp_path, 0)[-1] == "all is well"

    service = job.start()
    assert "replication factor" not in service.log
    service.stop()


def test_tls_and_login_are_ticked_off(make_job, secure, tmp_path):
    job = make_job(settings={"kafka": secure})

    lines = looked(job, tmp_path, 0)

    address = secure["bootstrap_servers"]
    assert lines[0].startswith("✓ localhost: is ")
    assert lines[1] == f"✓ {address}: accepts connections"
    assert lines[2].startswith(f"✓ {address}: its certificate is verified and good for ")
    assert lines[3] == f"✓ {address}: lets {USERNAME} in by SCRAM-SHA-512"
    (unknown,) = (line for line in lines if line.startswith("?"))
    assert f"allow Write on all that begin with {job.group}-" in unknown


@pytest.mark.parametrize(
    ("change", "code", "steps", "words"),
    [
        ({"sasl_password": "guess"}, 77, 3, "authentication failed"),
        ({"sasl_username": "nobody"}, 77, 3, "authentication failed"),
        ({"ssl_cafile": "stranger"}, 77, 2, "is not signed by"),
        ({"bootstrap_servers": "wrong name"}, 77, 1, "is for another host"),
        ({"bootstrap_servers": "nobody.invalid:9092"}, 69, 0, "cannot be resolved"),
        ({"bootstrap_servers": "closed"}, 69, 0, "no broker answers"),
        ({"security_protocol": "PLAINTEXT"}, 69, 2, "security_protocol"),
    ],
)
def test_the_way_to_the_broker_ends_where_it_is_wrong(
    make_job, secure, own_broker, tmp_path, change, code, steps, words
):
    real = {
        "stranger": str(own_broker.certificates.stranger),
        "wrong name": own_broker.wrong_name_bootstrap,
        "closed": f"127.0.0.1:{free_ports(1)[0]}",
    }
    changed = {name: real.get(text, text) for name, text in change.items()}
    if "security_protocol" in change:
        secure = {"bootstrap_servers": secure["bootstrap_servers"], "startup_timeout": "3s"}
    job = make_job(settings={"kafka": {**secure, **changed}})

    *lines, last, end = looked(job, tmp_path, code)

    assert end == "no broker lets this client in: nothing more can be looked at"
    assert last.startswith("✗ ")
    assert words in last
    assert len(lines) == steps
    assert all(line.startswith("✓ ") for line in lines)
    assert "guess" not in last


def test_one_server_of_two_is_a_finding_and_the_rest_is_looked_at(make_job, cluster, tmp_path):
    closed = f"127.0.0.1:{free_ports(1)[0]}"
    servers = f"{closed},{cluster.bootstrap}"
    job = make_job(settings={"kafka": {"bootstrap_servers": servers}})

    lines = looked(job, tmp_path, 1)

    assert [line.startswith(f"✗ {closed}: no broker answers") for line in problems(lines)] == [True]
    assert lines[-2].startswith("✓ transactions")
    assert lines[-1] == "1 problem, 1 warning"


def test_a_broker_that_hangs_is_given_up(make_job, own_broker, tmp_path):
    job = make_job(
        settings={
            "kafka": {
                "bootstrap_servers": own_broker.bootstrap,
                "startup_timeout": "2s",
            }
        }
    )
    app = Application(job, tmp_path)
    own_broker.pause()
    try:
        ended = app.run("check", "--online")
    finally:
        own_broker.resume()

    assert ended.returncode == 69
    assert "no broker answers" in ended.stdout


@pytest.fixture(scope="module")
def guarded():
    """A broker that allows a user nothing but what it was told to; without login, everything."""
    with RealBroker(
        secure=True,
        settings={
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
        },
    ) as broker:
        yield broker


def allow(cluster, kind, name, *operations, pattern=ResourcePatternType.LITERAL):
    bindings = [
        AclBinding(kind, name, pattern, f"User:{USERNAME}", "*", operation, AclPermissionType.ALLOW)
        for operation in operations
    ]
    for done in cluster.admin.create_acls(bindings).values():
        done.result(30)


def test_every_permission_that_is_missing_is_named_with_its_command(guarded, tmp_path):
    cluster = Cluster(guarded.bootstrap)
    job = Job(cluster, tmp_path, settings={"kafka": secure_settings(guarded)})
    topic, group = ResourceType.TOPIC, ResourceType.GROUP
    allow(cluster, topic, job.topic, AclOperation.DESCRIBE)
    allow(cluster, topic, job.output, AclOperation.WRITE)
    allow(cluster, topic, job.changelog, AclOperation.READ, AclOperation.DESCRIBE_CONFIGS)

    lines = problems(looked(job, tmp_path, 1))

    add = f"run: kafka-acls.sh --add --allow-principal User:{USERNAME}"
    assert lines == [
        f"✗ {job.topic}: Read not allowed; {add} --operation Read --topic {job.topic}",
        f"✗ {job.dead}: Write not allowed; {add} --operation Write --topic {job.dead}",
        f"✗ {job.changelog}: Write not allowed; {add} --operation Write --topic {job.changelog}",
        f"✗ group {job.group}: Read not allowed; {add} --operation Read --group {job.group}",
        lines[-1],
    ]
    assert "allow the user WRITE on the transactional ids that begin" in lines[-1]

    allow(cluster, topic, job.topic, AclOperation.READ)
    allow(cluster, topic, job.dead, AclOperation.WRITE)
    allow(cluster, topic, job.changelog, AclOperation.WRITE)
    allow(cluster, group, job.group, AclOperation.READ)
    allow(
        cluster,
        ResourceType.TRANSACTIONAL_ID,
        job.group,
        AclOperation.WRITE,
        pattern=ResourcePatternType.PREFIXED,
    )
    assert problems(looked(job, tmp_path, 0)) == []

    job.produce(readings(1))
    service = job.start()  # with these permissions, and no more
    job.outputs(1)
    service.stop()
