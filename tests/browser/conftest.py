"""A real Chromium, logged in at the running cluster's dashboard."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

if TYPE_CHECKING:
    from tests.cluster.harness import LiveCluster

ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE_MS = 15_000
RESULTS = Path("test-results")


@contextmanager
def browser() -> Iterator[Browser]:
    """The Chromium of this machine, without a window."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium on this machine")
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"  # playwright's loop runs in the thread of the tests
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    expect.set_options(timeout=PATIENCE_MS)
    with browser() as started:
        yield started


def log_in(page: Page, url: str, user: str, password: str) -> None:
    page.goto(url)
    page.get_by_label("User name").fill(user)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{url}/")


@pytest.fixture(scope="session")
def session(chromium: Browser, running: LiveCluster) -> Iterator[BrowserContext]:
    """A browser's session in which the first operator is logged in."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    log_in(page, running.url, "admin", running.passwords["admin"])
    page.close()
    yield context
    context.close()


@pytest.fixture
def page(session: BrowserContext, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page of that session. A script error or a message on its console fails the test.

    A test that breaks the web process expects failed connections, and says so by the marker
    `breaks_web`.
    """
    page = session.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(f"script error: {error}"))

    def note(message: ConsoleMessage) -> None:
        refused = "409 (Conflict)" in message.text  # the answer to an action that came second
        if message.type == "error" and not refused:
            complaints.append(f"console: {message.text} ({message.location.get('url', '')})")

    page.on("console", note)
    yield page
    RESULTS.mkdir(exist_ok=True)
    page.screenshot(path=RESULTS / f"{request.node.name}.png", full_page=True)
    page.close()
    if request.node.get_closest_marker("breaks_web") is None:
        assert not complaints, complaints
