r"""Look at the kept state, copy it, take it away.

stream-ewma state get pump-7 --config stream-ewma.yaml
stream-ewma state list --keys 'pump-*' --limit 10
stream-ewma state export state.jsonl
stream-ewma state import state.jsonl --application_id another
stream-ewma state reset --to 2026-01-31T08:00:00Z

`get` prints the state of a key, `list` a JSON line for each key, as of their last readings.
`export` writes .jsonl (also .jsonl.gz) or .parquet, `-` is JSON lines to standard output; `import`
reads that into an empty changelog, of another application_id or cluster. `reset` forgets every key
and the group's offsets: the next start begins at input.start, or where --to says. While the service
runs, `import` and `reset` refuse. A byte of a key that is not UTF-8 is \xNN, a backslash \\.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from typing import Final

from stream_ewma.cli import settings_flags, state_copy, state_reset, state_show
from stream_ewma.errors import SettingsError, StateError
from stream_ewma.settings import Settings

FLAGS: Final = ("topic", "keys", "limit", "to", "yes")
_SHOWN_SETTINGS: Final = {"application_id", "kafka.bootstrap_servers", "input.topics"}
_USAGE: Final = 2
_SUBJECTS: Final = {"get": "KEY", "list": None, "export": "FILE", "import": "FILE", "reset": None}
_FLAGS_OF: Final = {"keys": "list", "limit": "list", "to": "reset", "yes": "reset"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to do, and to what."""
    parser.usage = "%(prog)s get KEY | list | export FILE | import FILE | reset [FLAGS]"
    parser.add_argument("action", choices=list(_SUBJECTS), metavar="ACTION", help="see above")
    parser.add_argument("subject", nargs="?", metavar="KEY|FILE", help="what `get` and so on need")
    parser.add_argument(
        "--topic", metavar="NAME", help="the input topic; default: those of input.topics"
    )
    parser.add_argument("--keys", metavar="PATTERN", help="list: keys that match, as pump-*")
    parser.add_argument("--limit", type=_whole, metavar="N", help="list: so many keys at most")
    parser.add_argument(
        "--to",
        metavar="earliest|latest|TIMESTAMP",
        help="reset: where the next start begins; default: as input.start says",
    )
    parser.add_argument(
        "--yes", action="store_true", default=None, help="reset: do not ask for confirmation"
    )
    settings_flags.add_arguments(parser, _SHOWN_SETTINGS)
    parser.epilog = "Every other setting of `stream-ewma run` is taken as well, as file or flag."


def _whole(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"'{text}': write a whole number")
    return int(text)


def run(arguments: argparse.Namespace, unknown: Sequence[str]) -> int:
    """Do it.

    Raises:
        StreamEwmaError: the settings, the state or the file do not allow it.
    """
    problem = _misuse(arguments)
    if problem:
        sys.stderr.write(f"stream-ewma state {arguments.action}: {problem}\n")
        return _USAGE
    more = {} if arguments.to is None else {"input.start": arguments.to}
    settings = settings_flags.load(arguments, unknown, more=more)
    if not settings.state.durable:
        raise StateError("state.durable is false, so no state is kept; write true to keep it")
    topics = [arguments.topic] if arguments.topic else list(settings.input.topics)
    if arguments.action == "reset" and not arguments.yes and not _is_sure(settings, only(topics)):
        return _USAGE
    return asyncio.run(_do(arguments, settings, topics))


async def _do(arguments: argparse.Namespace, settings: Settings, topics: list[str]) -> int:
    subject = arguments.subject
    match arguments.action:
        case "get":
            code = await state_show.get(settings, topics, subject)
        case "list":
            wanted = state_show.Wanted(arguments.keys, arguments.limit)
            code = await state_show.list_keys(settings, topics, wanted)
        case "export":
            code = await state_copy.export(settings, only(topics), subject)
        case "import":
            code = await state_copy.import_(settings, only(topics), subject)
        case _:
            has_start = arguments.to is not None
            code = await state_reset.reset(settings, only(topics), has_start=has_start)
    return code


def _misuse(arguments: argparse.Namespace) -> str:
    """What is wrong with the arguments beside each other, or nothing."""
    action, subject = arguments.action, _SUBJECTS[arguments.action]
    if subject and arguments.subject is None:
        return f"write the {subject}: stream-ewma state {action} {subject}"
    if not subject and arguments.subject is not None:
        return f"'{arguments.subject}' is not needed; leave it out"
    for flag, owner in _FLAGS_OF.items():
        if getattr(arguments, flag) is not None and action != owner:
            return f"--{flag} is for `state {owner}`"
    return ""


def only(topics: Sequence[str]) -> str:
    """The one topic.

    Raises:
        SettingsError: there are several.
    """
    if len(topics) > 1:
        raise SettingsError([f"command line: --topic: write one of {', '.join(topics)}"])
    return topics[0]


def _is_sure(settings: Settings, topic: str) -> bool:
    """Whether whoever sits at the terminal wants the state to be lost."""
    if not sys.stdin.isatty():
        sys.stderr.write("stream-ewma state reset: write --yes: every key's state will be lost\n")
        return False
    question = (
        f"{topic}: forget the state of every key that {settings.application_id} keeps? [y/N] "
    )
    sys.stderr.write(question)
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() in {"y", "yes"}:
        return True
    sys.stderr.write("nothing was changed\n")
    return False
