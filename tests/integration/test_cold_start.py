"""The very first start compiles for many seconds; nobody has to wait for that to end it."""

import os
import signal
import subprocess

import pytest

from tests.support.service import COMMAND, STOP_TIMEOUT_S
from tests.support.waiting import wait_until

NOWHERE = "127.0.0.1:9"  # the discard port: nothing answers


def start(bootstrap, folder):
    # An empty cache: the kernels are compiled while the rest goes on.
    environment = {
        name: text
        for name, text in os.environ.items()
        if not name.startswith(("STREAM_EWMA_", "NUMBA_"))
    }
    environment["STREAM_EWMA_KERNEL_CACHE_DIR"] = str(folder)
    settings = {
        "application_id": "cold",
        "input.topics": "no-such-topic",
        "smoothing.alpha": "0.2",
        "kafka.bootstrap_servers": bootstrap,
    }
    flags = [part for name, value in settings.items() for part in (f"--{name}", value)]
    return subprocess.Popen(
        [str(COMMAND), "run", *flags],
        env=environment,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_missing_topic_ends_the_first_start_with_its_line(broker, tmp_path):
    process = start(broker.bootstrap, tmp_path)
    _, log = process.communicate(timeout=STOP_TIMEOUT_S)

    assert process.returncode == 73
    assert "no-such-topic: the input topic does not exist" in log.splitlines()[-1]
    assert "Traceback" not in log


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_during_the_first_start_ends_it(number, tmp_path):
    process = start(NOWHERE, tmp_path)
    wait_until(lambda: any(tmp_path.rglob("*.nbi")), what=lambda: "no kernel is compiled yet")
    process.send_signal(number)
    _, log = process.communicate(timeout=STOP_TIMEOUT_S)

    assert process.returncode == 0
    assert "Traceback" not in log
