"""Where settings come from: flags, environment, .env, secrets files and YAML, each as one layer."""

import os
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

import yaml
from pydantic_settings import DotEnvSettingsSource

from stream_ewma.settings import names
from stream_ewma.settings.models import Settings

PREFIX = "STREAM_EWMA_"
CONFIG_VARIABLE = f"{PREFIX}CONFIG"
SECRETS_VARIABLE = f"{PREFIX}SECRETS_DIR"
_NOT_SETTINGS = {CONFIG_VARIABLE, SECRETS_VARIABLE, f"{PREFIX}KERNEL_CACHE_DIR"}
_TEST_PREFIX = f"{PREFIX}TEST_"
_CONFIG_PLACES = (Path("stream-ewma.yaml"), Path("/etc/stream-ewma/config.yaml"))
_SECRETS_PLACE = Path("/run/secrets")

Tree: TypeAlias = dict[str, object]
Style: TypeAlias = Literal["flag", "variable", "name"]


@dataclass(frozen=True, slots=True)
class Layer:
    """The settings from one source.

    Attributes:
        source: what an error line begins with, for example the file's name.
        style: how the source spells names.
        tree: values by section and name, as found.
        lines: line in the file of each dotted name, where the source has lines.
        problems: error lines of what could not become part of `tree`.
    """

    source: str
    style: Style
    tree: Tree = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def spell(self, name: str) -> str:
        """The dotted `name` as this source writes it."""
        if self.style == "flag":
            return f"--{name}"
        if self.style == "variable":
            return PREFIX + name.upper().replace(".", "__")
        return name

    def place(self, name: str) -> str:
        """Where this source has the dotted `name`."""
        if name in self.lines:
            return f"{self.source}:{self.lines[name]}"
        return f"{self.source}: {self.spell(name)}"

    def line(self, name: str, message: str) -> str:
        """One line about `name`."""
        where = f" (line {self.lines[name]})" if name in self.lines else ""
        return f"{self.source}: {self.spell(name)}: {message}{where}"


def flags(overrides: Mapping[str, object]) -> Layer:
    """The layer of dotted names with values."""
    layer = Layer("command line", "flag")
    for name, value in overrides.items():
        setting = names.settings().get(name)
        if setting is not None and setting.is_secret:
            variable = f"{PREFIX}{name.upper().replace('.', '__')}"
            layer.problems.append(
                layer.line(name, f"would show in process lists; set {variable} in the environment")
            )
        else:
            _put(layer, name, value)
    return layer


def environment(variables: Mapping[str, str]) -> Layer:
    """The layer of the variables that have the prefix."""
    layer = Layer("environment", "variable")
    _put_variables(layer, variables)
    return layer


def dotenv(path: Path) -> Layer:
    """The layer of a .env file; it is shared with other programs, so only the prefix counts."""
    layer = Layer(str(path), "variable")
    if path.is_file():
        # Names come back in lower case.
        found = DotEnvSettingsSource(Settings, env_file=path).env_vars
        _put_variables(layer, {name.upper(): value or "" for name, value in found.items()})
    return layer


def secrets(folder: Path) -> Layer:
    """The layer of the files in `folder` that are named as variables, in either case."""
    layer = Layer(str(folder), "variable")
    try:
        files = sorted(path for path in folder.iterdir() if path.is_file())
    except FileNotFoundError:
        return layer
    except OSError as error:
        layer.problems.append(f"{folder}: secrets: cannot be read ({error.strerror})")
        return layer
    for path in files:
        if not path.name.upper().startswith(PREFIX):
            continue
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            layer.problems.append(
                f"{folder}: {path.name}: cannot be read as text; save it as UTF-8"
            )
            continue
        _put_variables(layer, {path.name.upper(): text.rstrip("\r\n")})
    return layer


def secrets_folder(variables: Mapping[str, str]) -> Path:
    """The folder named by the variable, else the one where containers find theirs."""
    return Path(variables.get(SECRETS_VARIABLE) or _SECRETS_PLACE)


def config_file(variables: Mapping[str, str]) -> Path | None:
    """The file named by the variable, else the first that exists of the usual places."""
    named = variables.get(CONFIG_VARIABLE)
    if named:
        return Path(named)
    return next((path for path in _CONFIG_PLACES if path.is_file()), None)


def process_environment() -> Mapping[str, str]:
    """The variables of this process."""
    return os.environ


def yaml_file(path: Path) -> Layer:
    """The layer of a YAML file."""
    layer = Layer(str(path), "name")
    try:
        tree = _parse(layer, path.read_text("utf-8"))
    except FileNotFoundError:
        layer.problems.append(f"{path}: file: does not exist; write the path of a settings file")
    except OSError as error:
        layer.problems.append(f"{path}: file: cannot be read ({error.strerror})")
    except UnicodeDecodeError:
        layer.problems.append(f"{path}: file: is not text; save it as UTF-8")
    except yaml.MarkedYAMLError as error:
        layer.problems.append(f"{path}: {_syntax_error(error)}")
    except yaml.YAMLError as error:
        layer.problems.append(f"{path}: file: {' '.join(str(error).split())}")
    else:
        layer.tree.update(tree)
    return layer


def _parse(layer: Layer, text: str) -> Tree:
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        _note_lines(layer, node)
        tree = loader.construct_document(node) if node is not None else {}
    finally:
        loader.dispose()
    if not isinstance(tree, dict):
        layer.problems.append(
            f"{layer.source}: file: has no sections; write names with values, as 'input:'"
            " and under it, indented, 'topics: [sensor-readings]'"
        )
        return {}
    # A section whose lines are all commented out is null: the same as no section.
    return {
        name: value
        for name, value in tree.items()
        if not (value is None and name in names.sections())
    }


class _Loader(yaml.SafeLoader):
    """Reads timestamps as text, so that each setting decides, and names as text."""

    def construct_mapping(
        self, node: yaml.MappingNode, deep: bool = False
    ) -> dict[Hashable, object]:
        mapping = super().construct_mapping(node, deep=deep)
        return {str(name): value for name, value in mapping.items()}


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _note_lines(layer: Layer, node: yaml.Node | None, place: str = "") -> None:
    """Fill `layer.lines`, and report names that a mapping has twice."""
    if isinstance(node, yaml.SequenceNode):
        children = [(str(number), item, item) for number, item in enumerate(node.value)]
    elif isinstance(node, yaml.MappingNode):
        children = [(str(key.value), key, value) for key, value in node.value]
    else:
        return
    for name, key, value in children:
        dotted = f"{place}.{name}" if place else name
        if dotted in layer.lines:
            layer.problems.append(layer.line(dotted, "is there twice; keep one"))
            continue
        layer.lines[dotted] = key.start_mark.line + 1
        # An alias leads back to a node elsewhere, perhaps around it: its lines are noted there.
        if value.start_mark.index >= key.start_mark.index:
            _note_lines(layer, value, dotted)


def _syntax_error(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    line = f"line {mark.line + 1}" if mark else "file"
    what = " ".join((error.problem or error.context or "cannot be read").split())
    return f"{line}: is not YAML: {what}; mend the line or the one before"


def _put_variables(layer: Layer, variables: Mapping[str, str]) -> None:
    for variable, value in variables.items():
        if not variable.startswith(PREFIX):
            continue
        if variable in _NOT_SETTINGS or variable.startswith(_TEST_PREFIX):
            continue
        name = variable.removeprefix(PREFIX).lower().replace("__", ".")
        _put(layer, name, value)


def _put(layer: Layer, name: str, value: object) -> None:
    """Place `value` in the tree, or report that nothing has that name."""
    if name in names.sections():
        example = next(known for known in names.settings() if known.startswith(f"{name}."))
        layer.problems.append(
            layer.line(name, f"is a section; write one setting of it, as {layer.spell(example)}")
        )
        return
    if name not in names.settings():
        near = names.nearest(name)
        advice = f"write {layer.spell(near)}" if near else "leave it out"
        layer.problems.append(layer.line(name, f"is not a setting; {advice}"))
        return
    section, _, last = name.rpartition(".")
    place = layer.tree.setdefault(section, {}) if section else layer.tree
    assert isinstance(place, dict)  # noqa: S101  sections are only put here
    # Variables and flags have no other way to say null.
    place[last] = None if value == "null" else value
