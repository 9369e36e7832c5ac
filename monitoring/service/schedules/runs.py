"""Running what is due: by the very function that takes an operator's click, in the name of who asked.

Each time is settled in one transaction: that it was run, the operation that it became, and when the
next one is. So it is run once, however many workers look, and whichever of them dies on the way.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import User
from django.db.models import Min, Q

from monitoring.core import schedule as rules
from monitoring.core.model import Refused
from monitoring.core.schedule import UNDO, Occurrence
from monitoring.core.states import Severity
from monitoring.models import Operation, Schedule, ScheduleRun, Token
from monitoring.models.roles import Role, has_role, role_of
from monitoring.service import audit, clock, intents, journal, membership
from monitoring.service.lock import Held, UndoneError, again, attempt, cluster_lock
from monitoring.service.schedules import times, words
from monitoring.service.schedules.edits import SCHEDULED, mark

log = logging.getLogger(__name__)

EVERY = 1.0
"""Seconds between two looks."""
NOT_RUN = 9011
_looked = float("-inf")


def look_if_due() -> None:
    """Run what is due, at most once a second. Two queries where nothing is."""
    global _looked
    if clock.monotonic() - _looked < EVERY:
        return
    _looked = clock.monotonic()
    if (at := next_at()) is not None and at <= clock.now() and membership.settled():
        run_due()


def next_at() -> float | None:
    """When the next thing is due. One query."""
    found = Schedule.objects.aggregate(begins=Min("next_at"), ends=Min("ends_at"))
    return min((at for at in found.values() if at is not None), default=None)


def run_due() -> None:
    """Run all that is due, in the order of its times, each in a transaction of its own."""
    now = clock.now()
    rows = Schedule.objects.filter(Q(next_at__lte=now) | Q(ends_at__lte=now))
    found = [(at, part, pk) for pk, n, e in rows.values_list("pk", "next_at", "ends_at")
             for at, part in ((e, 0), (n, 1)) if at is not None and at <= now]  # fmt: skip
    for _, part, pk in sorted(found):
        try:
            _settle(pk, "begin" if part else "end")
        except UndoneError:
            raise
        except Exception as error:  # one that cannot be run must not keep the others from it
            log.exception("schedule %s could not be run", pk)
            _broken(pk, "begin" if part else "end", error)


@again
def _settle(pk: int, part: str) -> None:
    with audit.acting(audit.Origin("schedule")) as origin, cluster_lock() as held:
        row = Schedule.objects.select_related("group", "node", "author").filter(pk=pk).first()
        if row is None:
            return
        origin.who, origin.role = row.requested_by, str((row.author and role_of(row.author)) or "")
        if part == "end" and row.ends_at is not None and row.ends_at <= held.now:
            _end(held, row, _signed(row))
        elif part == "begin" and row.next_at is not None and row.next_at <= held.now:
            _come(held, row, row.next_at)


def _come(held: Held, row: Schedule, planned: float) -> None:
    """One or more times of a schedule have come."""
    found = rules.due(times.of(row), planned, 60.0 * row.tolerance_minutes, held.now)
    row.next_at = found.next
    row.save(update_fields=["next_at"])
    if found.missed:
        last, count = found.missed[-1], len(found.missed)
        often = f" So were {count - 1} times before it." if count > 1 else ""
        text = f"The cluster service was not running at {words.clock(last, row.zone)}.{often}"
        _failed(held, row, "begin", last, text, state="missed")
    if found.run is not None:
        if row.ends_at is not None:
            text = f"Its window before is open until {words.clock(row.ends_at, row.zone)}."
            _failed(held, row, "begin", found.run.at, text)
        elif refusal := _no_right(row):
            _failed(held, row, "begin", found.run.at, refusal)
        else:
            _begin(held, row, found.run, _signed(row))


@again
def run_now(pk: int, by: str) -> ScheduleRun:
    """Run it now, in the name of who says so; its times stay. Refused as the action itself would be."""
    with cluster_lock() as held:
        row = Schedule.objects.select_related("group", "node").filter(pk=pk).first()
        if row is None:
            raise Refused("schedule", "There is no such schedule.")
        if row.ends_at is not None:
            raise Refused("schedule", f"It is under way until {words.clock(row.ends_at, row.zone)}.")
        zone = times.zone(row.zone)
        local = datetime.fromtimestamp(held.now, zone).replace(tzinfo=None)
        run = _begin(held, row, Occurrence(held.now, local), by)
        if run.state == "failed":
            raise Refused("schedule", run.text)  # nothing of it stands
    return run


@again
def end_now(pk: int, by: str) -> ScheduleRun:
    """End its open window now."""
    with cluster_lock() as held:
        row = Schedule.objects.select_related("group", "node").filter(pk=pk).first()
        if row is None or row.ends_at is None:
            raise Refused("schedule", "No window of it is open.")
        return _end(held, row, by)


# A beginning


def _begin(held: Held, row: Schedule, when: Occurrence, by: str) -> ScheduleRun:
    was_so = _is_so(held, row) and not _by_another_window(row)
    done = _submit(held, row, row.kind, by, row.reason)
    if done.refused:
        return _failed(held, row, "begin", when.at, done.refused)
    late = _late(held, row, when.at)
    mark(held, row)
    run = ScheduleRun.objects.create(
        schedule=row,
        title=words.in_history(row),
        due_at=when.at,
        ran_at=held.now,
        state="accepted",
        text=late,
        operation=done.operation,
        undoes=row.minutes is not None and not was_so,
    )
    if row.minutes is not None:
        row.ends_at, row.open_run = max(words.ends(row, when) or 0.0, held.now), run
        row.save(update_fields=["ends_at", "open_run"])
    if late:
        text = f"{words.in_history(row)}: {late}"
        journal.add(
            held, text, code=SCHEDULED, severity=Severity.WARNING, group=row.group, node=row.node, by=by
        )
    return run


def _late(held: Held, row: Schedule, at: float) -> str:
    """A sentence where it is run late."""
    late = held.now - at
    if late < rules.LATE:
        return ""
    when = words.clock(at, row.zone)
    return f"Run {late / 60:.0f} min late: the cluster service was not running at {when}."


@dataclass(frozen=True, slots=True)
class _Done:
    operation: Operation | None = None
    refused: str = ""


def _submit(held: Held, row: Schedule, kind: str, by: str, reason: str) -> _Done:
    """Ask for the action as an operator does; what is refused leaves nothing behind."""
    if row.group_name and row.group_id is None:
        return _Done(refused=f"{row.group_name} was deleted.")
    if row.node_name and row.node_id is None:
        return _Done(refused=f"{row.node_name} is no member of the cluster any more.")
    failback = row.failback if kind == "resume" else "none"
    try:
        with attempt(held):
            accepted = intents.submit(
                kind, by=by, reason=reason, group=row.group_id, node=row.node_id, failback=failback
            )
    except Refused as refused:
        return _Done(refused=refused.message)
    return _Done(accepted.operation)


# An end


def _end(held: Held, row: Schedule, by: str) -> ScheduleRun:
    """Take back what the beginning did, where it still is as that left it. Never too late for that."""
    due_at, begun = row.ends_at or held.now, row.open_run
    row.ends_at = row.open_run = None
    row.save(update_fields=["ends_at", "open_run"])
    left = _left_alone(held, row, begun)
    if left:
        return _ended(held, row, due_at, "done", left)
    why = f"end of the window: {row.reason}" if row.reason else "end of the window"
    done = _submit(held, row, UNDO[row.kind], by, why)
    if done.refused:
        return _failed(held, row, "end", due_at, done.refused)
    late = _late(held, row, due_at)
    if late:
        text = f"End of: {words.in_history(row)}: {late}"
        journal.add(
            held, text, code=SCHEDULED, severity=Severity.WARNING, group=row.group, node=row.node, by=by
        )
    return _ended(held, row, due_at, "accepted", late, done.operation)


def _ended(
    held: Held, row: Schedule, due_at: float, state: str, text: str, operation: Operation | None = None
) -> ScheduleRun:
    mark(held, row)
    if text and operation is None:
        journal.add(
            held, f"End of: {words.in_history(row)}: {text}", code=SCHEDULED, group=row.group, node=row.node
        )
    return ScheduleRun.objects.create(
        schedule=row,
        title=words.in_history(row),
        part="end",
        due_at=due_at,
        ran_at=held.now,
        state=state,
        text=text,
        operation=operation,
    )


def _left_alone(held: Held, row: Schedule, begun: ScheduleRun | None) -> str:
    """Why nothing is taken back, empty where it is: an operator's word given since then stands."""
    if begun is None or not begun.undoes:
        return "It was so before the window began, and stays so."
    newest = _newest(row)
    if newest is None or newest.pk <= (begun.operation_id or 0):
        return ""
    if not _is_so(held, row):
        return f"It has been taken back already by {newest.requested_by}."
    other = Schedule.objects.filter(open_run__operation=newest).exclude(pk=row.pk).first()
    if other is not None and other.ends_at is not None:
        return f"Another window holds it until {words.clock(other.ends_at, other.zone)}."
    return f"{newest.requested_by} has asked for it anew since then: it stays so."


def _newest(row: Schedule) -> Operation | None:
    """The newest word on what the window is about."""
    kinds = {row.kind, UNDO[row.kind]} | ({"drain", "pause"} if row.kind in ("drain", "pause") else set())
    about = Operation.objects.filter(kind__in=kinds, parent=None, resource=None)
    what = {"node": row.node_id} if row.kind in ("drain", "pause") else {"group": row.group_id}
    return about.filter(**what).order_by("-id").first()


def _by_another_window(row: Schedule) -> bool:
    """True where it is so for a window that is open, and that leaves it to this one to end it."""
    newest = _newest(row) if row.minutes is not None else None
    if newest is None:
        return False
    return Schedule.objects.filter(open_run__operation=newest, open_run__undoes=True).exists()


def _is_so(held: Held, row: Schedule) -> bool:
    """True where what the action leads to is so already."""
    if row.kind in ("drain", "pause"):
        return bool(row.node and row.node.paused)
    if row.kind == "maintenance":
        return row.group.maintenance if row.group else held.cluster.maintenance
    if row.kind == "offline":
        return bool(row.group and not row.group.persistent_online)
    return False


# By which right, and what is told of a failure


def _signed(row: Schedule) -> str:
    return f"{row.requested_by[:138]} (scheduled)"


def _no_right(row: Schedule) -> str:
    """Why its author may not do it any more, empty where they may."""
    if row.from_terminal:
        return ""
    author = User.objects.filter(pk=row.author_id or 0).first()
    if author is None:
        return f"{row.requested_by}, who scheduled it, is no user any more."
    if row.token is not None:
        token = Token.objects.filter(pk=row.token).first()
        if token is None or (token.expires_at is not None and token.expires_at <= clock.now()):
            return f"The token of {row.requested_by}, by which it was scheduled, has ended."
    if not has_role(author, Role.OPERATOR):
        return f"{row.requested_by}, who scheduled it, is not an operator any more."
    return ""


def _failed(
    held: Held, row: Schedule, part: str, due_at: float, text: str, *, state: str = "failed"
) -> ScheduleRun:
    """Write down, loudly, that it was not run, and why."""
    mark(held, row)
    title = words.in_history(row)
    what = f"End of: {title}" if part == "end" else title
    how = "was missed" if state == "missed" else "failed"
    told = f"What was scheduled {how}: {what}. {text}"
    journal.add(held, told, code=NOT_RUN, severity=Severity.ERROR, group=row.group, node=row.node)
    audit.attempted(audit.Origin("schedule", who=row.requested_by), told, "refused")
    return ScheduleRun.objects.create(
        schedule=row, title=title, part=part, due_at=due_at, ran_at=held.now, state=state, text=text
    )


def _broken(pk: int, part: str, error: Exception) -> None:
    """An error of ours: this time is given up, and told, so that it is not tried for ever."""
    with cluster_lock() as held:
        row = Schedule.objects.select_related("group", "node").filter(pk=pk).first()
        if row is None:
            return
        at = (row.ends_at if part == "end" else row.next_at) or held.now
        if part == "end":
            row.ends_at = row.open_run = None
        else:
            found = times.of(row).next(max(held.now, at) + 1)
            row.next_at = found.at if found else None
        row.save(update_fields=["ends_at", "open_run", "next_at"])
        text = f"The cluster service could not run it ({type(error).__name__}); its log says why."
        _failed(held, row, part, at, text)
