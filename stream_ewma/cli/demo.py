"""See it work on live input, with nothing but this package.

stream-ewma demo
stream-ewma demo --half-life 10s
stream-ewma demo --source simulated --keys 100 --rate 10000
"""

import argparse
import os
import sys

from stream_ewma.errors import SettingsError
from stream_ewma.settings.values import parse_duration

TAKES_SETTINGS = False
_EXTRA = ("confluent_kafka", "psutil", "rich")
_DEFAULT_KEYS = 8
_DEFAULT_HALF_LIFE = "3s"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of the command."""
    parser.usage = "%(prog)s [FLAGS]"
    parser.add_argument(
        "--source",
        choices=("machine", "simulated"),
        default="machine",
        help="this machine's own metrics (default), or simulated sensors",
    )
    parser.add_argument(
        "--keys", type=_whole, metavar="N", help="number of simulated sensors (default 8)"
    )
    parser.add_argument(
        "--seed", type=_seed, metavar="N", help="of the simulated sensors (default 1)"
    )
    parser.add_argument(
        "--rate",
        type=_positive,
        metavar="N",
        help="readings a second, all series together (default: 10 of each)",
    )
    factor = parser.add_mutually_exclusive_group()
    factor.add_argument(
        "--half-life",
        type=_half_life,
        metavar="DURATION",
        help="event time after which a reading's weight is halved (default 3s)",
    )
    factor.add_argument(
        "--alpha", type=_alpha, metavar="NUMBER", help="weight of each new reading, in (0, 1]"
    )
    parser.add_argument(
        "--seconds",
        type=_positive,
        metavar="N",
        help="end by itself this long after the first smoothed reading",
    )
    parser.add_argument(
        "--no-browser", action="store_true", help="do not open the live page, even on a desktop"
    )
    parser.add_argument("--plain", action="store_true", help="plain lines, even on a terminal")


def run(args: argparse.Namespace) -> int:
    """Run the demo; the process's exit code.

    Raises:
        StreamEwmaError: the flags contradict each other, or a part of the demo failed.
    """
    simulated = args.source == "simulated"
    if not simulated and (args.keys is not None or args.seed is not None):
        raise SettingsError(["demo: --keys and --seed: add --source simulated"])
    try:
        from stream_ewma.demo import session  # noqa: PLC0415  needs the optional extra
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        sys.stderr.write("the demo needs its extra: pip install 'stream-ewma[demo]'\n")
        return os.EX_UNAVAILABLE
    half_life = ("half_life", args.half_life or _DEFAULT_HALF_LIFE)
    options = session.Options(
        simulated=simulated,
        keys=args.keys or _DEFAULT_KEYS,
        rate=args.rate,
        seed=1 if args.seed is None else args.seed,
        factor=half_life if args.alpha is None else ("alpha", repr(args.alpha)),
        seconds=args.seconds,
        plain=args.plain,
        browser=not (args.no_browser or args.plain),
    )
    if not session.run(options):
        # The service is compiling and cannot be told to stop; Python would wait for it to finish.
        sys.stdout.flush()
        os._exit(0)
    return 0


def _whole(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: write a whole number from 1 up")
    return int(text)


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text}: write a whole number from 0 up")
    return int(text)


def _positive(text: str) -> float:
    value = _number(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text}: write a number above 0")
    return value


def _alpha(text: str) -> float:
    value = _number(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text}: write a number above 0, at most 1")
    return value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text}: write a number") from None


def _half_life(text: str) -> str:
    try:
        milliseconds = parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if milliseconds == 0:
        raise argparse.ArgumentTypeError("0 is not a half-life; write a duration such as 3s")
    return text
