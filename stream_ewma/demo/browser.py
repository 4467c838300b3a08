"""The live page of the demo: a port for it, and a browser where somebody sits in front of one."""

import os
import socket
import sys
import threading
import webbrowser
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

_PORT: Final = 9464
_REMOTE: Final = ("CI", "SSH_CLIENT", "SSH_CONNECTION", "SSH_TTY")
_DISPLAYS: Final = ("DISPLAY", "WAYLAND_DISPLAY")


def free_port() -> int:
    """The service's usual port; another one, where that is taken."""
    for port in (_PORT, 0):
        with socket.socket() as sock, suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("127.0.0.1", port))
            found: int = sock.getsockname()[1]
            return found
    return 0


def show_page(address: str) -> None:
    """Open the page in a browser, without waiting, on a desktop; else do nothing."""
    if sys.stdout.isatty() and has_desktop(os.environ, sys.platform):
        threading.Thread(target=_open, args=(address,), daemon=True).start()


def has_desktop(environment: Mapping[str, str], platform: str) -> bool:
    """Whether a browser would open before the eyes of the one who typed the command."""
    if any(environment.get(name) for name in _REMOTE):
        return False
    return platform == "darwin" or any(environment.get(name) for name in _DISPLAYS)


def _open(address: str) -> None:
    with suppress(webbrowser.Error):
        browser = webbrowser.get()
        # The plain class is for browsers in the terminal, which the demo draws on itself.
        if type(browser) is not webbrowser.GenericBrowser:
            browser.open(address)
