"""How much of the process the answers may take: whoever asks, the stream comes first."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

_SHARE: Final = 0.1
_MOST_S: Final = 2.0
_MOST_WAITING: Final = 64


class BusyError(Exception):
    """Too many are waiting already: to wait with them would help nobody."""


class Turns:
    """One answer at a time that costs something, and then a pause as long as nine more.

    What is asked for now and then does not wait; many who ask without end share a tenth of the
    time, as they would share a slower machine. Clients that have gone still have their turn.
    """

    def __init__(self, share: float = _SHARE) -> None:
        self._share = share
        self._turn = asyncio.Lock()
        self._free_at = 0.0
        self._waiting = 0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn, and have it.

        Raises:
            BusyError: too many wait for theirs.
        """
        if self._waiting >= _MOST_WAITING:
            raise BusyError
        self._waiting += 1
        try:
            async with self._one_turn():
                yield
        finally:
            self._waiting -= 1

    @asynccontextmanager
    async def _one_turn(self) -> AsyncIterator[None]:
        async with self._turn:
            await asyncio.sleep(self._free_at - time.monotonic())
            began = time.monotonic()
            try:
                yield
            finally:
                now = time.monotonic()
                # A step that was waited for is no cost of the answer, but bounds what it counts.
                spent = min(now - began, _MOST_S * self._share)
                self._free_at = now + spent * (1 / self._share - 1)


class Rate:
    """So many requests a second; the others wait a little, or are turned away.

    Args:
        a_second: how many.
        at_once: so many may come together after a pause.
    """

    def __init__(self, a_second: float, at_once: float) -> None:
        self._interval_s = 1 / a_second
        self._credit_s = at_once / a_second
        self._next = 0.0

    async def wait(self) -> None:
        """Come in, when it is time.

        Raises:
            BusyError: it would take too long.
        """
        now = time.monotonic()
        following = max(self._next, now - self._credit_s) + self._interval_s
        if following - now > _MOST_S:
            raise BusyError
        self._next = following
        if following > now:
            await asyncio.sleep(following - now)
