"""`check --online`: what the service needs of the brokers, a line for each thing."""

import asyncio
import logging
import os
import sys
from collections import Counter
from typing import Final

from stream_ewma.cli.check import FINDINGS
from stream_ewma.cli.recorded import printable
from stream_ewma.cli.tables import counted, is_ascii_only
from stream_ewma.kafka.online import bootstrap_ticks, cluster_ticks
from stream_ewma.kafka.ticks import Sign, Tick
from stream_ewma.settings import Settings
from stream_ewma.settings.sources import process_environment

_SIGNS: Final = {Sign.GOOD: "✓", Sign.WARNING: "!", Sign.PROBLEM: "✗", Sign.UNKNOWN: "?"}
_PLAIN_SIGNS: Final = {
    Sign.GOOD: "ok",
    Sign.WARNING: "warning",
    Sign.PROBLEM: "PROBLEM",
    Sign.UNKNOWN: "?",
}
_COLOURS: Final = {Sign.GOOD: "32", Sign.WARNING: "33", Sign.PROBLEM: "31", Sign.UNKNOWN: "2"}


def run_online(settings: Settings, *, warned: int, deny_warnings: bool) -> int:
    """Look at everything; 0 if it is good, 1 if not, 69 or 77 if no broker lets this client in.

    Args:
        settings: everything.
        warned: how many warnings there were before.
        deny_warnings: they are findings, too.
    """
    # aiokafka logs what the lines here say better.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    seen = Counter({Sign.WARNING: warned})
    return asyncio.run(_run(settings, seen, deny_warnings=deny_warnings))


async def _run(settings: Settings, seen: Counter[Sign], *, deny_warnings: bool) -> int:
    plain = is_ascii_only()
    coloured = sys.stdout.isatty() and not process_environment().get("NO_COLOR")

    def show(tick: Tick) -> None:
        seen[tick.sign] += 1
        sys.stdout.write(tick_line(tick, plain=plain, coloured=coloured))
        sys.stdout.flush()

    is_denied = has_arrived = False
    async for tick, has_arrived in bootstrap_ticks(settings):  # noqa: B007  the last one counts
        show(tick)
        is_denied |= tick.is_denied
    if not has_arrived:
        sys.stdout.write("no broker lets this client in: nothing more can be looked at\n")
        return os.EX_NOPERM if is_denied else os.EX_UNAVAILABLE
    async for tick in cluster_ticks(settings):
        show(tick)
    sys.stdout.write(summary(seen))
    is_bad = seen[Sign.PROBLEM] or (deny_warnings and seen[Sign.WARNING])
    return FINDINGS if is_bad else 0


def tick_line(tick: Tick, *, plain: bool, coloured: bool) -> str:
    """One line.

    Args:
        tick: what it says.
        plain: ASCII only.
        coloured: whether the terminal shows colours.
    """
    sign = (_PLAIN_SIGNS if plain else _SIGNS)[tick.sign]
    if coloured:
        sign = f"\x1b[{_COLOURS[tick.sign]}m{sign}\x1b[0m"
    return f"{sign} {printable(tick.what, ascii_only=plain)}\n"


def summary(seen: Counter[Sign]) -> str:
    """How many of each there were."""
    parts = [
        counted(seen[sign], sign.value)
        for sign in (Sign.PROBLEM, Sign.WARNING)
        if seen[sign]
    ]  # fmt: skip
    return f"{', '.join(parts) or 'all is well'}\n"
