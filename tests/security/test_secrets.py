"""No secret in a page, an answer of the API, the live feed, the history or an export.

Recognisable secrets are planted everywhere where there is one; then everything is read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings
from django.contrib.sessions.models import Session
from django.test import Client, override_settings

from monitoring.access import tokens
from monitoring.broker.address import parse as parse_address
from monitoring.fencing import fence_agent
from monitoring.live import topics
from monitoring.models import (
    Cluster,
    Event,
    FenceDevice,
    FenceStep,
    Group,
    Node,
    Resource,
    ResourceType,
    Token,
)
from monitoring.models.roles import Role
from monitoring.resource_dlls.api import Property, PropertyError
from monitoring.service import clock, topology
from tests.fencing.agents import SWITCH, write_agent
from tests.security.table import HTTP, Caller
from tests.security.test_urls import TOKEN, address, client_of, send
from tests.web import seed

pytestmark = pytest.mark.django_db
PLANTED = "PLANTED"
KEYS = ("key", "rotation_secret", "next_key")
"""Columns of a node that hold a key, or a half of one."""


def planted(what: str) -> str:
    return f"{PLANTED}-{what}-0123456789abcdef"


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[seed.Seeded]:
    """The seeded cluster, with a secret in every place for one."""
    made = seed.cluster(clock.now(), probes=False)
    for node in Node.objects.all():
        keys = {name: planted(f"{name}-of-{node}") for name in KEYS}
        Node.objects.filter(pk=node.pk).update(**keys)
    for resource in Resource.objects.filter(type__name="Exchange Information Store"):
        resource.properties = {**resource.properties, "MailboxPassword": planted("mailbox")}
        resource.save()
    unknown = ResourceType.objects.create(name="Type of another machine", dll_name="unknown")
    Resource.objects.filter(name="FILES Report").update(
        type=unknown, properties={"Whatever": planted("property-of-an-unknown-type")}
    )
    write_agent(tmp_path, SWITCH)
    monkeypatch.setenv(fence_agent.DIRECTORIES, str(tmp_path))
    given = {"ip": "198.51.100.1", "password": planted("fence-device")}
    device = FenceDevice.objects.create(
        name="Switch", method="Fence agent", kind="fence_test", parameters=given
    )
    FenceStep.objects.create(
        node=made.nodes["NODE1"], device=device, parameters={"plug": "1", "password": planted("fence-step")}
    )
    gone = FenceDevice.objects.create(
        name="Gone",
        method="Fence agent",
        kind="fence_gone",
        parameters={"x": planted("fence-of-an-unknown-agent")},
    )
    FenceStep.objects.create(node=made.nodes["NODE1"], device=gone, parameters={"x": planted("fence-step")})
    Node.objects.update(next_key=planted("next-key"), rotation_secret=planted("half-of-a-key"))
    urls = {"BROKER": parse_address({}, f"redis://:{planted('broker')}@127.0.0.1:1/0")}
    with override_settings(SECRET_KEY=planted("secret-key"), **urls):
        monkeypatch.setitem(settings.DATABASES["default"], "PASSWORD", planted("database"))
        yield made


def text_of(response: Any) -> str:
    if not response.streaming:
        return f"{response.headers}{response.content.decode(errors='replace')}"

    async def all_of_it() -> str:
        return "".join([part.decode() async for part in response.streaming_content])

    return str(async_to_sync(all_of_it)())


def readable(made: seed.Seeded, client: Client) -> dict[str, str]:
    """Everything that can be read over HTTP, of every thing that there is."""
    found = {}
    rows: list[Any] = [*Group.objects.all(), *Node.objects.all(), *Resource.objects.all(), *made.records]
    rows += [*FenceDevice.objects.all(), *FenceStep.objects.all()]
    kinds = {Group: "group", Node: "node", Resource: "resource", FenceDevice: "device", FenceStep: "step"}
    for pattern, row in HTTP.items():
        first = address(pattern, made)
        paths = {first}
        for thing in rows:
            what = kinds.get(type(thing), "history|record")
            paths.add(re.sub(rf"(?<=/)({what})(s?)/\d+", rf"\1\2/{thing.pk}", first))
        if "GET" not in row.methods:
            continue
        for path in paths:
            found[path] = text_of(send(client, "GET", path, row))
    return found


def own_secrets() -> list[str]:
    """What nobody planted: sessions, password hashes, digests of tokens."""
    from django.contrib.auth.models import User

    users = User.objects.values_list("password", flat=True)
    digests = Token.objects.values_list("digest", flat=True)
    return [*Session.objects.values_list("session_key", flat=True), *users, *digests]


def test_nothing_that_an_administrator_can_read_holds_a_secret(made: seed.Seeded) -> None:
    token = tokens.make(made.users["administrator"], "deploy", Role.VIEWER, by="administrator")
    client = client_of(Caller.ADMINISTRATOR, made)
    found = readable(made, client)
    assert len(found) > 150
    assert "MailboxPassword" in "".join(found.values()), "the property is there, its value is not"
    assert "198.51.100.1" in "".join(found.values()), "and so is the fence device"
    secrets = [PLANTED, token.secret, *own_secrets()]
    shown = [(path, secret[:20]) for path, text in found.items() for secret in secrets if secret in text]
    assert shown == []


def test_what_is_pushed_to_open_pages_holds_no_secret(made: seed.Seeded) -> None:
    everything = topics.Change(
        Cluster.objects.get().last_event,
        0,
        frozenset(Group.objects.values_list("pk", flat=True)),
        frozenset(Node.objects.values_list("pk", flat=True)),
        frozenset(Resource.objects.values_list("pk", flat=True)),
    )
    import monitoring.web.topics  # noqa: F401

    count = 0
    for kind in topics._renderers:
        for subject in range(1, 40):
            html = topics.render(topics.Topic(kind, subject), everything, Role.ADMINISTRATOR)
            count += bool(html)
            assert PLANTED not in html, (kind, subject)
    assert count > 50


def store(made: seed.Seeded) -> Resource:
    return made.resources["EVS1 Information Store"]


def settings_form(client: Client, resource: Resource) -> dict[str, str]:
    """What a browser would send: every field of the form as it is shown."""
    text = client.get(f"/resources/{resource.pk}/settings/").content.decode()
    fields: dict[str, str] = {}
    for tag in re.findall(r"<input[^>]+>", text):
        names = dict(re.findall(r'([a-z]+)="([^"]*)"', tag))
        unticked = names.get("type") in ("radio", "checkbox") and " checked" not in tag
        if "name" in names and not unticked:
            fields.setdefault(names["name"], names.get("value", ""))
    for name, options in re.findall(r'<select name="([^"]+)".*?>(.*?)</select>', text, re.DOTALL):
        chosen = re.search(r'value="([^"]*)" selected', options)
        fields[name] = chosen.group(1) if chosen else ""
    fields.pop("csrfmiddlewaretoken", None)
    return fields


@pytest.fixture
def client(made: seed.Seeded) -> Client:
    client = client_of(Caller.ADMINISTRATOR, made)
    topology.sync_types()
    return client


def post(client: Client, path: str, fields: dict[str, str]) -> Any:
    return client.post(path, fields, headers={"X-CSRFToken": TOKEN})


def test_a_form_that_is_saved_without_the_secret_keeps_it(made: seed.Seeded, client: Client) -> None:
    fields = settings_form(client, store(made))
    assert fields["properties.MailboxPassword"] == ""
    fields["description"] = "described anew"
    assert post(client, f"/resources/{store(made).pk}/settings/", fields).status_code == 302
    row = Resource.objects.get(pk=store(made).pk)
    assert row.description == "described anew"
    assert row.properties["MailboxPassword"] == planted("mailbox")


def test_a_new_secret_is_kept_and_the_history_says_only_that_it_changed(
    made: seed.Seeded, client: Client
) -> None:
    fields = settings_form(client, store(made))
    fields["properties.MailboxPassword"] = planted("another")
    assert post(client, f"/resources/{store(made).pk}/settings/", fields).status_code == 302
    assert Resource.objects.get(pk=store(made).pk).properties["MailboxPassword"] == planted("another")
    event = Event.objects.latest("seq")
    assert "MailboxPassword" in event.text
    assert PLANTED not in str(list(Event.objects.values()))


def test_a_form_that_is_refused_does_not_send_the_secret_back(made: seed.Seeded, client: Client) -> None:
    fields = settings_form(client, store(made))
    fields |= {"properties.MailboxPassword": planted("typed"), "looks_alive_ms": "no time at all", "name": ""}
    response = post(client, f"/resources/{store(made).pk}/settings/", fields)
    assert response.status_code == 422
    assert PLANTED not in response.content.decode()


def test_the_login_and_the_password_form_send_no_password_back(made: seed.Seeded, client: Client) -> None:
    given = {"username": "operator", "password": planted("typed")}
    assert PLANTED not in Client().post("/login/", given).content.decode()
    wrong = {"old_password": planted("old"), "new_password1": planted("1"), "new_password2": planted("2")}
    assert PLANTED not in post(client, "/password/", wrong).content.decode()


def test_the_api_leaves_secrets_out(made: seed.Seeded, client: Client) -> None:
    found = json.loads(client.get(f"/api/v1/resources/{store(made).pk}").content)
    assert "StorageGroups" in found["properties"]
    assert "MailboxPassword" not in found["properties"]
    unknown = json.loads(client.get("/api/v1/resources/FILES Report").content)
    assert unknown["properties"] == {}


@pytest.mark.parametrize("kind", ["int", "port", "bool", "ip", "netmask", "netbios", "path"])
def test_an_error_about_a_secret_does_not_quote_it(kind: str) -> None:
    with pytest.raises(PropertyError) as caught:
        Property("Pin", kind, secret=True).clean("!" + planted("value") * 3)
    assert PLANTED not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_request_that_breaks_leaves_no_secret_in_the_log(
    made: seed.Seeded, client: Client, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down(*args: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr("monitoring.web.palette.page.suggestions", break_down)
    monkeypatch.setattr("monitoring.api.reads.cluster", break_down)
    token = tokens.make(made.users["viewer"], "deploy", Role.VIEWER, by="administrator")
    assert client.get("/find/", {"q": "x"}).status_code == 500
    bearer = {"authorization": f"Bearer {token.secret}"}
    assert client.get("/api/v1/cluster", headers=bearer).status_code == 500
    post(client, "/login/", {"username": "operator", "password": planted("typed")})
    assert "broken" in caplog.text
    assert [s for s in (PLANTED, token.secret, *own_secrets()) if s in caplog.text] == []
