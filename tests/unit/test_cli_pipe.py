"""`stream-ewma pipe`: which lines it reads, that its bits are the engine's, and how it ends."""

import contextlib
import io
import json
import os
import random
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_ewma import cli
from stream_ewma.columns import NULL, Spans, as_bytes
from stream_ewma.engine.dead_letters import MESSAGES, Reason
from stream_ewma.engine.outgoing import Destination
from stream_ewma.engine.task import PartitionTask
from stream_ewma.files.piped import split_at
from stream_ewma.service.config import task_config
from tests.support.batches import NOW_MS, Record, published, runs_of
from tests.support.given import load
from tests.support.settings_table import README

ALPHA = ("--smoothing.alpha", "0.2")
TEXTBOOK = [10.0, 10.4, 11.32, 12.656, 14.5248]
COMMAND = (sys.executable, "-m", "stream_ewma", "pipe", *ALPHA)


class Printed(NamedTuple):
    """What a command left behind."""

    code: int
    out: bytes
    err: str

    @property
    def values(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.out.splitlines()]

    def of_key(self) -> list[tuple[object, object]]:
        return [(each["key"], each["ewma"]) for each in self.values]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("STREAM_EWMA_"):
            monkeypatch.delenv(name)
    return tmp_path


class Trickle(io.BytesIO):
    """Gives a few bytes at a time, as a slow pipe does."""

    def __init__(self, data: bytes, most: int) -> None:
        super().__init__(data)
        self._most = most

    def read1(self, size: int | None = -1, /) -> bytes:
        return super().read1(self._most)


@pytest.fixture
def pipe(
    capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> Iterator[object]:
    def run_it(data: bytes, *arguments: str, most: int = 1 << 20) -> Printed:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(Trickle(data, most)))  # type: ignore[type-var]
        code = -1
        with contextlib.suppress(SystemExit):
            code = cli.main(("pipe", *arguments))
        out, err = capfdbinary.readouterr()
        return Printed(code, out, err.decode())

    return run_it


def test_bare_numbers_are_one_series(pipe):
    printed = pipe(b"10\n12\r\n\n15\n18\n22", *ALPHA)

    assert [each["ewma"] for each in printed.values] == TEXTBOOK
    assert {each["key"] for each in printed.values} == {"stdin"}
    assert (printed.code, printed.err) == (0, "5 lines, 5 smoothed, 0 rejected, 1 key\n")


def test_what_stands_before_the_first_colon_is_the_key(pipe):
    printed = pipe(b'a:10\nb:{"value":1,"unit":"a:b"}\na:12\n', *ALPHA)

    assert printed.of_key() == [("a", 10.0), ("b", 1.0), ("a", 10.4)]


@pytest.mark.parametrize(
    ("separator", "written"), [(r"\t", b"\t"), ("tab", b"\t"), ("=>", b"=>"), ("::", b"::")]
)
def test_another_separator(pipe, separator: str, written: bytes):
    printed = pipe(b"a:b%b10\na:b%b12" % (written, written), "-K", separator, *ALPHA)

    assert printed.of_key() == [("a:b", 10.0), ("a:b", 10.4)]


def test_the_separator_as_kcat_has_it(pipe):
    assert pipe(b'{"id":1}:10\n'.replace(b":1}", b"=1}"), "-K:", *ALPHA).of_key() == [
        ('{"id"=1}', 10.0)
    ]


def test_a_json_object_has_its_key_in_a_field(pipe):
    data = b'{"key":"a","s":{"id":"x"},"value":10}\n{"key":"b","s":{"id":"x"},"value":12}\n'

    assert pipe(data, *ALPHA).of_key() == [("a", 10.0), ("b", 12.0)]
    assert pipe(data, "--key-field", "s.id", *ALPHA).of_key() == [("x", 10.0), ("x", 10.4)]
    assert pipe(data, "--input.key", "s.id", *ALPHA).of_key() == [("x", 10.0), ("x", 10.4)]
    assert pipe(data.replace(b'"key"', b'"k"'), *ALPHA).of_key()[1] == ("stdin", 10.4)


def test_nothing_behind_the_separator_forgets_the_key(pipe):
    printed = pipe(b"a:10\na:\na:12\n", *ALPHA)

    assert printed.of_key() == [("a", 10.0), ("a", 12.0)]
    assert printed.err == "3 lines, 2 smoothed, 1 skipped, 0 rejected, 1 key\n"


def test_formats_and_outputs_are_those_of_the_settings(pipe, folder: Path):
    (folder / "a.yaml").write_text(
        "input: {format: text}\nsmoothing: {alpha: 0.2}\noutput: {format: text}\n"
    )

    assert pipe(b"a +10\na 12\n", "--config", "a.yaml", "-K", " ").out == b"10.0\n10.4\n"


def test_a_reading_without_a_time_has_that_of_its_arrival(pipe):
    printed = pipe(b"a:1\n", "--smoothing.half_life", "1s")

    assert int(str(printed.values[0]["timestamp"])) > NOW_MS


def readings(count: int) -> list[tuple[bytes, bytes]]:
    chance = random.Random(7)
    moment = NOW_MS
    found = []
    for _ in range(count):
        moment += chance.randrange(2_000)
        document = {"value": chance.gauss(20, 5), "timestamp": moment - chance.randrange(5_000)}
        found.append((f"sensor-{chance.randrange(20)}".encode(), json.dumps(document).encode()))
    return found


@pytest.mark.parametrize("most", [1 << 20, 997])
@pytest.mark.parametrize(
    "flags",
    [
        {"smoothing.alpha": "0.1"},
        {"smoothing.half_life": "5s", "smoothing.outputs": "ewma,count,std,zscore,lag"},
        {"smoothing.span": "9", "output.shape": "enrich", "output.emit": '{"on_change": 0.5}'},
    ],
    ids=["alpha", "half_life", "enrich"],
)
def test_the_bits_are_those_of_the_service(pipe, flags: dict[str, str], most: int):
    records = readings(500)
    config = task_config(load({"smoothing.alpha": None, **flags}))
    task = PartitionTask("readings", 0, 0, config, (1, 2))
    step = task.process(runs_of([Record(*record) for record in records]))
    expected = [each.value for each in published(step, Destination.OUTPUT)]

    lines = b"".join(b"%b:%b\n" % record for record in records)
    arguments = [text for name, value in flags.items() for text in (f"--{name}", value)]
    printed = pipe(lines, *arguments, most=most)

    assert len(expected) > 50
    assert printed.out.splitlines() == expected


def test_what_cannot_be_smoothed_is_a_line_on_standard_error_each(pipe):
    printed = pipe(b"a:10\n\na:x\x1b[2J\nnothing\na:12\n", *ALPHA)

    assert printed.code == 0
    assert printed.of_key() == [("a", 10.0), ("a", 10.4)]
    assert printed.err.splitlines() == [
        f"standard input: line 3: {MESSAGES[Reason.DECODE]}: a:x\N{REPLACEMENT CHARACTER}[2J",
        "standard input: line 4: the record has no key: nothing",
        "4 lines, 2 smoothed, 2 rejected (decode 1, missing_key 1), 1 key",
    ]


def test_skip_only_counts_them(pipe):
    printed = pipe(b"1\nx\n", "--dead_letters.on_error", "skip", *ALPHA)

    assert printed.err == "2 lines, 1 smoothed, 1 rejected (decode 1), 1 key\n"


def test_fail_stops_at_the_first(pipe):
    printed = pipe(b"10\nx\n12\n", "--dead_letters.on_error", "fail", *ALPHA)

    assert (printed.code, printed.of_key()) == (65, [("stdin", 10.0)])
    assert printed.err.splitlines()[-1].startswith("standard input: line 2: the value cannot")


def test_nothing_in_is_nothing_out(pipe):
    assert pipe(b"", *ALPHA) == (0, b"", "0 lines, 0 smoothed, 0 rejected, 0 keys\n")


@pytest.mark.parametrize("setting", ["input.format", "output.format"])
def test_doubles_are_no_lines(pipe, setting: str):
    printed = pipe(b"1\n", f"--{setting}", "double", *ALPHA)

    assert printed.code == 65
    assert f"{setting}: doubles are no lines; write --{setting} json" in printed.err


@pytest.mark.parametrize("separator", ["", "\n"])
def test_a_separator_that_cannot_be_one(pipe, separator: str):
    printed = pipe(b"1\n", "--separator", separator, *ALPHA)

    assert printed.err.count("\n") == 1
    assert "write what is between key and value" in printed.err


def test_a_misspelt_flag_is_told_with_the_right_one(pipe):
    printed = pipe(b"1\n", "--seperator", ";", *ALPHA)

    assert printed.err == "command line: --seperator: is not a flag; write --separator\n"


def test_settings_that_are_wrong_end_with_78(pipe):
    printed = pipe(b"1\n", "--smoothing.alpha", "2")

    assert (printed.code, printed.err.count("\n")) == (78, 1)


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        COMMAND,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        # Else nothing needs to be flushed.
        env={name: text for name, text in os.environ.items() if name != "PYTHONUNBUFFERED"},
    ) as running:
        yield running
        running.kill()


def ask(running: subprocess.Popen[bytes], line: bytes) -> dict[str, object]:
    """The answer to one line, while more may follow."""
    assert running.stdin is not None
    assert running.stdout is not None
    running.stdin.write(line + b"\n")
    assert select.select([running.stdout], [], [], 60)[0], "no answer"
    answer: dict[str, object] = json.loads(running.stdout.readline())
    return answer


def test_each_line_is_answered_before_the_next_and_ctrl_c_ends_it(
    process: subprocess.Popen[bytes],
):
    assert [ask(process, b"a:%d" % x)["ewma"] for x in (10, 12, 15, 18, 22)] == TEXTBOOK

    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)

    assert (process.returncode, out) == (130, b"")
    assert err == b"5 lines, 5 smoothed, 0 rejected, 1 key\n"


def test_it_ends_quietly_when_nobody_reads_on(process: subprocess.Popen[bytes]):
    assert ask(process, b"1")["ewma"] == 1.0
    assert process.stdout is not None
    assert process.stdin is not None

    process.stdout.close()
    process.stdin.write(b"2\n")

    assert process.wait(30) == 0
    assert process.stderr is not None
    assert process.stderr.read() == b""


@given(
    lines=st.lists(st.text("ab:-", max_size=6), min_size=1, max_size=8),
    separator=st.sampled_from([":", "::", ":-", "a", "-:-"]),
)
def test_a_line_is_divided_at_its_first_separator(lines: list[str], separator: str):
    data = "\n".join(lines).encode()
    ends = [m.start() for m in re.finditer("\n|$", data.decode())]
    starts = [0, *(end + 1 for end in ends[:-1])]
    spans = Spans.of([line.encode() for line in lines])
    for place, start in enumerate(starts):
        spans.start[place] = start

    keys, values = split_at(Spans(as_bytes(data), spans.start, spans.length), separator.encode())

    for row, line in enumerate(lines):
        key, found, value = line.partition(separator)
        assert keys.item(row) == (key.encode() if found else None)
        assert values.item(row) == ((value if found else line).encode() or (None if found else b""))
        assert values.length[row] >= NULL


def test_the_readmes_lines_do_what_they_say():
    blocks = re.findall(r"```sh\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    lines = [
        line
        for block in blocks
        for line in block.splitlines()
        if "| stream-ewma pipe" in line and line.startswith(("seq ", "printf "))
    ]
    assert len(lines) == 2

    counts = []
    for line in lines:
        program = f'stream-ewma() {{ "{sys.executable}" -m stream_ewma "$@"; }}\n{line}'
        done = subprocess.run(["bash", "-c", program], check=True, capture_output=True, text=True)
        counts.append(len(done.stdout.splitlines()))
        assert " 0 rejected" in done.stderr

    assert counts == [5, 3]
