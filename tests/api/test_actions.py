"""Actions of the API: accepted with their operation, or refused with the field that is wrong."""

from __future__ import annotations

import json

import pytest
from django.conf import settings
from django.test import Client

from monitoring.core.states import NodeState, ResourceState
from monitoring.models import Event, Group, Node, Operation
from tests.api.build import get, post, problem
from tests.topology.build import app, set_state

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.api.urls")]


@pytest.fixture
def running(evs1: Group) -> Group:
    """EVS1 online on NODE1, NODE2 up beside it."""
    Node.objects.update(state=NodeState.UP, incarnation=1)
    set_state(app(evs1, "Queue"), ResourceState.ONLINE, running=True)
    Group.objects.filter(pk=evs1.pk).update(owner=Node.objects.get(name="NODE1"), persistent_online=True)
    return evs1


def test_a_move_is_accepted_and_can_be_followed(operator: Client, running: Group) -> None:
    response = post(operator, "groups/EVS1/move", {"node": "node2", "reason": "new memory"})
    assert response.status_code == 202, response.content
    body = json.loads(response.content)
    assert body["notice"] == ""
    operation = body["operation"]
    assert (operation["kind"], operation["subject"], operation["state"]) == ("move", "EVS1", "running")
    assert (operation["requested_by"], operation["reason"]) == ("operator", "new memory")
    assert response["Location"] == f"/api/v1/operations/{operation['id']}"
    assert operator.get(response["Location"]).status_code == 200
    assert get(operator, "groups/EVS1")["group"]["doing"]


def test_the_second_of_two_operators_is_told_what_the_first_did(operator: Client, running: Group) -> None:
    post(operator, "groups/EVS1/move", {"node": "NODE2"})
    body = json.loads(post(operator, "groups/EVS1/offline").content)
    assert "move to NODE2" in body["notice"] and "operator" in body["notice"]


def test_a_resource_is_acted_upon_by_name(operator: Client, running: Group) -> None:
    assert post(operator, "resources/queue/offline", {"reason": "tests"}).status_code == 202
    assert Operation.objects.get(kind="resource-offline").subject == "Queue"
    assert get(operator, "resources/Queue")["resource"]["wanted"] is False


def test_a_node_is_paused_and_resumed(operator: Client, running: Group) -> None:
    assert post(operator, "nodes/NODE2/pause").status_code == 202
    assert get(operator, "nodes/NODE2")["state"] == "Paused"
    assert post(operator, "nodes/NODE2/resume", {"failback": "policy"}).status_code == 202
    assert get(operator, "nodes/NODE2")["state"] == "Up"


def test_what_the_cluster_refuses_changes_nothing(operator: Client, running: Group) -> None:
    post(operator, "nodes/NODE2/pause")
    before = Event.objects.count()
    detail = problem(post(operator, "groups/EVS1/move", {"node": "NODE2"}), 409, "node")
    assert "paused" in detail.lower()
    assert Event.objects.count() == before
    assert not Operation.objects.filter(kind="move").exists()


@pytest.mark.parametrize(
    ("path", "body", "status", "field"),
    [
        ("groups/EVS9/move", {}, 404, "group"),
        ("groups/EVS1/move", {"node": "NODE9"}, 400, "node"),
        ("groups/EVS1/move", {"node": 2}, 400, "node"),
        ("groups/EVS1/move", {"target": "NODE2"}, 400, "target"),
        ("groups/EVS1/move", {"reason": "x" * 1001}, 400, "reason"),
        ("groups/EVS1/move", [], 400, ""),
        ("groups/EVS1/move", b"{", 400, ""),
        ("groups/EVS1/move", b"\xff", 400, ""),
        ("nodes/NODE1/resume", {"failback": "maybe"}, 400, "failback"),
        ("groups/EVS1/explode", {}, 404, ""),
    ],
)
def test_bad_input_is_refused_by_field(
    operator: Client, running: Group, path: str, body: object, status: int, field: str
) -> None:
    before = Operation.objects.count()
    problem(post(operator, path, body), status, field)
    assert Operation.objects.count() == before


def test_a_browser_proves_that_the_request_is_its_own(browser: Client, running: Group) -> None:
    assert "CSRF" in problem(post(browser, "groups/EVS1/offline"), 403)
    token = "a" * 32
    browser.cookies[settings.CSRF_COOKIE_NAME] = token
    response = post(browser, "groups/EVS1/offline", headers={"X-CSRFToken": token})
    assert response.status_code == 202, response.content


def test_a_node_is_evicted_by_an_administrator_only(operator: Client, running: Group) -> None:
    assert "administrator" in problem(post(operator, "nodes/NODE2/evict"), 403)
