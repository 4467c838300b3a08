"""Alerts, dashboard and runbook: they know the same metrics, and each other."""

import json
import re
import shutil
import subprocess
from itertools import combinations
from pathlib import Path

import pytest
import yaml

from stream_ewma.settings.names import settings

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "config"
PROMETHEUS = CONFIG / "prometheus"
DASHBOARD = CONFIG / "grafana" / "dashboards" / "stream-ewma.json"
PROVISIONING = CONFIG / "grafana" / "provisioning"
README = ROOT / "README.md"
PROMTOOL = shutil.which("promtool")

HISTOGRAMS = {
    "end_to_end_latency_seconds",
    "publish_duration_seconds",
    "batch_process_duration_seconds",
    "batch_records",
    "commit_duration_seconds",
    "event_loop_lag_seconds",
}
# What the service exposes, as its samples are named.
METRICS = {
    f"stream_ewma_{name}"
    for name in {
        "records_consumed_total",
        "consumed_bytes_total",
        "records_published_total",
        "records_rejected_total",
        "records_skipped_total",
        "records_noted_total",
        "dead_letters_published_total",
        "publish_errors_total",
        "commits_total",
        "state_rows_written_total",
        "rebalances_total",
        "recoveries_total",
        "odd_starts_total",
        "state_evictions_total",
        "state_restored_records_total",
        "records_lost_total",
        "consumer_lag",
        "last_record_timestamp_seconds",
        "last_processed_timestamp_seconds",
        "assigned_partitions",
        "partition_parked",
        "state_keys",
        "state_keys_limit",
        "state_bytes",
        "state_restore_progress",
        "state_restore_duration_seconds",
        "commit_interval_seconds",
        "ready",
        "build_info",
        "config_info",
        "standby_partitions",
    }
    | {f"{name}_{part}" for name in HISTOGRAMS for part in ("bucket", "sum", "count")}
}
# From prometheus_client's collector of the process.
PROCESS_METRICS = {
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
}


def promtool(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    if PROMTOOL is None:
        pytest.fail("promtool is not installed; install it with: apt-get install -y prometheus")
    return subprocess.run(
        [PROMTOOL, *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )


def rules():
    (group,) = yaml.safe_load((PROMETHEUS / "rules.yml").read_text())["groups"]
    return group["rules"]


def alerts() -> list[str]:
    return [rule["alert"] for rule in rules()]


def dashboard():
    return json.loads(DASHBOARD.read_text())


def panels():
    """The panels that show something; rows are only headlines."""
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def expressions() -> list[str]:
    """Every query of the dashboard."""
    whole = dashboard()
    found = [target["expr"] for panel in panels() for target in panel["targets"]]
    found += [each["expr"] for each in whole["annotations"]["list"]]
    return found + [
        each["definition"] for each in whole["templating"]["list"] if "definition" in each
    ]


def metrics(text: str) -> set[str]:
    return set(re.findall(r"\b(?:stream_ewma|process)_[a-z_]+", text))


@pytest.fixture
def prometheus(tmp_path):
    """Prometheus' folder, with the token that only a running container has."""
    folder = tmp_path / "prometheus"
    shutil.copytree(PROMETHEUS, folder)
    (folder / "token").write_text("secret")
    file = folder / "prometheus.yml"
    file.write_text(re.sub(r"(credentials_file:) \S+", r"\1 token", file.read_text()))
    return folder


def test_prometheus_takes_its_configuration_and_the_rules(prometheus):
    checked = promtool(prometheus, "check", "config", "prometheus.yml")

    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(alerts())} rules found" in checked.stdout


def test_each_alert_fires_and_is_silent_as_it_should(prometheus):
    tested = promtool(prometheus, "test", "rules", "rules_test.yml")

    assert tested.returncode == 0, tested.stdout + tested.stderr


@pytest.mark.parametrize("alert", alerts())
@pytest.mark.parametrize("broken", ["vector(0) > 1", "({}) or vector(1)"], ids=["never", "always"])
def test_the_tests_notice_an_alert_that_never_or_always_fires(prometheus, alert, broken):
    file = prometheus / "rules.yml"
    whole = yaml.safe_load(file.read_text())
    (rule,) = (each for each in whole["groups"][0]["rules"] if each["alert"] == alert)
    rule["expr"] = broken.format(rule["expr"])
    file.write_text(yaml.safe_dump(whole))
    tested = promtool(prometheus, "test", "rules", "rules_test.yml")

    assert tested.returncode == 1
    assert "exp:" in tested.stderr + tested.stdout, "it failed to load, not to fire"


def test_an_alert_says_how_bad_it_is_and_what_to_do():
    for rule in rules():
        name = rule["alert"]
        assert name.startswith("StreamEwma")
        assert rule["labels"]["severity"] in {"critical", "warning"}, name
        said = rule["annotations"]
        assert said.keys() == {"summary", "description", "runbook_url"}, name
        assert said["runbook_url"] == f"README.md#{name.lower()}"


def runbook() -> str:
    """That section of the README."""
    text = README.read_text("utf-8")
    return text[text.index("\n## Runbook\n") : text.index("\n### Upgrade and rollback\n")]


def test_the_runbook_has_a_paragraph_for_each_alert_and_no_other():
    assert re.findall(r"^### (.+)$", runbook(), re.MULTILINE) == alerts()


def test_a_paragraph_of_the_runbook_says_what_to_look_at_and_what_to_do():
    _, *paragraphs = re.split(r"^##+ ", runbook(), flags=re.MULTILINE)
    named = {text.splitlines()[0]: text for text in paragraphs}

    for alert in alerts():
        for part in ("Means", "Look at", "Do"):
            assert f"\n**{part}** " in named[alert], f"{alert}: {part}"


def test_the_runbook_names_what_exists():
    text = runbook()
    sections = {name.partition(".")[0] for name in settings()}
    named = {
        name for name in re.findall(r"`([a-z_]+\.[a-z_]+)(?::[^`]*)?`", text)
        if name.partition(".")[0] in sections
    }  # fmt: skip

    assert metrics(text) <= METRICS
    assert named
    assert named <= settings().keys()
    for link in re.findall(r"\]\((?!#)([^)#]+)", text):
        assert (ROOT / link).exists(), link


def test_the_alerts_know_only_metrics_that_exist():
    for rule in rules():
        assert metrics(rule["expr"]) <= METRICS, rule["alert"]


def test_the_dashboard_knows_only_metrics_that_exist():
    for expression in expressions():
        assert metrics(expression) <= METRICS | PROCESS_METRICS, expression


def test_the_dashboards_queries_are_promql(prometheus):
    queries = [each for each in expressions() if not each.startswith("label_values")]
    recorded = [
        {"record": f"query:{number}", "expr": query.replace("$__rate_interval", "1m")}
        for number, query in enumerate(queries)
    ]
    (prometheus / "rules.yml").write_text(
        yaml.safe_dump({"groups": [{"name": "dashboard", "rules": recorded}]})
    )
    checked = promtool(prometheus, "check", "rules", "rules.yml")

    assert checked.returncode == 0, checked.stderr


def test_the_dashboard_asks_only_for_the_job_and_instance_chosen():
    for panel in panels():
        for target in panel["targets"]:
            asked = len(re.findall(r"\b(?:stream_ewma|process)_[a-z_]+", target["expr"]))
            chosen = target["expr"].count('{job=~"$job", instance=~"$instance"')
            assert asked == chosen > 0, panel["title"]


def test_a_panel_is_named_explained_and_has_a_unit_and_a_source():
    titles = [panel["title"] for panel in dashboard()["panels"]]
    assert len(titles) == len(set(titles))

    for panel in panels():
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


def test_a_panel_has_an_id_and_a_place_of_its_own():
    everything = dashboard()["panels"]
    ids = [panel["id"] for panel in everything]
    assert len(ids) == len(set(ids))

    for panel in everything:
        place = panel["gridPos"]
        assert place["x"] >= 0
        assert place["x"] + place["w"] <= 24, panel["title"]
    for one, other in combinations(everything, 2):
        a, b = one["gridPos"], other["gridPos"]
        apart = (
            a["x"] + a["w"] <= b["x"]
            or b["x"] + b["w"] <= a["x"]
            or a["y"] + a["h"] <= b["y"]
            or b["y"] + b["h"] <= a["y"]
        )
        assert apart, f"{one['title']} lies over {other['title']}"


def test_the_dashboard_lets_source_job_and_instance_be_chosen():
    variables = {each["name"]: each for each in dashboard()["templating"]["list"]}

    assert list(variables) == ["datasource", "job", "instance"]
    assert variables["datasource"]["type"] == "datasource"


def test_grafana_is_given_the_data_source_and_the_dashboard():
    (source,) = yaml.safe_load((PROVISIONING / "datasources" / "prometheus.yaml").read_text())[
        "datasources"
    ]
    (provider,) = yaml.safe_load((PROVISIONING / "dashboards" / "stream-ewma.yaml").read_text())[
        "providers"
    ]
    chosen = dashboard()["templating"]["list"][0]["current"]["value"]

    assert (source["type"], source["uid"]) == ("prometheus", chosen)
    assert provider["options"]["path"] == "/etc/grafana/dashboards"
