"""The models: what a value may be, and what settings mean together."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from stream_ewma.errors import SettingsError
from stream_ewma.settings import KafkaSettings, Settings, load_settings
from stream_ewma.settings.names import settings as all_settings
from stream_ewma.settings.values import format_duration, parse_duration
from stream_ewma.smoothing.parameters import Factor
from tests.support.given import load, problems


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def problem(name: str, value: object) -> str:
    (line,) = problems({name: value})
    prefix = f"command line: --{name}: "
    assert line.startswith(prefix), line
    return line.removeprefix(prefix)


def test_only_the_topics_and_the_factor_must_be_given():
    settings = load()

    assert settings.input.topics == ("readings",)
    assert settings.application_id == "stream-ewma"
    assert settings.kafka.bootstrap_servers == "localhost:9092"
    assert settings.output_topic("readings") == "readings-ewma"
    assert settings.dead_letter_topic == "stream-ewma-dlq"
    assert settings.client_id == "stream-ewma"
    assert 1 <= settings.worker_threads <= 8


def test_names_given_replace_the_derived_ones():
    settings = load(
        {
            "application_id": "app",
            "output.topic": "all",
            "dead_letters.topic": "bad",
            "kafka.client_id": "me",
            "input.topics": "a, b",
        }
    )

    assert {settings.output_topic(name) for name in settings.input.topics} == {"all"}
    assert (settings.dead_letter_topic, settings.client_id) == ("bad", "me")
    assert load({"application_id": "app"}).dead_letter_topic == "app-dlq"


def test_settings_cannot_be_changed():
    settings = load()

    with pytest.raises(ValidationError):
        settings.application_id = "other"
    with pytest.raises(ValidationError):
        settings.input.format = "text"


def test_constructing_settings_reads_no_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("STREAM_EWMA_APPLICATION_ID", "from-environment")

    built = Settings.model_validate({"input": {"topics": ["a"]}, "smoothing": {"span": 3}})

    assert built.application_id == "stream-ewma"


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("500ms", 500),
        ("30s", 30_000),
        ("5m", 300_000),
        ("2h", 7_200_000),
        ("1d", 86_400_000),
        ("1.5s", 1_500),
        ("0.1s", 100),
        ("1h30m", 5_400_000),
        ("1h 30m", 5_400_000),
    ],
)
def test_a_duration_is_a_number_with_its_unit(text: str, milliseconds: int):
    assert load({"state.ttl": text}).state.ttl == milliseconds


@pytest.mark.parametrize("text", ["30", 30, 1.5])
def test_a_duration_without_a_unit_is_refused_with_the_units(text: object):
    assert problem("delivery.commit_interval", text) == (
        f"{text} has no unit; write {text}s, {text}ms, {text}m or {text}h"
    )


@pytest.mark.parametrize("text", ["soon", "", "s", "-5s", "5 sec", "1s,5", "5S", "1..5s"])
def test_what_is_no_duration_is_refused(text: str):
    assert problem("delivery.commit_interval", text) == (
        f"'{text}' is not a duration; write 30s, 500ms, 5m or 2h"
    )


@pytest.mark.parametrize(("value", "shown"), [(True, "true"), ([5], "[5]"), ({}, "{}")])
def test_a_duration_of_another_type_is_refused(value: object, shown: str):
    assert problem("delivery.commit_interval", value) == (
        f"{shown} is not a duration; write 30s, 500ms, 5m or 2h"
    )


def test_a_duration_finer_than_a_millisecond_is_refused():
    assert "finer than a millisecond" in problem("delivery.commit_interval", "0.1ms")


def test_a_timeout_of_nothing_is_refused_and_a_retention_of_nothing_is_not():
    assert "0 is too short" in problem("delivery.commit_interval", "0s")
    assert load({"topics.retention": "0s"}).topics.retention == 0


@pytest.mark.parametrize(
    ("name", "value", "factor"),
    [
        ("alpha", "0.2", Factor(alpha=0.2)),
        ("alpha", 1, Factor(alpha=1)),
        ("span", 9, Factor(span=9)),
        ("com", 0, Factor(com=0)),
        ("half_life_samples", "2.5", Factor(half_life_samples=2.5)),
        ("half_life", "30s", Factor(half_life=30_000)),
    ],
)
def test_each_way_to_give_the_factor(name: str, value: object, factor: Factor):
    values = {"input.topics": "a", f"smoothing.{name}": value}

    assert load_settings(env={}, overrides=values).smoothing.key_rules().factors == ((factor,),)


def test_rules_become_key_rules_in_their_order():
    rules = '[{"keys": "pump-*", "half_life": "5s"}, {"keys": "p*", "span": 3}]'

    key_rules = load({"smoothing.rules": rules}).smoothing.key_rules()

    assert key_rules.factors[1:] == ((Factor(half_life=5_000),), (Factor(span=3),))
    assert [key_rules.resolve(key) for key in ("pump-7", "pipe", "tank")] == [1, 2, 0]


def test_a_half_life_without_unit_names_both_things_it_may_mean():
    values = {"input.topics": "a", "smoothing.half_life": "30"}

    with pytest.raises(SettingsError) as refused:
        load_settings(env={}, overrides=values)

    (line,) = refused.value.problems
    assert line == (
        "command line: --smoothing.half_life: 30 has no unit; write half_life: 30s,"
        " or half_life_samples: 30 for a count of samples"
    )


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("smoothing.alpha", "1.5", "write a number above 0 and at most 1"),
        ("smoothing.alpha", "0", "write a number above 0 and at most 1"),
        ("smoothing.alpha", "x", "'x' is not a finite number; write a number above 0 and"),
        ("smoothing.alpha", "nan", "'nan' is out of range"),
        ("smoothing.span", "inf", "'inf' is not a finite number"),
        ("smoothing.alpha", True, "true is not a number"),
        ("smoothing.half_life", "0s", "0 is not a half-life"),
        ("input.max_key_bytes", "0", "write a whole number at least 1 and at most 2147483647"),
        ("input.max_key_bytes", True, "true is not a number"),
        ("input.max_key_bytes", "many", "'many' is not a whole number"),
        ("input.max_key_bytes", "1.5", "'1.5' is not a whole number"),
        ("input.max_key_bytes", "9" * 5000, "is not a whole number"),
        ("input.format", "jsn", "write json (of json | text | double | float)"),
        ("input.format", "avro", "write json | text | double | float"),
        ("input.isolation_level", "READ-COMMITTED", "write read_committed (of"),
        ("kafka.security_protocol", "sasl_ssl", "write SASL_SSL (of"),
        ("input.coerce_strings", "perhaps", "is neither true nor false; write true or false"),
        ("input.topics", "", "is empty; write at least one"),
        ("input.topics", 7, "7 is not a list"),
        ("input.topics", "a,b,a", "a is there twice"),
        ("input.value", "", "'' lacks a name"),
        ("input.key", "a..b", "'a..b' lacks a name; write names with single dots between"),
        ("input.start", "yesterday", "write earliest, latest or a timestamp such as"),
        ("input.start", "2026-01-31T08:00:00", "has no time zone"),
        ("output.topic", "no spaces", "'no spaces' is not a topic name; write 1 to 249 letters"),
        ("output.topic", "..", "is not a topic name"),
        ("output.topic", 7, '7 is not text; write it in quotes, "..."'),
        ("application_id", "a/b", "cannot begin topic names"),
        ("kafka.bootstrap_servers", "localhost", "write host:9092"),
        ("kafka.bootstrap_servers", "a:1, b:99999", "'b:99999' is not a broker's address"),
        ("kafka.bootstrap_servers", ["a:1", "b"], "'b' is not a broker's address; write host:9092"),
        ("kafka.bootstrap_servers", [{"a": 1}], "{'a': 1} is not a broker's address"),
        ("kafka.bootstrap_servers", [], "'' is not a broker's address"),
        ("kafka.bootstrap_servers", 9092, "9092 is not a broker's address"),
        ("http.advertised", "a:1,b:2", "'a:1,b:2' is not an address; write host:9464"),
        ("smoothing.rules", "[{", "cannot be read as a list"),
        ("smoothing.rules", "x", "'x' is not a list"),
    ],
)
def test_a_wrong_value_says_what_to_write(name: str, value: object, said: str):
    assert said in problem(name, value)


def test_a_long_value_is_cut_short():
    assert len(problem("input.format", "x" * 10_000)) < 200


def test_too_many_rules_are_refused():
    rules = [{"keys": "a", "span": 2}] * 65_536

    assert "should have at most 65535 items" in problem("smoothing.rules", rules)


@given(st.integers(0, 10**15))
def test_a_duration_reads_back_from_its_text(milliseconds: int):
    assert parse_duration(format_duration(milliseconds)) == milliseconds


def test_the_name_of_a_topic_may_have_249_characters_of_kafkas():
    assert load({"output.topic": "a._-Z9" + "x" * 243}).output.topic
    assert "not a topic name" in problem("output.topic", "x" * 250)


@pytest.mark.parametrize(
    "written", ["a:1,[::1]:2", " a:1 , [::1]:2", ["a:1", "[::1]:2"], ["a:1,[::1]:2"]]
)
def test_brokers_are_a_list_or_separated_by_commas(written: object):
    assert load({"kafka.bootstrap_servers": written}).kafka.bootstrap_servers == "a:1,[::1]:2"


def test_a_start_is_a_word_or_epoch_milliseconds():
    assert load({"input.start": "latest"}).input.start == "latest"
    assert load({"input.start": "1970-01-01T00:00:01.5Z"}).input.start == 1500
    assert load({"input.start": "1970-01-01T01:00:00+01:00"}).input.start == 0


def test_a_password_is_never_shown(tmp_path: Path):
    secret = "hunter2"  # noqa: S105  it is the point of the test
    env = {"STREAM_EWMA_KAFKA__SASL_PASSWORD": secret, "STREAM_EWMA_INPUT__TOPICS": "a"}

    with pytest.raises(SettingsError) as refused:
        load_settings(env=env)

    error: BaseException | None = refused.value
    while error is not None:
        assert secret not in str(error)
        assert secret not in repr(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    env["STREAM_EWMA_SMOOTHING__ALPHA"] = "0.1"
    env["STREAM_EWMA_KAFKA__SECURITY_PROTOCOL"] = "SASL_SSL"
    env["STREAM_EWMA_KAFKA__SASL_MECHANISM"] = "PLAIN"
    env["STREAM_EWMA_KAFKA__SASL_USERNAME"] = "me"
    settings = load_settings(env=env)
    assert secret not in repr(settings)
    assert secret not in settings.model_dump_json()
    assert settings.kafka.sasl_password is not None
    assert settings.kafka.sasl_password.get_secret_value() == secret


def test_a_password_of_the_wrong_type_is_not_shown_either(tmp_path: Path):
    file = tmp_path / "a.yaml"
    file.write_text("input: {topics: a}\nsmoothing: {alpha: 1}\nkafka: {sasl_password: 918273}\n")

    with pytest.raises(SettingsError) as refused:
        load_settings(file, env={})

    assert 'kafka.sasl_password: this is not text; write it in quotes, "..."' in str(refused.value)
    assert "918273" not in str(refused.value)


def test_even_pydantics_own_error_does_not_show_a_password():
    kafka = {"sasl_password": 918273, "sasl_passwd": "918273"}

    with pytest.raises(ValidationError) as refused:
        Settings.model_validate({"kafka": kafka})
    assert "918273" not in str(refused.value)
    with pytest.raises(ValidationError) as refused:
        KafkaSettings.model_validate(kafka)

    assert "918273" not in str(refused.value)


def test_every_setting_has_a_help_text_and_every_default_is_valid():
    defaults = load()

    for name, setting in all_settings().items():
        assert setting.field.description, name
    revalidated = Settings.model_validate(_as_written(defaults))
    assert revalidated == defaults


def test_threads_are_counted_also_where_no_affinity_is_known(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert load().worker_threads == 1


def test_threads_are_as_many_as_the_process_may_use(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(3)), raising=False)
    assert load().worker_threads == 3
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(64)), raising=False)
    assert load().worker_threads == 8


def _as_written(settings: Settings) -> dict[str, object]:
    """`settings` in the form of the YAML file."""
    from stream_ewma.cli.settings_flags import default_text

    tree: dict[str, dict[str, object]] = {}
    for name, setting in all_settings().items():
        section, _, last = name.rpartition(".")
        text = default_text(setting.field)
        if section and text:
            tree.setdefault(section, {})[last] = None if text == "null" else text
    tree["input"]["topics"] = ["readings"]
    tree["smoothing"]["alpha"] = settings.smoothing.alpha
    return {**tree, "worker_threads": settings.worker_threads}


def test_for_recorded_data_nothing_is_asked_of_the_cluster():
    values = {
        "smoothing.alpha": 0.2,
        "kafka.security_protocol": "SASL_SSL",
        "delivery.commit_interval": "never",
        "input.key": "id",
    }

    settings = load_settings(env={}, overrides=values, recorded=True)

    assert settings.kafka.security_protocol == "PLAINTEXT"
    assert (settings.input.key, settings.input.copartitioned) == ("id", True)


def test_for_recorded_data_other_settings_are_still_checked():
    with pytest.raises(SettingsError) as refused:
        load_settings(env={}, overrides={"input.format": "jsn"}, recorded=True)

    assert [line.split(": ")[1] for line in refused.value.problems] == [
        "--input.format",
        "smoothing",
    ]
