"""`top` on a terminal: the member's totals, its partitions, and its busiest keys."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich.cells import cell_len, set_cell_size
from rich.console import Group
from rich.text import Text

from stream_ewma.cli.member import visible
from stream_ewma.cli.tables import counted
from stream_ewma.cli.top_board import Board, SeenKey, by_trouble, place

VIEWS: Final = ("both", "partitions", "keys")
_GAP: Final = "  "
_PHASES: Final = {"running": "green", "opening": "yellow", "paused": "yellow", "parked": "bold red"}
_SPARKS: Final = "▁▂▃▄▅▆▇█"
_ASCII_SPARKS: Final = "_.-~=*#@"
_MIN_NAME: Final = 8
_LATE_S: Final = 60.0
_PARTITION_COLUMNS: Final = (
    *(("phase", 7), ("position", 13), ("lag", 8)),
    *(("records/s", 9), ("keys", 7), ("delay", 6)),
)
_KEY_COLUMNS: Final = (("value", 10), ("", 10), ("count", 9), ("age", 5))


@dataclass(frozen=True, slots=True)
class Look:
    """How the board is looked at.

    Attributes:
        view: one of `VIEWS`.
        prefix: what the names of keys or partitions begin with.
        is_typing: whether the prefix is being typed.
        is_paused: whether the board stands still.
        skip: rows of the table that are scrolled past.
        ascii_only: whether the terminal shows nothing else.
    """

    view: str = "both"
    prefix: str = ""
    is_typing: bool = False
    is_paused: bool = False
    skip: int = 0
    ascii_only: bool = False


def figure(value: float | None) -> str:
    """A number in at most ten characters."""
    if value is None or not math.isfinite(value):
        return "-"
    size = abs(value)
    if size >= 1e7 or 0 < size < 1e-4:
        return f"{value:.3e}"
    return f"{value:.{max(min(4, 5 - len(str(int(size)))), 0)}f}"


def short(value: float | None) -> str:
    """A count or rate in at most seven characters."""
    if value is None:
        return "-"
    if value < 9.95 and value != int(value):
        return f"{value:.1f}"
    for limit, unit, divisor in ((999_999.5, "", 1), (1e9, "M", 1e6), (1e12, "G", 1e9)):
        if value < limit:
            return f"{value / divisor:,.0f}" if not unit else f"{value / divisor:,.1f}{unit}"
    return f"{value / 1e12:,.0f}T"


def span(seconds: float | None) -> str:
    """A duration in at most six characters."""
    if seconds is None:
        return "-"
    sign, size = "-" if seconds <= -0.05 else "", abs(seconds)
    if size < 99.5:
        return f"{sign}{size:.1f}s" if size < 9.95 else f"{sign}{size:.0f}s"
    for limit, unit, divisor in ((99.5 * 60, "m", 60), (48 * 3600, "h", 3600)):
        if size < limit:
            return f"{sign}{size / divisor:.0f}{unit}"
    return f"{sign}{size / 86_400:.0f}d"


def spark(values: Sequence[float], width: int, *, ascii_only: bool = False) -> str:
    """The last `width` values as bars, from the least of them to the greatest."""
    marks = _ASCII_SPARKS if ascii_only else _SPARKS
    shown = list(values)[-width:] if width > 0 else []
    if not shown:
        return ""
    low, high = min(shown), max(shown)
    scale = high - low
    if not 0 < scale < math.inf:
        return marks[len(marks) // 2] * len(shown)
    return "".join(marks[min(int((v - low) / scale * len(marks)), len(marks) - 1)] for v in shown)


def render(board: Board, look: Look, now: float, width: int, height: int) -> Group:
    """One frame of at most `width` by `height` characters."""
    head = [*_head(board, look), *_unready(board, most=max(height // 6, 1))]
    room = max(height - len(head) - 1, 0)
    partitions = partition_rows(board, look, width)
    body: list[Text] = []
    if look.view != "keys":
        share = room if look.view == "partitions" else max(room * 2 // 5, 4)
        body += _window(
            partitions, share, look.skip if look.view == "partitions" else 0, "partition"
        )
    if look.view != "partitions":
        body += [Text("")] if body else []
        body += key_rows(board, look, now, width, room - len(body))
    body = body[:room]
    body += [Text("")] * (room - len(body))
    return Group(*(_fit(line, look) for line in [*head[:height], *body, _foot(look)][:height]))


def snapshot(board: Board, now: float, width: int, *, ascii_only: bool = False) -> str:
    """All of it as plain lines."""
    look = Look(ascii_only=ascii_only)
    keys = key_rows(board, look, now, width, len(board.keys) + 4)
    lines = [
        *_head(board, look),
        *_unready(board, most=1_000_000),
        *partition_rows(board, look, width),
        *([Text(""), *keys] if board.keys else ()),
    ]
    return "".join(f"{line.plain.rstrip()}\n" for line in lines)


def _head(board: Board, look: Look) -> list[Text]:
    status, rates = board.status, board.rates
    title = Text.assemble((" stream-ewma top ", "bold reverse"), f" {visible(board.address)}  ")
    if board.trouble:
        said = board.trouble.removeprefix(f"{board.address}: ")
        connecting = "connecting" if said == "connecting" else f"reconnecting: {said}"
        title.append(visible(connecting, ascii_only=look.ascii_only), "bold yellow")
    elif status is not None:
        is_ready = not status["unready"]
        title.append("ready" if is_ready else "not ready", "bold green" if is_ready else "bold red")
    if look.is_paused:
        title.append("  paused", "bold yellow")
    if status is None:
        return [title, Text("")]
    stale = "dim" if board.trouble else ""
    flow = _figures(
        ("in", "-" if rates is None else f"{short(rates.consumed)}/s"),
        ("smoothed", "-" if rates is None else f"{short(rates.emitted)}/s"),
        ("rejected", "-" if rates is None else f"{short(rates.rejected)}/s"),
        ("commits", "-" if rates is None else f"{short(rates.commits)}/s"),
        ("keys", short(sum(each["keys"] for each in status["partitions"]))),
        ("lag", short(sum(each["lag"] or 0 for each in status["partitions"]))),
    )
    flow.stylize(stale)
    return [title, flow, _totals(status), Text("")]


def _figures(*pairs: tuple[str, str]) -> Text:
    return Text("   ").join(
        Text.assemble((f"{name} ", "dim"), (text, "bold")) for name, text in pairs
    )


def _totals(status: dict[str, Any]) -> Text:
    """What it has done since its start; and why it rejected."""
    rejected = sorted(status["rejected"].items(), key=lambda each: -each[1])
    skipped = sum(status["skipped"].values())
    text = f"since start: {status['consumed']:,} in, {status['emitted']:,} smoothed"
    text += f", {skipped:,} skipped" if skipped else ""
    line = Text(text, "dim")
    if rejected:
        reasons = ", ".join(f"{visible(name)} {count:,}" for name, count in rejected)
        line.append(f", {sum(status['rejected'].values()):,} rejected ({reasons})", "red")
    if status["recoveries"]:
        line.append(f", {counted(status['recoveries'], 'recovery').replace('ys', 'ies')}", "yellow")
    return line


def _unready(board: Board, most: int) -> list[Text]:
    """Why it is not ready."""
    if board.status is None or board.trouble:
        return []
    reasons = [
        Text(f"{visible(check)}: {visible(why)}", "red")
        for check, why in board.status["unready"].items()
    ]
    if len(reasons) > most:
        more = len(reasons) - most + 1
        reasons = [*reasons[: most - 1], Text(f"and {more:,} more that are not ready", "red")]
    return [*reasons, Text("")] if reasons else []


def partition_rows(board: Board, look: Look, width: int) -> list[Text]:
    """The table of partitions, a line each under its header."""
    columns = _PARTITION_COLUMNS
    name_width = max(width - sum(size + len(_GAP) for _, size in columns), _MIN_NAME)
    head = _line("partition", name_width, [(name, size, "") for name, size in columns], "dim")
    prefix = look.prefix if look.view == "partitions" else ""
    status = board.status or {"partitions": [], "time": 0.0}
    rates = {} if board.rates is None else board.rates.partitions
    rows = [
        _partition(each, rates.get(place(each)), status["time"], name_width, look)
        for each in by_trouble(status["partitions"])
        if f"{each['topic']}-{each['partition']}".startswith(prefix)
    ]
    if not rows and board.status is not None:
        rows = [Text("no such partition" if prefix else "no partition is assigned to it", "dim")]
    return [head, *rows]


def _partition(
    each: dict[str, Any], rate: float | None, time: float, name_width: int, look: Look
) -> Text:
    name = visible(f"{each['topic']}-{each['partition']}", ascii_only=look.ascii_only)
    phase = each["phase"]
    cells: list[tuple[str, int, str]] = [(visible(phase), 7, _PHASES.get(phase, ""))]
    restore = each["restore"]
    if restore is not None:
        cells.append((_progress(restore, 51, ascii_only=look.ascii_only), 51, "cyan"))
    else:
        event_time = each["event_time"]
        delay = None if event_time is None else time - event_time / 1000
        position = each["position"]
        cells += [
            ("-" if position is None else f"{position:,}", 13, ""),
            (short(each["lag"]), 8, "yellow" if each["lag"] else ""),
            (short(rate), 9, "bold" if rate else ""),
            (short(each["keys"]), 7, ""),
            (span(delay), 6, "yellow" if delay is not None and delay > _LATE_S else ""),
        ]
    return _line(name, name_width, cells, "", cut_left=True)


def _progress(restore: dict[str, Any], width: int, *, ascii_only: bool) -> str:
    """How far the state is read back, as a bar."""
    full, empty = ("#", ".") if ascii_only else ("█", "░")
    share = min(max(restore["share"], 0.0), 1.0)
    told = f" {share:4.0%}, {short(restore['rows'])} rows read"
    bar = width - len(told)
    filled = int(share * bar)
    return full * filled + empty * (bar - filled) + told


def key_rows(board: Board, look: Look, now: float, width: int, room: int) -> list[Text]:
    """The table of keys in so many lines."""
    if room < 2:
        return []
    fixed = sum(size + len(_GAP) for _, size in _KEY_COLUMNS)
    rest = max(width - fixed - len(_GAP), _MIN_NAME + 4)
    prefix = "" if look.view == "partitions" else look.prefix
    most = room - 1
    skip = look.skip if look.view == "keys" else 0
    found, there = board.busiest(now, most, prefix, skip)
    skip = max(min(skip, there - most), 0)
    longest = max((cell_len(visible(key.key)) for key in found), default=_MIN_NAME)
    name_width = min(max(longest, _MIN_NAME), rest * 3 // 5)
    heads = [(name or visible(board.output), size) for name, size in _KEY_COLUMNS]
    line = _line("key", name_width, [(n[:size], size, "") for n, size in heads], "dim")
    line.append(f"{_GAP}last values", "dim")
    rows = [_key(key, now, name_width, rest - name_width, look) for key in found]
    if not rows:
        begin = f" that begins with '{visible(prefix)}'" if prefix else ""
        rows = [Text(f"no key{begin} was seen yet", "dim")]
    elif there > len(rows):
        place_of = f"{skip + 1:,} to {skip + len(rows):,}" if skip else f"{len(rows):,}"
        told = (f" (busiest {place_of} of {there:,})", f" ({place_of} of {there:,})", "")
        line.append(next(text for text in told if len(line) + len(text) <= width or not text))
    return [line, *rows]


def _key(key: SeenKey, now: float, name_width: int, spark_width: int, look: Look) -> Text:
    age = max(now - key.at, 0.0)
    cells = [
        (figure(key.value), 10, ""),
        (figure(key.smoothed), 10, "bold magenta"),
        ("-" if key.count is None else short(key.count), 9, ""),
        (span(age), 5, "yellow" if age > _LATE_S else "dim"),
    ]
    line = _line(visible(key.key, ascii_only=look.ascii_only), name_width, cells, "")
    bars = spark(key.values, spark_width, ascii_only=look.ascii_only)
    return line.append(_GAP).append(bars, "cyan")


def _window(rows: list[Text], room: int, skip: int, thing: str) -> list[Text]:
    """A header and as many rows as there is room for; the last line counts the others."""
    head, *body = rows
    if len(body) + 1 <= room:
        return rows
    most = max(room - 2, 1)
    skip = min(skip, max(len(body) - most, 0))
    shown = body[skip : skip + most]
    more = counted(len(body) - len(shown), f"more {thing}")
    return [head, *shown, Text(f"and {more}", "dim")]


def _foot(look: Look) -> Text:
    if look.is_typing:
        cursor = Text("_" if look.ascii_only else "▏", "blink")
        return Text.assemble(("begins with: ", "bold"), visible(look.prefix), cursor,
                             ("   Enter keeps, Esc clears", "dim"))  # fmt: skip
    keys = [("q", "quit"), ("space", "go on" if look.is_paused else "pause"), ("/", "filter")]
    keys += [("Tab", {"both": "partitions", "partitions": "keys", "keys": "both"}[look.view])]
    keys += [("j k", "scroll")] if look.view != "both" else []
    line = Text("  ").join(Text.assemble((key, "bold"), f" {what}") for key, what in keys)
    if look.prefix:
        line.append(f"   only '{visible(look.prefix)}...'", "yellow")
    return line


def _line(
    name: str,
    name_width: int,
    cells: Sequence[tuple[str, int, str]],
    style: str,
    *,
    cut_left: bool = False,
) -> Text:
    """A name on the left, cells on the right of their columns; the first cell is left aligned."""
    if cell_len(name) > name_width:
        # The number of a partition stands at its end.
        name = (
            f"~{name[1 - name_width :]}" if cut_left else f"{set_cell_size(name, name_width - 1)}~"
        )
    line = Text(set_cell_size(name, name_width), style)
    for text, size, cell_style in cells:
        is_words = text in _PHASES or text == "phase"
        padded = text.ljust(size) if is_words else text.rjust(size)
        line.append(_GAP).append(padded, cell_style or style)
    return line


def _fit(line: Text, look: Look) -> Text:
    line.no_wrap = True
    line.overflow = "crop" if look.ascii_only else "ellipsis"
    return line
