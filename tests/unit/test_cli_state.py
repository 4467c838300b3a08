"""`stream-ewma state` and `offsets`: what is refused before a broker is asked, and tables."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from stream_ewma.cli import main, state, tables
from stream_ewma.kafka.kept import partition_of


class Printed(NamedTuple):
    code: int
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
        code = main([*arguments, "--config", str(file)])
        return Printed(code, *capsys.readouterr())

    return run


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["state", "get"], "write the KEY: stream-ewma state get KEY"),
        (["state", "export"], "write the FILE: stream-ewma state export FILE"),
        (["state", "import"], "write the FILE"),
        (["state", "list", "pump-7"], "'pump-7' is not needed; leave it out"),
        (["state", "get", "k", "--keys", "a*"], "--keys is for `state list`"),
        (["state", "get", "k", "--limit", "3"], "--limit is for `state list`"),
        (["state", "list", "--to", "latest"], "--to is for `state reset`"),
        (["state", "export", "x.jsonl", "--yes"], "--yes is for `state reset`"),
        (["state", "reset", "--topic", "a"], "write --yes: every key's state will be lost"),
        (["offsets", "show", "a"], "'a' is not needed; leave it out"),
        (["offsets", "skip", "a", "1"], "write a topic, a partition and an offset, as: "),
        (["offsets", "skip", "a", "1", "x"], "write a topic, a partition and an offset, as: "),
    ],
)
def test_wrong_use_is_told_in_one_line(command: Command, arguments: list[str], words: str) -> None:
    printed = command(*arguments)

    assert (printed.code, printed.out) == (2, "")
    assert words in printed.err
    assert printed.err.startswith(f"stream-ewma {arguments[0]} {arguments[1]}: ")
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize("limit", ["x", "-1", "1.5"])
def test_a_limit_is_a_whole_number(
    command: Command, limit: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        command("state", "list", f"--limit={limit}")

    assert ended.value.code == 2
    assert f"'{limit}': write a whole number" in capsys.readouterr().err


@pytest.mark.parametrize("action", [["export", "x.jsonl"], ["import", "x.jsonl"], ["reset"]])
def test_one_of_several_topics_must_be_named(
    command: Command, action: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", Answer("y"))

    printed = command("state", *action)

    assert (printed.code, printed.err) == (78, "command line: --topic: write one of a, b\n")


class Answer:
    """A terminal at which somebody answers."""

    def __init__(self, text: str) -> None:
        self._text = text

    def isatty(self) -> bool:
        return True

    def readline(self) -> str:
        return f"{self._text}\n"


@pytest.mark.parametrize(("answer", "code"), [("", 2), ("n", 2), ("yes", 69), ("Y", 69)])
def test_a_reset_asks_first(
    command: Command, answer: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", Answer(answer))

    printed = command("state", "reset", "--topic", "a")

    question = "a: forget the state of every key that stream-ewma keeps? [y/N] "
    assert printed.err.startswith(question)
    assert printed.code == code
    assert ("nothing was changed" in printed.err) == (code == 2)


def test_a_bad_start_is_told_as_the_setting_it_stands_for(command: Command) -> None:
    printed = command("state", "reset", "--topic", "a", "--yes", "--to", "noon")

    assert printed.code == 78
    assert "input.start: 'noon' is not a starting point; write earliest, latest" in printed.err


@pytest.mark.parametrize("file", ["state", "state.csv", "state.parquet.gz"])
@pytest.mark.parametrize("action", ["export", "import"])
def test_a_file_of_another_kind_is_refused(command: Command, action: str, file: str) -> None:
    printed = command("state", action, file, "--topic", "a")

    advice = "write a name that ends with .jsonl, .jsonl.gz or .parquet"
    assert (printed.code, printed.err) == (65, f"{file}: {advice}\n")


def test_without_durable_state_there_is_none(command: Command) -> None:
    printed = command("state", "list", "--state.durable", "false")

    line = "state.durable is false, so no state is kept; write true to keep it\n"
    assert (printed.code, printed.err) == (65, line)


@pytest.mark.parametrize("arguments", [["state", "list"], ["offsets", "show"]])
def test_a_broker_that_is_not_there_is_told(command: Command, arguments: list[str]) -> None:
    printed = command(*arguments)

    assert printed.code == 69
    assert printed.err.startswith("127.0.0.1:1: no broker answers")


def test_a_table_is_aligned_and_shows_no_control_characters() -> None:
    rows = [["readings", tables.number(1_234_567), ""], ["a\x1b", tables.number(None), "odd"]]

    text = tables.table(("topic", "end", "note"), rows, left=("topic", "note"))

    assert text == ("topic           end  note\nreadings  1,234,567\na�                -  odd\n")
    assert tables.counted(1, "key") == "1 key"
    assert tables.counted(2000, "key") == "2,000 keys"


def test_help_shows_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("state", "offsets"):
        with pytest.raises(SystemExit):
            main([name, "--help"])
        shown = capsys.readouterr().out
        assert f"\n  stream-ewma {name} " in shown
    assert set(state.FLAGS) == {"topic", "keys", "limit", "to", "yes"}


@pytest.mark.parametrize(
    ("key", "hash_"),
    # Kafka's own test of Utils.murmur2.
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_keys_are_where_javas_default_partitioner_puts_them(key: bytes, hash_: int) -> None:
    for partitions in (1, 2, 7, 50):
        assert partition_of(key, partitions) == (hash_ & 0x7FFFFFFF) % partitions
