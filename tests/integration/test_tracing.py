"""Spans as a collector receives them, and the trace that a record carries."""

import http.server
import threading

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support.job import readings

TRACEPARENT = ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")


class Collector(http.server.BaseHTTPRequestHandler):
    """Takes spans as an OpenTelemetry collector does."""

    requests: list[bytes]

    def do_POST(self) -> None:
        self.requests.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_arguments: object) -> None: ...


@pytest.fixture
def collector():
    handler = type("Own", (Collector,), {"requests": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", handler.requests
        server.shutdown()
        thread.join()


def spans(requests: list[bytes]):
    for request in requests:
        for resource in ExportTraceServiceRequest.FromString(request).resource_spans:
            for scope in resource.scope_spans:
                yield from scope.spans


def attributes(span) -> dict[str, object]:
    return {
        each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes
    }


def test_a_step_is_a_span_with_the_names_of_the_conventions(make_job, collector, monkeypatch):
    address, requests = collector
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
    job = make_job(settings={"tracing": {"enabled": True}})
    job.produce(readings(100))
    service = job.start()
    job.outputs(100)
    service.stop()

    found = list(spans(requests))
    assert {span.name for span in found} == {f"process {job.topic}"}
    assert sum(attributes(span)["messaging.batch.message_count"] for span in found) == 100
    assert attributes(found[0]) | {"messaging.batch.message_count": 0} == {
        "messaging.system": "kafka",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": job.topic,
        "messaging.destination.partition.id": "0",
        "messaging.consumer.group.name": job.group,
        "messaging.client.id": job.group,
        "messaging.batch.message_count": 0,
        "messaging.kafka.offset": attributes(found[0])["messaging.kafka.offset"],
        "stream_ewma.emitted": attributes(found[0])["stream_ewma.emitted"],
        "stream_ewma.rejected": 0,
    }
    assert all(span.start_time_unix_nano <= span.end_time_unix_nano for span in found)


def test_without_a_word_there_are_no_spans_and_a_trace_passes_through(
    make_job, collector, monkeypatch
):
    address, requests = collector
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
    job = make_job()
    (one,) = readings(1)
    job.produce([type(one)(one.key, one.value, one.timestamp, (TRACEPARENT,))])
    service = job.start()
    (out,) = job.outputs(1)
    service.stop()

    assert out.headers == (TRACEPARENT,)
    assert requests == []
