"""`top` on the alternate screen of a terminal, and what is typed there."""

import asyncio
import copy
import os
import signal
import sys
import termios
import time
import tty
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, contextmanager, suppress
from dataclasses import replace
from typing import Final

from rich.console import Console
from rich.live import Live

from stream_ewma.cli.top_board import Board
from stream_ewma.cli.top_view import VIEWS, Look, render
from stream_ewma.web.client import Event, Member

_FRAME_S: Final = 0.5
_BURST_S: Final = 0.03
"""Frames are at least so far apart."""
_ARROWS: Final = {"\x1b[A": "k", "\x1b[B": "j", "\x1bOA": "k", "\x1bOB": "j", "\x1b[Z": "\t"}
_ESCAPE: Final = "\x1b"
_RUB_OUT: Final = ("\x7f", "\b")
_MOST_TYPED: Final = 200


class Screen:
    """The board, how it is looked at, and what keys do to that.

    Args:
        board: what is known of the member.
        ascii_only: whether the terminal shows nothing else.

    Attributes:
        look: how it is looked at.
        is_done: whether the user has had enough.
        changed: set when there is something new to draw.
    """

    def __init__(self, board: Board, *, ascii_only: bool = False) -> None:
        self._board = board
        self._frozen: tuple[Board, float] | None = None
        self.look = Look(ascii_only=ascii_only)
        self.is_done = False
        self.changed = asyncio.Event()

    def take(self, event: Event) -> None:
        """Take in what the member told."""
        self._board.take(event, time.monotonic())
        if event.name != "sample":  # there are many, and a status soon
            self.changed.set()

    def shown(self) -> tuple[Board, float]:
        """The board, and its time: now, or when it was paused."""
        return self._frozen or (self._board, time.monotonic())

    def press(self, typed: str) -> None:
        """Do what some keys mean."""
        for each in _keys(typed):
            if self.look.is_typing:
                self._type(each)
            else:
                self._command(each)
        self.changed.set()

    def end(self) -> None:
        """The user has had enough."""
        self.is_done = True
        self.changed.set()

    def _command(self, key: str) -> None:
        look = self.look
        if key in ("q", "Q"):
            self.end()
        elif key == " ":
            self._frozen = None if self._frozen else copy.deepcopy(self.shown())
            self.look = replace(look, is_paused=self._frozen is not None)
        elif key == "/":
            self.look = replace(look, is_typing=True)
        elif key == "\t":
            following = VIEWS[(VIEWS.index(look.view) + 1) % len(VIEWS)]
            self.look = replace(look, view=following, skip=0)
        elif key in ("j", "k"):
            self.look = replace(look, skip=max(look.skip + (1 if key == "j" else -1), 0))
        elif key == _ESCAPE:
            self.look = replace(look, prefix="", skip=0)

    def _type(self, key: str) -> None:
        look = self.look
        if key in ("\r", "\n"):
            self.look = replace(look, is_typing=False)
        elif key == _ESCAPE:
            self.look = replace(look, is_typing=False, prefix="", skip=0)
        elif key in _RUB_OUT:
            self.look = replace(look, prefix=look.prefix[:-1], skip=0)
        elif key.isprintable() and len(look.prefix) < _MOST_TYPED:
            self.look = replace(look, prefix=look.prefix + key, skip=0)


def _keys(typed: str) -> Iterator[str]:
    """Single keys; arrows are as the letters that do the same, other sequences are left out."""
    if typed.startswith(_ESCAPE) and len(typed) > 1:
        known = _ARROWS.get(typed[:3])
        if known is not None:
            yield known
            yield from _keys(typed[3:])
        return
    if typed:
        yield typed[0]
        yield from _keys(typed[1:])


async def live(member: Member, others: int, *, ascii_only: bool) -> None:
    """Show the member until the user has had enough.

    Raises:
        StreamEwmaError: there is no such member.
    """
    screen = Screen(Board(member.address), ascii_only=ascii_only)
    async with member, aclosing(member.events(others=others)) as events:
        # Before the screen is taken: a member that is not there is told on the usual one.
        screen.take(await anext(events))
        following = asyncio.create_task(_follow(events, screen))
        try:
            with _signals(screen), _typing(screen):
                await _draw(screen, following)
        finally:
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following


async def _follow(events: AsyncIterator[Event], screen: Screen) -> None:
    try:
        async for event in events:
            screen.take(event)
    finally:
        screen.changed.set()


async def _draw(screen: Screen, following: "asyncio.Task[None]") -> None:
    console = Console()
    with Live(console=console, screen=True, auto_refresh=False) as display:
        while not screen.is_done and not following.done():
            screen.changed.clear()
            width, height = console.size
            board, now = screen.shown()
            frame = render(board, screen.look, now, width, height)
            display.update(frame, refresh=True)
            with suppress(TimeoutError):
                await asyncio.wait_for(screen.changed.wait(), _FRAME_S)
            await asyncio.sleep(_BURST_S)


@contextmanager
def _signals(screen: Screen) -> Iterator[None]:
    """Leave the screen as it was, also when asked to stop; draw anew in another size."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, screen.end)
    loop.add_signal_handler(signal.SIGWINCH, screen.changed.set)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
        loop.remove_signal_handler(signal.SIGWINCH)


@contextmanager
def _typing(screen: Screen) -> Iterator[None]:
    """Hear single keys, where standard input is a terminal."""
    if not sys.stdin.isatty():
        yield
        return
    loop, keyboard = asyncio.get_running_loop(), sys.stdin.fileno()

    def read() -> None:
        typed = os.read(keyboard, 1024)
        if typed:
            screen.press(typed.decode(errors="replace"))
        else:  # the terminal is gone
            screen.end()

    before = termios.tcgetattr(keyboard)
    tty.setcbreak(keyboard, termios.TCSADRAIN)
    loop.add_reader(keyboard, read)
    try:
        yield
    finally:
        loop.remove_reader(keyboard)
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
