"""Look at the dead letters, and send them back to where they came from.

stream-ewma dlq list --config stream-ewma.yaml
stream-ewma dlq show --reason decode --limit 3
stream-ewma dlq show --partition 3 --offset 1042
stream-ewma dlq replay --dry-run
stream-ewma dlq replay --reason future_timestamp
stream-ewma dlq replay --origin sensor-readings-3@1042

`list` counts them by reason and source topic, `show` prints single ones, escaped and cut; --json
prints lines of JSON with all of them, what is not UTF-8 in base64.

`replay` writes key, value, headers and timestamp back as they were, to the topic and partition they
came from, up to the end of the topic as it is now. How far it has come is kept as offsets of the
group APPLICATION_ID-dlq-replay: another `replay` goes on there, and replays no letter twice but
with --again. (One that is killed may repeat the last letters that it wrote.) A replayed reading
gets a new offset and comes late: in event time it is merged where it belongs, with a clock of
readings it counts as the newest; smoothing.late can make it a dead letter again. So does a reading
that is still bad: mend the cause first.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from datetime import datetime
from difflib import get_close_matches
from typing import Final

from stream_ewma.cli import settings_flags
from stream_ewma.cli.dlq_replay import Replay
from stream_ewma.cli.dlq_show import Wanted, list_letters, show_letters, show_one
from stream_ewma.engine.dead_letters import Origin, Reason
from stream_ewma.settings import Settings

FLAGS: Final = (
    *("reason", "since", "limit", "partition", "offset", "json", "origin", "dry-run", "again"),
)
_SHOWN_SETTINGS: Final = {
    *("application_id", "kafka.bootstrap_servers", "input.topics", "dead_letters.topic"),
}
_USAGE: Final = 2
_LIMIT: Final = 10
_FLAGS_OF: Final = {
    "reason": ("list", "show", "replay"),
    "since": ("list", "show"),
    "limit": ("show",),
    "partition": ("show",),
    "offset": ("show",),
    "json": ("list", "show"),
    "origin": ("replay",),
    "dry_run": ("replay",),
    "again": ("replay",),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to do, and with which letters."""
    parser.usage = "%(prog)s list | show | replay [FLAGS]"
    parser.add_argument(
        "action", choices=["list", "show", "replay"], metavar="ACTION", help="see above"
    )
    parser.add_argument("--reason", type=_reason, metavar="REASON", help="letters of that reason")
    parser.add_argument(
        "--since",
        type=_since,
        metavar="TIMESTAMP",
        help="list, show: letters whose timestamp is no earlier, as 2026-01-31T08:00:00Z",
    )
    parser.add_argument(
        "--limit", type=_whole, metavar="N", help=f"show: so many at most [{_LIMIT}]"
    )
    parser.add_argument(
        "--partition", type=_whole, metavar="P", help="show: the one letter in this partition"
    )
    parser.add_argument("--offset", type=_whole, metavar="O", help="show: and at this offset")
    parser.add_argument(
        "--json", action="store_true", default=None, help="list, show: lines of JSON"
    )
    parser.add_argument(
        "--origin",
        type=_origin,
        metavar="TOPIC-PARTITION@OFFSET",
        help="replay: the letter of one record alone",
    )
    parser.add_argument(
        "--dry-run", action="store_true", default=None, help="replay: say what would be written"
    )
    parser.add_argument(
        "--again",
        action="store_true",
        default=None,
        help="replay: from the beginning, also what was replayed before",
    )
    settings_flags.add_arguments(parser, _SHOWN_SETTINGS)
    parser.epilog = "Every other setting of `stream-ewma run` is taken as well, as file or flag."


def run(arguments: argparse.Namespace, unknown: Sequence[str]) -> int:
    """Do it.

    Raises:
        StreamEwmaError: the settings or the brokers do not allow it.
    """
    problem = _misuse(arguments)
    if problem:
        sys.stderr.write(f"stream-ewma dlq {arguments.action}: {problem}\n")
        return _USAGE
    settings = settings_flags.load(arguments, unknown)
    return asyncio.run(_do(arguments, settings))


async def _do(arguments: argparse.Namespace, settings: Settings) -> int:
    wanted = Wanted(arguments.reason, arguments.since, arguments.origin)
    as_json = bool(arguments.json)
    if arguments.action == "list":
        return await list_letters(settings, wanted, as_json=as_json)
    if arguments.action == "replay":
        is_dry, again = bool(arguments.dry_run), bool(arguments.again)
        return await Replay(settings, wanted, is_dry=is_dry, again=again).run()
    if arguments.partition is not None:
        return await show_one(settings, arguments.partition, arguments.offset, as_json=as_json)
    limit = _LIMIT if arguments.limit is None else arguments.limit
    return await show_letters(settings, wanted, limit, as_json=as_json)


def _misuse(arguments: argparse.Namespace) -> str:
    """What is wrong with the arguments beside each other, or nothing."""
    for flag, owners in _FLAGS_OF.items():
        if getattr(arguments, flag) is not None and arguments.action not in owners:
            name = flag.replace("_", "-")
            return f"--{name} is for {' and '.join(f'`dlq {owner}`' for owner in owners)}"
    if (arguments.partition is None) != (arguments.offset is None):
        return "write --partition and --offset together, as: --partition 3 --offset 1042"
    if arguments.partition is not None and (
        arguments.reason or arguments.limit is not None or arguments.since is not None
    ):
        return "--partition and --offset name one letter: leave the other filters out"
    if arguments.origin is not None and arguments.reason is not None:
        return "--origin names one letter: leave --reason out"
    return ""


def _whole(text: str) -> int:
    if not text.isdecimal() or len(text) > 18:
        raise argparse.ArgumentTypeError(f"'{text}': write a whole number")
    return int(text)


def _reason(text: str) -> str:
    labels = [reason.label for reason in Reason]
    if text not in labels:
        close = get_close_matches(text, labels, 1)
        advice = f"write {close[0]}" if close else f"write one of {', '.join(labels)}"
        raise argparse.ArgumentTypeError(f"'{text}' is not a reason; {advice}")
    return text


def _since(text: str) -> int:
    advice = f"'{text}': write a time with its zone, as 2026-01-31T08:00:00Z"
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(advice) from None
    if moment.tzinfo is None:
        raise argparse.ArgumentTypeError(advice)
    return round(moment.timestamp() * 1000)


def _origin(text: str) -> Origin:
    place, _, offset = text.rpartition("@")
    topic, _, partition = place.rpartition("-")
    if not topic or not all(each.isdecimal() and len(each) < 19 for each in (partition, offset)):
        raise argparse.ArgumentTypeError(
            f"'{text}': write topic, partition and offset as sensor-readings-3@1042"
        )
    return Origin(topic, int(partition), int(offset))
