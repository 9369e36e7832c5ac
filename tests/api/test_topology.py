"""Groups and resources are added, changed and deleted over the REST API."""

from __future__ import annotations

import json

import pytest
from django.test import Client

from monitoring.core.states import ResourceState
from monitoring.models import Cluster, Event, Group, Operation, Resource
from monitoring.models.roles import Role
from tests.api.build import get, post, problem
from tests.api.conftest import _client

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.api.urls")]

SLEEP = {"CommandLine": "sleep 1000", "CurrentDirectory": "/"}


@pytest.fixture
def admin(cluster: Cluster) -> Client:
    return _client(Role.ADMINISTRATOR)


@pytest.fixture
def web(admin: Client) -> Group:
    """A group of three applications, made over the API."""
    made = post(admin, "groups/add", {"name": "WEB", "preferred_owners": ["node2", "NODE1"]})
    assert made.status_code == 201, made.content
    for name in ("A", "B", "C"):
        body = {"name": name, "group": "web", "type": "generic application", "properties": SLEEP}
        made = post(admin, "resources/add", body)
        assert made.status_code == 201, made.content
    return Group.objects.get(name="WEB")


def test_what_was_added_is_told_and_found_at_its_address(admin: Client, web: Group) -> None:
    response = post(
        admin,
        "resources/add",
        {
            "name": "D",
            "group": "WEB",
            "type": "Generic Application",
            "properties": SLEEP,
            "settings": {"RestartThreshold": 7, "description": "the fourth"},
            "requires": [["A"], ["b", "C"]],
            "possible_owners": ["NODE1"],
            "reason": "more of them",
        },
    )
    assert response.status_code == 201, response.content
    told = json.loads(response.content)
    assert told == json.loads(admin.get(response["Location"]).content)
    assert (told["requires"], told["possible_owners"]) == ([["A"], ["B", "C"]], ["NODE1"])
    assert (told["resource"]["restart_threshold"], told["description"]) == (7, "the fourth")
    assert get(admin, "groups/WEB")["group"]["preferred_owners"] == ["NODE2", "NODE1"]
    assert Operation.objects.get(subject="D").reason == "more of them"


def test_what_is_not_named_in_a_change_stays(admin: Client, web: Group) -> None:
    only = {"settings": {"FailoverThreshold": 2}}
    assert post(admin, "groups/WEB/change", only).status_code == 200
    assert get(admin, "groups/WEB")["group"]["preferred_owners"] == ["NODE2", "NODE1"]
    assert Group.objects.get(pk=web.pk).failover_threshold == 2
    post(admin, "resources/B/change", {"requires": [["A"]]})
    change: dict[str, object] = {"settings": {"name": "B2"}, "properties": {"CommandLine": "sleep 9"}}
    told = json.loads(post(admin, "resources/B/change", change).content)
    assert told["requires"] == [["A"]]
    assert told["properties"]["CommandLine"] == "sleep 9"
    assert told["properties"]["CurrentDirectory"] == "/"
    assert told["resource"]["name"] == "B2"


def test_a_change_that_is_wrong_in_its_last_part_changes_nothing(admin: Client, web: Group) -> None:
    before = Event.objects.count()
    body = {"settings": {"RestartThreshold": 9}, "requires": [["A"]], "possible_owners": ["NODE9"]}
    assert "NODE9" in problem(post(admin, "resources/B/change", body), 400, "possible_owners")
    assert Event.objects.count() == before
    row = Resource.objects.get(name="B")
    assert (row.restart_threshold, row.dependencies.count()) == (3, 0)


@pytest.mark.parametrize(
    ("path", "body", "status", "field"),
    [
        ("groups/add", {}, 400, "name"),
        ("groups/add", {"name": "web"}, 400, "name"),
        ("groups/add", {"name": "X", "preferred_owners": ["NODE9"]}, 400, "preferred_owners"),
        ("groups/add", {"name": "X", "settings": {"FailoverThreshold": "many"}}, 400, "failover_threshold"),
        ("groups/add", {"name": "X", "settings": {"Colour": "red"}}, 400, "Colour"),
        ("groups/add", {"name": "X", "settings": {"owner": 1}}, 400, "owner"),
        ("groups/NONE/change", {}, 404, "group"),
        ("groups/WEB/delete", {}, 400, "group"),
        ("resources/add", {"name": "X", "group": "NONE", "type": "IP Address"}, 400, "group"),
        ("resources/add", {"name": "X", "group": "WEB", "type": "Nothing"}, 400, "type"),
        ("resources/add", {"name": "X", "group": "WEB", "type": "IP Address"}, 400, "properties.Address"),
        ("resources/B/change", {"requires": [["Z"]]}, 400, "requires"),
        ("resources/B/change", {"requires": [["B"]]}, 400, "requires"),
        ("resources/B/change", {"requires": "A"}, 400, "requires"),
        ("resources/B/change", {"properties": {"Port": 1}}, 400, "properties.Port"),
        ("resources/NONE/delete", {}, 404, "resource"),
    ],
)
def test_a_wrong_request_names_its_field(
    admin: Client, web: Group, path: str, body: object, status: int, field: str
) -> None:
    before = (Event.objects.count(), Group.objects.count(), Resource.objects.count())
    problem(post(admin, path, body), status, field)
    assert (Event.objects.count(), Group.objects.count(), Resource.objects.count()) == before


def test_what_is_down_can_be_deleted_and_what_is_up_cannot(admin: Client, web: Group) -> None:
    Resource.objects.filter(name="A").update(state=ResourceState.ONLINE, running=True)
    problem(post(admin, "resources/A/delete"), 400, "resource")
    assert json.loads(post(admin, "resources/B/delete").content) == {"deleted": "B"}
    problem(post(admin, "groups/WEB/delete", {"with_resources": True}), 400, "resource")
    Resource.objects.filter(name="A").update(state=ResourceState.OFFLINE, running=False)
    gone = post(admin, "groups/WEB/delete", {"with_resources": True})
    assert json.loads(gone.content) == {"deleted": "WEB"}
    assert not Resource.objects.exists()


def test_operators_do_not_change_the_topology(operator: Client, cluster: Cluster) -> None:
    problem(post(operator, "groups/add", {"name": "X"}), 403)
    assert not Group.objects.exists()


TEMPLATE = {
    "name": "APP",
    "template": "application",
    "values": {
        "ip": True,
        "ip.Address": "127.0.9.1",
        "ip.SubnetMask": "8",
        "program.CommandLine": "sleep 1000",
        "program.Environment": "A=1",
    },
    "possible_owners": ["NODE1"],
}


def test_a_group_is_made_from_a_template_and_a_dry_run_tells_the_same_and_makes_nothing(
    admin: Client, cluster: Cluster
) -> None:
    before = Event.objects.count()
    rehearsed = post(admin, "groups/add", {**TEMPLATE, "dry_run": True})
    assert rehearsed.status_code == 200, rehearsed.content
    told = json.loads(rehearsed.content)
    assert [r["name"] for r in told["resources"]] == ["APP IP Address", "APP Application"]
    assert told["resources"][1]["needs"] == ["APP IP Address"]
    assert any("NODE1 is the only possible owner" in text for text in told["warnings"])
    assert (Event.objects.count(), Group.objects.filter(name="APP").count()) == (before, 0)
    assert post(admin, "groups/add", {**TEMPLATE, "settings": {"FailoverThreshold": 3}}).status_code == 201
    group = Group.objects.get(name="APP")
    made = [r.name for r in group.resources.order_by("pk")]
    assert made == ["APP IP Address", "APP Application"] and group.failover_threshold == 3


@pytest.mark.parametrize(
    ("change", "field", "said"),
    [
        ({"template": "nothing"}, "template", "There are: exchange-virtual-server"),
        ({"values": {"program": "no"}}, "program", "cannot be left out"),
        ({"values": {"disk.Path": "/x"}}, "disk.Path", "left out"),
        ({"values": {"program.Colour": "red"}}, "program.Colour", "no such property"),
        ({"values": {"ip.Address": "here"}}, "ip.Address", "not an IP address"),
        ({"possible_owners": ["NODE9"]}, "possible_owners", "NODE9"),
    ],
)
def test_what_a_template_does_not_ask_for_or_cannot_be_is_told_by_its_key(
    admin: Client, cluster: Cluster, change: dict[str, object], field: str, said: str
) -> None:
    for dry in (True, False):
        assert said in problem(post(admin, "groups/add", {**TEMPLATE, **change, "dry_run": dry}), 400, field)
    assert not Group.objects.filter(name="APP").exists()
