"""Telling the service manager how it is: `Type=notify` of systemd, and whoever speaks the same."""

import asyncio
import logging
import socket
from collections.abc import Mapping
from typing import Final

_log = logging.getLogger(__name__)

_PATIENCE_S: Final = 1.0


class Notifier:
    """Sends a line where $NOTIFY_SOCKET says; without that it does nothing.

    Args:
        env: the variables that the manager has set.
    """

    def __init__(self, env: Mapping[str, str]) -> None:
        # @ stands for the zero byte that an address outside of the file system begins with.
        self._address = env.get("NOTIFY_SOCKET", "").replace("@", "\0", 1)
        self._pause_s = int(env.get("WATCHDOG_USEC", "0")) / 2e6

    def feed(self) -> None:
        """Tell from now on, from the running event loop, that it turns, if that is asked for."""
        if self._address and self._pause_s:
            self.tell("WATCHDOG=1")
            asyncio.get_running_loop().call_later(self._pause_s, self.feed)

    def tell(self, line: str) -> None:
        """Send a line; a manager that does not take it keeps nobody from smoothing."""
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sending:
                sending.settimeout(_PATIENCE_S)
                sending.sendto(line.encode(), self._address)
        except OSError as error:
            _log.warning("%s could not be told to NOTIFY_SOCKET: %s", line, error)
