"""What a service manager is told: over a socket as systemd makes one, by the command as it is."""

import re
import socket

from tests.support.service import Service

WATCHDOG_USEC = 4_000_000


def taken(manager: socket.socket, line: bytes) -> list[bytes]:
    """The lines up to and with the first one like `line`."""
    lines = []
    while line not in lines:
        lines.append(manager.recv(100))
    return lines


def untold(service: Service) -> list[str]:
    """The lines that its log says could not be told."""
    return re.findall(r"(\S+) could not be told", service.log)


def test_a_manager_is_told_of_the_start_each_turn_and_the_stop(make_job, tmp_path, monkeypatch):
    job = make_job()
    address = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(address))
        manager.settimeout(120)
        monkeypatch.setenv("NOTIFY_SOCKET", str(address))
        monkeypatch.setenv("WATCHDOG_USEC", str(WATCHDOG_USEC))
        service = job.launch()

        lines = taken(manager, b"READY=1")
        assert set(lines[:-1]) == {b"WATCHDOG=1"}
        service.wait_ready()
        assert [manager.recv(100) for _ in range(4)] == [b"WATCHDOG=1"] * 4
        service.process.terminate()
        assert set(taken(manager, b"STOPPING=1")[:-1]) <= {b"WATCHDOG=1"}
        assert service.wait_exit(60) == 0
        assert untold(service) == []


def test_a_manager_that_does_not_listen_keeps_nobody_from_smoothing(make_job, monkeypatch):
    job = make_job()
    monkeypatch.setenv("NOTIFY_SOCKET", "/nonexistent/notify")

    service = job.start()
    service.stop()

    assert untold(service) == ["READY=1", "STOPPING=1"]
