"""`stream-ewma config`: the file that it writes is good, what it shows holds, the schema fits."""

import contextlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from stream_ewma import cli
from stream_ewma.settings import Settings, load_settings
from stream_ewma.settings.load import load_with_origins
from stream_ewma.settings.names import part_of, sections, settings
from stream_ewma.settings.schema import schema
from stream_ewma.settings.smoothing import FACTOR_NAMES
from stream_ewma.settings.template import template

CONFIG = Path(__file__).parents[2] / "config"
FILES = [CONFIG / "stream-ewma.yaml", *sorted((CONFIG / "examples").glob("*.yaml"))]
GIVEN = {"input.topics": "sensor-readings", "smoothing.half_life": "30s"}
EVERYTHING = """
kafka: {startup_timeout: 1m30s, bootstrap_servers: ["k1:9092", "k2:9092"]}
input:
  topics: [a, b]
  start: 2026-01-31T08:00:00.250Z
  values: {temp: fields.temp, hum: fields.hum}
  max_future_skew: null
smoothing:
  factors: {fast: {half_life: 1500ms}, slow: {half_life: 10m, outputs: [ewma]}}
  rules: [{keys: "pump-*", factors: {fast: {half_life: 5s}}}]
  outputs: [ewma, forecast, limits]
  horizon: 60s
  seed: {value: 50}
  reset_daily: 06:00 Europe/Zurich
  outliers: {lowest: 0, deviations: 4}
  limits: {centre: 50, sigma: 2}
output:
  names: {temp: t, key: null}
  emit: {interval: 1s}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("STREAM_EWMA_"):
            monkeypatch.delenv(name)
    return tmp_path


@pytest.fixture
def config(capsys: pytest.CaptureFixture[str]) -> Iterator[object]:
    def run_it(*arguments: str, code: int = 0) -> str:
        ended = -1
        with contextlib.suppress(SystemExit):
            ended = cli.main(("config", *arguments))
        printed = capsys.readouterr()
        assert ended == code, printed.err
        return printed.out if code == 0 else printed.err

    return run_it


def load(text: str, folder: Path) -> Settings:
    (folder / "written.yaml").write_text(text)
    return load_settings(Path("written.yaml"), env={}, secrets_dir=folder / "none")


def test_init_writes_a_file_that_holds_as_it_is(config, folder: Path):
    assert load(config("init"), folder) == load_settings(env={}, overrides=GIVEN)


def test_init_names_every_setting_at_its_default(config, folder: Path):
    text = config("init")

    uncommented = re.sub(r"^( *)#(\w+:)", r"\1\2", text, flags=re.MULTILINE)

    tree = yaml.safe_load(uncommented)
    named = {f"{section}.{name}" for section, part in tree.items() if section in sections()
             for name in part} | {name for name in tree if name not in sections()}  # fmt: skip
    assert named == settings().keys()
    # The other ways to smooth are null, which is no way.
    assert load(uncommented, folder) == load_settings(env={}, overrides=GIVEN)


def test_init_says_what_each_setting_and_section_is_for():
    text = " ".join(re.sub(r"^ *# ?", "", template(), flags=re.MULTILINE).split())

    for setting in settings().values():
        assert " ".join((setting.field.description or "-").split()) in text
    for name, model in sections().items():
        assert not name or f"{model.__doc__} {name}:" in text
    assert max(map(len, template().splitlines())) <= 100


def test_init_says_what_is_written_inside_of_a_setting():
    lines = [re.sub(r"^ *#   (?! )", "", line) for line in template().splitlines()]
    rules = lines[lines.index("  #rules: []") - 4 : lines.index("  #rules: []")]

    assert [line.partition(":")[0] for line in rules] == [
        *(" | ".join(FACTOR_NAMES), "keys", "field", "factors"),
    ]
    for name in settings():
        part = part_of(name)
        for inner in part.model_fields if part else ():
            assert inner in FACTOR_NAMES or any(line.startswith(f"{inner}: ") for line in lines)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_files_of_the_project_fit_the_schema(file: Path):
    Draft202012Validator(schema()).validate(yaml.safe_load(file.read_text()))


def test_the_file_of_init_fits_the_schema():
    Draft202012Validator(schema()).validate(yaml.safe_load(template()))


def test_the_schema_is_one_of_json_schema(config):
    written = json.loads(config("schema"))

    Draft202012Validator.check_schema(written)
    assert written == schema()


@pytest.mark.parametrize(
    "text",
    [
        "smothing: {alpha: 0.2}",
        "smoothing: {alhpa: 0.2}",
        "smoothing: {alpha: 1.2}",
        "smoothing: {half_life: 30}",
        "smoothing: {half_life: 30 seconds}",
        "smoothing: {rules: [{keys: a, spam: 3}]}",
        "smoothing: {rules: [{keys: '', span: 3}]}",
        "smoothing: {outputs: 3}",
        "smoothing: {seed: {readings: 0}}",
        "input: {format: jsn}",
        "input: {values: {}}",
        "input: {max_key_bytes: 0}",
        "state: {standbys: -1}",
        "output: {emit: always}",
        "output: {emit: {intervall: 1s}}",
        "kafka: 3",
        "[]",
        "kafka: {bootstrap_servers: [9092]}",
    ],
)
def test_what_is_wrong_does_not_fit_the_schema(text: str):
    assert list(Draft202012Validator(schema()).iter_errors(yaml.safe_load(text)))


@pytest.mark.parametrize(
    "text",
    [
        EVERYTHING,
        "input: {topics: 'a, b'}\nsmoothing: {span: 9, outputs: 'ewma, std', horizon: 5}",
        "delivery: {transaction_timeout: 60s, commit_interval: 1m 30s}",
        "output: {emit: every}\nkafka:\n",
    ],
)
def test_what_is_right_fits_the_schema(text: str):
    # As editors read it: without timestamps.
    tree = json.loads(json.dumps(yaml.safe_load(text), default=str))

    Draft202012Validator(schema()).validate(tree)


def test_the_schema_says_defaults_as_the_file_does():
    definitions = schema()["$defs"]

    assert definitions["InputSettings"]["properties"]["max_future_skew"]["default"] == "1h"
    assert definitions["InputSettings"]["properties"]["max_key_bytes"]["minimum"] == 1


@pytest.mark.parametrize("file", [file.name for file in FILES if file.name != "secure.yaml"])
def test_what_is_shown_holds(config, folder: Path, file: str):
    path = next(each for each in FILES if each.name == file)

    text = config("show", "--config", str(path))

    assert load(text, folder) == load_settings(path, env={})


def test_what_is_shown_holds_for_values_of_every_form(config, folder: Path):
    original = load(EVERYTHING, folder)

    text = config("show", "--config", "written.yaml")

    assert "start: '2026-01-31T08:00:00.250+00:00'" in text
    assert load(text, folder) == original


def test_each_value_is_shown_with_where_it_comes_from(
    config, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    (folder / "a.yaml").write_text("input:\n  topics: a\n  format: text\nsmoothing:\n  span: 9\n")
    (folder / ".env").write_text("STREAM_EWMA_LOG__LEVEL=DEBUG\n")
    (folder / "secrets").mkdir()
    (folder / "secrets" / "stream_ewma_kafka__client_id").write_text("me")
    monkeypatch.setenv("STREAM_EWMA_OUTPUT__TOPIC", "smoothed")
    monkeypatch.setenv("STREAM_EWMA_INPUT__FORMAT", "double")

    text = config(
        "show", "--config", "a.yaml", "--secrets-dir", "secrets", "--smoothing.alpha", "0.3"
    )

    shown = dict(re.findall(r"^ *(\w+: .*?) +# (.*)$", text, re.MULTILINE))
    assert shown["topics: [a]"] == "a.yaml:2"
    assert shown["format: double"] == "environment: STREAM_EWMA_INPUT__FORMAT"
    assert shown["topic: smoothed"] == "environment: STREAM_EWMA_OUTPUT__TOPIC"
    assert shown["level: DEBUG"] == ".env: STREAM_EWMA_LOG__LEVEL"
    assert shown["client_id: me"] == "secrets: STREAM_EWMA_KAFKA__CLIENT_ID"
    assert shown["alpha: 0.3"] == "command line: --smoothing.alpha"
    assert shown["span: null"] == shown["bootstrap_servers: localhost:9092"] == "default"


def test_passwords_are_not_shown(config, folder: Path, monkeypatch: pytest.MonkeyPatch):
    (folder / "a.yaml").write_text(
        "kafka: {security_protocol: SASL_SSL, sasl_mechanism: PLAIN, sasl_username: me,"
        " sasl_password: hunter2}\ninput: {topics: a}\nsmoothing: {span: 9}\n"
    )
    text = config("show", "--config", "a.yaml")
    assert "sasl_password: '**********'" in text
    assert "hunter2" not in text

    monkeypatch.setenv("STREAM_EWMA_KAFKA__SASL_PASSWORD", "hunter3")
    text = config("show", "--config", "a.yaml")
    assert re.search(r"sasl_password: .* # environment: STREAM_EWMA_KAFKA__SASL_PASSWORD", text)
    assert "hunter" not in text
    assert "hunter" not in config("show", "--config", "a.yaml", "--log.level", "x", code=78)


def test_settings_that_are_wrong_are_not_shown(config):
    assert "input.topics: is missing" in config("show", code=78)


def test_origins_are_those_of_what_is_not_a_default():
    _, origins = load_with_origins(overrides=GIVEN, env={})

    assert origins == {name: f"command line: --{name}" for name in GIVEN}


@pytest.mark.parametrize("action", ["init", "schema"])
@pytest.mark.parametrize("flag", ["--smoothing.alpha", "--smothing.alpha"])
def test_what_is_the_same_for_all_takes_no_settings(config, action: str, flag: str):
    said = config(action, flag, "0.2", code=2)

    assert said == f"stream-ewma config {action}: takes no {flag}; leave it out\n"
