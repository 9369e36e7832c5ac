"""The pages on which an OCF agent is chosen and filled in: many types, long help, warnings before use."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.urls import reverse

from monitoring.models import Resource
from monitoring.resource_dlls import registry
from monitoring.service import topology
from tests.resource_dlls.ocf_agents import actions, parameter, use_real_root, use_root, write_agent
from tests.web import seed
from tests.web.conftest import Browser
from tests.web.test_forms import RESOURCE

LONG = "One sentence of many words about <b>this</b>. " * 40


@pytest.fixture
def agents(seeded: seed.Seeded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    long = parameter("folder", attributes='unique="1"').replace(
        "The folder of it.", LONG.replace("<", "&lt;").replace(">", "&gt;")
    )
    given = long + parameter("admin_password") + parameter("port", "integer", default="5432")
    body = "crm_attribute -N x\n"
    write_agent(tmp_path / "ocf", "Checked", parameters=given, body=body)
    write_agent(
        tmp_path / "ocf", "Promoted", offered=actions() + '<action name="promote"/><action name="demote"/>'
    )
    use_root(monkeypatch, tmp_path / "ocf", tmp_path / "cache")
    topology.sync_types()
    yield
    monkeypatch.undo()
    registry.refresh()


def page(browser: Browser, seeded: seed.Seeded, type_name: str = "") -> str:
    address = reverse("resource_create", args=[seeded.groups["FILES"].pk])
    query = {"type": type_name} if type_name else {}
    return browser("administrator").get(address, query).content.decode()


def test_types_can_be_filtered_and_say_what_to_know_before_use(
    agents: None, seeded: seed.Seeded, browser: Browser
) -> None:
    text = page(browser, seeded)
    assert 'data-filter=".types > li"' in text
    assert 'data-find="ocf:test:checked test resource."' in text
    assert "Calls Pacemaker&#x27;s crm_attribute" in text
    assert "?type=ocf%3Atest%3AChecked" in text


def test_a_type_that_cannot_be_used_is_listed_without_a_link(
    agents: None, seeded: seed.Seeded, browser: Browser
) -> None:
    text = page(browser, seeded)
    assert "<wbr>Promoted" in text and "only where a cluster manager promotes it" in text
    assert "?type=ocf%3Atest%3APromoted" not in text
    assert "Of which type?" in page(browser, seeded, "ocf:test:Promoted")


def test_the_form_warns_keeps_long_help_folded_and_hides_what_is_secret(
    agents: None, seeded: seed.Seeded, browser: Browser
) -> None:
    text = page(browser, seeded, "ocf:test:Checked")
    assert "Calls Pacemaker&#x27;s crm_attribute" in text
    assert "<summary>More about folder</summary>" in text
    assert "&lt;b&gt;this&lt;/b&gt;" in text and "<b>this</b>" not in text
    secret = re.search(r'<input[^>]*name="properties.admin_password"[^>]*>', text)
    assert secret is not None and 'type="password"' in secret.group()
    assert "If empty: 5432." in text


def test_what_is_left_empty_stays_the_agents_own_choice(
    agents: None, seeded: seed.Seeded, browser: Browser
) -> None:
    address = reverse("resource_create", args=[seeded.groups["FILES"].pk]) + "?type=ocf:test:Checked"
    sent = RESOURCE | {
        "name": "FILES thing",
        "properties.folder": "/srv/x",
        "properties.CheckLevel": "10",
        "properties.MonitorTimeout": "5",
    }
    response = browser("administrator").post(address, sent)
    assert response.status_code == 302
    made = Resource.objects.get(name="FILES thing").properties
    assert (made["folder"], made["port"], made["CheckLevel"]) == ("/srv/x", None, 10)
    shown = browser("viewer").get(reverse("resource", args=[Resource.objects.get(name="FILES thing").pk]))
    assert "not set (5432)" in shown.content.decode()


@pytest.fixture
def package(seeded: seed.Seeded, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    use_real_root(monkeypatch)
    topology.sync_types()
    yield
    monkeypatch.undo()
    registry.refresh()


@pytest.mark.parametrize("agent", ["Filesystem", "IPaddr2", "SAPInstance", "kamailio", "oracle", "pgsql"])
def test_the_forms_of_the_packages_wordiest_agents_are_shown(
    package: None, seeded: seed.Seeded, browser: Browser, agent: str
) -> None:
    name = f"ocf:heartbeat:{agent}"
    text = page(browser, seeded, name)
    assert f"New {name}" in text
    for prop in registry.get(name).properties:
        assert f'id="field-properties.{prop.name}"' in text
