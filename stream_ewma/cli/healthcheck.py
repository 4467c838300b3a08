"""Ask the member on this machine whether it is ready, or but alive; for containers and scripts.

stream-ewma healthcheck
stream-ewma healthcheck --live --config stream-ewma.yaml

Exit code 0 if it is, else 1. The member is asked at http.host and http.port.
"""

import argparse
import http.client
import json
import sys
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any, Final

from stream_ewma.cli import settings_flags
from stream_ewma.settings.sections import HttpSettings

FLAGS: Final = ("live",)
_SHOWN_SETTINGS: Final = {"http.host", "http.port"}
_TIMEOUT_S: Final = 3.0
_UNWELL: Final = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which probe, and the settings that say where."""
    parser.add_argument(
        "--live", action="store_true", default=None, help="ask /livez; default: /readyz"
    )
    settings_flags.add_arguments(parser, _SHOWN_SETTINGS)
    parser.epilog = "Every other setting of `stream-ewma run` is taken as well, as file or flag."


def run(arguments: argparse.Namespace, unknown: Sequence[str]) -> int:
    """Ask, and say the answer in one line.

    Raises:
        SettingsError: the settings are wrong.
    """
    section = settings_flags.load(arguments, unknown).http
    is_well, line = _asked(section, "/livez" if arguments.live else "/readyz")
    (sys.stdout if is_well else sys.stderr).write(f"{line}\n")
    return 0 if is_well else _UNWELL


def _asked(section: HttpSettings, path: str) -> tuple[bool, str]:
    if not section.enabled or section.port == 0:
        wrong = "http.enabled is false; write true"
        if section.enabled:
            wrong = "http.port is 0, any free one; write a port"
        return False, f"there is nobody to ask: {wrong}"
    host = _local(section.host)
    connection = http.client.HTTPConnection(host, section.port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        found = json.loads(answer.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        return False, f"no answer at {host}:{section.port}: {error or type(error).__name__}"
    finally:
        connection.close()
    if not isinstance(found, dict) or "status" not in found:
        where = f"{host}:{section.port}"
        return False, f"what answers at {where} is not stream-ewma; mend http.host or http.port"
    return answer.status == http.client.OK, _line(found)


def _line(found: dict[str, Any]) -> str:
    checks = found.get("checks")
    failing = checks if found["status"] != "ok" and isinstance(checks, dict) else {}
    causes = "; ".join(f"{name}: {text}" for name, text in failing.items())
    return f"{found['status']}: {causes}" if causes else str(found["status"])


def _local(host: str) -> str:
    """The address for who is here, of one that is for everybody."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if not address.is_unspecified:
        return host
    return "127.0.0.1" if address.version == 4 else "::1"
