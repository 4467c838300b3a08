"""Where the demo shows itself: redrawn in place on a terminal, or in plain lines anywhere else."""

import sys
from types import TracebackType
from typing import Final, Protocol, Self

from rich.console import Console
from rich.live import Live

from stream_ewma.demo.report import progress
from stream_ewma.demo.tally import Tally
from stream_ewma.demo.view import Situation, render

_PLAIN_INTERVAL_S: Final = 1.0


class Display(Protocol):
    """Shows the tally until its `with` block ends."""

    def show(self, tally: Tally, situation: Situation) -> None:
        """Show the present."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class TerminalDisplay:
    """The terminal's other screen, so that what stood there before comes back at the end."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, screen=True, auto_refresh=False)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def show(self, tally: Tally, situation: Situation) -> None:
        """Draw one frame in the terminal's present size."""
        width, height = self._console.size
        self._live.update(render(tally, situation, width, height), refresh=True)


class PlainDisplay:
    """A line for each series and second."""

    def __init__(self) -> None:
        self._next_s = _PLAIN_INTERVAL_S

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing to put back."""

    def show(self, tally: Tally, situation: Situation) -> None:
        """Print when another second has passed since smoothing began."""
        if situation.elapsed_s < self._next_s:
            return
        self._next_s += _PLAIN_INTERVAL_S
        say(*progress(tally, situation.elapsed_s))


def say(*lines: str) -> None:
    """Print `lines` to standard output at once, whatever of them its encoding can."""
    encoding = sys.stdout.encoding
    text = "".join(f"{line}\n" for line in lines)
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
    sys.stdout.flush()


def choose(plain: bool) -> Display:
    """The terminal's display where there is a real terminal that shows braille."""
    console = Console()
    utf8 = console.encoding.startswith("utf")
    if plain or not utf8 or not console.is_terminal or console.is_dumb_terminal:
        return PlainDisplay()
    return TerminalDisplay(console)
