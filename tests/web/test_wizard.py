"""The wizard of new groups: each step keeps what was said, the preview is a rehearsal, then it is made."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.http import HttpResponse, HttpResponseBase
from django.test import Client
from django.urls import reverse

from monitoring.core.states import NodeState
from monitoring.models import Event, Group, NodeTypes, Operation, Resource
from monitoring.resource_dlls import registry
from monitoring.service import making, topology
from monitoring.service.group_templates import all_templates
from monitoring.web import wizard_form
from monitoring.web.wizard_form import WizardForm
from tests.resource_dlls.ocf_agents import parameter, use_root, write_agent
from tests.web import seed
from tests.web.conftest import Browser

WEB = {
    "group": "WEB",
    "ip.Address": "127.0.1.80",
    "ip.SubnetMask": "255.0.0.0",
    "disk.Path": "/srv/shared/web",
    "server": "Generic Application",
    "server.CommandLine": "sleep 1000",
}
EXCHANGE = {
    "group": "EVS3",
    "ip.Address": "127.0.1.3",
    "ip.SubnetMask": "255.0.0.0",
    "name.Name": "mail3",
    "disk.Path": "/srv/shared/evs3",
}
DAEMONS = {"attendant.Servers": "Postfix, Dovecot and nginx", "attendant.CertificateFile": "/srv/mail.pem"}


@pytest.fixture(autouse=True)
def types(seeded: seed.Seeded) -> None:
    topology.sync_types()


@pytest.fixture
def admin(browser: Browser) -> Client:
    return browser("administrator")


def address(key: str) -> str:
    return reverse("group_from_template", args=[key])


def text_of(page: HttpResponseBase) -> str:
    assert isinstance(page, HttpResponse)
    return page.content.decode()


def sent(page: HttpResponseBase) -> dict[str, list[str]]:
    """What a browser would send of the form of a page as it stands."""
    text = text_of(page)
    form = text[text.index('<form class="stack wizard"') :]
    found: dict[str, list[str]] = {}
    for tag in re.findall(r"<input[^>]*>", form):
        told = dict(re.findall(r'([\w-]+)="([^"]*)"', tag))
        box = told.get("type") in ("radio", "checkbox")
        if "name" in told and (not box or " checked" in tag):
            found.setdefault(told["name"], []).append(told.get("value", "on" if box else ""))
    for name, options in re.findall(r'<select name="([^"]+)".*?>(.*?)</select>', form, re.DOTALL):
        chosen = re.search(r'value="([^"]*)" selected', options)
        found[name] = [chosen[1] if chosen else ""]
    return found


def step(client: Client, page: HttpResponseBase, key: str, go: str = "next", **typed: Any) -> Any:
    """The page that follows, after some fields were filled in."""
    return client.post(address(key), {**sent(page), **typed, "go": go})


def current(page: HttpResponseBase) -> str:
    found = re.search(r'value="step:(\w+)" aria-current="step"', text_of(page))
    assert found is not None
    return found[1]


def beside(page: HttpResponseBase, field: str) -> str:
    assert page.status_code == 422
    text = text_of(page)
    return text.split(f'id="field-{field}"', 1)[1].split('class="field', 1)[0]


def counts() -> tuple[int, ...]:
    return (Group.objects.count(), Resource.objects.count(), Event.objects.count(), Operation.objects.count())


def test_a_group_is_made_step_by_step_with_all_that_its_template_brings(admin: Client) -> None:
    before = counts()
    page: Any = admin.get(address("web-service"))
    assert current(page) == "what"
    page = step(admin, page, "web-service", server="Generic Application")
    assert current(page) == "owners"
    page = step(admin, page, "web-service", group="WEB")
    assert current(page) == "settings"
    page = step(admin, page, "web-service", **{k: v for k, v in WEB.items() if "." in k})
    assert current(page) == "preview"
    assert counts() == before  # a preview leaves nothing behind
    text = text_of(page)
    assert "would come online on NODE1" in text and 'class="graph"' in text and "WEB Web Probe" in text
    answer = step(admin, page, "web-service", go="create", reason="a new shop")
    assert answer.status_code == 302
    group = Group.objects.get(name="WEB")
    made = {r.type.name: r for r in group.resources.select_related("type")}
    assert set(made) == {
        "Physical Disk",
        "IP Address",
        "Network Name",
        "Generic Application",
        "HTTP Endpoint",
    }
    assert made["Generic Application"].properties["CurrentDirectory"] == "/srv/shared/web"
    assert made["Network Name"].properties["Name"] == "WEB"
    needs = [d.provider.type.name for d in made["Generic Application"].dependencies.all()]
    assert sorted(needs) == ["Network Name", "Physical Disk"]  # the address is behind the name
    assert not group.persistent_online
    assert Operation.objects.filter(group=group).earliest("pk").reason == "a new shop"


def test_a_group_can_be_brought_online_at_once(admin: Client) -> None:
    page = admin.post(address("web-service"), {**WEB, "step": "preview", "go": "online"}, follow=True)
    assert "It is brought online now" in text_of(page)
    group = Group.objects.get(name="WEB")
    assert group.persistent_online and group.owner is not None


def test_going_back_loses_nothing_not_even_of_a_part_that_is_left_out_for_a_while(admin: Client) -> None:
    page: Any = admin.post(address("web-service"), {**WEB, "step": "settings", "go": "next"})
    assert current(page) == "preview"
    page = step(admin, page, "web-service", go="step:what")
    assert current(page) == "what" and sent(page)["ip.Address"] == ["127.0.1.80"]
    page = step(admin, page, "web-service", disk="False", probe="False")
    page = step(admin, page, "web-service")
    assert current(page) == "settings" and "id_disk.Path" not in text_of(page)
    page = step(admin, page, "web-service", go="step:what")
    page = step(admin, page, "web-service", go="step:settings", disk=["False", "on"])
    assert 'id="id_disk.Path"' in text_of(page)
    assert sent(page)["disk.Path"] == ["/srv/shared/web"]
    assert sent(page)["server.CommandLine"] == ["sleep 1000"]


def test_a_box_that_is_ticked_by_default_stays_unticked(admin: Client) -> None:
    asked = {**WEB, "step": "settings", "ip.EnableNetBIOS": "False", "owners": ["", "1"]}
    page = admin.post(address("web-service"), {**asked, "go": "back"})
    assert sent(page)["ip.EnableNetBIOS"] == ["False"]


@pytest.mark.parametrize(
    ("field", "value", "where", "said"),
    [
        ("group", "evs1", "owners", "exists already"),
        ("group", "", "owners", "required"),
        ("owners", "", "owners", "Tick at least one node"),
        ("server", "ocf:heartbeat:none", "what", "ocf:heartbeat:none"),
        ("ip.Address", "127.0.1.1", "settings", "belongs to EVS1 IP Address"),
        ("ip.Address", "mail", "settings", "not an IP address"),
        ("name.Name", "NODE1", "settings", "is the name of a node"),
        ("server.CommandLine", "", "settings", "required"),
        ("disk.Path", "/srv/shared/evs2", "settings", "belongs to EVS2 Disk"),
    ],
)
@pytest.mark.parametrize("go", ["next", "create"])
def test_what_cannot_be_is_said_beside_the_field_in_its_step_and_nothing_is_made(
    admin: Client, field: str, value: str, where: str, said: str, go: str
) -> None:
    before = counts()
    page = admin.post(address("web-service"), {**WEB, field: value, "step": "settings", "go": go})
    assert current(page) == where and said in beside(page, field)
    assert counts() == before
    if where != "settings":
        assert sent(page)["ip.SubnetMask"] == ["255.0.0.0"]


def test_the_preview_warns_of_what_is_allowed_and_should_be_known(admin: Client, seeded: seed.Seeded) -> None:
    one, two = seeded.nodes["NODE1"], seeded.nodes["NODE2"]
    two.state = NodeState.PAUSED
    two.save()
    NodeTypes.objects.create(node=two, names=["IP Address"], broken=[])
    asked = {**WEB, "owner": one.pk, "owners": [two.pk], "step": "settings", "go": "next"}
    text = admin.post(address("web-service"), asked).content.decode()
    assert "NODE2 is the only possible owner" in text
    assert "NODE1 is preferred, and is no possible owner" in text
    assert "NODE2 cannot bring a Physical Disk online" in text
    assert "NODE2 is paused" in text and "nothing of it could come online now" in text


@pytest.fixture
def agents(seeded: seed.Seeded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two OCF agents on this machine, one of which brings an address."""
    write_agent(tmp_path / "ocf", "IPaddr2", parameters=parameter("ip", attributes='required="1"'))
    write_agent(tmp_path / "ocf", "Daemon", parameters=parameter("folder") + parameter("password"))
    use_root(monkeypatch, tmp_path / "ocf", tmp_path / "cache")
    topology.sync_types()
    yield
    monkeypatch.undo()
    registry.refresh()


def test_an_address_that_a_resource_of_another_type_has_is_warned_of(
    agents: None, admin: Client, seeded: seed.Seeded
) -> None:
    topology.create_resource(
        seeded.groups["FILES"].pk,
        "ocf:test:IPaddr2",
        {"name": "FILES ADDRESS"},
        properties={"ip": "127.0.1.80"},
        by="test",
    )
    text = admin.post(address("web-service"), {**WEB, "step": "settings", "go": "next"}).content.decode()
    assert "127.0.1.80 is an address of FILES ADDRESS in the group FILES already" in text


def test_a_secret_is_asked_for_last_and_never_sent_back(admin: Client) -> None:
    redis = {
        "group": "CACHE",
        "ip.Address": "127.0.1.81",
        "ip.SubnetMask": "8",
        "disk.Path": "/srv/shared/cache",
        "server.Password": "correct horse",
    }
    for where, go in (
        ("settings", "next"),
        ("preview", "back"),
        ("preview", "check"),
        ("preview", "step:what"),
    ):
        page = admin.post(address("redis"), {**redis, "step": where, "go": go})
        assert page.status_code == 200 and "correct horse" not in text_of(page)
    page = admin.post(address("redis"), {**redis, "group": "EVS1", "go": "create"})
    assert "correct horse" not in text_of(page)
    admin.post(address("redis"), {**redis, "go": "create"})
    made = Resource.objects.get(name="CACHE Redis")
    assert made.properties["Password"] == "correct horse"
    assert "correct horse" not in "".join(Event.objects.values_list("text", flat=True))


def test_an_ocf_agent_is_chosen_by_name_and_its_parameters_become_fields(
    agents: None, admin: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wizard_form, "FEW", 1)
    page: Any = admin.get(address("ocf-agent"))
    assert '<option value="ocf:test:Daemon">' in text_of(page)
    page = step(admin, page, "ocf-agent", agent="ocf:heartbeat:nothing")
    assert current(page) == "what" and "is none of the types" in beside(page, "agent")
    page = step(admin, page, "ocf-agent", agent="ocf:test:Daemon", ip="False")
    page = step(admin, page, "ocf-agent", group="TRY")
    assert 'name="agent.folder"' in text_of(page) and 'name="agent.password"' not in text_of(page)
    page = step(admin, page, "ocf-agent", **{"agent.folder": "/srv/try"})
    assert current(page) == "preview" and 'name="agent.password"' in text_of(page)
    assert step(admin, page, "ocf-agent", go="create").status_code == 302
    assert Resource.objects.get(name="TRY Agent").properties["folder"] == "/srv/try"


def test_a_virtual_server_is_created_with_all_that_belongs_to_it(admin: Client, seeded: seed.Seeded) -> None:
    asked = {**EXCHANGE, "owner": seeded.nodes["NODE2"].pk, "go": "create"}
    assert admin.post(reverse("exchange_create"), asked).status_code == 302
    group = Group.objects.get(name="EVS3")
    made = {resource.type.name: resource for resource in group.resources.select_related("type")}
    assert made["Network Name"].properties["Name"] == "MAIL3"
    attendant = made["Exchange System Attendant"]
    needs = {row.provider.type.name for row in attendant.dependencies.select_related("provider__type")}
    assert {"Network Name", "Physical Disk"} <= needs
    assert made["Exchange SMTP Virtual Server"].created_by == attendant
    assert "Exchange Message Transfer Agent" not in made  # the cluster has its one already
    assert [p.node.name for p in group.preferences.all()] == ["NODE2", "NODE1"]


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("name.Name", "A-NAME-TOO-LONG-FOR-IT", "at most 15"),
        ("name.Name", "EVS1", "belongs to EVS1 Network Name"),
        ("disk.Path", "here", "not an absolute path"),
        ("mail.Mailboxes", "al/ice", "cannot be the name of a mailbox"),
        ("attendant.Tree", "2003", "tree of 2000 only"),
        ("attendant.KeyFile", "/srv/a key", "may hold letters"),
    ],
)
def test_what_a_virtual_server_cannot_be_is_said_beside_the_field(
    admin: Client, field: str, value: str, said: str
) -> None:
    before = counts()
    page = admin.post(reverse("exchange_create"), {**EXCHANGE, **DAEMONS, field: value, "go": "create"})
    assert said in beside(page, field)
    assert counts() == before


def test_a_virtual_server_for_users_is_created_with_their_mailboxes(admin: Client) -> None:
    mail = {"mail.Mailboxes": "carol, dave", "mail.MailboxPassword": "correct horse", "go": "create"}
    assert admin.post(reverse("exchange_create"), {**EXCHANGE, **DAEMONS, **mail}).status_code == 302
    group = Group.objects.get(name="EVS3")
    made = {resource.type.name: resource.properties for resource in group.resources.select_related("type")}
    store = made["Exchange Information Store (Dovecot)"]
    assert (store["Mailboxes"], store["MailboxPassword"]) == ("carol, dave", "correct horse")
    assert made["Exchange IMAP4 Virtual Server (Dovecot)"]["CertificateFile"] == "/srv/mail.pem"
    assert "correct horse" not in "".join(Event.objects.values_list("text", flat=True))


@pytest.mark.parametrize("key", all_templates())
def test_every_template_names_types_that_there_are_and_parts_that_it_has(key: str) -> None:
    template = all_templates()[key]
    keys = [part.key for part in template.parts]
    assert len(keys) == len(set(keys))
    for part in template.parts:
        plain = [t for t in part.types if ":" not in t]
        assert set(plain) <= set(registry.all_types())
        assert {*part.needs, *filter(None, [part.of])} <= set(keys[: keys.index(part.key)])
        known = {p.name for t in making.types_of(part) for p in making.properties_of(part, t)}
        stray = {n for n in (*part.shown, *part.defaults) if n[0].isupper()} - known
        assert not stray, f"{key}: {part.key} has no {stray}"
    assert WizardForm(template).steps[-1] == "preview"


def test_a_preview_leaves_no_gap_in_the_history(seeded: seed.Seeded, admin: Client) -> None:
    """What is rehearsed is not numbered: the history has no gap afterwards."""
    newest = Event.objects.latest("seq").seq
    admin.post(address("web-service"), {**WEB, "step": "settings", "go": "next"})
    topology.create_group({"name": "NEXT"}, by="test")
    assert Event.objects.latest("seq").seq == newest + 1
