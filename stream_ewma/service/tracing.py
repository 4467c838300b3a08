"""OpenTelemetry spans, one for each step over a set of batches; off by default.

Names are those of the messaging conventions, version 1.44, which are still in development.
Where spans go is said by OpenTelemetry's own variables (OTEL_EXPORTER_OTLP_ENDPOINT and others).
"""

import asyncio
import threading
import time
from importlib import import_module
from typing import Any, Final

from stream_ewma.engine.step import Step
from stream_ewma.errors import SettingsError
from stream_ewma.kafka.partition import Partition
from stream_ewma.settings import Settings

_NS: Final = 1e9
_STOP_S: Final = 2.0


class Tracer:
    """Makes the spans of a member.

    Args:
        settings: the names in them.
        provider: OpenTelemetry's TracerProvider.
    """

    def __init__(self, settings: Settings, provider: Any) -> None:
        self._settings = settings
        self._provider = provider
        self._tracer = provider.get_tracer("stream_ewma")

    def stepped(self, partition: Partition, step: Step, seconds: float) -> None:
        """A step has just ended that took so long."""
        end = time.time_ns()
        span = self._tracer.start_span(
            f"process {partition.topic}",
            start_time=end - round(seconds * _NS),
            attributes={
                "messaging.system": "kafka",
                "messaging.operation.name": "process",
                "messaging.operation.type": "process",
                "messaging.destination.name": partition.topic,
                "messaging.destination.partition.id": str(partition.number),
                "messaging.consumer.group.name": self._settings.application_id,
                "messaging.client.id": self._settings.client_id,
                "messaging.batch.message_count": step.consumed,
                "messaging.kafka.offset": step.next_offset - 1,
                "stream_ewma.emitted": step.emitted,
                "stream_ewma.rejected": sum(step.rejected.values()),
            },
        )
        span.end(end)

    async def stop(self) -> None:
        """Send what is still to be sent, but wait no longer than a collector that answers needs."""
        # A thread that does not keep the process: the exporter tries again for half a minute.
        sending = threading.Thread(target=self._provider.shutdown, daemon=True)
        sending.start()
        until = time.monotonic() + _STOP_S
        while sending.is_alive() and time.monotonic() < until:  # noqa: ASYNC110  a thread's end
            await asyncio.sleep(0.02)


def tracer_of(settings: Settings) -> Tracer | None:
    """The tracer that the settings ask for; None: none.

    Raises:
        SettingsError: OpenTelemetry is not installed.
    """
    if not settings.tracing.enabled:
        return None
    try:
        trace = import_module("opentelemetry.sdk.trace")
        export = import_module("opentelemetry.sdk.trace.export")
        otlp = import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
        resources = import_module("opentelemetry.sdk.resources")
    except ImportError as error:
        line = (
            f"tracing.enabled: {error.name} is not installed; run "
            "pip install 'stream-ewma[tracing]', or write false"
        )
        raise SettingsError([line]) from None
    resource = resources.Resource.create({"service.name": settings.application_id})
    provider = trace.TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(export.BatchSpanProcessor(otlp.OTLPSpanExporter()))
    return Tracer(settings, provider)
