"""What the API tells, to whom, and how it refuses."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import URLPattern, reverse

from monitoring.api.urls import urlpatterns
from monitoring.core.states import ResourceState
from monitoring.models import Group
from monitoring.models.roles import Role, grant
from monitoring.service import topology
from tests.api.build import Response, get, problem
from tests.topology.build import BY, app, set_state

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.api.urls")]


def test_groups_and_resources_are_told_in_the_words_of_the_domain(viewer: Client, evs1: Group) -> None:
    resource = app(evs1, "Queue")
    set_state(resource, ResourceState.ONLINE_PENDING)
    (group,) = get(viewer, "groups")["groups"]
    assert (group["name"], group["state"], group["owner"], group["resources"]) == ("EVS1", "Offline", None, 1)
    (row,) = get(viewer, "resources?group=evs1")["resources"]
    assert (row["name"], row["type"], row["state"], row["group"]) == (
        "Queue",
        "Generic Application",
        "Online Pending",
        "EVS1",
    )
    assert get(viewer, "groups/evs1")["resources"] == [row]
    detail = get(viewer, f"resources/{resource.pk}")
    assert detail["properties"]["CommandLine"] == "sleep 1000"
    assert detail["is_alive_ms"] >= 1000
    assert (detail["separate_monitor"], detail["probes"]) == (False, [])


def test_probe_times_are_told_with_what_they_are_held_against(viewer: Client, evs1: Group) -> None:
    resource = app(evs1, "Queue")
    times = {"last_ms": 7.0, "p50_ms": 4.0, "p99_ms": 30.0, "slowest_ms": 31.0}
    resource.newest_times = {"IsAlive": {"at": 1_700_000_000.0, "calls": 150, **times}}
    resource.save()
    (probe,) = get(viewer, "resources/Queue")["probes"]
    assert probe.items() >= {"entry_point": "IsAlive", "calls": 150, "limit_ms": 300_000, **times}.items()


def test_groups_are_filtered_by_state_and_node(viewer: Client, evs1: Group) -> None:
    assert len(get(viewer, "groups?state=offline")["groups"]) == 1
    assert get(viewer, "groups?node=NODE1") == {"groups": []}
    assert "Partial Online" in problem(viewer.get("/api/v1/groups?state=partly"), 400, "state")
    assert "NODE1" in problem(viewer.get("/api/v1/groups?node=NODE9"), 400, "node")


def test_nodes_and_the_cluster_are_told(viewer: Client) -> None:
    assert [node["name"] for node in get(viewer, "nodes")["nodes"]] == ["NODE1", "NODE2"]
    assert get(viewer, "nodes/node2")["state"] == "Down"
    assert get(viewer, "cluster")["lease_ms"] == 3000


def test_events_since_a_number_come_in_order_and_can_be_followed(viewer: Client, evs1: Group) -> None:
    start = get(viewer, "cluster")["last_event"]
    assert get(viewer, f"events?since={start}") == {"events": [], "next": start}
    for name in "ABC":
        app(evs1, name)
    first = get(viewer, f"events?since={start}&limit=2")
    assert [event["seq"] for event in first["events"]] == [start + 1, start + 2]
    rest = get(viewer, f"events?since={first['next']}&group=EVS1")
    assert [event["seq"] for event in rest["events"]] == [start + 3]
    assert rest["events"][0]["text"].startswith("alice created C")
    assert get(viewer, f"events?since={start}&kind=node") == {"events": [], "next": start + 3}
    newest = get(viewer, "events?limit=1")
    assert (newest["events"][0]["seq"], newest["next"]) == (start + 3, start + 3)


def test_what_does_not_exist_is_named_with_what_comes_close(viewer: Client, evs1: Group) -> None:
    assert "Did you mean EVS1?" in problem(viewer.get("/api/v1/groups/EVS3"), 404, "group")
    problem(viewer.get("/api/v1/operations/77"), 404, "id")
    problem(viewer.get("/api/v1/records/77"), 404, "id")
    problem(viewer.get("/api/v1/printers"), 404)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=x", "limit"),
        ("since=-1", "since"),
        ("colour=red", "colour"),
        ("kind=x", "kind"),
    ],
)
def test_a_wrong_parameter_is_refused_by_name(viewer: Client, query: str, field: str) -> None:
    problem(viewer.get(f"/api/v1/events?{query}"), 400, field)


def test_a_stranger_is_asked_for_a_password_and_never_sent_to_a_page(client: Client, cluster: object) -> None:
    response = client.get("/api/v1/groups")
    problem(response, 401)
    assert response["WWW-Authenticate"].startswith("Basic ")


def test_a_name_and_a_password_will_do(client: Client, cluster: object) -> None:
    grant(User.objects.create_user("bob", password="long and secret"), Role.VIEWER)

    def ask(secret: str) -> Response:
        token = base64.b64encode(secret.encode()).decode()
        return client.get("/api/v1/cluster", HTTP_AUTHORIZATION=f"Basic {token}")

    assert ask("bob:long and secret").status_code == 200
    problem(ask("bob:wrong"), 401)
    problem(ask("nobody"), 401)
    problem(client.get("/api/v1/cluster", HTTP_AUTHORIZATION="Basic \x01"), 401)
    problem(client.get("/api/v1/cluster", HTTP_AUTHORIZATION="Bearer abc"), 401)


def test_a_user_without_a_role_sees_nothing(client: Client, cluster: object) -> None:
    client.force_login(User.objects.create_user("newcomer"))
    problem(client.get("/api/v1/groups"), 403)


def _example(pattern: URLPattern) -> str:
    values: dict[str, Any] = {"group": "EVS1", "node": "NODE1", "resource": "A", "id": 1, "path": "x"}
    values |= {
        "device": "PDU",
        "agent": "fence_dummy",
        "type": "Generic Application",
        "number": 1,
        "run": 1,
        "note": 1,
    }
    names = pattern.pattern.regex.groupindex
    return reverse(f"api:{pattern.name}", kwargs={name: values[name] for name in names})


def _is_action(pattern: URLPattern) -> bool:
    return "-" in str(pattern.name)


@pytest.mark.parametrize("pattern", urlpatterns, ids=lambda pattern: pattern.name)
def test_every_address_is_closed_to_strangers(client: Client, pattern: URLPattern) -> None:
    url = _example(pattern)
    problem(client.post(url) if _is_action(pattern) else client.get(url), 401)


@pytest.mark.parametrize(
    "pattern", [p for p in urlpatterns if _is_action(p)], ids=lambda pattern: pattern.name
)
def test_a_viewer_gets_no_action(viewer: Client, evs1: Group, pattern: URLPattern) -> None:
    app(evs1, "A")
    assert "role" in problem(viewer.post(_example(pattern), b"{}", "application/json"), 403)


def test_secrets_are_never_told(viewer: Client, evs1: Group, monkeypatch: pytest.MonkeyPatch) -> None:
    from monitoring.resource_dlls.api import Property
    from monitoring.resource_dlls.generic_application import GenericApplication

    secret = (*GenericApplication.properties, Property("Token", secret=True))
    monkeypatch.setattr(GenericApplication, "properties", secret)
    properties = {"CommandLine": "true", "CurrentDirectory": "/", "Token": "hunter2"}
    resource = app(evs1, "A", properties=properties)
    topology.edit_resource(resource.pk, {}, properties={"Token": "hunter3"}, by=BY)
    told = viewer.get("/api/v1/resources/A").content + viewer.get("/api/v1/events").content
    assert b"alice changed A: Token." in told
    assert b"hunter" not in told
