"""The processes under test: started, killed, frozen, asked to stop, and watched."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.support.service import READY, clean_environment
from tests.support.waiting import wait_until

from .failpoints import Action, Failpoint

ROOT = Path(__file__).parents[2]
START_S = 240.0
STOP_S = 60.0
LOG_TAIL = 3_000
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
TRACE = "Traceback"
SIGNS_OF_TROUBLE = (TRACE, "never retrieved", "never awaited", "was destroyed but")


class Member:
    """One process of the service.

    Attributes:
        name: its client id, by which the group knows it.
        log_file: what it has written.
        events_file: a line for each failpoint that it has hit.
        may_end: whether it was asked to end, or was told something that ends a service.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        settings: Mapping[str, Any],
        failpoints: Sequence[Failpoint] = (),
        without: str = "",
    ) -> None:
        self.name = name
        self.may_end = False
        self.log_file = folder / f"{name}.log"
        self.events_file = folder / f"{name}.events"
        self.events_file.write_bytes(b"")  # of a run before in the same folder
        config = folder / f"{name}.yaml"
        own = {**settings, "kafka": {**settings["kafka"], "client_id": name}}
        config.write_text(yaml.safe_dump(own, sort_keys=False))
        command = [sys.executable, "-m", "tests.chaos.worker", str(config)]
        command += ["--events", str(self.events_file)]
        for point in failpoints:
            command += ["--failpoint", str(point)]
        if without:
            command += ["--without", without]
        with self.log_file.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env=clean_environment() | {"PYTHONPATH": str(ROOT)},
                start_new_session=True,
            )

    @property
    def log(self) -> str:
        """All it has written so far."""
        return self.log_file.read_text(errors="replace")

    @property
    def end_of_log(self) -> str:
        """The last of it, for a failure message."""
        return f"--- {self.name}\n{self.log[-LOG_TAIL:]}"

    @property
    def events(self) -> list[dict[str, Any]]:
        """The failpoints it has hit."""
        return [json.loads(line) for line in self.events_file.read_text().splitlines()]

    @property
    def alive(self) -> bool:
        """Whether it runs, frozen or not."""
        return self.process.poll() is None

    @property
    def resident_bytes(self) -> int:
        """Its memory."""
        fields = Path(f"/proc/{self.process.pid}/statm").read_text().split()
        return int(fields[1]) * PAGE_BYTES

    @property
    def descriptor_count(self) -> int:
        """Its open files and connections."""
        return sum(1 for _ in Path(f"/proc/{self.process.pid}/fd").iterdir())

    def is_stopped(self) -> bool:
        """Whether it is frozen, by itself or by us."""
        try:
            status = Path(f"/proc/{self.process.pid}/stat").read_text()
        except FileNotFoundError:
            return False
        return status.rpartition(")")[2].split()[0] == "T"

    def wait_ready(self) -> "Member":
        """Wait until it says that it is ready."""

        def ready() -> bool:
            if not self.alive:
                raise RuntimeError(f"ended with {self.process.returncode}:\n{self.end_of_log}")
            return READY in self.log

        wait_until(ready, timeout_s=START_S, what=lambda: f"not ready:\n{self.end_of_log}")
        return self

    def wait_exit(self, timeout_s: float = STOP_S) -> int:
        """Wait until it ends; answers its exit code."""
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"it still runs after {timeout_s} s:\n{self.end_of_log}") from None

    def kill(self) -> None:
        """End it at once (SIGKILL) and wait until it is gone."""
        if self.alive:
            self.process.kill()
        self.process.wait(STOP_S)

    def terminate(self) -> None:
        """Ask it to stop (SIGTERM)."""
        self.may_end = True
        self.process.send_signal(signal.SIGTERM)

    def freeze(self) -> None:
        """Stop it where it is (SIGSTOP)."""
        self.process.send_signal(signal.SIGSTOP)
        wait_until(self.is_stopped, what=f"{self.name} did not freeze")

    def thaw(self) -> None:
        """Let it go on (SIGCONT)."""
        self.process.send_signal(signal.SIGCONT)

    def shift_clock(self) -> None:
        """Put its wall clock an hour forward, or back again."""
        self.process.send_signal(signal.SIGUSR1)

    @property
    def has_given_up(self) -> bool:
        """Whether it has ended by itself."""
        by_us = self.may_end or self._was_raised_at
        return not by_us and self.process.poll() not in {None, 0, -signal.SIGKILL}

    @property
    def _was_raised_at(self) -> bool:
        return any(f":{Action.RAISE}:" in each["failpoint"] for each in self.events)

    def troubles(self) -> list[str]:
        """Stack traces and forgotten tasks in what it wrote; an error of ours may have a trace."""
        signs = set(SIGNS_OF_TROUBLE)
        if self._was_raised_at:
            signs.discard(TRACE)
        return [f"{self.name}: {sign}" for sign in sorted(signs) if sign in self.log]


@dataclass
class Fleet:
    """The members of one group, those that have ended included.

    Attributes:
        folder: for their settings and logs.
        settings: what they all get.
        without: the guard that they do without, if any.
    """

    folder: Path
    settings: Mapping[str, Any]
    without: str = ""
    members: list[Member] = field(default_factory=list)

    @property
    def living(self) -> list[Member]:
        """Those that run."""
        return [each for each in self.members if each.alive]

    def launch(self, *failpoints: Failpoint, **sections: Mapping[str, Any]) -> Member:
        """Start a member without waiting for it; `sections` are laid over the settings."""
        settings = {**self.settings}
        for name, values in sections.items():
            settings[name] = {**settings.get(name, {}), **values}
        name = f"member-{len(self.members)}"
        member = Member(self.folder, name, settings, failpoints, self.without)
        self.members.append(member)
        return member

    def close(self) -> None:
        """End all at once."""
        for member in self.members:
            member.kill()

    def stop(self) -> dict[str, int]:
        """Ask all to stop; answers their exit codes."""
        living = self.living
        for member in living:
            member.terminate()
        return {member.name: member.wait_exit() for member in living}

    def logs(self) -> str:
        """What all have written, for a failure message."""
        return "\n".join(each.end_of_log for each in self.members)
