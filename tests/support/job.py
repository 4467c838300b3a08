"""One smoothing job on the real broker: its topics, its settings, its processes."""

import subprocess
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from .cluster import Cluster, Message
from .service import COMMAND, Service, clean_environment
from .waiting import wait_until

ALPHA = 0.2
EPOCH_MS = 1_767_225_600_000


class Job:
    """An input topic with its outputs, dead letters and group, all new.

    Attributes:
        topic: the input.
        output: the smoothed records.
        dead: the dead letters.
        changelog: the kept state.
        topics: the topics to read; a test may add to them.
        group: the consumer group, which is the application id.
    """

    def __init__(
        self,
        cluster: Cluster,
        folder: Path,
        *,
        partitions: int = 1,
        topic_config: Mapping[str, str] | None = None,
        output_config: Mapping[str, str] | None = None,
        settings: Mapping[str, Mapping[str, Any]] | None = None,
        without: str = "",
    ) -> None:
        self.cluster = cluster
        self._folder = folder
        self._without = without
        self._extra = dict(settings or {})
        self.group = f"job-{uuid.uuid4().hex[:12]}"
        self.topic = cluster.create_topic(partitions=partitions, **(topic_config or {}))
        self.output = cluster.create_topic(
            f"{self.topic}-ewma", partitions=partitions, **(output_config or {})
        )
        self.dead = cluster.create_topic(f"{self.group}-dlq", partitions=partitions)
        self.changelog = cluster.create_topic(
            f"{self.group}-{self.topic}-changelog", partitions=partitions, cleanup_policy="compact"
        )
        self.topics = [self.topic]
        self.services: list[Service] = []

    @property
    def settings(self) -> dict[str, Any]:
        """The settings file's contents; sections given to the constructor are laid over it."""
        base: dict[str, Any] = {
            "application_id": self.group,
            "kafka": {"bootstrap_servers": self.cluster.bootstrap},
            "input": {"topics": self.topics},
            "smoothing": {"alpha": ALPHA},
            "delivery": {"commit_interval": "200ms"},
            "http": {"port": 0},
            "log": {"format": "console"},
        }
        for section, values in self._extra.items():
            # A factor replaces the factor: two of them would be an error.
            over = {} if section == "smoothing" else base.get(section, {})
            base[section] = {**over, **values}
        return base

    def change(self, section: str, **values: object) -> None:
        """Lay settings over those there are, for members started from now on."""
        self._extra[section] = {**self._extra.get(section, {}), **values}

    def command(self, *arguments: str) -> str:
        """Run `stream-ewma` with the job's settings, insist that it went well; its output."""
        file = self._folder / f"{self.group}-command.yaml"
        file.write_text(yaml.safe_dump(self.settings, sort_keys=False))
        done = subprocess.run(
            [str(COMMAND), *arguments, "--config", str(file)],
            env=clean_environment(),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def launch(self, *flags: str) -> Service:
        """Start a member of the job's group without waiting for it."""
        name = f"{self.group}-{len(self.services)}"
        self.services.append(
            Service(self._folder, self.settings, *flags, name=name, without=self._without)
        )
        return self.services[-1]

    def start(self) -> Service:
        """Start a member of the job's group and wait until it is ready."""
        return self.launch().wait_ready()

    def produce(self, messages: list[Message], **config: object) -> None:
        """Write input records."""
        self.cluster.produce(self.topic, messages, **config)

    def outputs(self, count: int, *, timeout_s: float = 60) -> list[Message]:
        """Wait for so many smoothed records; return all there are."""
        return self._wait_for(self.output, count, timeout_s)

    def dead_letters(self, count: int) -> list[Message]:
        """Wait for so many dead letters; return all there are."""
        return self._wait_for(self.dead, count, 60)

    def wait_committed(self, offsets: Mapping[int, int]) -> None:
        """Wait until the group has committed these offsets, by partition."""
        wait_until(
            lambda: self.cluster.committed(self.group, self.topic) == offsets,
            what=lambda: f"{self.cluster.committed(self.group, self.topic)}, not {offsets}",
        )

    def close(self) -> None:
        """Stop what still runs, and insist that all ended well and wrote no stack trace."""
        running = [service for service in self.services if service.process.poll() is None]
        for service in running:
            service.process.terminate()
        try:
            codes = [service.wait_exit() for service in running]
        finally:
            for service in running:
                service.kill()
        assert not any(codes), "\n".join(service.log for service in running)
        for service in self.services:
            service.assert_no_traceback()

    def _wait_for(self, topic: str, count: int, timeout_s: float) -> list[Message]:
        try:
            return self.cluster.wait_for(topic, count, timeout_s=timeout_s)
        except TimeoutError as error:
            logs = "\n".join(service.log for service in self.services)
            raise TimeoutError(f"{error}\n{logs}") from None


def reading(
    key: str, x: float, at: int = 0, *, partition: int = 0, timestamp: int | None = None
) -> Message:
    """Return a JSON reading: `{"value": x}`, with an event time where `timestamp` gives one.

    Args:
        key: record key.
        x: the number.
        at: the record's own timestamp, ms after a fixed moment.
        partition: where it goes.
        timestamp: event time, epoch ms.
    """
    event_time = "" if timestamp is None else f',"timestamp":{timestamp}'
    value = f'{{"value":{x!r}{event_time}}}'
    return Message(key.encode(), value.encode(), EPOCH_MS + at, partition=partition)


def readings(count: int, *, keys: int = 10, partitions: int = 1, first: int = 0) -> list[Message]:
    """Return `count` readings of a jagged line, keys spread over partitions, a key in one alone."""
    return [
        reading(
            f"sensor-{i % keys}",
            ((i * 7919) % 1000) / 8 + i % keys,
            i,
            partition=(i % keys) % partitions,
        )
        for i in range(first, first + count)
    ]
