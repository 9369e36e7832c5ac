"""The times of what is scheduled, whatever the clocks do; what is due, missed, and in the way."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.core.schedule import LAST, Recurrence, Repeat, Slot, clashes, due, instant

BERLIN, NEW_YORK, LORD_HOWE = (
    ZoneInfo(name) for name in ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe")
)
DAY = 86_400.0


def at(text: str) -> float:
    """The moment of a time in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def told(times: Recurrence, since: str, count: int) -> list[str]:
    """The next local times, as the clocks of the zone really say them."""
    found = [one for one, _ in zip(times.since(at(since)), range(count), strict=False)]
    return [f"{datetime.fromtimestamp(one.at, times.zone):%a %d %b %Y %H:%M}" for one in found]


def test_a_time_that_does_not_exist_is_the_next_that_does() -> None:
    local = datetime(2027, 3, 28, 2, 30)
    assert instant(local, BERLIN) == at("2027-03-28T01:00")  # the clocks go from 02:00 to 03:00
    assert datetime.fromtimestamp(instant(local, BERLIN), BERLIN).hour == 3
    assert instant(datetime(2027, 10, 3, 2, 10), LORD_HOWE) == at("2027-10-02T15:30")  # by half an hour


def test_a_time_that_exists_twice_comes_once_and_is_the_first() -> None:
    assert instant(datetime(2027, 10, 31, 2, 30), BERLIN) == at("2027-10-31T00:30")
    daily = Recurrence(datetime(2027, 10, 30, 2, 30), BERLIN, Repeat.DAILY)
    assert told(daily, "2027-10-29T00:00", 3) == [
        "Sat 30 Oct 2027 02:30",
        "Sun 31 Oct 2027 02:30",
        "Mon 01 Nov 2027 02:30",
    ]
    first, second, third = [one.at for one, _ in zip(daily.since(0), range(3), strict=False)]
    assert (second - first, third - second) == (DAY, DAY + 3600)


def test_every_day_is_at_the_same_time_by_the_clock_on_the_wall() -> None:
    daily = Recurrence(datetime(2027, 3, 27, 2, 30), BERLIN, Repeat.DAILY)
    assert told(daily, "2027-03-26T00:00", 3) == [
        "Sat 27 Mar 2027 02:30",
        "Sun 28 Mar 2027 03:00",
        "Mon 29 Mar 2027 02:30",
    ]


def test_weekly_on_days_and_every_second_week() -> None:
    weekly = Recurrence(datetime(2026, 11, 24, 6, 0), BERLIN, Repeat.WEEKLY, days=(1, 4))
    assert told(weekly, "2026-11-24T00:00", 3) == [
        "Tue 24 Nov 2026 06:00",
        "Fri 27 Nov 2026 06:00",
        "Tue 01 Dec 2026 06:00",
    ]
    other = Recurrence(datetime(2026, 11, 24, 6, 0), BERLIN, Repeat.WEEKLY, every=2, days=(1,))
    assert told(other, "2026-11-25T00:00", 2) == ["Tue 08 Dec 2026 06:00", "Tue 22 Dec 2026 06:00"]


def test_monthly_on_the_nth_weekday_and_on_the_last() -> None:
    third = Recurrence(datetime(2026, 11, 1, 2, 0), NEW_YORK, Repeat.MONTHLY, days=(6,), nth=3)
    assert told(third, "2026-11-01T00:00", 2) == ["Sun 15 Nov 2026 02:00", "Sun 20 Dec 2026 02:00"]
    last = Recurrence(datetime(2026, 11, 1, 2, 0), NEW_YORK, Repeat.MONTHLY, days=(4,), nth=LAST)
    assert told(last, "2026-11-01T00:00", 2) == ["Fri 27 Nov 2026 02:00", "Fri 25 Dec 2026 02:00"]


def test_the_last_day_counts_and_after_it_there_is_nothing() -> None:
    times = Recurrence(datetime(2026, 11, 24, 23, 30), BERLIN, Repeat.DAILY, until=date(2026, 11, 25))
    assert told(times, "2026-11-01T00:00", 9) == ["Tue 24 Nov 2026 23:30", "Wed 25 Nov 2026 23:30"]
    once = Recurrence(datetime(2026, 11, 24, 23, 30), BERLIN)
    assert once.next(at("2026-11-24T22:30")) is not None
    assert once.next(at("2026-11-24T22:31")) is None


@pytest.mark.parametrize(
    ("begin", "minutes", "hours"),
    [
        ("2027-03-27T23:00", 360, 5.0),  # to 05:00, over the hour that is not there
        ("2027-10-30T23:00", 360, 7.0),  # over the hour that is there twice
        ("2027-03-28T02:10", 20, 1 / 3),  # all of it in the hour that is not there: as long as it should be
        ("2026-11-24T02:00", 120, 2.0),
    ],
)
def test_a_window_ends_by_the_clock_on_the_wall(begin: str, minutes: int, hours: float) -> None:
    times = Recurrence(datetime.fromisoformat(begin), BERLIN)
    first = times.next(0)
    assert first is not None
    assert (times.end(first, minutes) - first.at) / 3600 == pytest.approx(hours)


def test_what_was_missed_is_told_and_only_the_latest_is_run_where_it_is_not_too_late() -> None:
    daily = Recurrence(datetime(2026, 11, 20, 2, 0), ZoneInfo("UTC"), Repeat.DAILY)
    planned = at("2026-11-20T02:00")
    soon = due(daily, planned, 900, at("2026-11-20T02:00"))
    assert (soon.missed, soon.run and soon.run.at, soon.next) == ((), planned, at("2026-11-21T02:00"))
    late = due(daily, planned, 900, at("2026-11-22T02:15"))
    assert late.missed == (planned, at("2026-11-21T02:00"))
    assert late.run is not None
    assert late.run.at == at("2026-11-22T02:00")
    too_late = due(daily, planned, 900, at("2026-11-22T02:16"))
    assert (len(too_late.missed), too_late.run, too_late.next) == (3, None, at("2026-11-23T02:00"))
    before = due(daily, planned, 900, planned - 1)
    assert (before.missed, before.run, before.next) == ((), None, planned)


recurrences = st.builds(
    Recurrence,
    first=st.datetimes(datetime(2024, 1, 1), datetime(2028, 1, 1)).map(
        lambda t: t.replace(second=0, microsecond=0)
    ),
    zone=st.sampled_from([BERLIN, NEW_YORK, LORD_HOWE, ZoneInfo("UTC"), ZoneInfo("Asia/Kathmandu")]),
    repeat=st.sampled_from(list(Repeat)),
    every=st.integers(1, 3),
    days=st.integers(0, 6).map(lambda day: (day,)),
    nth=st.sampled_from([1, 2, 3, 4, LAST]),
)


@given(recurrences, st.floats(0, 900 * DAY))
def test_one_after_the_other_in_order_and_none_twice(times: Recurrence, ahead: float) -> None:
    since = instant(times.first, times.zone) + ahead
    found = times.between(since, since + 100 * DAY)
    assert [one.at for one in found] == sorted({one.at for one in found})
    assert all(since <= one.at < since + 100 * DAY for one in found)
    for one in found[:5]:  # each is found alone as well, and the clock never shows an earlier time
        assert times.next(one.at) == one
        shown = datetime.fromtimestamp(one.at, times.zone).replace(tzinfo=None, fold=0)
        assert timedelta() <= shown - one.local <= timedelta(hours=1)


@given(recurrences, st.lists(st.floats(1, 40 * DAY), min_size=1, max_size=8), st.floats(0, 3 * DAY))
def test_each_time_is_run_or_missed_exactly_once_however_often_somebody_looks(
    times: Recurrence, pauses: list[float], tolerance: float
) -> None:
    start = times.next(0)
    if start is None:
        return
    now, planned = start.at, start.at
    settled: list[float] = []
    for pause in pauses:
        now += pause
        found = due(times, planned, tolerance, now)
        settled += [*found.missed, *([found.run.at] if found.run else [])]
        if found.next is None:
            break
        assert found.next > now
        planned = found.next
    assert settled == [one.at for one in times.between(start.at, now + 1e-6)]


HOUR = 3600.0


def slot(schedule: int, kind: str, begin: float, end: float | None = None, **about: int) -> Slot:
    return Slot(schedule, f"{kind} {schedule}", kind, begin * HOUR, end and end * HOUR, **about)


@pytest.mark.parametrize(
    ("mine", "others", "how"),
    [
        (slot(0, "drain", 1, 3, node=1), [slot(1, "drain", 2, 4, node=2)], ["last"]),
        (slot(0, "drain", 1, 3, node=1), [slot(1, "drain", 4, 5, node=2)], []),
        (slot(0, "drain", 1, 3, node=1), [slot(1, "drain", 2, 4, node=1)], ["same"]),
        (slot(0, "drain", 2, 3, node=1), [slot(1, "drain", 1, node=2)], ["last"]),  # nothing resumes it
        (slot(0, "drain", 4, 5, node=1), [slot(1, "drain", 1, node=2), slot(2, "resume", 3, node=2)], []),
        (slot(0, "move", 2, group=7, target=1), [slot(1, "drain", 1, 3, node=1)], ["closed"]),
        (slot(0, "move", 2, group=7, target=2), [slot(1, "drain", 1, 3, node=1)], []),
        (slot(0, "move", 2, group=7, target=2), [slot(1, "maintenance", 1, 3)], ["maintenance"]),
        (slot(0, "maintenance", 1, 3, group=7), [slot(1, "restart", 2, group=7)], ["maintenance"]),
        (slot(0, "maintenance", 1, 3, group=7), [slot(1, "restart", 2, group=8)], []),
        (slot(0, "maintenance", 1, group=7), [slot(1, "end-maintenance", 2, group=7)], []),
        (slot(0, "move", 2, group=7, target=2), [slot(1, "restart", 2, group=7)], ["same"]),
    ],
)
def test_what_stands_in_the_way_is_found(mine: Slot, others: list[Slot], how: list[str]) -> None:
    assert [clash.how for clash in clashes([mine], others, nodes=[1, 2])] == how


def test_with_a_third_node_two_may_be_drained_at_once() -> None:
    mine, other = slot(0, "drain", 1, 3, node=1), slot(1, "drain", 2, 4, node=2)
    assert clashes([mine], [other], nodes=[1, 2, 3]) == []
