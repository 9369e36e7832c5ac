"""Schedules are made, changed, deleted, paused and skipped here; the history tells of each."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils import translation

from monitoring.core.model import Refused
from monitoring.models import Node, Schedule, ScheduleRun
from monitoring.models.schedules import FAILED
from monitoring.service import journal
from monitoring.service.lock import Held, again, cluster_lock
from monitoring.service.schedules import times, words
from monitoring.service.schedules.drafts import Draft, read

SCHEDULED = 9010


@dataclass(frozen=True, slots=True)
class Author:
    """Who schedules, and by which right it is done later: a user's, a token's, or the terminal's."""

    by: str
    user: int | None = None
    token: int | None = None
    from_terminal: bool = False

    def sign(self, row: Schedule) -> None:
        row.requested_by, row.author_id = self.by, self.user
        row.token, row.from_terminal = self.token, self.from_terminal


@again
def create(draft: Draft, author: Author) -> Schedule:
    """Write a new schedule down. ValidationError by field."""
    with cluster_lock() as held:
        row = read(draft, held.now)
        author.sign(row)
        row.made_at = held.now
        row.next_at = _next(row, held.now)
        row.save()
        _tell(held, row, f"{author.by} scheduled: {_said(row)}.{_why(row)}", author.by)
    return row


@again
def change(pk: int, draft: Draft, author: Author) -> Schedule:
    """Put another in its place, which from now on runs in the name of who changed it."""
    with cluster_lock() as held:
        row = _find(pk)
        _closed(row, "changed")
        before = _said(row)
        new = read(draft, held.now)
        author.sign(new)
        new.pk, new.made_at, new.paused = row.pk, row.made_at, row.paused
        new.next_at = None if row.paused else _next(new, held.now)
        new.save()
        text = f"{author.by} changed what is scheduled: {before}; now: {_said(new)}.{_why(new)}"
        _tell(held, new, text, author.by)
        mark(held, row)
    return new


@again
def delete(pk: int, by: str) -> str:
    """Delete it; what it did stays in the history. Returns what it was."""
    with cluster_lock() as held:
        row = _find(pk)
        _closed(row, "deleted")
        said = words.title(row)
        _tell(held, row, f"{by} deleted what was scheduled: {_said(row)}.", by)
        row.delete()
    return said


@again
def pause(pk: int, by: str) -> Schedule:
    """It is not run until somebody lets it go on; a window that is open ends as planned."""
    with cluster_lock() as held:
        row = _find(pk)
        if row.paused:
            raise Refused("schedule", "It is paused already.")
        row.paused, row.next_at = True, None
        row.save(update_fields=["paused", "next_at"])
        _tell(held, row, f"{by} paused what is scheduled: {_said(row)}.", by)
    return row


@again
def go_on(pk: int, by: str) -> Schedule:
    """A paused one is run again, from its next time on."""
    with cluster_lock() as held:
        row = _find(pk)
        if not row.paused:
            raise Refused("schedule", "It is not paused.")
        row.paused, row.next_at = False, _next(row, held.now + 1)
        row.save(update_fields=["paused", "next_at"])
        _tell(held, row, f"{by} let go on what is scheduled: {_said(row)}.", by)
    return row


@again
def skip(pk: int, by: str) -> Schedule:
    """Its next time is left out."""
    with cluster_lock() as held:
        row = _find(pk)
        if row.next_at is None:
            raise Refused("schedule", "There is no time to skip: it is paused or over.")
        at = row.next_at
        row.next_at = _next(row, at + 1)
        row.save(update_fields=["next_at"])
        text = f"Skipped by {by}."
        title = words.in_history(row)
        ScheduleRun.objects.create(
            schedule=row, title=title, due_at=at, ran_at=held.now, state="skipped", text=text
        )
        when = words.clock(at, row.zone)
        _tell(held, row, f"{by} skipped what was scheduled for {when}: {title}.", by)
    return row


@again
def note_failure(run: int, by: str) -> ScheduleRun:
    """Somebody has taken note that it failed: it is not shown loudly any more."""
    with cluster_lock() as held:
        row = ScheduleRun.objects.filter(FAILED, pk=run, seen_by="").select_related("operation").first()
        if row is None:
            raise Refused("run", "There is no such failure to take note of.")
        row.seen_by = by
        row.save(update_fields=["seen_by"])
        why = row.text or (row.operation.outcome if row.operation else "")
        journal.add(held, f"{by} took note: {row.title}: {why}", code=SCHEDULED, by=by)
    return row


def _find(pk: int) -> Schedule:
    row = Schedule.objects.select_related("group", "node").filter(pk=pk).first()
    if row is None:
        raise Refused("schedule", "There is no such schedule.")
    return row


def _closed(row: Schedule, what: str) -> None:
    if row.ends_at is not None:
        until = words.clock(row.ends_at, row.zone)
        raise Refused("schedule", f"Its window is open until {until}. End it, then it can be {what}.")


def _next(row: Schedule, at: float) -> float | None:
    found = times.of(row).next(at)
    return found.at if found else None


def _said(row: Schedule) -> str:
    """The schedule as the history has it."""
    with translation.override("en"):
        length = f", for {_length(row.minutes)}" if row.minutes else ""
        rhythm = words.rhythm(row)
        return f"{words.title(row)}, {rhythm[:1].lower()}{rhythm[1:]} ({row.zone}){length}"


def _length(minutes: int) -> str:
    hours, rest = divmod(minutes, 60)
    parts = [f"{hours} h"] * bool(hours) + [f"{rest} min"] * bool(rest)
    return " ".join(parts)


def _why(row: Schedule) -> str:
    return f" Reason: {row.reason}" if row.reason else ""


def mark(held: Held, row: Schedule) -> None:
    """What shows this schedule is to be drawn anew."""
    if row.group_id is not None:
        held.groups.add(row.group_id)
    if row.node_id is not None:
        held.nodes.add(row.node_id)
    if row.group_id is None and row.node_id is None:
        held.nodes.update(Node.objects.values_list("pk", flat=True))


def _tell(held: Held, row: Schedule, text: str, by: str) -> None:
    mark(held, row)
    journal.add(held, text, code=SCHEDULED, group=row.group, node=row.node, by=by)
