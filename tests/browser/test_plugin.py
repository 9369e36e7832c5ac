"""A plugin that an author has just made is installed with pip into a running cluster, and used."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from clusterweb.run.config import BASE_DIR
from monitoring.models import NodeTypes
from tests.cluster import environment
from tests.cluster.harness import LiveCluster
from tests.cluster.installation import free_port, wait_until

pytestmark = pytest.mark.browser

NODES = ("NODE1", "NODE2")


@pytest.fixture
def group(page: Page, cluster: LiveCluster) -> Iterator[str]:
    cluster.cli("add-group", "GREETINGS", "--prefer", *NODES)
    yield "GREETINGS"
    page.goto(f"{cluster.url}/")  # no page of what is deleted stays open
    cluster.cli("offline", "GREETINGS", check=False)
    cluster.cli("delete-group", "GREETINGS", "--with-resources")


@pytest.fixture
def plugin(cluster: LiveCluster, tmp_path: Path) -> Iterator[Path]:
    """A new plugin, not installed; it is gone from the cluster's environment afterwards."""
    yield environment.startdll(cluster.python, BASE_DIR, "greeting_server", tmp_path)
    environment.pip(cluster.python, "uninstall", "--yes", "greeting-server")


def restart_agents(cluster: LiveCluster) -> None:
    """As the page for authors says: what is online goes on meanwhile."""
    for node in NODES:
        old = cluster.kill(f"agent-{node}", signal.SIGUSR1)
        cluster.wait_restarted(f"agent-{node}", old)


def nodes_with(cluster: LiveCluster, type_name: str) -> set[str]:
    known = NodeTypes.objects.using(cluster._alias).select_related("node")
    return {row.node.name for row in known if type_name in row.names}


def greeting(port: int) -> str:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        return client.makefile().readline().strip()


def test_a_plugin_made_with_startdll_and_installed_with_pip_is_offered_once_the_agents_restarted(
    page: Page, cluster: LiveCluster, group: str, plugin: Path
) -> None:
    web, service = cluster.pid("web"), cluster.pid("service")
    choice = f"{cluster.url}/groups/{cluster.group(group).pk}/resources/new/"
    offered = page.get_by_role("link", name="Greeting Server")
    page.goto(choice)
    page.get_by_role("link", name="Generic Script").wait_for()
    expect(offered).to_have_count(0)

    environment.install(cluster.python, plugin)
    time.sleep(1.1)  # how often the dashboard looks
    page.goto(choice)
    expect(offered).to_contain_text("Not on NODE1, NODE2 yet.")

    restart_agents(cluster)
    wait_until(lambda: nodes_with(cluster, "Greeting Server") == set(NODES), 20, "both nodes have the type")
    page.goto(choice)
    expect(offered).not_to_contain_text("Not on")
    offered.click()

    port = free_port()
    page.get_by_label("Name", exact=True).fill("Greeter")
    page.get_by_label("Port").fill(str(port))
    page.get_by_label("Greeting").fill("Good evening")
    page.get_by_role("button", name="Create resource").click()
    page.get_by_role("link", name="Greeter").first.wait_for()
    cluster.cli("online", group)
    cluster.wait_online(group, "NODE1")
    assert greeting(port) == "Good evening"
    cluster.cli("move", group, "NODE2")
    cluster.wait_online(group, "NODE2")
    assert greeting(port) == "Good evening"
    assert (cluster.pid("web"), cluster.pid("service")) == (web, service), "only agents were restarted"
