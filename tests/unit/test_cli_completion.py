"""`stream-ewma completion`: asked as a shell asks, it answers what the commands take."""

import shutil
import subprocess
from collections.abc import Iterator

import pytest

from stream_ewma import cli
from stream_ewma.cli.commands import COMMANDS, module_of, parser_of, takes_settings
from stream_ewma.settings.names import settings

BASH = shutil.which("bash")


@pytest.fixture
def script(capsys: pytest.CaptureFixture[str]) -> Iterator[object]:
    def of_shell(shell: str) -> str:
        assert cli.main(("completion", shell)) == 0
        return capsys.readouterr().out

    return of_shell


@pytest.fixture
def complete(script) -> Iterator[object]:
    """What bash proposes for the last of some words."""
    if BASH is None:
        pytest.skip("needs bash: apt-get install bash")
    text = script("bash")

    def ask(*words: str) -> list[str]:
        program = f"""
            {text}
            COMP_WORDS=(stream-ewma "$@") COMP_CWORD=$#
            _stream_ewma
            printf '%s\\n' "${{COMPREPLY[@]}}"
        """
        done = subprocess.run(
            [str(BASH), "--norc", "-uc", program, "bash", *words],
            check=True,
            capture_output=True,
            text=True,
        )
        assert done.stderr == ""
        return done.stdout.split()

    return ask


def test_bash_completes_commands(complete):
    assert complete("") == [*COMMANDS, "version", "help"]
    assert complete("co") == ["config", "completion"]


def test_bash_completes_actions(complete):
    assert complete("config", "") == ["init", "show", "schema"]
    assert complete("state", "ex") == ["export"]
    assert complete("state", "export", "") == []  # a file: bash's own answer


@pytest.mark.parametrize("name", COMMANDS)
def test_bash_completes_every_flag_that_a_command_takes(complete, name: str):
    module = module_of(name)
    flags = set(parser_of(name, module).completions()) - {""}

    proposed = complete(name, "-")

    assert set(proposed) == flags
    assert len(proposed) == len(flags)
    every = {f"--{each.name}" for each in settings().values() if not each.is_secret}
    assert every <= flags or not takes_settings(module)


def test_bash_completes_the_beginning_of_a_flag(complete):
    assert complete("run", "--smoothing.half") == [
        "--smoothing.half_life_samples",
        "--smoothing.half_life",
    ]
    assert complete("pipe", "--key") == ["--key-field"]
    assert "--kafka.sasl_password" not in complete("run", "--kafka.")


@pytest.mark.parametrize(
    ("words", "proposed"),
    [
        (("run", "--input.format", ""), ["json", "text", "double", "float"]),
        (("run", "--output.format", "j"), ["json"]),
        (("run", "--output.format", "=", "j"), ["json"]),
        (("run", "--output.format", "="), ["json", "text", "double"]),
        (("run", "--state.durable", "t"), ["true"]),
        (("smooth", "a.csv", "--to", ""), ["csv", "jsonl", "parquet"]),
        (("tune", "a.csv", "--clock", "t"), ["time"]),
        (("run", "--config", ""), []),
    ],
)
def test_bash_completes_choices(complete, words: tuple[str, ...], proposed: list[str]):
    assert complete(*words) == proposed


def test_zsh_uses_what_it_has_for_bash(script):
    text = script("zsh")

    assert text.endswith(script("bash"))
    assert text.index("bashcompinit") < text.index("_stream_ewma()")


def test_fish_has_every_command_and_flag(script):
    lines = script("fish").splitlines()

    assert all(line.startswith("complete -c stream-ewma ") for line in lines)
    for name in COMMANDS:
        assert any(f" -a {name} -d " in line for line in lines)
    (line,) = [line for line in lines if " -l input.format " in line]
    assert '-x -a "json text double float" -d ' in line
    assert "sasl_password" not in "".join(lines)


def test_another_shell_is_refused_with_the_ones_there_are(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        cli.main(("completion", "tcsh"))

    assert ended.value.code == 2
    assert "choose from" in capsys.readouterr().err
