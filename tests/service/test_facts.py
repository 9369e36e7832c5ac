"""What resources show about themselves, from a report to the row, the history and the pages."""

from __future__ import annotations

import itertools

import pytest

from monitoring.core.messages import Fact, GroupReport, Report, ResourceReport
from monitoring.core.states import GroupState, NodeState, ResourceState
from monitoring.models import Cluster, Event, Group, Node, Resource, ResourceType
from monitoring.service import reports
from monitoring.service.queries.overview import overview

LIFE = 5
LATE = Fact("Certificate", "expires in 9 days", 1)
_numbers = itertools.count(1)


@pytest.fixture
def resource(db: None) -> Resource:
    Cluster.objects.create(pk=1)
    node = Node.objects.create(name="NODE1", state=NodeState.UP, incarnation=LIFE)
    kind = ResourceType.objects.create(name="T", dll_name="t")
    group = Group.objects.create(
        name="G",
        owner=node,
        epoch=2,
        serial=4,
        applied_serial=4,
        persistent_online=True,
        last_state=GroupState.ONLINE,
    )
    row = Resource.objects.create(
        group=group, type=kind, name="SMTP", state=ResourceState.ONLINE, running=True
    )
    group.wanted = [[row.pk, True, row.attempt]]
    group.save()
    return row


def told(
    resource: Resource, *facts: Fact, state: ResourceState = ResourceState.ONLINE, known: bool = True
) -> list[str]:
    """The lines that a report with these facts adds to the history."""
    number = next(_numbers)
    group = resource.group
    item = ResourceReport(
        resource.pk, state, number, 1, state is ResourceState.ONLINE, facts=facts if known else None
    )
    before = Event.objects.count()
    assert group.owner_id is not None
    reports.take(group.owner_id, Report(LIFE, number, (GroupReport(group.pk, 2, 4, (item,)),)))
    resource.refresh_from_db()
    return [event.text for event in Event.objects.order_by("seq")[before:] if "warn" in event.text.lower()]


def test_a_fact_is_kept_with_its_resource_and_is_no_history(resource: Resource) -> None:
    assert told(resource, Fact("Space", "1 of 2 GiB used", 0, 0.5)) == []
    assert resource.facts == [{"name": "Space", "text": "1 of 2 GiB used", "level": 0, "share": 0.5}]
    assert resource.warning == ""


def test_a_warning_is_told_once_when_it_begins_and_once_when_it_ends(resource: Resource) -> None:
    assert told(resource, LATE) == ["Warning of SMTP: Certificate expires in 9 days"]
    assert told(resource, Fact("Certificate", "expires in 8 days", 1)) == []
    assert resource.warning == "Certificate expires in 8 days"
    assert told(resource, Fact("Certificate", "is valid until 2031-01-01")) == [
        "SMTP warns no more: Certificate is valid until 2031-01-01"
    ]
    assert resource.warning == ""


def test_a_warning_that_was_taken_away_has_ended(resource: Resource) -> None:
    told(resource, LATE)
    assert told(resource) == ["SMTP warns no more: Certificate"]


def test_what_goes_down_shows_nothing_and_that_is_no_news_of_its_warning(resource: Resource) -> None:
    told(resource, LATE)
    assert told(resource, state=ResourceState.OFFLINE) == []
    assert (resource.facts, resource.warning) == ([], "")


def test_a_node_that_does_not_know_the_facts_leaves_them_as_they_are(resource: Resource) -> None:
    told(resource, LATE)
    assert told(resource, known=False) == []
    assert resource.warning == "Certificate expires in 9 days"


def test_the_overview_says_what_warns(resource: Resource) -> None:
    assert overview().health.tone == "ok"
    told(resource, LATE)
    seen = overview()
    assert (seen.health.tone, seen.health.detail) == ("warn", "SMTP warns")
    assert seen.cards[0].warnings == ("SMTP: Certificate expires in 9 days",)
