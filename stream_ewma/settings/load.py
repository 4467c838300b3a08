"""From sources to settings: merge the layers, validate once, and report every problem."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from stream_ewma.errors import SettingsError
from stream_ewma.settings import sources
from stream_ewma.settings.checks import CONFLICT
from stream_ewma.settings.models import Settings
from stream_ewma.settings.problems import describe
from stream_ewma.settings.smoothing import FACTOR_NAMES
from stream_ewma.settings.sources import Layer, Tree

_OF_RECORDED_DATA: Tree = {"topics": ["recorded-data"], "copartitioned": True}
_OF_THE_CLUSTER = ("kafka", "delivery", "topics")


def load_settings(
    path: Path | str | None = None,
    *,
    overrides: Mapping[str, object] | None = None,
    env: Mapping[str, str] | None = None,
    secrets_dir: Path | None = None,
    recorded: bool = False,
    replaced: Mapping[str, Tree] | None = None,
) -> Settings:
    """Settings from all sources: flags > environment > .env > secrets files > YAML > defaults.

    Args:
        path: the YAML file; None looks for it (STREAM_EWMA_CONFIG, ./stream-ewma.yaml,
            /etc/stream-ewma/config.yaml) and goes without where there is none.
        overrides: values by dotted name, as the command line gives them.
        env: variables in place of the process's own.
        secrets_dir: folder of secrets files; None takes STREAM_EWMA_SECRETS_DIR or /run/secrets.
        recorded: for recorded data, where no broker is asked: topics may be missing, what is said
            of the cluster is not looked at, and a key may come from the value.
        replaced: sections to take in place of what the sources say, which is not looked at.

    Raises:
        SettingsError: with one line for each thing that is wrong.
    """
    file = None if path is None else Path(path)
    layers = _layers(file, overrides or {}, env, secrets_dir)
    if recorded:
        layers.insert(0, Layer("recorded data", "name", {"input": dict(_OF_RECORDED_DATA)}))
    merged = _Merged(layers)
    if recorded:
        merged.base = layers[1]
        for section in _OF_THE_CLUSTER:
            merged.tree.pop(section, None)
    merged.tree.update(replaced or {})
    return _validate(merged)


def load_with_origins(
    path: Path | None = None,
    *,
    overrides: Mapping[str, object] | None = None,
    env: Mapping[str, str] | None = None,
    secrets_dir: Path | None = None,
) -> tuple[Settings, dict[str, str]]:
    """The same, and where each setting that is not at its default comes from, by its name.

    Raises:
        SettingsError: with one line for each thing that is wrong.
    """
    merged = _Merged(_layers(path, overrides or {}, env, secrets_dir))
    settings = _validate(merged)
    return settings, {name: layer.place(name) for name, layer in merged.origins.items()}


def _layers(
    path: Path | None,
    overrides: Mapping[str, object],
    env: Mapping[str, str] | None,
    secrets_dir: Path | None,
) -> list[Layer]:
    """All sources; the last one wins."""
    variables = sources.process_environment() if env is None else env
    file = path or sources.config_file(variables)
    return [
        sources.yaml_file(file) if file else Layer("settings", "name"),
        sources.secrets(secrets_dir or sources.secrets_folder(variables)),
        sources.dotenv(Path(".env")),
        sources.environment(variables),
        sources.flags(overrides),
    ]


class _Merged:
    """The layers as one tree that remembers where each value came from."""

    def __init__(self, layers: list[Layer]) -> None:
        self.base = layers[0]
        self.tree: Tree = {}
        self.problems = [problem for layer in reversed(layers) for problem in layer.problems]
        self.origins: dict[str, Layer] = {}
        for layer in layers:
            self._add(layer)

    def origin(self, *names: str) -> Layer:
        """The source of the first of the dotted `names` that any source has, or of its section."""
        for name in names:
            place = name
            while place:
                if place in self.origins:
                    return self.origins[place]
                place = place.rpartition(".")[0]
        return self.base

    def _add(self, layer: Layer) -> None:
        for name, value in layer.tree.items():
            below = self.tree.get(name)
            if not isinstance(value, dict):
                self.tree[name] = value
                self.origins[name] = layer
                continue
            if not isinstance(below, dict):
                below = self.tree[name] = {}
            ways = (*FACTOR_NAMES, "factors")
            if name == "smoothing" and any(value.get(way) for way in ways):
                # `--smoothing.alpha 0.2` replaces the file's half_life: they exclude each other.
                for factor in ways:
                    below.pop(factor, None)
                    self.origins.pop(f"smoothing.{factor}", None)
            for last, inner in value.items():
                below[last] = inner
                self.origins[f"{name}.{last}"] = layer


def _validate(merged: _Merged) -> Settings:
    reported = list(merged.problems)
    try:
        settings = Settings.model_validate(merged.tree)
    except ValidationError as error:
        errors = error.errors(include_url=False)
        errors += _conflicts_behind(errors, merged.tree)
        if merged.base.problems and not merged.base.tree:
            # The file could not be read: what it might have said is not missing.
            errors = [details for details in errors if details["type"] not in {"missing", CONFLICT}]
        reported += [_line(merged, details) for details in errors]
    if reported:
        # Not inside the clause above: pydantic's error, which holds the values, is no context.
        raise SettingsError(list(dict.fromkeys(reported)))
    return settings


def _conflicts_behind(errors: list[ErrorDetails], tree: Tree) -> list[ErrorDetails]:
    """The contradictions among the good values, which pydantic looks at only when all are good.

    The bad values are left out for that, and contradictions that rest on them are not reported.
    """
    if any(details["type"] == CONFLICT for details in errors):
        return []
    bad = [_dotted(details["loc"]) for details in errors]
    good: dict[str, Any] = {
        name: {
            last: inner
            for last, inner in value.items()
            if not any(_within(f"{name}.{last}", place) for place in bad)
        }
        if isinstance(value, dict)
        else value
        for name, value in tree.items()
        if not any(_within(name, place) for place in bad if "." not in place)
    }
    good.setdefault("input", {}).setdefault("topics", ["-"])
    good.setdefault("smoothing", {})
    try:
        Settings.model_validate(good)
    except ValidationError as error:
        return [
            details
            for details in error.errors(include_url=False)
            if details["type"] == CONFLICT
            and not any(
                _within(name, place) or _within(place, name)
                for name in (details["ctx"]["field"], *details["ctx"]["others"])
                for place in bad
            )
        ]
    return []


def _within(name: str, place: str) -> bool:
    return f"{place}.".startswith(f"{name}.")


def _dotted(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location)


def _line(merged: _Merged, details: ErrorDetails) -> str:
    name = _dotted(details["loc"])
    others = details["ctx"]["others"] if details["type"] == CONFLICT else ()
    layer = merged.origin(name, *others)
    if details["type"] == "missing" and name == "input":
        name = "input.topics"
    return layer.line(name, describe(name, details, layer))
