"""The demo as its users run it: a process, watched from outside through its own broker."""

import json
import math
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections import defaultdict

import pytest

from stream_ewma.demo.broker import MockBroker, connect_consumer
from tests.support.service import COMMAND, clean_environment
from tests.support.waiting import wait_until

HALF_LIFE_MS = 3_000
TIMEOUT_S = 600  # a first start compiles; on a busy machine that takes minutes


def _start(*arguments, **pipes):
    return subprocess.Popen(
        [str(COMMAND), "demo", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=pipes.get("stdout", subprocess.PIPE),
        stderr=pipes.get("stderr", subprocess.PIPE),
        env=clean_environment(),
        text=True,
    )


def _read_header(process):
    """The broker's address and the output topic, from the demo's own words."""
    process.stdout.readline()
    found = re.search(r"-b (\S+) -t (\S+)", process.stdout.readline())
    assert found, process.stderr.read()
    return found.groups()


def _await_smoothing(process):
    for line in process.stdout:
        if "smoothed" in line and " s  " in line:
            return
    raise AssertionError(process.stderr.read())


class _Witness(threading.Thread):
    """Reads a topic until told to end; (timestamp, record) by key, in order."""

    def __init__(self, bootstrap, topic):
        super().__init__(daemon=True)
        self._consumer = connect_consumer(bootstrap, topic)
        self.ending = threading.Event()
        self.records = defaultdict(list)
        self.count = 0

    def run(self):
        while not self.ending.is_set():
            for message in self._consumer.consume(1_000, 0.1):
                if message.error() is None:
                    found = self.records[message.key().decode()]
                    found.append((message.timestamp()[1], json.loads(message.value())))
                    self.count += 1
        self._consumer.close()

    def end(self):
        self.ending.set()
        self.join()


def _weighted_mean(readings, at):
    """sum(w x) / sum(w) with w = 2^(-age / half-life), as pandas ewm(halflife, times)."""
    now = readings[at][0]
    weights = [2.0 ** (-(now - time_ms) / HALF_LIFE_MS) for time_ms, _ in readings[: at + 1]]
    values = [value for _, value in readings[: at + 1]]
    return math.fsum(w * x for w, x in zip(weights, values, strict=True)) / math.fsum(weights)


@pytest.fixture(scope="module")
def eight_seconds():
    """One run on this machine's metrics: its process, its words, and what went over its broker."""
    process = _start("--seconds", "8", "--plain")
    bootstrap, output_topic = _read_header(process)
    witnesses = [_Witness(bootstrap, topic) for topic in ("machine-metrics", output_topic)]
    for witness in witnesses:
        witness.start()
    out, err = process.communicate(timeout=TIMEOUT_S)
    for witness in witnesses:
        witness.end()
    return process.returncode, out, err, *(witness.records for witness in witnesses)


def test_the_demo_ends_by_itself_without_complaint(eight_seconds):
    code, _, err, _, _ = eight_seconds
    assert (code, err) == (0, "")


def test_every_smoothed_value_of_the_demo_follows_from_the_readings(eight_seconds):
    *_, inputs, outputs = eight_seconds
    assert set(outputs) == set(inputs)
    assert "memory" in inputs
    for key, smoothed in outputs.items():
        readings = [(record["timestamp"], record["value"]) for _, record in inputs[key]]
        # Temperatures come once a second, where the machine has any.
        assert len(smoothed) > (50 if key.startswith(("cpu-", "memory", "disk-", "net-")) else 3)
        for at, (time_ms, record) in enumerate(smoothed[: len(readings)]):
            assert list(record) == ["key", "timestamp", "value", "ewma", "count"]
            assert (record["key"], record["count"], time_ms) == (key, at + 1, readings[at][0])
            assert (record["timestamp"], record["value"]) == readings[at]
            expected = _weighted_mean(readings, at)
            assert record["ewma"] == pytest.approx(expected, rel=1e-12, abs=1e-300)


def test_plain_lines_come_every_second_for_every_series(eight_seconds):
    _, out, *_ = eight_seconds
    for key in ("cpu-0", "memory"):  # on a large machine not every series gets a line
        lines = [line for line in out.splitlines() if f" s  {key} " in line]
        assert 6 <= len(lines) <= 8
        assert len({line.index("smoothed") for line in lines}) == 1


def test_the_summary_counts_every_reading_smoothed(eight_seconds):
    _, out, _, inputs, _ = eight_seconds
    found = re.search(
        r"^8\.\d s: ([\d,]+) readings in, ([\d,]+) smoothed out, (\d+) ser", out, re.MULTILINE
    )
    readings, smoothed, series = (int(number.replace(",", "")) for number in found.groups())
    assert readings == smoothed > 0
    assert series == len(inputs)
    assert "stream-ewma run --input.topics machine-metrics --smoothing.half_life 3s" in out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_demo_with_a_summary(number):
    process = _start("--plain")
    _await_smoothing(process)
    process.send_signal(number)
    out, err = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, err) == (0, "")
    assert "readings in" in out


def test_a_signal_during_the_start_ends_the_demo():
    process = _start("--plain")
    _read_header(process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, err) == (0, "")
    assert "0 smoothed out" in out


def test_simulated_sensors_under_load_come_out_whole():
    process = _start(
        *("--source", "simulated", "--keys", "1000", "--rate", "5000"),
        *("--alpha", "0.2", "--seconds", "3", "--plain"),
    )
    out, err = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, err) == (0, "")
    found = re.search(r"([\d,]+) readings in, ([\d,]+) smoothed out, 1,000 series", out)
    readings, smoothed = (int(number.replace(",", "")) for number in found.groups())
    assert readings == smoothed > 5_000
    assert "--smoothing.alpha 0.2" in out


def test_a_reader_that_has_seen_enough_ends_the_demo_without_a_traceback():
    process = _start("--plain")
    process.stdout.readline()
    process.stdout.close()
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()
    assert process.wait(TIMEOUT_S) == 0


def test_on_a_terminal_the_demo_draws_on_the_other_screen_and_gives_the_first_one_back():
    terminal, end = pty.openpty()
    process = _start("--seconds", "2", stdout=end, stderr=end)
    os.close(end)
    shown = b""
    while True:
        try:
            found = os.read(terminal, 65_536)
        except OSError:  # the terminal's other end is closed
            break
        if not found:
            break
        shown += found
    os.close(terminal)
    assert process.wait(TIMEOUT_S) == 0
    before, drawn, after = re.split(rb"\x1b\[\?1049[hl]", shown)
    assert b"stream-ewma demo: this machine's metrics" in before
    assert b"last" in drawn
    assert b"memory" in drawn
    assert b"readings in" in after
    assert shown.rindex(b"\x1b[?25h") > shown.rindex(b"\x1b[?25l")  # the cursor is back
    assert b"Traceback" not in shown


def test_the_generator_feeds_a_topic_of_any_broker():
    command = [sys.executable, "-m", "stream_ewma.demo.generate", "--keys", "10", "--rate", "500"]
    with MockBroker() as broker:
        broker.create_topic("readings")
        done = subprocess.run(
            [*command, "--bootstrap", broker.bootstrap, "--topic", "readings", "--seconds", "2"],
            capture_output=True,
            text=True,
            check=True,
            timeout=TIMEOUT_S,
        )
        sent = int(re.search(r"(\d+) readings sent to readings", done.stdout.replace(",", ""))[1])
        witness = _Witness(broker.bootstrap, "readings")
        witness.start()
        wait_until(lambda: witness.count >= sent)
        witness.end()
    assert done.stderr == ""
    assert sent > 500
    assert len(witness.records) == 10
    for records in witness.records.values():
        assert all(set(record) == {"timestamp", "value"} for _, record in records)
        times = [record["timestamp"] for _, record in records]
        assert times == sorted(times) == [time_ms for time_ms, _ in records]


def test_the_generator_says_in_one_line_that_no_broker_answers():
    done = subprocess.run(
        [sys.executable, "-m", "stream_ewma.demo.generate", "--bootstrap", "127.0.0.1:9"],
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 69
    assert done.stderr == (
        "no broker answers at 127.0.0.1:9: start it, or name another with --bootstrap\n"
    )


def test_the_live_page_is_where_the_demo_says_and_closes_with_it():
    process = _start("--plain")
    head = [process.stdout.readline() for _ in range(4)]
    address = re.search(r"page: (http://127\.0\.0\.1:\d+)", "".join(head))[1]
    _await_smoothing(process)
    with urllib.request.urlopen(address, timeout=30) as answer:
        assert b"<title>stream-ewma" in answer.read()
    with urllib.request.urlopen(f"{address}/v1/keys", timeout=30) as answer:
        assert "memory" in [found["key"] for found in json.load(answer)["keys"]]
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, err) == (0, "")
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(address, timeout=5)
