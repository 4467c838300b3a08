"""The command line: what it prints, where, and how it ends."""

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import stream_ewma
from stream_ewma import cli
from stream_ewma.cli import check, run, settings_flags
from stream_ewma.cli.commands import COMMANDS
from stream_ewma.errors import BrokerUnavailableError
from stream_ewma.settings import Settings
from stream_ewma.settings.names import settings as all_settings

GOOD = "input: {topics: readings}\nsmoothing: {half_life: 30s}\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("STREAM_EWMA_"):
            monkeypatch.delenv(name)
    (tmp_path / "good.yaml").write_text(GOOD)
    return tmp_path


class Printed:
    """What a command left behind."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Iterator[object]:
    def run_it(*arguments: str) -> Printed:
        code = -1
        with contextlib.suppress(SystemExit):
            code = cli.main(arguments)
        printed = capsys.readouterr()
        return Printed(code, printed.out, printed.err)

    return run_it


def exit_code(*arguments: str) -> int | str | None:
    """The code of a command that ends by itself, as argparse does."""
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    return ended.value.code


@pytest.mark.parametrize("argument", ["--help", "-h", "help"])
def test_help_begins_with_examples_and_names_every_command(command, argument: str):
    printed = command(argument)

    assert printed.code == 0
    lines = printed.out.splitlines()
    assert lines[2].startswith("  stream-ewma demo ")
    assert all(f"\n  {name} " in printed.out for name in (*COMMANDS, "version"))
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize("name", COMMANDS)
def test_a_commands_help_begins_with_what_it_does_and_examples(
    capsys: pytest.CaptureFixture[str], name: str
):
    assert exit_code(name, "--help") == 0
    text = capsys.readouterr().out

    first, _, example, *others = text.splitlines()
    assert re.fullmatch(r"[A-Z].*[.:,].*", first)
    assert re.match(rf"  (\S.* \| )?stream-ewma {name}\b", example)
    assert any(line.startswith(f"usage: stream-ewma {name}") for line in others)
    assert text.count("usage:") == 1
    assert max(map(len, text.splitlines())) <= 100


def test_no_command_shows_the_help_as_an_error(command):
    printed = command()

    assert (printed.code, printed.out) == (2, "")
    assert "stream-ewma check" in printed.err


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("chek", "write check"),
        ("--xyz", f"write one of {', '.join(COMMANDS)}"),
    ],
)
def test_an_unknown_command_is_told_with_the_nearest(command, name: str, advice: str):
    printed = command(name)

    assert (printed.code, printed.out) == (2, "")
    assert printed.err == f"stream-ewma: '{name}' is not a command; {advice}\n"


@pytest.mark.parametrize("argument", ["version", "--version"])
def test_version(command, argument: str):
    assert command(argument).out == f"stream-ewma {stream_ewma.__version__}\n"


def test_the_module_is_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "stream_ewma", "version"],
        check=True,
        capture_output=True,
        text=True,
    )

    assert done.stdout == f"stream-ewma {stream_ewma.__version__}\n"


def test_check_says_ok_and_what_the_settings_amount_to(command):
    printed = command("check", "good.yaml")

    assert (printed.code, printed.err) == (0, "")
    assert printed.out == (
        "good.yaml: ok\n"
        "  reads readings (json) at localhost:9092 as group stream-ewma\n"
        "  writes readings-ewma (json), half_life 30s; dead letters to stream-ewma-dlq\n"
    )


def test_check_without_a_file_looks_in_the_usual_places(command, folder: Path):
    (folder / "good.yaml").rename(folder / "stream-ewma.yaml")

    assert command("check").out.startswith("stream-ewma.yaml: ok\n")


def test_check_names_the_file_of_the_variable(command, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("STREAM_EWMA_CONFIG", "good.yaml")

    assert command("check").out.startswith("good.yaml: ok\n")


def test_check_needs_no_file(command):
    printed = command("check", "--input.topics", "a,b", "--smoothing.span", "9")

    assert printed.out.startswith("settings: ok\n  reads a, b (json)")
    assert "writes a-ewma, b-ewma (json), span 9;" in printed.out


def test_several_files_are_checked_each_by_name_and_the_worst_counts(command, folder: Path):
    (folder / "other.yaml").write_text(GOOD.replace("readings", "others"))
    (folder / "bad.yaml").write_text(GOOD.replace("30s", "soon"))

    printed = command("check", "bad.yaml", "good.yaml", "gone.yaml", "other.yaml")

    assert printed.code == 78
    assert [line for line in printed.out.splitlines() if line[0] != " "] == [
        *("good.yaml: ok", "other.yaml: ok")
    ]
    assert [line.partition(":")[0] for line in printed.err.splitlines()] == [
        *("bad.yaml", "gone.yaml")
    ]
    assert "reads others" in printed.out
    assert command("check", "good.yaml", "other.yaml").code == 0


def over_sasl(servers: str, protocol: str, mechanism: str = "PLAIN") -> tuple[str, ...]:
    return (
        *("--kafka.bootstrap_servers", servers, "--kafka.security_protocol", protocol),
        *("--kafka.sasl_mechanism", mechanism, "--kafka.sasl_username", "u"),
    )


def test_a_password_that_travels_in_clear_text_is_warned_of(command, monkeypatch):
    monkeypatch.setenv("STREAM_EWMA_KAFKA__SASL_PASSWORD", "hunter2")
    flags = over_sasl("localhost:9092, k1:9092, [fd00::1]:9092", "SASL_PLAINTEXT")

    printed = command("check", "good.yaml", *flags)

    assert (printed.code, printed.err) == (0, "")
    assert printed.out.startswith("good.yaml: ok\n")
    (line,) = [line for line in printed.out.splitlines() if line.startswith("warning: ")]
    assert "the password to k1:9092, [fd00::1]:9092 in clear text; write SASL_SSL" in line
    assert "hunter2" not in printed.out
    assert command("check", "good.yaml", *flags, "--deny-warnings").code == 1


@pytest.mark.parametrize(
    "flags",
    [
        over_sasl("k1:9092", "SASL_SSL"),
        over_sasl("k1:9092", "SASL_PLAINTEXT", "SCRAM-SHA-512"),
        over_sasl("localhost:9092,127.0.0.2:9092,[::1]:9092", "SASL_PLAINTEXT"),
    ],
)
def test_a_password_that_does_not_is_not(command, monkeypatch, flags: tuple[str, ...]):
    monkeypatch.setenv("STREAM_EWMA_KAFKA__SASL_PASSWORD", "hunter2")

    printed = command("check", "good.yaml", *flags, "--deny-warnings")

    assert (printed.code, "warning" in printed.out) == (0, False)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--dead_letters.on_error", "skip"), "; bad records are skipped"),
        (("--dead_letters.on_error", "fail"), "; a bad record stops it"),
        (("--smoothing.rules", '[{"keys": "a", "span": 2}]'), "half_life 30s and 1 rule by key;"),
        (
            ("--smoothing.rules", '[{"keys": "a", "span": 2}, {"keys": "b", "span": 2}]'),
            " and 2 rules by key;",
        ),
        (("--output.topic", "all", "--output.format", "double"), "writes all (double), half_life"),
    ],
)
def test_the_summary_follows_the_settings(command, flags: tuple[str, ...], said: str):
    assert said in command("check", "good.yaml", *flags).out


def test_bad_settings_end_with_78_and_one_line_each_on_standard_error(command):
    printed = command("check", "good.yaml", "--input.format=jsn", "--output.format", "xml")

    assert (printed.code, printed.out) == (78, "")
    assert [line.split(": ")[1] for line in printed.err.splitlines()] == [
        "--input.format",
        "--output.format",
    ]


def test_unknown_flags_are_told_together_with_other_problems(command):
    printed = command(
        "check", "--smothing.alpha", "0.2", "good.yaml", "--kafka.clientid=x", "--input.format", "x"
    )

    assert printed.code == 78
    assert printed.err.splitlines()[:2] == [
        "command line: --smothing.alpha: is not a setting; write --smoothing.alpha",
        "command line: --kafka.clientid: is not a setting; write --kafka.client_id",
    ]
    assert len(printed.err.splitlines()) == 3


@pytest.mark.parametrize(
    "flags",
    [
        ("--kafka.sasl_password", "hunter2"),
        ("--kafka.sasl_password=hunter2",),
        ("--kafka.sasl_passwrd", "hunter2"),
        ("--kafka.ssl_password", "hunter2"),
    ],
)
def test_a_password_as_a_flag_is_refused_and_not_repeated(command, flags: tuple[str, ...]):
    printed = command("check", *flags)

    assert printed.code == 78
    assert flags[0].partition("=")[0] in printed.err
    assert "hunter2" not in printed.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("check", "-x"), "unrecognized arguments: -x"),
        (("check", "--config"), "argument --config: expected one argument"),
        (("topics", "delete"), "choose from"),
        (("topics",), "required: action"),
    ],
)
def test_wrong_usage_ends_with_2_and_one_line(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
):
    assert exit_code(*arguments) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1


def test_the_file_is_to_be_written_once(command):
    for files in (["good.yaml"], ["good.yaml", "good.yaml"]):
        printed = command("check", *files, "--config", "good.yaml")

        assert (printed.code, printed.err.count("\n")) == (2, 1)


@pytest.mark.parametrize("name", ["check", "run", "topics"])
def test_every_setting_but_the_passwords_is_a_flag_with_help(
    capsys: pytest.CaptureFixture[str], name: str
):
    assert exit_code(name, "--help") == 0
    text = capsys.readouterr().out

    for setting in all_settings().values():
        assert (f"--{setting.name} " in text) != setting.is_secret
    assert "--kafka.startup_timeout DURATION" in text
    assert "--input.format json|text|double|float" in text
    assert "[30s]" in text
    assert f"  stream-ewma {name} " in text


def test_flags_reach_the_settings(command, monkeypatch: pytest.MonkeyPatch):
    started: list[Settings] = []
    monkeypatch.setattr(run, "run", lambda settings, **_flags: started.append(settings) or 0)

    printed = command(
        "run",
        "--config",
        "good.yaml",
        "--input.coerce_strings",
        "--topics.replication_factor",
        "-1",
    )

    assert printed.code == 0, printed.err
    assert started[0].input.coerce_strings
    assert started[0].topics.replication_factor == -1


@pytest.mark.parametrize("flags", [(), ("--once",)])
def test_once_is_a_flag_of_run_alone(command, monkeypatch: pytest.MonkeyPatch, flags):
    started: list[bool] = []
    monkeypatch.setattr(run, "run", lambda _settings, once: started.append(once) or 0)

    printed = command("run", "--config", "good.yaml", *flags)

    assert printed.code == 0, printed.err
    assert started == [bool(flags)]


def test_secrets_may_lie_in_a_folder_named_by_a_flag(
    command, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    started: list[Settings] = []
    monkeypatch.setattr(run, "run", lambda settings, **_flags: started.append(settings) or 0)
    (folder / "STREAM_EWMA_APPLICATION_ID").write_text("from-a-secret")

    command("run", "--config", "good.yaml", "--secrets-dir", ".")

    assert started[0].application_id == "from-a-secret"


def test_an_error_of_the_project_ends_in_its_line_and_code(
    command, monkeypatch: pytest.MonkeyPatch
):
    def fail(_settings: Settings, **_flags: bool) -> int:
        raise BrokerUnavailableError("no broker answers")

    monkeypatch.setattr(run, "run", fail)

    printed = command("run", "--config", "good.yaml")

    assert (printed.code, printed.out, printed.err) == (69, "", "no broker answers\n")


def test_ctrl_c_ends_without_a_trace(command, monkeypatch: pytest.MonkeyPatch):
    def interrupt(_settings: Settings, **_flags: bool) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "run", interrupt)

    printed = command("run", "--config", "good.yaml")

    assert (printed.code, printed.out, printed.err) == (130, "", "")


@pytest.mark.parametrize("arguments", [("check", "good.yaml"), ("check", "--help")])
def test_a_closed_pipe_ends_without_a_trace(arguments: tuple[str, ...]):
    # The reader is gone before anything is written.
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "stream_ewma", *arguments],
        check=False,
        env={name: text for name, text in os.environ.items() if name != "PYTHONUNBUFFERED"},
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(writer)

    assert (done.returncode, done.stderr) == (0, "")


def test_help_and_check_do_not_wait_for_the_clients_and_the_compiler():
    code = (
        "import sys; from stream_ewma.cli import main; main(['check', 'good.yaml']);"
        "sys.exit(bool({'numba', 'aiokafka'} & set(sys.modules)))"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_value_after_an_unknown_flag_goes_with_it():
    assert settings_flags.split(
        ["file", "--x.y", "1", "--log.level", "INFO", "--z=1", "more", "--q", "--help"]
    ) == (["file", "--log.level", "INFO", "more", "--help"], ["x.y", "z", "q"])


def test_a_summary_is_two_lines(command):
    settings = Settings.model_validate({"input": {"topics": ["a"]}, "smoothing": {"com": 2.5}})

    assert check.summary(settings).count("\n") == 2
