"""Run a contestant as a process and measure it from outside, the same way for all.

A contestant says that it is ready (joined, warmed up); from there on its CPU time counts, until
the last output is acknowledged and the last offset committed. The input is in the topic before
the process starts, so nobody waits for it.
"""

import re
import signal
import subprocess
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import psutil
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient

from harness.job import PARTITIONS, READY, Job
from harness.outputs import end_offsets, reader

_DEADLINE_S: Final = 600.0
_POLL_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one run of one contestant took.

    Attributes:
        records: written.
        cpu_s: user + system time from ready to the last commit.
        wall_s: the same, as time.
        peak_bytes: resident memory at its highest, start-up included.
        start_up_s: from the start of the process until it was ready.
        start_up_cpu_s: user + system time until then, loading or compiling kernels included.
    """

    records: int
    cpu_s: float
    wall_s: float
    peak_bytes: int
    start_up_s: float
    start_up_cpu_s: float

    @property
    def records_per_cpu_s(self) -> float:
        """Records for each second of the process's CPU time."""
        return self.records / self.cpu_s

    @property
    def records_per_s(self) -> float:
        """Records for each second of time."""
        return self.records / self.wall_s


class Contestant:
    """A running contestant. Use as a context manager: the process never outlives the block."""

    def __init__(self, command: list[str], *, cwd: Path, env: dict[str, str] | None = None) -> None:
        self._started = time.monotonic()
        self._process = subprocess.Popen(
            command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self._usage = psutil.Process(self._process.pid)
        self._ready = threading.Event()
        self._last_lines: deque[str] = deque(maxlen=20)
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()
        self.start_up_s = 0.0
        self.start_up_cpu_s = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()

    def wait_until_ready(self) -> None:
        """Return once the process has said that it is ready."""
        while not self._ready.wait(0.5):
            self.check()
        self.start_up_cpu_s = self.cpu_s()

    def cpu_s(self) -> float:
        """User + system time so far, of all threads."""
        times = self._usage.cpu_times()
        return times.user + times.system

    def peak_bytes(self) -> int:
        """Linux's VmHWM: unlike `ru_maxrss` it does not begin with the parent's memory."""
        for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        raise RuntimeError("VmHWM is missing from /proc")

    def check(self) -> None:
        """Raise with the process's last lines if it has ended."""
        if self._process.poll() is not None:
            self._reading.join(1)
            lines = "\n".join(self._last_lines)
            raise RuntimeError(f"contestant ended with {self._process.returncode}:\n{lines}")
        if time.monotonic() - self._started > _DEADLINE_S:
            raise TimeoutError(f"contestant not done within {_DEADLINE_S:.0f} s")

    def stop(self) -> None:
        """End the process the way an operator does; a failure to end cleanly is an error."""
        self.check()
        self._process.send_signal(signal.SIGTERM)
        if self._process.wait(60):
            lines = "\n".join(self._last_lines)
            raise RuntimeError(f"contestant stopped with {self._process.returncode}:\n{lines}")

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._last_lines.append(line.rstrip())
            if not self._ready.is_set() and re.search(rf"\b{READY}\b", line):
                self.start_up_s = time.monotonic() - self._started
                self._ready.set()


def measure(
    command: list[str], job: Job, *, cwd: Path, env: dict[str, str] | None = None
) -> Measurement:
    """Run `command` until everything in the input topic is processed and committed."""
    consumer = reader(job.bootstrap)
    admin = AdminClient({"bootstrap.servers": job.bootstrap, "log_level": 4})
    try:
        ends = end_offsets(consumer, job.input_topic)
        with Contestant(command, cwd=cwd, env=env) as contestant:
            contestant.wait_until_ready()
            ready_at = time.monotonic()
            while committed(admin, job) != ends:
                contestant.check()
                time.sleep(_POLL_S)
            wall_s = time.monotonic() - ready_at
            measurement = Measurement(
                records=sum(ends),
                cpu_s=contestant.cpu_s() - contestant.start_up_cpu_s,
                wall_s=wall_s,
                peak_bytes=contestant.peak_bytes(),
                start_up_s=contestant.start_up_s,
                start_up_cpu_s=contestant.start_up_cpu_s,
            )
            contestant.stop()
        return measurement
    finally:
        consumer.close()


def committed(admin: AdminClient, job: Job) -> list[int]:
    """The group's committed offset of each partition; negative where there is none yet."""
    wanted = [TopicPartition(job.input_topic, p) for p in range(PARTITIONS)]
    request = ConsumerGroupTopicPartitions(job.group, wanted)
    answer = admin.list_consumer_group_offsets([request])[job.group].result()
    offsets = {p.partition: p.offset for p in answer.topic_partitions}
    return [offsets[p] for p in range(PARTITIONS)]
