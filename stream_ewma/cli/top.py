"""Watch a running member, live: how it is, its rates, partitions and busiest keys.

stream-ewma top
stream-ewma top --address 127.0.0.1:9464
stream-ewma top --once --json | jq .per_second

Keys: q quits, space pauses, / shows only names that begin with what is typed, Tab switches between
the tables, j and k scroll. Where standard output is no terminal, one plain snapshot is printed, as
by --once. The keys shown are those seen in samples of the stream; `state list` has all. A member
that is started anew is waited for.
"""

import argparse
import asyncio
import shutil
import sys
import time
from collections.abc import Sequence
from contextlib import aclosing
from typing import Final

import orjson

from stream_ewma.cli import member as of_member
from stream_ewma.cli.member import member_of
from stream_ewma.cli.tables import is_ascii_only
from stream_ewma.cli.top_board import Board
from stream_ewma.cli.top_screen import live
from stream_ewma.cli.top_view import snapshot
from stream_ewma.errors import MemberUnavailableError
from stream_ewma.web.client import LOST, Member

FLAGS: Final = ("address", "once", "json")
OTHERS: Final = 50
_PIPE_COLUMNS: Final = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What is printed."""
    parser.add_argument("--once", action="store_true", help="print one snapshot, and end")
    parser.add_argument("--json", action="store_true", help="the snapshot as JSON, on one line")
    of_member.add_arguments(parser)


def run(arguments: argparse.Namespace, unknown: Sequence[str]) -> int:
    """Show the member.

    Raises:
        StreamEwmaError: the settings are wrong, or there is no such member.
    """
    member = member_of(arguments, unknown, FLAGS)
    if not (arguments.once or arguments.json) and sys.stdout.isatty():
        asyncio.run(live(member, OTHERS, ascii_only=is_ascii_only()))
        return 0
    board = asyncio.run(_observed(member))
    now = time.monotonic()
    if arguments.json:
        sys.stdout.write(orjson.dumps(board.document(now)).decode() + "\n")
        return 0
    width = shutil.get_terminal_size((_PIPE_COLUMNS, 0)).columns
    sys.stdout.write(snapshot(board, now, width, ascii_only=is_ascii_only()))
    return 0


async def _observed(member: Member) -> Board:
    """What the member tells in about a second, which is what rates need."""
    board = Board(member.address)
    async with member, aclosing(member.events(others=OTHERS)) as events:
        async for event in events:
            if event.name == LOST:
                raise MemberUnavailableError(event.data["reason"])
            board.take(event, time.monotonic())
            if board.rates is not None:
                break
    return board
