"""`stream-ewma tap`: what it asks a member, the lines it prints, and how it ends."""

import json
import os
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from stream_ewma.cli import main
from stream_ewma.cli.member import visible
from stream_ewma.cli.tap import rejected_text, sample_text
from stream_ewma.engine.stored import key_bytes, key_text
from stream_ewma.web import client
from tests.support.broker import free_ports
from tests.support.fake_member import TOKEN, FakeMember, rejected, sample, status
from tests.support.service import COMMAND, clean_environment


class Printed(NamedTuple):
    code: int | str | None
    out: str
    err: str


Command = Callable[..., Printed]


@pytest.fixture
def tap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(client, "_PAUSE_S", 0.01)

    def run(*arguments: str) -> Printed:
        try:
            code = main(["tap", *arguments])
        except SystemExit as ended:
            return Printed(ended.code, *capsys.readouterr())
        return Printed(code, *capsys.readouterr())

    return run


def test_without_settings_a_member_is_asked_for_samples_of_any_key(tap: Command):
    with FakeMember([sample("pump-7", 21.5, at=41), sample("pump-8", None, at=42)]) as member:
        printed = tap("--address", member.address, "--limit", "2")

    assert printed.code == 0
    assert printed.out.splitlines() == [
        "readings-3@41  pump-7  21.5 -> ewma=1.25 count=42",
        "readings-3@42  pump-8  null -> ewma=1.25 count=43",
    ]
    assert printed.err == f"watching {member.address}\n"
    assert member.queries == [[("others", "100")]]


def test_of_keys_that_are_named_all_is_asked_for_and_nothing_else(tap: Command):
    with FakeMember([sample("a"), sample("b", at=1)]) as member:
        tap("--address", member.url, "--key", "a", "--key", "odd\udcff\\x", "--limit", "2")

    assert member.queries == [[("key", "a"), ("key", r"odd\xff\\x"), ("others", "0")]]


def test_json_lines_are_what_the_member_told(tap: Command):
    told = [sample("pump\x1b", 21.5, at=at) for at in range(3)]
    with FakeMember(told) as member:
        printed = tap("--address", member.address, "--limit", "3", "--format", "json")

    assert [json.loads(line) for line in printed.out.splitlines()] == [data for _, data in told]
    assert "\x1b" not in printed.out


def test_dead_letters_have_reason_and_an_escaped_beginning(tap: Command):
    told = [sample("a"), rejected(7), rejected(8, key=None, preview=None, size=0)]
    with FakeMember(told) as member:
        printed = tap("--address", member.address, "--rejected", "--limit", "2")

    assert printed.out.splitlines() == [
        r"readings-3@7  pump  decode: no\x1b[31m\x0anumber",
        "readings-3@8  (no key)  decode: null",
    ]
    assert member.queries == [[("others", "0")]]


def test_a_member_that_comes_back_tells_no_dead_letter_twice(tap: Command):
    with FakeMember([rejected(7)], [rejected(7), rejected(8)]) as member:
        printed = tap("--address", member.address, "--rejected", "--limit", "2")

    assert [line.split()[0] for line in printed.out.splitlines()] == [
        "readings-3@7",
        "readings-3@8",
    ]
    assert printed.err.splitlines() == [
        f"watching {member.address}",
        f"{member.address}: the member has left; reconnecting",
        f"watching {member.address}",
    ]


def test_a_member_that_is_starting_is_waited_for(tap: Command):
    with FakeMember([sample("a")]) as member:
        member.answers = [(503, "starting"), (503, "starting")]
        printed = tap("--address", member.address, "--limit", "1")

    assert printed.out.startswith("readings-3@0  a ")
    assert printed.err.splitlines()[0] == f"{member.address}: is starting; reconnecting"
    assert len(printed.err.splitlines()) == 2


def test_what_came_too_fast_is_told(tap: Command):
    told = [status(missed=5), status(1, missed=5), status(2, missed=1_007), sample("a")]
    with FakeMember(told) as member:
        printed = tap("--address", member.address, "--limit", "1")

    left_out = [line for line in printed.err.splitlines() if "left out" in line]
    assert [line.split()[0] for line in left_out] == ["5", "1,002"]


def test_nobody_there_is_one_clear_line(tap: Command):
    address = f"127.0.0.1:{free_ports(1)[0]}"
    printed = tap("--address", address)

    assert (printed.code, printed.out) == (69, "")
    assert printed.err.startswith(f"{address}: connect")
    assert "stream-ewma run" in printed.err
    assert printed.err.count("\n") == 1


def test_a_member_that_hangs_is_one_clear_line(tap: Command, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(client, "_SILENCE_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        printed = tap("--address", address)

    assert (printed.code, printed.out) == (69, "")
    advice = "check that it runs: stream-ewma healthcheck"
    assert printed.err == f"{address}: does not answer in time; {advice}\n"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((404, "404: Not Found"), "answers, but not as a member with http.query"),
        ((200, "<html>"), "answers, but not as a member with http.query"),
        ((302, ""), "answers, but not as a member with http.query"),
        ((503, "too many are watching"), "too many are watching"),
        ((400, "at most 200 keys"), "at most 200 keys"),
    ],
)
def test_what_is_no_member_is_one_clear_line(tap: Command, answer: tuple[int, str], words: str):
    with FakeMember([]) as member:
        member.answers = [answer]
        printed = tap("--address", member.address)

    assert (printed.code, printed.out) == (69, "")
    assert words in printed.err
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize("told", [b"event: sample\ndata: {\n\n", b"event: sample\ndata: 1\n\n"])
def test_events_that_are_none_end_in_one_clear_line(tap: Command, told: bytes):
    # Only a stranger's first connection: a member that has told something is waited for.
    with FakeMember([told]) as member:
        printed = tap("--address", member.address, "--limit", "1")

    assert printed.code == 69
    assert "no JSON" in printed.err


def test_the_token_of_the_settings_is_shown_to_the_member(
    tap: Command, monkeypatch: pytest.MonkeyPatch
):
    with FakeMember([sample("a")], token=TOKEN) as member:
        refused = tap("--address", member.address, "--limit", "1")
        monkeypatch.setenv("STREAM_EWMA_HTTP__TOKEN", TOKEN)
        let_in = tap("--address", member.address, "--limit", "1")

    assert refused.code == 77
    assert "STREAM_EWMA_HTTP__TOKEN" in refused.err
    assert let_in.code == 0


def test_the_address_is_that_of_the_settings(tap: Command, tmp_path: Path):
    with FakeMember([sample("a")], [sample("a")]) as member:
        port = member.url.rpartition(":")[2]
        # Whatever else is wrong with them is not looked at.
        (tmp_path / "stream-ewma.yaml").write_text(
            f"http: {{host: 0.0.0.0, port: {port}, token: {TOKEN}}}\nsmoothing: {{}}\n"
        )
        assert tap("--limit", "1").code == 0
        assert tap("--limit", "1", "--http.host", "localhost").code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--limit", "0"], 2, "write a whole number from 1 up"),
        (["--address", "9464"], 2, "write HOST:PORT"),
        (["--address", "host"], 2, "write HOST:PORT"),
        (["--address", "host:port"], 2, "write HOST:PORT"),
        (["--address", "ftp://host:1"], 2, "write HOST:PORT"),
        (["--address", "http://u:p@host:1"], 2, "write HOST:PORT"),
        (["--http.port", "0"], 78, "write --address HOST:PORT"),
        (["--http.enabled", "false"], 78, "no member can be asked; write true"),
        (["--http.port", "many"], 78, "--http.port"),
        (["--keys", "a"], 78, "is not a flag; write --key"),
        (["--key", "a"] * 201, 2, "at most 200 times"),
        (["here"], 2, "unrecognized arguments"),
    ],
)
def test_wrong_use_is_one_line(tap: Command, arguments: list[str], code: int, words: str):
    printed = tap(*arguments)

    assert (printed.code, printed.out) == (code, "")
    assert words in printed.err
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"values": {"t": 1.0, "h": None}, "outputs": {"t_ewma": 1.0, "h_ewma": None}},
         "t=1.0 h=null -> t_ewma=1.0 h_ewma=null"),
        ({"kind": "held", "values": {"value": None}}, "null -> (held) ewma=1.25 count=1"),
        ({"kind": "tombstone", "values": {"value": None}}, "null -> (forgotten)"),
        ({"kind": "stale", "values": {"value": None}}, "null -> (silent) ewma=1.25 count=1"),
        ({"outputs": {"ewma": 0.1 + 0.2, "ready": True}},
         "1.5 -> ewma=0.30000000000000004 ready=true"),
    ],
)  # fmt: skip
def test_a_reading_on_one_line(more: dict[str, object], text: str):
    assert sample_text(sample("k", **more)[1]) == f"readings-3@0  k  {text}"


def test_nothing_shown_can_steer_a_terminal():
    bad = "\x1b]0;x\x07\r\n\x9b31m\u202e\u2028"
    lines = [
        sample_text(sample(bad, topic=bad, values={bad: 1}, outputs={bad: 2})[1]),
        rejected_text(rejected(key=bad, topic=bad, reason=bad, preview=bad)[1]),
    ]

    assert all(line.isprintable() for line in lines)


def test_a_long_value_is_cut_and_its_size_is_told():
    line = rejected_text(rejected(preview="x" * 256, size=70_000)[1])

    assert line.endswith(f"decode: {'x' * 120}... (70,000 bytes)")


@pytest.mark.parametrize("key", ["a\nb", "a\\b", "\x1b[1m", "\x85\u202e", "ü範"])
def test_a_key_as_it_is_shown_can_be_typed(key: str):
    for ascii_only in (False, True):
        shown = visible(key_text(key.encode()), ascii_only=ascii_only)

        assert key_bytes(shown) == key.encode()
        assert shown.isprintable()
        assert shown.isascii() or not ascii_only


@pytest.fixture
def process(tmp_path: Path):
    """Starts the command as its users do."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        started.append(
            subprocess.Popen(
                [str(COMMAND), "tap", *arguments],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                # Lines come at once also where Python would keep them back.
                env=clean_environment() | {"PYTHONUNBUFFERED": ""},
                cwd=tmp_path,
            )
        )
        return started[-1]

    yield start
    for each in started:
        each.kill()
        each.communicate()


def test_an_interrupt_ends_it_with_130_and_no_trace(process):
    with FakeMember([sample("a")]) as member:
        ours = process("--address", member.address)
        assert ours.stdout.readline().startswith("readings-3@0  a")
        ours.send_signal(signal.SIGINT)
        out, err = ours.communicate(timeout=60)

    assert (ours.returncode, out, err) == (130, "", f"watching {member.address}\n")


def test_a_reader_that_has_had_enough_ends_it_quietly(process):
    many = [sample("a", at=at) for at in range(100)]
    with FakeMember([sample("a")], many, many) as member:
        ours = process("--address", member.address)
        ours.stdout.readline()
        ours.stdout.close()
        code = ours.wait(60)
        err = os.read(ours.stderr.fileno(), 10_000).decode()

    assert code == 0
    assert "Traceback" not in err
    assert "Broken" not in err
