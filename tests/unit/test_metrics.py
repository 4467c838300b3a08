"""Metrics: their names, how many series they are, and that Prometheus takes them."""

import asyncio
import re
import subprocess
from collections import defaultdict

import numpy as np
import pytest
from prometheus_client.exposition import choose_encoder
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as plain_text

from stream_ewma.kafka.partition import Partition
from stream_ewma.service.counters import Tally
from stream_ewma.service.metrics import config_hash, registry_of
from tests.support.window import Member, settings_of, site

NAMES = {
    "stream_ewma_records_consumed": "counter",
    "stream_ewma_consumed_bytes": "counter",
    "stream_ewma_records_published": "counter",
    "stream_ewma_records_rejected": "counter",
    "stream_ewma_records_skipped": "counter",
    "stream_ewma_records_noted": "counter",
    "stream_ewma_dead_letters_published": "counter",
    "stream_ewma_publish_errors": "counter",
    "stream_ewma_commits": "counter",
    "stream_ewma_state_rows_written": "counter",
    "stream_ewma_recoveries": "counter",
    "stream_ewma_odd_starts": "counter",
    "stream_ewma_records_lost": "counter",
    "stream_ewma_state_evictions": "counter",
    "stream_ewma_state_restored_records": "counter",
    "stream_ewma_rebalances": "counter",
    "stream_ewma_end_to_end_latency_seconds": "histogram",
    "stream_ewma_publish_duration_seconds": "histogram",
    "stream_ewma_batch_process_duration_seconds": "histogram",
    "stream_ewma_batch_records": "histogram",
    "stream_ewma_commit_duration_seconds": "histogram",
    "stream_ewma_event_loop_lag_seconds": "histogram",
    "stream_ewma_commit_interval_seconds": "gauge",
    "stream_ewma_consumer_lag": "gauge",
    "stream_ewma_last_record_timestamp_seconds": "gauge",
    "stream_ewma_last_processed_timestamp_seconds": "gauge",
    "stream_ewma_partition_parked": "gauge",
    "stream_ewma_state_keys": "gauge",
    "stream_ewma_state_restore_progress": "gauge",
    "stream_ewma_assigned_partitions": "gauge",
    "stream_ewma_state_bytes": "gauge",
    "stream_ewma_state_keys_limit": "gauge",
    "stream_ewma_state_restore_duration_seconds": "gauge",
    "stream_ewma_standby_partitions": "gauge",
    "stream_ewma_ready": "gauge",
    "stream_ewma_build": "info",
    "stream_ewma_config": "info",
}
PARTITIONS = 7
REASONS = ("decode", "missing_value", "not_numeric", "non_finite", "late")


def busy() -> Member:
    """A member that has seen a bit of everything."""
    member = Member(settings_of())
    member.owned, member.opening_numbers = set(range(PARTITIONS)), {1}
    member.opening.last_restore_s = 1.5
    for number in member.owned:
        tally = Tally(10, 900, 8)
        tally.rejected.update(dict.fromkeys(REASONS, 1))
        tally.skipped.update(tombstone=1, late=2, null_value=1)
        tally.noted.update(expired=2, clipped=1)
        member.counters.partitions[Partition("air", number)] = tally
    counters = member.counters
    counters.commits, counters.rows, counters.restored = 5, 6, 7
    counters.failures.update(failed=1, fenced=2)
    counters.publish_errors["air-ewma", "RequestTimedOutError"] += 3
    counters.latency["air"].observe_since(10_000.0, np.array([-1, 2_000, 9_000, 9_999]))
    for stage in ("decode", "update", "encode"):
        counters.stage_duration[stage].observe(0.002)
    counters.step_records.observe(100)
    return member


def told(member: Member, accept: str = "") -> str:
    encode, _ = choose_encoder(accept)
    return encode(registry_of(member)).decode()


@pytest.fixture
def text() -> str:
    return told(busy())


def test_the_names_are_those_of_the_table(text):
    kinds = {
        family.name: family.type
        for family in open_metrics(told(busy(), "application/openmetrics-text"))
        if family.name.startswith("stream_ewma")
    }

    assert kinds == NAMES
    assert all(f"# HELP {name}" in text for name in NAMES)


def test_there_are_no_more_series_than_the_budget_says(text):
    series = defaultdict(set)
    for family in plain_text(text):
        for sample in family.samples:
            labels = {name: value for name, value in sample.labels.items() if name != "le"}
            # A histogram counts as one.
            series[family.name].add(tuple(sorted(labels.items())))

    assert sum(map(len, series.values())) <= 60 + 6 * PARTITIONS


def test_counts_are_told_by_topic_partition_and_reason(text):
    found = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in plain_text(text)
        for sample in family.samples
    }

    assert found["stream_ewma_records_consumed_total", "3", "air"] == 10
    assert found["stream_ewma_records_published_total", "air-ewma"] == 8 * PARTITIONS
    assert found["stream_ewma_records_rejected_total", "air", "decode"] == PARTITIONS
    assert found["stream_ewma_records_skipped_total", "air", "late"] == 2 * PARTITIONS
    assert found["stream_ewma_commits_total", "fenced"] == 2
    assert found["stream_ewma_batch_process_duration_seconds_count", "decode"] == 1
    assert found["stream_ewma_publish_errors_total", "RequestTimedOutError", "air-ewma"] == 3
    assert found["stream_ewma_consumer_lag", "0", "air"] == 2
    assert found["stream_ewma_state_evictions_total", "ttl"] == 2 * PARTITIONS
    assert found["stream_ewma_end_to_end_latency_seconds_count", "air"] == 3
    assert found["stream_ewma_end_to_end_latency_seconds_sum", "air"] == pytest.approx(9.001)
    assert found["stream_ewma_state_restore_progress", "1", "air"] == 0
    assert ("stream_ewma_consumer_lag", "1", "air") not in found  # not known yet


def test_what_is_lost_is_told_by_fenced_commits_and_says_so(text):
    assert 'stream_ewma_rebalances_total{event="lost"} 2.0' in text
    assert re.search("# HELP stream_ewma_rebalances_total .*lost: .* fenced", text)


def test_keys_are_in_no_label(text):
    names = {name for family in plain_text(text) for s in family.samples for name in s.labels}

    assert "key" not in names


def test_the_hash_tells_nothing_of_the_settings_but_whether_they_are_the_same():
    one, other = settings_of(token="a" * 16), settings_of(token="a" * 16)

    assert config_hash(one) == config_hash(other) != config_hash(settings_of(input__format="text"))
    assert len(config_hash(one)) == 12


def test_what_is_off_is_not_told():
    member = Member(settings_of(dead_letters__on_error="skip"))

    text = told(member)

    assert "stream_ewma_dead_letters_published_total{" not in text
    assert "stream_ewma_state_restore_duration_seconds" not in text


async def test_promtool_has_nothing_to_say_against_them(text):
    async with site() as subject:
        subject.window.show(busy())
        served = (await subject.get("/metrics")).body
    # Not skipped where it is missing: .ci/run installs it (Debian: prometheus).
    for given in (text.encode(), served):
        done = await asyncio.to_thread(
            subprocess.run,
            ["promtool", "check", "metrics"],
            input=given,
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
