"""The operator's commands as they are typed, and the changelog as another client sees it."""

import json
import subprocess
from pathlib import Path
from typing import Any

import yaml

from .cluster import Cluster
from .job import Job
from .service import COMMAND, Service, clean_environment

TIMEOUT_S = 120


class Application:
    """A job's settings under an application id of its own, on the same or another input.

    Attributes:
        group: the application id.
        topic: the input.
        output: the smoothed records.
        changelog: the kept state.
    """

    def __init__(self, job: Job, folder: Path, *, topic: str = "", suffix: str = "") -> None:
        self._cluster: Cluster = job.cluster
        self._folder = folder
        self._services: list[Service] = job.services
        self.group = job.group + suffix
        self.topic = topic or job.topic
        self.output = f"{self.topic}-ewma{suffix}"
        self.changelog = f"{self.group}-{self.topic}-changelog"
        dead = f"{self.group}-dlq"
        partitions = self._cluster.partitions(self.topic)
        for name, policy in (
            (self.output, "delete"),
            (dead, "delete"),
            (self.changelog, "compact"),
        ):
            if not self._cluster.partitions(name):
                self._cluster.create_topic(name, partitions=partitions, cleanup_policy=policy)
        self.settings = job.settings
        self.settings["application_id"] = self.group
        self.settings["input"] = {**self.settings["input"], "topics": [self.topic]}
        self.settings["output"] = {**self.settings.get("output", {}), "topic": self.output}
        self._file = folder / f"{self.group}-{self.topic}.yaml"
        self._file.write_text(yaml.safe_dump(self.settings))

    def start(self) -> Service:
        """Start the service and wait until it is ready."""
        name = f"{self.group}-{len(self._services)}"
        self._services.append(Service(self._folder, self.settings, name=name))
        return self._services[-1].wait_ready()

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a command; whatever comes of it."""
        ended = subprocess.run(
            [str(COMMAND), *arguments, "--config", str(self._file)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=clean_environment(),
            cwd=self._folder,
            timeout=TIMEOUT_S,
            check=False,
        )
        assert "Traceback" not in ended.stderr, ended.stderr
        return ended

    def do(self, *arguments: str) -> str:
        """Run a command that ends well; return what it prints."""
        ended = self.run(*arguments)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    def refused(self, code: int, *arguments: str) -> str:
        """Run a command that ends with an exit code; return its one line."""
        ended = self.run(*arguments)
        assert (ended.returncode, ended.stdout) == (code, ""), ended.stdout + ended.stderr
        assert ended.stderr.count("\n") == 1, ended.stderr
        return ended.stderr

    @property
    def kept(self) -> dict[tuple[int, bytes], bytes]:
        """The last committed value of each key of the changelog that is not gone."""
        last = {
            (each.partition, each.key): each.value for each in self._cluster.read(self.changelog)
        }
        return {place: value for place, value in last.items() if value is not None}

    @property
    def rows(self) -> dict[tuple[int, bytes], bytes]:
        """Those that are rows, by partition and key."""
        return {(p, key[1:]): value for (p, key), value in self.kept.items() if key[:1] == b"\x01"}

    @property
    def markers(self) -> dict[int, dict[str, Any]]:
        """The position markers by partition."""
        found = self.kept.items()
        return {p: json.loads(value) for (p, key), value in found if key == b"\x00position"}

    @property
    def committed(self) -> dict[int, int]:
        """The group's offsets by partition."""
        return self._cluster.committed(self.group, self.topic)
