"""What Prometheus is told, read off the counters when it asks."""

import hashlib
import platform
from collections.abc import Iterable, Iterator
from importlib.metadata import version

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from stream_ewma.service.distributions import Distribution
from stream_ewma.service.overview import Overview, PartitionStatus, Phase
from stream_ewma.settings import Settings

_PARTITION = ("topic", "partition")


def registry_of(overview: Overview) -> CollectorRegistry:
    """A registry of the member's own, with the usual metrics of its process."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Metrics(overview))
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


def config_hash(settings: Settings) -> str:
    """The same for two members with the same settings; tells nothing of them."""
    return hashlib.sha256(settings.model_dump_json().encode()).hexdigest()[:12]


def versions() -> dict[str, str]:
    """What runs."""
    return {
        "version": version("stream-ewma"),
        "python": platform.python_version(),
        "aiokafka": version("aiokafka"),
    }


class _Metrics(Collector):
    def __init__(self, overview: Overview) -> None:
        self._overview = overview
        self._versions = versions()
        self._config_hash = config_hash(overview.settings)

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        yield from self._records()
        yield from self._delivery()
        yield from self._partitions(self._overview.status())
        yield from self._state()
        yield from self._member()

    # -- records ------------------------------------------------------------------------------

    def _records(self) -> Iterator[Metric]:
        counters, settings = self._overview.counters, self._overview.settings
        consumed = _counter(
            "records_consumed", "Input records whose results are committed.", _PARTITION
        )
        consumed_bytes = _counter("consumed_bytes", "Bytes of their record batches.", ["topic"])
        published = _counter("records_published", "Smoothed records published.", ["topic"])
        rejected = _counter(
            "records_rejected", "Records that could not be smoothed.", ["topic", "reason"]
        )
        skipped = _counter("records_skipped", "Records left out on purpose.", ["topic", "reason"])
        noted = _counter(
            "records_noted",
            "Readings absorbed with a remark, keys gone silent or expired.",
            ["topic", "reason"],
        )
        letters = _counter("dead_letters_published", "Dead letters published.", ["topic"])
        for partition, tally in sorted(counters.partitions.items()):
            consumed.add_metric([partition.topic, str(partition.number)], tally.consumed)
        for topic in settings.input.topics:
            tallies = [t for p, t in counters.partitions.items() if p.topic == topic]
            consumed_bytes.add_metric([topic], sum(tally.consumed_bytes for tally in tallies))
            for metric, name in ((rejected, "rejected"), (skipped, "skipped"), (noted, "noted")):
                causes = sorted({cause for tally in tallies for cause in getattr(tally, name)})
                for cause in causes:
                    count = sum(getattr(tally, name)[cause] for tally in tallies)
                    metric.add_metric([topic, cause], count)
        for topic in sorted({settings.output_topic(topic) for topic in settings.input.topics}):
            emitted = sum(
                tally.emitted
                for partition, tally in counters.partitions.items()
                if settings.output_topic(partition.topic) == topic
            )
            published.add_metric([topic], emitted)
        if settings.dead_letters.on_error == "dlq":
            letters.add_metric([settings.dead_letter_topic], counters.total.rejected.total())
        yield from (consumed, consumed_bytes, published, rejected, skipped, noted, letters)

    # -- delivery -----------------------------------------------------------------------------

    def _delivery(self) -> Iterator[Metric]:
        counters = self._overview.counters
        commits = _counter("commits", "Commits, by outcome.", ["outcome"])
        commits.add_metric(["ok"], counters.commits)
        for outcome in ("failed", "fenced"):
            commits.add_metric([outcome], counters.failures[outcome])
        yield commits
        errors = _counter(
            "publish_errors", "Batches and commits that failed, by error.", ["topic", "error"]
        )
        for (topic, error), count in sorted(counters.publish_errors.items()):
            errors.add_metric([topic, error], count)
        yield errors
        latency = _histogram(
            "end_to_end_latency_seconds",
            "From a record's timestamp until its smoothed record is published.",
            ["topic"],
        )
        for topic, distribution in sorted(counters.latency.items()):
            _fill(latency, [topic], distribution)
        yield latency
        acknowledged = _histogram(
            "publish_duration_seconds",
            "From sending a batch until the brokers acknowledge it.",
            ["topic"],
        )
        for topic, distribution in sorted(counters.publish_duration.items()):
            _fill(acknowledged, [topic], distribution)
        yield acknowledged
        stages = _histogram(
            "batch_process_duration_seconds", "The stages of a step over batches.", ["stage"]
        )
        for stage, distribution in sorted(counters.stage_duration.items()):
            _fill(stages, [stage], distribution)
        yield stages
        plain = (
            ("batch_records", "Records of a step.", "step_records"),
            ("commit_duration_seconds", "A transaction, from its first batch.", "commit_duration"),
            ("event_loop_lag_seconds", "How late the event loop comes.", "loop_lag"),
        )
        for name, text, attribute in plain:
            histogram = _histogram(name, text, [])
            _fill(histogram, [], getattr(counters, attribute))
            yield histogram
        yield _plain("state_rows_written", "Rows of state written.", counters.rows)
        yield _plain("recoveries", "Partitions taken up anew after a failure.", counters.recoveries)
        yield _plain("odd_starts", "Partitions taken over with a warning.", counters.odd_starts)
        yield _plain("records_lost", "Records that retention removed unread.", counters.lost)
        interval = self._overview.partitions.commit_interval_s
        yield _gauge(
            "commit_interval_seconds", "Least time between two commits of a partition.", interval
        )

    # -- partitions ---------------------------------------------------------------------------

    def _partitions(self, statuses: list[PartitionStatus]) -> Iterator[Metric]:
        lag = _gauges("consumer_lag", "Records that are there and not processed.")
        event = _gauges("last_record_timestamp_seconds", "Event time of the newest record.")
        processed = _gauges("last_processed_timestamp_seconds", "When records were last processed.")
        parked = _gauges("partition_parked", "1: the next batch cannot be read.")
        keys = _gauges("state_keys", "Keys that have state.")
        progress = _gauges("state_restore_progress", "Share of the state that is read back.")
        for status in statuses:
            labels = [status.partition.topic, str(status.partition.number)]
            if status.lag is not None:
                lag.add_metric(labels, status.lag)
            if status.event_time_ms is not None:
                event.add_metric(labels, status.event_time_ms / 1000)
            if status.processed_at is not None:
                processed.add_metric(labels, status.processed_at)
            parked.add_metric(labels, status.phase is Phase.PARKED)
            keys.add_metric(labels, status.keys)
            if status.phase is Phase.OPENING:
                progress.add_metric(labels, 0.0 if status.restore is None else status.restore.share)
        yield from (lag, event, processed, parked, keys, progress)
        assigned = GaugeMetricFamily(
            _named("assigned_partitions"), "Partitions of this member.", labels=["topic"]
        )
        for topic in self._overview.settings.input.topics:
            count = sum(status.partition.topic == topic for status in statuses)
            assigned.add_metric([topic], count)
        yield assigned
        nbytes = sum(status.state_bytes for status in statuses)
        yield _gauge("state_bytes", "Memory of the keys and their state.", nbytes)

    # -- state and member ---------------------------------------------------------------------

    def _state(self) -> Iterator[Metric]:
        overview = self._overview
        yield _gauge(
            "state_keys_limit", "Most keys of one partition.", overview.settings.state.max_keys
        )
        evictions = _counter("state_evictions", "Keys that were forgotten.", ["reason"])
        evictions.add_metric(["ttl"], overview.counters.total.noted["expired"])
        yield evictions
        restored = overview.counters.restored
        yield _plain("state_restored_records", "Keys whose state was read back.", restored)
        if overview.opening.last_restore_s is not None:
            seconds = overview.opening.last_restore_s
            yield _gauge("state_restore_duration_seconds", "The last restore.", seconds)

    def _member(self) -> Iterator[Metric]:
        overview = self._overview
        text = (
            "Times the group has assigned or revoked partitions; lost: partitions that another"
            " member had taken without that, as a fenced commit showed."
        )
        rebalances = _counter("rebalances", text, ["event"])
        rebalances.add_metric(["assigned"], overview.counters.assignments)
        rebalances.add_metric(["revoked"], overview.counters.revocations)
        rebalances.add_metric(["lost"], overview.counters.failures["fenced"])
        yield rebalances
        yield _gauge("standby_partitions", "Warm copies kept.", overview.standby_count)
        yield _gauge("ready", "1: it is in the group and works.", not overview.unready())
        yield _info("build", "What runs.", self._versions)
        settings = overview.settings
        guarantee = settings.delivery.guarantee if settings.state.durable else "none"
        yield _info(
            "config", "What it was told.", {"hash": self._config_hash, "guarantee": guarantee}
        )


def _named(name: str) -> str:
    return f"stream_ewma_{name}"


def _counter(name: str, text: str, labels: Iterable[str]) -> CounterMetricFamily:
    return CounterMetricFamily(_named(name), text, labels=list(labels))


def _plain(name: str, text: str, value: float) -> CounterMetricFamily:
    return CounterMetricFamily(_named(name), text, value=value)


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(_named(name), text, value=value)


def _gauges(name: str, text: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(_named(name), text, labels=list(_PARTITION))


def _info(name: str, text: str, labels: dict[str, str]) -> InfoMetricFamily:
    return InfoMetricFamily(_named(name), text, value=labels)


def _histogram(name: str, text: str, labels: list[str]) -> HistogramMetricFamily:
    return HistogramMetricFamily(_named(name), text, labels=labels)


def _fill(family: HistogramMetricFamily, labels: list[str], distribution: Distribution) -> None:
    bounds = [*(repr(bound) for bound in distribution.bounds), "+Inf"]
    counts = [float(count) for count in distribution.cumulative]
    family.add_metric(labels, list(zip(bounds, counts, strict=True)), distribution.total)
