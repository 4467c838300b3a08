"""The sections of the settings: one frozen model each, named as in the YAML file.

The text under a field is its help on the command line and in the README's table.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr

from stream_ewma.settings.section import Positive, Section
from stream_ewma.settings.values import (
    Address,
    DurationMs,
    FieldName,
    FieldPath,
    NameList,
    PositiveDurationMs,
    Real,
    Servers,
    Start,
    TextMapping,
    TopicName,
    TopicNames,
    Whole,
    parse_emit,
)
from stream_ewma.smoothing.mode import Emission

_MIB = 1 << 20
Milliseconds = Annotated[Whole, Field(ge=1, le=2**31 - 1)]
Bytes = Annotated[Whole, Field(ge=1, le=2**31 - 1)]


class KafkaSettings(Section):
    """The cluster and how to be admitted to it; Kafka's own names."""

    bootstrap_servers: Servers = "localhost:9092"
    """Brokers to ask first, host:port; a list, or separated by commas."""
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
    values: Annotated[Mapping[FieldName, FieldPath], TextMapping, Field(min_length=1)] | None = None
    """Several numbers of one record by name and path, each a series: {temp: fields.temp, ...}."""
    weight: FieldPath | None = None
    """Dotted path of a reading's own weight; null: all weigh the same."""
    reset: FieldPath | None = None
    """Dotted path of a boolean; true resets the key before this reading. So does a number but 0,
    and text that is not empty."""
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
    on_null: Literal["skip", "hold", "reset", "dlq"] = "skip"
    """What a JSON null does: nothing, repeat the last results, forget the key, or dead letter."""
    on_invalid: Literal["dlq", "skip", "hold", "reset"] = "dlq"
    """The same for what is absent, no number, or not finite."""
    on_tombstone: Literal["reset", "ignore"] = "reset"
    """What a record without value does: forget the key and pass it on, or nothing."""
    on_missing_key: Literal["dlq", "topic-partition"] = "dlq"
    """What a record without key is: a dead letter, or a reading of its partition's one series."""
    max_future_skew: PositiveDurationMs | None = 3_600_000
    """How far event time may lie after the record's own timestamp; null: any."""
    on_future: Literal["reject", "clamp"] = "reject"
    """What becomes of a record further ahead: a dead letter, or the furthest time allowed."""
    max_key_bytes: Bytes = 1024
    """Longest key, in bytes; longer ones are dead letters."""
    max_value_bytes: Bytes = _MIB
    """Longest value, in bytes; longer ones are dead letters."""
    on_gap: Literal["refuse", "accept"] = "refuse"
    """What to do where retention removed records unread: stop, or go on after them."""


class StateSettings(Section):
    """What is kept of each key, and for how long."""

    durable: bool = True
    """Whether the state is kept in a changelog topic; else it is lost when the service ends."""
    max_keys: Positive = 10_000_000
    """Most keys of one partition; records of further keys are dead letters."""
    ttl: PositiveDurationMs | None = None
    """Event time without a reading after which a key is forgotten; null: never."""
    repartition: Literal["refuse", "rebuild"] = "refuse"
    """What to do once an input topic has gained partitions: stop, or read it from its beginning."""
    on_loss: Literal["refuse", "accept"] = "refuse"
    """What to do without the state of a partition that was read before: stop, or begin anew."""
    standbys: Annotated[Whole, Field(ge=0)] = 0
    """Members that keep a warm copy of each partition's state, besides its owner."""


class EmitSettings(Section):
    """Which results of a key are worth a record; event time and state alone decide."""

    interval: PositiveDurationMs | None = None
    """At least so much event time between two."""
    on_change: Annotated[Real, Field(gt=0, allow_inf_nan=False)] | None = None
    """The first ewma has moved so far since the last one."""

    def emission(self) -> Emission:
        """The same for the engine.

        Raises:
            ValueError: not exactly one is written.
        """
        return Emission(interval=self.interval, change=self.on_change)


Emit = BeforeValidator(parse_emit, Literal["every"] | EmitSettings | None)


class OutputSettings(Section):
    """What is published for each reading."""

    topic: TopicName | None = None
    """Topic for the smoothed records; null: the input topic's name with -ewma after it."""
    format: Literal["json", "text", "double"] = "json"
    """Form of a smoothed record's value."""
    shape: Literal["record", "enrich"] = "record"
    """A JSON object of key, timestamp, value and outputs, or the one that came in with outputs."""
    names: Annotated[Mapping[str, FieldName | None], TextMapping] | None = None
    """Other names for fields, null leaves one out: {value: raw, ewma: smooth, key: null}."""
    emit: Annotated[EmitSettings | None, Emit] = None
    """Which results are published: every, {interval: 1s}, or {on_change: 0.1}, for each series."""
    headers: Literal["pass", "drop"] = "pass"
    """Whether the input record's headers are passed on; drop leaves out traceparent, too."""
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
    """How often a record may appear in the output, and when progress is made durable."""

    guarantee: Literal["exactly_once", "at_least_once"] = "exactly_once"
    """Outputs in the transaction of state and position, or at once and perhaps twice."""
    commit_interval: PositiveDurationMs | None = None
    """Time between commits; null: 100ms with exactly_once (outputs are visible then), else 1s."""
    commit_max_records: Positive = 1_000_000
    """Records after which a commit is made before its time."""
    transaction_timeout: Annotated[PositiveDurationMs, Field(ge=1_000, le=900_000)] = 60_000
    """Brokers abort a transaction after this; at most their transaction.max.timeout.ms."""
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
    """Lowest level that is logged."""
    format: Literal["auto", "console", "json"] = "auto"
    """Sentences, or an object a line; auto: sentences on a terminal, else objects."""


class HttpSettings(Section):
    """The live page, the HTTP API, probes and metrics."""

    enabled: bool = True
    """Whether there is an HTTP port at all."""
    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    """Address to listen on; beyond this machine only with a token."""
    port: Annotated[Whole, Field(ge=0, le=65_535)] = 9464
    """Port to listen on; 0: any free one, which the log names."""
    token: SecretStr | None = None
    """Bearer token for the page, /v1 and /config; probes and /metrics stay open."""
    advertised: Address | None = None
    """host:port under which other members reach this one; null: as it listens."""
    hosts: NameList = ()
    """Names besides the address under which browsers may ask, as a reverse proxy's."""
    ui: bool = True
    """Whether there is a live page."""
    query: bool = True
    """Whether keys, partitions and samples can be asked for."""
    metrics: bool = True
    """Whether /metrics is served."""


class TracingSettings(Section):
    """OpenTelemetry; the exporter is configured by its OTEL_* variables."""

    enabled: bool = False
    """Whether there is a span for each set of batches; needs stream-ewma[tracing]."""
