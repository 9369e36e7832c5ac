"""What is scheduled as programs get it: JSON of the REST API and the command line, and iCalendar."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec

from monitoring.models import Cluster, Schedule
from monitoring.service import clock
from monitoring.service.queries.schedules import RunRow, ScheduleRow, row_of, runs
from monitoring.service.schedules import drafts, foresee

AHEAD = 366 * 86_400.0
"""Seconds that the calendar file looks ahead."""
MOST = 2000
"""Events of a calendar file."""


class ScheduleOut(msgspec.Struct, frozen=True):
    """One schedule. `state`: open (its window is), coming, paused, over. `at`, `ends`, `until` as they were
    written, by the clocks of `zone`; `next`, `next_ends`, `open_until` are moments."""

    id: int
    title: str
    state: str
    kind: str
    group: str
    node: str
    at: str
    ends: str
    zone: str
    repeat: str
    every: int
    days: tuple[str, ...]
    nth: str
    until: str
    failback: str
    tolerance_minutes: int
    reason: str
    by: str
    rhythm: str
    next: datetime | None
    next_ends: datetime | None
    open_until: datetime | None


class RunOut(msgspec.Struct, frozen=True):
    """One time of a schedule. `part`: begin, or the end of a window. `state`: running, done, failed,
    superseded, missed, skipped. `noted_by`: who has taken note of a failure."""

    id: int
    schedule: int | None
    title: str
    part: str
    due: datetime
    ran: datetime
    state: str
    text: str
    operation: int | None
    noted_by: str


class TimeOut(msgspec.Struct, frozen=True):
    """One time to come; `note`: what the clocks do to it."""

    at: datetime
    ends: datetime | None
    note: str


class ForeseenOut(msgspec.Struct, frozen=True):
    """What it would lead to. `refused`: why it would not be accepted as the cluster stands now."""

    title: str
    rhythm: str
    times: tuple[TimeOut, ...]
    warnings: tuple[str, ...]
    sentences: tuple[str, ...]
    refused: str


class DetailOut(msgspec.Struct, frozen=True):
    """One schedule with what it would lead to, and what became of it so far, the newest first."""

    schedule: ScheduleOut
    foreseen: ForeseenOut
    runs: tuple[RunOut, ...]


def of_row(row: Schedule) -> ScheduleOut:
    """No query."""
    shown: ScheduleRow = row_of(row)
    draft = drafts.draft_of(row)
    return ScheduleOut(
        **{name: getattr(draft, name) for name in draft.__dataclass_fields__},
        id=shown.id,
        title=shown.title,
        state=shown.state,
        by=shown.by,
        rhythm=shown.rhythm,
        next=moment(shown.next_at),
        next_ends=moment(shown.next_ends),
        open_until=moment(shown.ends_at),
    )


def of_run(run: RunRow) -> RunOut:
    return RunOut(
        run.id,
        run.schedule,
        run.title,
        run.part,
        datetime.fromtimestamp(run.due_at, UTC),
        datetime.fromtimestamp(run.ran_at, UTC),
        run.state,
        run.text,
        run.operation,
        run.seen_by,
    )


def of_foreseen(row: Schedule) -> ForeseenOut:
    """Of a schedule, saved or not."""
    found = foresee.foresee(row)
    times = (TimeOut(datetime.fromtimestamp(t.at, UTC), moment(t.ends), t.note) for t in found.times)
    would = found.preview
    return ForeseenOut(
        found.title,
        found.rhythm,
        tuple(times),
        found.warnings,
        would.sentences if would else (),
        would.refused if would else "What it is about is not there any more.",
    )


def listed() -> tuple[ScheduleOut, ...]:
    """All schedules, what comes next first. One query."""
    order = ["open", "coming", "paused", "over"]
    found = [of_row(row) for row in Schedule.objects.all()]
    late = datetime.max.replace(tzinfo=UTC)
    return tuple(
        sorted(found, key=lambda one: (order.index(one.state), one.open_until or one.next or late, one.id))
    )


def detail(row: Schedule) -> DetailOut:
    return DetailOut(of_row(row), of_foreseen(row), tuple(map(of_run, runs(row.pk, limit=50))))


def moment(at: float | None) -> datetime | None:
    return None if at is None else datetime.fromtimestamp(at, UTC)


# iCalendar (RFC 5545)


def calendar() -> str:
    """All that is to come within a year, each time by itself, in UTC. Four queries.

    Not as rules: of a time that the clocks skip each program thinks otherwise, and the cluster as here.
    """
    name = Cluster.objects.values_list("name", flat=True).first() or "CLUSTER"
    rows = Schedule.objects.in_bulk()
    now = clock.now()
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//ClusterWeb//Schedule//EN"]
    lines += [f"X-WR-CALNAME:{_text(name)}", "REFRESH-INTERVAL;VALUE=DURATION:PT1H"]
    for slot in foresee.slots(now, now + AHEAD)[:MOST]:
        row = rows.get(slot.schedule)
        if row is None:
            continue
        lines += [
            "BEGIN:VEVENT",
            f"UID:schedule-{row.pk}-{slot.begin:.0f}@{_host(name)}",
            f"DTSTAMP:{_utc(row.made_at)}",
            f"DTSTART:{_utc(slot.begin)}",
            *([f"DTEND:{_utc(slot.end)}"] if slot.end is not None else []),
            f"SUMMARY:{_text(slot.title)}",
            f"DESCRIPTION:{_text(_about(row))}",
            "TRANSP:TRANSPARENT",
            "END:VEVENT",
        ]
    return "".join(f"{line}\r\n" for line in _folded([*lines, "END:VCALENDAR"]))


def _about(row: Schedule) -> str:
    return f"{row.reason}\n{row.requested_by}" if row.reason else row.requested_by


def _utc(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y%m%dT%H%M%SZ}"


def _host(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name.lower())


def _text(text: str) -> str:
    for plain, escaped in (("\\", "\\\\"), (";", "\\;"), (",", "\\,"), ("\r", ""), ("\n", "\\n")):
        text = text.replace(plain, escaped)
    return text


def _folded(lines: Iterable[str]) -> Iterable[str]:
    """No line is longer than 75 bytes; none is parted within a character."""
    for line in lines:
        while len(line.encode()) > 75:
            cut = 75
            while len(line[:cut].encode()) > 75:
                cut -= 1
            yield line[:cut]
            line = f" {line[cut:]}"
        yield line
