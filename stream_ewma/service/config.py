"""From settings to what the engine takes: plain values, no settings beyond this point."""

from stream_ewma.engine.config import TaskConfig
from stream_ewma.engine.sessions import DailySessions
from stream_ewma.payloads import decoder, encoder
from stream_ewma.payloads.columns import ReadingOptions, WritingOptions
from stream_ewma.records.compression import Compression
from stream_ewma.settings import Settings
from stream_ewma.settings.fields import field_names


def task_config(settings: Settings) -> TaskConfig:
    """What every partition's task has in common."""
    read = settings.input
    smoothing, write = settings.smoothing, settings.output
    names = field_names(read, smoothing, write)
    outputs = smoothing.output_list()
    columns = tuple(output.name for output in outputs)
    options = ReadingOptions(
        value_paths=(read.value,) if read.values is None else tuple(read.values.values()),
        weight_path=read.weight,
        reset_path=read.reset,
        reserved_names=tuple(names.of_outputs(columns)) if write.shape == "enrich" else (),
        timestamp_path=read.timestamp,
        key_path=read.key,
        timestamp_unit=read.timestamp_unit,
        timestamp_required=read.timestamp_required,
        coerce_strings=read.coerce_strings,
        max_value_bytes=read.max_value_bytes,
    )
    return TaskConfig(
        decoder=decoder(read.format, options),
        encoder=encoder(
            write.format, WritingOptions(write.shape, names.key, names.timestamp, names.values)
        ),
        rules=smoothing.key_rules(),
        mode=smoothing.mode(
            None if write.emit is None else write.emit.emission(), weighted=read.weight is not None
        ),
        outputs=outputs,
        fields=names.series,
        names=names.outputs,
        sessions=None if smoothing.reset_daily is None else DailySessions(*smoothing.reset_daily),
        stale_after_ms=smoothing.stale_after,
        durable=settings.state.durable,
        max_keys=settings.state.max_keys,
        max_key_bytes=read.max_key_bytes,
        max_future_skew_ms=read.max_future_skew,
        on_future=read.on_future,
        on_null=read.on_null,
        on_invalid=read.on_invalid,
        on_late="dlq" if smoothing.late == "dlq" else "drop",
        on_tombstone=read.on_tombstone,
        on_missing_key=read.on_missing_key,
        on_error=settings.dead_letters.on_error,
        enriches=write.shape == "enrich",
        pass_headers=write.headers == "pass",
        max_batch_bytes=write.max_batch_bytes,
        compression=Compression(write.compression_type),
        factor_names=tuple(smoothing.named),
    )
