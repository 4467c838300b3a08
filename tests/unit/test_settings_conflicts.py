"""Settings that contradict each other, or that would do nothing."""

from pathlib import Path

import pytest

from tests.support.given import load, problems


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_two_factors_exclude_each_other():
    assert problems({"smoothing.span": 9}) == [
        "command line: --smoothing: has alpha and span, which exclude each other; keep one"
    ]


def test_a_factor_is_required_also_of_a_rule():
    (line,) = problems({"smoothing.rules": [{"keys": "a"}]})

    assert line.startswith("command line: --smoothing.rules.0: does not say how fast")
    (line,) = problems({"smoothing.rules": [{"keys": "a", "span": 2, "com": 3}]})
    assert "smoothing.rules.0: has span and com, which exclude" in line


def test_a_factor_of_null_is_none_at_all():
    (line,) = problems({"smoothing.alpha": "null"})

    assert "write one of alpha: 0.2 | span: 9" in line


@pytest.mark.parametrize(
    ("values", "name", "said"),
    [
        ({"kafka.heartbeat_interval_ms": 4000}, "kafka.heartbeat_interval_ms", "write 3333 or"),
        ({"kafka.session_timeout_ms": 5999}, "kafka.heartbeat_interval_ms", "write 1999 or less"),
        ({"state.durable": "false", "state.standbys": 1}, "state.standbys", "no state to copy"),
        ({"input.key": "id"}, "input.key", "right only if the producer partitions by it"),
        ({"input.key": "id", "input.copartitioned": "true",
          "input.on_missing_key": "topic-partition"}, "input.on_missing_key", "write dlq"),
        ({"input.format": "text", "input.value": "v"}, "input.value", "does nothing with format"),
        ({"input.format": "double", "input.key": "k", "input.copartitioned": "true"}, "input.key",
         "does nothing with format double"),
        ({"input.format": "float", "input.timestamp": "t"}, "input.timestamp", "format: json"),
        ({"input.format": "float", "input.timestamp_required": "true"},
         "input.timestamp_required", "does nothing"),
        ({"input.format": "text", "input.coerce_strings": "true"}, "input.coerce_strings",
         "does nothing"),
        ({"output.topic": "readings"}, "output.topic", "is an input topic too"),
        ({"input.topics": "a,a-ewma"}, "output.topic", "'a-ewma' (for a) is an input topic too"),
        ({"dead_letters.topic": "readings"}, "dead_letters.topic", "is an input topic too"),
        ({"dead_letters.topic": "readings-ewma"}, "dead_letters.topic", "is an output topic too"),
        ({"topics.replication_factor": 2, "topics.min_insync_replicas": 3},
         "topics.min_insync_replicas", "write 2 or less"),
        ({"delivery.transaction_timeout": "14s"}, "delivery.transaction_timeout",
         "write 15000ms or more"),
        ({"delivery.commit_interval": "31s"}, "delivery.commit_interval", "write 30000ms or less"),
        ({"application_id": "a", "input.topics": "b,a-b-changelog"}, "application_id",
         "'a-b-changelog' keeps the state of b and has another role too"),
        ({"application_id": "a" * 140, "input.topics": "b" * 100}, "application_id",
         "is longer than Kafka allows (249)"),
        ({"kafka.sasl_username": "me"}, "kafka.sasl_username", "does nothing with security_proto"),
        ({"kafka.ssl_cafile": "/etc/hosts"}, "kafka.ssl_cafile", "write security_protocol: SSL"),
        ({"kafka.security_protocol": "SSL", "kafka.ssl_cafile": "no-such.pem"},
         "kafka.ssl_cafile", "cannot be read (No such file or directory)"),
        ({"kafka.security_protocol": "SSL", "kafka.ssl_keyfile": "/etc/hosts"},
         "kafka.ssl_keyfile", "write ssl_certfile too"),
    ],
)  # fmt: skip
def test_contradictions_are_refused(values: dict[str, object], name: str, said: str):
    (line,) = problems(values)

    assert line.startswith(f"command line: --{name}: ")
    assert said in line


@pytest.mark.parametrize(
    "values",
    [
        {"kafka.heartbeat_interval_ms": 3333},
        {"input.key": "id", "input.copartitioned": "true"},
        {"input.format": "double"},
        {"input.format": "double", "input.timestamp": "null"},
        {"input.topics": "a,b", "output.topic": "c"},
        {"topics.replication_factor": -1, "topics.min_insync_replicas": 3},
        {"topics.replication_factor": 3, "topics.min_insync_replicas": 3},
        {"kafka.security_protocol": "SSL"},
        {"kafka.security_protocol": "SSL", "kafka.ssl_cafile": "/etc/hosts"},
    ],
)
def test_what_does_not_contradict_is_accepted(values: dict[str, object]):
    load(values)


def test_sasl_asks_for_everything_it_needs_at_once():
    lines = problems({"kafka.security_protocol": "SASL_SSL"})

    assert [line.split(": ")[1] for line in lines] == [
        "--kafka.sasl_mechanism",
        "--kafka.sasl_username",
        "--kafka.sasl_password",
    ]
    assert "STREAM_EWMA_KAFKA__SASL_PASSWORD" in lines[2]


def test_contradictions_are_told_together_with_wrong_values():
    lines = problems(
        {"input.max_key_bytes": "x", "input.key": "id", "kafka.heartbeat_interval_ms": 9000}
    )

    assert [line.split(": ")[1] for line in lines] == [
        "--input.max_key_bytes",
        "--kafka.heartbeat_interval_ms",
        "--input.key",
    ]


def test_a_contradiction_that_rests_on_a_wrong_value_is_not_told():
    assert (
        len(problems({"kafka.session_timeout_ms": "x", "kafka.heartbeat_interval_ms": 9000})) == 1
    )
    assert len(problems({"smoothing.alpha": "7"})) == 1
