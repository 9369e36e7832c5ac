"""An operator's tasks from a blank page, each with the pointer and with the keyboard alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from monitoring.core.states import ResourceState
from tests.browser.hands import Hands, Keyboard, Pointer
from tests.cluster.harness import LiveCluster
from tests.cluster.installation import wait_until

pytestmark = [pytest.mark.browser, pytest.mark.cluster]

FEW_CLICKS = 5


@pytest.fixture(params=[Pointer, Keyboard], ids=["pointer", "keyboard"])
def hands(request: pytest.FixtureRequest, chromium: Browser, cluster: LiveCluster) -> Iterator[Hands]:
    """Somebody who has just signed in; whatever the console says, or a request elsewhere, fails the test."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(15_000)
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.on(
        "request",
        lambda asked: None if asked.url.startswith((cluster.url, "data:")) else complaints.append(asked.url),
    )
    made: Hands = request.param(page)
    made.log_in(cluster.url, "admin", cluster.passwords["admin"])
    yield made
    Path("test-results").mkdir(exist_ok=True)
    page.screenshot(path=f"test-results/{request.node.name.replace('/', '-')}.png")
    context.close()
    assert not complaints, complaints


@pytest.fixture
def broken(cluster: LiveCluster, tmp_path: Path) -> Iterator[Path]:
    """The group REPORTS, whose program ends at once until the file that is given exists."""
    mended = tmp_path / "mended"
    program = tmp_path / "reports"
    program.write_text(
        f"#!/bin/sh\ntest -e {mended} || {{ echo 'the licence is missing' >&2; exit 3; }}\nexec sleep 600\n"
    )
    program.chmod(0o755)
    cluster.cli("add-group", "REPORTS", "--setting", "FailoverThreshold=0")
    cluster.cli(
        *("add-resource", "REPORTS Program", "--group", "REPORTS", "--type", "Generic Application"),
        *(
            "--setting",
            "RestartThreshold=0",
            "--set",
            f"CommandLine={program}",
            "--set",
            "CurrentDirectory=/",
        ),
    )
    cluster.cli("online", "REPORTS", check=False)
    yield mended
    cluster.cli("offline", "REPORTS", check=False)
    cluster.cli("delete-group", "REPORTS", "--with-resources")


def test_what_is_down_is_seen_with_its_reason_and_brought_back_in_five_clicks(
    broken: Path, hands: Hands, cluster: LiveCluster
) -> None:
    page = hands.page
    card = page.locator("article.card[aria-label^='Group REPORTS,']")
    expect(page.locator("#health")).to_contain_text("REPORTS")
    expect(card).to_contain_text("ended with exit code 3")
    hands.press("link", "REPORTS", card)
    expect(page.locator("main")).to_contain_text("the licence is missing")
    broken.touch()  # the cause is mended by whoever looks after licences
    hands.press("link", "Try again")
    hands.confirm("Bring online")
    wait_until(lambda: cluster.is_online("REPORTS"), 15, "REPORTS is online")
    expect(page.locator("#group-head h1")).to_contain_text("Online")
    assert hands.motions <= FEW_CLICKS


def test_a_group_is_moved_and_moved_back(hands: Hands, cluster: LiveCluster) -> None:
    for node in ("NODE2", "NODE1"):
        hands.press("link", "Move EVS1")
        hands.confirm("Move", reason=f"to {node}", node=node)
        cluster.wait_online("EVS1", node)
        expect(hands.page.locator("article.card[aria-label='Group EVS1, Online']")).to_contain_text(node)


def test_a_group_is_taken_offline_and_brought_online(hands: Hands, cluster: LiveCluster) -> None:
    hands.press("link", "Take EVS1 offline")
    hands.confirm("Take offline", reason="the store is moved")
    expect(hands.page.locator("article.card[aria-label='Group EVS1, Offline']")).to_be_visible()
    hands.press("link", "Bring EVS1 online")
    hands.confirm("Bring online")
    cluster.wait_online("EVS1", "NODE1")


def test_a_node_is_drained_and_given_back(hands: Hands, cluster: LiveCluster) -> None:
    column = hands.page.locator("section.column").filter(has=hands.page.get_by_role("heading", name="NODE2"))
    hands.press("link", "Drain", column)
    hands.confirm("Drain", reason="new memory")
    cluster.wait_online("EVS2", "NODE1")
    hands.press("link", "Resume", column)
    expect(hands.dialog).to_be_visible()
    hands.choose("Bring its groups back now", hands.dialog)
    hands.confirm("Resume")
    cluster.wait_online("EVS2", "NODE2")


def test_a_resource_is_restarted_from_the_page_of_its_group(hands: Hands, cluster: LiveCluster) -> None:
    before = cluster.resource("EVS1", "Exchange POP3 Virtual Server").sequence
    hands.press("link", "EVS1", hands.page.locator("article.card h3"))
    row = hands.page.get_by_role("row").filter(has_text="EVS1 POP3").first
    hands.menu("EVS1 POP3", "Restart", row)
    hands.confirm("Restart")
    wait_until(
        lambda: cluster.resource("EVS1", "Exchange POP3 Virtual Server").sequence > before, 10, "it restarts"
    )
    cluster.wait_online("EVS1", "NODE1")


def test_why_a_group_failed_over_is_found_in_the_history(hands: Hands, cluster: LiveCluster) -> None:
    cluster.cli("move", "EVS2", "NODE1", "--reason", "a look at the history")
    cluster.wait_online("EVS2", "NODE1")
    hands.press("link", "History", hands.page.locator("nav.nav"))
    hands.press("link", "Move of EVS2")
    told = hands.page.locator("main")
    expect(told).to_contain_text("a look at the history")
    expect(told).to_contain_text("NODE2")


def test_what_if_is_asked(hands: Hands, cluster: LiveCluster) -> None:
    hands.press("link", "Plan", hands.page.locator("nav.nav"))
    hands.choose("fails: NODE1")
    expect(hands.page.locator("#fate-" + str(cluster.group("EVS1").pk))).to_contain_text("NODE2")


def test_a_group_is_put_in_maintenance_and_taken_out(hands: Hands, cluster: LiveCluster) -> None:
    hands.press("link", "EVS2", hands.page.locator("article.card h3"))
    hands.press("link", "Maintenance")
    hands.confirm("Start maintenance", reason="the database is repaired")
    expect(hands.page.locator("#group-head h1")).to_contain_text("maintenance")
    assert cluster.group("EVS2").maintenance
    hands.press("link", "End maintenance")
    hands.confirm("End maintenance")
    expect(hands.page.locator("#group-head h1")).not_to_contain_text("maintenance")


def test_a_setting_is_changed_with_its_reason(hands: Hands, cluster: LiveCluster) -> None:
    hands.press("link", "EVS1", hands.page.locator("article.card h3"))
    hands.press("link", "EVS1 Search")
    hands.press("link", "Edit")
    hands.fill("Description", "Searches the mail of the first storey")
    hands.press("button", "Save")
    expect(hands.page.locator("main")).to_contain_text("Searches the mail of the first storey")
    state = cluster.resource("EVS1", "Exchange MS Search").state
    assert state == ResourceState.ONLINE, "a description is changed without a restart"
