"""Where settings come from, what wins, and where each problem is said to be."""

import os
from pathlib import Path

import pytest

from stream_ewma.errors import SettingsError
from stream_ewma.settings import Settings, load_settings

GOOD = "input: {topics: readings}\nsmoothing: {alpha: 0.1}\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("STREAM_EWMA_"):
            monkeypatch.delenv(name)
    return tmp_path


def write(text: str, name: str = "stream-ewma.yaml") -> Path:
    file = Path(name)
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    return file


def load(text: str = GOOD, **variables: str) -> Settings:
    write(text)
    return load_settings(env=variables)


def problems(text: str = GOOD, **variables: str) -> list[str]:
    with pytest.raises(SettingsError) as refused:
        load(text, **variables)
    return refused.value.problems


def test_flags_win_over_environment_over_dotenv_over_secrets_over_yaml_over_defaults():
    variable = "STREAM_EWMA_APPLICATION_ID"
    overrides: dict[str, object] = {}
    env: dict[str, str] = {}

    def application_id() -> str:
        settings = load_settings(env=env, overrides=overrides, secrets_dir=Path("secrets"))
        return settings.application_id

    write(GOOD)
    assert application_id() == "stream-ewma"
    write(f"application_id: yaml\n{GOOD}")
    assert application_id() == "yaml"
    write("secrets", f"secrets/{variable}")
    assert application_id() == "secrets"
    write(f"{variable}=dotenv", ".env")
    assert application_id() == "dotenv"
    env[variable] = "environment"
    assert application_id() == "environment"
    overrides["application_id"] = "flags"
    assert application_id() == "flags"


def test_sources_are_merged_setting_by_setting():
    settings = load(
        f"{GOOD}kafka: {{client_id: a, request_timeout_ms: 7}}\n",
        STREAM_EWMA_KAFKA__CLIENT_ID="b",
    )

    assert (settings.kafka.client_id, settings.kafka.request_timeout_ms) == ("b", 7)


def test_a_factor_replaces_another_one_of_a_weaker_source():
    settings = load(STREAM_EWMA_SMOOTHING__HALF_LIFE="30s")

    assert (settings.smoothing.alpha, settings.smoothing.half_life) == (None, 30_000)


def test_two_factors_in_one_source_are_not_resolved_in_silence():
    assert problems(STREAM_EWMA_SMOOTHING__SPAN="3", STREAM_EWMA_SMOOTHING__COM="3") == [
        "environment: STREAM_EWMA_SMOOTHING: has span and com, which exclude each other; keep one"
    ]


def test_without_a_path_the_usual_places_are_tried(folder: Path):
    write(f"application_id: named\n{GOOD}", "named.yaml")
    write(f"application_id: here\n{GOOD}")

    assert load_settings(env={}).application_id == "here"
    assert load_settings(env={"STREAM_EWMA_CONFIG": "named.yaml"}).application_id == "named"
    assert load_settings(Path("named.yaml"), env={}).application_id == "named"


def test_a_file_is_not_needed():
    settings = load_settings(
        env={"STREAM_EWMA_INPUT__TOPICS": "a,b", "STREAM_EWMA_SMOOTHING__ALPHA": "0.5"}
    )

    assert settings.input.topics == ("a", "b")


def test_without_anything_what_is_missing_is_told():
    with pytest.raises(SettingsError) as refused:
        load_settings(env={})

    assert [line.split("; ")[0] for line in refused.value.problems] == [
        "settings: input.topics: is missing",
        "settings: smoothing: is missing",
    ]


def test_by_default_the_environment_of_the_process_counts(monkeypatch: pytest.MonkeyPatch):
    write(GOOD)
    monkeypatch.setenv("STREAM_EWMA_LOG__LEVEL", "DEBUG")

    assert load_settings().log.level == "DEBUG"


def test_null_can_be_said_in_a_variable_and_names_are_read_in_either_case():
    assert load(STREAM_EWMA_INPUT__TIMESTAMP="null").input.timestamp is None
    write("stream_ewma_input__timestamp=null\n", ".env")
    assert load().input.timestamp is None


def test_secrets_are_files_named_as_variables_in_either_case(folder: Path):
    write("hunter2\n", "secrets/stream_ewma_kafka__sasl_password")
    write("not ours", "secrets/other_password")
    (folder / "secrets" / "stream_ewma_folder").mkdir()
    yaml = (
        f"{GOOD}kafka: {{security_protocol: SASL_PLAINTEXT, sasl_mechanism: PLAIN,"
        " sasl_username: me}\n"
    )

    password = load(yaml, STREAM_EWMA_SECRETS_DIR="secrets").kafka.sasl_password

    assert password is not None
    assert password.get_secret_value() == "hunter2"


def test_a_secret_that_is_no_text_is_told(folder: Path):
    (folder / "secrets").mkdir()
    (folder / "secrets" / "stream_ewma_log__level").write_bytes(b"\xff\xfe")

    assert problems(STREAM_EWMA_SECRETS_DIR="secrets") == [
        "secrets: stream_ewma_log__level: cannot be read as text; save it as UTF-8"
    ]


def test_a_secrets_folder_that_is_a_file_is_told():
    write("", "secrets")

    assert problems(STREAM_EWMA_SECRETS_DIR="secrets") == [
        "secrets: secrets: cannot be read (Not a directory)"
    ]


def test_a_secrets_folder_that_does_not_exist_holds_none():
    load(STREAM_EWMA_SECRETS_DIR="no-such-folder")


@pytest.mark.parametrize(
    ("variable", "advice"),
    [
        ("STREAM_EWMA_INPUT__TOPIC", "write STREAM_EWMA_INPUT__TOPICS"),
        ("STREAM_EWMA_INPUT_TOPICS", "write STREAM_EWMA_INPUT__TOPICS"),
        ("STREAM_EWMA_KAFKA__SASL_PASSWRD", "write STREAM_EWMA_KAFKA__SASL_PASSWORD"),
        ("STREAM_EWMA_ALPHA", "write STREAM_EWMA_SMOOTHING__ALPHA"),
        ("STREAM_EWMA_ZZZ__QQQ", "leave it out"),
    ],
)
def test_a_misspelt_variable_is_told_with_the_nearest_right_one(variable: str, advice: str):
    expected = f"{variable}: is not a setting; {advice}"

    assert problems(**{variable: "hunter2"}) == [f"environment: {expected}"]
    write(f"{variable}=hunter2\nOTHER=1\n", ".env")
    assert problems() == [f".env: {expected}"]
    Path(".env").unlink()
    write("hunter2", f"secrets/{variable}")
    assert problems(STREAM_EWMA_SECRETS_DIR="secrets") == [f"secrets: {expected}"]


def test_a_variable_named_as_a_section_is_told():
    (line,) = problems(STREAM_EWMA_INPUT="{}")

    assert line == (
        "environment: STREAM_EWMA_INPUT: is a section; write one setting of it,"
        " as STREAM_EWMA_INPUT__TOPICS"
    )


def test_variables_of_the_project_that_are_no_settings_are_let_be():
    load(
        STREAM_EWMA_CONFIG="stream-ewma.yaml",
        STREAM_EWMA_SECRETS_DIR="x",
        STREAM_EWMA_KERNEL_CACHE_DIR="x",
        STREAM_EWMA_TEST_BOOTSTRAP="x",
        PATH="/bin",
    )


@pytest.mark.parametrize(
    ("yaml", "line"),
    [
        ("inptu: {}\n", "inptu: is not a setting; write input (line 3)"),
        ("alpha: 1\n", "alpha: is not a setting; write smoothing.alpha (line 3)"),
        ("zzz: 1\n", "zzz: is not a setting; leave it out (line 3)"),
        ("kafka:\n  sasl_passwrd: hunter2\n",
         "kafka.sasl_passwrd: is not a setting; write kafka.sasl_password (line 4)"),
        ("kafka: {bootstrap.servers: 'a:1'}\n",
         "kafka.bootstrap.servers: is not a setting; write kafka.bootstrap_servers (line 3)"),
        ("kafka: {format: json}\n", "kafka.format: is not a setting; leave it out (line 3)"),
        ("1: 2\n", "1: is not a setting; leave it out (line 3)"),
        ("null: 2\n", "None: is not a setting; leave it out"),
        ("output: text\n",
         ("output: is a section; write its settings under it: topic, format, shape, names,"
          " emit, headers, compression_type, max_batch_bytes (line 3)")),
        ("output: {format: jsn}\n",
         ("output.format: 'jsn' is not one of the choices; write json"
          " (of json | text | double) (line 3)")),
        ("output: {topic: yes}\n",
         'output.topic: true is not text; write it in quotes, "..." (line 3)'),
        ("output:\n  format: text\n  topic: a\n  format: json\n",
         "output.format: is there twice; keep one (line 4)"),
        ("delivery: {commit_interval: 5}\n",
         "delivery.commit_interval: 5 has no unit; write 5s, 5ms, 5m or 5h (line 3)"),
    ],
)  # fmt: skip
def test_a_problem_in_the_file_is_told_with_its_line(yaml: str, line: str):
    assert problems(GOOD + yaml) == [f"stream-ewma.yaml: {line}"]


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("{keys: a, alpah: 1}", "smoothing.rules.0.alpah: is not a setting; write alpha (line 4)"),
        ("{keys: a, span: 2, zzz: 1}", "rules.0.zzz: is not a setting; write one of alpha, span"),
        ("{span: 2}", "smoothing.rules.0.keys: is missing; write the pattern"),
        ("{keys: a, half_life: 5}", "write half_life: 5s, or half_life_samples: 5 for a count"),
        ("{keys: a, alpha: 2}", "rules.0.alpha: 2 is out of range; write a number above 0 and"),
        ("7", "smoothing.rules.0: is a section; write its settings under it: alpha, span"),
    ],
)
def test_a_problem_in_a_rule_is_told_with_its_number(rule: str, said: str):
    (line,) = problems(f"input: {{topics: a}}\nsmoothing:\n  alpha: 1\n  rules: [{rule}]\n")

    assert said in line


def test_a_problem_in_a_list_is_told_with_its_place():
    (line,) = problems("input: {topics: [a, 7]}\nsmoothing: {alpha: 1}\n")

    assert line.startswith("stream-ewma.yaml: input.topics.1: 7 is not text")


def test_a_broker_in_a_list_that_is_none_is_told():
    (line,) = problems(f"{GOOD}kafka:\n  bootstrap_servers:\n    - a:1\n    - b: 2\n")

    assert line == (
        "stream-ewma.yaml: kafka.bootstrap_servers: {'b': 2} is not a broker's address;"
        " write host:9092 (line 4)"
    )


def test_a_section_of_comments_only_is_no_section():
    assert load(f"{GOOD}kafka:\n  # client_id: x\noutput:\n").kafka.client_id is None


def test_an_empty_file_says_nothing():
    assert [line.split(":")[1] for line in problems("")] == [" input.topics", " smoothing"]


def test_a_timestamp_needs_no_quotes_in_yaml():
    yaml = "input: {topics: a, start: 1970-01-01T00:00:01Z}\nsmoothing: {alpha: 1}\n"

    assert load(yaml).input.start == 1000


def test_a_timestamp_that_is_none_is_told_like_any_other_value():
    (line,) = problems("input: {topics: a, start: 2026-13-45}\nsmoothing: {alpha: 1}\n")

    assert "input.start: '2026-13-45' is not a starting point" in line


def test_anchors_and_aliases_are_yaml_too():
    yaml = "input: {topics: a}\nsmoothing: {alpha: &a 0.5, rules: [{keys: x, alpha: *a}]}\n"

    assert load(yaml).smoothing.rules[0].alpha == 0.5


def test_an_alias_of_itself_ends_in_an_error():
    assert problems("input: &a {topics: *a}\nsmoothing: {alpha: 1}\n") != []


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("input: {topics: a\nsmoothing: 1\n", "line 2: is not YAML: expected ',' or '}'"),
        ("input:\n\ttopics: a\n", "line 2: is not YAML: found character '\\t'"),
        ("a: 1\n b: 2\n", "line 2: is not YAML: mapping values are not allowed here"),
        ("a: 1\n---\nb: 2\n", "line 2: is not YAML: but found another document"),
        ("a: !!python/object:os.system x\n", "line 1: is not YAML: could not determine"),
        ("a: *x\n", "line 1: is not YAML: found undefined alias"),
        ("? [a]\n: 1\n", "line 1: is not YAML: found unhashable key"),
        ("- a\n", "file: has no sections"),
        ("just text\n", "file: has no sections"),
        ("a: \x00\n", "file: unacceptable character"),
    ],
)
def test_a_file_that_is_no_yaml_is_told_in_one_line(text: str, line: str):
    (told, *_) = problems(text)

    assert told.startswith(f"stream-ewma.yaml: {line}")
    assert "\n" not in told


def test_a_file_that_cannot_be_parsed_is_not_also_said_to_lack_settings():
    assert len(problems("input: {", STREAM_EWMA_LOG__LEVEL="loud")) == 2


def test_a_file_that_cannot_be_read_is_told(folder: Path):
    def told(path: str) -> list[str]:
        with pytest.raises(SettingsError) as refused:
            load_settings(Path(path), env={})
        return refused.value.problems

    assert told("no.yaml") == ["no.yaml: file: does not exist; write the path of a settings file"]
    (folder / "folder").mkdir()
    assert told("folder") == ["folder: file: cannot be read (Is a directory)"]
    (folder / "latin.yaml").write_bytes(b"a: \xe9\n")
    assert told("latin.yaml") == ["latin.yaml: file: is not text; save it as UTF-8"]


def test_a_contradiction_is_told_where_its_part_was_written():
    assert problems(
        f"{GOOD}kafka: {{heartbeat_interval_ms: 3000}}\n",
        STREAM_EWMA_KAFKA__SESSION_TIMEOUT_MS="6000",
    )[0].startswith("stream-ewma.yaml: kafka.heartbeat_interval_ms: 3000 is more than a third")
    assert problems(STREAM_EWMA_KAFKA__SESSION_TIMEOUT_MS="3000")[0].startswith(
        "environment: STREAM_EWMA_KAFKA__HEARTBEAT_INTERVAL_MS: 2000 is more than a third"
    )


def test_a_password_has_no_flag():
    write(GOOD)

    with pytest.raises(SettingsError) as refused:
        load_settings(env={}, overrides={"kafka.sasl_password": "hunter2"})

    (line,) = refused.value.problems
    assert line == (
        "command line: --kafka.sasl_password: would show in process lists;"
        " set STREAM_EWMA_KAFKA__SASL_PASSWORD in the environment"
    )


def test_every_problem_of_every_source_is_told_at_once(folder: Path):
    write("STREAM_EWMA_LOG__LEVEL=loud\n", ".env")
    write("x", "secrets/STREAM_EWMA_STATE__MAX_KEYS")
    write("input: {topics: a, format: jsn}\nsmoothing: {alpha: 3}\n")

    with pytest.raises(SettingsError) as refused:
        load_settings(
            env={"STREAM_EWMA_OUTPUT__HEADERS": "keep"},
            overrides={"delivery.commit_interval": "5", "kafka.clientid": "x"},
            secrets_dir=Path("secrets"),
        )

    places = [": ".join(line.split(": ")[:2]) for line in refused.value.problems]
    assert sorted(places) == sorted(
        [
            "command line: --kafka.clientid",
            "command line: --delivery.commit_interval",
            "environment: STREAM_EWMA_OUTPUT__HEADERS",
            ".env: STREAM_EWMA_LOG__LEVEL",
            "secrets: STREAM_EWMA_STATE__MAX_KEYS",
            "stream-ewma.yaml: input.format",
            "stream-ewma.yaml: smoothing.alpha",
        ]
    )
