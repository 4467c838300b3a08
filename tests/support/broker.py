"""A real Apache Kafka broker for tests and benchmarks: one KRaft node on free loopback ports.

Usable without pytest:

    with RealBroker() as broker:
        ... broker.bootstrap ...
"""

import atexit
import base64
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from confluent_kafka.admin import AdminClient

from .certificates import Certificates, make_certificates
from .kafka_runtime import Runtime, find_runtime
from .waiting import wait_until

BOOTSTRAP_VARIABLE = "STREAM_EWMA_TEST_BOOTSTRAP"
USERNAME, PASSWORD = "smoother", "correct horse battery staple"
START_TIMEOUT_S = 90
STOP_TIMEOUT_S = 60
LOG_TAIL_BYTES = 6000


@dataclass(frozen=True)
class Quorum:
    """Nodes that make up one cluster, each broker and controller.

    Attributes:
        cluster_id: what they are formatted with.
        ports: of the controllers; the first node has number 1.
    """

    cluster_id: str
    ports: tuple[int, ...]

    @classmethod
    def new(cls, nodes: int) -> "Quorum":
        """One of so many nodes on free ports."""
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        return cls(cluster_id, tuple(free_ports(nodes)))

    def properties(self, node: int) -> dict[str, str]:
        """What the settings of one node say of all."""
        voters = (f"{n}@127.0.0.1:{port}" for n, port in enumerate(self.ports, 1))
        return {"node.id": str(node), "controller.quorum.voters": ",".join(voters)}


class RealBroker:
    """One broker process with its own temporary folder, ports kept across restarts.

    Attributes:
        bootstrap: `host:port` of the plain listener.
        secure_bootstrap: `localhost:port` of the TLS + SCRAM listener ("" unless `secure`).
        wrong_name_bootstrap: the same listener under a name its certificate does not hold.
        proxied_bootstrap: where a proxy may listen; clients that start there stay behind it.
        behind_proxy: where that proxy must connect to.
        certificates: the files a TLS client needs (None unless `secure`).
        folder: everything of this broker.
        data: the folder with one folder a partition.
    """

    def __init__(
        self,
        *,
        secure: bool = False,
        heap: str = "512m",
        settings: Mapping[str, str] | None = None,
        quorum: Quorum | None = None,
        node: int = 1,
    ) -> None:
        """Choose ports and a folder; nothing runs before `start`.

        Args:
            secure: also listen with TLS and SCRAM-SHA-256/512.
            heap: the JVM's `-Xmx`.
            settings: server properties added to or replacing the defaults.
            quorum: the cluster that it is a node of; by default of one of its own.
            node: its number there.
        """
        self._quorum = quorum or Quorum.new(1)
        self._runtime: Runtime = find_runtime()
        self._heap = heap
        self._process: subprocess.Popen[bytes] | None = None
        self.folder = Path(tempfile.mkdtemp(prefix="stream-ewma-kafka-"))
        self.log_file = self.folder / "broker.log"
        plain, tls, behind, proxy = free_ports(4)
        controller = self._quorum.ports[node - 1]
        self.bootstrap = f"127.0.0.1:{plain}"
        self.secure_bootstrap = f"localhost:{tls}" if secure else ""
        self.wrong_name_bootstrap = f"127.0.0.1:{tls}" if secure else ""
        self.proxied_bootstrap = f"127.0.0.1:{proxy}"
        self.behind_proxy = f"127.0.0.1:{behind}"
        self.certificates: Certificates | None = make_certificates(self.folder) if secure else None
        self._properties = self.folder / "server.properties"
        listeners = {
            "PLAINTEXT": (plain, self.bootstrap),
            "CONTROLLER": (controller, f"127.0.0.1:{controller}"),
            "PROXIED": (behind, self.proxied_bootstrap),
        }
        wanted = server_properties(self.folder / "data")
        if self.certificates is not None:
            listeners["TLS"] = (tls, self.secure_bootstrap)
            wanted |= secure_properties(self.certificates)
        wanted |= listener_properties(listeners) | self._quorum.properties(node)
        wanted |= settings or {}
        self.data = Path(wanted["log.dirs"])
        self._properties.write_text("".join(f"{name}={text}\n" for name, text in wanted.items()))
        atexit.register(self.close)
        self._format(scram=secure)

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> Self:
        """Start the process and wait until it answers."""
        self.launch()
        return self.wait_ready()

    def launch(self) -> None:
        """Start the process."""
        command = self._runtime.command(
            "kafka.Kafka", str(self._properties), heap=self._heap, workspace=self.folder
        )
        with self.log_file.open("ab") as log:
            # A session of its own: Ctrl-C in the terminal must not end it under a running test.
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
            )

    def wait_ready(self) -> Self:
        """Wait until it answers."""
        wait_until(self._answers, timeout_s=START_TIMEOUT_S, what=self.log_tail)
        return self

    def stop(self) -> None:
        """End it cleanly (SIGTERM) and wait until it is gone."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """End it at once (SIGKILL)."""
        if self._process is not None:
            self._runtime.kill(self._process)
            self._process.wait(STOP_TIMEOUT_S)

    def pause(self) -> None:
        """Freeze it: connections stay open and nothing answers."""
        self._live().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after `pause`."""
        self._live().send_signal(signal.SIGCONT)

    def restart(self, *, kill: bool = False) -> None:
        """End it and start it again on the same ports and data."""
        if kill:
            self.kill()
        else:
            self.stop()
        self.start()

    def close(self) -> None:
        """End it and remove its folder; safe to call twice."""
        self.kill()
        self._process = None
        atexit.unregister(self.close)
        shutil.rmtree(self.folder, ignore_errors=True)

    def log_tail(self) -> str:
        """The end of the broker's log, for a failure message."""
        if not self.log_file.exists():
            return "the broker wrote no log"
        text = self.log_file.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace")
        return f"end of the broker's log {self.log_file}:\n{text}"

    def run_tool(self, main_class: str, *arguments: str) -> str:
        """Run one of Kafka's own programs and return what it printed."""
        command = self._runtime.command(main_class, *arguments, heap="256m", workspace=self.folder)
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{main_class} failed:\n{done.stdout}{done.stderr}")
        return done.stdout

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _format(self, *, scram: bool) -> None:
        # SCRAM credentials live in the cluster's metadata; the first ones come with the format.
        users = [
            option
            for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")
            for option in (
                "--add-scram",
                f"{mechanism}=[name={USERNAME},iterations=4096,password={PASSWORD}]",
            )
        ]
        self.run_tool(
            "kafka.tools.StorageTool",
            *("format", f"--cluster-id={self._quorum.cluster_id}", "-c", str(self._properties)),
            *(users if scram else ()),
        )

    def _answers(self) -> bool:
        if not self.running:
            raise RuntimeError(f"the broker ended by itself; {self.log_tail()}")
        return broker_answers(self.bootstrap)

    def _live(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("the broker is not running")
        return self._process


class ForeignBroker:
    """A broker somebody else runs, named by STREAM_EWMA_TEST_BOOTSTRAP."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap

    def log_tail(self) -> str:
        """Say where the log is not."""
        return f"the log of {self.bootstrap} is not ours to read"

    def close(self) -> None:
        """Leave it running."""


def find_broker(*, secure: bool = False) -> RealBroker | ForeignBroker:
    """Use the broker named in the environment, else start one.

    Raises:
        NoBrokerError: neither is possible; the message says what to install.
    """
    named = os.environ.get(BOOTSTRAP_VARIABLE)
    return ForeignBroker(named) if named else RealBroker(secure=secure).start()


def broker_answers(bootstrap: str) -> bool:
    """Whether a broker there knows its cluster."""
    host, _, port = bootstrap.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return False
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    try:
        return bool(admin.list_topics(timeout=2).brokers)
    except Exception:  # noqa: BLE001 (any refusal means: not yet)
        return False


def free_ports(count: int) -> list[int]:
    """Return loopback ports nobody listens on; they are held together, so they differ."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return ports


def listener_properties(listeners: Mapping[str, tuple[int, str]]) -> dict[str, str]:
    """Return where the broker listens and the address it tells clients, by listener name."""
    protocols = {"TLS": "SASL_SSL"}
    return {
        "listeners": ",".join(f"{name}://127.0.0.1:{at}" for name, (at, _) in listeners.items()),
        "advertised.listeners": ",".join(
            f"{name}://{told}" for name, (_, told) in listeners.items() if name != "CONTROLLER"
        ),
        "listener.security.protocol.map": ",".join(
            f"{name}:{protocols.get(name, 'PLAINTEXT')}" for name in listeners
        ),
        "inter.broker.listener.name": "PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
    }


def server_properties(data: Path) -> dict[str, str]:
    """Return the settings of one combined broker and controller, quick to start and rebalance."""
    return {
        "process.roles": "broker,controller",
        "log.dirs": str(data),
        "auto.create.topics.enable": "false",
        "group.initial.rebalance.delay.ms": "0",
        "group.min.session.timeout.ms": "1000",
        "default.replication.factor": "1",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "3",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "3",
        "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "log.cleaner.backoff.ms": "500",
        "log.cleaner.min.cleanable.ratio": "0.01",
        # Kafka 4 refuses timestamps an hour ahead of its clock; simulated readings may be anywhere.
        "log.message.timestamp.after.max.ms": str(2**63 - 1),
        "log.retention.ms": "-1",
        "num.network.threads": "2",
        "num.io.threads": "4",
    }


def secure_properties(certificates: Certificates) -> dict[str, str]:
    """Return what the listener TLS needs: a certificate and SCRAM."""
    login = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    return {
        "sasl.enabled.mechanisms": "SCRAM-SHA-256,SCRAM-SHA-512",
        "listener.name.tls.ssl.keystore.type": "PEM",
        "listener.name.tls.ssl.keystore.location": str(certificates.server),
        "listener.name.tls.scram-sha-256.sasl.jaas.config": login,
        "listener.name.tls.scram-sha-512.sasl.jaas.config": login,
    }
