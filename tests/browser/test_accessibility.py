"""Every page, in both themes and at a phone's width: WCAG 2.2 AA as far as axe-core can tell.

The addresses are those of tests/security/table.py, so a new page is looked at without being
named here; the cluster is the seeded one, with states of every kind on its pages.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.test import Client
from playwright.sync_api import Page, ViewportSize

from monitoring.service import clock
from tests.browser.conftest import browser
from tests.browser.in_memory import Shown, window
from tests.security.table import ANYBODY, HTTP
from tests.security.test_urls import address
from tests.web import seed

pytestmark = [pytest.mark.browser, pytest.mark.django_db]

WIDE, PHONE = ViewportSize(width=1360, height=900), ViewportSize(width=390, height=844)
RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa", "best-practice")


def addresses(made: seed.Seeded) -> Iterator[str]:
    """Each address that may be a page."""
    for pattern, row in HTTP.items():
        if "GET" in row.methods and not row.api:
            path = address(pattern, made)
            yield f"{path}?{row.query}" if row.query else path


@pytest.fixture
def shown(settings: Any) -> Shown:
    """All pages as an administrator sees them, and those that need no user."""
    made, client, pages = seed.cluster(clock.now()), Client(), Shown()
    pages.render(client, (address(pattern, made) for pattern, row in HTTP.items() if _open(row.methods)))
    client.force_login(made.users["administrator"])
    client.get("/login/")
    pages.render(client, (path for path in addresses(made) if path not in pages.pages))
    return pages


def _open(methods: Any) -> bool:
    return "GET" in methods and methods["GET"][0] is ANYBODY


def told(page: Page, theme: str, options: dict[str, Any]) -> list[str]:
    """What axe-core finds wrong with the page as it stands."""
    found = Axe().run(page, options={"resultTypes": ["violations"], **options}).response["violations"]
    return [
        f"{theme}: {rule['id']}: {rule['help']}: {node['html'][:200]} ({node.get('failureSummary')})"
        for rule in found
        for node in rule["nodes"][:3]
    ]


def look_at(page: Page, path: str) -> list[str]:
    """What is wrong with one page, in the words of axe-core."""
    page.set_viewport_size(WIDE)
    page.emulate_media(color_scheme="light")
    page.goto(path)
    wrong = told(page, "light", {"runOnly": {"type": "tag", "values": RULES}})
    page.emulate_media(color_scheme="dark")
    wrong += told(page, "dark", {"runOnly": {"type": "rule", "values": ["color-contrast"]}})
    page.set_viewport_size(PHONE)
    if (width := page.evaluate("document.documentElement.scrollWidth")) > PHONE["width"]:
        wrong.append(f"phone: the page is {width} px wide")
    return [f"{path}: {line}" for line in wrong]


@pytest.mark.timeout(400)
def test_no_page_has_a_fault_that_axe_finds_or_asks_for_anything_elsewhere(shown: Shown) -> None:
    # A browser of its own: one for the session leaves its event loop running in the tests' thread
    with browser() as chromium, window(chromium, shown) as page:
        wrong = [line for path in shown.pages for line in look_at(page, path)]
    assert not wrong, f"{len(wrong)} faults:\n" + "\n".join(wrong)
    assert not shown.complaints, "\n".join(shown.complaints)
    assert not shown.strangers, "\n".join(shown.strangers)
