"""Where the demo shows its live page."""

import socket

import pytest

from stream_ewma.demo import browser, report


@pytest.mark.parametrize(
    ("environment", "platform", "expected"),
    [
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({}, "darwin", True),
        ({}, "linux", False),
        ({"DISPLAY": ""}, "linux", False),
        ({"DISPLAY": "localhost:10.0", "SSH_CONNECTION": "10.0.0.1 1 10.0.0.2 22"}, "linux", False),
        ({"SSH_TTY": "/dev/pts/0"}, "darwin", False),
        ({"DISPLAY": ":99", "CI": "true"}, "linux", False),
    ],
)
def test_a_browser_is_opened_only_before_somebodys_eyes(environment, platform, expected):
    assert browser.has_desktop(environment, platform) is expected


def test_no_browser_is_opened_off_a_terminal(monkeypatch):
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(browser.webbrowser, "get", lambda: pytest.fail("it was opened"))
    browser.show_page("http://127.0.0.1:9464")


def test_a_port_that_is_taken_is_passed_over():
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", 9464))
        except OSError:
            pass  # somebody else has it: as good
        else:
            sock.listen()
        found = browser.free_port()
    assert found not in (0, 9464)


def test_the_hint_names_the_page():
    assert report.page_hint("http://127.0.0.1:9464").startswith("page: http://127.0.0.1:9464 ")
