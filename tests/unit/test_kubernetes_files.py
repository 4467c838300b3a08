"""The Kubernetes manifests: they obey the schemas, and fit the service and the image."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import jsonschema
import pytest
import yaml

from stream_ewma.cli.run import _LAST_GRACE_S
from stream_ewma.settings import load_settings
from stream_ewma.settings.names import settings
from stream_ewma.settings.sources import PREFIX

ROOT = Path(__file__).parents[2]
BASE = ROOT / "config" / "kubernetes"
SCHEMAS = ROOT / "tests" / "support" / "kubernetes" / "kubernetes-1.34.json"
KUBECTL = shutil.which("kubectl")
KINDS = {
    ("apps/v1", "Deployment"): "io.k8s.api.apps.v1.Deployment",
    ("policy/v1", "PodDisruptionBudget"): "io.k8s.api.policy.v1.PodDisruptionBudget",
    ("v1", "ConfigMap"): "io.k8s.api.core.v1.ConfigMap",
    ("v1", "Secret"): "io.k8s.api.core.v1.Secret",
    ("v1", "Service"): "io.k8s.api.core.v1.Service",
}
NO_OBJECTS = {"kustomization.yaml", "stream-ewma.yaml", "scaledobject.yaml"}
OBJECTS = sorted(file.name for file in BASE.glob("*.yaml") if file.name not in NO_OBJECTS)


def read(name):
    return yaml.safe_load((BASE / name).read_text())


def complain(found):
    """Validate an object of the API."""
    schema = json.loads(SCHEMAS.read_text())
    schema["$ref"] = f"#/$defs/{KINDS[found['apiVersion'], found['kind']]}"
    jsonschema.Draft202012Validator(schema).validate(found)


@pytest.fixture(scope="module")
def pod():
    return read("deployment.yaml")["spec"]["template"]["spec"]


@pytest.fixture(scope="module")
def container(pod):
    (found,) = pod["containers"]
    return found


@pytest.fixture(scope="module")
def configured():
    return load_settings(BASE / "stream-ewma.yaml", env={})


def built(folder):
    """What kustomize makes of `folder`."""
    done = subprocess.run(
        [KUBECTL, "kustomize", str(folder)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


@pytest.mark.parametrize("name", OBJECTS)
def test_a_manifest_obeys_the_schema(name):
    complain(read(name))


def test_the_schema_notices_a_field_that_does_not_exist():
    found = read("poddisruptionbudget.yaml")
    found["spec"]["maxUnavailible"] = 1

    with pytest.raises(jsonschema.ValidationError, match="maxUnavailible"):
        complain(found)


@pytest.mark.skipif(KUBECTL is None, reason="needs kubectl")
def test_what_kustomize_makes_obeys_the_schemas():
    objects = {each["kind"]: each for each in built(BASE)}
    for each in objects.values():
        complain(each)

    assert objects.keys() == {"ConfigMap", "Service", "Deployment", "PodDisruptionBudget"}
    pod = objects["Deployment"]["spec"]["template"]["spec"]
    (config,) = (v["configMap"] for v in pod["volumes"] if "configMap" in v)
    assert config["name"] == objects["ConfigMap"]["metadata"]["name"]


@pytest.mark.skipif(KUBECTL is None, reason="needs kubectl")
def test_an_overlay_as_the_comment_shows_names_namespace_and_image(tmp_path):
    shutil.copytree(BASE, tmp_path / "kubernetes")
    overlay = tmp_path / "overlay"
    overlay.mkdir()
    text = (BASE / "kustomization.yaml").read_text()
    shown = re.findall(r"^#   (\w+: .*)$", text, re.MULTILINE)
    (overlay / "kustomization.yaml").write_text("\n".join(shown))

    assert len(shown) == 3
    for each in built(overlay):
        assert each["metadata"]["namespace"] == "sensors"
        if each["kind"] == "Deployment":
            pod = each["spec"]["template"]["spec"]
            images = {c["image"] for c in pod["containers"] + pod["initContainers"]}
            assert images == {"registry.example.com/stream-ewma:0.1.0"}


def test_all_that_select_pods_select_these(pod):
    deployment = read("deployment.yaml")["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    selected = [read("service.yaml")["spec"]["selector"]] + [
        selector["matchLabels"]
        for selector in (
            deployment["selector"],
            read("poddisruptionbudget.yaml")["spec"]["selector"],
            *(spread["labelSelector"] for spread in pod["topologySpreadConstraints"]),
        )
    ]

    assert len(selected) == 5
    assert all(selector == labels for selector in selected)


def test_kustomize_is_given_each_file_but_the_examples():
    kustomization = read("kustomization.yaml")
    (generator,) = kustomization["configMapGenerator"]
    optional = {"kustomization.yaml", "secret.example.yaml", "scaledobject.yaml"}
    named = {*kustomization["resources"], *(f.split("=")[1] for f in generator["files"])}

    assert named == {file.name for file in BASE.glob("*.yaml")} - optional


def test_the_pod_reads_its_settings_where_they_are_mounted(pod, container):
    kustomization = read("kustomization.yaml")
    (generator,) = kustomization["configMapGenerator"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    (file,) = (f.split("=")[0] for f in generator["files"])
    volumes = {volume["name"]: volume for volume in pod["volumes"]}

    assert container["args"] == ["run", "--config", f"{mounts['config']}/{file}"]
    assert volumes["config"]["configMap"]["name"] == generator["name"]
    assert mounts.keys() == volumes.keys()


def test_the_secrets_are_settings_mounted_where_the_service_looks(pod, container):
    example = read("secret.example.yaml")
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    (secret,) = (v["secret"] for v in pod["volumes"] if "secret" in v)
    variables = {f"{PREFIX}{name.replace('.', '__')}".lower() for name in settings()}

    assert secret["secretName"] == example["metadata"]["name"]
    assert mounts["secrets"] == "/run/secrets"
    assert set(example["stringData"]) <= variables


def test_the_environment_holds_settings_and_nothing_that_looks_like_one(pod, container):
    # Kubernetes would add STREAM_EWMA_SERVICE_HOST and others for the Service of this name.
    assert pod["enableServiceLinks"] is False
    names = {each["name"] for each in container["env"]}

    assert names == {f"{PREFIX}HTTP__HOST", f"{PREFIX}KERNEL_CACHE_DIR"}


def test_the_kernels_of_the_image_are_copied_to_where_they_can_be_added_to(pod, container):
    (copy,) = pod["initContainers"]
    (mount,) = copy["volumeMounts"]
    program, flag, source, target = copy["command"]
    environment = {each["name"]: each["value"] for each in container["env"]}

    assert (program, flag) == ("cp", "-a"), "the compiler compares times"
    assert f"STREAM_EWMA_KERNEL_CACHE_DIR={source}" in (ROOT / "Dockerfile").read_text()
    assert target == f"{mount['mountPath']}/"
    assert environment[f"{PREFIX}KERNEL_CACHE_DIR"] == target + Path(source).name
    assert mount in container["volumeMounts"]


def test_the_pod_can_do_nothing_that_it_need_not(pod, container):
    user = re.search(r"^USER (\d+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)

    assert user is not None
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["runAsUser"] == int(user[1])
    assert pod["automountServiceAccountToken"] is False
    for each in (container, *pod["initContainers"]):
        assert each["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


def test_the_pod_is_given_the_time_that_a_stop_takes(pod, container, configured):
    took = configured.delivery.shutdown_timeout / 1000 + _LAST_GRACE_S

    assert pod["terminationGracePeriodSeconds"] > took
    assert "lifecycle" not in container, "SIGTERM is all that it takes"


def test_the_probes_ask_what_the_service_answers(container):
    (port,) = container["ports"]
    asked = {
        name: container[name]["httpGet"]
        for name in ("startupProbe", "livenessProbe", "readinessProbe")
    }

    assert port == {"name": "http", "containerPort": 9464}
    assert {probe["port"] for probe in asked.values()} == {"http"}
    assert [probe["path"] for probe in asked.values()] == ["/livez", "/livez", "/readyz"]
    live = container["livenessProbe"]
    # The service looks after itself for 60 s first.
    assert live["periodSeconds"] * live["failureThreshold"] > 60


def test_prometheus_finds_the_port_of_the_metrics(container):
    service = read("service.yaml")
    (port,) = service["spec"]["ports"]
    (given,) = container["ports"]

    assert service["metadata"]["annotations"] == {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(given["containerPort"]),
        "prometheus.io/path": "/metrics",
    }
    assert port["targetPort"] == given["name"]


def test_keda_scales_this_deployment_by_the_lag_of_its_own_group(configured):
    scaled = read("scaledobject.yaml")
    (trigger,) = scaled["spec"]["triggers"]
    told = trigger["metadata"]

    assert (scaled["apiVersion"], scaled["kind"]) == ("keda.sh/v1alpha1", "ScaledObject")
    target = read("deployment.yaml")["metadata"]["name"]
    assert scaled["spec"]["scaleTargetRef"]["name"] == target
    assert told["bootstrapServers"] == configured.kafka.bootstrap_servers
    assert told["consumerGroup"] == configured.application_id
    assert (told["topic"],) == configured.input.topics
    assert told["offsetResetPolicy"] == configured.input.start
    # KEDA reads text alone.
    assert all(isinstance(value, str) for value in told.values())
