"""What the documents say is what the code does."""

import doctest
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from stream_ewma import Smoother, __version__
from stream_ewma.cli import settings_flags
from stream_ewma.cli.commands import COMMANDS, module_of, takes_settings
from stream_ewma.kafka.permissions import WANTED
from stream_ewma.kafka.topic_state import Role
from stream_ewma.settings import load_settings
from stream_ewma.settings.names import settings
from tests.support.settings_table import README, in_readme, parts, table


def test_the_readmes_table_of_settings_is_the_models():
    written = in_readme(README.read_text("utf-8"))

    assert written is not None, "the README has lost the marks around its table of settings"
    assert written == table(), "bring it up to date: python -m tests.support.settings_table"
    assert all(re.fullmatch(r"\|.*\|.*\|.*\|", line) for line in written.splitlines())


def test_the_table_and_the_complete_file_name_what_is_within_a_setting():
    complete = (README.parent / "config" / "stream-ewma.yaml").read_text("utf-8")
    names = [part.name for setting in settings() for part in parts(setting)]

    assert {"smoothing.rules[].field", "smoothing.factors.NAME.outputs"} <= set(names)
    assert {"smoothing.seed.weight", "output.emit.on_change"} <= set(names)
    assert "smoothing.rules[].alpha" not in names
    for name in names:
        assert f"| `{name}` |" in table()
        assert re.search(rf"\b{name.rpartition('.')[2]}:", complete), name


def command_lines() -> list[str]:
    """Each `stream-ewma ...` line in the README's code blocks."""
    blocks = re.findall(r"```\w*\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    text = "\n".join(blocks).replace("\\\n", " ")
    return re.findall(r"^(?:\W*(?:\S+=\S+ )*|.* \| )(stream-ewma .*)$", text, re.MULTILINE)


def test_the_readmes_commands_exist_with_their_flags():
    for line in command_lines():
        _, command, *arguments = shlex.split(line, comments=True)
        if command == "version":
            continue
        assert command in COMMANDS, line
        module = module_of(command)
        if takes_settings(module):
            assert settings_flags.split(arguments, getattr(module, "FLAGS", ()))[1] == [], line


def test_the_readmes_permissions_are_those_that_are_looked_for():
    rows = {
        Role.INPUT: "input topics",
        Role.OUTPUT: "output and dead letter topics",
        Role.DEAD_LETTERS: "output and dead letter topics",
        Role.CHANGELOG: "changelogs, `{application_id}-*-changelog`",
    }
    for role, operations in WANTED.items():
        (line,) = re.findall(
            rf"^\| {re.escape(rows[role])} \| (.*) \|$", README.read_text(), re.MULTILINE
        )
        assert {"Describe", *line.split(", ")} == {"Describe", *(each.text for each in operations)}


def test_who_embeds_the_service_is_told_how_to_keep_passwords_out_of_the_log():
    # The service's own log does that by itself; a program's is the program's business.
    line = 'logging.getLogger("aiokafka").setLevel(logging.WARNING)'

    assert line in (Smoother.__doc__ or "")
    assert line in README.read_text("utf-8")


def test_the_version_that_is_here_is_one_that_gets_security_fixes():
    minor = __version__.rpartition(".")[0]

    assert f"\n| {minor}.x | yes |\n" in README.with_name("SECURITY.md").read_text("utf-8")
    assert "](SECURITY.md)" in README.read_text("utf-8")


def test_links_in_the_readme_lead_to_files():
    targets = re.findall(r"\]\((?!https?://|#)([^)#]+)", README.read_text("utf-8"))

    assert [target for target in targets if not (README.parent / Path(target)).exists()] == []


def test_links_within_the_readme_lead_to_headings():
    text = README.read_text("utf-8")
    headings = re.findall(r"^##+ (.+)$", text, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}

    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= anchors


def test_the_readmes_yaml_is_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```yaml\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    assert len(blocks) == 2

    for block in blocks:
        (tmp_path / "block.yaml").write_text(block)
        load_settings(
            tmp_path / "block.yaml",
            env={},
            overrides={"input.topics": "sensor-readings"},
            secrets_dir=tmp_path / "none",
        )


def test_the_quick_starts_readings_come_out_as_it_says():
    section = README.read_text("utf-8").partition("## Quick start")[2].partition("\n## ")[0]
    (written,) = re.findall(r"^(printf .*) \| kcat -P", section, re.MULTILINE)
    (expected,) = re.findall(r"```json\n(.*?)```", section, re.DOTALL)
    line = f'{written} | "{sys.executable}" -m stream_ewma pipe --smoothing.half_life 30s'

    done = subprocess.run(["bash", "-c", line], check=True, capture_output=True, text=True)

    assert done.stdout == expected
    assert "1 rejected (decode 1)" in done.stderr


def test_the_settings_that_the_readme_names_exist():
    text = README.read_text("utf-8")
    named = set(re.findall(r"`((?:input|output|kafka|smoothing|state|dead_letters|delivery|topics"
                           r"|log)\.[a-z_]+)`", text))  # fmt: skip

    assert named <= settings().keys()


def test_the_readmes_python_gives_what_it_says():
    blocks = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    assert blocks
    names: dict[str, object] = {}

    for number, block in enumerate(blocks):
        example = doctest.DocTestParser().get_doctest(block, names, f"block {number}", None, None)
        runner = doctest.DocTestRunner()
        assert example.examples
        assert runner.run(example, clear_globs=False).failed == 0
        names |= example.globs
