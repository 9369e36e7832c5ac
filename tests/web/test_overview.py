"""The overview: what stands where, who sees what, and what it costs."""

from __future__ import annotations

import re
import time

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from monitoring.core.states import GroupState, NodeState, ResourceState
from monitoring.live.topics import Change
from monitoring.models import (
    Dependency,
    Group,
    Node,
    PossibleOwner,
    PreferredOwner,
    Resource,
    ResourceType,
)
from monitoring.models.roles import Role
from monitoring.service import clock
from monitoring.service.queries.overview import overview
from monitoring.service.whatif import weak_points
from monitoring.web.overview import render_changes
from tests.web.conftest import Browser
from tests.web.seed import Seeded


def card(html: str, group: Group) -> str:
    found = re.search(rf'<article [^>]*id="group-{group.pk}".*?</article>', html, re.S)
    assert found, f"no card of {group}"
    return found[0]


def test_strangers_are_sent_to_the_login(client: Client, seeded: Seeded) -> None:
    answer = client.get("/")
    assert answer.status_code == 302
    assert answer.headers["Location"] == "/login/?next=/"


def test_a_user_without_a_role_sees_nothing(browser: Browser) -> None:
    answer = browser("stranger").get("/")
    assert answer.status_code == 403
    assert "no role yet" in answer.content.decode()
    assert "EVS1" not in answer.content.decode()


def test_a_user_without_a_role_can_sign_out_and_change_the_password(browser: Browser) -> None:
    assert browser("stranger").get("/password/").status_code == 200
    assert browser("stranger").post("/logout/").status_code == 302


def test_groups_stand_in_the_column_of_their_node(browser: Browser, seeded: Seeded) -> None:
    html = browser("viewer").get("/").content.decode()
    for name, node in (("EVS1", "NODE1"), ("EVS2", "NODE2")):
        assert f'data-parent="cards-{seeded.nodes[node].pk}"' in card(html, seeded.groups[name])


def test_failed_groups_stand_before_all_others(browser: Browser, seeded: Seeded) -> None:
    html = browser("viewer").get("/").content.decode()
    files = card(html, seeded.groups["FILES"])
    assert 'data-parent="cards-attention"' in files
    assert "no failover is left" in files
    assert html.index('id="cards-attention"') < html.index('id="columns"')
    assert "1 of 3 groups failed: FILES" in html


def test_a_group_whose_node_is_down_needs_attention(seeded: Seeded) -> None:
    seeded.nodes["NODE1"].state = NodeState.DOWN
    seeded.nodes["NODE1"].save()
    places = {c.name: c.node for c in overview().cards}
    assert places["EVS1"] is None
    assert places["EVS2"] == seeded.nodes["NODE2"].pk


def test_a_failed_resource_that_is_about_to_restart_leaves_its_group_where_it_is(seeded: Seeded) -> None:
    Group.objects.filter(name="FILES").update(given_up=False)
    Resource.objects.filter(name="FILES Share").update(restart_at=clock.now() + 0.5, retry_at=None)
    (files,) = overview([seeded.groups["FILES"].pk]).cards
    assert files.node == seeded.nodes["NODE2"].pk
    assert "about to restart FILES Share" in str(files.doing)


def test_a_card_says_what_its_group_is_doing(browser: Browser, seeded: Seeded) -> None:
    group = seeded.groups["EVS1"]
    group.transit_kind, group.transit_stage, group.transit_target = "move", "stopping", seeded.nodes["NODE2"]
    group.last_state = GroupState.PENDING
    group.save()
    names = ["EVS1 Search", "EVS1 POP3", "EVS1 IMAP4"]
    Resource.objects.filter(name__in=names).update(state=ResourceState.OFFLINE)
    Resource.objects.filter(name="EVS1 SMTP").update(state=ResourceState.OFFLINE_PENDING)
    html = card(browser("viewer").get("/").content.decode(), group)
    assert "Moving to NODE2: taking EVS1 SMTP offline, 3 of 12" in html


def test_a_card_says_that_its_group_is_away_from_home(seeded: Seeded, browser: Browser) -> None:
    seeded.groups["EVS1"].owner = seeded.nodes["NODE2"]
    seeded.groups["EVS1"].save()
    html = browser("viewer").get("/").content.decode()
    assert "prefers NODE1" in card(html, seeded.groups["EVS1"])
    assert "NODE1 is free to take some" in html


def test_resources_stand_in_the_order_in_which_they_come_online(seeded: Seeded) -> None:
    (evs1,) = overview([seeded.groups["EVS1"].pk]).cards
    names = [spot.name.removeprefix("EVS1 ") for spot in evs1.spots]
    assert names.index("IP Address") < names.index("Network Name") < names.index("System Attendant")
    assert names.index("Information Store") < names.index("SMTP")


@pytest.mark.parametrize(
    ("role", "seen", "hidden"),
    [
        ("viewer", [], ["move", "offline", "restart", "drain", "evict"]),
        ("operator", ["move", "offline", "restart", "drain"], ["evict"]),
        ("administrator", ["move", "offline", "restart", "drain", "evict"], []),
    ],
)
def test_each_role_is_offered_what_it_may_do(
    browser: Browser, role: str, seen: list[str], hidden: list[str]
) -> None:
    html = browser(role).get("/").content.decode()
    assert [verb for verb in seen if f"/{verb}/" not in html] == []
    assert [verb for verb in hidden if f"/{verb}/" in html] == []


def test_the_page_and_what_is_pushed_are_the_same(browser: Browser, seeded: Seeded) -> None:
    group = seeded.groups["EVS1"]
    page = card(browser("operator").get("/").content.decode(), group)
    pushed = card(render_changes("", Change(1, 0, frozenset({group.pk})), Role.OPERATOR), group)
    ticking = re.compile(r">\d+ (?:s|min|h|d)<")
    assert ticking.sub("", page) == ticking.sub("", pushed)


def test_the_page_carries_no_style_and_no_script_of_its_own(browser: Browser) -> None:
    answer = browser("administrator").get("/")
    html = answer.content.decode()
    assert not re.search(r"\sstyle=|<script(?![^>]*\ssrc=)|\son[a-z]+=", html)
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "unsafe" not in answer.headers["Content-Security-Policy"]


def many(count: int) -> None:
    """`count` groups of two resources on the nodes that there are."""
    kind, _ = ResourceType.objects.get_or_create(name="Generic Application")
    nodes = list(Node.objects.all())
    groups = Group.objects.bulk_create(
        Group(
            name=f"G{n:04}", owner=nodes[n % len(nodes)], persistent_online=True, last_state=GroupState.ONLINE
        )
        for n in range(count)
    )
    PreferredOwner.objects.bulk_create(PreferredOwner(group=g, node=nodes[0], position=0) for g in groups)
    Resource.objects.bulk_create(
        Resource(group=group, type=kind, name=f"{group} {n}", state=ResourceState.ONLINE)
        for group in groups
        for n in range(2)
    )


def test_a_thousand_groups_cost_as_many_queries_as_ten(browser: Browser, seeded: Seeded) -> None:
    client = browser("operator")
    with CaptureQueriesContext(
        connection,
    ) as few:
        client.get("/")
    many(1000)
    with CaptureQueriesContext(connection) as lots:
        html = client.get("/").content.decode()
    assert len(lots) == len(few) <= 22
    assert len(html) < 600_000


def test_a_red_line_names_the_node_whose_loss_would_leave_a_group_down(
    browser: Browser, seeded: Seeded
) -> None:
    assert '<div class="weak" id="weak-points"></div>' in browser("viewer").get("/").content.decode()
    disk = seeded.resources["EVS1 Disk"]
    owner = PossibleOwner.objects.create(resource=disk, node=seeded.nodes["NODE1"])
    line = "If NODE1 fails, EVS1 stays down: no other node may run it."
    assert line in browser("viewer").get("/").content.decode()
    change = Change(9, 8, groups=frozenset({seeded.groups["EVS1"].pk}))
    assert line in render_changes("", change, Role.VIEWER)
    owner.delete()
    assert line not in render_changes("", change, Role.VIEWER)


def test_the_red_line_for_a_thousand_groups_is_found_within_a_fraction_of_a_second(seeded: Seeded) -> None:
    many(1000)
    Node.objects.filter(name="NODE2").update(state=NodeState.DOWN)
    began = time.process_time()
    (line,) = weak_points()
    assert time.process_time() - began < 0.3
    assert weak_points() == (line,)
    assert line == "If NODE1 fails, all its 501 groups stay down: NODE2 is down."


def test_a_cluster_without_nodes_says_so(browser: Browser, seeded: Seeded) -> None:
    Dependency.objects.all().delete()
    Resource.objects.all().delete()
    Group.objects.all().delete()
    html = browser("viewer").get("/").content.decode()
    assert "2 nodes, no groups yet" in html
    assert "is free to take some" in html
    Node.objects.all().delete()
    assert "No nodes yet" in browser("viewer").get("/").content.decode()


def test_a_page_that_does_not_exist_says_so_in_the_same_dress(browser: Browser) -> None:
    answer = browser("viewer").get("/groups/99999/")
    assert answer.status_code == 404
    assert "There is nothing here" in answer.content.decode()
