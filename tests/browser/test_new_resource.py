"""The list of resource types in a real browser: typed into, it shows what fits."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.cluster.harness import LiveCluster

pytestmark = pytest.mark.browser


def test_the_types_can_be_filtered_by_typing(page: Page, cluster: LiveCluster) -> None:
    page.goto(f"{cluster.url}/groups/")
    page.get_by_role("link", name="EVS1", exact=True).first.click()
    page.get_by_role("link", name="resource").first.click()
    page.get_by_role("heading", name="New resource in EVS1").wait_for()
    page.keyboard.press("/")
    page.keyboard.type("exe script")
    expect(page.locator(".types > li:visible")).to_have_count(1)
    expect(page.get_by_role("link", name="Generic Script")).to_be_visible()
    expect(page.get_by_role("heading", name="Exchange")).to_be_hidden()
    page.keyboard.type("nothing like it")
    expect(page.get_by_text("No type fits this filter.")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("heading", name="Exchange")).to_be_visible()
