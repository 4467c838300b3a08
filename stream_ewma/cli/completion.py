"""Complete commands, their actions, flags and choices in bash, zsh or fish.

stream-ewma completion bash > ~/.local/share/bash-completion/completions/stream-ewma
stream-ewma completion zsh >> ~/.zshrc
stream-ewma completion fish > ~/.config/fish/completions/stream-ewma.fish

For this shell alone: source <(stream-ewma completion bash). It is made from the commands and
settings of this version: write it again after an update.
"""

import argparse
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from stream_ewma.cli.commands import COMMANDS, module_of, parser_of, takes_settings
from stream_ewma.settings.names import literals
from stream_ewma.settings.names import settings as all_settings

TAKES_SETTINGS: Final = False
_SHELLS: Final = ("bash", "zsh", "fish")
_OTHER_COMMANDS: Final = {"version": "the version", "help": "this help"}

_BASH: Final = """\
_stream_ewma() {{
    local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD-1]}}
    local command=${{COMP_WORDS[1]}} candidates=
    local settings={settings}
    # --flag=value comes as three words.
    if [[ $cur == = ]]; then
        cur=
    elif [[ $prev == = ]]; then
        prev=${{COMP_WORDS[COMP_CWORD-2]}}
    fi
    if (( COMP_CWORD == 1 )); then
        candidates={commands}
    else
        case "$command:$prev" in
{choices}
        *)
            if [[ $cur == -* ]]; then
                case $command in
{flags}
                esac
            elif (( COMP_CWORD == 2 )); then
                case $command in
{actions}
                esac
            fi
            ;;
        esac
    fi
    COMPREPLY=( $(compgen -W "$candidates" -- "$cur") )
}}
complete -o default -F _stream_ewma stream-ewma
"""
_ZSH_HEAD: Final = """\
autoload -Uz compinit bashcompinit
(( $+functions[compdef] )) || compinit
bashcompinit
"""


@dataclass(frozen=True, slots=True)
class Command:
    """What there is to complete behind a command.

    Attributes:
        name: of the command.
        actions: words that may follow it.
        flags: its own, with their choices, which are often none.
        takes_settings: whether every setting is a flag, too.
    """

    name: str
    actions: tuple[str, ...]
    flags: dict[str, tuple[str, ...]]
    takes_settings: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The shell."""
    parser.usage = "%(prog)s bash|zsh|fish"
    parser.add_argument("shell", choices=_SHELLS, help="for which it is")


def run(arguments: argparse.Namespace) -> int:
    """Write the script to standard output."""
    commands = [_command(name) for name in COMMANDS]
    match arguments.shell:
        case "fish":
            text = "".join(f"{line}\n" for line in _fish(commands))
        case "zsh":
            text = _ZSH_HEAD + _bash(commands)
        case _:
            text = _bash(commands)
    sys.stdout.write(text)
    return 0


def _command(name: str) -> Command:
    module = module_of(name)
    found = parser_of(name, module).completions()
    settings = _settings()
    return Command(
        name,
        found.pop("", ()),
        {flag: choices for flag, choices in found.items() if flag not in settings},
        takes_settings(module),
    )


def _settings() -> dict[str, tuple[str, ...]]:
    """The flags of the settings, with their choices."""
    return {
        f"--{setting.name}": ("true", "false")
        if setting.field.annotation is bool
        else tuple(literals(setting.field))
        for setting in all_settings().values()
        if not setting.is_secret
    }


def _bash(commands: list[Command]) -> str:
    settings = _settings()
    choices = [(f"*:{flag}", words) for flag, words in settings.items()]
    choices += [
        (f"{command.name}:{flag}", words)
        for command in commands
        for flag, words in command.flags.items()
    ]
    flags = [
        (each.name, (*each.flags, *(("$settings",) if each.takes_settings else ())))
        for each in commands
    ]
    return _BASH.format(
        settings=shlex.quote(" ".join(settings)),
        commands=shlex.quote(" ".join([*COMMANDS, *_OTHER_COMMANDS])),
        choices=_cases(choices, 8),
        flags=_cases(flags, 16),
        actions=_cases([(each.name, each.actions) for each in commands], 16),
    )


def _cases(cases: list[tuple[str, tuple[str, ...]]], indent: int) -> str:
    """Branches of a `case`, of what has any words."""
    return "\n".join(
        f'{" " * indent}{pattern}) candidates="{" ".join(words)}" ;;'
        for pattern, words in cases
        if words
    )


def _fish(commands: list[Command]) -> Iterator[str]:
    start = "complete -c stream-ewma"
    for name, text in {**COMMANDS, **_OTHER_COMMANDS}.items():
        yield f"{start} -f -n __fish_use_subcommand -a {name} -d {shlex.quote(text)}"
    for command in commands:
        behind = f'{start} -n "__fish_seen_subcommand_from {command.name}"'
        if command.actions:
            yield f'{behind} -a "{" ".join(command.actions)}"'
        for flag, words in command.flags.items():
            yield f"{behind} {_fish_flag(flag, words)}"
    names = " ".join(each.name for each in commands if each.takes_settings)
    for setting in all_settings().values():
        if not setting.is_secret:
            flag = _fish_flag(f"--{setting.name}", _settings()[f"--{setting.name}"])
            told = shlex.quote(" ".join((setting.field.description or "").split()))
            yield f'{start} -n "__fish_seen_subcommand_from {names}" {flag} -d {told}'


def _fish_flag(flag: str, words: tuple[str, ...]) -> str:
    option = f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}"
    return f'{option} -x -a "{" ".join(words)}"' if words else option
