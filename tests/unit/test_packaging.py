"""The files around the package: locks, image, compose file, build script."""

import json
import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import jsonschema
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

from stream_ewma.cli.commands import COMMANDS
from stream_ewma.cli.run import _LAST_GRACE_S
from stream_ewma.settings import load_settings
from stream_ewma.settings.names import sections
from stream_ewma.settings.names import settings as all_settings
from tests.support.kafka_runtime import DOCKER_IMAGE, POM

ROOT = Path(__file__).parents[2]
COMPOSE_SCHEMA = ROOT / "tests" / "support" / "compose" / "compose-spec.json"
LOCKS = ["requirements.lock", "requirements-service.lock"]


@pytest.fixture(scope="module")
def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())


@pytest.fixture(scope="module")
def stages():
    """The Dockerfile as stages, each a list of (instruction, arguments)."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = [line for line in re.sub(r"\\\n\s*", "", text).splitlines() if line.strip()]
    instructions = [tuple(line.split(maxsplit=1)) for line in lines]
    found = []
    for instruction, arguments in instructions:
        if instruction == "FROM":
            found.append([])
        found[-1].append((instruction, arguments))
    return found


def locked(name):
    """Read a lock file: package -> {(version, marker): hashes}."""
    found = {}
    for entry in re.sub(r"\\\n\s*", "", (ROOT / name).read_text()).splitlines():
        requirement, *hashes = entry.split(" --hash=")
        parsed = Requirement(requirement.strip())
        (pin,) = parsed.specifier
        assert pin.operator == "==", entry
        assert hashes, f"{name}: {requirement} has no hash"
        versions = found.setdefault(parsed.name.lower(), {})
        versions[pin.version, str(parsed.marker or "")] = frozenset(h.strip() for h in hashes)
    return found


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_names_no_registry(name):
    text = (ROOT / name).read_text()

    assert "://" not in text
    assert "index" not in text


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_satisfies_what_the_project_asks_for(name, project):
    wanted = list(project["project"]["dependencies"])
    if name == "requirements.lock":
        wanted += project["dependency-groups"]["dev"]
        for extra in project["project"]["optional-dependencies"].values():
            wanted += extra
    pins = locked(name)

    for line in wanted:
        asked = Requirement(line)
        versions = pins.get(canonical(asked.name), {})
        assert versions, f"{name} lacks {asked.name}; run .ci/lock"
        for version, _marker in versions:
            assert asked.specifier.contains(Version(version)), f"{asked}: {version}; run .ci/lock"


def test_the_image_holds_the_versions_that_the_tests_ran_with():
    everything, service = locked("requirements.lock"), locked("requirements-service.lock")

    for package, pins in service.items():
        assert set(pins.values()) <= set(everything[package].values()), f"{package}; run .ci/lock"


def test_the_compose_file_obeys_the_compose_specification(compose):
    jsonschema.Draft7Validator(json.loads(COMPOSE_SCHEMA.read_text())).validate(compose)


def test_every_service_of_the_compose_file_waits_for_services_that_exist(compose):
    services = compose["services"]
    one_shot = {name for name, service in services.items() if service.get("restart") == "no"}

    for name, service in services.items():
        for other, how in service.get("depends_on", {}).items():
            assert other in services, f"{name} waits for {other}"
            if how["condition"] == "service_completed_successfully":
                assert other in one_shot, f"{name} waits for the end of {other}"
            if how["condition"] == "service_healthy":
                assert "healthcheck" in services[other]


def test_the_compose_files_settings_are_the_services_settings(compose):
    service = compose["services"]["stream-ewma"]
    # The HTTP interface's settings may not be there yet.
    variables = {
        name: value
        for name, value in service["environment"].items()
        if "http" in sections() or not name.startswith("STREAM_EWMA_HTTP__")
    }
    settings = load_settings(None, env=variables)

    assert settings.kafka.bootstrap_servers == "kafka:19092"
    assert settings.input.topics == ("sensor-readings",)
    advertised = compose["services"]["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    assert f"//{settings.kafka.bootstrap_servers}" in advertised


def test_the_compose_files_variables_may_stand_in_an_env_file_beside_the_settings():
    # Compose and the service both read .env, and the service refuses what is no setting of its own.
    text = (ROOT / "docker-compose.yml").read_text()
    names = {name.upper().replace(".", "__") for name in all_settings()}

    for variable in re.findall(r"\$\{?STREAM_EWMA_(\w+)", text):
        assert variable in names, f"STREAM_EWMA_{variable}"


def test_the_readme_leads_to_the_page_of_the_compose_file(compose):
    token = compose["services"]["stream-ewma"]["environment"]["STREAM_EWMA_HTTP__TOKEN"]
    (default,) = re.fullmatch(r"\$\{STREAM_EWMA_HTTP__TOKEN:-(.+)\}", token).groups()

    assert f"http://localhost:9464/?token={default}" in (ROOT / "README.md").read_text()


def test_the_compose_files_commands_are_commands_of_the_service(compose, stages):
    entry = json.loads(dict(stages[-1])["ENTRYPOINT"])
    ours = [s for s in compose["services"].values() if s["image"] == "stream-ewma"]

    assert entry == ["stream-ewma"]
    assert {s["command"][0] for s in ours} == {"run", "topics"}
    assert {s["command"][0] for s in ours} <= set(COMMANDS)


def test_tests_and_compose_file_use_the_same_kafka(compose):
    version = re.search(r"<kafka.version>(.+?)</", POM.read_text()).group(1)
    images = {s["image"] for s in compose["services"].values()}
    kafkas = {image for image in images if "kafka" in image}

    assert kafkas == {DOCKER_IMAGE} == {f"apache/kafka:{version}"}


def test_the_compose_files_images_are_of_one_version(compose):
    for service in compose["services"].values():
        name, _, tag = service["image"].partition(":")
        assert name == "stream-ewma" or re.fullmatch(r"v?\d+\.\d+\.\d+", tag), service["image"]


def test_the_compose_file_starts_sensors_and_dashboards_only_if_asked(compose):
    profiles = {name: s.get("profiles", []) for name, s in compose["services"].items()}

    assert {name for name, where in profiles.items() if where == ["generator"]} == {"generator"}
    assert {name for name, where in profiles.items() if where == ["observability"]} == {
        "prometheus",
        "grafana",
    }
    default = {name for name, where in profiles.items() if not where}
    assert default == {"kafka", "input-topic", "output-topics", "stream-ewma"}
    for name in default:
        assert set(compose["services"][name].get("depends_on", {})) <= default


def test_the_compose_file_opens_ports_to_this_machine_alone(compose):
    ports = [port for s in compose["services"].values() for port in s.get("ports", [])]

    assert "127.0.0.1:9464:9464" in ports
    assert all(port.startswith("127.0.0.1:") for port in ports), ports


def test_the_compose_files_healthcheck_is_a_command_of_the_service(compose):
    how, program, command = compose["services"]["stream-ewma"]["healthcheck"]["test"]

    assert (how, program) == ("CMD", "stream-ewma"), "the image's shell is none to count on"
    assert command == "healthcheck"
    assert command in COMMANDS or "http" not in sections()


def test_the_container_is_given_the_time_that_a_stop_takes(compose):
    seconds = int(compose["services"]["stream-ewma"]["stop_grace_period"].removesuffix("s"))
    settings = load_settings(
        env={}, overrides={"input.topics": "sensor-readings", "smoothing.half_life": "30s"}
    )

    assert seconds > settings.delivery.shutdown_timeout / 1000 + _LAST_GRACE_S


def test_prometheus_asks_the_service_with_the_token_that_it_wants(compose):
    services = compose["services"]
    (given,) = services["prometheus"]["configs"]
    job = yaml.safe_load((ROOT / "config" / "prometheus" / "prometheus.yml").read_text())[
        "scrape_configs"
    ][0]
    (target,) = job["static_configs"][0]["targets"]
    host, port = target.split(":")

    assert job["job_name"] == "stream-ewma"
    assert job["authorization"]["credentials_file"] == given["target"]
    wanted = services[host]["environment"]["STREAM_EWMA_HTTP__TOKEN"]
    assert compose["configs"][given["source"]]["content"] == wanted
    assert services[host]["ports"] == [f"127.0.0.1:{port}:{port}"]


def test_the_compose_file_mounts_what_exists_where_grafana_looks(compose):
    for name in ("prometheus", "grafana"):
        for volume in compose["services"][name]["volumes"]:
            source, target, mode = volume.split(":")
            assert (ROOT / source).is_dir(), volume
            assert mode == "ro"
            assert target.startswith(f"/etc/{name}")
    shown = compose["services"]["grafana"]["environment"][
        "GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"
    ]
    assert (ROOT / "config" / "grafana" / shown.removeprefix("/etc/grafana/")).is_file()


def test_the_generators_script_is_a_script(compose):
    shell, flag, script = compose["services"]["generator"]["command"]

    assert (shell, flag) == ("sh", "-c")
    # Compose reads a single dollar as a variable of its own.
    assert "$" not in script.replace("$$", "")
    assert subprocess.run(["sh", "-n", "-c", script], check=False).returncode == 0


def test_the_image_runs_as_a_user_without_rights(stages):
    users = [arguments for instruction, arguments in stages[-1] if instruction == "USER"]

    assert users
    assert int(users[-1]) >= 10_000


def test_the_image_copies_only_what_exists_and_what_docker_is_shown(stages):
    shown = {
        line[1:]
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    copied = set()
    for stage in stages:
        for instruction, arguments in stage:
            assert instruction != "ADD", "ADD fetches and unpacks; COPY says what it does"
            if instruction == "COPY" and not arguments.startswith("--from"):
                copied.update(shlex.split(arguments)[:-1])

    assert copied == shown
    for name in copied:
        assert (ROOT / name).exists(), name


def test_the_images_python_is_one_the_project_supports(stages, project):
    supported = Requirement(f"python{project['project']['requires-python']}").specifier
    images = {stage[0][1].split()[0] for stage in stages}

    assert len(images) == 1, "a kernel cache is valid for one Python alone"
    version = re.fullmatch(r"python:(\d+\.\d+)-slim", images.pop())
    assert version
    assert supported.contains(Version(version.group(1)))


def test_the_readme_names_the_pythons_that_the_project_supports(project):
    least, beyond = re.fullmatch(
        r">=(3\.\d+),<3\.(\d+)", project["project"]["requires-python"]
    ).groups()

    assert f"Python {least} to 3.{int(beyond) - 1} |" in (ROOT / "README.md").read_text()


def test_the_image_compiles_the_kernels_as_the_user_who_runs_them(stages):
    instructions = [f"{instruction} {arguments}" for instruction, arguments in stages[-1]]
    warm = next(i for i, line in enumerate(instructions) if "stream_ewma.service.warm" in line)
    user = next(i for i, line in enumerate(instructions) if line.startswith("USER"))
    environment = next(line for line in instructions if line.startswith("ENV"))

    assert user < warm
    assert "STREAM_EWMA_KERNEL_CACHE_DIR=/app/kernels" in environment
    assert "NUMBA_CPU_NAME=generic" in environment


@pytest.mark.parametrize("script", ["run", "lock"])
def test_a_build_script_is_executable_and_parses(script):
    file = ROOT / ".ci" / script

    assert file.stat().st_mode & 0o100
    assert subprocess.run(["bash", "-n", str(file)], check=False).returncode == 0


def test_the_wheel_holds_the_package_and_its_type_marker(project):
    assert project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == ["stream_ewma"]
    assert (ROOT / "stream_ewma" / "py.typed").exists()
