"""Actions: they ask before anything happens, tell what will, and are closed to who may not."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from monitoring.core.states import GroupState, NodeState
from monitoring.models import Event, Group, Node, Operation
from monitoring.service import clock, intents, journal
from monitoring.service.lock import cluster_lock
from monitoring.web import verbs
from monitoring.web.operations import toast
from tests.web.conftest import Browser
from tests.web.seed import Seeded

HTMX = {"HX-Request": "true"}


def seen() -> int:
    newest = Event.objects.order_by("-seq").first()
    return newest.seq if newest else 0


def address(seeded: Seeded, what: str, verb: str) -> str:
    pk = {
        "group": seeded.groups["EVS1"].pk,
        "node": seeded.nodes["NODE1"].pk,
        "resource": seeded.resources["EVS1 SMTP"].pk,
    }[what]
    return reverse(f"{what}-{verb}", args=[pk])


EVERY_ACTION = [
    (what, verb)
    for what, known in (("group", verbs.GROUP), ("node", verbs.NODE), ("resource", verbs.RESOURCE))
    for verb in known
]


@pytest.mark.parametrize(("what", "verb"), EVERY_ACTION)
def test_a_viewer_can_neither_see_nor_run_an_action(
    browser: Browser, seeded: Seeded, what: str, verb: str
) -> None:
    place = address(seeded, what, verb)
    assert browser("viewer").get(place).status_code == 403
    assert browser("viewer").post(place, {"seen": seen()}).status_code == 403
    assert not Operation.objects.filter(requested_by="viewer").exists()


@pytest.mark.parametrize(("what", "verb"), EVERY_ACTION)
def test_to_ask_changes_nothing(browser: Browser, seeded: Seeded, what: str, verb: str) -> None:
    before = seen()
    answer = browser("administrator").get(address(seeded, what, verb))
    assert answer.status_code == 200
    assert "<form" in answer.content.decode()
    assert seen() == before
    assert not Operation.objects.filter(state="running").exists()


def test_only_an_administrator_evicts(browser: Browser, seeded: Seeded) -> None:
    place = address(seeded, "node", "evict")
    assert browser("operator").get(place).status_code == 403
    assert browser("operator").post(place, {"seen": seen(), "confirm": "NODE1"}).status_code == 403
    assert Node.objects.filter(name="NODE1").exists()


def test_the_confirmation_says_what_stops_and_for_how_long(browser: Browser, seeded: Seeded) -> None:
    html = browser("operator").get(address(seeded, "group", "move"), headers=HTMX).content.decode()
    assert "<html" not in html  # the content of the dialog, no page
    assert "EVS1 SMTP" in html
    assert "usually for about" in html
    assert "EVS1 is on NODE1 already." in html


def test_a_move_is_accepted_and_can_be_followed(browser: Browser, seeded: Seeded) -> None:
    form = {"node": seeded.nodes["NODE2"].pk, "reason": "Kernel update", "seen": seen()}
    answer = browser("operator").post(address(seeded, "group", "move"), form, headers=HTMX)
    assert answer.status_code == 200
    operation = Operation.objects.get(kind="move", requested_by="operator", reason="Kernel update")
    assert "closeDialog" in answer.headers["HX-Trigger"]
    assert f'id="operation-{operation.pk}"' in answer.content.decode()
    assert operation.state == "running"


def test_it_works_without_javascript(browser: Browser, seeded: Seeded) -> None:
    form = {"node": seeded.nodes["NODE2"].pk, "seen": seen()}
    answer = browser("operator").post(address(seeded, "group", "move"), form, follow=True)
    assert answer.redirect_chain == [(f"/groups/{seeded.groups['EVS1'].pk}/", 302)]
    assert "Move EVS1 was accepted." in answer.content.decode()


def test_what_is_refused_comes_back_beside_its_field(browser: Browser, seeded: Seeded) -> None:
    Node.objects.filter(name="NODE2").update(state=NodeState.PAUSED, paused=True)
    form = {"node": seeded.nodes["NODE2"].pk, "reason": "patches", "seen": seen()}
    answer = browser("operator").post(address(seeded, "group", "move"), form, headers=HTMX)
    assert answer.status_code == 422
    html = answer.content.decode()
    assert "NODE2 is paused" in html
    assert "patches" in html  # what was typed is still there
    assert not Operation.objects.filter(state="running").exists()


def test_an_eviction_needs_the_name_typed(browser: Browser, seeded: Seeded) -> None:
    answer = browser("administrator").post(
        address(seeded, "node", "evict"), {"seen": seen(), "confirm": "NODE2"}, headers=HTMX
    )
    assert answer.status_code == 422
    assert "Type NODE1 to confirm." in answer.content.decode()


def test_who_opened_the_dialog_before_something_happened_is_asked_again(
    browser: Browser, seeded: Seeded
) -> None:
    opened = seen()
    group = seeded.groups["EVS1"]
    with cluster_lock() as held:
        journal.add(held, "EVS1 was restarted on NODE1.", group=group, by="alice")
    form = {"seen": opened, "reason": "mine"}
    answer = browser("operator").post(address(seeded, "group", "offline"), form, headers=HTMX)
    assert answer.status_code == 409
    html = answer.content.decode()
    assert "EVS1 was restarted on NODE1." in html
    assert "(alice)" in html
    assert f'name="seen" value="{seen()}"' in html
    again = browser("operator").post(
        address(seeded, "group", "offline"), {**form, "seen": seen()}, headers=HTMX
    )
    assert again.status_code == 200
    assert not Group.objects.get(pk=group.pk).persistent_online


def test_the_later_of_two_operators_is_told_what_the_earlier_did(browser: Browser, seeded: Seeded) -> None:
    group = seeded.groups["EVS1"]
    intents.submit("move", by="alice", group=group.pk, node=seeded.nodes["NODE2"].pk)
    asked = browser("operator").get(address(seeded, "group", "offline"), headers=HTMX).content.decode()
    assert "Under way:" in asked
    assert "alice" in asked
    answer = browser("operator").post(address(seeded, "group", "offline"), {"seen": seen()}, headers=HTMX)
    assert "alice" in answer.content.decode()


@pytest.mark.parametrize(
    ("what", "verb", "back"),
    [("group", "offline", "online"), ("node", "pause", "resume"), ("resource", "offline", "online")],
)
def test_what_was_done_can_be_undone_by_its_opposite(
    browser: Browser, seeded: Seeded, what: str, verb: str, back: str
) -> None:
    browser("operator").post(address(seeded, what, verb), {"seen": seen()}, headers=HTMX)
    operation = Operation.objects.order_by("-id")[0]
    note = toast(operation)
    assert note.back.startswith(address(seeded, what, back))
    assert browser("operator").get(note.back, headers=HTMX).status_code == 200


def test_a_move_is_undone_by_the_move_back(seeded: Seeded, browser: Browser) -> None:
    move = Operation.objects.filter(kind="move", group=seeded.groups["EVS2"]).order_by("-id")[0]
    note = toast(move)  # it went from NODE1 to NODE2
    assert f"node={seeded.nodes['NODE1'].pk}" in note.back
    html = browser("operator").get(note.back, headers=HTMX).content.decode()
    assert "Undo: Move EVS2" in html


def test_an_action_that_does_not_exist_is_not_found(browser: Browser, seeded: Seeded) -> None:
    assert browser("operator").get(f"/groups/{seeded.groups['EVS1'].pk}/explode/").status_code == 404


def test_a_post_without_the_token_is_refused(seeded: Seeded) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(seeded.users["operator"])
    assert client.post(address(seeded, "group", "offline"), {"seen": seen()}).status_code == 403
    assert Group.objects.get(name="EVS1").last_state == GroupState.ONLINE


def test_the_clock_of_a_note_is_the_clusters(seeded: Seeded) -> None:
    accepted = intents.submit("pause", by="alice", node=seeded.nodes["NODE1"].pk)
    assert abs(toast(accepted.operation).at - clock.now()) < 5
