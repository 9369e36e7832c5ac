"""What somebody wants scheduled: read from what a form, a program or the command line gives, by field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from monitoring.core.nodes import FAILBACK_MODES
from monitoring.core.schedule import LAST, UNDO, Repeat
from monitoring.models import Group, Node, Schedule
from monitoring.service import lookup
from monitoring.service.schedules import times

GROUP_KINDS = ("move", "online", "offline", "restart")
NODE_KINDS = ("pause", "drain", "resume")
EITHER = ("maintenance", "end-maintenance")
"""Of a group where one is named, else of the whole cluster."""
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
NTH = {"first": 1, "second": 2, "third": 3, "fourth": 4, "last": LAST}
LONGEST = timedelta(days=31)
MOST_REASON = 500


@dataclass(frozen=True)
class Draft:
    """What was typed, as text; names of things as they are typed. Empty where nothing was."""

    kind: str = ""
    group: str = ""
    node: str = ""
    at: str = ""
    """Local time: 2030-01-31T02:00, or with a blank in place of the T."""
    ends: str = ""
    """End of the window: such a time, or only 04:00 for the next time that clocks say so."""
    zone: str = ""
    repeat: str = "once"
    every: int = 1
    days: tuple[str, ...] = ()
    """mon, tue, ... sun; the day of `at` where none is given."""
    nth: str = ""
    """first to fourth, or last; as `at` is in its month where nothing is given."""
    until: str = ""
    failback: str = "none"
    tolerance_minutes: int = 15
    reason: str = ""


class _Errors:
    def __init__(self) -> None:
        self.found: dict[str, list[str]] = {}

    def add(self, field: str, text: str) -> None:
        self.found.setdefault(field, []).append(text)


def read(draft: Draft, now: float) -> Schedule:
    """An unsaved row of what is wanted; ValidationError by field where it cannot be.

    UnknownNameError's text comes as the error of its field as well.
    """
    errors = _Errors()
    row = Schedule(
        kind=draft.kind,
        reason=draft.reason.strip(),
        failback=draft.failback or "none",
        tolerance_minutes=draft.tolerance_minutes,
        repeat=draft.repeat or "once",
        every=draft.every,
    )
    _subject(row, draft, errors)
    _when(row, draft, errors, now)
    if row.failback not in FAILBACK_MODES:
        errors.add("failback", _("One of %(all)s.") % {"all": ", ".join(FAILBACK_MODES)})
    if not 0 <= row.tolerance_minutes <= 10_080:
        errors.add("tolerance_minutes", _("0 to 10080 minutes, which is a week."))
    if len(row.reason) > MOST_REASON:
        errors.add("reason", _("At most %(most)s characters.") % {"most": MOST_REASON})
    if errors.found:
        raise ValidationError(errors.found)
    return row


def draft_of(row: Schedule) -> Draft:
    """What would have to be typed for this schedule."""
    first = datetime.fromisoformat(row.first)
    ends = "" if row.minutes is None else f"{first + timedelta(minutes=row.minutes):%Y-%m-%dT%H:%M}"
    return Draft(
        kind=row.kind,
        group=row.group_name,
        node=row.node_name,
        at=row.first,
        ends=ends,
        zone=row.zone,
        repeat=row.repeat,
        every=row.every,
        days=tuple(DAYS[day] for day in row.days),
        nth=next((name for name, nth in NTH.items() if nth == row.nth), "")
        if row.repeat == "monthly"
        else "",
        until=row.until,
        failback=row.failback,
        tolerance_minutes=row.tolerance_minutes,
        reason=row.reason,
    )


def _subject(row: Schedule, draft: Draft, errors: _Errors) -> None:
    """What it is about, by the action."""
    if draft.kind not in (*GROUP_KINDS, *NODE_KINDS, *EITHER):
        known = ", ".join((*GROUP_KINDS, *EITHER, *NODE_KINDS))
        errors.add("kind", _("Choose an action: %(known)s.") % {"known": known})
        return
    row.group, row.node = _group(draft.group, errors), _node(draft.node, errors)
    if draft.kind in GROUP_KINDS and not draft.group:
        errors.add("group", _("Choose the group."))
    if draft.kind in NODE_KINDS and draft.group:
        errors.add("group", _("This action is about a node."))
    if draft.kind in NODE_KINDS and not draft.node:
        errors.add("node", _("Choose the node."))
    if draft.kind in (*GROUP_KINDS, *EITHER) and draft.kind != "move" and draft.node:
        errors.add("node", _("This action is not about a node."))
    if row.group and row.node:
        bound = [
            owners for resource in row.group.resources.all() if (owners := resource.possible_owners.all())
        ]
        if any(row.node not in owners for owners in bound):
            names = {"node": row.node.name, "group": row.group.name}
            errors.add("node", _("%(node)s is not a possible owner of every resource of %(group)s.") % names)
    row.group_name = row.group.name if row.group else ""
    row.node_name = row.node.name if row.node else ""


def _group(name: str, errors: _Errors) -> Group | None:
    try:
        return lookup.group(name) if name else None
    except lookup.UnknownNameError as error:
        errors.add("group", str(error))
        return None


def _node(name: str, errors: _Errors) -> Node | None:
    try:
        return lookup.node(name) if name else None
    except lookup.UnknownNameError as error:
        errors.add("node", str(error))
        return None


def _when(row: Schedule, draft: Draft, errors: _Errors, now: float) -> None:
    row.zone = _zone(draft.zone, errors)
    first = _local(draft.at)
    if first is None:
        errors.add("at", _("Write a day and a time, such as 2030-01-31 02:00."))
        return
    row.first = f"{first:%Y-%m-%dT%H:%M}"
    _rhythm(row, draft, first, errors)
    row.minutes = _minutes(draft, first, errors)
    if errors.found:
        return
    found = times.of(row)
    coming = found.next(now)
    if coming is None:
        over = _("This time is over.") if row.repeat == Repeat.ONCE else _("No time is left until then.")
        errors.add("at" if row.repeat == Repeat.ONCE else "until", over)
    elif row.minutes is not None:
        after = found.next(coming.at + 1)
        if after is not None and found.end(coming, row.minutes) > after.at:
            errors.add("ends", _("The window is longer than the time until the next one begins."))


def _zone(name: str, errors: _Errors) -> str:
    try:
        return ZoneInfo(name.strip()).key
    except (ZoneInfoNotFoundError, ValueError, OSError):
        errors.add(
            "zone", _("There is no time zone %(name)s. Write for example Europe/Berlin.") % {"name": name}
        )
        return "UTC"


def _local(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    if len(text.strip()) < 16 or found.tzinfo is not None or not 2000 <= found.year <= 2200:
        return None
    return found.replace(second=0, microsecond=0)


def _rhythm(row: Schedule, draft: Draft, first: datetime, errors: _Errors) -> None:
    if row.repeat not in list(Repeat):
        errors.add("repeat", _("One of %(all)s.") % {"all": ", ".join(Repeat)})
        row.repeat = "once"
    if not 1 <= row.every <= 52:
        errors.add("every", _("1 to 52."))
        row.every = 1
    wrong = [day for day in draft.days if day not in DAYS]
    if wrong:
        errors.add("days", _("%(wrong)s is none of %(all)s.") % {"wrong": wrong[0], "all": ", ".join(DAYS)})
    if row.repeat in (Repeat.WEEKLY, Repeat.MONTHLY):
        row.days = sorted({DAYS.index(day) for day in draft.days if day in DAYS}) or [first.weekday()]
    if row.repeat == Repeat.MONTHLY:
        if len(row.days) > 1:
            errors.add("days", _("Choose one day of the week."))
        if draft.nth and draft.nth not in NTH:
            errors.add("nth", _("One of %(all)s.") % {"all": ", ".join(NTH)})
        place = (first.day - 1) // 7 + 1
        row.nth = NTH.get(draft.nth, place if place < 5 else LAST)
    if draft.until and row.repeat != Repeat.ONCE:
        try:
            row.until = date.fromisoformat(draft.until.strip()).isoformat()
        except ValueError:
            errors.add("until", _("Write a day, such as 2030-12-31, or nothing for ever."))


def _minutes(draft: Draft, first: datetime, errors: _Errors) -> int | None:
    """Length of the window by the clock on the wall."""
    text = draft.ends.strip()
    if not text:
        return None
    if draft.kind not in UNDO:
        errors.add("ends", _("Only %(these)s have an end.") % {"these": ", ".join(UNDO)})
        return None
    end = _local(text) or _next_clock(text, first)
    if end is None:
        errors.add("ends", _("Write a time, such as 04:00 or 2030-01-31 04:00."))
    elif end <= first:
        errors.add("ends", _("The end comes after the beginning."))
    elif end - first > LONGEST:
        errors.add("ends", _("A window is at most 31 days long."))
    else:
        return round((end - first).total_seconds()) // 60
    return None


def _next_clock(text: str, first: datetime) -> datetime | None:
    try:
        end = datetime.combine(first.date(), datetime.strptime(text, "%H:%M").time())
    except ValueError:
        return None
    return end if end > first else end + timedelta(days=1)


def differing(row: Schedule, **changed: str | int | Sequence[str]) -> Draft:
    """The draft of a schedule with some of it typed anew."""
    return replace(draft_of(row), **changed)  # type: ignore[arg-type]
