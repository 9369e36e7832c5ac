"""The dashboard as an operator uses it: looks at cards in columns, opens dialogs, confirms."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page, expect

from tests.cluster.harness import LiveCluster


class Dashboard:
    """The overview, open in a page that is never loaded again (`check_never_reloaded`)."""

    def __init__(self, page: Page, cluster: LiveCluster) -> None:
        self.page = page
        self.cluster = cluster
        page.goto(f"{cluster.url}/")
        page.evaluate("window.loadedOnce = true")
        expect(page.locator("#link-state")).to_contain_text("Live")

    def card(self, group: str, state: str = "") -> Locator:
        """A group's card, in a state where one is given."""
        label = f"[aria-label='Group {group}, {state}']" if state else f"[aria-label^='Group {group},']"
        return self.page.locator(f"article.card{label}")

    def column(self, node: str) -> Locator:
        heading = self.page.get_by_role("heading", name=re.compile(rf"^{node}\b"), level=2)
        return self.page.locator("section.column").filter(has=heading)

    def expect_group(self, group: str, state: str, node: str = "") -> None:
        """The card comes to show the state, in the column of `node` where one is given."""
        where = self.column(node) if node else self.page
        expect(where.locator(f"article.card[aria-label='Group {group}, {state}']")).to_be_visible(
            timeout=30_000
        )

    def open(self, group: str, link: str) -> Locator:
        """Open the dialog behind a link of the card."""
        self.card(group).get_by_role("link", name=f"{link} {group}", exact=False).click()
        dialog = self.page.locator("#dialog")
        expect(dialog).to_contain_text(group)
        return dialog

    def act(self, group: str, link: str, reason: str, node: str = "") -> None:
        """Open a dialog, choose the node, say why, confirm."""
        dialog = self.open(group, link)
        if node:
            dialog.get_by_role("radio", name=node).check()
        dialog.get_by_label("Reason").fill(reason)
        dialog.locator("button[type=submit]").click()
        expect(dialog.locator("form")).to_have_count(0)

    def check_never_reloaded(self) -> None:
        assert self.page.evaluate("window.loadedOnce") is True


def history_text(page: Page, cluster: LiveCluster, group: str) -> str:
    """What the history says of a group's newest passage, opened to its phases."""
    number = cluster.group(group).pk
    page.goto(f"{cluster.url}/history/?group={number}")
    newest = cluster.last_record(group)
    page.goto(f"{cluster.url}/history/{newest}/")
    return page.locator("main").inner_text()
