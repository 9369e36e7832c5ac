"""Plugins on the page where a type is chosen, in the REST API and on the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from monitoring.core.messages import Report
from monitoring.models import Event, Node, NodeTypes, Resource, ResourceType
from monitoring.service import reports, topology
from tests.plugins import Site, site
from tests.web import seed
from tests.web.conftest import Browser
from tests.web.test_forms import RESOURCE

BROKEN = "bad (bad 1.2) could not be loaded: ModuleNotFoundError: No module named &#x27;no_such_module&#x27;"


@pytest.fixture
def plugins(seeded: seed.Seeded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    topology.sync_types()
    with site(tmp_path / "site", monkeypatch) as made:
        yield made


def choose(browser: Browser, seeded: seed.Seeded, type_name: str = "") -> str:
    address = reverse("resource_create", args=[seeded.groups["FILES"].pk])
    answer = browser("administrator").get(address, {"type": type_name} if type_name else {})
    assert answer.status_code == 200
    return answer.content.decode()


def test_a_plugin_that_was_installed_meanwhile_is_offered(
    plugins: Site, seeded: seed.Seeded, browser: Browser
) -> None:
    assert "Queue Server" not in choose(browser, seeded)
    plugins.install("queue_of_the_web")
    assert "?type=Queue%20Server" in choose(browser, seeded)
    assert "Keeps what it is given in order." in choose(browser, seeded, "Queue Server")
    assert Event.objects.filter(text__contains="added the resource type Queue Server").count() == 1

    address = reverse("resource_create", args=[seeded.groups["FILES"].pk]) + "?type=Queue%20Server"
    done = browser("administrator").post(address, RESOURCE | {"name": "Queue", "properties.Port": "5672"})
    assert done.status_code == 302
    assert Resource.objects.get(name="Queue").type.name == "Queue Server"


def test_nodes_that_lack_a_type_are_named(plugins: Site, seeded: seed.Seeded, browser: Browser) -> None:
    plugins.install("queue_of_a_node")
    assert "Not on" not in choose(browser, seeded), "no node has said what it has"
    names = list(Node.objects.order_by("pk").values_list("name", flat=True))[:2]
    with_it, without = (Node.objects.get(name=name) for name in names)
    NodeTypes.objects.create(node=with_it, names=[*_all_names(), "Queue Server"])
    NodeTypes.objects.create(node=without, names=_all_names())
    page = choose(browser, seeded)
    assert f"Not on {without.name} yet." in page
    assert page.count("Not on") == 1
    assert f"{without.name} cannot bring it online yet" in choose(browser, seeded, "Queue Server")


def _all_names() -> list[str]:
    return list(ResourceType.objects.exclude(name="Queue Server").values_list("name", flat=True))


def test_a_broken_plugin_is_shown_where_types_are_chosen_and_breaks_no_other(
    plugins: Site, seeded: seed.Seeded, browser: Browser
) -> None:
    plugins.install("bad", "import no_such_module")
    node = Node.objects.order_by("pk")[0]
    told = "bad (bad 1.2) could not be loaded: ModuleNotFoundError: No module named 'no_such_module'"
    NodeTypes.objects.create(node=node, names=_all_names(), broken=[told, "worse (worse 2) <b>is</b>"])
    page = choose(browser, seeded)
    assert f"The plugin {BROKEN}" in page
    assert page.count(BROKEN) == 1
    assert f"On this dashboard, {node.name}. Its types are not offered" in page
    assert "The plugin worse (worse 2) &lt;b&gt;is&lt;/b&gt;" in page
    assert "?type=IP%20Address" in page


def test_an_icon_that_is_not_there_is_a_box(plugins: Site, seeded: seed.Seeded, browser: Browser) -> None:
    plugins.install("queue_without_icon")
    page = choose(browser, seeded)
    assert "no-such-icon" not in page


def test_the_api_tells_types_to_all_and_broken_plugins_to_administrators(
    plugins: Site, seeded: seed.Seeded, browser: Browser
) -> None:
    plugins.install("queue_of_the_api")
    plugins.install("bad", "import no_such_module")
    types = json.loads(browser("viewer").get("/api/v1/types").content)
    assert types["broken"] == []
    (queue,) = [one for one in types["types"] if one["name"] == "Queue Server"]
    assert (queue["family"], queue["missing_on"], queue["unusable"]) == ("Generic", [], "")
    detail = json.loads(browser("viewer").get("/api/v1/types/Queue Server").content)
    port, password = detail["properties"]
    assert (port["name"], port["kind"], port["default"], port["help"]) == (
        "Port",
        "port",
        5672,
        "where clients connect",
    )
    assert password["secret"]
    (broken,) = json.loads(browser("administrator").get("/api/v1/types").content)["broken"]
    assert broken["where"] == ["this dashboard"]
    assert broken["text"].startswith("bad (bad 1.2) could not be loaded: ModuleNotFoundError")
    assert Client().get("/api/v1/types").status_code == 401


def test_the_command_line_lists_types_and_broken_plugins(plugins: Site, seeded: seed.Seeded) -> None:
    plugins.install("bad", "import no_such_module")
    out = StringIO()
    call_command("cluster", "types", stdout=out)
    lines = out.getvalue().splitlines()
    assert any(line.split()[:2] == ["IP", "Address"] for line in lines)
    assert lines[-1].startswith("The plugin bad (bad 1.2) could not be loaded: ModuleNotFoundError")
    assert lines[-1].endswith("(on this dashboard)")


def test_a_full_report_says_which_types_a_node_has(seeded: seed.Seeded) -> None:
    node = Node.objects.order_by("pk")[0]

    def say(**said: object) -> None:
        reports.take(node.pk, Report(node.incarnation, node.reports + 1, full=True, **said))  # type: ignore[arg-type]

    say(types=("A", "B"), broken=("C could not be loaded",))
    known = NodeTypes.objects.get(node=node)
    assert (known.names, known.broken) == (["A", "B"], ["C could not be loaded"])
    say(types=("A",))
    known.refresh_from_db()
    assert (known.names, known.broken) == (["A"], [])
    say()  # an agent of an earlier version says nothing of types
    known.refresh_from_db()
    assert known.names == ["A"]
