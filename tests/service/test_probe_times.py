"""Probe times, from a report to the resource, the charts, the API and the pages."""

from __future__ import annotations

import itertools

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from monitoring.core.messages import ProbeSample, Report
from monitoring.core.states import NodeState, ResourceState
from monitoring.models import Cluster, Group, Node, ProbeTime, Resource, ResourceType
from monitoring.service import clock, reports
from monitoring.service.queries.resources import resource_detail

LIFE = 5
_numbers = itertools.count(1)


@pytest.fixture
def group(db: None) -> Group:
    Cluster.objects.create(pk=1)
    node = Node.objects.create(name="NODE1", state=NodeState.UP, incarnation=LIFE)
    return Group.objects.create(name="G", owner=node, epoch=2)


def add(group: Group, *names: str) -> list[Resource]:
    kind, _ = ResourceType.objects.get_or_create(name="T", defaults={"dll_name": "t"})
    return [
        Resource.objects.create(group=group, type=kind, name=name, state=ResourceState.ONLINE)
        for name in names
    ]


def take(group: Group, *samples: ProbeSample) -> None:
    assert group.owner_id is not None
    reports.take(group.owner_id, Report(LIFE, next(_numbers), (), samples))


def sample(
    resource: Resource, entry_point: str = "IsAlive", last_ms: float = 7.0, window: int = 150
) -> ProbeSample:
    return ProbeSample(
        resource.pk, entry_point, 3, 0, 5.0, last_ms, True,  # type: ignore[arg-type]
        window=window, last_ms=last_ms, p50_ms=4.0, p99_ms=30.0, slowest_ms=31.0,
    )  # fmt: skip


def test_what_was_told_last_of_each_entry_point_is_shown_with_its_limits(group: Group) -> None:
    (resource,) = add(group, "SMTP")
    take(group, sample(resource, last_ms=7.0), sample(resource, "LooksAlive", 1.0))
    take(group, sample(resource, last_ms=8.0))
    detail = resource_detail(resource.pk, clock.now())
    assert detail is not None
    looks, thorough = detail.probes
    assert (looks.entry_point, looks.last_ms, looks.recommended_ms) == ("LooksAlive", 1.0, 300.0)
    assert (thorough.entry_point, thorough.last_ms, thorough.calls) == ("IsAlive", 8.0, 150)
    assert (thorough.p50_ms, thorough.p99_ms, thorough.slowest_ms) == (4.0, 30.0, 31.0)
    assert (thorough.interval_ms, thorough.limit_ms) == (60_000, 300_000)
    assert ProbeTime.objects.count() == 3


def test_an_agent_that_does_not_tell_them_yet_is_understood(group: Group) -> None:
    (resource,) = add(group, "SMTP")
    take(group, ProbeSample(resource.pk, "IsAlive", 3, 0, 5.0, 6.0, True))
    detail = resource_detail(resource.pk, clock.now())
    assert detail is not None
    assert detail.probes == ()
    assert detail.row.checked_result is True


def test_looksalive_changes_nothing_of_the_last_isalive(group: Group) -> None:
    (resource,) = add(group, "SMTP")
    take(group, sample(resource))
    checked = Resource.objects.get().checked_at
    take(group, ProbeSample(resource.pk, "LooksAlive", 1, 1, 1.0, 1.0, False, "no"))
    row = Resource.objects.get()
    assert (row.checked_at, row.checked_result, row.checked_text) == (checked, True, "")


def test_times_of_a_resource_on_another_node_are_not_taken(group: Group) -> None:
    other = Node.objects.create(name="NODE2", state=NodeState.UP, incarnation=LIFE)
    (resource,) = add(Group.objects.create(name="H", owner=other, epoch=1), "POP3")
    take(group, sample(resource))
    assert Resource.objects.get().newest_times == {}


def test_a_hundred_samples_cost_no_more_statements_than_one(group: Group) -> None:
    rows = add(group, *(f"R{n}" for n in range(100)))
    with CaptureQueriesContext(connection) as one:
        take(group, sample(rows[0]))
    with CaptureQueriesContext(connection) as many:
        take(group, *(sample(row) for row in rows))
    assert len(many) <= len(one)
