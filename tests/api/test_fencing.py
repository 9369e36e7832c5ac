"""Fencing over the REST API."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from django.test import Client

from monitoring.core.states import NodeState
from monitoring.fencing import fence_agent
from monitoring.models import Cluster, Fence, FenceStep, Node
from monitoring.models.roles import Role
from tests.api.build import get, post, problem
from tests.api.conftest import _client
from tests.fencing.agents import SWITCH, write_agent

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.api.urls")]

DEVICE = {"name": "PDU", "kind": "fence_test", "properties": {"ip": "10.0.0.9", "password": "hunter2"}}


@pytest.fixture
def admin(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Client:
    write_agent(tmp_path, SWITCH)
    monkeypatch.setenv(fence_agent.DIRECTORIES, str(tmp_path))
    return _client(Role.ADMINISTRATOR)


def test_devices_and_levels_are_set_up_and_told_without_secrets(admin: Client):
    response = post(admin, "fencing/devices/add", DEVICE)
    assert response.status_code == 201, response.content
    assert admin.get(response["Location"]).status_code == 200
    body = {"device": "pdu", "level": 2, "delay": 1.5, "properties": {"plug": "3"}}
    response = post(admin, "nodes/node1/fencing/add", body)
    assert response.status_code == 201, response.content
    told = get(admin, "nodes/NODE1/fencing")
    (step,) = told["levels"]
    assert (step["device"], step["level"], step["delay"], step["properties"]) == (
        "PDU",
        2,
        1.5,
        {"plug": "3"},
    )
    (device,) = get(admin, "fencing/devices")["devices"]
    assert (device["properties"], device["secrets"]) == ({"ip": "10.0.0.9"}, ["password"])
    assert device["nodes"] == ["NODE1"]
    assert "hunter2" not in json.dumps(
        [told, device, get(admin, "events"), get(admin, "fencing/devices/PDU")]
    )


def test_devices_and_levels_are_changed_and_removed(admin: Client):
    post(admin, "fencing/devices/add", DEVICE)
    post(admin, "nodes/NODE1/fencing/add", {"device": "PDU", "properties": {"plug": "3"}})
    change = {"device": "PDU", "level": 1, "to_level": 3, "timeout": 9, "properties": {"plug": "4"}}
    assert post(admin, "nodes/NODE1/fencing/change", change).status_code == 200
    step = FenceStep.objects.get()
    assert (step.level, step.timeout_ms, step.parameters) == (3, 9000, {"plug": "4"})
    changed = post(admin, "fencing/devices/PDU/change", {"name": "PDU1", "properties": {"mode": "hard"}})
    assert json.loads(changed.content)["properties"] == {"ip": "10.0.0.9", "mode": "hard"}
    assert "fences NODE1" in problem(post(admin, "fencing/devices/PDU1/delete"), 400, "device")
    assert post(admin, "nodes/NODE1/fencing/remove", {"device": "PDU1", "level": 3}).status_code == 200
    assert post(admin, "fencing/devices/PDU1/delete").status_code == 200
    assert get(admin, "fencing/devices") == {"devices": []}


@pytest.mark.parametrize(
    ("path", "body", "status", "field"),
    [
        ("fencing/devices/add", {"name": "X", "kind": "fence_gone"}, 400, "kind"),
        ("fencing/devices/add", {"name": "X", "kind": "fence_test"}, 400, "properties.ip"),
        ("fencing/devices/add", {"name": "X", "kind": "fence_test", "properties": {"ip": "a\nb"}}, 400, ""),
        ("fencing/devices/add", {"name": "", "kind": "fence_test", "properties": {"ip": "a"}}, 400, "name"),
        ("nodes/NODE1/fencing/add", {"device": "PDU"}, 400, "properties.plug"),
        ("nodes/NODE1/fencing/add", {"device": "PDU", "level": 10}, 400, "level"),
        ("nodes/NODE1/fencing/add", {"device": "PDX"}, 400, "device"),
        ("nodes/NODE9/fencing/add", {"device": "PDU"}, 404, "node"),
        ("nodes/NODE1/fencing/remove", {"device": "PDU", "level": 1}, 409, "device"),
        ("nodes/NODE1/fence", {}, 409, "node"),
        ("nodes/NODE1/confirm-off", {"confirm": "NODE1", "reason": "x"}, 409, "node"),
        ("fencing/devices/PDU/test", {"node": "NODE1"}, 409, "node"),
    ],
)
def test_what_cannot_be_is_refused_by_field(admin: Client, path: str, body: object, status: int, field: str):
    post(admin, "fencing/devices/add", DEVICE)
    response = post(admin, path, body)
    if field:
        problem(response, status, field)
    assert response.status_code == status


def test_an_agent_is_told_as_its_metadata_says(admin: Client):
    assert get(admin, "fencing/agents") == {"agents": ["fence_test"]}
    about = get(admin, "fencing/agents/fence_test")
    props = {prop["name"]: prop for prop in about["properties"]}
    assert props["password"]["secret"] and props["plug"]["per_node"] and not props["ip"]["per_node"]


def test_a_test_is_accepted_and_can_be_followed(admin: Client):
    post(admin, "fencing/devices/add", DEVICE)
    response = post(admin, "fencing/devices/PDU/test", {"reason": "new cable"})
    assert response.status_code == 202
    assert json.loads(admin.get(response["Location"]).content)["kind"] == "fence-test"
    assert get(admin, "fencing/devices/PDU")["test"]["running"]


def test_a_node_is_seen_off(admin: Client):
    node = Node.objects.get(name="NODE1")
    Node.objects.filter(pk=node.pk).update(state=NodeState.DOWN, unfenced=True)
    Fence.objects.create(node=node, incarnation=0, cause="x", started=1.0, round_started=1.0, next_at=1.0)
    assert get(admin, "nodes/NODE1")["unfenced"] is True
    assert get(admin, "nodes/NODE1/fencing")["waiting"] is True
    problem(post(admin, "nodes/NODE1/confirm-off", {"confirm": "NODE2", "reason": "x"}), 409, "confirm")
    problem(post(admin, "nodes/NODE1/confirm-off", {"confirm": "NODE1"}), 409, "reason")
    response = post(admin, "nodes/NODE1/confirm-off", {"confirm": "NODE1", "reason": "it is unplugged"})
    assert response.status_code == 202, response.content
    assert get(admin, "nodes/NODE1")["unfenced"] is False
