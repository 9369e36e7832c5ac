"""The page that suggests moves: what it says, what is done with it, and the same for programs."""

from __future__ import annotations

import json

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from monitoring.core.states import GroupState
from monitoring.models import Event, Group, Operation, Schedule
from monitoring.service import balance
from tests.web.conftest import Browser
from tests.web.seed import Seeded
from tests.web.test_overview import many


@pytest.fixture
def away(seeded: Seeded) -> Group:
    """EVS1 runs on NODE2, and prefers NODE1."""
    group = seeded.groups["EVS1"]
    Group.objects.filter(pk=group.pk).update(owner=seeded.nodes["NODE2"], last_state=GroupState.ONLINE)
    return group


def key(group: Group, seeded: Seeded) -> str:
    return f"{group.pk}-{seeded.nodes['NODE2'].pk}-{seeded.nodes['NODE1'].pk}"


def test_a_group_that_is_away_is_suggested_with_the_reason_and_the_time(
    browser: Browser, away: Group, seeded: Seeded
) -> None:
    html = browser("viewer").get("/balance/").content.decode()
    assert "EVS1 is away from its preferred owner NODE1, which is up for 1 d." in html
    assert "down for about" in html
    assert 'type="checkbox"' not in html.split('id="moves-title"')[1]
    assert f'value="{key(away, seeded)}"' in browser("operator").get("/balance/").content.decode()


def test_what_is_chosen_is_moved_as_by_an_operators_click(
    browser: Browser, away: Group, seeded: Seeded
) -> None:
    before = Operation.objects.count()
    answer = browser("operator").post("/balance/", {"moves": [key(away, seeded)], "do": "now"}, follow=True)
    assert "1 move was asked for." in answer.content.decode()
    operation = Operation.objects.latest("pk")
    assert Operation.objects.count() == before + 1
    assert (str(operation), operation.requested_by) == ("Move EVS1", "operator")
    assert operation.reason.startswith("balance: EVS1 is away from its preferred owner NODE1")


def test_what_is_not_suggested_any_more_is_not_done(browser: Browser, away: Group, seeded: Seeded) -> None:
    before = Operation.objects.count()
    Group.objects.filter(pk=away.pk).update(owner=seeded.nodes["NODE1"])
    answer = browser("operator").post("/balance/", {"moves": [key(away, seeded)], "do": "now"})
    assert answer.status_code == 409
    assert "The cluster has changed since" in answer.content.decode()
    assert Operation.objects.count() == before
    assert browser("viewer").post("/balance/", {"moves": ["1-1-1"]}).status_code == 403


def test_what_is_chosen_may_be_scheduled_instead(browser: Browser, away: Group, seeded: Seeded) -> None:
    client = browser("operator")
    sent = {"moves": [key(away, seeded)], "do": "later", "at": "2100-01-31T02:00"}
    assert client.post("/balance/", sent).status_code == 302
    row = Schedule.objects.latest("pk")
    assert (row.kind, row.group_name, row.node_name, row.first) == (
        "move",
        "EVS1",
        "NODE1",
        "2100-01-31T02:00",
    )
    wrong = client.post("/balance/", {**sent, "at": "2000-01-31T02:00"})
    assert (wrong.status_code, "This time is over." in wrong.content.decode()) == (422, True)


def test_looking_changes_nothing_and_costs_the_same_for_a_thousand_groups(
    browser: Browser, away: Group
) -> None:
    client = browser("viewer")
    before = Event.objects.count()
    with CaptureQueriesContext(connection) as few:
        client.get("/balance/")
    many(1000)
    with CaptureQueriesContext(connection) as lots:
        assert client.get("/balance/").status_code == 200
    assert len(few) == len(lots)
    assert Event.objects.count() == before


def test_programs_get_the_same_and_may_have_it_done(browser: Browser, away: Group) -> None:
    client = browser("operator")
    found = client.get("/api/v1/balance").json()
    (move,) = found["moves"]
    assert (move["group"], move["source"], move["target"], move["kind"]) == ("EVS1", "NODE2", "NODE1", "home")

    def apply(**body: object) -> int:
        return client.post("/api/v1/balance/apply", json.dumps(body), "application/json").status_code

    assert apply(groups=["EVS2"]) == 409
    assert apply(groups=["EVS9"]) == 400
    assert apply(groups=["EVS1"]) == 202
    assert str(Operation.objects.latest("pk")) == "Move EVS1"


def test_a_group_that_has_moved_meanwhile_does_not_keep_the_others_from_it(
    away: Group, seeded: Seeded
) -> None:
    steps = balance.suggestion().steps
    Group.objects.filter(pk=away.pk).update(owner=seeded.nodes["NODE1"])
    done = balance.do(steps, by="operator")
    assert done.asked == ()
    assert done.refused == (("EVS1", "EVS1 is not on NODE2 any more."),)
