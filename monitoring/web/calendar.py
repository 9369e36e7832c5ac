"""The calendar of what is scheduled: the days of a month or a week, with what is to come and what was run."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, tzinfo

from monitoring.core.schedule import Slot, instant
from monitoring.models import Schedule, ScheduleRun
from monitoring.service.queries.schedules import RunRow, run_of
from monitoring.service.schedules import foresee

MONTH, WEEK = "month", "week"
MOST = 6
"""Entries of a day that a month shows; the week shows all."""


@dataclass(frozen=True)
class Entry:
    """Something of one day: what is to come, or with `run` what was."""

    begin: float
    end: float | None
    title: str
    schedule: int | None
    run: RunRow | None = None
    going_on: bool = False
    """It began on an earlier day."""


@dataclass
class Day:
    """One day of the calendar, by the reader's clock."""

    day: date
    today: bool
    outside: bool
    """Of the month before or after the one shown."""
    entries: list[Entry] = field(default_factory=list)

    @property
    def shown(self) -> list[Entry]:
        return self.entries[:MOST]

    @property
    def more(self) -> int:
        return max(0, len(self.entries) - MOST)


@dataclass(frozen=True)
class Calendar:
    """`first` is the day that the address names; `before` and `after` those of its neighbours."""

    view: str
    first: date
    days: tuple[Day, ...]
    before: date
    after: date

    @property
    def empty(self) -> bool:
        return not any(day.entries for day in self.days)


def span(view: str, about: date) -> tuple[date, date, date, date, date]:
    """First day of the view, first and last day shown, first days of the views before and after."""
    if view == WEEK:
        first = about - timedelta(days=about.weekday())
        week = timedelta(days=7)
        return first, first, first + week, first - week, first + week
    first = about.replace(day=1)
    after = (first + timedelta(days=32)).replace(day=1)
    shown = first - timedelta(days=first.weekday())
    end = after + timedelta(days=-after.weekday() % 7)
    return first, shown, end, (first - timedelta(days=1)).replace(day=1), after


def draw(view: str, about: date, zone: tzinfo, now: float) -> Calendar:
    """Three queries."""
    first, shown, end, before, after = span(view, about)
    since, until = (instant(datetime.combine(day, datetime.min.time()), zone) for day in (shown, end))
    today = datetime.fromtimestamp(now, zone).date()
    days = {
        day: Day(day, day == today, view == MONTH and day.month != first.month)
        for day in (shown + timedelta(days=number) for number in range((end - shown).days))
    }
    for slot in foresee.slots(max(since, now), until) if until > now else []:
        _place(days, _entry(slot), zone)
    open_runs = Schedule.objects.filter(ends_at__isnull=False).values("open_run")
    runs = ScheduleRun.objects.filter(due_at__gte=since, due_at__lt=until)
    for run in runs.exclude(pk__in=open_runs).select_related("operation"):  # the slot shows what is open
        row = run_of(run)
        _place(days, Entry(run.due_at, None, row.title, run.schedule_id, row), zone)
    for day in days.values():
        day.entries.sort(key=lambda entry: (not entry.going_on, entry.begin))
    return Calendar(view, first, tuple(days.values()), before, after)


def _entry(slot: Slot) -> Entry:
    return Entry(slot.begin, slot.end, slot.title, slot.schedule)


def _place(days: dict[date, Day], entry: Entry, zone: tzinfo) -> None:
    """On the day on which it begins, and on each that it goes on."""
    begins = datetime.fromtimestamp(entry.begin, zone).date()
    last = entry.begin if entry.end is None else max(entry.begin, entry.end - 1)
    ends = datetime.fromtimestamp(last, zone).date()
    for day in days.values():
        if begins <= day.day <= ends:
            later = day.day > begins
            day.entries.append(Entry(entry.begin, entry.end, entry.title, entry.schedule, entry.run, later))
