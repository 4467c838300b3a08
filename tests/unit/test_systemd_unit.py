"""The systemd unit: parsed by systemd where it is installed, and it fits the service."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from stream_ewma.cli.run import _LAST_GRACE_S
from stream_ewma.service.watchdog import BLOCKED_S
from stream_ewma.settings import load_settings
from stream_ewma.settings.names import settings
from stream_ewma.settings.sources import PREFIX

UNIT = Path(__file__).parents[2] / "config" / "systemd" / "stream-ewma.service"
ANALYZE = shutil.which("systemd-analyze")


def directives() -> dict[str, list[str]]:
    """The values of each directive, in their order."""
    found: dict[str, list[str]] = {}
    for line in UNIT.read_text().splitlines():
        if line and line[0] not in "#[":
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def one(name: str) -> str:
    (value,) = directives()[name]
    return value


def seconds(name: str) -> int:
    return int(one(name).removesuffix("s"))


def test_each_line_is_a_section_a_directive_or_a_comment():
    lines = [line for line in UNIT.read_text().splitlines() if line]

    assert [line for line in lines if line[0] == "["] == ["[Unit]", "[Service]", "[Install]"]
    for line in lines:
        assert re.match(r"#|\[\w+\]$|[A-Z][A-Za-z]+=", line), line


@pytest.mark.skipif(ANALYZE is None, reason="needs systemd-analyze")
def test_systemd_understands_every_line(tmp_path):
    # The program is not installed where the tests run.
    unit = tmp_path / UNIT.name
    unit.write_text(re.sub(r"(?m)^(ExecStart=)\S+", r"\1/bin/true", UNIT.read_text()))
    verified = subprocess.run(
        [ANALYZE, "verify", str(unit)], capture_output=True, text=True, timeout=60, check=False
    )

    said = [line for line in verified.stderr.splitlines() if unit.name in line]
    assert (verified.returncode, said) == (0, [])


@pytest.mark.skipif(ANALYZE is None, reason="needs systemd-analyze")
def test_systemd_finds_the_unit_well_locked_up():
    rated = subprocess.run(
        [ANALYZE, "security", "--offline=true", "--threshold=20", str(UNIT)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert rated.returncode == 0, rated.stdout[-200:] + rated.stderr


def test_what_another_start_would_not_mend_is_not_started_again():
    assert one("Restart") == "on-failure"
    assert set(one("RestartPreventExitStatus").split()) == {"2", "77", "78"}


def test_systemd_waits_for_the_end_of_a_stop():
    defaults = load_settings(
        env={}, overrides={"input.topics": "sensor-readings", "smoothing.half_life": "30s"}
    )

    assert seconds("TimeoutStopSec") > defaults.delivery.shutdown_timeout / 1000 + _LAST_GRACE_S


def test_a_start_takes_as_long_as_compiling_and_restoring_do():
    assert one("Type") == "notify"
    assert one("TimeoutStartSec") == "infinity"


def test_systemd_ends_it_only_where_its_own_guard_has_not():
    assert seconds("WatchdogSec") / 2 > BLOCKED_S  # it is told twice in that time


def test_secrets_are_credentials_named_as_the_settings():
    assert f"{PREFIX}SECRETS_DIR=%d" in directives()["Environment"]
    secret = {f"{PREFIX}{name.replace('.', '__')}".lower() for name in settings()}

    for name in directives()["LoadCredential"]:
        assert name in secret
    for setting in settings().values():
        if setting.is_secret:
            variable = f"{PREFIX}{setting.name.replace('.', '__')}".lower()
            # Without a path it is looked for in /etc/credstore, and may be missing.
            assert variable in directives()["LoadCredential"]


def test_kernels_may_be_compiled_and_are_kept():
    assert "MemoryDenyWriteExecute" not in directives()
    assert one("CacheDirectory") == "stream-ewma"
    assert f"{PREFIX}KERNEL_CACHE_DIR=%C/stream-ewma" in directives()["Environment"]
