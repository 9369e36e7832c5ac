"""What is scheduled, for pages and programs: the list, the calendar, runs, and what is to come where."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q
from django.utils.translation import gettext as _

from monitoring.models import Group, Schedule, ScheduleRun
from monitoring.models.schedules import FAILED
from monitoring.service.schedules import times, words

RUNS = 20
_TONES = {
    "running": "busy",
    "done": "ok",
    "failed": "bad",
    "superseded": "warn",
    "missed": "bad",
    "skipped": "off",
}


@dataclass(frozen=True)
class ScheduleRow:
    """One schedule. Times are cluster time; `ends_at` where a window of it is open."""

    id: int
    title: str
    tag: str
    kind: str
    group: int | None
    group_name: str
    node: int | None
    node_name: str
    rhythm: str
    zone: str
    minutes: int | None
    next_at: float | None
    next_ends: float | None
    ends_at: float | None
    paused: bool
    repeats: bool
    reason: str
    by: str
    tolerance_minutes: int

    @property
    def state(self) -> str:
        """open, paused, coming or over."""
        if self.ends_at is not None:
            return "open"
        if self.paused:
            return "paused"
        return "over" if self.next_at is None else "coming"

    @property
    def next_local(self) -> datetime | None:
        """The next time by the clocks of its zone."""
        if self.next_at is None:
            return None
        return datetime.fromtimestamp(self.next_at, times.zone(self.zone)).replace(tzinfo=None)

    @property
    def long(self) -> bool:
        """Its window goes on for longer than half a day: its end needs a date."""
        return self.minutes is not None and self.minutes > 720

    @property
    def at(self) -> float | None:
        """What is next of it: the end of its open window, or its next time."""
        return self.next_at if self.ends_at is None else self.ends_at

    @property
    def gone(self) -> str:
        """What it is about and is there no more."""
        if self.group_name and self.group is None:
            return self.group_name
        return self.node_name if self.node_name and self.node is None else ""


@dataclass(frozen=True)
class RunRow:
    """One time of a schedule, with how it went. `late` in seconds."""

    id: int
    schedule: int | None
    title: str
    part: str
    due_at: float
    ran_at: float
    state: str
    text: str
    operation: int | None
    seen_by: str

    @property
    def tone(self) -> str:
        return _TONES[self.state]

    @property
    def word(self) -> str:
        """How it went, in a word."""
        words_of = {
            "running": _("under way"),
            "done": _("done"),
            "failed": _("failed"),
            "superseded": _("superseded"),
            "missed": _("missed"),
            "skipped": _("skipped"),
        }
        return words_of[self.state]


def row_of(row: Schedule) -> ScheduleRow:
    """No query."""
    ends = None
    if row.next_at is not None and row.minutes is not None:
        begins = times.of(row).next(row.next_at - 0.5)
        ends = words.ends(row, begins) if begins else None
    return ScheduleRow(
        id=row.pk,
        title=words.title(row),
        tag=words.tag(row.kind, row.node_name),
        kind=row.kind,
        group=row.group_id,
        group_name=row.group_name,
        node=row.node_id,
        node_name=row.node_name,
        rhythm=words.rhythm(row),
        zone=row.zone,
        minutes=row.minutes,
        next_at=row.next_at,
        next_ends=ends,
        ends_at=row.ends_at,
        paused=row.paused,
        repeats=row.repeat != "once",
        reason=row.reason,
        by=row.requested_by,
        tolerance_minutes=row.tolerance_minutes,
    )


def schedules(over: bool = True) -> list[ScheduleRow]:
    """All schedules: what is open or comes next first, then paused ones, then what is over. One query."""
    rows = Schedule.objects.all()
    if not over:
        rows = rows.filter(Q(next_at__isnull=False) | Q(ends_at__isnull=False) | Q(paused=True))
    found = [row_of(row) for row in rows]
    order = ["open", "coming", "paused", "over"]
    return sorted(found, key=lambda one: (order.index(one.state), one.at or 0.0, one.id))


def schedule(pk: int) -> ScheduleRow | None:
    """One query."""
    row = Schedule.objects.filter(pk=pk).first()
    return row_of(row) if row else None


def runs(schedule: int | None = None, limit: int = RUNS, before: int | None = None) -> list[RunRow]:
    """What was run, the newest first. One query."""
    rows = ScheduleRun.objects.select_related("operation")
    if schedule is not None:
        rows = rows.filter(schedule_id=schedule)
    if before is not None:
        rows = rows.filter(pk__lt=before)
    return [run_of(row) for row in rows[:limit]]


def run_of(row: ScheduleRun) -> RunRow:
    """No query where the operation is at hand."""
    operation = row.operation
    state, text = row.state, row.text
    if state == "accepted":
        state = operation.state if operation else "done"
        text = " ".join(filter(None, (text, operation.outcome if operation else "")))
    return RunRow(
        id=row.pk,
        schedule=row.schedule_id,
        title=row.title,
        part=row.part,
        due_at=row.due_at,
        ran_at=row.ran_at,
        state=state,
        text=text,
        operation=row.operation_id,
        seen_by=row.seen_by,
    )


def failures(limit: int = 3) -> list[RunRow]:
    """Runs that failed or were missed and of which nobody has taken note, the newest first. One query."""
    found = ScheduleRun.objects.filter(FAILED, seen_by="")
    return [run_of(row) for row in found.select_related("operation")[:limit]]


def coming_for_group(group: int) -> list[ScheduleRow]:
    """What is to come for a group: about itself, the cluster, or the node that it runs on. One query."""
    owners = Group.objects.filter(pk=group).values("owner")
    about = (
        Q(group_id=group)
        | Q(kind__in=("maintenance", "end-maintenance"), group_name="")
        | Q(kind__in=("drain", "pause"), node__in=owners)
    )
    return _coming(about)


def coming_for_node(node: int) -> list[ScheduleRow]:
    """What is to come for a node, moves to it too. One query."""
    return _coming(Q(node_id=node) | Q(kind__in=("maintenance", "end-maintenance"), group_name=""))


def _coming(about: Q) -> list[ScheduleRow]:
    live = Q(next_at__isnull=False) | Q(ends_at__isnull=False)
    rows = [row_of(row) for row in Schedule.objects.filter(about & live)]
    return sorted(rows, key=lambda row: row.at or 0.0)


def next_by_subject(
    until: float, groups: Iterable[int] | None = None
) -> Mapping[tuple[str, int], ScheduleRow]:
    """The next thing for each group and node, where it comes before `until`. One query."""
    soon = Schedule.objects.filter(Q(next_at__lt=until) | Q(ends_at__isnull=False))
    if groups is not None:
        soon = soon.filter(Q(group_id__in=list(groups)) | Q(group=None))
    found: dict[tuple[str, int], list[ScheduleRow]] = defaultdict(list)
    for row in map(row_of, soon):
        if row.group is not None:
            found["group", row.group].append(row)
        elif row.node is not None:
            found["node", row.node].append(row)
    return {subject: min(rows, key=lambda row: row.at or 0.0) for subject, rows in found.items()}
