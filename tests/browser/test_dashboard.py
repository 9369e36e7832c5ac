"""What an operator sees in a real browser, never reloading the page, while mail stays readable."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import log_in
from tests.browser.dashboard import Dashboard, history_text
from tests.cluster.harness import LiveCluster
from tests.cluster.installation import wait_until
from tests.cluster.mail import SMTP, Letter, send

pytestmark = [pytest.mark.browser, pytest.mark.cluster]


@pytest.fixture
def dashboard(page: Page, cluster: LiveCluster) -> Iterator[Dashboard]:
    opened = Dashboard(page, cluster)
    opened.expect_group("EVS1", "Online", "NODE1")
    yield opened


@pytest.fixture
def letter(cluster: LiveCluster) -> Iterator[Letter]:
    """A mail that was delivered to EVS1 before the test, and is to be read after it, by IMAP and POP3."""
    delivered = send(cluster, "EVS1")
    yield delivered
    cluster.wait_online("EVS1")
    delivered.check_readable()


def kill_smtp(cluster: LiveCluster) -> None:
    """Kill the SMTP service of EVS1, and wait until the cluster has noticed."""
    before = cluster.resource("EVS1", SMTP).sequence
    (pid,) = cluster.resource_processes("EVS1", SMTP)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: cluster.resource("EVS1", SMTP).sequence > before, 10, "the death of SMTP is noticed")


def test_a_group_is_moved_and_moved_back_before_the_operators_eyes(dashboard: Dashboard, letter: Letter):
    dashboard.act("EVS1", "Move", "NODE1 gets new memory", node="NODE2")
    dashboard.expect_group("EVS1", "Online", "NODE2")
    letter.check_readable()
    dashboard.act("EVS1", "Move", "the memory is in", node="NODE1")
    dashboard.expect_group("EVS1", "Online", "NODE1")
    dashboard.check_never_reloaded()
    told = history_text(dashboard.page, dashboard.cluster, "EVS1")
    assert "the memory is in" in told and "admin" in told
    assert "NODE2" in told and "NODE1" in told


def test_a_group_is_taken_offline_and_brought_online_again(dashboard: Dashboard, letter: Letter):
    cluster = dashboard.cluster
    dashboard.act("EVS1", "Take", "the store is moved")
    dashboard.expect_group("EVS1", "Offline")
    assert cluster.group_processes("EVS1", "NODE1") == []
    dashboard.act("EVS1", "Bring", "the store is in its place")
    dashboard.expect_group("EVS1", "Online", "NODE1")
    dashboard.check_never_reloaded()
    dashboard.page.goto(f"{cluster.url}/history/events/?kind=asked&group={cluster.group('EVS1').pk}")
    told = dashboard.page.locator("main")
    expect(told).to_contain_text("the store is moved")
    expect(told).to_contain_text("the store is in its place")


def test_a_killed_service_is_restarted_where_it_is(dashboard: Dashboard, letter: Letter):
    cluster = dashboard.cluster
    last = cluster.last_event()
    kill_smtp(cluster)
    wait_until(lambda: cluster.resource_is_online("EVS1", SMTP), 15, "SMTP is online again")
    dashboard.expect_group("EVS1", "Online", "NODE1")
    dashboard.check_never_reloaded()
    failures = cluster.events(last, code=1069, group_name="EVS1")
    assert len(failures) == 1, cluster.story(last)
    assert "SMTP" in failures[0].text and "SIGKILL" in failures[0].text
    dashboard.page.goto(f"{cluster.url}/history/events/?kind=failure&group={cluster.group('EVS1').pk}")
    expect(dashboard.page.locator("main")).to_contain_text(failures[0].text)


def test_a_service_killed_more_often_than_its_threshold_fails_the_group_over(
    dashboard: Dashboard, letter: Letter
):
    cluster = dashboard.cluster
    threshold = cluster.resource("EVS1", SMTP).restart_threshold
    for _ in range(threshold + 1):
        wait_until(lambda: cluster.resource_is_online("EVS1", SMTP), 15, "SMTP is online again")
        if cluster.owner("EVS1") == "NODE2":
            break
        kill_smtp(cluster)
    dashboard.expect_group("EVS1", "Online", "NODE2")
    dashboard.check_never_reloaded()
    told = history_text(dashboard.page, cluster, "EVS1")
    assert "Failover" in told and "SMTP" in told and "SIGKILL" in told


def test_the_group_of_an_agent_that_is_gone_comes_online_on_the_other_node(
    dashboard: Dashboard, letter: Letter
):
    cluster = dashboard.cluster
    with cluster.kept_down("NODE1"):
        dashboard.expect_group("EVS1", "Online", "NODE2")
        assert cluster.group_processes("EVS1", "NODE1") == []
        dashboard.check_never_reloaded()
    told = history_text(dashboard.page, cluster, "EVS1")
    assert "Failover" in told and re.search(r"NODE1 .*(lost|down|restarted|new life)", told)


@pytest.mark.breaks_web
def test_a_page_says_that_the_connection_is_lost_and_catches_up_by_itself(dashboard: Dashboard):
    cluster = dashboard.cluster
    pid = cluster.kill("web")
    expect(dashboard.page.locator("#banner")).to_be_visible()
    cluster.cli("move", "EVS1", "NODE2")  # nobody can tell the page
    cluster.wait_restarted("web", pid)
    dashboard.expect_group("EVS1", "Online", "NODE2")
    expect(dashboard.page.locator("#banner")).to_be_hidden()
    dashboard.check_never_reloaded()


def test_of_two_operators_the_later_is_told_what_the_earlier_did(dashboard: Dashboard, cluster: LiveCluster):
    dialog = dashboard.open("EVS1", "Take")
    cluster.cli("move", "EVS1", "NODE2", "--reason", "planned work")
    dialog.locator("button[type=submit]").click()
    expect(dialog).to_contain_text("something has changed")
    expect(dialog).to_contain_text("command line")
    assert cluster.is_online("EVS1", "NODE2"), "nothing was done yet"
    dialog.locator("button[type=submit]").click()
    dashboard.expect_group("EVS1", "Offline")


def test_a_viewer_gets_no_action(chromium: Browser, cluster: LiveCluster):
    context = chromium.new_context()
    page = context.new_page()
    log_in(page, cluster.url, "viewer", cluster.passwords["viewer"])
    expect(page.locator("article.card[aria-label='Group EVS1, Online']")).to_be_visible()
    assert page.locator("[data-dialog][href*='/move/'], [data-dialog][href*='/offline/']").count() == 0
    answer = page.goto(f"{cluster.url}/groups/{cluster.group('EVS1').pk}/move/")
    assert answer is not None and answer.status == 403
    context.close()
