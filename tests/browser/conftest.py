"""A real Chromium without a head, driven over the DevTools protocol."""

import shutil
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.member import Member, Server
from tests.integration import conftest as integration

make_job = integration.make_job
NETWORK = "Failed to load resource"
expect.set_options(timeout=60_000)  # machines here are slow at times; what is right comes at once


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium: nothing is downloaded.

    Of one module: as long as it runs, the event loop of its driver keeps other tests from having
    one.
    """
    program = shutil.which("chromium") or shutil.which("google-chrome")
    assert program, "there is no Chromium: apt-get install chromium"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Open pages; at the end none may have met an error besides the network's."""
    contexts, errors = [], []

    def listen(page: Page) -> None:
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on(
            "console",
            lambda message: (
                errors.append(message.text)
                if message.type in ("error", "warning") and NETWORK not in message.text
                else None
            ),
        )

    def visit(address: str, **options: object) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1200, "height": 900}, **options})
        contexts.append(context)
        context.set_default_timeout(60_000)
        page = context.new_page()
        listen(page)
        page.goto(address)
        return page

    yield visit
    for context in contexts:
        context.close()
    assert errors == []


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Start servers before made-up members."""
    servers: list[Server] = []

    def start(*arguments: object, **options: object) -> Server:
        servers.append(Server(Member(*arguments, **options)))
        return servers[-1]

    yield start
    for server in servers:
        if not server.member.is_stopping:
            server.stop()
