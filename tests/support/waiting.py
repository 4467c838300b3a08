"""Waiting for a condition, never for a fixed time."""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PAUSE_S = 0.02


def wait_until(
    condition: Callable[[], T], *, timeout_s: float = 60, what: Callable[[], str] | str = ""
) -> T:
    """Call `condition` until it is true and return what it said.

    Raises:
        TimeoutError: it stayed false for `timeout_s`; the message is `what`.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise TimeoutError(what() if callable(what) else what or repr(condition))
        time.sleep(PAUSE_S)


async def until(
    condition: Callable[[], T], *, timeout_s: float = 60, what: Callable[[], str] | str = ""
) -> T:
    """Call `condition` as `wait_until` does, leaving the event loop free in between."""
    deadline = time.monotonic() + timeout_s
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise TimeoutError(what() if callable(what) else what or repr(condition))
        await asyncio.sleep(PAUSE_S)
