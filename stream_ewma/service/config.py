"""From settings to what the engine takes: plain values, no settings beyond this point."""

from stream_ewma.engine.config import TaskConfig
from stream_ewma.payloads import decoder, encoder
from stream_ewma.payloads.columns import ReadingOptions
from stream_ewma.records.compression import Compression
from stream_ewma.settings import Settings


def task_config(settings: Settings) -> TaskConfig:
    """What every partition's task has in common."""
    read = settings.input
    options = ReadingOptions(
        value_paths=(read.value,),
        timestamp_path=read.timestamp,
        key_path=read.key,
        timestamp_unit=read.timestamp_unit,
        timestamp_required=read.timestamp_required,
        coerce_strings=read.coerce_strings,
        max_value_bytes=read.max_value_bytes,
    )
    return TaskConfig(
        decoder=decoder(read.format, options),
        encoder=encoder(settings.output.format),
        rules=settings.smoothing.key_rules(),
        max_keys=settings.state.max_keys,
        max_key_bytes=read.max_key_bytes,
        max_future_skew_ms=read.max_future_skew,
        on_null=read.on_null,
        on_tombstone=read.on_tombstone,
        on_missing_key=read.on_missing_key,
        on_error=settings.dead_letters.on_error,
        pass_headers=settings.output.headers == "pass",
        max_batch_bytes=settings.output.max_batch_bytes,
        compression=Compression(settings.output.compression_type),
    )
