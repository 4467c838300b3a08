"""A real Prometheus that reads a member, and rules that do not take their time."""

import json
import re
import shutil
import subprocess
import urllib.parse
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
import yaml

from .broker import free_ports

RULES = Path(__file__).parents[2] / "config" / "prometheus" / "rules.yml"
INTERVAL = "1s"
STOP_TIMEOUT_S = 30

# Alerts that compare with an age, and the seconds that they name.
_AGES = {"StreamEwmaStalled": 120, "StreamEwmaFallingBehind": 60}


class Prometheus:
    """One Prometheus process; it reads `address` and judges by `rules`.

    Args:
        folder: for its settings and data.
        address: of a member, as it logs it.
        rules: the file with its rules.
    """

    def __init__(self, folder: Path, address: str, rules: Path = RULES) -> None:
        program = shutil.which("prometheus")
        if program is None:
            pytest.fail(
                "prometheus is not installed; install it with: apt-get install -y prometheus"
            )
        target = {"targets": [address.removeprefix("http://")]}
        config = {
            "global": {
                "scrape_interval": INTERVAL,
                "scrape_timeout": INTERVAL,
                "evaluation_interval": INTERVAL,
            },
            "rule_files": [str(rules)],
            "scrape_configs": [{"job_name": "stream-ewma", "static_configs": [target]}],
        }
        file = folder / "prometheus.yml"
        file.write_text(yaml.safe_dump(config))
        (port,) = free_ports(1)
        self._url = f"http://127.0.0.1:{port}/api/v1"
        self._command = [
            program,
            f"--config.file={file}",
            f"--storage.tsdb.path={folder / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        self._process.wait(STOP_TIMEOUT_S)

    def ask(self, path: str, **query: str) -> Any:
        """Return the data of an answer; None while there is none."""
        url = f"{self._url}/{path}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)["data"]
        except OSError:
            return None

    def value(self, expression: str) -> float | None:
        """Return what a query of one series gives; None: nothing."""
        data = self.ask("query", query=expression)
        return float(data["result"][0]["value"][1]) if data and data["result"] else None

    def firing(self) -> dict[str, dict[str, str]]:
        """Return the labels of the alerts that fire, by name without `StreamEwma`."""
        data = self.ask("alerts") or {"alerts": []}
        return {
            each["labels"]["alertname"].removeprefix("StreamEwma"): each["labels"]
            for each in data["alerts"]
            if each["state"] == "firing"
        }


def hurried_rules(seconds_of_a_minute: int) -> str:
    """Return the project's rules with each of their minutes so many seconds long."""
    whole = yaml.safe_load(RULES.read_text())
    for group in whole["groups"]:
        for rule in group["rules"]:
            rule["expr"] = _hurried(rule["expr"], rule["alert"], seconds_of_a_minute)
            if "for" in rule:
                rule["for"] = _in_seconds(rule["for"], seconds_of_a_minute)
    return str(yaml.safe_dump(whole))


def _hurried(expression: str, alert: str, seconds_of_a_minute: int) -> str:
    expression = re.sub(
        r"\[(.*?)\]", lambda found: f"[{_in_seconds(found[1], seconds_of_a_minute)}]", expression
    )
    if alert in _AGES:
        age = _AGES[alert]
        expression, changed = re.subn(
            rf"> {age}\b", f"> {age * seconds_of_a_minute / 60:g}", expression
        )
        assert changed == 1, f"{alert} compares with {age} no more: {expression}"
    # An age that this does not know of would take its time, and a test would wait for it.
    aged = "time()" in expression
    assert aged == (alert in _AGES), f"{alert}: {expression}"
    return expression


def _in_seconds(duration: str, seconds_of_a_minute: int) -> str:
    minutes = re.fullmatch(r"(\d+)m", duration)
    assert minutes, f"not in minutes: {duration}"
    return f"{int(minutes[1]) * seconds_of_a_minute}s"
