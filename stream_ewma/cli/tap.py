"""Show readings of a running member as they come in, each with what it became.

stream-ewma tap
stream-ewma tap --key pump-7 --key pump-8
stream-ewma tap --limit 100 --format json | jq .outputs
stream-ewma tap --rejected

Without --key, some readings of each step, of whatever keys; with it, all of those keys' (of more
than 100 of a key in one step the newest). The member never waits for this command: what it cannot
show in time is left out, and that is told. --rejected shows dead letters instead: the last ones,
up to 200, then those that follow.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any, Final

import orjson

from stream_ewma.cli import member as of_member
from stream_ewma.cli.member import member_of, visible
from stream_ewma.cli.tables import is_ascii_only
from stream_ewma.engine.stored import key_bytes, key_text
from stream_ewma.web.client import LOST, OPEN, Event, Member

FLAGS: Final = ("address", "key", "limit", "format", "rejected")
_OTHERS: Final = 100
_MOST_KEYS: Final = 200
_MOST_SEEN: Final = 1_000
"""More dead letters than a member keeps."""
_PREVIEW: Final = 120
_KINDS: Final = {"tombstone": "forgotten", "held": "held", "stale": "silent"}
_Place = tuple[object, ...]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What is shown, and how."""
    parser.usage = "%(prog)s [--key K ...] [FLAGS]"
    parser.add_argument(
        "--key",
        action="append",
        default=[],
        metavar="K",
        help="show all of this key's; may be written up to 200 times",
    )
    parser.add_argument("--limit", type=_limit, metavar="N", help="end after so many lines")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="default: text")
    parser.add_argument(
        "--rejected", action="store_true", help="show dead letters, with their reason"
    )
    of_member.add_arguments(parser)


def _limit(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}': write a whole number from 1 up")
    return int(text)


def run(arguments: argparse.Namespace, unknown: Sequence[str]) -> int:
    """Show lines until it is enough.

    Raises:
        StreamEwmaError: the settings are wrong, or there is no such member.
    """
    if len(arguments.key) > _MOST_KEYS:
        sys.stderr.write(f"stream-ewma tap: write --key at most {_MOST_KEYS} times\n")
        return 2
    member = member_of(arguments, unknown, FLAGS)
    asyncio.run(_Tap(arguments).run(member))
    return 0


class _Tap:
    """The lines, and what is told of them on standard error.

    Args:
        arguments: of the command.
    """

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._keys = [key_text(key_bytes(key)) for key in arguments.key]
        self._limit, self._is_json = arguments.limit, arguments.format == "json"
        self._wanted = "rejected" if arguments.rejected else "sample"
        self._ascii_only = is_ascii_only()
        self._shown = self._missed = 0
        self._is_lost = False
        self._seen: dict[_Place, None] = {}

    async def run(self, member: Member) -> None:
        """Show what the member tells, until there are enough lines."""
        # Dead letters come anyway.
        watched = self._wanted == "sample"
        keys, others = (self._keys, 0 if self._keys else _OTHERS) if watched else ([], 0)
        async with member, aclosing(member.events(keys, others=others)) as events:
            async for event in events:
                if event.name == self._wanted:
                    self._show(event.data)
                else:
                    self._tell(event, member.address)
                if self._limit is not None and self._shown >= self._limit:
                    return

    def _show(self, data: dict[str, Any]) -> None:
        if self._wanted == "rejected" and not self._is_news(data):
            return
        if self._is_json:
            line = orjson.dumps(data).decode()
        elif self._wanted == "rejected":
            line = rejected_text(data, ascii_only=self._ascii_only)
        else:
            line = sample_text(data, ascii_only=self._ascii_only)
        sys.stdout.write(f"{line}\n")
        # At once: the next one may take its time.
        sys.stdout.flush()
        self._shown += 1

    def _is_news(self, data: dict[str, Any]) -> bool:
        """Whether a dead letter was not shown yet, and is wanted."""
        if self._keys and data.get("key") not in self._keys:
            return False
        place = (data.get("topic"), data.get("partition"), data.get("offset"))
        # A member tells its last ones anew to a connection that is new.
        if place in self._seen:
            return False
        self._seen[place] = None
        if len(self._seen) > _MOST_SEEN:
            del self._seen[next(iter(self._seen))]
        return True

    def _tell(self, event: Event, address: str) -> None:
        """Say on standard error what is not seen in the lines."""
        text = ""
        if event.name == OPEN:
            text, self._is_lost, self._missed = f"watching {address}", False, 0
        elif event.name == LOST and not self._is_lost:
            text, self._is_lost = f"{event.data['reason']}; reconnecting", True
        elif event.name == "status" and self._wanted == "sample":
            missed = int(event.data.get("missed", 0))
            if missed > self._missed:
                text = f"{missed - self._missed:,} left out: they came faster than they were shown"
            self._missed = missed
        if text:
            sys.stderr.write(f"{visible(text, ascii_only=True)}\n")
            sys.stderr.flush()


def sample_text(data: dict[str, Any], *, ascii_only: bool = False) -> str:
    """A smoothed reading on one line: where it is, its key, its values and what they became."""
    kind = _KINDS.get(data["kind"])
    values = _pairs(data["values"]) or "null"
    outputs = "" if data["kind"] == "tombstone" else _pairs(data["outputs"], named=True)
    became = " ".join(part for part in (f"({kind})" if kind else "", outputs) if part)
    line = f"{_place(data)}  {data['key']}  {values} -> {became}"
    return visible(line, ascii_only=ascii_only)


def rejected_text(data: dict[str, Any], *, ascii_only: bool = False) -> str:
    """A dead letter on one line: where it is, its key, why, and how it begins."""
    key = "(no key)" if data["key"] is None else data["key"]
    preview = data["preview"]
    shown = "null" if preview is None else visible(preview[:_PREVIEW], ascii_only=ascii_only)
    if preview is not None and (len(preview) > _PREVIEW or data["size"] > len(preview.encode())):
        shown += f"... ({data['size']:,} bytes)"
    line = visible(f"{_place(data)}  {key}  {data['reason']}", ascii_only=ascii_only)
    return f"{line}: {shown}"


def _place(data: dict[str, Any]) -> str:
    return f"{data['topic']}-{data['partition']}@{data['offset']}"


def _pairs(values: dict[str, Any], *, named: bool = False) -> str:
    """Names with their values as JSON writes them; the name of a value alone says nothing."""
    if not named and list(values) == ["value"]:
        return orjson.dumps(values["value"]).decode()
    return " ".join(f"{name}={orjson.dumps(value).decode()}" for name, value in values.items())
