"""`stream-ewma dlq`: what is refused before a broker is asked, escaping, and what is remembered."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from stream_ewma.cli import dlq, main
from stream_ewma.cli.dlq_show import Summary, Wanted
from stream_ewma.cli.letters import encoded, escaped, moment, preview
from stream_ewma.columns import Spans
from stream_ewma.engine.dead_letters import (
    DeadLetter,
    Origin,
    Reason,
    dead_letter_headers,
    letters_of,
)
from stream_ewma.engine.replayed import MOST_SINGLE, Replayed
from stream_ewma.records.columns import RecordColumns
from stream_ewma.records.headers import decode_headers
from stream_ewma.records.writer import encode_headers


class Printed(NamedTuple):
    code: int | str | None
    out: str
    err: str


Command = Callable[..., Printed]


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    file = tmp_path / "stream-ewma.yaml"
    file.write_text(
        "kafka: {bootstrap_servers: '127.0.0.1:1', startup_timeout: 1ms}\n"
        "input: {topics: [a, b]}\nsmoothing: {alpha: 0.1}\n"
    )
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Printed:
        try:
            code = main([*arguments, "--config", str(file)])
        except SystemExit as ended:
            return Printed(ended.code, *capsys.readouterr())
        return Printed(code, *capsys.readouterr())

    return run


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["list", "--limit", "3"], "--limit is for `dlq show`"),
        (["show", "--again"], "--again is for `dlq replay`"),
        (["show", "--dry-run"], "--dry-run is for `dlq replay`"),
        (["replay", "--json"], "--json is for `dlq list` and `dlq show`"),
        (["replay", "--since", "2026-01-31T08:00:00Z"], "--since is for `dlq list` and `dlq show`"),
        (["show", "--partition", "3"], "write --partition and --offset together"),
        (["show", "--partition", "3", "--offset", "1", "--limit", "2"], "name one letter"),
        (["replay", "--origin", "a-1@2", "--reason", "late"], "--origin names one letter"),
        (["replay", "--origin", "a@2"], "'a@2': write topic, partition and offset as"),
        (["replay", "--origin", "a-1@x"], "write topic, partition and offset as"),
        (["list", "--reason", "decoed"], "'decoed' is not a reason; write decode"),
        (["list", "--since", "yesterday"], "write a time with its zone"),
        (["list", "--since", "2026-01-31T08:00:00"], "write a time with its zone"),
        (["show", "--limit", "-1"], "write a whole number"),
    ],
)
def test_wrong_use_is_told_in_one_line(command: Command, arguments: list[str], words: str) -> None:
    printed = command("dlq", *arguments)

    assert (printed.code, printed.out) == (2, "")
    assert words in printed.err
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize("action", ["list", "show", "replay"])
def test_a_broker_that_is_not_there_is_told(command: Command, action: str) -> None:
    printed = command("dlq", action)

    assert printed.code == 69
    assert printed.err.startswith("127.0.0.1:1: no broker answers")


def test_help_says_that_replayed_readings_come_late(command: Command) -> None:
    shown = command("dlq", "--help").out

    assert "\n  stream-ewma dlq replay " in shown
    assert "gets a new offset and comes late" in shown
    assert max(map(len, shown.splitlines())) <= 100
    assert set(dlq.FLAGS) == {name.replace("_", "-") for name in dlq._FLAGS_OF}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ü", "plain ü"),
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("a\nb\tc\\", r"a\nb\tc\\"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("\x9b31m", r"\x9b31m"),
        ("\u2028", r"\u2028"),
    ],
)
def test_nothing_steers_the_terminal(text: str, shown: str) -> None:
    assert escaped(text) == shown
    assert preview(text.encode()) == shown


def test_bytes_are_cut_and_shown_as_they_are() -> None:
    assert preview(b"\xff\xfe\x1b") == r"\xff\xfe\x1b"
    assert preview(b"") == ""
    assert preview(None) == "null"
    assert preview("ü".encode(), ascii_only=True) == r"\xfc"
    assert preview(b"x" * 400) == "x" * 400
    assert preview(b"x" * 10_000) == "x" * 400 + "... (10,000 bytes)"
    assert len(preview(b"\xff" * 10_000)) < 2_000


def test_bytes_that_are_no_text_are_base64_in_json() -> None:
    assert encoded("key", b"a\x1b") == {"key": "a\x1b"}
    assert encoded("key", b"\xff") == {"key_base64": "/w=="}
    assert encoded("key", None) == {"key": None}
    assert json.loads(json.dumps(encoded("key", "ü".encode()))) == {"key": "ü"}


@pytest.mark.parametrize(
    ("timestamp", "shown"),
    [
        (-1, "-"),
        (0, "1970-01-01T00:00:00.000Z"),
        (1_767_225_600_077, "2026-01-01T00:00:00.077Z"),
        (2**62, f"{2**62} ms"),
        (-(2**62), f"-{2**62} ms"),
    ],
)
def test_times_that_no_calendar_has_are_numbers(timestamp: int, shown: str) -> None:
    assert moment(timestamp) == shown


def records_with(*headers: list[tuple[str, bytes | None]]) -> RecordColumns:
    count = len(headers)
    nothing = Spans.of([b""] * count)
    return RecordColumns(
        np.arange(count, dtype=np.int64),
        np.full(count, 7, np.int64),
        nothing,
        nothing,
        Spans.of([encode_headers(each) for each in headers]),
        np.array([len(each) for each in headers], np.int32),
    )


def test_a_letters_own_headers_are_told_from_those_that_were_added() -> None:
    own = [("a", b"1"), ("__streams.errors.topic", b"mine"), ("ü", None), ("a", b"x" * 300)]
    sources = records_with(own, [])
    added = dead_letter_headers(sources, [Reason.LATE, Reason.DECODE], "readings-x", 3)
    letters = list(
        letters_of(
            RecordColumns(
                sources.offset,
                sources.timestamp,
                sources.keys,
                sources.values,
                added.spans,
                added.count,
            )
        )
    )

    first, second = letters
    assert (first.reason, first.origin) == ("late", Origin("readings-x", 3, 0))
    assert (second.reason, str(second.origin)) == ("decode", "readings-x-3@1")
    assert first.header_bytes == encode_headers(own)
    assert [(each.name.decode(), each.value) for each in first.headers] == own
    assert (second.header_bytes, second.headers) == (b"", ())


@pytest.mark.parametrize("change", ["behind", "missing", "order", "offset"])
def test_what_this_service_did_not_write_has_no_origin(change: str) -> None:
    (added,) = (
        dead_letter_headers(records_with([]), [Reason.LATE], "t", 3).spans.take(np.array([0])),
    )
    data = added.item(0) or b""
    headers = [(each.name.decode(), each.value) for each in decode_headers(data, 7)]
    changed = {
        "behind": [*headers, ("later", b"")],
        "missing": headers[1:],
        "order": headers[::-1],
        "offset": [*headers[:-1], (headers[-1][0], b"-1")],
    }[change]

    (letter,) = letters_of(records_with(changed))

    assert (letter.origin, letter.reason) == (None, "")
    assert len(letter.headers) == len(changed)


def letter(offset: int, reason: str = "decode", topic: str = "t", timestamp: int = 5) -> DeadLetter:
    return DeadLetter(0, offset, timestamp, reason, "", Origin(topic, 0, offset), (), b"")


def test_what_was_replayed_survives_being_noted() -> None:
    done = Replayed(10).reached(20, "decode").with_single(15).with_single(30)

    assert Replayed.read(10, done.note) == done
    assert [at for at in range(8, 32) if done.has(letter(at, "late"))] == [8, 9, 15, 30]
    assert [at for at in range(8, 32) if done.has(letter(at))] == [*range(8, 20), 30]
    assert (done.start("decode"), done.start("late"), done.start(None)) == (20, 10, 10)
    assert done.reached(16, None) == Replayed(16, {"decode": 20}, frozenset({30}))
    assert done.reached(31, None) == Replayed(31)
    assert Replayed(31).note == ""


def test_progress_never_goes_back() -> None:
    done = Replayed(10).reached(20, "decode")

    assert done.reached(5, None) == done
    assert done.reached(5, "decode") == done


@pytest.mark.parametrize("note", ["", "x", "{}", "[]", '{"reasons":[],"single":[]}', "1", "null"])
def test_a_foreign_note_says_nothing(note: str) -> None:
    assert Replayed.read(3, note) == Replayed(3)


def test_a_note_fits_into_what_kafka_takes() -> None:
    most = Replayed(
        2**62,
        {reason.label: 2**63 - 1 for reason in Reason},
        frozenset(range(2**63 - MOST_SINGLE, 2**63)),
    )

    assert len(most.note) <= 4096


def test_a_summary_counts_and_does_not_grow_without_end() -> None:
    summary = Summary()
    for at, topic, timestamp in ((1, "a", -1), (2, "a", 9), (3, "a", 4), (4, "b", -1)):
        summary.add(letter(at, topic=topic, timestamp=timestamp))

    assert [(each["letters"], each["first"], each["last"]) for each in summary.documents()] == [
        (3, 4, 9),
        (1, None, None),
    ]
    for number in range(5_000):
        summary.add(letter(number, topic=f"t{number}"))
    assert len(summary.groups) == 1_001
    assert sum(group.letters for group in summary.groups.values()) == 5_004


def test_filters_narrow_what_is_meant() -> None:
    assert Wanted().has(letter(1))
    assert not Wanted(reason="late").has(letter(1))
    assert not Wanted(since=6).has(letter(1))
    assert Wanted(since=5, origin=Origin("t", 0, 1)).has(letter(1))
    assert not Wanted(origin=Origin("t", 0, 2)).has(letter(1))
