"""`stream-ewma bench`: it measures what the settings say, and says what it leaves out."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from stream_ewma import cli
from stream_ewma.cli.bench import report
from stream_ewma.files import measuring
from stream_ewma.files.measuring import Cost, measure
from tests.support.given import load


@pytest.fixture(autouse=True)
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("STREAM_EWMA_"):
            monkeypatch.delenv(name)
    monkeypatch.setattr(measuring, "BATCH_RECORDS", 50)
    monkeypatch.setattr(measuring, "FETCH_RECORDS", 200)


@pytest.fixture
def bench(capsys: pytest.CaptureFixture[str]) -> Iterator[object]:
    def run_it(*arguments: str) -> tuple[int, str, str]:
        code = -1
        with contextlib.suppress(SystemExit) as _:
            code = cli.main(("bench", *arguments))
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run_it


@pytest.mark.parametrize(
    "flags",
    [
        {},
        {"smoothing.alpha": None, "smoothing.half_life": "30s", "smoothing.outputs": "ewma,std"},
        {"input.format": "text", "output.format": "text"},
        {"input.format": "double", "output.format": "double"},
        {"input.format": "float"},
        {"input.values": '{"a": "f.a", "b": "f.b"}', "input.weight": "w"},
        {"input.key": "tags.id", "input.copartitioned": "true", "input.timestamp": "tags.time"},
        {"input.timestamp_unit": "s", "input.timestamp_required": "true"},
        {"output.shape": "enrich", "input.value": "100%.value"},
    ],
    ids=str,
)
def test_every_reading_is_smoothed_whatever_the_form(flags: dict[str, object]):
    cost = measure(load(flags), 500, 30)

    assert (cost.readings, cost.keys, cost.emitted, cost.rejected) == (500, 30, 500, 0)
    assert cost.smoothing_ns > 0
    assert cost.changelog_ns
    assert min(cost.input_bytes, cost.output_bytes) > 500 * 20


def test_more_keys_than_a_fetch_are_all_there_before_the_clock_runs():
    assert measure(load(), 10, 1_001).keys == 1_001


def test_without_a_changelog_its_rows_cost_nothing():
    assert measure(load({"state.durable": "false"}), 10, 10).changelog_ns is None


def test_the_table_says_what_is_measured_and_what_is_not():
    text = report(load(), Cost(1_000, 10, 1_000, 0, 200_000, 50_000, 860, 66_000, 126_000))

    assert text.splitlines() == [
        "1,000 readings of 10 keys, json to json: ewma, count",
        "",
        "                         CPU ns per reading  readings per CPU-second",
        "bytes to smoothed bytes                 200                5,000,000",
        "changelog rows                           50               20,000,000",
        "together                                250                4,000,000",
        "",
        "86 bytes of memory per key; 66 bytes in and 126 out per reading",
        *text.splitlines()[-2:],
    ]
    assert "Left out: Kafka's client" in text


def test_rejected_readings_are_not_passed_over():
    text = report(load(), Cost(10, 10, 0, 10, 1, None, 1, 1, 1))

    assert "10 of the readings cannot be smoothed with these settings" in text


def test_json_has_the_same(bench):
    code, out, err = bench(
        "--smoothing.span", "9", "--records", "100", "--keys", "7", "--json"
    )  # fmt: skip

    found = json.loads(out)
    assert (code, err) == (0, "")
    assert (found["readings"], found["keys"], found["rejected"]) == (100, 7, 0)
    total = found["smoothing_ns_per_reading"] + found["changelog_ns_per_reading"]
    assert found["readings_per_cpu_second"] == pytest.approx(1e9 / total)


def test_a_reading_that_stops_the_service_stops_the_measurement(bench):
    code, _, err = bench(
        *("--smoothing.alpha", "0.2", "--input.max_value_bytes", "3"),
        *("--dead_letters.on_error", "fail", "--records", "10"),
    )

    assert (code, err.count("\n")) == (65, 1)
    assert err.startswith("a reading stops the service: ")


@pytest.mark.parametrize("count", ["0", "x", "-1", "1e6"])
def test_a_count_is_a_whole_number(bench, count: str):
    _, _, err = bench("--smoothing.alpha", "0.2", "--records", count)

    assert "write a whole number from 1" in err or "expected one argument" in err
    assert err.count("\n") == 1
