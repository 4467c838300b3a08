"""What every partition's task has in common, as plain values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from stream_ewma.engine.sessions import DailySessions
from stream_ewma.payloads.columns import Decoder, Encoder
from stream_ewma.records.compression import Compression
from stream_ewma.smoothing.mode import Mode
from stream_ewma.smoothing.outputs import DEFAULT_OUTPUTS, Output, column_name
from stream_ewma.smoothing.parameters import KeyRules
from stream_ewma.smoothing.plan import Plan

MS_PER_SECOND = 1000.0


@dataclass(frozen=True, slots=True)
class TaskConfig:
    """What every partition of the service has in common.

    Attributes:
        decoder: reads the record values.
        encoder: writes the output values.
        rules: which factors a series gets.
        mode: how readings are smoothed, besides how fast; times are milliseconds.
        outputs: what is read off each series, by its name in the output record.
        fields: names of the values in a record; each is a series of its own. One value has no name.
        names: other names of outputs, by their own.
        sessions: when keys are forgotten by the calendar; with `mode.sessions`.
        stale_after_ms: silence, in event time, after which a key is reported; with `mode.stale`.
        ttl_ms: a key whose last reading lies so far back in event time is forgotten; None: never.
        max_keys: keys one partition may hold.
        max_key_bytes: longer keys are refused.
        max_future_skew_ms: how far event time may be ahead of the record's timestamp; None: any.
        on_future: what becomes of a record that is further ahead.
        on_null: what a JSON null does to its series.
        on_invalid: what something else than a finite number does to its key.
        on_late: what becomes of a reading that the mode refuses as late.
        on_tombstone: what a null record value does to its key.
        on_missing_key: dead-letter the record, or smooth all such records as one series.
        on_error: what becomes of a record that cannot be smoothed.
        enriches: the encoder wants the values that came in.
        pass_headers: copy the input record's headers to the output record.
        max_batch_bytes: output batches are cut at this size, uncompressed.
        compression: codec of the output batches.
        durable: note which keys change, so that `PartitionTask.cut` can write them.
        factor_names: names of the factors of each key; none: their numbers.
        plan: factors, mode and outputs together.
    """

    decoder: Decoder
    encoder: Encoder
    rules: KeyRules
    mode: Mode = field(default_factory=Mode)
    outputs: Sequence[Output] = DEFAULT_OUTPUTS
    fields: tuple[str, ...] = ("",)
    names: Mapping[str, str] = field(default_factory=dict)
    sessions: DailySessions | None = None
    stale_after_ms: int | None = None
    ttl_ms: int | None = None
    max_keys: int = 10_000_000
    max_key_bytes: int = 1024
    max_future_skew_ms: int | None = None
    on_future: Literal["reject", "clamp"] = "reject"
    on_null: Literal["skip", "hold", "reset", "dlq"] = "skip"
    on_invalid: Literal["skip", "hold", "reset", "dlq"] = "dlq"
    on_late: Literal["drop", "dlq"] = "drop"
    on_tombstone: Literal["reset", "ignore"] = "reset"
    on_missing_key: Literal["dlq", "topic-partition"] = "dlq"
    on_error: Literal["dlq", "skip", "fail"] = "dlq"
    enriches: bool = False
    pass_headers: bool = True
    max_batch_bytes: int = 900_000
    compression: Compression = Compression.NONE
    durable: bool = False
    factor_names: tuple[str, ...] = ()
    plan: Plan = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        plan = Plan(
            sets=self.rules.factors,
            mode=replace(self.mode, expires=self.ttl_ms is not None),
            outputs=tuple(self.outputs),
            time_unit=MS_PER_SECOND,
        )
        object.__setattr__(self, "plan", plan)

    def column_name(self, field_name: str, output: str) -> str:
        """The name of an output of one of the values in the output record."""
        own = column_name(field_name, output)
        return self.names.get(own, own)
