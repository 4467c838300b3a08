"""`stream-ewma top`: what is worked out, frames that fit, keys that are pressed, snapshots."""

import io
import json
import os
import pty
import re
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from rich.cells import cell_len
from rich.console import Console

from stream_ewma.cli import main
from stream_ewma.cli.top_board import Board
from stream_ewma.cli.top_screen import Screen
from stream_ewma.cli.top_view import Look, figure, render, short, snapshot, span, spark
from stream_ewma.web.client import LOST, OPEN, Event
from tests.support.broker import free_ports
from tests.support.fake_member import FakeMember, Told, partition, rejected, sample, status
from tests.support.service import COMMAND, clean_environment

BAD = "\x1b]0;x\x07\r\n\u202e"


class Printed(NamedTuple):
    code: int | str | None
    out: str
    err: str


def board_of(*told: Told, address: str = "127.0.0.1:9464") -> Board:
    """A board that has heard all this, each half a second after the other."""
    board = Board(address)
    board.take(Event(OPEN), 0.0)
    for place, (name, data) in enumerate(told):
        board.take(Event(name, data), place / 2)
    return board


def frame(
    board: Board, width: int = 80, height: int = 24, look: Look | None = None, now: float = 100.0
) -> list[str]:
    console = Console(width=width, height=height, color_system=None, file=io.StringIO())
    console.print(render(board, look or Look(), now, width, height))
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def busy_board(partitions: int = 6, keys: int = 40) -> Board:
    """A member with much to show."""
    parts = [
        partition(n, position=10**12 + n, lag=10**9, keys=10**8, topic="a-long-name-of-a-topic")
        for n in range(partitions)
    ]
    parts[-1] |= {"phase": "opening", "restore": {"rows": 12_345_678, "share": 0.43}}
    parts[-1] |= dict.fromkeys(("position", "end", "lag", "event_time"))
    reasons = {f"reason_{n}": 10**6 for n in range(12)}
    more = {"partitions": parts, "rejected": reasons, "recoveries": 2}
    more["unready"] = {f"a-long-name-{n}": "restoring: " + "x" * 90 for n in range(10)}
    samples = [sample(f"{'範' * (n % 60)}-{n}", n**9, at=n) for n in range(keys)]
    return board_of(status(0, **more), status(1, **more), *samples)


# -- what is worked out -----------------------------------------------------------------------


def test_rates_are_means_of_the_last_seconds():
    board = board_of(*(status(second) for second in range(10)))

    assert board.rates is not None
    assert board.rates.consumed == pytest.approx(100)
    assert board.rates.emitted == pytest.approx(90)
    assert board.rates.rejected == pytest.approx(10)
    assert board.rates.commits == pytest.approx(5)
    assert board.rates.partitions == {("readings", 0): pytest.approx(100)}


def test_rates_follow_a_change_within_seconds():
    quiet = [status(second, consumed=1900) for second in range(10, 17)]
    board = board_of(*(status(second) for second in range(10)), *quiet)

    assert board.rates is not None
    assert board.rates.consumed == 0


def test_a_member_that_was_started_anew_has_no_negative_rates():
    board = board_of(status(100), status(101))
    board.take(Event(LOST, {"reason": "gone"}), 1.0)
    assert board.trouble == "gone"
    board.take(Event(OPEN), 2.0)
    board.take(Event(*status(0)), 3.0)
    assert (board.rates, board.trouble) == (None, "")
    board.take(Event(*status(1)), 4.0)

    assert board.rates is not None
    assert board.rates.consumed == pytest.approx(100)


def test_the_busiest_keys_are_shown_in_the_order_of_their_numbers():
    often = [sample(key, at=at) for at in range(5) for key in ("pump-10", "pump-2")]
    board = board_of(sample("idle"), *often)

    shown, there = board.busiest(5.0, 2)

    assert [key.key for key in shown] == ["pump-2", "pump-10"]
    assert there == 3
    assert board.busiest(5.0, 9, "pump-1")[0][0].key == "pump-10"


def test_a_key_that_was_busy_long_ago_makes_room():
    board = board_of(*(sample("old", at=at) for at in range(5)))
    board.take(Event(*sample("new")), 200.0)

    assert [key.key for key in board.busiest(200.0, 1)[0]] == ["new"]


def test_a_key_has_its_last_values_and_goes_when_it_is_forgotten():
    values = [sample("a", float(x), at=x) for x in range(5)]
    board = board_of(*values, sample("a", None, at=5, kind="held"))
    assert list(board.keys["a"].values) == [0, 1, 2, 3, 4]
    assert (board.keys["a"].value, board.keys["a"].smoothed, board.keys["a"].count) == (
        None,
        1.25,
        6,
    )

    board.take(Event(*sample("a", None, kind="tombstone", outputs={})), 9.0)
    assert board.keys == {}


def test_no_more_keys_are_kept_than_a_bound():
    board = board_of(*(sample(f"k{n}") for n in range(10_000)))

    assert 1_000 <= len(board.keys) <= 2_000
    assert "k9999" in board.keys


# -- frames -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 30), (200, 60), (40, 12), (20, 3)])
@pytest.mark.parametrize("view", ["both", "partitions", "keys"])
@pytest.mark.parametrize("board", [Board("a:1"), board_of(), board_of(status()), busy_board()])
def test_a_frame_fits_the_terminal(board: Board, view: str, width: int, height: int):
    for look in (Look(view), Look(view, "範" * 90, is_typing=True), Look(view, skip=10**6)):
        lines = frame(board, width, height, look)
        assert len(lines) <= height
        assert max(map(cell_len, lines), default=0) <= width


def test_at_80_by_24_everything_of_a_member_is_there():
    told = [status(0), rejected(), *(sample(f"pump-{n}", 20.5 + n, at=n) for n in range(5))]
    board = board_of(*told, status(1))

    text = "\n".join(frame(board))

    assert " stream-ewma top  127.0.0.1:9464  ready" in text
    assert "in 100/s   smoothed 90/s   rejected 10/s   commits 5/s   keys 12   lag 7" in text
    assert "since start: 1,100 in, 990 smoothed, 20 rejected (decode 20)" in text
    (row,) = re.findall(r"^readings-0 .*", text, re.MULTILINE)
    assert row.split() == ["readings-0", "running", "1,100", "7", "100", "12", "3.0s"]
    (row,) = re.findall(r"^pump-4 .*", text, re.MULTILINE)
    assert row.split() == ["pump-4", "24.500", "1.2500", "5", "97s", "▅"]
    assert text.endswith("q quit  space pause  / filter  Tab partitions")


def test_why_it_is_not_ready_is_told_and_a_restore_has_a_bar():
    restoring = partition(1, phase="opening", restore={"rows": 500, "share": 0.5}, position=None)
    board = board_of(
        status(partitions=[partition(0), restoring], unready={"readings-1": "restoring: 500 rows"})
    )

    lines = frame(board)

    assert lines[0].endswith("not ready")
    assert "readings-1: restoring: 500 rows" in lines
    names = [line.split()[0] for line in lines if line.startswith("readings-") and ":" not in line]
    assert names == ["readings-1", "readings-0"]  # what needs a look comes first
    (bar,) = [line for line in lines if "█" in line]
    assert bar.count("█") == pytest.approx(bar.count("░"), abs=1)
    assert bar.endswith("50%, 500 rows read")


def test_a_lost_member_says_so_and_keeps_what_was_known():
    board = board_of(status(), status(1))
    board.take(Event(LOST, {"reason": "127.0.0.1:9464: connection refused"}), 5.0)

    lines = frame(board)

    assert lines[0].endswith("reconnecting: connection refused")
    assert any(line.startswith("readings-0 ") for line in lines)


def test_rows_that_do_not_fit_are_counted_and_scrolled_to():
    board = board_of(status(partitions=[partition(n) for n in range(100)]))

    def rows(look: Look) -> list[str]:
        return [line.split()[0] for line in frame(board, look=look) if line.startswith("readings-")]

    assert "and 95 more partitions" in "\n".join(frame(board))
    assert rows(Look("partitions"))[0] == "readings-0"
    assert rows(Look("partitions", skip=7))[0] == "readings-7"
    assert rows(Look("partitions", skip=10**6))[-1] == "readings-99"
    assert rows(Look("partitions", "readings-98")) == ["readings-98"]


def test_a_long_topic_leaves_the_number_of_its_partition():
    board = board_of(status(partitions=[partition(123, topic="t" * 249)]))

    assert any(re.match(r"~t+-123 ", line) for line in frame(board))


def test_nothing_that_was_told_can_steer_the_terminal():
    bad = {
        "partitions": [partition(topic=BAD, phase=BAD)],
        "unready": {BAD: BAD},
        "rejected": {BAD: 1},
    }
    told = [status(0, **bad), sample(BAD, outputs={BAD: 1.0}), status(1, **bad)]
    board = board_of(*told, address=BAD)
    shown = [
        line for view in ("both", "partitions", "keys") for line in frame(board, look=Look(view))
    ]
    board.take(Event(LOST, {"reason": BAD}), 5.0)
    shown += frame(board, look=Look(prefix=BAD))
    shown += snapshot(board, 5.0, 80).splitlines()

    assert all(line.isprintable() for line in shown)


def test_where_only_ascii_can_be_shown_nothing_else_is():
    board = busy_board()
    text = snapshot(board, 5.0, 80, ascii_only=True)

    assert text.isascii()
    assert "\n".join(frame(board, look=Look(ascii_only=True), width=200, height=60)).isascii()


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0.0000"), (21.5, "21.500"), (-12345.678, "-12346"), (1e-9, "1.000e-09"),
     (-1.5e300, "-1.500e+300"), (None, "-"), (float("inf"), "-"), (9_999_999.9, "10000000")],
)  # fmt: skip
def test_numbers_of_keys(value: float | None, text: str):
    assert figure(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.25, "0.2"), (9.94, "9.9"), (9.96, "10"), (999_999, "999,999"),
     (999_999.7, "1.0M"), (123_456_789, "123.5M"), (5e9, "5.0G"), (5e12, "5T"), (None, "-")],
)  # fmt: skip
def test_counts_are_short(value: float | None, text: str):
    assert short(value) == text
    assert len(text) <= 7


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0s"), (-0.01, "0.0s"), (-3, "-3.0s"), (9.96, "10s"), (99, "99s"), (100, "2m"),
     (7200, "2h"), (172_800, "2d"), (None, "-")],
)  # fmt: skip
def test_durations_are_short(seconds: float | None, text: str):
    assert span(seconds) == text


def test_sparks_run_from_the_least_to_the_greatest():
    assert spark([1, 2, 3], 10) == "▁▅█"
    assert spark([9, 1, 2, 3], 3) == "▁▅█"
    assert spark([5, 5], 9) == "▅▅"
    assert spark([1], 0) == spark([], 9) == ""
    assert spark([-1e308, 1e308], 9) == "▅▅"


# -- keys that are pressed ----------------------------------------------------------------------


@pytest.fixture
def screen() -> Screen:
    return Screen(board_of(status()))


def test_q_quits(screen: Screen):
    screen.press("q")
    assert screen.is_done


def test_tab_goes_round_the_tables(screen: Screen):
    seen = [screen.look.view]
    for _ in range(3):
        screen.press("\t")
        seen.append(screen.look.view)
    assert seen == ["both", "partitions", "keys", "both"]


def test_what_is_typed_filters_until_escape(screen: Screen):
    screen.press("/pq ump")
    assert (screen.look.prefix, screen.look.is_typing) == ("pq ump", True)
    screen.press("\x7f\x7f\r")
    assert (screen.look.prefix, screen.look.is_typing) == ("pq u", False)
    screen.press("\x1b[6~")
    assert screen.look.prefix == "pq u"  # another key's sequence is no Escape
    screen.press("\x1b")
    assert (screen.look.prefix, screen.is_done) == ("", False)


def test_arrows_scroll(screen: Screen):
    screen.press("\x1b[B\x1b[Bj\x1b[A")
    assert screen.look.skip == 2
    screen.press("kkkkk")
    assert screen.look.skip == 0


def test_space_holds_the_board_still(screen: Screen):
    screen.press(" ")
    screen.take(Event(*status(1, consumed=5_000)))
    (board, now), (_, later) = screen.shown(), screen.shown()
    assert board.status is not None
    assert (board.status["consumed"], later, screen.look.is_paused) == (1000, now, True)

    screen.press(" ")
    board, _ = screen.shown()
    assert board.status is not None
    assert (board.status["consumed"], screen.look.is_paused) == (5_000, False)


# -- the command ----------------------------------------------------------------------------------


@pytest.fixture
def top(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Printed]:
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Printed:
        code = main(["top", *arguments])
        return Printed(code, *capsys.readouterr())

    return run


def test_where_no_terminal_is_one_plain_snapshot_is_printed(top):
    with FakeMember([status(0), sample("pump-7", 21.5), status(1)]) as member:
        printed = top("--address", member.address)

    assert (printed.code, printed.err) == (0, "")
    assert "in 100/s   smoothed 90/s" in printed.out
    assert "pump-7" in printed.out
    assert "\x1b" not in printed.out


def test_a_snapshot_for_programs(top):
    with FakeMember([status(0), sample("pump-7", 21.5), status(1)]) as member:
        printed = top("--address", member.address, "--once", "--json")

    document = json.loads(printed.out)
    assert document["per_second"] == {"consumed": 100, "emitted": 90, "rejected": 10, "commits": 5}
    assert document["partitions"] == [partition(position=1100) | {"per_second": 100}]
    (key,) = document["keys"]
    assert (key["key"], key["value"], key["ewma"], key["count"]) == ("pump-7", 21.5, 1.25, 1)


def test_nobody_there_is_one_clear_line(top):
    address = f"127.0.0.1:{free_ports(1)[0]}"
    printed = top("--address", address)

    assert (printed.code, printed.out) == (69, "")
    assert printed.err.startswith(f"{address}: connect")
    assert printed.err.count("\n") == 1


def test_a_member_that_leaves_at_once_ends_a_snapshot(top):
    with FakeMember([status(0)], []) as member:
        printed = top("--address", member.address)

    assert (printed.code, printed.err) == (69, f"{member.address}: the member has left\n")


class Terminal:
    """The command in a terminal of 80 by 24."""

    def __init__(self, folder: Path, *arguments: str, **more: str) -> None:
        self._ours, theirs = pty.openpty()
        self.written = ""
        self.process = subprocess.Popen(
            [str(COMMAND), "top", *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=folder,
            env=clean_environment()
            | {"TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}
            | more,
        )
        os.close(theirs)

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + 60
        while text not in self.written:
            assert time.monotonic() < deadline, self.written[-3000:]
            self._read()

    def press(self, keys: str) -> None:
        self.written = ""
        os.write(self._ours, keys.encode())

    def end(self) -> int:
        """Its exit code, once all is read."""
        while self.process.poll() is None:
            self._read()
        self._read()
        return self.process.returncode

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)

    def _read(self) -> None:
        if select.select([self._ours], [], [], 0.1)[0]:
            try:
                self.written += os.read(self._ours, 65_536).decode(errors="replace")
            except OSError:  # the other side is closed
                time.sleep(0.05)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def open_one(*arguments: str, **more: str) -> Terminal:
        opened.append(Terminal(tmp_path, *arguments, **more))
        return opened[-1]

    yield open_one
    for each in opened:
        each.close()


def test_on_a_terminal_it_is_live_and_leaves_the_screen_as_it_was(terminal):
    told = [status(0), sample("pump-7", 21.5), status(1)]
    with FakeMember(told, [status(0), status(1, consumed=777)]) as member:
        ours = terminal("--address", member.address)
        ours.wait_for("\x1b[?1049h")
        ours.wait_for("reconnecting")
        ours.wait_for("777 in")
        ours.press("/pu")
        ours.wait_for("begins with")
        ours.press("\rq")
        assert ours.end() == 0

    assert "\x1b[?1049l" in ours.written
    assert "\x1b[?25h" in ours.written
    assert "Traceback" not in ours.written


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_leaves_the_screen_as_it_was(terminal, sent: int, code: int):
    with FakeMember([status(0), status(1)]) as member:
        ours = terminal("--address", member.address)
        ours.wait_for("since start")
        ours.process.send_signal(sent)
        assert ours.end() == code

    assert "\x1b[?1049l" in ours.written
    assert "Traceback" not in ours.written


def test_no_colour_where_none_is_wanted(terminal):
    coloured = re.compile(r"\x1b\[[0-9;]*3[0-7]m")
    with FakeMember([status(0), status(1)], [status(0), status(1)]) as member:
        ours = terminal("--address", member.address, NO_COLOR="1")
        ours.wait_for("since start")
        ours.press("q")
        ours.end()
        assert not coloured.search(ours.written)
        theirs = terminal("--address", member.address)
        theirs.wait_for("since start")
        assert coloured.search(theirs.written)


def test_nobody_there_is_told_on_the_usual_screen(terminal):
    ours = terminal("--address", f"127.0.0.1:{free_ports(1)[0]}")

    assert ours.end() == 69
    assert "\x1b[?1049h" not in ours.written
    assert "stream-ewma run" in ours.written
