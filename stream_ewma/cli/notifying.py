"""Telling the service manager how it is: `Type=notify` of systemd, and whoever speaks the same."""

import asyncio
import logging
import socket
from collections.abc import Mapping

_log = logging.getLogger(__name__)


class Notifier:
    """Sends a line where $NOTIFY_SOCKET says; without that it does nothing.

    Args:
        env: the variables that the manager has set.
    """

    def __init__(self, env: Mapping[str, str]) -> None:
        address = env.get("NOTIFY_SOCKET", "")
        # @ stands for the zero byte that an address outside of the file system begins with.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        within_us = env.get("WATCHDOG_USEC", "")
        self._pause_s = int(within_us) / 2e6 if within_us.isdecimal() else 0.0

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
                sending.setblocking(False)
                sending.sendto(line.encode(), self._address)
        except OSError as error:
            _log.warning("%s could not be told to NOTIFY_SOCKET: %s", line, error)
