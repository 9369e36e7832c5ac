"""The pages about groups, nodes and resources: what each role sees, and what is pushed."""

from __future__ import annotations

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from monitoring.live.topics import Change
from monitoring.models import Cluster, Group, Resource
from monitoring.models.roles import Role
from monitoring.web import groups, nodes, resources
from tests.web import seed
from tests.web.conftest import Browser

ROLES = ("viewer", "operator", "administrator")


def _pages(seeded: seed.Seeded) -> list[str]:
    group, node = seeded.groups["EVS1"].pk, seeded.nodes["NODE1"].pk
    resource = seeded.resources["EVS1 SMTP"].pk
    return [
        reverse("groups"),
        reverse("group", args=[group]),
        reverse("nodes"),
        reverse("node", args=[node]),
        reverse("resource", args=[resource]),
        reverse("resource_probes", args=[resource]) + "?span=24h",
        reverse("history"),
        reverse("history_events"),
        reverse("record", args=[seeded.records[0].pk]),
    ]


def _edits(seeded: seed.Seeded) -> list[str]:
    group, resource = seeded.groups["EVS1"].pk, seeded.resources["EVS1 SMTP"].pk
    return [
        reverse("group_create"),
        reverse("exchange_create"),
        reverse("group_settings", args=[group]),
        reverse("resource_create", args=[group]),
        reverse("resource_settings", args=[resource]),
    ]


def test_a_resources_page_tells_its_probe_times_beside_their_limits(
    seeded: seed.Seeded, browser: Browser
) -> None:
    page = (
        browser("viewer").get(reverse("resource", args=[seeded.resources["EVS1 SMTP"].pk])).content.decode()
    )
    row = re.search(r"<td>IsAlive</td>(.*?)</tr>", page)
    assert row is not None
    told = re.findall(r">([^<>]+)</td>", row[1])
    assert told == ["7.2 ms", "6 ms", "68.4 ms", "71.3 ms", "170 calls", "1 min", "50 ms", "5 min"]


@pytest.mark.parametrize("role", ROLES)
def test_every_role_may_read_every_page(seeded: seed.Seeded, browser: Browser, role: str) -> None:
    client = browser(role)
    for page in _pages(seeded):
        assert client.get(page).status_code == 200, page


def test_who_has_no_role_reads_nothing(seeded: seed.Seeded, browser: Browser) -> None:
    client = browser("stranger")
    for page in _pages(seeded):
        assert client.get(page).status_code == 403, page


@pytest.mark.parametrize(("role", "status"), [("viewer", 403), ("operator", 403), ("administrator", 200)])
def test_only_administrators_reach_the_forms(
    seeded: seed.Seeded, browser: Browser, role: str, status: int
) -> None:
    client = browser(role)
    for page in _edits(seeded):
        assert client.get(page).status_code == status, page


def test_an_edit_that_is_sent_past_the_page_by_an_operator_changes_nothing(
    seeded: seed.Seeded, browser: Browser
) -> None:
    group, resource = seeded.groups["EVS1"], seeded.resources["EVS1 SMTP"]
    client = browser("operator")
    for name, pk in (
        ("group_settings", group.pk),
        ("group_owners", group.pk),
        ("group_delete", group.pk),
        ("resource_settings", resource.pk),
        ("resource_owners", resource.pk),
        ("resource_dependencies", resource.pk),
        ("resource_delete", resource.pk),
    ):
        assert client.post(reverse(name, args=[pk]), {"name": "X"}).status_code == 403
    assert Group.objects.get(pk=group.pk).name == "EVS1"
    assert Resource.objects.filter(pk=resource.pk).exists()


def test_a_viewer_gets_no_action_in_any_page(seeded: seed.Seeded, browser: Browser) -> None:
    client = browser("viewer")
    for page in _pages(seeded):
        main = client.get(page).content.decode().split("<main", 1)[-1].split("</main>", 1)[0]
        assert "Actions on" not in main, page
        assert "/settings/" not in main, page
        assert "hx-post" not in main, page


@pytest.mark.parametrize("name", ["group", "node", "resource", "record"])
def test_what_does_not_exist_is_not_found(seeded: seed.Seeded, browser: Browser, name: str) -> None:
    assert browser("viewer").get(reverse(name, args=[999_999])).status_code == 404


def test_the_group_page_shows_its_tree_its_last_checks_and_what_it_waits_for(
    seeded: seed.Seeded, browser: Browser
) -> None:
    text = browser("viewer").get(reverse("group", args=[seeded.groups["FILES"].pk])).content.decode()
    assert "given up" in text and "1 stopped by operator" in text
    assert "The process ended with exit status 3." in text
    assert "connect to 127.0.1.9:8445 refused" in text
    assert "tried again at" in text
    assert text.count('class="guide elbow"') == 2


def test_a_group_under_way_says_what_it_does_and_who_asked(seeded: seed.Seeded, browser: Browser) -> None:
    group = seeded.groups["EVS1"]
    operation = seeded.records[0].operation
    assert operation is not None
    operation.state, operation.reason = "running", "patches <tonight>"
    operation.save()
    Group.objects.filter(pk=group.pk).update(
        transit_kind="move",
        transit_stage="stopping",
        transit_target=seeded.nodes["NODE2"],
        operation=operation,
    )
    Resource.objects.filter(name="EVS1 SMTP").update(state=130)
    text = browser("viewer").get(reverse("group", args=[group.pk])).content.decode()
    assert "Moving to NODE2" in text and "taking EVS1 SMTP offline, 0 of 12" in text
    assert "Asked for by administrator" in text
    assert "patches &lt;tonight&gt;" in text and "<tonight>" not in text


def test_no_page_carries_inline_style_or_script(seeded: seed.Seeded, browser: Browser) -> None:
    client = browser("administrator")
    for page in _pages(seeded) + _edits(seeded):
        text = client.get(page).content.decode()
        assert not re.search(r"<[^>]+\sstyle=", text), page
        assert not re.search(r"<script(?![^>]*\ssrc=)", text), page
        assert not re.search(r"<[^>]+\son[a-z]+=", text), page


def test_a_page_asks_the_same_number_of_questions_for_every_group(
    seeded: seed.Seeded, browser: Browser
) -> None:
    client = browser("viewer")
    asked = []
    for count in (0, 200):
        Group.objects.bulk_create(
            Group(name=f"G{number:03}", owner=seeded.nodes["NODE1"], description=str(count))
            for number in range(count)
        )
        with CaptureQueriesContext(connection) as queries:
            assert client.get(reverse("groups")).status_code == 200
        asked.append(len(queries))
    assert asked[0] == asked[1]


def test_groups_are_narrowed_by_text_state_and_owner(seeded: seed.Seeded, browser: Browser) -> None:
    client = browser("viewer")
    for query, shown in (
        ("text=home", {"FILES"}),
        ("state=0", {"EVS1", "EVS2"}),
        (f"node={seeded.nodes['NODE2'].pk}", {"EVS2", "FILES"}),
        ("state=99&node=abc", {"EVS1", "EVS2", "FILES"}),
    ):
        found = client.get(f"{reverse('groups')}?{query}").context["groups"]
        assert {group.name for group in found} == shown, query


def _change(
    groups: frozenset[int] = frozenset(),
    nodes: frozenset[int] = frozenset(),
    resources: frozenset[int] = frozenset(),
) -> Change:
    newest = Cluster.objects.get().last_event
    return Change(seq=newest, since=0, groups=groups, nodes=nodes, resources=resources)


def test_a_change_is_rendered_for_the_pages_that_it_is_about(seeded: seed.Seeded) -> None:
    first, second = seeded.groups["EVS1"].pk, seeded.groups["EVS2"].pk
    smtp = seeded.resources["EVS1 SMTP"].pk
    change = _change(groups=frozenset({first}), resources=frozenset({smtp}))
    assert 'id="group-head"' in groups.render_changes(first, change, Role.VIEWER)
    assert groups.render_changes(second, change, Role.VIEWER) == ""
    assert 'id="resource-head"' in resources.render_changes(smtp, change, Role.VIEWER)
    assert resources.render_changes(seeded.resources["EVS2 SMTP"].pk, change, Role.VIEWER) == ""
    assert 'id="node-head"' in nodes.render_changes(seeded.nodes["NODE1"].pk, change, Role.VIEWER)
    assert nodes.render_changes(seeded.nodes["NODE2"].pk, change, Role.VIEWER) == ""
    rows = groups.render_list_changes(None, change, Role.VIEWER)
    assert f'id="group-row-{first}"' in rows and f'id="group-row-{second}"' not in rows


def test_what_is_pushed_to_a_viewer_holds_no_action_and_to_an_operator_it_does(seeded: seed.Seeded) -> None:
    group = seeded.groups["EVS1"].pk
    change = _change(groups=frozenset({group}))
    assert "Actions on" not in groups.render_changes(group, change, Role.VIEWER)
    assert "Actions on" in groups.render_changes(group, change, Role.OPERATOR)


def test_what_is_pushed_is_what_the_page_itself_shows(seeded: seed.Seeded, browser: Browser) -> None:
    """Each part of the page that has an id comes again under that id."""
    group = seeded.groups["EVS1"].pk
    page = browser("viewer").get(reverse("group", args=[group])).content.decode()
    pushed = groups.render_changes(group, _change(groups=frozenset({group})), Role.VIEWER)
    ids = re.findall(r'<(?:section|div)[^>]* id="(group-[a-z]+)"', pushed)
    assert len(ids) == 6
    assert all(f'id="{id}"' in page for id in ids)


def test_something_that_is_gone_is_not_rendered(seeded: seed.Seeded) -> None:
    change = _change(groups=frozenset({999_999}), nodes=frozenset({999_999}))
    assert groups.render_changes(999_999, change, Role.VIEWER) == ""
    assert nodes.render_changes(999_999, change, Role.VIEWER) == ""
    assert resources.render_changes(999_999, change, Role.VIEWER) == ""
