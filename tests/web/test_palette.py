"""The command palette: how what is typed is read, what comes first, and that nothing is done by it."""

from __future__ import annotations

import time

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from monitoring.core.states import GroupState, NodeState, ResourceState
from monitoring.models import Group, Operation, Resource
from monitoring.models.roles import Role
from monitoring.templatetags.clusterweb import sprite
from monitoring.web.palette import match
from monitoring.web.palette.grammar import DRAINED, FAILS, HISTORY, TABLES, Reading, read
from monitoring.web.palette.places import PLACES
from monitoring.web.palette.suggest import ICONS, SENTENCES, Suggestion, suggestions
from monitoring.web.palette.things import Index, Thing, read_index
from tests.web.conftest import Browser
from tests.web.seed import Seeded
from tests.web.test_queries import _fill as fill

HTMX = {"HX-Request": "true"}


def index() -> Index:
    """EVS1, EVS2 and EVS10 on NODE1, of which EVS2 failed; NODE2 is paused, NODE3 down."""
    groups = tuple(
        Thing("group", id, name, name.lower(), state, True, at=1)
        for id, name, state in (
            (1, "EVS10", GroupState.ONLINE),
            (2, "EVS1", GroupState.ONLINE),
            (3, "EVS2", GroupState.FAILED),
        )
    )
    nodes = tuple(
        Thing("node", id, f"NODE{id}", f"node{id}", state, id != 2)
        for id, state in ((1, NodeState.UP), (2, NodeState.PAUSED), (3, NodeState.DOWN), (4, NodeState.UP))
    )
    resources = tuple(
        Thing("resource", id, name, name.lower(), ResourceState.ONLINE, True, of=2)
        for id, name in ((1, "EVS1 SMTP"), (2, "EVS1 Network Name"))
    )
    return Index(groups, nodes, resources, {g.id: g.name for g in groups}, {n.id: n.name for n in nodes})


def titles(typed: str, role: Role = Role.ADMINISTRATOR, **more: object) -> list[str]:
    return [one.title for one in found(typed, role, **more)]


def found(typed: str, role: Role = Role.ADMINISTRATOR, **more: object) -> list[Suggestion]:
    return suggestions(typed, index(), lambda least: role.rank >= least.rank, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("typed", "reading"),
    [
        ("move EVS1 to NODE2", Reading("move", "evs1", "node2")),
        ("  Move  evs1   NODE2 ", Reading("move", "evs1", "node2")),
        ("EVS1 move to NODE2", Reading("move", "evs1", "node2")),
        ("offline EVS1", Reading("offline", "evs1")),
        ("EVS1 offline", Reading("offline", "evs1")),
        ("take EVS1 SMTP offline", Reading("offline", "evs1 smtp")),
        ("take offline EVS1", Reading("offline", "evs1")),
        ("stop EVS1", Reading("offline", "evs1")),
        ("restart resource EVS1 SMTP", Reading("restart", "evs1 smtp", kind="resource")),
        ("end maintenance of EVS1", Reading("end-maintenance", "evs1")),
        ("what if NODE1 fails", Reading(FAILS, "node1")),
        ("what if node1 goes down", Reading(FAILS, "node1")),
        ("what if drain node2", Reading(DRAINED, "node2")),
        ("what if node2 is drained", Reading(DRAINED, "node2")),
        ("history evs1", Reading(HISTORY, "evs1")),
        ("mo", Reading("move", begun=True)),
        ("smtp", Reading("", "smtp")),
    ],
)
def test_what_is_typed_is_read_as_verb_object_and_node(typed: str, reading: Reading) -> None:
    assert reading in read(typed)


@pytest.mark.parametrize(
    ("typed", "first"),
    [
        ("move EVS1 to NODE4", "Move EVS1 to NODE4"),
        ("move evs1 node4", "Move EVS1 to NODE4"),
        ("offline evs1", "Take EVS1 offline"),
        ("drain node1", "Drain NODE1"),
        ("restart evs1 smtp", "Restart EVS1 SMTP"),
        ("smtp restart", "Restart EVS1 SMTP"),
        ("go history", "History"),
        ("history evs1", "History of EVS1"),
        ("what if node1 fails", "What if NODE1 fails?"),
        ("what if node1 is drained", "What if NODE1 is drained?"),
        ("evs1", "EVS1"),
        ("netname", "EVS1 Network Name"),
        ("start maintenance", "Start maintenance of the whole cluster"),
        ("maintenance evs1", "Start maintenance of EVS1"),
        ("evict node3", "Evict NODE3"),
        ("timeline", "Timeline"),
        ("evss1", "EVS1"),
        ("edit evs1", "Edit EVS1"),
    ],
)
def test_what_was_meant_comes_first(typed: str, first: str) -> None:
    assert titles(typed)[0] == first


def test_names_come_in_the_order_of_their_numbers_and_what_failed_before_its_likes() -> None:
    assert [title for title in titles("evs") if title.startswith("EVS")][:3] == ["EVS1", "EVS2", "EVS10"]
    assert titles("restart")[:3] == ["Restart EVS2", "Restart EVS1", "Restart EVS10"]


def test_a_name_that_is_sure_brings_what_can_be_done_with_it() -> None:
    assert {"EVS1", "Move EVS1…", "Take EVS1 offline", "Restart EVS1"} <= set(titles("EVS1"))
    assert "Bring EVS1 online" not in titles("EVS1")
    assert {"Resume NODE2", "What if NODE2 fails?"} <= set(titles("NODE2"))


def test_what_makes_no_sense_now_says_why_and_comes_last() -> None:
    refused = next(one for one in found("move evs1 to node") if one.title == "Move EVS1 to NODE1")
    assert refused.hindered and refused.detail == "EVS1 is on NODE1 already"
    assert titles("move evs1 to node")[0] == "Move EVS1 to NODE4"
    assert next(one.detail for one in found("online evs1") if one.hindered) == "EVS1 is online already"


def test_a_viewer_is_offered_no_action_and_an_operator_none_of_an_administrators() -> None:
    for typed in ("move evs1 to node4", "offline evs1", "evs1", "drain", "maintenance", "evict node3", "new"):
        assert not [one for one in found(typed, Role.VIEWER) if one.asks], typed
    assert titles("drain node1", Role.OPERATOR)[0] == "Drain NODE1"
    assert "Evict NODE3" not in titles("evict node3", Role.OPERATOR)
    assert not {"Access", "Cluster settings"} & set(titles("", Role.OPERATOR))


def test_before_anything_is_typed_stands_what_was_chosen_last_then_what_is_in_trouble() -> None:
    shown = found("", recent=["resource:1", "group:99", "page:timeline"])
    assert [(one.section, one.title) for one in shown[:5]] == [
        ("Recent", "EVS1 SMTP"),
        ("Recent", "Timeline"),
        ("Needs attention", "EVS2"),
        ("Needs attention", "NODE2"),
        ("Needs attention", "NODE3"),
    ]
    assert {one.section for one in shown[5:]} == {"Go to"}


def test_each_action_has_a_sentence_and_each_line_an_icon_of_the_sprite() -> None:
    assert {(what, verb) for what, table in TABLES.items() for verb in table} == set(SENTENCES)
    assert {place.icon for place in PLACES} | set(ICONS.values()) <= sprite()
    assert all(reverse(place.name) for place in PLACES)


def test_what_was_typed_is_marked_in_the_title() -> None:
    assert match.pieces("evs smtp", "EVS1 SMTP") == (("EVS", True), ("1 ", False), ("SMTP", True))
    assert match.pieces("x", "EVS1") == (("EVS1", False),)


def test_the_page_works_without_a_script_and_leads_to_the_confirmation(
    browser: Browser, seeded: Seeded
) -> None:
    client = browser("operator")
    html = client.get("/find/", {"q": "move EVS1 to NODE2"}).content.decode()
    group, node = seeded.groups["EVS1"], seeded.nodes["NODE2"]
    place = f"{reverse('group-move', args=[group.pk])}?node={node.pk}"
    assert f'href="{place}"' in html and 'role="option"' not in html
    dialog = client.get(place, headers=HTMX).content.decode()
    assert f'name="node" value="{node.pk}" checked' in dialog
    assert not Operation.objects.filter(state="running").exists()


def test_the_list_of_the_dialog_is_made_of_options(browser: Browser, seeded: Seeded) -> None:
    part = browser("viewer").get("/find/", {"q": "evs1 smtp"}, headers=HTMX).content.decode()
    assert "<html" not in part and 'role="option" id="option-1"' in part
    assert f'data-key="resource:{seeded.resources["EVS1 SMTP"].pk}"' in part
    nothing = browser("viewer").get("/find/", {"q": "<b>zzqqy"}, headers=HTMX).content.decode()
    assert "Nothing is called" in nothing and "<b>zz" not in nothing


@pytest.mark.django_db
def test_a_thousand_groups_are_searched_with_three_queries_in_less_than_a_tenth_of_a_second() -> None:
    asked = []
    for count in (10, 1000):
        fill(count)
        asked.append(_asked("move g00"))
    group = Group.objects.get(name="G0999")
    kind = Resource.objects.all()[0].type
    Resource.objects.bulk_create(Resource(group=group, type=kind, name=f"R{n:04}") for n in range(2000))
    assert asked == [3, 3] and Resource.objects.count() == 4000
    for typed in ("move g0123 to node1", "g99", "r1999", "zzzz", "g 5 b"):
        best = min(_seconds(typed) for _ in range(3))
        assert best < 0.1, f"{typed}: {best:.3f} s"


def _asked(typed: str) -> int:
    with CaptureQueriesContext(connection) as queries:
        assert suggestions(typed, read_index(), lambda role: True)
    return len(queries)


def _seconds(typed: str) -> float:
    began = time.process_time()
    suggestions(typed, read_index(), lambda role: True)
    return time.process_time() - began
