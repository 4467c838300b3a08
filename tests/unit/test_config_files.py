"""The files in config/ are right, complete, and say the defaults that hold."""

import re
import shutil
from pathlib import Path

import pytest
import yaml

from stream_ewma.service.config import task_config
from stream_ewma.settings import Settings, load_settings
from stream_ewma.settings.names import literals, sections, settings
from stream_ewma.smoothing.parameters import Factor

CONFIG = Path(__file__).parents[2] / "config"
COMPLETE = CONFIG / "stream-ewma.yaml"
EXAMPLES = sorted((CONFIG / "examples").glob("*.yaml"))


def load(file: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Load `file` where the certificate that an example names exists."""
    shutil.copy(file, folder / "settings.yaml")
    (folder / "ca.pem").touch()
    monkeypatch.chdir(folder)
    secrets = folder / "secrets"
    secrets.mkdir()
    password = re.search(r"/run/secrets/(stream_ewma_kafka__sasl_password)", file.read_text())
    if password:
        (secrets / password[1]).write_text("hunter2\n")
    return load_settings(Path("settings.yaml"), env={}, secrets_dir=secrets)


@pytest.mark.parametrize("file", [COMPLETE, *EXAMPLES], ids=lambda file: file.name)
def test_a_file_loads(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    config = task_config(load(file, tmp_path, monkeypatch))
    assert config.plan.outputs


def test_there_is_an_example_for_each_use():
    assert {file.stem for file in EXAMPLES} >= {
        "bare-numbers",
        "binary-doubles",
        "event-time",
        "per-key-rules",
        "secure",
        "telegraf",
        "control-chart",
        "weather-stations",
        "report-on-change",
        "fast-and-slow",
    }


def test_the_complete_file_names_every_setting():
    text = COMPLETE.read_text()
    blocks = {"": text} | {
        name: re.search(rf"^{name}:.*\n((?:[ #].*\n|\n)*)", text, re.MULTILINE)[1]  # type: ignore[index]
        for name in sections()
        if name
    }

    for name in settings():
        section, _, last = name.rpartition(".")
        assert re.search(rf"^ *#?[ -]*{last}:", blocks[section], re.MULTILINE), name


def test_the_complete_file_names_every_choice():
    text = COMPLETE.read_text()

    for setting in settings().values():
        section, _, last = setting.name.rpartition(".")
        values = yaml.safe_load(text).get(section, {})
        if not isinstance(values, dict) or last not in values:
            continue
        block = text[text.index(f"\n{section}:") :] if section else text
        line = next(line for line in block.splitlines() if re.match(rf" *{last}:", line))
        for choice in literals(setting.field):
            assert choice in line, f"{setting.name}: {choice}"


def test_the_complete_file_says_the_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    settings_of_file = load(COMPLETE, tmp_path, monkeypatch)
    defaults = load_settings(
        env={}, overrides={"input.topics": "sensor-readings", "smoothing.half_life": "30s"}
    )

    assert settings_of_file == defaults


def test_the_examples_say_what_their_comments_promise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    loaded = {}
    for file in EXAMPLES:
        folder = tmp_path / file.stem
        folder.mkdir()
        loaded[file.stem] = load(file, folder, monkeypatch)

    assert loaded["bare-numbers"].input.format == "text"
    assert loaded["binary-doubles"].output.format == "double"
    assert loaded["event-time"].smoothing.key_rules().default == (Factor(half_life=30_000),)
    assert loaded["event-time"].input.timestamp_required
    assert loaded["telegraf"].input.value == "fields.usage_idle"
    assert loaded["telegraf"].input.timestamp_unit == "s"
    assert loaded["secure"].kafka.sasl_password.get_secret_value() == "hunter2"  # type: ignore[union-attr]
    rules = loaded["per-key-rules"].smoothing.key_rules()
    assert [rules.resolve(key) for key in ("pump-7", "tank-7", "tank-77", "x-raw")] == [1, 2, 0, 3]
