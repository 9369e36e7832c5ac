"""The read models: what they say, and that they ask the database the same however much there is."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from monitoring.core.states import GroupState, ResourceState
from monitoring.models import FailoverRecord, Group, Node, PreferredOwner, Resource, ResourceType
from monitoring.service import clock
from monitoring.service.queries import groups, history, nodes, resources
from monitoring.service.queries.common import budget
from monitoring.service.queries.progress import Journey, Step, doing
from tests.web import seed

ON, OFF, UP, DOWN = (
    ResourceState.ONLINE,
    ResourceState.OFFLINE,
    ResourceState.ONLINE_PENDING,
    ResourceState.OFFLINE_PENDING,
)


def _fill(count: int) -> None:
    """`count` groups of two resources each, all on their way, with an owner and a past."""
    owner = Node.objects.get_or_create(name="NODE1")[0]
    kind = ResourceType.objects.get_or_create(name="Generic Application", defaults={"dll_name": "x"})[0]
    have = Group.objects.count()
    made = Group.objects.bulk_create(
        Group(name=f"G{number:04}", owner=owner, transit_kind="move", transit_stage="stopping")
        for number in range(have, count)
    )
    PreferredOwner.objects.bulk_create(PreferredOwner(group=g, node=owner, position=0) for g in made)
    Resource.objects.bulk_create(
        Resource(group=group, type=kind, name=f"{group.name} {part}", state=DOWN)
        for group in made
        for part in ("a", "b")
    )
    FailoverRecord.objects.bulk_create(
        FailoverRecord(
            group=g, group_name=g.name, kind="move", target="NODE1", started=1.0, finished=3.0, state="done"
        )
        for g in made
    )


@pytest.mark.django_db
def test_a_list_of_groups_costs_as_many_queries_for_a_thousand_as_for_ten() -> None:
    asked = []
    for count in (10, 1000):
        _fill(count)
        with CaptureQueriesContext(connection) as queries:
            rows = groups.group_list()
            typical = history.typical_seconds()
        assert len(rows) == len(typical) == count
        assert "taking" in rows[-1].doing.detail
        asked.append(len(queries))
    assert asked[0] == asked[1] <= 5


@pytest.mark.django_db
def test_a_node_costs_as_many_queries_with_a_thousand_groups_as_with_ten() -> None:
    asked = []
    for count in (10, 1000):
        _fill(count)
        with CaptureQueriesContext(connection) as queries:
            detail = nodes.node_detail(Node.objects.get().pk)
        assert detail is not None and len(detail.groups) == count
        asked.append(len(queries))
    assert asked[0] == asked[1]


def test_a_group_page_costs_as_many_queries_for_four_resources_as_for_twelve(seeded: seed.Seeded) -> None:
    asked = []
    for name in ("FILES", "EVS1"):
        with CaptureQueriesContext(connection) as queries:
            assert groups.group_detail(seeded.groups[name].pk, clock.now())
        asked.append(len(queries))
    assert asked[0] >= asked[1]


def test_a_group_tells_its_owner_its_order_and_what_is_left(seeded: seed.Seeded) -> None:
    detail = groups.group_detail(seeded.groups["EVS1"].pk, clock.now())
    assert detail is not None
    assert detail.summary.state is GroupState.ONLINE
    assert [node.name for node in detail.summary.preferred] == ["NODE1", "NODE2"]
    assert not detail.summary.away
    assert detail.failovers.limit == detail.failovers.left == 1  # one less than there are nodes
    names = [[row.name.removeprefix("EVS1 ") for row in column] for column in detail.columns]
    assert names[0] == ["IP Address"] and names[2] == ["System Attendant"]
    assert set(names[1]) == {"Network Name", "Disk"}
    attendant = next(line for line in detail.lines if line.row.name == "EVS1 System Attendant")
    assert attendant.needs == ("EVS1 Network Name", "EVS1 Disk")
    assert detail.typical == pytest.approx(2.1, abs=0.4)


def test_a_resource_that_an_operator_stopped_is_counted_apart(seeded: seed.Seeded) -> None:
    tally = groups.group_list(ids=[seeded.groups["FILES"].pk])[0].tally
    assert (tally.total, tally.online, tally.failed, tally.stopped) == (4, 1, 1, 1)


def test_a_resource_tells_its_restarts_its_providers_and_who_needs_it(seeded: seed.Seeded) -> None:
    detail = resources.resource_detail(seeded.resources["FILES Share"].pk, clock.now())
    assert detail is not None
    assert (detail.row.restarts.used, detail.row.restarts.left) == (4, 0)
    assert [one.name for r in detail.requires for one in r.alternatives] == ["FILES Disk"]
    assert [one.name for one in detail.dependents] == ["FILES Index"]
    assert detail.intervals.looks_alive_ms == 5000  # the type's


def test_failures_leave_the_budget_when_their_period_is_over() -> None:
    assert budget([100.0, 150.0], limit=3, period=60, now=155).left == 1
    assert budget([100.0, 150.0], limit=3, period=60, now=170) == budget([150.0], 3, 60, 170)
    assert budget([], 3, 60, 0).ends is None


def test_probe_times_are_merged_into_slices_without_losing_the_slowest(seeded: seed.Seeded) -> None:
    now = clock.now()
    fine = resources.probe_series(seeded.resources["EVS1 SMTP"].pk, now - 86_400, now, points=2000)["IsAlive"]
    rough = resources.probe_series(seeded.resources["EVS1 SMTP"].pk, now - 86_400, now, points=50)["IsAlive"]
    assert len(rough) <= 51 < len(fine)
    assert max(p.max_ms for p in rough) == max(p.max_ms for p in fine)
    assert sum(p.calls for p in rough) == sum(p.calls for p in fine)
    assert sum(p.failures for p in rough) == 3


@pytest.mark.parametrize(
    ("journey", "steps", "said"),
    [
        (Journey(), [Step("a", ON, True)], ""),
        (
            Journey("move", "stopping", "NODE2"),
            [Step("SMTP", DOWN, True), Step("POP3", OFF, True), Step("Store", ON, True)],
            "Moving to NODE2: taking SMTP offline, 1 of 3",
        ),
        (
            Journey("failover", "starting", "NODE2"),
            [Step("Disk", ON, True), Step("Name", UP, True), Step("Report", OFF, False)],
            "Failing over to NODE2: bringing Name online, 1 of 2",
        ),
        (Journey(), [Step("a", OFF, True, restart_at=9.0)], "about to restart a"),
        (
            Journey("drain", "stopping", "NODE2"),
            [Step(name, DOWN, True) for name in "abcd"],
            "Draining to NODE2: taking a, b and 2 more offline, 0 of 4",
        ),
    ],
)
def test_what_a_group_does_is_said_in_one_sentence(journey: Journey, steps: list[Step], said: str) -> None:
    assert str(doing(journey, steps)) == said


def test_the_history_is_read_page_by_page_behind_a_key_without_gaps(seeded: seed.Seeded) -> None:
    seen: list[int] = []
    before: int | None = None
    while True:
        page = history.events(history.Filter(), before, limit=17)
        seen += [row.seq for row in page.rows]
        if page.next is None:
            break
        before = page.next
    assert seen == sorted(seen, reverse=True)
    assert len(seen) == len(set(seen)) == max(seen)


def test_a_typical_time_is_the_median_of_the_newest_that_were_done(seeded: seed.Seeded) -> None:
    group = seeded.groups["FILES"]
    assert group.pk not in history.typical_seconds([group.pk])  # its only one failed
    for seconds in (1.0, 2.0, 60.0):
        FailoverRecord.objects.create(
            group=group,
            group_name="FILES",
            kind="move",
            target="NODE1",
            started=5.0,
            finished=5.0 + seconds,
            state="done",
        )
    assert history.typical_seconds([group.pk]) == {group.pk: 2.0}
