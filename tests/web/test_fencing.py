"""The pages of fencing: forms from an agent's metadata, no secrets, and a loud state where it fails."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlencode

import pytest

from monitoring.core.states import NodeState
from monitoring.fencing import fence_agent
from monitoring.live.topics import Change
from monitoring.models import Cluster, Event, Fence, FenceDevice, FenceStep, Group, Node, Operation
from monitoring.models.roles import Role
from monitoring.service import clock
from monitoring.web import fencing, nodes, overview
from tests.fencing.agents import SWITCH, write_agent
from tests.web import seed
from tests.web.conftest import Browser

pytestmark = pytest.mark.django_db

NEW = f"/fencing/devices/new/?{urlencode({'method': 'Fence agent', 'kind': 'fence_test'})}"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_agent(tmp_path, SWITCH)
    monkeypatch.setenv(fence_agent.DIRECTORIES, str(tmp_path))
    return tmp_path


@pytest.fixture
def device(db: None) -> FenceDevice:
    return FenceDevice.objects.create(
        name="PDU",
        method="Fence agent",
        kind="fence_test",
        parameters={"ip": "10.0.0.9", "password": "hunter2"},
    )


@pytest.fixture
def hung(seeded: seed.Seeded) -> Node:
    """NODE2 is down; its fence has failed twice."""
    node = seeded.nodes["NODE2"]
    now = clock.now()
    Node.objects.filter(pk=node.pk).update(state=NodeState.DOWN, unfenced=True, state_since=now - 60)
    Fence.objects.create(
        node=node,
        incarnation=node.incarnation,
        cause="NODE2 went down: no heartbeat came, and its lease is over",
        state="failed",
        started=now - 60,
        round_started=now - 20,
        rounds=2,
        error="level 1, PDU: fence_test: it cannot log in to the device.",
        next_at=now + 40,
    )
    node.refresh_from_db()
    return node


# Devices


def test_the_form_of_a_device_is_made_from_the_agents_metadata(browser: Browser):
    page = browser("administrator").get(NEW).content.decode()
    assert "A fence agent for tests" in page
    assert "Address of the device." in page
    assert 'type="password" name="properties.password"' in page
    assert '<option value="soft" selected>' in page and '<option value="hard">' in page
    assert 'name="properties.ssl" id="id_properties.ssl"' in page and "checked" in page
    assert "properties.ipaddr" not in page and "properties.password_script" not in page


def test_agents_are_offered_by_name(browser: Browser):
    page = browser("administrator").get("/fencing/devices/new/").content.decode()
    assert "fence_test" in page and "Watchdog" in page


def test_a_device_is_added_and_edited_without_its_secret_being_seen(browser: Browser):
    client = browser("administrator")
    given = {"name": "PDU", "properties.ip": "10.0.0.9", "properties.password": "hunter2", "reason": "rack"}
    given |= {"properties.ssl": "on", "properties.mode": "soft", "properties.wait": "3"}
    assert client.post(NEW, given).status_code == 302
    device = FenceDevice.objects.get(name="PDU")
    assert device.parameters == {"ip": "10.0.0.9", "password": "hunter2"}
    url = f"/fencing/devices/{device.pk}/"
    page = client.get(url).content.decode()
    assert 'value="10.0.0.9"' in page and "hunter2" not in page
    given |= {"properties.ip": "10.0.0.10", "properties.password": ""}
    assert client.post(url, given).status_code == 302
    device.refresh_from_db()
    assert device.parameters == {"ip": "10.0.0.10", "password": "hunter2"}, "the secret stays"
    assert "hunter2" not in client.get("/fencing/").content.decode()
    assert not Event.objects.filter(text__contains="hunter2").exists()


def test_what_is_wrong_is_said_beside_the_field(browser: Browser):
    page = browser("administrator").post(NEW, {"name": "PDU", "properties.mode": "fast"})
    assert page.status_code == 422
    assert "is none of soft, hard" in page.content.decode()
    page = browser("administrator").post(NEW, {"name": "PDU", "properties.mode": "soft"})
    assert "A value is required." in page.content.decode()
    assert not FenceDevice.objects.filter(name="PDU").exists()


def test_a_value_that_was_emptied_goes_back_to_its_default(browser: Browser, device: FenceDevice):
    FenceDevice.objects.update(parameters={"ip": "x", "wait": 9, "mode": "hard", "ssl": False})
    given = {"name": "PDU", "properties.ip": "x", "properties.wait": "", "properties.mode": "soft"}
    url = f"/fencing/devices/{device.pk}/"
    assert browser("administrator").post(url, {**given, "properties.ssl": "on"}).status_code == 302
    device.refresh_from_db()
    assert device.parameters == {"ip": "x"}


def test_the_page_of_a_device_whose_agent_is_gone_says_so(
    browser: Browser, device: FenceDevice, folder: Path
):
    (folder / "fence_test").unlink()
    page = browser("administrator").get(f"/fencing/devices/{device.pk}/").content.decode()
    assert "There is no Fence agent" in page
    listed = browser("viewer").get("/fencing/").content.decode()
    assert "hunter2" not in listed and "10.0.0.9" not in listed, "nobody knows which values are secret"


# Levels


def test_a_device_is_put_into_a_level_with_the_plug_of_the_node(
    browser: Browser, seeded: seed.Seeded, device: FenceDevice
):
    node = seeded.nodes["NODE1"]
    client = browser("administrator")
    url = f"/nodes/{node.pk}/fencing/add/?device={device.pk}"
    page = client.get(url).content.decode()
    assert "properties.plug" in page and "properties.ip" not in page
    given = {"level": "1", "delay_ms": "5 s", "timeout_ms": "1 min", "retries": "2"}
    missing = client.post(url, given)
    assert missing.status_code == 422 and "required" in missing.content.decode()
    assert client.post(url, {**given, "properties.plug": "7"}).status_code == 302
    step = FenceStep.objects.get(node=node)
    assert (step.parameters, step.delay_ms, step.timeout_ms, step.retries) == ({"plug": "7"}, 5000, 60_000, 2)
    shown = client.get(f"/nodes/{node.pk}/fencing/").content.decode()
    assert "plug 7" in shown
    given |= {"level": "2", "properties.plug": "8"}
    assert client.post(f"/fencing/steps/{step.pk}/", given).status_code == 302
    step.refresh_from_db()
    assert (step.level, step.parameters) == (2, {"plug": "8"})
    assert client.post(f"/fencing/steps/{step.pk}/remove/").status_code == 302
    assert not FenceStep.objects.filter(node=node).exists()


def test_a_level_that_proves_nothing_is_refused(browser: Browser, seeded: seed.Seeded, folder: Path):
    write_agent(folder, SWITCH, name="fence_heuristics_ping")
    ping = FenceDevice.objects.create(
        name="PING", method="Fence agent", kind="fence_heuristics_ping", parameters={"ip": "x", "plug": "1"}
    )
    url = f"/nodes/{seeded.nodes['NODE1'].pk}/fencing/add/?device={ping.pk}"
    given = {"level": "1", "delay_ms": "0 s", "timeout_ms": "1 min", "retries": "2"}
    page = browser("administrator").post(url, given)
    assert "Nothing in level 1 turns NODE1 off" in page.content.decode()
    assert not FenceStep.objects.filter(device=ping).exists()


# A fence that fails


def test_the_overview_says_loudly_what_waits_for_what(browser: Browser, hung: Node):
    page = browser("operator").get("/").content.decode()
    assert re.search(r"NODE2 could not be fenced: [\w ]*EVS2[\w ]* waits?", page)
    assert "it cannot log in to the device" in page
    assert f"/nodes/{hung.pk}/confirm-off/" in page
    assert "It waits until NODE2 is confirmed off" in page
    assert "/confirm-off/" not in browser("viewer").get("/").content.decode()


def test_the_pages_of_the_node_and_its_groups_say_so_too(browser: Browser, hung: Node):
    page = browser("operator").get(f"/nodes/{hung.pk}/").content.decode()
    assert "NODE2 could not be fenced." in page and "not confirmed off" in page
    assert "after 2 rounds that failed" in page
    group = Group.objects.get(name="EVS2")
    assert "is confirmed off" in browser("viewer").get(f"/groups/{group.pk}/").content.decode()


def test_changes_of_a_fence_are_pushed(hung: Node):
    change = Change(seq=1, since=0, nodes=frozenset({hung.pk}))
    assert "could not be fenced" in nodes.render_changes(hung.pk, change, Role.VIEWER)
    assert "could not be fenced" in overview.render_changes("", change, Role.VIEWER)
    assert "WATCHDOGS" in fencing.render_changes(None, change, Role.VIEWER)


def test_who_has_seen_it_off_types_its_name_and_says_how(browser: Browser, hung: Node):
    client, url = browser("operator"), f"/nodes/{hung.pk}/confirm-off/"
    page = client.get(url).content.decode()
    assert "two nodes serve the same clients" in page and "How you have seen it" in page
    given = {"seen": "999999999", "confirm": "NODE2", "reason": "I pulled both cords"}
    assert client.post(url, {**given, "confirm": "NODE1"}).status_code == 422
    assert "This needs a reason." in client.post(url, {**given, "reason": " "}).content.decode()
    assert Node.objects.get(pk=hung.pk).unfenced
    assert client.post(url, given).status_code == 302
    assert not Node.objects.get(pk=hung.pk).unfenced
    assert Group.objects.get(name="EVS2").owner == Node.objects.get(name="NODE1")
    assert Operation.objects.get(kind="confirm-off").state == "done"


def test_another_try_that_fails_does_not_make_the_operator_confirm_twice(browser: Browser, hung: Node):
    client, url = browser("operator"), f"/nodes/{hung.pk}/confirm-off/"
    newest = Event.objects.order_by("-seq").values_list("seq", flat=True)[0]
    Event.objects.create(seq=newest + 1, at=clock.now(), code=9001, text="it failed again", node=hung)
    Cluster.objects.update(last_event=newest + 1)
    given = {"seen": str(newest), "confirm": "NODE2", "reason": "I pulled both cords"}
    assert client.post(url, given).status_code == 302


def test_a_test_is_asked_for_by_an_operator(browser: Browser, seeded: seed.Seeded):
    device = FenceDevice.objects.get(name="WATCHDOGS")
    url = f"/fencing/devices/{device.pk}/test/"
    assert browser("viewer").post(url).status_code == 403
    node = seeded.nodes["NODE2"]
    asked = browser("operator").get(url, {"node": node.pk}).content.decode()
    assert "Test WATCHDOGS for NODE2" in asked and "Nothing is turned off" in asked
    assert browser("operator").post(url, {"node": node.pk}).status_code == 302
    device.refresh_from_db()
    assert device.test_operation is not None
    assert device.test_operation.node == node
    assert "testing" in browser("viewer").get("/fencing/").content.decode()
    again = browser("operator").post(url)
    assert again.status_code == 422 and "is being tested already" in again.content.decode()


def test_what_is_pushed_holds_no_form(hung: Node):
    """A pushed fragment has no token of the reader's session: a form in it would be refused."""
    change = Change(seq=1, since=0, nodes=frozenset({hung.pk}))
    pushed = [
        fencing.render_changes(None, change, Role.ADMINISTRATOR),
        nodes.render_changes(hung.pk, change, Role.ADMINISTRATOR),
        overview.render_changes("", change, Role.ADMINISTRATOR),
    ]
    assert all("<form" not in text for text in pushed)
