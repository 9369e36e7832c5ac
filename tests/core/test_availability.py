"""What counts as up, as planned and as an outage, and in which month."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from monitoring.core.availability import Change, Course, Mark, Row, Times, Window, course, months, rows
from monitoring.core.states import GroupState

ON, OFF, FAILED, PART, PENDING, UNKNOWN = (
    GroupState.ONLINE,
    GroupState.OFFLINE,
    GroupState.FAILED,
    GroupState.PARTIAL_ONLINE,
    GroupState.PENDING,
    GroupState.UNKNOWN,
)
ALL = (Window("all", 0.0, 1000.0),)


def _changes(*steps: tuple[float, GroupState] | tuple[float, GroupState, dict[str, Any]]) -> list[Change]:
    made = []
    for number, (at, state, *more) in enumerate(steps, start=1):
        values = {"node": "NODE1", **(more[0] if more else {})}
        made.append(Change(number, at, state, **values))
    return made


def _course(changes: list[Change], **more: Any) -> Course:
    found = course(changes, 1000.0, **more)
    assert found is not None
    return found


def _row(changes: list[Change], unwatched: Times = (), **more: Any) -> Row:
    (row,) = rows(_course(changes, **more), ALL, unwatched)
    return row


def test_a_group_counts_from_the_moment_it_was_first_online() -> None:
    row = _row(_changes((0, PENDING), (50, FAILED), (200, ON)))
    assert (row.up, row.counted, row.outages, row.availability) == (800, 800, 0, 1.0)
    assert course(_changes((0, PENDING), (50, FAILED)), 1000) is None
    assert course([], 1000) is None


@pytest.mark.parametrize("state", [OFF, FAILED, PART, PENDING, UNKNOWN])
def test_only_online_is_up(state: GroupState) -> None:
    row = _row(_changes((0, ON), (100, state), (300, ON)))
    assert (row.up, row.unplanned, row.outages_unplanned, row.recovery) == (800, 200, 1, 200)
    assert row.partly == (200 if state is PART else 0)


def test_what_an_operator_asked_for_is_planned_down_to_its_end() -> None:
    asked = {"asked": True}
    steps = _changes((0, ON), (100, PENDING, asked), (110, OFF, asked), (400, PENDING, asked), (410, ON))
    row = _row(steps)
    assert (row.planned, row.unplanned, row.outages_planned, row.recovery) == (310, 0, 1, None)
    assert (row.availability, row.availability_unplanned) == (0.69, 1.0)


def test_a_planned_outage_in_which_something_fails_is_unplanned_from_there() -> None:
    asked = {"asked": True}
    row = _row(
        _changes((0, ON), (100, PENDING, asked), (150, FAILED, asked), (250, PENDING, asked), (260, ON))
    )
    assert (row.planned, row.unplanned) == (50, 110)
    assert (row.outages_planned, row.outages_unplanned, row.recovery) == (0, 1, 160)


def test_a_move_that_ends_in_a_failover_is_unplanned_from_there() -> None:
    steps = _changes((0, ON), (100, PENDING, {"asked": True}), (130, PENDING, {"failover": True}), (200, ON))
    row = _row(steps)
    assert (row.planned, row.unplanned) == (30, 70)


def test_what_failed_stays_unplanned_while_an_operator_repairs_it() -> None:
    asked = {"asked": True}
    row = _row(_changes((0, ON), (100, FAILED), (200, OFF, asked), (300, PENDING, asked), (350, ON)))
    assert (row.planned, row.unplanned) == (0, 250)


def test_a_group_that_is_taken_offline_stays_planned_when_its_node_is_lost() -> None:
    steps = _changes((0, ON), (100, OFF, {"asked": True}), (200, OFF, {"failover": True, "node": "NODE2"}))
    row = _row(steps)
    assert (row.planned, row.unplanned, row.down_now) == (900, 0, True)


def test_maintenance_makes_downtime_planned_until_it_is_over() -> None:
    steps = _changes((0, ON), (100, FAILED), (400, ON), (500, FAILED), (600, ON))
    row = _row(steps, maintenance=((50, 300),))
    assert (row.planned, row.unplanned) == (200, 200)
    ended = _row(_changes((0, ON), (100, OFF), (310, PENDING), (320, ON)), maintenance=((50, 300),))
    assert (ended.planned, ended.unplanned) == (220, 0)


def test_an_operator_may_say_afterwards_what_an_outage_was() -> None:
    steps = _changes((0, ON), (100, FAILED), (200, ON), (300, PENDING, {"asked": True}), (400, ON))
    marks = {2: Mark(True, "a drill", "alice", 900), 4: Mark(False, "nobody knew", "bob", 900)}
    row = _row(steps, marks=marks)
    assert (row.planned, row.unplanned, row.recovery) == (100, 100, 100)
    by_number = {outage.seq: outage for outage in _course(steps, marks=marks).outages}
    assert by_number[2].planned and by_number[2].mark == marks[2] and not by_number[4].planned


def test_time_that_nobody_watched_is_neither_up_nor_down() -> None:
    steps = _changes((0, ON), (100, FAILED), (300, ON))
    row = _row(steps, unwatched=((150, 200), (500, 600)))
    assert (row.up, row.unplanned, row.unwatched, row.recovery) == (700, 150, 150, 150)
    whole = _row(steps, unwatched=((0, 1000),))
    assert (whole.counted, whole.availability) == (0, None)


def test_an_outage_over_the_edge_of_a_month_counts_in_the_one_in_which_it_began() -> None:
    windows = (Window("1", 0, 500), Window("2", 500, 1000))
    first, second = rows(_course(_changes((0, ON), (450, FAILED), (600, ON))), windows)
    assert (first.unplanned, first.outages, first.recovery) == (50, 1, 150)
    assert (second.unplanned, second.outages, second.recovery) == (100, 0, None)


def test_an_outage_that_is_not_over_has_not_recovered() -> None:
    row = _row(_changes((0, ON), (900, FAILED)))
    assert (row.unplanned, row.outages, row.recovery, row.down_now) == (100, 1, None, True)


def test_a_deleted_group_counts_to_its_last_change() -> None:
    row = _row(_changes((0, ON), (600, PENDING, {"asked": True}), (610, OFF, {"asked": True})), gone=True)
    assert (row.up, row.planned, row.counted, row.down_now) == (600, 10, 610, False)


def test_who_served_when_is_told_and_a_node_that_goes_on_is_told_once() -> None:
    two = {"node": "NODE2"}
    steps = _changes((0, ON), (100, FAILED), (150, ON), (300, PENDING, two), (310, ON, two), (600, ON))
    row = _row(steps)
    assert [(s.node, s.since, s.until, s.up) for s in row.served] == [
        ("NODE1", 0, 300, 250),
        ("NODE2", 310, 600, 290),
        ("NODE1", 600, 1000, 400),
    ]
    assert [outage.node for outage in _course(steps).outages] == ["NODE1", "NODE1"]


def test_months_begin_at_local_midnight_whatever_the_clocks_do() -> None:
    zone = ZoneInfo("Europe/Berlin")
    march, april = months((2026, 3), (2026, 4), zone)
    assert march.until == april.since == datetime(2026, 4, 1, tzinfo=zone).timestamp()
    assert march.until - march.since == 31 * 86_400 - 3600
    assert [w.label for w in months((2025, 11), (2026, 2), zone)] == [
        "2025-11",
        "2025-12",
        "2026-01",
        "2026-02",
    ]


def test_availability_is_never_rounded_up_by_what_it_counts() -> None:
    row = _row(_changes((0, ON), (999.999, FAILED)))
    assert row.availability is not None and 0.99999 < row.availability < 1
