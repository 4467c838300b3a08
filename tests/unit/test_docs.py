"""What the documents say is what the code does."""

import doctest
import re
import shlex
from pathlib import Path

from stream_ewma import Smoother, __version__
from stream_ewma.cli import settings_flags
from stream_ewma.cli.commands import COMMANDS, module_of, takes_settings
from stream_ewma.kafka.permissions import WANTED
from stream_ewma.kafka.topic_state import Role
from stream_ewma.settings.names import settings
from tests.support.settings_table import README, in_readme, table


def test_the_readmes_table_of_settings_is_the_models():
    written = in_readme(README.read_text("utf-8"))

    assert written is not None, "the README has lost the marks around its table of settings"
    assert written == table(), "bring it up to date: python -m tests.support.settings_table"
    assert all(re.fullmatch(r"\|.*\|.*\|.*\|", line) for line in written.splitlines())


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
