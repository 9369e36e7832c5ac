"""The report reads what the cluster service writes, and only the months that it is asked for."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from monitoring.core.availability import Window
from monitoring.core.messages import GroupReport, Report, ResourceReport
from monitoring.core.model import Refused
from monitoring.core.states import GroupState, ResourceState
from monitoring.models import Cluster, Event, Group, Node, WatchTime
from monitoring.service import clock, intents, journal, outages, reports, topology, watching
from monitoring.service.lock import cluster_lock
from monitoring.service.queries import availability
from tests.service.conftest import Make

ON, OFF, FAILED = ResourceState.ONLINE, ResourceState.OFFLINE, ResourceState.FAILED
pytestmark = pytest.mark.django_db


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """The cluster's clock, set by hand."""
    time = {"now": 1_000_000.0}
    monkeypatch.setattr(clock, "now", lambda: time["now"])
    return time


def _commissioned(group: Group) -> None:
    """The line that tells that the group came online."""
    with cluster_lock() as held:
        journal.add(
            held,
            f"{group} is Online.",
            code=1674,
            group=group,
            node=group.owner,
            change=("Offline", "Online"),
        )


def _report(group: Group, state: ResourceState, sequence: int, *, serial: int | None = None) -> None:
    group.refresh_from_db()
    resource = group.resources.get()
    owner = group.owner
    assert owner is not None
    item = ResourceReport(
        resource=resource.pk,
        state=state,
        sequence=sequence,
        running=state is ON,
        attempt=resource.attempt,
        cause="it ended" if state is FAILED else "",
    )
    part = GroupReport(
        group=group.pk,
        epoch=group.epoch,
        serial=group.serial if serial is None else serial,
        resources=(item,),
    )
    owner.refresh_from_db()
    reports.take(owner.pk, Report(incarnation=owner.incarnation, number=owner.reports + 1, groups=(part,)))


def _month() -> tuple[Window, ...]:
    return (Window("now", 1_000_000.0, 1_100_000.0),)


def test_what_an_operator_takes_offline_and_online_again_is_planned(make: Make, at: dict[str, float]) -> None:
    group = make("WEB")
    _commissioned(group)
    at["now"] += 1000
    intents.submit("offline", by="alice", group=group.pk)
    _report(group, OFF, 1)
    at["now"] += 500
    intents.submit("online", by="alice", group=group.pk)
    _report(group, ON, 2)
    at["now"] += 1000
    report = availability.report(_month(), at["now"])
    (one,) = report.rows
    assert (one.row.up, one.row.planned, one.row.unplanned) == (2000, 500, 0)
    assert [stint.node for stint in one.row.served] == ["NODE1"]


def test_what_fails_is_an_unplanned_outage_until_it_is_marked(make: Make, at: dict[str, float]) -> None:
    group = make("WEB", bound=True)
    _commissioned(group)
    at["now"] += 1000
    _report(group, FAILED, 1)
    at["now"] += 40
    _report(group, ON, 2)
    at["now"] += 1000
    (outage,) = availability.report(_month(), at["now"]).outages
    assert (outage.seconds, outage.outage.planned, outage.outage.node) == (40, False, "NODE1")
    marked = outages.mark(outage.outage.seq, planned=True, reason=" a drill ", by="alice")
    report = availability.report(_month(), at["now"])
    assert (report.rows[0].row.planned, report.rows[0].row.unplanned) == (40, 0)
    assert report.outages[0].outage.mark is not None and report.outages[0].outage.mark.reason == "a drill"
    line = Event.objects.get(code=outages.OUTAGE_MARKED)
    assert line.requested_by == "alice" and line.group == group and "planned: a drill" in line.text
    outages.mark(marked.event, planned=False, reason="it was none", by="bob")
    assert availability.report(_month(), at["now"]).rows[0].row.unplanned == 40


def test_only_an_outage_can_be_marked_and_only_with_a_reason(make: Make, at: dict[str, float]) -> None:
    _commissioned(make("WEB"))
    up = Event.objects.get(code=1674)
    with pytest.raises(Refused, match="No outage began with event"):
        outages.mark(up.pk, planned=True, reason="why not", by="alice")
    with pytest.raises(Refused, match="Say why"):
        outages.mark(up.pk, planned=True, reason="  ", by="alice")


def test_downtime_in_maintenance_is_planned(make: Make, at: dict[str, float]) -> None:
    group = make("WEB", bound=True)
    _commissioned(group)
    at["now"] += 100
    intents.submit("maintenance", by="alice", group=group.pk)
    at["now"] += 100
    _report(group, FAILED, 1)
    at["now"] += 50
    _report(group, ON, 2)
    at["now"] += 10
    intents.submit("end-maintenance", by="alice", group=group.pk)
    at["now"] += 10
    (one,) = availability.report(_month(), at["now"]).rows
    assert (one.row.planned, one.row.unplanned, one.row.outages_planned) == (50, 0, 1)


def _line(seq: int, at: float, group: Group | None, change: tuple[str, str], **more: object) -> Event:
    name = group.name if group else "GONE"
    values = {"node_name": "NODE1", **more}
    return Event(
        seq=seq,
        at=at,
        code=1674,
        text=f"{name} is {change[1]}.",
        group=group,
        group_name=name,
        state_from=change[0],
        state_to=change[1],
        **values,
    )


def test_an_outage_that_began_before_the_report_is_known_by_its_beginning(nodes: list[Node]) -> None:
    group = Group.objects.create(name="WEB")
    Event.objects.bulk_create(
        [
            _line(1, 10.0, group, ("Offline", "Online")),
            _line(2, 100.0, group, ("Online", "Pending")),
            _line(3, 120.0, group, ("Pending", "Failed")),
            _line(4, 900.0, group, ("Failed", "Online")),
        ]
    )
    report = availability.report((Window("late", 500.0, 1000.0),), 2000.0)
    (one,), (outage,) = report.rows, report.outages
    assert (one.row.unplanned, one.row.up, one.row.outages) == (400, 100, 0)
    assert (outage.outage.seq, outage.seconds) == (2, 800)


def test_a_deleted_group_is_told_by_its_name(nodes: list[Node]) -> None:
    Event.objects.bulk_create(
        [
            _line(1, 510.0, None, ("Offline", "Online")),
            _line(2, 600.0, None, ("Online", "Offline")),
        ]
    )
    (one,) = availability.report((Window("late", 500.0, 1000.0),), 2000.0).rows
    assert (one.group, one.name, one.row.up, one.row.down_now) == (None, "GONE", 90, False)


def _filled(groups: int, seq: int) -> int:
    made = Group.objects.bulk_create(Group(name=f"G{n:04}") for n in range(Group.objects.count(), groups))
    lines = []
    for group in made:
        for at, change in ((10.0, ("Offline", "Online")), (300.0, ("Online", "Failed"))):
            lines.append(_line(seq := seq + 1, at, group, change))
        lines.append(_line(seq := seq + 1, 700.0, group, ("Failed", "Online")))
    Event.objects.bulk_create(lines)
    return seq


def test_a_report_asks_the_same_for_a_thousand_groups_as_for_ten(nodes: list[Node]) -> None:
    asked, seq = [], 0
    for count in (10, 1000):
        seq = _filled(count, seq)
        with CaptureQueriesContext(connection) as queries:
            report = availability.report((Window("late", 500.0, 1000.0),), 2000.0)
        assert len(report.rows) == len(report.outages) == count
        asked.append(len(queries))
    assert asked[0] == asked[1] <= 9


def test_the_lines_of_a_report_are_found_by_an_index_of_their_own(nodes: list[Node]) -> None:
    assert connection.vendor == "sqlite"  # as in all unit tests; the plan below is told in its words
    _filled(3, 0)
    with CaptureQueriesContext(connection) as queries:
        availability.report((Window("late", 500.0, 1000.0),), 2000.0)
    plans = ""
    with connection.cursor() as cursor:
        for query in queries:
            if "monitoring_event" in query["sql"]:
                cursor.execute(f"EXPLAIN QUERY PLAN {query['sql']}")
                plans += "\n".join(str(row[3]) for row in cursor.fetchall())
    assert "SCAN monitoring_event" not in plans.replace("USING INDEX", "")
    assert "group_states_by_time" in plans and "group_states " in plans


def test_months_are_read_as_they_are_written() -> None:
    zone = ZoneInfo("UTC")
    now = 1_700_000_000.0  # in November 2023
    assert [w.label for w in availability.months("", "", now, zone)] == ["2023-09", "2023-10", "2023-11"]
    assert [w.label for w in availability.months("2023-01", "2023-01", now, zone)] == ["2023-01"]
    for field, since, until in (
        ("since", "May", ""),
        ("until", "", "2023-13"),
        ("until", "2023-12", ""),
        ("since", "2020-01", ""),
    ):
        with pytest.raises(Refused) as refused:
            availability.months(since, until, now, zone)
        assert refused.value.field == field


def test_time_between_two_watches_was_not_watched(nodes: list[Node], at: dict[str, float]) -> None:
    watching.note()
    at["now"] += 10
    watching.note()
    assert WatchTime.objects.count() == 1
    at["now"] += 500
    watching.note()
    assert watching.unwatched(0, at["now"]) == ((1_000_010.0, 1_000_510.0),)
    assert watching.unwatched(1_000_100, 1_000_200) == ((1_000_100, 1_000_200),)
    assert "Nobody watched the groups from" in Event.objects.get(code=watching.UNWATCHED).text
    at["now"] += 20
    assert len(watching.unwatched(0, at["now"])) == 1
    at["now"] += 100
    assert watching.unwatched(0, at["now"])[-1] == (1_000_510.0, at["now"])


def test_a_cluster_that_hears_no_node_at_all_does_not_watch(nodes: list[Node], at: dict[str, float]) -> None:
    watching.note()
    Cluster.objects.update(contact_lost_since=at["now"])
    at["now"] += 200
    watching.note()
    assert WatchTime.objects.get().until == 1_000_000.0


def test_a_new_group_is_not_in_service(nodes: list[Node], at: dict[str, float]) -> None:
    topology.create_group({"name": "NEW"}, by="alice")
    at["now"] += 100
    assert availability.report(_month(), at["now"]).rows == ()
    assert GroupState(Group.objects.get().last_state) is GroupState.OFFLINE
