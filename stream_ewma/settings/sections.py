"""The sections of the settings: one frozen model each, named as in the YAML file.

The text under a field is its help on the command line and in the README's table.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from stream_ewma.settings.values import (
    DurationMs,
    FieldPath,
    HalfLifeMs,
    PositiveDurationMs,
    Real,
    Servers,
    Start,
    TextList,
    TopicName,
    TopicNames,
    Whole,
)
from stream_ewma.smoothing.parameters import Factor, KeyRules, Rule

_MIB = 1 << 20
Positive = Annotated[Whole, Field(ge=1)]
Milliseconds = Annotated[Whole, Field(ge=1, le=2**31 - 1)]
Bytes = Annotated[Whole, Field(ge=1, le=2**31 - 1)]


class Section(BaseModel):
    """What all sections share: unknown names are errors, and no error repeats a value."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
        validate_default=False,
    )


class KafkaSettings(Section):
    """The cluster and how to be admitted to it; Kafka's own names."""

    bootstrap_servers: Servers = "localhost:9092"
    """Brokers to ask first, host:port, several separated by commas."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """Encryption and authentication of the listener."""
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    """How name and password are proved; for SASL_PLAINTEXT and SASL_SSL."""
    sasl_username: str | None = None
    """User name for SASL."""
    sasl_password: SecretStr | None = None
    """Password for SASL; keep it in the environment or in a secrets file."""
    ssl_cafile: str | None = None
    """PEM file of the authority that signed the brokers' certificates; null: the system's."""
    ssl_certfile: str | None = None
    """PEM file of this client's certificate, where brokers ask for one."""
    ssl_keyfile: str | None = None
    """PEM file of the certificate's private key."""
    ssl_password: SecretStr | None = None
    """Password of the private key; keep it in the environment or in a secrets file."""
    client_id: str | None = None
    """Name shown in the brokers' logs and quotas; null: application_id."""
    session_timeout_ms: Milliseconds = 10_000
    """Silence after which the group gives this member's partitions to others."""
    heartbeat_interval_ms: Milliseconds = 2_000
    """Time between two signs of life; at most a third of session_timeout_ms."""
    request_timeout_ms: Milliseconds = 15_000
    """Time to wait for a broker's answer to one request."""
    fetch_max_bytes: Bytes = 50 * _MIB
    """Most bytes in one fetch of all partitions."""
    max_partition_fetch_bytes: Bytes = 4 * _MIB
    """Most bytes of one partition in one fetch."""
    fetch_max_wait_ms: Milliseconds = 500
    """Longest wait of a broker that has nothing new to answer."""
    startup_timeout: PositiveDurationMs = 30_000
    """Time for the brokers to answer at the start, before giving up."""


class InputSettings(Section):
    """Where the readings are, and how to read one."""

    topics: Annotated[TopicNames, Field(min_length=1)]
    """Topics to read; one name or a list."""
    start: Start = "earliest"
    """Where to begin in a partition without a committed offset: earliest, latest or a timestamp."""
    isolation_level: Literal["read_committed", "read_uncommitted"] = "read_committed"
    """Whether records of aborted and open transactions are left out."""
    format: Literal["json", "text", "double", "float"] = "json"
    """Form of a record's value; double and float are Kafka's big-endian serializers."""
    value: FieldPath = "value"
    """Dotted path of the number in a JSON object; a bare JSON number needs none."""
    timestamp: FieldPath | None = "timestamp"
    """Dotted path of the event time in a JSON object; null: the record's own timestamp."""
    timestamp_unit: Literal["s", "ms", "us", "ns"] = "ms"
    """Unit of an event time that is a number; RFC 3339 text needs none."""
    timestamp_required: bool = False
    """Whether a value without event time is a dead letter; else the record's timestamp serves."""
    key: FieldPath | None = None
    """Dotted path of the series' key in a JSON object; null: the record's key."""
    copartitioned: bool = False
    """Asserts that the producer partitions by the key found at `key`; required with it."""
    coerce_strings: bool = False
    """Whether a JSON string such as "21.5" counts as a number."""
    on_null: Literal["skip", "hold", "reset"] = "skip"
    """What a JSON null does: nothing, repeat the last smoothed value, or forget the key."""
    on_tombstone: Literal["reset", "ignore"] = "reset"
    """What a record without value does: forget the key and pass it on, or nothing."""
    on_missing_key: Literal["dlq", "topic-partition"] = "dlq"
    """What a record without key is: a dead letter, or a reading of its partition's one series."""
    max_future_skew: PositiveDurationMs | None = 3_600_000
    """How far event time may lie after the record's own timestamp; null: any."""
    max_key_bytes: Bytes = 1024
    """Longest key, in bytes; longer ones are dead letters."""
    max_value_bytes: Bytes = _MIB
    """Longest value, in bytes; longer ones are dead letters."""


class FactorSettings(Section):
    """Exactly one of five ways to say how fast old readings lose weight."""

    alpha: Annotated[Real, Field(gt=0, le=1, allow_inf_nan=False)] | None = None
    """Weight of each new reading."""
    span: Annotated[Real, Field(ge=1, allow_inf_nan=False)] | None = None
    """alpha = 2 / (span + 1), as a moving average over `span` readings."""
    com: Annotated[Real, Field(ge=0, allow_inf_nan=False)] | None = None
    """Centre of mass: alpha = 1 / (com + 1)."""
    half_life_samples: Annotated[Real, Field(gt=0, allow_inf_nan=False)] | None = None
    """Readings after which a weight is halved."""
    half_life: HalfLifeMs | None = None
    """Event time after which a weight is halved, for example 30s."""

    def factor(self) -> Factor:
        """The validated smoothing factor."""
        return Factor(
            alpha=self.alpha,
            span=self.span,
            com=self.com,
            half_life_samples=self.half_life_samples,
            half_life=self.half_life,
        )


class RuleSettings(FactorSettings):
    """Another factor for some keys."""

    keys: Annotated[str, Field(min_length=1)]
    """Glob pattern of the keys: * any text, ? one character, [ab] one of these."""


class SmoothingSettings(FactorSettings):
    """How fast old readings lose weight: exactly one of the first five, and rules by key."""

    rules: Annotated[tuple[RuleSettings, ...], TextList, Field(max_length=65_535)] = ()
    """Other factors by key pattern; the first that matches a key counts."""

    def key_rules(self) -> KeyRules:
        """The factor of every key."""
        return KeyRules(self.factor(), [Rule(rule.keys, rule.factor()) for rule in self.rules])


class StateSettings(Section):
    """Bounds of what is kept in memory."""

    max_keys: Positive = 10_000_000
    """Most keys of one partition; records of further keys are dead letters."""


class OutputSettings(Section):
    """What is published for each reading."""

    topic: TopicName | None = None
    """Topic for the smoothed records; null: the input topic's name with -ewma after it."""
    format: Literal["json", "text", "double"] = "json"
    """Form of a smoothed record's value."""
    headers: Literal["pass", "drop"] = "pass"
    """Whether the input record's headers are passed on."""
    compression_type: Literal["none", "gzip", "snappy", "lz4", "zstd"] = "none"
    """Compression of the batches sent."""
    max_batch_bytes: Annotated[Whole, Field(ge=1024, le=2**31 - 1)] = 900_000
    """Largest batch before compression; stay below the brokers' message.max.bytes."""


class DeadLetterSettings(Section):
    """What becomes of records that cannot be smoothed."""

    topic: TopicName | None = None
    """Topic for them; null: application_id with -dlq after it."""
    on_error: Literal["dlq", "skip", "fail"] = "dlq"
    """Publish them to the topic, only count them, or stop the service."""


class DeliverySettings(Section):
    """When progress is made durable."""

    commit_interval: PositiveDurationMs = 1_000
    """Longest time between two commits of the position."""
    shutdown_timeout: PositiveDurationMs = 20_000
    """Time to finish, publish and commit after SIGTERM."""


class TopicsSettings(Section):
    """How `topics create` makes topics."""

    replication_factor: Annotated[Whole, Field(ge=-1, le=32_767)] = -1
    """Copies of each partition; -1: the brokers' default."""
    min_insync_replicas: Positive | None = None
    """Copies that must have a record before it counts; null: the brokers' default."""
    retention: DurationMs | None = None
    """How long records are kept; null: the brokers' default."""


class LogSettings(Section):
    """What is written to standard error."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Least serious message that is shown."""
