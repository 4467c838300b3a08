"""The service as its users run it: a process with a settings file."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import sysconfig
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any

import yaml

from .waiting import wait_until

ROOT = Path(__file__).parents[2]
COMMAND = Path(sysconfig.get_path("scripts")) / "stream-ewma"
READY = " ready\n"
START_TIMEOUT_S = 300
STOP_TIMEOUT_S = 60


@dataclass(frozen=True)
class Answer:
    """What came back of a request."""

    status: int
    headers: Message
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Service:
    """One `stream-ewma run` process, without one of the guards of the chaos suite perhaps.

    Attributes:
        log_file: its standard output and error, in the order they came.
        settings: what it was given.
    """

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, Any],
        *flags: str,
        name: str = "service",
        without: str = "",
    ) -> None:
        self.settings = settings
        self.log_file = folder / f"{name}.log"
        file = folder / f"{name}.yaml"
        file.write_text(yaml.safe_dump(dict(settings), sort_keys=False))
        program = [str(COMMAND)]
        environment = clean_environment()
        if without:
            program = [sys.executable, "-m", "tests.chaos.without", without]
            environment["PYTHONPATH"] = str(ROOT)
        with self.log_file.open("wb") as log:
            self.process = subprocess.Popen(
                [*program, "run", "--config", str(file), *flags],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                cwd=folder,
            )

    @property
    def log(self) -> str:
        """All it has written so far."""
        return self.log_file.read_text(errors="replace")

    @property
    def complaints(self) -> list[str]:
        """What it has written besides the lines that say how it goes."""
        return [line for line in self.log.splitlines() if " INFO " not in line]

    def wait_ready(self) -> "Service":
        """Wait until it says that it is ready."""

        def ready() -> bool:
            if self.process.poll() is not None:
                raise RuntimeError(f"it ended with {self.process.returncode}:\n{self.log}")
            return READY in self.log

        wait_until(ready, timeout_s=START_TIMEOUT_S, what=lambda: f"not ready:\n{self.log}")
        return self

    def wait_log(self, text: str) -> None:
        """Wait until its log holds `text`."""
        wait_until(
            lambda: text in self.log, what=lambda: f"{text!r} is not in its log:\n{self.log}"
        )

    @property
    def address(self) -> str:
        """Where it answers HTTP, as its log says."""
        found = re.search(r"http://[^\s\"]+", self.log)
        assert found, f"no address:\n{self.log}"
        return found[0]

    def get(self, path: str, **headers: str) -> Answer:
        """Ask for a path; errors are answers, too."""
        request = urllib.request.Request(self.address + path, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers, error.read())

    def wait_exit(self, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """Wait until it ends by itself; return its exit code."""
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"still running after {timeout_s} s:\n{self.log}") from None

    def terminate(self) -> int:
        """Ask it to stop (SIGTERM) and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait_exit()

    def stop(self) -> None:
        """Stop it and insist that it ended well."""
        code = self.terminate()
        assert code == 0, f"exit code {code}:\n{self.log}"
        self.assert_no_traceback()

    def kill(self) -> None:
        """End it at once (SIGKILL)."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait(STOP_TIMEOUT_S)

    def assert_no_traceback(self) -> None:
        """Insist that nothing it wrote is a stack trace or a forgotten task."""
        for sign in ("Traceback", "never retrieved", "never awaited", "was destroyed but"):
            assert sign not in self.log, self.log


def clean_environment() -> dict[str, str]:
    """Return the environment of a process that is compiled as shipped, not as the suite checks it.

    It knows no settings but those of its file and flags, nor a terminal (whose size readline
    leaves in the environment of a process that starts others).
    """
    return {
        name: text
        for name, text in os.environ.items()
        if not name.startswith(("STREAM_EWMA_", "NUMBA_")) and name not in {"COLUMNS", "LINES"}
    }
