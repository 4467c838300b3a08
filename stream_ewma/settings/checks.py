"""What single values cannot show: settings that contradict each other or that would do nothing."""

from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from stream_ewma.settings.sections import (
    DeliverySettings,
    HttpSettings,
    InputSettings,
    KafkaSettings,
    StateSettings,
    TopicsSettings,
)

_LONGEST_TOPIC_NAME = 249
_LEAST_TOKEN = 16

CONFLICT = "conflict"
"""Type of the pydantic errors raised here; their context names the other fields involved."""


class Conflict(NamedTuple):
    """One contradiction.

    Attributes:
        field: dotted name of the setting to change.
        message: what is wrong and what to write.
        others: dotted names of the other settings that the message rests on.
    """

    field: str
    message: str
    others: tuple[str, ...] = ()


def refuse(*conflicts: Conflict) -> None:
    """Raise all `conflicts` as one error, as pydantic wants it from a validator.

    Raises:
        ValidationError: there is at least one.
    """
    if conflicts:
        raise ValidationError.from_exception_data(
            "Settings", [_as_error(conflict) for conflict in conflicts], hide_input=True
        )


def _as_error(conflict: Conflict) -> InitErrorDetails:
    error = PydanticCustomError(CONFLICT, "{message}", conflict._asdict())
    return InitErrorDetails(type=error, loc=tuple(conflict.field.split(".")), input=None)


def kafka(section: KafkaSettings) -> Iterator[Conflict]:
    """Timeouts that do not fit, and security settings that are missing or idle."""
    if section.heartbeat_interval_ms * 3 > section.session_timeout_ms:
        yield Conflict(
            "kafka.heartbeat_interval_ms",
            f"{section.heartbeat_interval_ms} is more than a third of session_timeout_ms"
            f" ({section.session_timeout_ms}), so one lost heartbeat could end the membership;"
            f" write {max(1, section.session_timeout_ms // 3)} or less",
            ("kafka.session_timeout_ms",),
        )
    yield from _sasl(section)
    yield from _ssl(section)


def delivery(section: DeliverySettings, kafka: KafkaSettings) -> Iterator[Conflict]:
    """Times within which a transaction cannot be brought to its end."""
    if section.transaction_timeout < kafka.request_timeout_ms:
        yield Conflict(
            "delivery.transaction_timeout",
            f"{section.transaction_timeout}ms is less than kafka.request_timeout_ms"
            f" ({kafka.request_timeout_ms}), so the brokers could give a transaction up while one"
            f" request of it waits for its answer; write {kafka.request_timeout_ms}ms or more",
            ("kafka.request_timeout_ms",),
        )
    interval = section.commit_interval
    if interval is not None and interval * 2 > section.transaction_timeout:
        yield Conflict(
            "delivery.commit_interval",
            f"{interval}ms is more than half of transaction_timeout"
            f" ({section.transaction_timeout}ms), so the brokers would give the transactions up;"
            f" write {section.transaction_timeout // 2}ms or less",
            ("delivery.transaction_timeout",),
        )


def state(section: StateSettings) -> Iterator[Conflict]:
    """Copies of what is not kept."""
    if section.standbys and not section.durable:
        yield Conflict(
            "state.standbys",
            "does nothing with durable: false, which keeps no state to copy; leave it out",
            ("state.durable",),
        )


def _sasl(kafka: KafkaSettings) -> Iterator[Conflict]:
    protocol = kafka.security_protocol
    needed = {
        "sasl_mechanism": "write PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512",
        "sasl_username": "write the user's name",
        "sasl_password": "set STREAM_EWMA_KAFKA__SASL_PASSWORD or a secrets file of that name",
    }
    for name, advice in needed.items():
        given = bool(getattr(kafka, name))
        if protocol.startswith("SASL_") and not given:
            yield Conflict(
                f"kafka.{name}",
                f"is missing, security_protocol {protocol} needs it; {advice}",
                ("kafka.security_protocol",),
            )
        if given and not protocol.startswith("SASL_"):
            yield Conflict(
                f"kafka.{name}",
                f"does nothing with security_protocol {protocol}; leave it out,"
                " or write security_protocol: SASL_SSL or SASL_PLAINTEXT",
                ("kafka.security_protocol",),
            )


def _ssl(kafka: KafkaSettings) -> Iterator[Conflict]:
    for name in ("ssl_cafile", "ssl_certfile", "ssl_keyfile", "ssl_password"):
        value = getattr(kafka, name)
        if value is None:
            continue
        if not kafka.security_protocol.endswith("SSL"):
            yield Conflict(
                f"kafka.{name}",
                f"does nothing with security_protocol {kafka.security_protocol}; leave it out,"
                " or write security_protocol: SSL or SASL_SSL",
                ("kafka.security_protocol",),
            )
        elif name.endswith("file") and (reason := _unreadable(value)):
            yield Conflict(f"kafka.{name}", f"{reason}; write the path of a PEM file")
    if kafka.ssl_keyfile is not None and kafka.ssl_certfile is None:
        yield Conflict(
            "kafka.ssl_keyfile",
            "does nothing without a certificate; write ssl_certfile too",
            ("kafka.ssl_certfile",),
        )


def _unreadable(name: str) -> str | None:
    try:
        with Path(name).open("rb"):
            return None
    except OSError as error:
        return f"'{name}' cannot be read ({error.strerror})"


def input_(section: InputSettings) -> Iterator[Conflict]:
    """A key path without its promise, and paths into values that have no fields."""
    if section.key is not None and not section.copartitioned:
        yield Conflict(
            "input.key",
            f"'{section.key}': a key from the payload is right only if the producer partitions by"
            " it, else readings of one key arrive in several partitions and are smoothed apart;"
            " if it does, write copartitioned: true, else leave key out",
            ("input.copartitioned",),
        )
    if section.key is not None and section.on_missing_key == "topic-partition":
        yield Conflict(
            "input.on_missing_key",
            "a value without the field named by input.key has no series: write dlq, or leave key"
            " out",
        )
    if section.values is not None and section.value != "value":
        yield Conflict(
            "input.value", "is there beside input.values; keep one of them", ("input.values",)
        )
    if section.format == "json":
        return
    # Named only where they differ from the defaults: a file that lists every setting may be
    # given another format by a flag.
    given = {
        "value": section.value != "value",
        "values": section.values is not None,
        "weight": section.weight is not None,
        "reset": section.reset is not None,
        "timestamp": section.timestamp not in (None, "timestamp"),
        "timestamp_required": section.timestamp_required,
        "key": section.key is not None,
        "coerce_strings": section.coerce_strings,
    }
    for name in (name for name, is_given in given.items() if is_given):
        yield Conflict(
            f"input.{name}",
            f"does nothing with format {section.format}, which has no fields;"
            " leave it out, or write format: json",
            ("input.format",),
        )


def topic_names(
    outputs: Mapping[str, str], dead_letters: str, changelogs: Mapping[str, str]
) -> Iterator[Conflict]:
    """Topics in two roles.

    Args:
        outputs: the output topic of each input topic.
        dead_letters: the dead-letter topic.
        changelogs: the changelog topic of each input topic.
    """
    for topic, output in outputs.items():
        if output in outputs:
            yield Conflict(
                "output.topic",
                f"'{output}' (for {topic}) is an input topic too, so the service would read its"
                " own output for ever; write another name",
                ("input.topics",),
            )
    if dead_letters in outputs or dead_letters in outputs.values():
        role = "an input" if dead_letters in outputs else "an output"
        yield Conflict(
            "dead_letters.topic",
            f"'{dead_letters}' is {role} topic too; write another name",
            ("input.topics", "output.topic", "application_id"),
        )
    taken = {*outputs, *outputs.values(), dead_letters}
    for topic, changelog in changelogs.items():
        if changelog in taken:
            yield Conflict(
                "application_id",
                f"'{changelog}' keeps the state of {topic} and has another role too;"
                " write another application_id",
                ("input.topics", "output.topic", "dead_letters.topic"),
            )
        elif len(changelog) > _LONGEST_TOPIC_NAME:
            yield Conflict(
                "application_id",
                f"'{changelog}', which keeps the state of {topic}, is longer than Kafka allows"
                f" ({_LONGEST_TOPIC_NAME}); write a shorter application_id",
                ("input.topics",),
            )


def new_topics(section: TopicsSettings) -> Iterator[Conflict]:
    """More copies in sync than there are."""
    minimum, copies = section.min_insync_replicas, section.replication_factor
    if minimum is not None and 0 < copies < minimum:
        yield Conflict(
            "topics.min_insync_replicas",
            f"{minimum} is more than replication_factor ({copies}), so nothing could be written;"
            f" write {copies} or less",
            ("topics.replication_factor",),
        )


def http(section: HttpSettings) -> Iterator[Conflict]:
    """What would show readings to everybody."""
    if section.enabled and section.token is None and not is_loopback(section.host):
        yield Conflict(
            "http.token",
            f"is missing: http.host {section.host} can be reached from other machines; write a "
            f"token of {_LEAST_TOKEN} characters or more, or 127.0.0.1 as the host",
            ("http.host",),
        )
    if section.token is not None and len(section.token.get_secret_value()) < _LEAST_TOKEN:
        yield Conflict(
            "http.token", f"is shorter than {_LEAST_TOKEN} characters; write a longer one", ()
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach it."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
